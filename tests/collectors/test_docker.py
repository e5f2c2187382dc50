import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parts.docker import working_directory
from parts.fake_engine import FakeEngine, answer, fake_engine
from safetytwin.collectors import docker as docker_module
from safetytwin.collectors.base import AbsentError, DeniedError, Look, LookOptions
from safetytwin.collectors.docker import DockerCollector, PodmanCollector
from safetytwin.collectors.engine_client import EngineError
from safetytwin.collectors.host_root import HostRoot
from safetytwin.models.hardware import Memory
from safetytwin.models.service import Service
from safetytwin.models.timestamps import seconds_of

FIXTURES = Path(__file__).parents[1] / "fixtures" / "containers"
LIST = "/containers/json?all=1"
A, C = "a" * 64, "c" * 64
GROUP = f"sys/fs/cgroup/system.slice/docker-{A}.scope"
STARTED = seconds_of("2026-11-25T02:08:49.5Z")
MIB = 2**20


class Host:
    """A fixture tree in which engines' sockets stand, and the looks at it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("run/podman", "run/user", "proc/self", "proc/100", "sys/fs/cgroup"):
            (directory / name).mkdir(parents=True)
        mount = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        (directory / "proc/self/mountinfo").write_text(mount)
        self.collector: DockerCollector | PodmanCollector = DockerCollector()
        self.options = LookOptions()
        self.found: dict[str, Any] = {"memory": Memory(total=1024 * MIB)}
        self.number = 0
        self.monotonic = 1000.0
        self.wall = STARTED + 300
        self.last: Look | None = None

    def look(self, seconds: float = 10.0) -> list[Service]:
        self.monotonic += seconds
        self.wall += seconds
        root = HostRoot.fixture(str(self.directory))
        self.last = Look(root, self.options, self.number, self.found, self.monotonic, self.wall)
        self.number += 1
        return self.collector.collect(self.last)

    def group(self, cpu_seconds: float, memory: int = 10 * MIB) -> None:
        """Let the container a… be in a group that has used so much."""
        (self.directory / "proc/100/cgroup").write_text(f"0::/system.slice/docker-{A}.scope/init.scope\n")
        folder = self.directory / GROUP
        folder.mkdir(parents=True, exist_ok=True)
        files = {"cpu.stat": f"usage_usec {int(cpu_seconds * 1e6)}\n", "memory.current": f"{memory}\n"}
        files |= {"memory.stat": "inactive_file 0\n", "memory.max": "max\n", "pids.current": "3\n"}
        files |= {"pids.max": "max\n", "cpu.max": "max 100000\n", "io.stat": "8:0 rbytes=5 wbytes=6\n"}
        for name, text in files.items():
            (folder / name).write_text(text)


def _answers(name: str) -> dict[str, Any]:
    folder = FIXTURES / name
    answers: dict[str, Any] = {LIST: answer((folder / "list.json").read_bytes())}
    for path in folder.glob("?" * 64 + ".json"):
        answers[f"/containers/{path.stem}/json"] = answer(path.read_bytes())
    return answers


def _listed(**changes: Any) -> bytes:
    entries = json.loads((FIXTURES / "plain/list.json").read_text())
    return answer(json.dumps([entries[0] | changes]).encode())


def _inspected(**state: Any) -> bytes:
    inspected = json.loads((FIXTURES / f"plain/{A}.json").read_text())
    inspected["State"] |= state
    return answer(json.dumps(inspected).encode())


@pytest.fixture
def host() -> Iterator[Host]:
    with working_directory("st-host-") as directory:
        made = Host(directory)
        yield made
        made.collector.close()


@pytest.fixture
def engine(host: Host) -> Iterator[FakeEngine]:
    with fake_engine(host.directory / "run/docker.sock", _answers("plain")) as served:
        yield served


@pytest.fixture(autouse=True)
def _short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_module, "COLLECT_TIMEOUT", 1.0)


def test_names_null_is_the_short_id(host: Host, engine: FakeEngine) -> None:
    engine.answers = _answers("names-null")
    assert [service.name for service in host.look()] == [A[:12], C[:12]]


def test_dead_and_removing_are_shown_though_one_cannot_be_inspected(host: Host, engine: FakeEngine) -> None:
    engine.answers = _answers("dead-and-removing") | {
        f"/containers/{C}/json": answer(b'{"message":"driver failed"}', "500 Internal Server Error")
    }
    dead, removing = host.look()
    assert (dead.status, dead.exit_code, dead.pid) == ("dead", 137, None)
    assert (removing.status, removing.name) == ("removing", "old")
    assert host.last is not None
    assert len(host.last.notes) == 1
    assert "driver failed" in host.last.notes[0]


def test_odd_shapes_leave_the_good_ones(host: Host, engine: FakeEngine) -> None:
    engine.answers = _answers("odd-shapes")
    assert [service.id for service in host.look()] == [A]
    assert not any(".." in target for target in engine.asked)


def test_an_engine_that_never_answers_is_asked_once(
    host: Host, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_module, "COLLECT_TIMEOUT", 0.1)
    engine.answers[LIST] = None
    for _ in range(4):
        with pytest.raises(TimeoutError):
            host.look()
    assert engine.asked == [LIST]


def test_an_engine_that_stops_answering_is_stale_and_its_containers_are_still_measured(
    host: Host, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_module, "COLLECT_TIMEOUT", 0.2)
    host.group(cpu_seconds=1)
    good = host.look()[0]
    assert good.timestamp is None
    listed, engine.answers[LIST] = engine.answers[LIST], None
    seen = host.wall
    host.group(cpu_seconds=6, memory=20 * MIB)
    for number in range(3):
        stale = host.look()[0]
        assert host.last is not None
        assert host.last.stale
        assert stale.timestamp is not None
        assert seconds_of(stale.timestamp) == pytest.approx(seen, abs=0.01)
        assert (stale.name, stale.status, stale.memory) == (good.name, "running", 20 * MIB)
        if number == 0:
            assert stale.cpu_percent == 50.0
    assert engine.asked.count(LIST) == 2
    engine.answers[LIST] = listed
    engine.release()
    for _ in range(100):
        back = host.look()[0]
        if not host.last.stale:
            break
    assert back.timestamp is None
    assert not host.last.stale


def test_an_inspection_that_hangs_leaves_what_the_list_says(
    host: Host, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_module, "COLLECT_TIMEOUT", 0.2)
    engine.answers[f"/containers/{A}/json"] = None
    service = host.look()[0]
    assert (service.name, service.status, service.pid) == ("web", "running", None)
    assert host.last is not None
    assert "could not be inspected" in host.last.notes[0]
    assert host.look()[0].timestamp is not None
    assert engine.asked == [LIST, f"/containers/{A}/json"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (answer(b"{not json"), "not JSON"),
        (answer(b"\xff\xfe"), "not JSON"),
        (answer(b"[" * 100_000), "not JSON"),
        (answer(b"{}"), "does not list containers"),
        (answer(b'{"message":"boom"}', "500 Internal Server Error"), "boom"),
        (answer(b"", "404 Not Found"), "does not list containers"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP"),
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error_that_says_so(
    host: Host, engine: FakeEngine, said: bytes, reason: str
) -> None:
    engine.answers[LIST] = said
    with pytest.raises(EngineError, match=reason):
        host.look()
    engine.answers[LIST] = _listed()
    assert host.look()[0].name == "web"


def test_no_socket_is_absence(host: Host) -> None:
    with pytest.raises(AbsentError):
        host.look()


def test_a_socket_that_nobody_listens_at_is_absence(host: Host) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(host.directory / "run/docker.sock"))
    with pytest.raises(AbsentError, match="refused"):
        host.look()


def test_an_engine_that_restarts_keeps_its_containers_for_a_while(host: Host) -> None:
    path = host.directory / "run/docker.sock"
    with fake_engine(path, _answers("plain")):
        host.look()
    path.unlink()
    assert host.look()[0].timestamp is not None
    with fake_engine(path, _answers("plain")):
        assert host.look()[0].timestamp is None
    path.unlink()
    host.look()
    with pytest.raises(AbsentError):
        host.look(docker_module.GRACE)


def test_permission_denied_is_said_with_its_remedy_and_tried_less_and_less(host: Host, engine: FakeEngine) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving up root needs root")
    os.chown(host.directory, 65534, 0)
    os.chmod(engine.path, 0o600)
    os.seteuid(65534)
    try:
        with pytest.raises(DeniedError) as denied:
            host.look()
        assert "docker" in (denied.value.hint or "")
    finally:
        os.seteuid(0)
    with pytest.raises(DeniedError):
        host.look(docker_module.FIRST_PAUSE - 1)
    assert engine.connections == 0
    assert host.look(1)[0].name == "web"


def test_a_folder_that_may_not_be_entered_is_denial_not_absence(host: Host) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving up root needs root")
    host.collector = PodmanCollector()
    os.chown(host.directory, 65534, 0)
    os.chmod(host.directory / "run/podman", 0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(DeniedError) as denied:
            host.look()
    finally:
        os.seteuid(0)
    assert "root" in (denied.value.hint or "")


def test_an_engine_that_answers_an_error_for_once_does_not_lose_its_containers(host: Host, engine: FakeEngine) -> None:
    host.look()
    engine.answers[LIST] = answer(b'{"message":"context deadline exceeded"}', "500 Internal Server Error")
    assert host.look()[0].timestamp is not None
    assert host.last is not None
    assert host.last.stale
    assert "context deadline exceeded" in host.last.notes[0]
    with pytest.raises(EngineError, match="context deadline exceeded"):
        host.look(docker_module.GRACE)


def test_sockets_of_users_are_asked_too_and_one_that_is_denied_is_a_note(host: Host, engine: FakeEngine) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving up root needs root")
    os.chown(host.directory, 65534, 0)
    os.chmod(engine.path, 0o600)
    (host.directory / "run/user/1000").mkdir()
    (host.directory / "run/user/notes").mkdir()
    path = host.directory / "run/user/1000/docker.sock"
    removing = {f"/containers/{C}/json": _inspected(Status="removing", Running=False, Pid=0)}
    with fake_engine(path, _answers("dead-and-removing") | removing):
        os.chown(path, 65534, 65534)
        assert [service.id for service in host.look()] == [A, C]
        host.collector.close()
        os.seteuid(65534)
        try:
            host.collector = DockerCollector()
            assert [service.name for service in host.look()] == ["web", "web"]
        finally:
            os.seteuid(0)
        assert host.last is not None
        assert any("may not be used" in note for note in host.last.notes)
        assert host.last.hint is not None


def test_a_name_that_leads_to_podman_is_left_to_podman(host: Host) -> None:
    (host.directory / "run/docker.sock").symlink_to("podman/podman.sock")
    answers = {name: said.replace(b"Docker/20.10.24", b"Libpod/4.3.1") for name, said in _answers("plain").items()}
    with fake_engine(host.directory / "run/podman/podman.sock", answers) as engine:
        with pytest.raises(AbsentError):
            host.look()
        assert engine.asked == []
        host.options = LookOptions(docker_socket=engine.path)
        with pytest.raises(AbsentError, match="Podman's"):
            host.look()
        host.collector.close()
        host.collector = PodmanCollector()
        assert [service.type for service in host.look()] == ["podman"]


def test_a_docker_that_asking_would_start_is_not_asked(host: Host, engine: FakeEngine) -> None:
    for status in ("inactive", "failed"):
        host.found["systemd"] = [Service(type="systemd", id="docker.service", name="docker.service", status=status)]
        with pytest.raises(AbsentError):
            host.look()
    assert engine.connections == 0
    host.found["systemd"] = [Service(type="systemd", id="docker.service", name="docker.service", status="active")]
    assert host.look()[0].name == "web"


def test_a_podman_that_stops_itself_is_asked_once_a_minute_or_when_a_container_ends(host: Host) -> None:
    host.collector = PodmanCollector()
    said = _answers("plain") | {LIST: _listed(Status="Up 2 hours")}
    answers = {target: answer.replace(b"Docker/20.10.24", b"Libpod/4.3.1") for target, answer in said.items()}
    host.group(cpu_seconds=1)
    with fake_engine(host.directory / "run/podman/podman.sock", answers) as engine:
        engine.closes_after_answer = True
        host.look()
        host.look()
        asked = len(engine.asked)
        for _ in range(5):
            assert host.look()[0].uptime_seconds is not None
        assert len(engine.asked) == asked
        host.look(20)
        assert len(engine.asked) == asked + 1
        shutil.rmtree(host.directory / GROUP)
        shutil.rmtree(host.directory / "proc/100")
        host.look()
        assert len(engine.asked) > asked + 1


def test_gauges_come_from_the_group_of_the_container_not_from_one_further_down(host: Host, engine: FakeEngine) -> None:
    host.group(cpu_seconds=1)
    first = host.look()[0]
    assert first.cgroup == f"/system.slice/docker-{A}.scope"
    assert (first.memory, first.tasks, first.read_bytes, first.write_bytes) == (10 * MIB, 3, 5, 6)
    assert first.memory_percent == pytest.approx(100 * 10 / 1024, abs=0.001)
    assert first.cpu_percent is None
    assert first.uptime_seconds == pytest.approx(310, abs=0.1)
    host.group(cpu_seconds=26)
    assert host.look()[0].cpu_percent == 250.0
    assert host.look()[0].cpu_percent == 0.0


def test_a_group_that_does_not_name_the_container_is_anothers(host: Host, engine: FakeEngine) -> None:
    host.group(cpu_seconds=1)
    for text in ("0::/\n", "0::/user.slice/x.scope\n", ""):
        (host.directory / "proc/100/cgroup").write_text(text)
        host.collector.close()
        service = host.look()[0]
        assert (service.cgroup, service.memory, service.cpu_seconds) == (None, None, None)


def test_a_restart_resets_the_counters_to_null_never_below_nothing(host: Host, engine: FakeEngine) -> None:
    host.group(cpu_seconds=100)
    host.look()
    host.group(cpu_seconds=101)
    assert host.look()[0].cpu_percent == 10.0
    host.group(cpu_seconds=1)
    assert host.look()[0].cpu_percent is None
    engine.answers[LIST] = _listed(Status="Up 2 seconds")
    engine.answers[f"/containers/{A}/json"] = _inspected(StartedAt="2026-11-25T02:14:29.5Z")
    host.group(cpu_seconds=500)
    restarted = host.look()[0]
    assert restarted.start_time == "2026-11-25T02:14:29.500Z"
    assert restarted.cpu_percent is None


def test_a_group_that_vanished_leaves_the_container_without_gauges(host: Host, engine: FakeEngine) -> None:
    host.group(cpu_seconds=1)
    host.look()
    shutil.rmtree(host.directory / GROUP)
    service = host.look()[0]
    assert service.status == "running"
    assert (service.memory, service.cpu_percent, service.tasks) == (None, None, None)
    assert host.last is not None
    assert host.last.notes == []


def test_what_does_not_change_is_one_call_and_the_same_object(host: Host, engine: FakeEngine) -> None:
    engine.answers = _answers("dead-and-removing") | {
        f"/containers/{C}/json": _inspected(Status="removing", Running=False, Pid=0),
    }
    first = host.look()
    calls = host.collector.calls
    for _ in range(20):
        assert all(one is other for one, other in zip(first, host.look(), strict=True))
    assert host.collector.calls == calls + 20


def test_two_orders_of_the_same_and_the_passing_of_time_are_no_change(host: Host, engine: FakeEngine) -> None:
    engine.answers = _answers("two-orders")
    host.look()
    engine.answers[LIST] = answer((FIXTURES / "two-orders/list-again.json").read_bytes())
    host.look()
    assert engine.asked == [LIST, f"/containers/{A}/json", LIST]


@pytest.mark.parametrize(
    "change",
    [
        {"Status": "Up 5 minutes (unhealthy)"},
        {"Status": "Up 5 minutes (Paused)", "State": "paused"},
        {"Status": "Up Less than a second"},
        {"Names": ["/renamed"]},
        {"NetworkSettings": {"Networks": {"other": {}}}},
    ],
)
def test_a_change_in_the_list_is_inspected(host: Host, engine: FakeEngine, change: dict[str, Any]) -> None:
    host.look()
    engine.asked.clear()
    engine.answers[LIST] = _listed(**change)
    host.look()
    assert engine.asked == [LIST, f"/containers/{A}/json"]


def test_a_clock_that_was_set_does_not_make_every_look_inspect(host: Host, engine: FakeEngine) -> None:
    host.look()
    host.wall += 12 * 3600
    engine.asked.clear()
    for _ in range(5):
        host.look()
    assert engine.asked.count(f"/containers/{A}/json") == 1


def test_a_slow_sweep_finds_what_the_list_does_not_show(host: Host, engine: FakeEngine) -> None:
    host.look()
    inspected = json.loads((FIXTURES / f"plain/{A}.json").read_text())
    inspected["HostConfig"]["Memory"] = 64 * MIB
    engine.answers[f"/containers/{A}/json"] = answer(json.dumps(inspected).encode())
    looks = 0
    while host.look()[0].limits is None:
        looks += 1
        assert looks < 130
    assert engine.asked.count(f"/containers/{A}/json") == 2


def test_one_that_vanishes_between_list_and_inspection_is_counted(host: Host, engine: FakeEngine) -> None:
    del engine.answers[f"/containers/{A}/json"]
    assert host.look() == []
    assert host.last is not None
    assert host.last.vanished == 1


def test_sixty_containers_are_encoded_and_listed_in_one_call(host: Host, engine: FakeEngine) -> None:
    entry = json.loads((FIXTURES / "plain/list.json").read_text())[0]
    inspected = json.loads((FIXTURES / f"plain/{A}.json").read_text())
    ids = [f"{number:064x}" for number in range(60)]
    engine.answers = {LIST: answer(json.dumps([entry | {"Id": i, "Names": [f"/n{i[-2:]}"]} for i in ids]).encode())}
    for i in ids:
        engine.answers[f"/containers/{i}/json"] = answer(json.dumps(inspected | {"Id": i}).encode())
    assert len(msgspec.json.decode(msgspec.json.encode(host.look()), type=list[Service])) == 60
    engine.asked.clear()
    host.look()
    assert engine.asked == [LIST]
