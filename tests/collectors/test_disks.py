import errno
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parts.looks import FIXTURES, fixture_look
from safetytwin.collectors.base import AbsentError, Look, LookOptions
from safetytwin.collectors.disk_usage import Usage, usage_of
from safetytwin.collectors.disks import DisksCollector
from safetytwin.collectors.filesystems import kind_of, may_hang
from safetytwin.collectors.guarded_calls import MOST_STUCK, GuardedCalls
from safetytwin.collectors.host_root import HostRoot
from safetytwin.collectors.mounts import bind_sources, parse_mountinfo, unescape, visible


def by_mountpoint(name):
    disks = DisksCollector().collect(fixture_look(name))
    found = {disk.mountpoint: disk for disk in disks}
    assert len(found) == len(disks)
    return found


def asking(name):
    """Return a look that calls statvfs, though the mounts are those of a fixture tree."""
    proc = os.path.join(FIXTURES, name, "proc")
    return Look(HostRoot(proc=proc), LookOptions(), 0, {}, 0.0, 0.0)


def statvfs(blocks=1000, free=400, available=300, files=100, files_free=60):
    return os.statvfs_result((4096, 4096, blocks, free, available, files, files_free, files_free, 0, 255))


def test_bind_mounts_duplicates_and_subvolumes_are_told_apart():
    found = by_mountpoint("mounts/bind-mounts-and-duplicates")
    assert {name: (disk.bind_of, disk.root) for name, disk in found.items()} == {
        "/": (None, None),
        "/data": ("/", "/srv/data"),
        "/backup": (None, None),
        "/second place": ("/backup", None),
        "/btrfs/root": (None, "/@"),
        "/btrfs/home": (None, "/@home"),
        "/btrfs/anna": ("/btrfs/home", "/@home/anna"),
    }
    assert found["/backup"].options == ["rw", "attr2"]
    assert found["/second place"].read_only
    assert found["/second place"].options == ["ro", "relatime", "attr2"]
    assert not found["/backup"].read_only
    assert (found["/"].device, found["/"].device_id, found["/"].fstype, found["/"].kind) == (
        "/dev/sda1",
        "8:1",
        "ext4",
        "local",
    )


def test_mounts_that_no_path_leads_to_are_left_out():
    found = by_mountpoint("mounts/mounted-over")
    assert {name: disk.device for name, disk in found.items()} == {
        "/": "/dev/sda1",
        "/dev/shm": "second",
        "/mnt": "/dev/sdd1",
        "/stack": "/dev/sdh1",
    }


def test_dev_root_is_resolved_and_what_can_not_be_is_kept():
    found = by_mountpoint("mounts/dev-root")
    assert found["/"].device == "/dev/mmcblk0p2"
    assert found["/boot"].device == "/dev/disk/by-uuid/3E3E-1A2B"


def test_files_that_an_engine_mounts_into_its_container_are_no_disks():
    found = by_mountpoint("mounts/container-files")
    assert {name: disk.kind for name, disk in found.items()} == {"/": "overlay", "/data": "local", "/dev/shm": "memory"}


def test_what_engines_mount_for_their_containers_is_left_out_on_the_host():
    assert set(by_mountpoint("mounts/containers-of-this-host")) == {"/", "/var/lib/docker", "/run/user/1000"}


def test_mountpoints_that_are_not_utf8_and_lines_that_are_none():
    found = by_mountpoint("mounts/not-utf8")
    assert set(found) == {"/", "/b\ufffdcher\\x"}
    assert found["/b\ufffdcher\\x"].device == "/dev/sdc\ufffd"


def test_the_path_that_is_asked_has_its_own_bytes():
    asked = []

    def record(path):
        asked.append(path)
        return statvfs()

    DisksCollector(record).collect(asking("mounts/not-utf8"))
    assert b"/b\xfccher\\x" in asked


def test_a_dead_mount_is_probed_once_and_the_others_are_unharmed():
    release = threading.Event()
    asked = []

    def hanging(path):
        asked.append((path, threading.current_thread()))
        if path == b"/mnt/nfs":
            release.wait(60)
        return statvfs()

    collector = DisksCollector(hanging, deadline=0.2)
    look = asking("mounts/dead-nfs-mount")
    for _ in range(3):
        found = {disk.mountpoint: disk for disk in collector.collect(look)}
        assert set(found) == {"/", "/mnt/nfs", "/mnt/ssh", "/snap/core/1"}  # autofs is never asked
        assert {name: disk.status for name, disk in found.items()} == {
            "/": "ok",
            "/mnt/nfs": "stale",
            "/mnt/ssh": "ok",
            "/snap/core/1": "ok",
        }
        assert found["/mnt/nfs"].total is None
        assert (found["/mnt/nfs"].kind, found["/mnt/ssh"].kind, found["/snap/core/1"].kind) == (
            "network",
            "network",
            "image",
        )
        assert look.notes == ["/mnt/nfs: no answer in time"]
        look.notes.clear()
    assert [path for path, _ in asked].count(b"/mnt/nfs") == 1
    own = threading.current_thread()
    assert {path for path, thread in asked if thread is own} == {b"/", b"/snap/core/1"}
    release.set()
    next(thread for path, thread in asked if path == b"/mnt/nfs").join(60)
    found = {disk.mountpoint: disk for disk in collector.collect(look)}
    assert found["/mnt/nfs"].status == "ok"
    assert found["/mnt/nfs"].total == 1000 * 4096


def test_what_is_mounted_below_a_dead_mount_is_not_asked_on_the_own_thread():
    own = threading.current_thread()
    asked = {}

    def record(path):
        asked[path] = threading.current_thread() is own
        return statvfs()

    DisksCollector(record).collect(asking("mounts/local-below-a-network-mount"))
    assert asked == {b"/": True, b"/home": False, b"/home/anna": False, b"/homework": True}


