"""What a bridge, a proxy or something else that listens there answers becomes an Answer, never an exception."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
import zstandard

from safetytwin.agent.bridge_client import BridgeClient, BridgeUrlError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class _Listener:
    """Answers each request with the next of the given bytes; None closes the connection without an answer."""

    def __init__(self, answers: list[bytes | None]) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while self.answers:
            connection, _ = self._socket.accept()
            self.connections += 1
            with connection:
                while self.answers and (request := self._request(connection)):
                    self.requests.append(request)
                    answer = self.answers.pop(0)
                    if answer is None:
                        break
                    connection.sendall(answer)
                    if b"Connection: close" in answer or b"HTTP/1.0" in answer:
                        break

    def _request(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        self._thread.join(10)
        self._socket.close()


@contextmanager
def _listening(*answers: bytes | None) -> Iterator[_Listener]:
    listener = _Listener(list(answers))
    try:
        yield listener
    finally:
        listener.close()


def test_frames_travel_as_one_json_array_over_one_connection() -> None:
    with _listening(OK, OK) as listener:
        client = BridgeClient(listener.url + "/deep/", "atlas", token="secret")
        frames = [zstandard.compress(msgspec.json.encode({"seq": n})) for n in range(3)]
        assert client.send(frames).status == 200
        assert client.send(frames[:1]).status == 200
        client.close()
    assert listener.connections == 1
    head, _, body = listener.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /deep/api/v1/hosts/atlas/frames HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nAuthorization: Bearer secret\r\n" in head
    plain = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True).read()
    assert msgspec.json.decode(plain) == [{"seq": 0}, {"seq": 1}, {"seq": 2}]


def test_a_kept_connection_that_the_bridge_closed_is_opened_again() -> None:
    with _listening(OK, None, OK) as listener:
        client = BridgeClient(listener.url, "atlas")
        assert [client.send([]).status for _ in range(2)] == [200, 200]
        client.close()
    assert listener.connections == 2


def test_a_new_connection_that_is_closed_unanswered_says_so() -> None:
    with _listening(None) as listener:
        client = BridgeClient(listener.url, "atlas")
        answer = client.send([])
    assert (answer.status, "without an answer" in answer.detail) == (0, True)


@pytest.mark.parametrize(
    ("raw", "status", "need", "detail", "retry_after"),
    [
        (b'HTTP/1.1 409 Conflict\r\nContent-Length: 15\r\n\r\n{"need":"full"}', 409, "full", "Conflict", None),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 503, None, "Busy", 7.0),
        (b"HTTP/1.1 503 X\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", 503, None, "X", None),
        (
            b"HTTP/1.1 503 X\r\nRetry-After: Fri, 01 Jan 2100 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
            503, None, "X", 3600.0,
        ),
        (b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK, 200, None, "OK", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, None, "OK", None),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n<html>", 502, None, "Bad Gateway", None),
        (b'HTTP/1.1 400 B\r\nContent-Length: 12\r\n\r\n["a", "list"', 400, None, "B", None),
        (b'HTTP/1.1 422 U\r\nContent-Length: 17\r\n\r\n{"title":"broken"}'[:-1], 422, None, "U", None),
    ],
)  # fmt: skip
def test_answers(raw: bytes, status: int, need: str | None, detail: str, retry_after: float | None) -> None:
    with _listening(raw) as listener:
        client = BridgeClient(listener.url, "atlas")
        answer = client.send([])
        client.close()
    assert (answer.status, answer.need, answer.detail, answer.retry_after) == (status, need, detail, retry_after)


@pytest.mark.parametrize("raw", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"])
def test_something_else_that_listens_there_is_not_reached(raw: bytes) -> None:
    with _listening(raw) as listener:
        client = BridgeClient(listener.url, "atlas")
        answer = client.send([])
        client.close()
    assert (answer.status, "no HTTP" in answer.detail) == (0, True)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert BridgeClient(f"http://127.0.0.1:{port}", "atlas").send([]).status == 0


@pytest.mark.parametrize(
    ("url", "token"),
    [("http://bridge/a b", None), ("http://bridge/ä", None), ("http://bridge", "two\r\nlines"), ("ftp://bridge", None)],
)
def test_what_no_request_can_hold_is_refused_at_once(url: str, token: str | None) -> None:
    with pytest.raises(BridgeUrlError):
        BridgeClient(url, "atlas", token=token)
