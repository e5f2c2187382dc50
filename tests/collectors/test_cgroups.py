import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.collectors import cgroups
from safetytwin.collectors.cgroups import (
    CgroupReader,
    CgroupUsage,
    parse_blkio,
    parse_cgroup_mounts,
    parse_cpu_max,
    parse_field,
    parse_io_stat,
    parse_number,
)
from safetytwin.collectors.host_root import HostRoot

FIXTURES = Path(__file__).parents[1] / "fixtures" / "cgroups"
MIB = 2**20


def _reader(name: str) -> CgroupReader:
    return CgroupReader(HostRoot.fixture(str(FIXTURES / name)))


def test_v2_takes_inactive_page_cache_off() -> None:
    assert _reader("v2").usage("/system.slice/docker-aa.scope") == CgroupUsage(
        cpu_seconds=12.5,
        memory=300 * MIB,
        memory_limit=512 * MIB,
        cpus_limit=1.5,
        pids_limit=100,
        tasks=7,
        read_bytes=4096 + 512,
        write_bytes=8192 + 1024,
    )


def test_v1_takes_total_inactive_file_off() -> None:
    assert _reader("v1").usage("/docker/aa") == CgroupUsage(
        cpu_seconds=2.5,
        memory=70 * MIB,
        memory_limit=128 * MIB,
        cpus_limit=0.5,
        pids_limit=50,
        tasks=3,
        read_bytes=1000,
        write_bytes=2000,
    )


def test_hybrid_takes_controllers_from_v1_and_cpu_from_v2_where_v1_has_no_group() -> None:
    usage = _reader("hybrid").usage("/system.slice/web.service")
    assert usage == CgroupUsage(cpu_seconds=3.25, memory=20 * MIB, tasks=4)


def test_unlimited_is_null_not_a_huge_number() -> None:
    for name, path in (("v2-unlimited", "/a"), ("v1-unlimited", "/a")):
        usage = _reader(name).usage(path)
        assert usage is not None
        assert usage.memory == 5 * MIB
        assert (usage.memory_limit, usage.cpus_limit, usage.pids_limit) == (None, None, None)


def test_controllers_that_are_not_enabled_are_null() -> None:
    assert _reader("v2-without-controllers").usage("/a") == CgroupUsage(cpu_seconds=1.0)


def test_a_mount_that_shows_part_of_the_hierarchy() -> None:
    reader = _reader("v1-seen-from-a-container")
    usage = reader.usage("/docker/aa")
    assert usage is not None
    assert usage.memory == 5 * MIB
    assert reader.usage("/docker/aa/inner") is not None
    assert reader.usage("/docker/bb") is None
    assert reader.usage("/docker/aab") is None


def test_mounts_of_pid_1_where_proc_is_of_another_pid_namespace() -> None:
    usage = _reader("proc-without-self").usage("/a")
    assert usage is not None
    assert usage.cpu_seconds == 1.0


def test_lvm_and_the_disk_below_it_are_not_counted_twice(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "v2-io-on-lvm", tmp_path, dirs_exist_ok=True)
    (tmp_path / "sys/dev/block/253:0/slaves/sda").mkdir(parents=True)
    (tmp_path / "sys/dev/block/8:0").mkdir()
    usage = CgroupReader(HostRoot.fixture(str(tmp_path))).usage("/a")
    assert usage is not None
    assert (usage.read_bytes, usage.write_bytes) == (100, 200)


@pytest.mark.parametrize("path", ["", "a", "/../a", "/a/../../b", "/a/..", "/a\0b", "/" + "x" * 300])
def test_paths_that_are_none(path: str) -> None:
    assert _reader("v2").usage(path) is None


def test_a_cgroup_that_vanished_is_none() -> None:
    assert _reader("v2").usage("/system.slice/gone.scope") is None


def test_a_cgroup_that_vanishes_between_two_reads_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(FIXTURES / "v2", tmp_path, dirs_exist_ok=True)
    group = tmp_path / "sys/fs/cgroup/system.slice/docker-aa.scope"
    whole = cgroups.read_bytes

    def read_and_remove(path: str) -> bytes:
        data = whole(path)
        if path.endswith("memory.current"):
            shutil.rmtree(group)
        return data

    monkeypatch.setattr(cgroups, "read_bytes", read_and_remove)
    assert CgroupReader(HostRoot.fixture(str(tmp_path))).usage("/system.slice/docker-aa.scope") is None