def test_a_mount_that_stops_answering_keeps_its_last_figures_and_says_so():
    block = threading.Event()
    release = threading.Event()

    def sometimes(path):
        if path == b"/mnt/nfs" and block.is_set():
            release.wait(60)
        return statvfs()

    collector = DisksCollector(sometimes, deadline=5)
    look = asking("mounts/dead-nfs-mount")
    before = {disk.mountpoint: disk for disk in collector.collect(look)}["/mnt/nfs"]
    collector._reader._guarded._deadline = 0.2
    block.set()
    after = {disk.mountpoint: disk for disk in collector.collect(look)}["/mnt/nfs"]
    release.set()
    assert (before.status, after.status) == ("ok", "stale")
    assert after.used == before.used


@pytest.mark.parametrize(
    ("number", "status"), [(errno.EACCES, "denied"), (errno.EIO, "failed"), (errno.ENOTCONN, "failed")]
)
def test_a_mount_that_fails_harms_no_other(number, status):
    def failing(path):
        if path in {b"/", b"/mnt/ssh"}:
            raise OSError(number, os.strerror(number))
        return statvfs()

    look = asking("mounts/dead-nfs-mount")
    found = {disk.mountpoint: disk for disk in DisksCollector(failing).collect(look)}
    assert {name: disk.status for name, disk in found.items()} == {
        "/": status,
        "/mnt/ssh": status,
        "/mnt/nfs": "ok",
        "/snap/core/1": "ok",
    }
    assert found["/"].total is None
    assert look.notes == [f"/: {os.strerror(number)}", f"/mnt/ssh: {os.strerror(number)}"]


def test_a_mount_that_is_gone_meanwhile_is_counted():
    def gone(path):
        if path == b"/mnt/ssh":
            raise FileNotFoundError(errno.ENOENT, "gone")
        return statvfs()

    look = asking("mounts/dead-nfs-mount")
    assert "/mnt/ssh" not in {disk.mountpoint for disk in DisksCollector(gone).collect(look)}
    assert look.vanished == 1


def test_a_disk_that_did_not_change_is_the_same_object():
    collector = DisksCollector(lambda path: statvfs())
    first = collector.collect(asking("mounts/dead-nfs-mount"))
    second = collector.collect(asking("mounts/dead-nfs-mount"))
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_usage_is_what_df_prints():
    disk = DisksCollector(lambda path: statvfs()).collect(asking("mounts/dev-root"))[0]
    assert (disk.total, disk.used, disk.free) == (1000 * 4096, 600 * 4096, 300 * 4096)
    assert disk.usage_percent == 66.67
    assert (disk.inodes_total, disk.inodes_used, disk.inodes_free) == (100, 40, 60)


def test_file_systems_without_such_accounts_have_none():
    assert usage_of(statvfs(blocks=0, free=0, available=0, files=0, files_free=0)) == Usage()
    assert usage_of(statvfs(available=2**64 - 5)).free == 0
    assert usage_of(statvfs(blocks=2**64 - 1)).total is None


def test_without_mountinfo_disks_are_absent(tmp_path):
    with pytest.raises(AbsentError):
        DisksCollector().collect(fixture_look(str(tmp_path)))


@pytest.mark.parametrize(
    ("fstype", "device", "kind", "hangs"),
    [
        ("ext4", "/dev/sda1", "local", False),
        ("tmpfs", "tmpfs", "memory", False),
        ("nfs4", "server:/export", "network", True),
        ("cifs", "//server/share", "network", True),
        ("fuse.sshfs", "u@h:", "network", True),
        ("fuseblk", "/dev/sdb1", "fuse", True),
        ("fuse.rclone-new", "x:", "fuse", True),
        ("9p", "share", "network", True),
        ("newfs", "server:/x", "network", True),
        ("newfs", "/dev/x", "local", True),
        ("autofs", "/etc/auto.x", None, True),
        ("squashfs", "/dev/loop0", "image", False),
        ("proc", "proc", None, False),
        ("fuse.lxcfs", "lxcfs", None, True),
    ],
)
def test_kinds_of_file_systems(fstype, device, kind, hangs):
    assert kind_of(fstype, device) == kind
    assert may_hang(fstype) == hangs


def test_calls_that_hang_are_limited_in_number():
    release = threading.Event()
    calls = GuardedCalls(deadline=0.0)
    for number in range(MOST_STUCK + 5):
        calls.ask([(number, lambda: release.wait(60))])
    assert len(calls._stuck) <= MOST_STUCK
    release.set()


@given(st.binary(max_size=40))
def test_unescape_takes_any_bytes(data):
    escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in data)
    assert unescape(escaped) == data
    unescape(data)


@given(st.binary())
def test_mountinfo_takes_any_bytes(data):
    bind_sources(visible(parse_mountinfo(data)))


NUMBERS = st.integers(0, 6)
PATHS = st.lists(st.sampled_from(["a", "b", "\\040"]), max_size=3).map(lambda parts: "/" + "/".join(parts))


@settings(max_examples=200)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, PATHS, PATHS, st.sampled_from(["ext4", "btrfs", "tmpfs"]))))
def test_any_tree_of_mounts_gives_unique_mountpoints(rows):
    lines = [
        f"{i} {parent} 8:{dev} {root} {place} rw - {fs} src rw,subvol={root}"
        for i, parent, dev, root, place, fs in rows
    ]
    mounts = visible(parse_mountinfo("\n".join(lines).encode()))
    assert len({mount.mountpoint for mount in mounts}) == len(mounts)
    for source in bind_sources(mounts).values():
        assert source in mounts
