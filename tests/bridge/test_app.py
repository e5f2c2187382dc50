
import msgspec
import pytest

from parts.bridge_http import bare_state, change_frame, full_frame, post_frames, running
from safetytwin.bridge.problems import ProblemDetails


def problem_of(response):
    assert response.headers["content-type"] == "application/problem+json"
    details = msgspec.json.decode(response.content, type=ProblemDetails)
    assert details.status == response.status_code
    assert details.detail
    return details


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
