"""Asking engines: on loopback only, within a deadline and a limit, never redirected."""

import http.server
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetytwin.models.workload import Endpoint, Workload
from safetytwin.workloads.asking import Asker, read_answer
from safetytwin.workloads.catalogue import Ask, load_catalogue
from safetytwin.workloads.http_get import Answer, get, parse_answer
from safetytwin.workloads.models_used import Asked


@pytest.fixture
def server():
    """A real HTTP server; answers maps paths to (status, headers, body) and asked lists what came in."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            status, headers, body = self.server.answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.asked, running.answers = [], {}
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def workload(engine, port, address="127.0.0.1"):
    endpoint = Endpoint(address=address, port=port)
    return Workload(id=f"1/{port}", role="server", confidence=0.9, evidence=[], engine=engine, endpoints=[endpoint])


def test_ollama_says_what_is_loaded_and_what_is_listed(server):
    server.answers = {
        "/api/ps": (200, {}, b'{"models":[{"name":"qwen3:8b"}]}'),
        "/api/tags": (200, {}, b'{"models":[{"name":"qwen3:8b"},{"name":"gemma3:4b"}]}'),
        "/api/version": (200, {}, b'{"version":"0.12.3"}'),
    }
    found = Asker(load_catalogue()).ask([workload("ollama", server.server_port)])
    answer = found[f"1/{server.server_port}"]
    assert list(answer.models) == [Asked("qwen3:8b", "loaded"), Asked("gemma3:4b", "listed")]
    assert (answer.version, answer.authenticated) == ("0.12.3", False)
    assert server.asked == ["/api/ps", "/api/tags", "/api/version"]


def test_a_redirect_is_not_followed(server):
    server.answers = {"/v1/models": (302, {"Location": "/elsewhere"}, b"")}
    Asker(load_catalogue()).ask([workload("vllm", server.server_port)])
    assert "/elsewhere" not in server.asked


def test_a_refusal_tells_that_a_key_is_asked_for(server):
    server.answers = {"/v1/models": (401, {}, b"{}")}
    found = Asker(load_catalogue()).ask([workload("vllm", server.server_port)])
    assert found[f"1/{server.server_port}"].authenticated is True


@pytest.mark.parametrize("address", ["192.0.2.7", None, "10.0.0.1"])
def test_nothing_beyond_loopback_is_asked(address):
    assert Asker(load_catalogue()).ask([workload("vllm", 8000, address)]) == {}
    with pytest.raises(ValueError, match="is not loopback"):
        get(address or "example.org", 80, "/", 1.0)


def test_an_answer_that_never_ends_is_left_at_the_deadline(server):
    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x")
                time.sleep(0.02)
        except OSError:
            pass  # the asker left: what this test is about

    server.RequestHandlerClass.do_GET = drip
    began = time.monotonic()
    assert get("127.0.0.1", server.server_port, "/v1/models", 0.5) is None
    assert time.monotonic() - began < 30  # an own deadline, not that of each read


def test_an_answer_that_is_too_long_is_dropped(server):
    server.answers = {"/v1/models": (200, {}, b"x" * (2 * 1024 * 1024))}
    assert get("127.0.0.1", server.server_port, "/v1/models", 30.0) is None


def test_nobody_there():
    assert get("127.0.0.1", 1, "/", 1.0) is None


def test_chunks_are_put_together():
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    assert parse_answer(data) == Answer(200, b"abcde")


@settings(deadline=None)
@given(st.binary(max_size=300).map(lambda tail: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + tail))
def test_any_bytes_as_an_answer(data):
    answer = parse_answer(data)
    assert answer is None or answer.status == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"data":5}', b'{"data":[5,{"id":7},{"id":""}]}', b"[" * 9999])
def test_what_is_not_an_engines_answer_says_nothing(body):
    question = Ask(path="/v1/models", list="data", name="id", version="version", state="serving")
    assert read_answer(question, Answer(200, body)) == ([], None)
