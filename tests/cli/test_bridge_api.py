"""What the commands that ask a bridge say when it is away, refuses, or is none."""

import contextlib
import http.server
import socket
import threading

import pytest

from parts.bridge import free_port
from safetytwin.cli.bridge_api import BridgeApi
from safetytwin.cli.errors import UserError


@contextlib.contextmanager
def _server(status=200, body=b"{}", headers=()):
    """Run a server that is no bridge and always answers the same."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.seen = self.headers
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_bridge_that_is_away_says_how_to_start_one(safetytwin) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    code, out, err = safetytwin("hosts", "--bridge", url)
    assert (code, out) == (1, "")
    assert err == (
        f"safetytwin hosts: no bridge answers at {url}. Start one with `safetytwin up` (with an agent) or "
        "`safetytwin bridge`, or name another with --bridge URL\n"
    )


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>", "it is no bridge, or one of another version"),
        (200, b'{"hosts": [{"host_id": 7}]}', "it is no bridge, or one of another version"),
        (200, b"[" * 100_000, "it is no bridge, or one of another version"),
        (200, b"\xff\xfe", "it is no bridge, or one of another version"),
        (503, b'{"detail": "busy \\u001b[31m"}', "busy \\x1b[31m"),
        (404, b"not here", "answered 404 and no more"),
        (500, b'{"detail": 7}', "answered 500 and no more"),
        (302, b"", "answered 302 and no more"),
        (401, b"{}", "asks for a token. Have one made there (safetytwin bridge token create --person)"),
    ],
)
def test_what_is_no_answer_is_said(safetytwin, status, body, said) -> None:
    with _server(status, body) as (_, url):
        code, out, err = safetytwin("hosts", "--bridge", url)
    assert (code, out) == (1, "")
    assert said in err
    assert "\x1b" not in err


def test_an_answer_that_breaks_off(safetytwin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")

        thread = threading.Thread(target=answer)
        thread.start()
        code, _, err = safetytwin("hosts", "--bridge", f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert code == 1
    assert "broke off in the middle of its answer, after 1 bytes" in err


@pytest.mark.parametrize(
    "url", ["127.0.0.1:5678", "ftp://x", "http://", "http://a:b@c", "http://[::1", "http://x:99999"]
)
def test_a_url_that_is_none(safetytwin, url) -> None:
    code, _, err = safetytwin("hosts", "--bridge", url)
    assert code == 1
    assert "is no bridge; write it as http://127.0.0.1:5678" in err or "holds no user or password" in err


def test_the_token_is_read_from_a_file(safetytwin, tmp_path) -> None:
    path = tmp_path / "token"
    path.write_text("st_0123_secret\n")
    with _server(body=b'{"hosts": []}') as (server, url):
        assert safetytwin("hosts", "--bridge", url, "--token-file", path)[0] == 0
        assert server.seen["Authorization"] == "Bearer st_0123_secret"


@pytest.mark.parametrize(("content", "said"), [(b"", "no token"), (b"a b", "no token"), (b"\xff", "no token")])
def test_a_file_without_a_token(tmp_path, content, said) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        BridgeApi("http://127.0.0.1:1", token_file=str(path))


def test_a_token_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(UserError, match="can't be read: No such file"):
        BridgeApi("http://127.0.0.1:1", token_file=str(tmp_path / "none"))


def test_certificates_that_are_none(tmp_path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    with pytest.raises(UserError, match="holds no certificates"):
        BridgeApi("https://127.0.0.1:1", ca_file=str(path))
