"""Twins with a real libvirt and a real guest: what a test asks is asked inside, by the guest agent."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import httpx
import msgspec
import pytest

from parts.guest import tiny_image
from parts.libvirt import needs_libvirt, running_libvirt
from parts.shapes import machine
from safetytwin.models.hardware import BlockDevice, Cpu, Disk, Interface, Memory
from safetytwin.vm.domain_reading import read_domain
from safetytwin.vm.driver import DriverAwayError, DriverError
from safetytwin.vm.guest import Guest, GuestError
from safetytwin.vm.libvirt_driver import LibvirtDriver
from safetytwin.vm.scaling import Host
from safetytwin.vm.shape import shape
from safetytwin.vm.twin_records import TwinFiles
from safetytwin.vm.twins import Twins

pytestmark = [pytest.mark.root, pytest.mark.slow]
MIB = 1 << 20
HOST = Host(4, 8 << 30)
DOMAIN = "safetytwin-host-1"
BOOT_SECONDS = 240.0
"""An emulated guest on a busy machine."""


def small(memory=256, cpus=1, interfaces=1, data=True):
    disks = [BlockDevice("sda", kind="disk", size=64 * MIB)]
    disks += [BlockDevice("sdb", kind="disk", size=32 * MIB)] if data else []
    return machine(
        hostname="tiny",
        memory=Memory(total=memory * MIB),
        cpu=Cpu(cores_logical=cpus, architecture="x86_64"),
        disks=[Disk("/", device="/dev/sda", kind="local")],
        block_devices=disks,
        network=[Interface(f"e{n}", mac=f"52:54:00:00:00:0{n + 1}", physical=True) for n in range(interfaces)],
    )


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    needs_libvirt()
    return str(tiny_image(tmp_path_factory.mktemp("guest")))


@pytest.fixture(scope="module")
def libvirt(tmp_path_factory):
    with running_libvirt(tmp_path_factory.mktemp("libvirt")) as libvirt:
        yield libvirt


@pytest.fixture(scope="module")
def booted(libvirt, tmp_path_factory, image):
    """One twin for all tests, for an emulated one takes its time to boot: each begins at its snapshot "clean"."""
    made = Twins(LibvirtDriver(libvirt.uri), TwinFiles(str(tmp_path_factory.mktemp("vm"))), HOST)
    made.create(shape(small(), host=HOST), image)
    until(Guest(made.driver, DOMAIN).answers, BOOT_SECONDS)
    made.snapshot("host-1", "clean")
    yield made
    with contextlib.suppress(DriverError):
        made.delete("host-1")


@pytest.fixture
def twins(booted):
    """The twin as it was when it had booted, following."""
    booted.rollback("host-1", "clean")
    booted.release("host-1")
    until(Guest(booted.driver, DOMAIN).answers)
    return Twins(booted.driver, booted.files, HOST)


@pytest.fixture
def guest(twins):
    return Guest(twins.driver, DOMAIN)


def until(holds, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.1)
    return value


def said(guest, *argv):
    """What a program in the guest printed; asked again while a snapshot is taken, in which no guest answers."""

    def ran():
        with contextlib.suppress(GuestError):
            return guest.run(argv)

    code, output = until(ran)
    assert code == 0, output
    return output


def memory_mib(guest):
    return int(re.search(r"MemTotal: +(\d+)", said(guest, "cat", "/proc/meminfo"))[1]) // 1024


def cpus(guest):
    return said(guest, "cat", "/proc/cpuinfo").count("processor\t:")


def disks(guest):
    return sorted(
        int(size) // 1024
        for size in re.findall(r"(\d+) sd[a-z]$", said(guest, "cat", "/proc/partitions"), re.MULTILINE)
    )


def macs(guest):
    return {
        name: said(guest, "cat", f"/sys/class/net/{name}/address").strip()
        for name in said(guest, "ls", "/sys/class/net").split()
    }


def test_a_twin_follows_is_broken_rolled_back_pinned_and_released(twins, guest):
    assert twins.console("host-1", 1) == ["GUEST-UP"]
    assert disks(guest) == [32, 64]
    assert cpus(guest) == 1
    assert "52:54:00:00:00:01" in macs(guest).values()
    # The kernel keeps some of it for itself; a guest that has just booted still has all that it may ever have.
    twins.follow(small(memory=448), 2)
    until(lambda: 370 < memory_mib(guest) <= 448)
    record = twins.follow(small(memory=320, cpus=2, interfaces=2, data=False), 3)
    assert record.pending == []
    until(lambda: 240 < memory_mib(guest) <= 320)
    until(lambda: cpus(guest) == 2)
    until(lambda: "52:54:00:00:00:02" in macs(guest).values())
    until(lambda: disks(guest) == [64])
    assert [snapshot.revision for snapshot in twins.status("host-1").snapshots] == [None, 2, 3]
    assert twins.snapshot("host-1", "named") == "named"
    assert next(one for one in twins.status("host-1").snapshots if one.name == "named").named

    said(guest, "rm", "-rf", "/mod", "/bin/ls")
    assert twins.rollback("host-1", "clean").name == "clean"
    until(guest.answers)
    assert "virtio_net.ko" in said(guest, "ls", "/mod")
    assert cpus(guest) == 1
    assert disks(guest) == [32, 64]

    assert twins.follow(small(memory=448, cpus=2), 4).pinned == "clean"
    assert cpus(guest) == 1
    twins.release("host-1")
    twins.follow(small(memory=448, cpus=2), 5)
    until(lambda: cpus(guest) == 2)


def test_a_cpu_less_waits_for_the_next_boot_where_the_twin_is_emulated(twins, guest):
    twins.follow(small(cpus=2), 2)
    until(lambda: cpus(guest) == 2)
    record = twins.follow(small(cpus=1), 3)
    if twins.driver.accelerator()[0] == "kvm":
        until(lambda: cpus(guest) == 1)
        return
    assert [(line.what, line.when) for line in record.pending] == [("vcpus", "at next boot")]
    assert read_domain(twins.driver.current_xml(DOMAIN)).vcpus == 2
    twins.restart("host-1", force=True)
    assert read_domain(twins.driver.current_xml(DOMAIN)).vcpus == 1
    assert twins.status("host-1").record.pending == []


def test_a_libvirt_that_hangs_is_said_and_one_that_restarts_is_found_again(twins, libvirt):
    driver = LibvirtDriver(libvirt.uri, patience=2.0)
    until(lambda: runs(driver))
    os.kill(libvirt.pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(DriverAwayError, match="does not answer"):
                driver.running(DOMAIN)
    finally:
        os.kill(libvirt.pid, signal.SIGCONT)
    until(lambda: runs(driver))
    libvirt.stop()
    with pytest.raises(DriverAwayError, match="can't be reached"):
        driver.running(DOMAIN)
    libvirt.start()
    until(lambda: runs(driver))
    assert twins.status("host-1").status == "running"


def runs(driver):
    try:
        return driver.running(DOMAIN)
    except DriverAwayError:
        return False


class BridgeProcess:
    """safetytwin bridge, that is killed and started again."""

    def __init__(self, directory, libvirt, twins):
        self._command = [sys.executable, "-m", "safetytwin", "bridge", "--listen", "127.0.0.1:0"]
        self._command += ["--data", str(directory / "data")]
        places = {"SAFETYTWIN_LIBVIRT": libvirt.uri, "SAFETYTWIN_VM_DIRECTORY": twins.files.directory}
        self._environment = {**os.environ, **places}
        self._log = directory / "bridge.log"

    def __enter__(self):
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stderr=log)
        found = until(lambda: re.search(r"listening on (\S+)", self._log.read_text()))
        self.client = httpx.Client(base_url=found[1], timeout=60)
        return self

    def __exit__(self, *error):
        self.client.close()
        self._process.kill()
        self._process.wait()

    def update(self, state):
        answer = self.client.post("/api/v1/update_state", content=msgspec.json.encode(state))
        assert answer.status_code == 200, answer.text

    def vm(self, method="GET", path="", **options):
        answer = self.client.request(method, f"/api/v1/hosts/host-1/vm{path}", **options)
        assert answer.status_code == 200, answer.text
        return answer.json()


def test_a_bridge_lets_it_follow_and_goes_on_after_each_kill(twins, guest, libvirt, tmp_path):
    with BridgeProcess(tmp_path, libvirt, twins) as bridge:
        bridge.update(small(cpus=2))
        until(lambda: cpus(guest) == 2)
        assert bridge.vm()["twin"]["status"] == "running"
        bridge.update(small(cpus=2, interfaces=2))
    with BridgeProcess(tmp_path, libvirt, twins) as bridge:
        until(lambda: "52:54:00:00:00:02" in macs(guest).values())
        bridge.vm("POST", "/snapshots", json={"name": "two"})
    with BridgeProcess(tmp_path, libvirt, twins) as bridge:
        assert "two" in [one["name"] for one in bridge.vm(path="/snapshots")["snapshots"]]
        assert bridge.vm("POST", "/snapshots/two/rollback")["record"]["pinned"] == "two"
        bridge.update(small(cpus=2, interfaces=3))
    with BridgeProcess(tmp_path, libvirt, twins) as bridge:
        until(guest.answers)
        assert bridge.vm()["twin"]["record"]["pinned"] == "two"
        assert "52:54:00:00:00:03" not in macs(guest).values()
        bridge.vm("DELETE", "/pin")
        until(lambda: "52:54:00:00:00:03" in macs(guest).values())
        assert bridge.vm(path="/console")["lines"][0] == "GUEST-UP"
        assert until(lambda: bridge.vm()["plan"] == [])
