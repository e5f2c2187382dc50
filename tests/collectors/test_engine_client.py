import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.docker import working_directory
from parts.fake_engine import FakeEngine, answer, chunked, fake_engine
from safetytwin.collectors import engine_client
from safetytwin.collectors.engine_client import EngineClient, EngineError, EngineSilentError
from safetytwin.http_answer import AnswerReader


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with working_directory("st-engine-") as directory, fake_engine(directory / "s", {"/a": answer(b"[]")}) as served:
        yield served


@pytest.fixture
def client(engine: FakeEngine) -> Iterator[EngineClient]:
    made = EngineClient(engine.path)
    yield made
    made.close()


@pytest.mark.parametrize("piece", [1, 7, None])
def test_long_and_short_answers_in_pieces_over_one_connection(
    engine: FakeEngine, client: EngineClient, piece: int | None
) -> None:
    body = b'["' + b"x" * 5000 + b'"]'
    engine.piece = piece
    engine.answers |= {"/long": chunked(body), "/short": answer(body), "/empty": answer(b""), "/none": chunked(b"")}
    for target, expected in (("/long", body), ("/short", body), ("/empty", b""), ("/none", b""), ("/a", b"[]")):
        got = client.get(target, 10)
        assert (got.status, got.body, got.server) == (200, expected, "Docker/20.10.24 (linux)")
    assert engine.connections == 1
    assert client.calls == 5


def test_an_engine_that_closes_after_each_answer(engine: FakeEngine, client: EngineClient) -> None:
    engine.closes_after_answer = True
    for _ in range(3):
        assert client.get("/a", 5).body == b"[]"
    assert client.was_dropped
    engine.answers["/old"] = b"HTTP/1.0 200 OK\r\n\r\nuntil the end"
    assert client.get("/old", 5).body == b"until the end"
    assert client.get("/a", 5).body == b"[]"
    assert not client.was_dropped


def test_a_call_that_never_returns_stays_the_only_one(engine: FakeEngine, client: EngineClient) -> None:
    engine.answers["/never"] = None
    with pytest.raises(EngineSilentError):
        client.get("/never", 0.05)
    for _ in range(3):
        assert client.in_flight
        with pytest.raises(EngineSilentError):
            client.get("/a", 0.05)
        with pytest.raises(EngineSilentError):
            client.settle(0.01)
    assert engine.asked == ["/never"]
    engine.release()
    client.settle(5)
    assert not client.in_flight
    assert client.get("/a", 5).body == b"[]"


def test_one_that_drips_without_end_is_late_too(engine: FakeEngine, client: EngineClient) -> None:
    engine.piece = 1
    engine.answers["/drip"] = chunked(b"x" * 2_000_000, 1)
    with pytest.raises(EngineSilentError):
        client.get("/drip", 0.05)
    assert client.in_flight


def test_an_engine_that_dies_while_it_hangs_is_asked_anew(engine: FakeEngine, client: EngineClient) -> None:
    engine.answers["/never"] = None
    with pytest.raises(EngineSilentError):
        client.get("/never", 0.05)
    engine.close()
    client.settle(5)
    assert not client.in_flight
    with pytest.raises(OSError, match="refused"):
        client.get("/a", 5)


def test_a_socket_that_takes_no_connection() -> None:
    with working_directory("st-engine-") as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "s"))
        listener.listen(0)
        waiting = [EngineClient(str(directory / "s")) for _ in range(4)]
        began = time.monotonic()
        for client in waiting:
            with pytest.raises(EngineSilentError):
                client.get("/a", 0.05)
        assert time.monotonic() - began < 30
        for client in waiting:
            client.close()


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 20_000,
        b"x" * 70_000,
    ],
)
def test_what_is_no_answer(engine: FakeEngine, client: EngineClient, said: bytes) -> None:
    engine.answers["/bad"] = said
    with pytest.raises(EngineError):
        client.get("/bad", 5)
    assert not client.in_flight
    assert client.get("/a", 5).body == b"[]"


def test_an_answer_that_breaks_off(engine: FakeEngine, client: EngineClient) -> None:
    engine.closes_after_answer = True
    for said in (chunked(b"x" * 100)[:-20], answer(b"x" * 100)[:-20], b"HTTP/1.1 200"):
        engine.answers["/bad"] = said
        with pytest.raises(EngineError, match="closed"):
            client.get("/bad", 5)


def test_an_answer_without_end_is_cut_off(
    engine: FakeEngine, client: EngineClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_client, "MAX_BODY", 100_000)
    engine.answers["/huge"] = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000
    engine.answers["/chunks"] = chunked(b"x" * 200_000)
    for target in ("/huge", "/chunks"):
        with pytest.raises(EngineError, match="larger"):
            client.get(target, 5)


def test_a_path_that_is_no_socket(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        EngineClient(str(tmp_path / "none")).get("/a", 1)
    (tmp_path / "file").touch()
    with pytest.raises(ConnectionRefusedError):
        EngineClient(str(tmp_path / "file")).get("/a", 1)


def test_trailers_behind_the_last_chunk() -> None:
    reader = AnswerReader("the engine", EngineError, max_body=1 << 20)
    for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n":
        assert reader.answer is None
        reader.feed(bytes([byte]))
    assert reader.answer is not None
    assert reader.answer.body == b"abc"
    assert reader.keeps_connection


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_are_an_answer_or_an_error(pieces: list[bytes]) -> None:
    reader = AnswerReader("the engine", EngineError, max_body=1 << 20)
    try:
        for piece in [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *pieces]:
            if reader.answer is None:
                reader.feed(piece)
    except EngineError:
        pass


@given(st.binary(max_size=500), st.integers(1, 50), st.integers(1, 50))
def test_every_body_comes_back_however_it_is_cut(body: bytes, chunk: int, piece: int) -> None:
    data = chunked(body, chunk)
    reader = AnswerReader("the engine", EngineError, max_body=1 << 20)
    for start in range(0, len(data), piece):
        reader.feed(data[start : start + piece])
    assert reader.answer is not None
    assert reader.answer.body == body
