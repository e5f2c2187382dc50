"""What a hostile or broken client sends, against a real server."""

import contextlib
import json
import socket
import time

import httpx
import pytest
import zstandard

from parts.bridge_http import bare_state, change_frame, full_frame, post_frames, problem_of, running
from safetytwin.bridge.limits import MIB, Limits


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running(tmp_path_factory.mktemp("data")) as client:
        yield client


def post_raw(client, body, **headers):
    return client.post(
        "/api/v1/hosts/atlas/frames", content=body, headers={"Content-Type": "application/json"} | headers
    )


def raw_exchange(client, data, seconds=20):
    """Send bytes and return all that comes back until the bridge closes."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=seconds) as connection:
        connection.sendall(data)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return received


def test_a_body_that_inflates_without_end(client):
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(1 << 30))
    assert len(bomb) < 50_000
    assert problem_of(post_raw(client, bomb, **{"Content-Encoding": "zstd"})).status == 413


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(client):
    head = b"POST /api/v1/hosts/atlas/frames HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
    assert b" 413 " in raw_exchange(client, head).partition(b"\r\n")[0]


def test_a_chunked_body_that_never_ends_is_cut(client):
    def chunks():
        while True:
            yield b" " * MIB

    # The bridge answers and closes while the client still sends; which of the two it sees first is chance.
    with contextlib.suppress(httpx.WriteError, httpx.ReadError):
        assert client.post("/api/v1/update_state", content=chunks()).status_code == 413
    assert 'reason="413"' in client.get("/metrics").text


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_nesting(client, opening):
    for depth in (40, 900, 5_000, 500_000):
        closing = "]" if opening == "[" else "}"
        nested = opening * depth + "0" + closing * depth
        frame = json.dumps([full_frame()]).replace('"processes": []', f'"processes": [], "extra": {{"x": {nested}}}')
        assert problem_of(post_raw(client, frame.encode())).status == 422
        assert problem_of(client.post("/api/v1/update_state", content=f'{{"extra": {nested}}}')).status == 422


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        (b"", 400, None),
        (b"[", 400, None),
        (b"nonsense", 400, None),
        (b'[{"a": NaN}]', 400, None),
        (b"[Infinity]", 400, None),
        (b"\xff\xfe", 400, None),
        (b'[{"host_id": "\xff"}]', 400, None),
        (b"{}", 422, "$"),
        (b"[]", 422, "$"),
        (b"[1]", 422, "$[0]"),
        (b"[null]", 422, "$[0]"),
        (b"[{}]", 422, "$[0]"),
    ],
)
def test_what_is_no_list_of_frames(client, body, status, where):
    answer = post_raw(client, body)
    assert answer.status_code == status
    assert problem_of(answer).field == where


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seq", -1),
        ("seq", 2**53),
        ("seq", 2**63),
        ("seq", 10**400),
        ("seq", "0"),
        ("seq", 1.5),
        ("monotonic", -1),
        ("monotonic", 1e300),
        ("observed_at", "2026-01-31"),
        ("observed_at", 1769868000),
        ("observed_at", "2026-01-31T14:00:00Z\n"),
        ("epoch", "../../../../etc/passwd"),
        ("epoch", "'; DROP TABLE hosts; --"),
        ("kind", "whole"),
        ("host_id", "borea"),
        ("host_id", "../atlas"),
        ("state", None),
        ("state", []),
        ("change", {}),
    ],
)
def test_each_field_of_a_frame_that_is_wrong_is_named(client, field, value):
    answer = post_raw(client, json.dumps([full_frame(), full_frame(seq=1) | {field: value}]).encode())
    assert answer.status_code == 422
    assert field in (problem_of(answer).field or "") or field == "change"


def test_too_many_frames_at_once(client):
    frames = [change_frame(number, {}) for number in range(1001)]
    assert problem_of(post_frames(client, frames)).status == 422


def test_a_state_inside_a_frame_that_is_wrong_takes_nothing(client):
    frames = [full_frame("wrong", state=bare_state(host_id="wrong", processes=[{"pid": "x"}]))]
    assert post_frames(client, frames, "wrong").status_code == 422
    assert client.get("/api/v1/hosts/wrong").status_code == 404


@pytest.mark.parametrize(
    "host_id",
    [
        "..", "%2e%2e", "..%2fetc%2fpasswd", "%2Fetc", "a%2Fb", "a%00b", "a%0Ab", "a%0d%0aSet-Cookie:x", "A", "%C3%A9",
        "a%20b", "'%20OR%201=1--", "%3Cscript%3E", "x" * 65, "%1b[31m",
    ],
)  # fmt: skip
def test_host_ids_that_are_none(client, host_id):
    for method, rest in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/frames"),
        ("GET", "/diff?from=-1h"),
        ("GET", "/stream"),
    ):
        target = f"/api/v1/hosts/{host_id}{rest}".encode()
        head = b"%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        answer = raw_exchange(client, head % (method.encode(), target))
        status = int(answer.split(b" ", 2)[1])
        # "." and ".." are within the letters of a host id, and name no machine here.
        assert status in {400, 404, 405, 422}, answer
        assert b"Set-Cookie" not in answer.partition(b"\r\n\r\n")[0]
        assert b"application/problem+json" in answer


def test_names_that_are_markup_sql_or_escapes_come_back_as_they_are(client):
    names = [
        "<script>alert(1)</script>",
        "'; DROP TABLE hosts; --",
        "\x1b[2J\x1b]0;title\x07",
        "$(reboot)",
        "\u202e",
        "\x00",
    ]
    processes = [{"pid": i, "start_ticks": 1, "name": name, "cmdline": [name]} for i, name in enumerate(names)]
    post_frames(client, [full_frame("markup", state=bare_state(host_id="markup", processes=processes))], "markup")
    answer = client.get("/api/v1/hosts/markup")
    assert [p["name"] for p in answer.json()["processes"]] == names
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "localhost:80:80",
        "a b",
        "[::1",
        "10.0.0.1",
    ],
)
def test_another_name_in_the_host_header_is_refused(client, host):
    answer = client.get("/api/v1/hosts", headers={"Host": host})
    assert problem_of(answer).status in {400, 421}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5678", "127.0.0.1", "[::1]:9", "localhost."])
def test_the_names_of_loopback_are_answered(client, host):
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_without_a_host_header_or_with_two_nothing_is_answered(client):
    for hosts in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        answer = raw_exchange(client, b"GET /healthz HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
        assert answer.split(b" ", 2)[1] in {b"400", b"421"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_what_changes_something_may_not_come_from_another_origin(client, headers):
    for method, path in (
        ("POST", "/api/v1/update_state"),
        ("DELETE", "/api/v1/hosts/atlas"),
        ("POST", "/api/v1/session"),
    ):
        assert problem_of(client.request(method, path, headers=headers, content=b"{}")).status == 403


def test_the_pages_own_requests_are_let_through(client):
    origin = f"http://{client.base_url.host}:{client.base_url.port}"
    answer = client.post(
        "/api/v1/update_state", json=bare_state(), headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status_code == 200


def test_other_origins_are_never_allowed_by_cors(client):
    answer = client.options(
        "/api/v1/hosts", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        bytes(range(256)),
    ],
)
def test_what_is_no_http_is_a_400(client, data):
    answer = raw_exchange(client, data)
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    limits = Limits(header_seconds=0.5, body_seconds=0.7, headers=4096, keep_alive_seconds=1, connections=20)
    with running(tmp_path_factory.mktemp("impatient"), limits=limits) as client:
        yield client


def drip(client, data, most=20):
    """Send byte after byte until the bridge closes; return what it said."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=0.05) as connection:
        end = time.monotonic() + most
        sent = 0
        received = b""
        while time.monotonic() < end:
            try:
                connection.sendall(data[sent : sent + 1] or b"x")
                sent += 1
            except OSError:
                break
            try:
                piece = connection.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
            if not piece:
                return received
            received += piece
        else:
            pytest.fail("the bridge did not close a slow connection")
    return received


