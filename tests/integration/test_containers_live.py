"""Containers of a real Docker and a real Podman, against what their own clients and APIs say."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parts.docker import IMAGE, Engine, docker_engine, wait_for
from parts.podman import podman_engine
from safetytwin.collectors.base import Look, LookOptions
from safetytwin.collectors.cgroup_containers import CgroupContainersCollector
from safetytwin.collectors.docker import DockerCollector, PodmanCollector
from safetytwin.collectors.host_root import HostRoot
from safetytwin.collectors.processes import ProcessesCollector
from safetytwin.models.hardware import Memory
from safetytwin.models.service import Limits, Port, Service, Volume
from safetytwin.models.timestamps import seconds_of

pytestmark = [pytest.mark.engine, pytest.mark.root]

MACHINE = Memory(total=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


class Looking:
    """Looks at one engine again and again."""

    def __init__(self, collector: DockerCollector | PodmanCollector, engine: Engine) -> None:
        self.collector = collector
        self.options = LookOptions(docker_socket=engine.socket, podman_socket=engine.socket)
        self.number = 0
        self.last: Look | None = None

    def __call__(self) -> dict[str, Service]:
        look = Look(HostRoot(), self.options, self.number, {"memory": MACHINE}, time.monotonic(), time.time())
        self.number += 1
        self.last = look
        return {service.name: service for service in self.collector.collect(look)}


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    with docker_engine() as engine:
        _start_docker_containers(engine)
        yield engine


@pytest.fixture
def look(docker: Engine) -> Iterator[Looking]:
    collector = DockerCollector()
    yield Looking(collector, docker)
    collector.close()


def _start_docker_containers(engine: Engine) -> None:
    data = engine.directory / "shared"
    data.mkdir()
    engine.cli("network", "create", "front")
    engine.cli("network", "create", "back")
    start = ("run", "-d", "--name")
    options = (
        "--network front -p 8080:80 -p 127.0.0.1:5353:53/udp --expose 99 --restart on-failure:3"
        " --memory 64m --cpus 0.5 --pids-limit 50 --env SECRET=s3cret --env EMPTY= --user 1000:1000 --hostname box"
        " --label com.docker.compose.project=shop --label com.docker.compose.service=web"
    ).split()
    mounts = ("-v", f"{data}:/read:ro", "-v", f"{data}:/write", "-v", "things:/things", "--tmpfs", "/scratch")
    engine.cli(*start, "web", *options, *mounts, IMAGE, "sleep", "1000")
    engine.cli("network", "connect", "--link", "web:site", "back", "web")
    engine.cli(*start, "db", IMAGE, "sleep", "1000")
    engine.cli(*start, "linked", "--link", "db:database", IMAGE, "sleep", "1000")
    engine.cli(*start, "busy", "--cpus", "0.2", IMAGE, "sh", "-c", "while :; do :; done")
    engine.cli(*start, "hosted", "--network", "host", IMAGE, "sleep", "1000")
    engine.cli(*start, "lines", IMAGE, "sh", "-c", "sleep 1000\n# second line")
    engine.cli("create", "--name", "waiting", "--privileged", IMAGE, "sleep", "1")
    engine.cli(*start, "stopped", "-p", "8443:443", IMAGE, "sh", "-c", "exit 3")
    engine.cli(*start, "frozen", IMAGE, "sleep", "1000")
    engine.cli("pause", "frozen")
    engine.cli(*start, "looping", "--restart", "always", IMAGE, "sh", "-c", "exit 4")
    health = ("--health-interval", "0.5s", "--health-retries", "1")
    engine.cli(*start, "sick", "--health-cmd", "false", *health, IMAGE, "sleep", "1000")
    engine.cli(*start, "well", "--health-cmd", "true", *health, IMAGE, "sleep", "1000")
    limits = ("--memory", "16m", "--memory-swap", "16m", "--shm-size", "256m")
    engine.cli(*start, "greedy", *limits, IMAGE, "dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=128")
    assert wait_for(lambda: engine.inspect("sick")["State"]["Health"]["Status"] == "unhealthy")
    assert wait_for(lambda: engine.inspect("well")["State"]["Health"]["Status"] == "healthy")
    assert wait_for(lambda: engine.inspect("greedy")["State"]["Status"] == "exited")
    assert wait_for(lambda: engine.inspect("stopped")["State"]["Status"] == "exited")


def test_every_container_of_docker_ps_is_there_in_its_state(docker: Engine, look: Looking) -> None:
    services: dict[str, Service] = {}
    listed: dict[str, str] = {}

    def seen_between_two_restarts() -> bool:
        before = docker.inspect("looping")
        services.update(look())
        lines = docker.cli("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines()
        listed.update(line.split(" ", 1) for line in lines)
        after = docker.inspect("looping")
        return bool(before["State"]["Restarting"]) and before["State"] == after["State"]

    assert wait_for(seen_between_two_restarts, 60)
    assert services.keys() == listed.keys()
    states = {name: service.status for name, service in services.items()}
    assert states == {
        "web": "running",
        "db": "running",
        "linked": "running",
        "busy": "running",
        "hosted": "running",
        "lines": "running",
        "waiting": "created",
        "stopped": "exited",
        "frozen": "paused",
        "looping": "restarting",
        "sick": "running",
        "well": "running",
        "greedy": "exited",
    }
    assert states == listed


def test_each_field_is_what_docker_inspect_says(docker: Engine, look: Looking) -> None:
    services = look()
    for name, service in services.items():
        if name == "looping":
            continue  # between two calls it is another one
        said = docker.inspect(name)
        state, config, host = said["State"], said["Config"], said["HostConfig"]
        assert service.type == "docker"
        assert service.id == said["Id"]
        assert service.hostname == config["Hostname"]
        assert service.pid == (state["Pid"] or None)
        assert service.image == config["Image"]
        assert service.image_id == said["Image"]
        assert service.command == [said["Path"], *said["Args"]]
        assert service.user == (config["User"] or None)
        assert service.runtime == host["Runtime"]
        assert service.restarts == said["RestartCount"]
        assert service.restart_policy == host["RestartPolicy"]["Name"]
        assert service.oom_killed == state["OOMKilled"]
        assert service.labels == config["Labels"]
        assert service.environment == dict(pair.split("=", 1) for pair in config["Env"] or [])
        assert service.networks == sorted(said["NetworkSettings"]["Networks"])
        assert service.health == (state["Health"]["Status"] if "Health" in state else None)
        assert service.created is not None
        assert seconds_of(service.created) == pytest.approx(seconds_of(said["Created"]), abs=0.01)
        running = state["Running"]
        assert service.exit_code == (None if running or name == "waiting" else state["ExitCode"])
        if name == "waiting":
            assert service.start_time is None
        else:
            assert service.start_time is not None
            assert seconds_of(service.start_time) == pytest.approx(seconds_of(state["StartedAt"]), abs=0.01)
        assert (service.uptime_seconds is not None) == running
        assert (service.cgroup is not None) == running
        mounts = {(m["Destination"], m["Type"], not m["RW"]) for m in said["Mounts"]}
        assert {(v.target, v.kind, v.read_only) for v in service.volumes or [] if v.kind != "tmpfs"} == mounts


def test_a_container_with_everything(docker: Engine, look: Looking) -> None:
    web = look()["web"]
    data = str(docker.directory / "shared")
    assert web.ports == [
        Port(container_port=53, protocol="udp", host_ip="127.0.0.1", host_port=5353),
        Port(container_port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080),
        Port(container_port=80, protocol="tcp", host_ip="::", host_port=8080),
        Port(container_port=99, protocol="tcp"),
    ]
    said = set(docker.cli("port", "web").replace(":::", "[::]:").splitlines())
    shown = {
        f"{p.container_port}/{p.protocol} -> {'[::]' if p.host_ip == '::' else p.host_ip}:{p.host_port}"
        for p in web.ports
        if p.host_port is not None
    }
    assert shown == said
    assert web.volumes == [
        Volume(target="/read", source=data, kind="bind", read_only=True),
        Volume(target="/scratch", kind="tmpfs", read_only=False),
        Volume(target="/things", source="things", kind="volume", read_only=False),
        Volume(target="/write", source=data, kind="bind", read_only=False),
    ]
    assert web.limits == Limits(memory=64 * 2**20, cpus=0.5, pids=50)
    assert web.networks == ["back", "front"]
    assert web.links == ["web:site"]
    assert web.environment is not None
    assert web.environment["SECRET"] == "s3cret"
    assert web.environment["EMPTY"] == ""
    assert web.user == "1000:1000"
    assert web.hostname == "box"
    assert web.extra == {"compose_project": "shop", "compose_service": "web"}
    assert web.cgroup == f"/docker/{web.id}"


def test_ends_health_links_and_commands(look: Looking) -> None:
    services = look()
    assert services["stopped"].exit_code == 3
    assert services["stopped"].ports == [Port(container_port=443, protocol="tcp", host_port=8443)]
    assert services["greedy"].exit_code == 137
    assert services["greedy"].oom_killed is True
    assert services["sick"].health == "unhealthy"
    assert services["well"].health == "healthy"
    assert services["web"].health is None
    assert services["linked"].links == ["db:database"]
    assert services["hosted"].networks == ["host"]
    assert services["waiting"].extra == {"privileged": True}
    assert services["lines"].command == ["sh", "-c", "sleep 1000\n# second line"]
    assert (services["looping"].restarts or 0) > 0


def test_use_is_what_the_engine_measures(docker: Engine, look: Looking) -> None:
    before = look()
    measured = {name: docker.api(f"/containers/{name}/stats?stream=false&one-shot=true") for name in ("busy", "db")}
    after = look()
    for name, stats in measured.items():
        first, second = before[name], after[name]
        assert first.cpu_percent is None
        assert first.cpu_seconds is not None
        assert second.cpu_seconds is not None
        assert first.cpu_seconds <= stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9 <= second.cpu_seconds
        assert second.cpu_percent is not None
        assert 0 <= second.cpu_percent <= 100 * (os.cpu_count() or 1)
        assert second.tasks == stats["pids_stats"]["current"]
        memory = stats["memory_stats"]
        cache = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file"))
        assert second.memory == pytest.approx(memory["usage"] - cache, abs=2 * 2**20)
    assert (after["busy"].cpu_percent or 0) > 0
    web = after["web"]
    assert web.memory is not None
    assert web.memory_percent == pytest.approx(100 * web.memory / (64 * 2**20), abs=0.01)
    idle = after["db"]
    assert idle.memory is not None
    assert idle.memory_percent == pytest.approx(100 * idle.memory / (MACHINE.total or 1), abs=0.01)


def test_what_does_not_change_is_the_same_object_and_costs_one_call(look: Looking) -> None:
    look()
    first = look()
    calls = look.collector.calls
    second = look()
    same = {"waiting", "stopped", "greedy"}
    assert {name for name in same if first[name] is second[name]} == same
    third = look()
    moving = {"looping", "sick", "well"}
    assert look.collector.calls - calls <= 2 + 2 * len(moving)
    assert second.keys() == third.keys()
    assert look.last is not None
    assert look.last.notes == []


def test_a_restart_is_seen_and_starts_the_measures_afresh(docker: Engine, look: Looking) -> None:
    docker.cli(
        "run",
        "-d",
        "--name",
        "again",
        IMAGE,
        "sh",
        "-c",
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000",
    )
    try:
        look()
        before = look()["again"]
        docker.cli("restart", "--time", "0", "again")
        after = look()["again"]
        assert after.pid == docker.inspect("again")["State"]["Pid"] != before.pid
        assert after.start_time != before.start_time
        assert after.cpu_percent is None
        assert (look()["again"].cpu_percent or 0) >= 0
    finally:
        docker.cli("rm", "-f", "again")


def test_renamed_removed_and_ended_by_a_signal(docker: Engine, look: Looking) -> None:
    docker.cli("run", "-d", "--name", "early", IMAGE, "sleep", "1000")
    try:
        first = look()["early"]
        docker.cli("rename", "early", "late")
        services = look()
        assert "early" not in services
        assert services["late"].id == first.id
        docker.cli("kill", "late")
        ended = look()["late"]
        assert ended.status == "exited"
        assert ended.exit_code == 137
        assert ended.pid is None
        assert ended.memory is None
        assert ended.cpu_percent is None
    finally:
        docker.cli("rm", "-f", "early", check=False)
        docker.cli("rm", "-f", "late", check=False)
    assert "late" not in look()


def test_a_dockerd_that_stops_is_stale_at_first(look: Looking) -> None:
    with docker_engine() as engine:
        engine.cli("run", "-d", "--name", "one", IMAGE, "sleep", "1000")
        own = Looking(DockerCollector(), engine)
        assert own()["one"].timestamp is None
        os.kill(engine.pid, signal.SIGSTOP)
        try:
            hung = own()
            assert own.last is not None
            assert own.last.stale
            assert hung["one"].timestamp is not None
            assert hung["one"].memory is not None
            calls = own.collector.calls
            own()
            assert own.collector.calls == calls
        finally:
            os.kill(engine.pid, signal.SIGCONT)
        assert wait_for(lambda: own()["one"].timestamp is None)
        assert not own.last.stale
        own.collector.close()


def test_thirty_containers_cost_one_call_a_look(docker: Engine, look: Looking) -> None:
    names = [f"many-{number}" for number in range(30)]
    docker.cli("stop", "--time", "0", "looping", "sick", "well")
    for name in names:
        docker.cli("run", "-d", "--name", name, "--network", "none", IMAGE, "sleep", "1000")
    try:
        assert look().keys() >= set(names)
        calls = look.collector.calls
        for _ in range(10):
            assert look().keys() >= set(names)
        assert look.collector.calls - calls == 10
    finally:
        docker.cli("rm", "-f", *names)
        docker.cli("start", "looping", "sick", "well")


def test_without_the_engine_running_containers_show_by_their_control_groups(docker: Engine, look: Looking) -> None:
    listed = {service.id: service for service in look().values()}
    assert look.last is not None
    processes = ProcessesCollector()
    found = {"memory": MACHINE, "processes": processes.collect(look.last)}
    seen = Look(HostRoot(), look.options, 0, found, time.monotonic(), time.time())
    unlisted = {service.id: service for service in CgroupContainersCollector().collect(seen)}
    processes.close()
    running = docker.cli("ps", "--quiet", "--no-trunc", "--filter", "name=web", "--filter", "name=db").split()
    assert len(running) == 2
    for container_id in running:
        by_engine, by_group = listed[container_id], unlisted[container_id]
        assert by_group.name == container_id[:12]
        for field in ("type", "id", "status", "pid", "cgroup", "tasks", "memory"):
            assert getattr(by_group, field) == getattr(by_engine, field), field
        assert by_group.start_time is not None
        assert by_engine.start_time is not None
        assert seconds_of(by_group.start_time) == pytest.approx(seconds_of(by_engine.start_time), abs=5)
    web = next(service for service in unlisted.values() if service.id == docker.inspect("web")["Id"])
    assert web.limits == Limits(memory=64 * 2**20, cpus=0.5, pids=50)
    found["docker"] = list(listed.values())
    left = Look(HostRoot(), look.options, 0, found, time.monotonic(), time.time())
    assert not {service.id for service in CgroupContainersCollector().collect(left)} & set(listed)


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with podman_engine() as engine:
        shared = engine.directory / "shared"
        shared.mkdir()
        limits = "--memory 64m --cpus 0.5 --pids-limit 50 -p 8081:80 --expose 99 --env A=b --label x.y=z".split()
        mounts = ("-v", f"{shared}:/read:ro", "-v", "things:/things", "--tmpfs", "/scratch")
        engine.cli("run", "-d", "--name", "web", *limits, *mounts, IMAGE, "sleep", "1000")
        engine.cli("run", "--name", "stopped", IMAGE, "sh", "-c", "exit 3", check=False)
        engine.cli("create", "--name", "waiting", IMAGE, "sleep", "1")
        engine.cli("run", "-d", "--name", "plain", IMAGE, "sleep", "1000")
        yield engine


def _podman_inspect(engine: Engine, name: str) -> dict[str, Any]:
    done = subprocess.run(
        ["podman", "--remote", "--url", f"unix://{engine.socket}", "container", "inspect", name],
        check=True,
        capture_output=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def test_podman_says_the_same_in_its_own_api(podman: Engine) -> None:
    looking = Looking(PodmanCollector(), podman)
    services = looking()
    assert {name: s.status for name, s in services.items()} == {
        "web": "running",
        "stopped": "exited",
        "waiting": "created",
        "plain": "running",
    }
    for name, service in services.items():
        said = _podman_inspect(podman, name)
        assert service.type == "podman"
        assert service.id == said["Id"]
        assert service.pid == (said["State"]["Pid"] or None)
        assert service.image_id == f"sha256:{said['Image']}"
        assert service.hostname == said["Config"]["Hostname"]
        assert service.command == [said["Path"], *said["Args"]]
        assert service.restarts == said["RestartCount"]
        assert service.health is None
        assert service.runtime is None
        assert service.created is not None
        assert seconds_of(service.created) == pytest.approx(seconds_of(said["Created"]), abs=0.01)
    looking.collector.close()


def test_podman_containers_in_full(podman: Engine) -> None:
    looking = Looking(PodmanCollector(), podman)
    looking()
    services = looking()
    web = services["web"]
    assert web.ports == [
        Port(container_port=80, protocol="tcp", host_port=8081),
        Port(container_port=99, protocol="tcp"),
    ]
    assert web.volumes == [
        Volume(target="/read", source=str(podman.directory / "shared"), kind="bind", read_only=True),
        Volume(target="/scratch", kind="tmpfs", read_only=False),
        Volume(target="/things", source="things", kind="volume", read_only=False),
    ]
    assert web.limits == Limits(memory=64 * 2**20, cpus=0.5, pids=50)
    assert web.labels == {"x.y": "z"}
    assert (web.environment or {})["A"] == "b"
    assert web.networks == ["podman"]
    assert services["stopped"].exit_code == 3
    assert services["waiting"].exit_code is None
    assert web.tasks == 1
    assert web.memory is not None
    assert web.cpu_percent is not None
    assert web.cgroup is not None
    assert Path(web.cgroup).name == f"libpod-{web.id}"
    looking.collector.close()
