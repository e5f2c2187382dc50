import gzip
import json

import msgspec
import pytest
import zstandard

from parts.bridge_http import bare_state, change_frame, full_frame, post_frames, problem_of, running


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running(tmp_path_factory.mktemp("data")) as client:
        yield client


def test_frames_become_a_state_that_is_shown(client):
    answer = post_frames(client, [full_frame("newt"), change_frame(1, {"state": {"boot_id": "b"}}, "newt")], "newt")
    assert answer.json() == {"accepted": 2, "duplicates": 0, "epoch": "0123456789abcdef", "seq": 1, "revision": 2}
    shown = client.get("/api/v1/hosts/newt")
    assert shown.json() == bare_state(host_id="newt", boot_id="b")
    assert shown.headers["etag"] == '"2"'
    assert shown.headers["safetytwin-revision"] == "2"
    assert shown.headers["safetytwin-at"] == "2026-01-31T14:00:00.000Z"
    assert shown.headers["safetytwin-observed-at"] == "2026-01-31T14:00:00Z"
    listed = client.get("/api/v1/hosts").json()["hosts"]
    assert [row["revision"] for row in listed if row["host_id"] == "newt"] == [2]


def test_sent_again_it_is_a_duplicate(client):
    frames = [full_frame("echo")]
    post_frames(client, frames, "echo")
    assert post_frames(client, frames, "echo").json()["duplicates"] == 1


def test_a_change_without_what_it_changes_asks_for_a_full_frame(client):
    answer = post_frames(client, [change_frame(5, {"state": {"boot_id": "b"}}, "gap")], "gap")
    assert answer.status_code == 409
    assert problem_of(answer).need == "full"


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("zstd", zstandard.ZstdCompressor().compress),
        ("zstd", lambda data: zstandard.ZstdCompressor().compress(data[:1]) + zstandard.compress(data[1:])),
        ("gzip", gzip.compress),
        ("identity", bytes),
    ],
)
def test_frames_in_each_encoding(client, encoding, compress):
    body = compress(json.dumps([full_frame("codec")]).encode())
    answer = client.post("/api/v1/hosts/codec/frames", content=body, headers={"Content-Encoding": encoding})
    assert answer.status_code == 200


def test_a_large_body_is_taken(client):
    state = bare_state(host_id="large", extra={"text": "x" * 3_000_000})
    assert post_frames(client, [full_frame("large", state=state)], "large").status_code == 200
    assert len(client.get("/api/v1/hosts/large").json()["extra"]["text"]) == 3_000_000


def test_only_the_fields_that_are_asked_for(client):
    state = bare_state(host_id="part", hardware={"hostname": "part", "cpu": {"model": "M", "cores_logical": 4}})
    post_frames(client, [full_frame("part", state=state)], "part")

    def shown(fields):
        return client.get("/api/v1/hosts/part", params={"fields": fields}).json()

    assert shown("hardware.cpu.model,host_id") == {"hardware": {"cpu": {"model": "M"}}, "host_id": "part"}
    assert shown("hardware,hardware.cpu.model") == {"hardware": state["hardware"]}
    assert shown("hardware.cpu.model,hardware") == {"hardware": state["hardware"]}
    assert shown("hardware.memory.total,boot_id") == {"hardware": {}}
    wrong = client.get("/api/v1/hosts/part", params={"fields": "hardwear"})
    assert wrong.status_code == 422
    assert "hardware" in problem_of(wrong).detail


