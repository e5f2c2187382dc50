"""The API on a real store: frames to the disk, states, changes and events back."""

import contextlib
import threading
import time

import httpx
import pytest

from parts.bridge_http import bare_state, change_frame, full_frame, post_frames, problem_of
from safetytwin.bridge.server import BridgeOptions, BridgeThread


@contextlib.contextmanager
def bridge(data_dir):
    with BridgeThread(BridgeOptions(data_dir, port=0)) as url, httpx.Client(base_url=url) as client:
        yield client


PROCESS = {"pid": 7, "start_ticks": 1, "name": "worker", "cmdline": ["worker"]}


@pytest.fixture
def client(tmp_path):
    with bridge(tmp_path) as client:
        yield client


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path):
    with bridge(tmp_path) as client:
        answer = post_frames(client, [full_frame(), change_frame(1, {"state": {"boot_id": "b"}})])
        assert answer.json() == {"accepted": 2, "duplicates": 0, "epoch": "0123456789abcdef", "seq": 1, "revision": 2}
    with bridge(tmp_path) as client:
        assert client.get("/api/v1/hosts/atlas").json() == bare_state(boot_id="b")
        again = post_frames(client, [full_frame(), change_frame(1, {"state": {"boot_id": "b"}})])
        assert (again.json()["accepted"], again.json()["duplicates"]) == (0, 2)


def test_then_and_now_and_what_changed(client):
    post_frames(client, [full_frame()])
    time.sleep(0.05)
    between = time.time()
    time.sleep(0.05)
    post_frames(client, [change_frame(1, {"collections": {"processes": {"added": [PROCESS]}}}, monotonic=100.2)])
    then = client.get("/api/v1/hosts/atlas", params={"at": f"{between:.3f}"})
    assert then.json()["processes"] == []
    assert then.headers["safetytwin-revision"] == "1"
    assert client.get("/api/v1/hosts/atlas").json()["processes"] == [PROCESS]
    difference = client.get("/api/v1/hosts/atlas/diff", params={"from": f"{between:.3f}"}).json()
    assert difference["change"] == {"collections": {"processes": {"added": [PROCESS]}}}
    assert (difference["from"]["revision"], difference["to"]["revision"]) == (1, 2)
    moments = client.get("/api/v1/hosts/atlas/moments").json()
    assert moments["revisions"] == 2
    assert moments["first"] < moments["last"]
    assert problem_of(client.get("/api/v1/hosts/atlas", params={"at": "2001-01-01T00:00:00Z"})).status == 404


def test_events_page_by_page(client):
    for number in range(5):
        post_frames(client, [full_frame(f"host-{number}")], f"host-{number}")
    seen, cursor = [], None
    while True:
        page = client.get("/api/v1/events", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [(event["kind"], event["host_id"]) for event in page["events"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [("host.up", f"host-{number}") for number in reversed(range(5))]
    assert problem_of(client.get("/api/v1/events?cursor=nonsense")).status == 422


def test_a_bare_state_is_updated_or_has_no_changes(client):
    state = {
        "timestamp": 1769868000,
        "hardware": {"hostname": "Atlas", "cpu": {"physical_cores": 4}},
        "services": ["ssh"],
    }
    first = client.post("/api/v1/update_state", json=state).json()
    assert (first["status"], first["host_id"], first["revision"]) == ("updated", "atlas", 1)
    assert client.post("/api/v1/update_state", json=state).json()["status"] == "no_changes"
    state["services"].append("cron")
    second = client.post("/api/v1/update_state", json=state).json()
    assert second["status"] == "updated"
    assert second["changes"]["collections"]["services"]["added"][0]["id"] == "cron.service"


def test_a_gap_asks_for_a_full_frame_and_a_wrong_state_is_a_422(client):
    assert problem_of(post_frames(client, [change_frame(3, {})])).need == "full"
    wrong = full_frame(state=bare_state(processes=[{"pid": "x"}]))
    assert problem_of(post_frames(client, [wrong])).status == 422
    assert client.get("/api/v1/hosts/atlas").status_code == 404


def test_series_of_what_was_sent(client):
    hardware = {"hostname": "atlas", "cpu": {"usage_percent": 40.0}}
    post_frames(client, [full_frame(state=bare_state(hardware=hardware))])
    assert client.get("/api/v1/hosts/atlas/series/names").json()["names"]["cpu.usage"] == "%"
    answer = client.get("/api/v1/hosts/atlas/series", params={"names": "cpu.usage", "from": "-1h"}).json()
    assert answer["series"]["cpu.usage"]["mean"] == [40.0]
    assert answer["series"]["cpu.usage"]["unit"] == "%"


def test_series_whose_names_hold_a_comma_or_a_percent_sign(client):
    odd = ["/data,old", "/100%2C", "/a[b],c]"]
    disks = [{"mountpoint": path, "usage_percent": float(number)} for number, path in enumerate(odd)]
    post_frames(client, [full_frame(state=bare_state(hardware={"hostname": "atlas", "disks": disks}))])
    names = [f"disk[{path}].usage" for path in odd]
    assert set(names) <= set(client.get("/api/v1/hosts/atlas/series/names").json()["names"])
    asked = ",".join(name.replace("%", "%25").replace(",", "%2C") for name in names)
    series = client.get("/api/v1/hosts/atlas/series", params={"names": asked, "from": "-1h"}).json()["series"]
    assert {name: one["mean"] for name, one in series.items()} == {
        name: [float(number)] for number, name in enumerate(names)
    }


@pytest.mark.parametrize("dots", [".", ".."])
def test_no_machine_is_named_by_dots_alone_which_a_url_takes_for_steps(client, dots):
    problem = problem_of(client.post("/api/v1/update_state", json=bare_state(host_id=dots)))
    assert (problem.status, problem.field) == (422, "$.host_id")
    assert client.get("/api/v1/hosts").json()["hosts"] == []


def test_the_figures_of_twins_and_store_are_on_the_page_of_metrics(client):
    post_frames(client, [full_frame()])
    text = client.get("/metrics").text
    assert 'safetytwin_bridge_hosts{status="live"} 1' in text
    assert "safetytwin_bridge_store_frames 1" in text


def test_a_machine_that_is_forgotten_is_gone(client):
    post_frames(client, [full_frame()])
    assert client.delete("/api/v1/hosts/atlas").status_code == 204
    assert client.get("/api/v1/hosts/atlas").status_code == 404
    listed = client.get("/api/v1/hosts").json()
    assert (listed["hosts"], listed["next"]) == ([], None)


def test_who_comes_while_frames_are_taken_sees_each_revision_once(client):
    post_frames(client, [full_frame()])
    url = str(client.base_url)

    def send():
        with httpx.Client(base_url=url) as sender:
            for number in range(1, 60):
                post_frames(sender, [change_frame(number, {"state": {"boot_id": str(number)}})])

    sending = threading.Thread(target=send)
    sending.start()
    try:
        for _ in range(10):
            with client.stream("GET", "/api/v1/hosts/atlas/stream") as answer:
                seen = []
                for line in answer.iter_lines():
                    if line.startswith("id: "):
                        seen.append(int(line.removeprefix("id: ")))
                    if len(seen) == 4 or (seen and seen[-1] == 60):
                        break
                assert seen == list(range(seen[0], seen[0] + len(seen)))
    finally:
        sending.join()
    assert client.get("/api/v1/hosts/atlas").json()["boot_id"] == "59"
