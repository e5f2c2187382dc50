from pathlib import Path
from typing import Any

from safetytwin.collectors.base import Look, LookOptions
from safetytwin.collectors.cgroup_containers import CgroupContainersCollector
from safetytwin.collectors.host_root import HostRoot
from safetytwin.models.process import Process
from safetytwin.models.service import Limits, Service

FIXTURES = Path(__file__).parents[1] / "fixtures" / "cgroups"
A, C = "a" * 64, "c" * 64
POD = "kubepods-burstable-pod01234567_89ab_cdef_0123_456789abcdef.slice"
KUBE = f"/kubepods.slice/kubepods-burstable.slice/{POD}/cri-containerd-{A}.scope"


def _look(found: dict[str, Any], fixture: str = "v2") -> Look:
    return Look(HostRoot.fixture(str(FIXTURES / fixture)), LookOptions(), 0, found, 100.0, 1_800_000_000.0)


def _process(pid: int, service: str | None, cgroup: str | None = None, ticks: int | None = None) -> Process:
    created = "2027-01-15T07:59:00.000Z"
    return Process(pid=pid, start_ticks=ticks or pid, name="x", service=service, cgroup=cgroup, create_time=created)


def test_containers_that_no_engine_listed() -> None:
    found = {
        "processes": [
            _process(9, f"containerd/{A}", KUBE + "/inner", ticks=5),
            _process(8, f"containerd/{A}", KUBE, ticks=7),
            _process(7, "lxc/web", "/lxc.payload.web/init.scope"),
            _process(6, "systemd/ssh.service", "/system.slice/ssh.service"),
            _process(5, None),
        ],
        "docker": [],
    }
    kube, lxc = CgroupContainersCollector().collect(_look(found))
    assert (kube.type, kube.id, kube.name, kube.status, kube.pid) == ("containerd", A, A[:12], "running", 9)
    assert kube.cgroup == KUBE
    assert kube.extra == {"pod_uid": "01234567-89ab-cdef-0123-456789abcdef"}
    assert kube.uptime_seconds == 60.0
    assert (kube.memory, kube.limits) == (None, None)
    assert (lxc.type, lxc.id, lxc.name, lxc.cgroup) == ("lxc", "web", "web", "/lxc.payload.web")


def test_use_and_limits_are_those_of_the_group() -> None:
    path = "/system.slice/docker-aa.scope"
    collector = CgroupContainersCollector()
    found = {"processes": [_process(9, "docker/aa", path)]}
    service = collector.collect(_look(found))[0]
    assert service.memory == 300 * 2**20
    assert service.memory_percent is None
    assert service.limits == Limits(memory=512 * 2**20, cpus=1.5, pids=100)
    assert service.cpu_percent is None
    assert collector.collect(_look(found))[0].cgroup == path


def test_what_an_engine_listed_is_left_out_whatever_the_path_calls_it() -> None:
    found = {
        "processes": [_process(9, f"container/{A}", f"/custom/{A}"), _process(8, f"podman/{C}", f"/x/libpod-{C}")],
        "docker": [Service(type="docker", id=A, name="a")],
        "podman": [Service(type="podman", id=C, name="c")],
    }
    assert CgroupContainersCollector().collect(_look(found)) == []


def test_an_engine_that_is_silent_in_one_look_keeps_its_containers() -> None:
    collector = CgroupContainersCollector()
    processes = [_process(9, f"docker/{A}", f"/docker/{A}")]
    assert collector.collect(_look({"processes": processes, "docker": [Service(type="docker", id=A, name="a")]})) == []
    assert collector.collect(_look({"processes": processes})) == []
    assert [service.id for service in collector.collect(_look({"processes": processes}))] == [A]


def test_nothing_found_is_an_empty_list() -> None:
    assert CgroupContainersCollector().collect(_look({})) == []
