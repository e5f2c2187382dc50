"""Following, snapshots and rollback with the recorder in libvirt's place; real disks by qemu-img."""

import shutil
import subprocess

import msgspec
import pytest

from parts.shapes import machine
from safetytwin.models.hardware import BlockDevice, Cpu, Interface, Memory
from safetytwin.vm.damping import Damper
from safetytwin.vm.domain_reading import read_domain
from safetytwin.vm.driver import DriverError
from safetytwin.vm.images import ImageError, image_size
from safetytwin.vm.recorder import Recorder
from safetytwin.vm.scaling import Host
from safetytwin.vm.shape import shape
from safetytwin.vm.snapshots import Retention
from safetytwin.vm.twin_records import NoTwinError, TwinFiles
from safetytwin.vm.twins import Twins

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
HOST = Host(8, 16 << 30)
MIB = 1 << 20
DOMAIN = "safetytwin-host-1"


def small(memory=256, cpus=2, data=32, interfaces=1, **fields):
    disks = [BlockDevice("sda", kind="disk", size=64 * MIB)]
    disks += [] if data is None else [BlockDevice("sdb", kind="disk", size=data * MIB)]
    return machine(
        memory=Memory(total=memory * MIB),
        cpu=Cpu(cores_logical=cpus, architecture="x86_64"),
        block_devices=disks,
        network=[Interface(f"e{n}", mac=f"52:54:00:00:00:0{n}", physical=True) for n in range(interfaces)],
        **fields,
    )


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "base.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "16M"], check=True)
    return str(path)


@pytest.fixture
def twins(tmp_path, image, monkeypatch):
    monkeypatch.setattr("safetytwin.vm.twins.write_seed", lambda path, files: None)
    made = Twins(Recorder(), TwinFiles(str(tmp_path / "vm")), HOST)
    made.create(shape(small(), host=HOST), image)
    return made


def present(twins):
    return read_domain(twins.driver.current_xml(DOMAIN))


def names(twins):
    return [snapshot.name for snapshot in twins.status("host-1").snapshots]


def test_a_twin_is_made_over_its_image_and_started(twins, image):
    assert twins.driver.running(DOMAIN)
    assert twins.driver.networks == {"safetytwin-isolated"}
    system = twins.files.path("host-1", "system.qcow2")
    assert image_size(system) == 64 * MIB
    shown = subprocess.run(["qemu-img", "info", system], capture_output=True, text=True, check=True).stdout
    assert f"backing file: {image}" in shown
    assert image_size(twins.files.path("host-1", "sdb.qcow2")) == 32 * MIB
    with pytest.raises(DriverError, match="has a twin already"):
        twins.create(shape(small(), host=HOST), image)


def test_creation_that_was_cut_off_goes_on(tmp_path, image, monkeypatch):
    def full(path, files):
        raise DriverError("no space left")

    made = Twins(Recorder(), TwinFiles(str(tmp_path / "vm")), HOST)
    monkeypatch.setattr("safetytwin.vm.twins.write_seed", full)
    with pytest.raises(DriverError, match="no space left"):
        made.create(shape(small(), host=HOST), image)
    assert not made.driver.running(DOMAIN)
    monkeypatch.setattr("safetytwin.vm.twins.write_seed", lambda path, files: None)
    made.create(shape(small(), host=HOST), image)
    assert made.driver.running(DOMAIN)


def test_an_image_that_is_missing_or_none_is_refused_before_anything_is_made(tmp_path):
    made = Twins(Recorder(), TwinFiles(str(tmp_path / "vm")), HOST)
    with pytest.raises(ImageError, match="there is no image"):
        made.create(shape(small(), host=HOST), str(tmp_path / "nothing.qcow2"))
    assert made.files.hosts() == []


def test_changes_are_followed_live_and_a_snapshot_is_taken_after_them(twins):
    record = twins.follow(small(memory=320, cpus=3, interfaces=2), 5)
    now = present(twins)
    assert (now.memory, now.vcpus, len(now.interfaces)) == (320 * MIB, 3, 2)
    assert (record.revision, record.pending) == (5, [])
    assert [(one.revision, one.named) for one in twins.status("host-1").snapshots] == [(5, False)]
    calls = [call[0] for call in twins.driver.calls]
    assert calls.index("snapshot") > calls.index("attach")
    assert twins.driver.defined_xml(DOMAIN) is not None
    assert read_domain(twins.driver.defined_xml(DOMAIN)).memory == 320 * MIB


def test_nothing_is_done_where_nothing_changed(twins):
    twins.follow(small(), 1)
    before = [call for call in twins.driver.calls if call[0] != "ask_guest"]
    twins.follow(small(), 2)
    assert [call for call in twins.driver.calls if call[0] != "ask_guest"] == before
    assert names(twins) == []


def test_what_can_not_be_live_waits_for_the_next_boot(twins):
    record = twins.follow(small(memory=1024, data=16), 2)
    assert [(line.what, line.when) for line in record.pending] == [("memory", "at next boot")]
    assert ("disk", "a file system would lose its end") in [(line.what, line.reason) for line in record.drift]
    assert present(twins).memory == 256 * MIB
    twins.restart("host-1", force=True)
    assert present(twins).memory == 1024 * MIB
    assert present(twins).disks["sdb"].size == 32 * MIB
    assert twins.files.needed("host-1").pending == []


def test_a_stopped_twin_is_defined_anew_and_its_disks_grow(twins):
    twins.stop("host-1", force=True)
    twins.follow(small(memory=512, data=48), 2)
    assert image_size(twins.files.path("host-1", "sdb.qcow2")) == 48 * MIB
    twins.start("host-1")
    assert present(twins).memory == 512 * MIB