def test_a_group_that_had_no_cpu_returns_what_was_known(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "v2", tmp_path, dirs_exist_ok=True)
    group = tmp_path / "sys/fs/cgroup/system.slice/docker-aa.scope"
    reader = CgroupReader(HostRoot.fixture(str(tmp_path)))
    first = reader.usage("/system.slice/docker-aa.scope")
    assert first is not None
    (group / "memory.current").write_text("1048576\n")
    assert reader.usage("/system.slice/docker-aa.scope", first) is first
    (group / "cpu.stat").write_text("usage_usec 13000000\n")
    (group / "memory.stat").write_text("inactive_file 0\n")
    moved = reader.usage("/system.slice/docker-aa.scope", first)
    assert moved is not None
    assert (moved.cpu_seconds, moved.memory, moved.memory_limit) == (13.0, MIB, 512 * MIB)


def test_hierarchies_mounted_later_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(FIXTURES / "v2", tmp_path, dirs_exist_ok=True)
    mountinfo = tmp_path / "proc/self/mountinfo"
    mounts = mountinfo.read_text()
    mountinfo.write_text("")
    reader = CgroupReader(HostRoot.fixture(str(tmp_path)))
    assert reader.usage("/system.slice/docker-aa.scope") is None
    mountinfo.write_text(mounts)
    monkeypatch.setattr(cgroups, "REREAD_PAUSE", 0.0)
    assert reader.usage("/system.slice/docker-aa.scope") is not None


def test_mountinfo_with_escapes_options_and_lines_that_are_none() -> None:
    data = (
        b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        b"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n"
        b"33 31 0:30 /docker/aa /a\\040b rw - cgroup cgroup rw,memory\n"
        b"34 31 0:30 / /memory rw - cgroup cgroup rw,memory\n"
        b"35 31 0:31 /../.. /outside rw - cgroup2 cgroup rw\n"
        b"36 31 0:32 / /v2 rw - cgroup2 cgroup rw,nsdelegate\n"
        b"short line\n - cgroup cgroup rw,pids\n"
    )
    assert parse_cgroup_mounts(data) == {
        "cpu": ("/sys/fs/cgroup/cpu,cpuacct", "/"),
        "cpuacct": ("/sys/fs/cgroup/cpu,cpuacct", "/"),
        "memory": ("/memory", "/"),
        "": ("/v2", "/"),
    }


def test_numbers() -> None:
    assert parse_number(b"42\n") == 42
    for none in (b"max\n", b"-1\n", b"", b"18446744073709551615\n", b"9223372036854771712\n", b"9" * 40, b"1 2"):
        assert parse_number(none) is None
    assert parse_cpu_max(b"150000 100000\n") == 1.5
    assert parse_cpu_max(b"max 100000\n") is None
    assert parse_cpu_max(b"1 0\n") is None
    assert parse_field(b"inactive_file_other 1\nanon 2\ninactive_file 3", b"inactive_file") == 3
    assert parse_field(b"total_inactive_file 9\n", b"inactive_file") is None
    assert parse_io_stat(b"", lambda _: False) == (0, 0)
    assert parse_io_stat(b"8:0 rbytes=x", lambda _: False) is None
    assert parse_blkio(b"8:0 Read 5\n8:0 Write 6\n8:0 Total 11\nTotal 11\n", lambda _: False) == (5, 6)


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(data: bytes) -> None:
    parse_cgroup_mounts(data)
    parse_number(data)
    parse_field(data, b"usage_usec")
    parse_cpu_max(data)
    parse_io_stat(data, lambda _: False)
    parse_blkio(data, lambda _: False)


BURN = """
import sys, time
sys.stdin.read(1)
began = time.process_time()
while time.process_time() < began + 0.2:
    pass
print(time.process_time() - began)
"""


@pytest.mark.root
def test_this_machine_counts_the_cpu_of_a_group() -> None:
    """A group of the test's own, in whichever hierarchy counts CPU here, against the process's own clock."""
    if os.geteuid() != 0:
        pytest.skip("making a control group needs root")
    mounts = parse_cgroup_mounts(Path("/proc/self/mountinfo").read_bytes())
    mount = mounts.get("cpuacct") or mounts.get("")
    if mount is None:
        pytest.skip("no hierarchy here counts CPU")
    group = Path(mount[0]) / f"safetytwin-test-{os.getpid()}"
    group.mkdir()
    reader = CgroupReader(HostRoot())
    try:
        with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            (group / "cgroup.procs").write_text(str(process.pid))
            before = reader.usage(f"/{group.name}")
            output, _ = process.communicate(b"x", timeout=60)
        after = reader.usage(f"/{group.name}")
    finally:
        group.rmdir()
    assert before is not None
    assert before.cpu_seconds is not None
    assert after is not None
    assert after.cpu_seconds is not None
    used = after.cpu_seconds - before.cpu_seconds
    assert float(output) - 0.05 <= used <= float(output) + 0.5
    assert reader.usage(f"/{group.name}") is None