def test_what_has_not_changed_is_not_sent_again(client):
    post_frames(client, [full_frame("same")], "same")
    etag = client.get("/api/v1/hosts/same").headers["etag"]
    for tag in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = client.get("/api/v1/hosts/same", headers={"If-None-Match": tag})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    post_frames(client, [change_frame(1, {"state": {"boot_id": "b"}}, "same")], "same")
    assert client.get("/api/v1/hosts/same", headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("zstd, gzip", "zstd"),
        ("gzip", "gzip"),
        ("gzip;q=0.5, zstd;q=0", "gzip"),
        ("identity", None),
        ("br", None),
        ("", None),
    ],
)
def test_large_answers_are_compressed_as_the_client_can(client, accepted, encoding):
    state = bare_state(host_id="wide", extra={"text": "x" * 5000})
    post_frames(client, [full_frame("wide", state=state)], "wide")
    with client.stream("GET", "/api/v1/hosts/wide", headers={"Accept-Encoding": accepted}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    unpack = {"zstd": zstandard.ZstdDecompressor().decompress, "gzip": gzip.decompress, None: bytes}[encoding]
    assert json.loads(unpack(raw)) == state


def test_machines_page_by_page(client):
    for number in range(5):
        post_frames(client, [full_frame(f"page-{number}")], f"page-{number}")
    seen, cursor = [], None
    while True:
        page = client.get("/api/v1/hosts", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        assert len(page["hosts"]) <= 2
        seen += [row["host_id"] for row in page["hosts"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == sorted(seen)
    assert {f"page-{number}" for number in range(5)} <= set(seen)


def test_a_machine_is_forgotten(client):
    post_frames(client, [full_frame("gone")], "gone")
    assert client.delete("/api/v1/hosts/gone").status_code == 204
    assert client.get("/api/v1/hosts/gone").status_code == 404
    assert problem_of(client.delete("/api/v1/hosts/gone")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/api/v1/nothing", 404, "openapi.json"),
        ("GET", "/api/v1/hosts/", 404, ""),
        ("GET", "/api/v1/hosts/absent", 404, "absent"),
        ("PUT", "/api/v1/hosts", 405, "GET"),
        ("PATCH", "/api/v1/hosts/atlas", 405, "DELETE"),
        ("TRACE", "/healthz", 405, ""),
        ("GET", "/api/v1/hosts/Atlas", 422, "a-z 0-9"),
        ("GET", "/api/v1/hosts?limit=0", 422, "1 to 1000"),
        ("GET", "/api/v1/hosts?limit=1&limit=2", 422, "twice"),
        ("GET", "/api/v1/hosts?limti=1", 422, "limit"),
        ("GET", "/api/v1/hosts/atlas?at=yesterday", 422, "RFC 3339"),
        ("GET", "/api/v1/hosts/atlas/diff", 422, "from"),
        ("GET", "/api/v1/hosts/atlas/diff?from=now&to=-2h", 422, "after"),
        ("GET", "/api/v1/hosts/atlas/series", 422, "names"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(client, method, path, status, detail):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert detail in problem_of(answer).detail


def test_405_says_what_is_allowed(client):
    assert set(client.put("/api/v1/hosts/atlas").headers["allow"].split(", ")) == {"GET", "HEAD", "DELETE"}


def test_head_is_get_without_the_body(client):
    post_frames(client, [full_frame("head")], "head")
    answer = client.head("/api/v1/hosts/head")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len(client.get("/api/v1/hosts/head").content)


def test_a_failure_inside_tells_nothing_of_the_inside(client, monkeypatch, caplog):
    async def fails(self, limit, cursor, where=None):
        raise RuntimeError("secret /etc/path")

    monkeypatch.setattr("parts.memory_keeper.MemoryKeeper.hosts", fails)
    answer = client.get("/api/v1/hosts")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert problem_of(answer).detail
    assert "secret /etc/path" in caplog.text


def test_every_answer_says_how_it_may_be_used(client):
    for path in ("/", "/api/v1/hosts", "/api/v1/nothing", "/static/nothing.js", "/metrics", "/openapi.json"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_answers_are_not_kept_by_caches(client):
    assert client.get("/api/v1/hosts").headers["cache-control"] == "no-store"


def test_the_bodies_of_answers_are_what_the_document_says(client):
    document = msgspec.json.decode(client.get("/openapi.json").content)
    assert document["components"]["schemas"]["HostRow"]["required"] == [
        "host_id", "hostname", "revision", "observed_at", "received_at", "status", "summary",
    ]  # fmt: skip
