"""Twins beside a running bridge, over its API; the recorder stands in libvirt's place."""

import shutil
import time

import msgspec
import pytest

from parts.bridge_http import problem_of, running
from parts.recorded_twins import create, recorded_twins, stand_in
from parts.shapes import machine
from safetytwin.models.hardware import BlockDevice, Cpu, Memory
from safetytwin.vm.domain_reading import read_domain
from safetytwin.vm.driver import DriverAwayError

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
MIB = 1 << 20
VM = "/api/v1/hosts/host-1/vm"


def small(memory=256):
    return machine(
        memory=Memory(total=memory * MIB),
        cpu=Cpu(cores_logical=1, architecture="x86_64"),
        block_devices=[BlockDevice("sda", kind="disk", size=64 * MIB)],
    )


@pytest.fixture
def twins(tmp_path):
    return recorded_twins(tmp_path)


@pytest.fixture
def client(tmp_path, twins, monkeypatch):
    stand_in(monkeypatch, twins)
    with running(tmp_path / "data") as client:
        send(client, small())
        yield client


@pytest.fixture
def made(tmp_path, twins, client):
    create(twins, small(), tmp_path)
    return twins


def send(client, state):
    assert client.post("/api/v1/update_state", content=msgspec.json.encode(state)).status_code == 200


def memory(twins):
    return read_domain(twins.driver.current_xml("safetytwin-host-1")).memory


def until(holds, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.05)


def test_without_a_twin_the_plan_is_shown_and_nothing_can_be_done(client):
    shown = client.get(VM).json()
    assert shown["twin"] is None
    assert {line["action"] for line in shown["plan"]} == {"create"}
    assert problem_of(client.post(f"{VM}/start")).status == 404
    assert problem_of(client.get(f"{VM}/snapshots")).status == 404
    assert problem_of(client.post("/api/v1/hosts/other/vm/start")).status == 404


def test_a_twin_follows_the_states_that_come(client, made):
    send(client, small(320))
    until(lambda: memory(made) == 320 * MIB)
    until(lambda: client.get(VM).json()["twin"]["record"].get("revision", 0) >= 2)
    shown = client.get(VM).json()
    assert shown["plan"] == []
    assert shown["twin"]["status"] == "running"
    assert "guest" in [line["what"] for line in shown["twin"]["record"]["drift"]]


def test_a_state_that_changes_all_the_time_costs_three_changes_and_is_then_held(client, made):
    for size in range(300, 340):
        send(client, small(size))
    until(lambda: made.files.needed("host-1").revision == 41)
    record = made.files.needed("host-1")
    assert sum(call[0] == "set_memory" for call in made.driver.calls) <= 3
    held = "it changes too often: left until it is calm" in [line.reason for line in record.drift]
    assert held or memory(made) == 339 * MIB


def test_snapshots_rollback_pin_and_release(client, made):
    assert client.post(f"{VM}/snapshots", json={"name": "before"}).json()["snapshots"][0]["name"] == "before"
    assert problem_of(client.post(f"{VM}/snapshots", json={"name": "before"})).status == 409
    assert problem_of(client.post(f"{VM}/snapshots", json={"name": "../x"})).status == 422
    assert problem_of(client.post(f"{VM}/snapshots/other/rollback")).status == 409
    assert client.post(f"{VM}/snapshots/before/rollback").json()["record"]["pinned"] == "before"
    send(client, small(400))
    time.sleep(1.5)
    assert memory(made) == 256 * MIB
    assert "pinned" not in client.delete(f"{VM}/pin").json()["record"]
    until(lambda: memory(made) == 400 * MIB)
    assert client.post(f"{VM}/pin").json()["record"]["pinned"]
    assert problem_of(client.delete(f"{VM}/snapshots/other")).status == 409
    left = [one["name"] for one in client.delete(f"{VM}/snapshots/before").json()["snapshots"]]
    assert "before" not in left


def test_it_is_stopped_and_started(client, made):
    assert client.post(f"{VM}/stop?force=true").json()["status"] == "stopped"
    assert client.post(f"{VM}/start").json()["status"] == "running"
    assert client.post(f"{VM}/restart?force=true").json()["status"] == "running"
    assert client.get(f"{VM}/console").json() == {"lines": []}
    with open(made.files.path("host-1", "console.log"), "wb") as file:
        file.write(b"first\n\x1b[0;32m<b>last</b>\x1b[0m\r\n")
    assert client.get(f"{VM}/console?lines=1").json() == {"lines": ["<b>last</b>"]}
    assert problem_of(client.get(f"{VM}/console?lines=0")).status == 422


def test_following_is_turned_off_and_on(client, made):
    assert client.delete(f"{VM}/follow").json()["record"]["follow"] is False
    send(client, small(320))
    time.sleep(1.5)
    assert memory(made) == 256 * MIB
    assert "follow" not in client.post(f"{VM}/follow").json()["record"]
    until(lambda: memory(made) == 320 * MIB)


def test_without_libvirt_it_says_what_to_install(client, made, monkeypatch):
    def away(name):
        raise DriverAwayError("libvirt can't be reached")

    monkeypatch.setattr(made.driver, "running", away)
    assert problem_of(client.post(f"{VM}/stop")).status == 503
    shown = client.get(VM).json()
    assert shown["problem"] == "libvirt can't be reached"
    assert {line["action"] for line in shown["plan"]} == {"create"}
