"""What agents are told over HTTP when their frames can't be taken: full disks, clones, frames without a beginning."""

import os
import subprocess

import httpx
import pytest

from parts.bridge_http import bare_state, change_frame, full_frame, post_frames, problem_of
from safetytwin.bridge.server import BridgeOptions, BridgeThread

OTHER_EPOCH = "00000000000000ff"


@pytest.fixture
def client(tmp_path):
    with BridgeThread(BridgeOptions(tmp_path, port=0)) as url, httpx.Client(base_url=url) as client:
        yield client


def test_a_clone_is_told_that_it_needs_an_identity_and_the_first_is_still_served(client):
    post_frames(client, [full_frame(monotonic=1000.0, state=bare_state(boot_id="a"))])
    clone = full_frame(epoch=OTHER_EPOCH, monotonic=900.0, state=bare_state(boot_id="b"))
    for _ in range(2):
        told = problem_of(post_frames(client, [clone]))
        assert (told.status, told.need) == (409, "identity")
        assert "--reset-identity" in told.detail
    assert client.get("/api/v1/hosts").json()["hosts"][0]["status"] == "conflict"
    assert client.get("/api/v1/hosts/atlas").json()["boot_id"] == "a"
    assert post_frames(client, [change_frame(1, {"state": {"seq": 1}}, monotonic=1001.0)]).status_code == 200
    metrics = client.get("/metrics").text
    assert 'safetytwin_bridge_hosts{status="conflict"} 1' in metrics


def test_an_agent_that_may_be_the_next_run_is_told_when_to_come_back(client):
    post_frames(client, [full_frame(monotonic=1000.0)])
    answer = post_frames(client, [full_frame(epoch=OTHER_EPOCH, monotonic=1001.0)])
    assert problem_of(answer).status == 503
    assert 1 <= int(answer.headers["retry-after"]) <= 22


def test_late_frames_without_their_beginning_need_nothing(client):
    post_frames(client, [full_frame(seq=5)])
    told = problem_of(post_frames(client, [change_frame(3, {"state": {"seq": 3}})]))
    assert (told.status, told.need) == (409, None)
    assert "drop them" in told.detail
    assert "safetytwin_bridge_unplaceable_total 1" in client.get("/metrics").text


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_is_told_as_507_and_what_was_acknowledged_stays(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr}")
    try:
        with BridgeThread(BridgeOptions(small, port=0)) as url, httpx.Client(base_url=url) as client:
            assert post_frames(client, [full_frame()]).status_code == 200
            ballast = small / "ballast"
            free = os.statvfs(small)
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize)
            noise = {"name": os.urandom(400_000).hex()}
            big = full_frame(seq=1, state=bare_state(processes=[{"pid": 1, "start_ticks": 1, **noise}]))
            told = problem_of(post_frames(client, [big]))
            assert told.status == 507
            assert "free some room" in told.detail
            assert client.get("/api/v1/hosts/atlas").json() == bare_state()
            assert "safetytwin_bridge_store_full 1" in client.get("/metrics").text
            ballast.unlink()
            assert post_frames(client, [big]).status_code == 200
            assert "safetytwin_bridge_store_full 0" in client.get("/metrics").text
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