def test_a_device_that_can_not_be_plugged_in_is_drift_and_fails_no_other(twins, monkeypatch):
    def attach(name, device_xml):
        raise DriverError("no more ports")

    monkeypatch.setattr(twins.driver, "attach", attach)
    record = twins.follow(small(memory=320, interfaces=2), 2)
    assert present(twins).memory == 320 * MIB
    assert ("interface", "no more ports") in [(line.what, line.reason) for line in record.drift]
    monkeypatch.undo()
    twins.follow(small(memory=320, interfaces=2), 3)
    assert len(present(twins).interfaces) == 2


def test_a_rollback_pins_until_released(twins):
    twins.snapshot("host-1", "before")
    twins.follow(small(memory=320), 2)
    twins.rollback("host-1", "before")
    assert present(twins).memory == 256 * MIB
    record = twins.follow(small(memory=384), 3)
    assert record.pinned == "before"
    assert present(twins).memory == 256 * MIB
    twins.release("host-1")
    twins.follow(small(memory=384), 4)
    assert present(twins).memory == 384 * MIB


def test_cut_off_within_a_rollback_it_stays_pinned(twins, monkeypatch):
    twins.snapshot("host-1", "before")

    def revert(name, snapshot):
        raise KeyboardInterrupt

    monkeypatch.setattr(twins.driver, "revert", revert)
    with pytest.raises(KeyboardInterrupt):
        twins.rollback("host-1", "before")
    assert twins.files.needed("host-1").pinned == "before"


def test_a_rollback_to_a_moment_takes_the_last_snapshot_of_it_or_before(twins):
    twins.follow(small(memory=320), 2)
    twins.follow(small(memory=384), 3)
    assert len(names(twins)) == 2
    assert twins.rollback("host-1", 4e9).revision == 3
    with pytest.raises(DriverError, match="no snapshot of that moment or before it"):
        twins.rollback("host-1", 0.0)
    with pytest.raises(DriverError, match="there is no snapshot 'other'; there are: r2-"):
        twins.rollback("host-1", "other")


def test_snapshots_are_kept_by_number_and_age_and_the_named_for_ever(twins):
    now = [1_800_000_000.0]
    twins.now = lambda: now[0]
    twins.retention = Retention(number=2, seconds=1e12)
    twins.snapshot("host-1", "kept")
    for revision in range(4):
        twins.follow(small(memory=320 + 64 * (revision % 2), interfaces=revision + 1), revision)
    assert [name.partition("-")[0] for name in names(twins)] == ["kept", "r2", "r3"]
    twins.retention = Retention(number=2, seconds=-1e12)
    twins.snapshot("host-1")
    assert names(twins) == ["kept"]


@pytest.mark.parametrize("name", ["", "../x", "-x", "a b", "x" * 65, "<a/>", "a\n"])
def test_names_that_are_none_are_refused(twins, name):
    with pytest.raises(DriverError, match="is no name for a snapshot"):
        twins.snapshot("host-1", name)


def test_without_room_no_snapshot_is_taken_and_that_is_said(twins):
    twins.retention = Retention(most_bytes=1)
    record = twins.follow(small(memory=320), 2)
    assert names(twins) == []
    assert "snapshot" in [line.what for line in record.drift]


def test_what_flaps_is_held(twins):
    for round_ in range(8):
        record = twins.follow(small(memory=(320, 256)[round_ % 2]), round_)
    assert "it changes too often: left until it is calm" in [line.reason for line in record.drift]
    assert sum(call[0] == "set_memory" for call in twins.driver.calls) == 3


def test_damping_counts_changes_and_not_repetitions():
    damper = Damper(changes=2, window=100)
    assert [damper.allows("memory", 0, 1), damper.allows("memory", 1, 1), damper.allows("memory", 2, 2)] == [True] * 3
    assert damper.repeats("memory", 2)
    assert not damper.allows("memory", 3, 1)
    assert damper.allows("memory", 103, 1)


def test_deleting_leaves_the_image_alone(twins, image):
    twins.delete("host-1")
    assert twins.files.hosts() == []
    assert twins.driver.current_xml(DOMAIN) is None
    assert image_size(image) == 16 * MIB
    with pytest.raises(NoTwinError, match="vm create host-1 --image FILE"):
        twins.status("host-1")


def test_a_record_that_can_not_be_read_is_said(twins):
    path = twins.files.path("host-1", "twin.json")
    with open(path, "w") as file:
        file.write("{")
    with pytest.raises(DriverError, match="mend it, or delete the twin's directory"):
        twins.status("host-1")


def test_the_console_is_its_last_lines(twins):
    with open(twins.files.path("host-1", "console.log"), "wb") as file:
        file.write(b"x" * 100_000 + b"\nGUEST\r\n\xff\x1b[2Jlast")
    assert twins.console("host-1", 2) == ["GUEST", "\ufffdlast"]


def test_a_snapshot_is_deleted_by_its_name(twins):
    twins.snapshot("host-1", "kept")
    twins.snapshot("host-1", "gone")
    twins.delete_snapshot("host-1", "gone")
    assert names(twins) == ["kept"]
    with pytest.raises(DriverError, match="there is no snapshot 'gone'; there are: kept"):
        twins.delete_snapshot("host-1", "gone")


def test_passing_a_gpu_that_is_gone_is_said(twins):
    twins.files.save(msgspec.structs.replace(twins.files.needed("host-1"), pass_gpus=["0000:01:00.0"]))
    with pytest.raises(DriverError, match="no GPU at PCI address"):
        twins.follow(small(), 2)