def test_headers_that_come_byte_by_byte_are_cut(impatient):
    answer = drip(impatient, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 10_000)
    assert b" 408 " in answer


def test_a_connection_that_says_nothing_is_cut(impatient):
    answer = raw_exchange(impatient, b"")
    assert b" 408 " in answer


def test_a_body_that_comes_byte_by_byte_is_cut(impatient):
    head = b"POST /api/v1/update_state HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    assert b" 408 " in drip(impatient, head + b"{" * 100_000)


def test_a_second_request_that_comes_slowly_is_cut_too(impatient):
    first = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = drip(impatient, first + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10_000)
    assert b" 408 " in answer


def test_blank_lines_before_a_request_do_not_hold_a_connection(impatient):
    assert b" 408 " in drip(impatient, b"\r\n" * 10_000)


def test_bodies_are_not_counted_as_headers(impatient):
    body = b'{"host_id": "atlas"}'.ljust(3000)
    head = b"POST /api/v1/update_state HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection((impatient.base_url.host, impatient.base_url.port), timeout=20) as connection:
        for _ in range(5):
            connection.sendall(head + body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_headers_without_end_are_cut(impatient):
    # Little more than the limit: what a server leaves unread makes the kernel reset the connection, answer and all.
    answer = raw_exchange(impatient, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 33_000)
    assert b" 431 " in answer


def test_more_connections_than_there_may_be_are_told_so_and_others_live(impatient):
    address = (impatient.base_url.host, impatient.base_url.port)
    held = [socket.create_connection(address, timeout=10) for _ in range(30)]
    try:
        assert any(b" 503 " in connection.recv(65536) for connection in held[20:])
    finally:
        for connection in held:
            connection.close()
    end = time.monotonic() + 20
    while True:
        try:
            assert impatient.get("/healthz").status_code == 200
            break
        except Exception:
            assert time.monotonic() < end
            time.sleep(0.2)
    metrics = impatient.get("/metrics").text
    assert 'reason="slow"' in metrics
    assert 'reason="headers"' in metrics
    assert "connections" in metrics


def test_a_normal_client_is_not_hurried(impatient):
    assert post_frames(impatient, [full_frame()]).status_code == 200
