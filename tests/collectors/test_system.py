"""The look: what collectors return is put together, and what they raise never ends it."""

import threading
from collections.abc import Callable
from typing import Any

import msgspec

from safetytwin.collectors.base import AbsentError, Collector, DeniedError, Look, Registration
from safetytwin.collectors.system import SystemLooker
from safetytwin.models.hardware import Gpu, GpuProcess, Hardware, Memory
from safetytwin.models.process import Process, ProcessGpu
from safetytwin.models.service import Service
from safetytwin.models.system_state import SystemState


class _Fake:
    def __init__(self, collect: Callable[[Look], Any]) -> None:
        self.closed = 0
        self._collect = collect

    def collect(self, look: Look) -> Any:
        return self._collect(look)

    def close(self) -> None:
        self.closed += 1


def _registration(name: str, place: str, collect: Callable[[Look], Any], deadline: float = 5.0) -> Registration:
    def make() -> Collector:
        return _Fake(collect)

    return Registration(name, place, make, deadline=deadline)


def _looker(*registrations: Registration) -> SystemLooker:
    return SystemLooker(registrations, host_id="h")


def _raise(error: Exception) -> Callable[[Look], Any]:
    def collect(look: Look) -> Any:
        raise error

    return collect


def test_each_result_goes_to_its_place() -> None:
    gpu = Gpu(uuid="G", vendor="nvidia", processes=[GpuProcess(pid=7, start_ticks=5, memory=100)])
    looker = _looker(
        _registration("host", "hardware", lambda look: Hardware(hostname="atlas", uptime=5.0)),
        _registration("memory", "hardware.memory", lambda look: Memory(total=10)),
        _registration("nvidia", "hardware.gpu.nvidia", lambda look: [gpu]),
        _registration(
            "processes",
            "processes",
            lambda look: [
                Process(pid=7, start_ticks=5, name="vllm"),
                Process(pid=8, start_ticks=6, name="sh"),
            ],
        ),
        _registration("systemd", "services", lambda look: [Service(type="systemd", id="a.service", name="a.service")]),
        _registration("docker", "services", lambda look: [Service(type="docker", id="c", name="c")]),
        _registration("theirs", "extra", lambda look: {"x": 1}),
        _registration("sees", "extra", lambda look: sorted(look.found)),
    )
    state = looker.look()
    looker.close()
    assert state.hardware.hostname == "atlas"
    assert state.hardware.memory == Memory(total=10)
    assert state.hardware.gpu == {"nvidia": [gpu]}
    assert [service.type for service in state.services] == ["docker", "systemd"]
    assert state.processes[0].gpu == [ProcessGpu(uuid="G", memory=100)]
    assert state.processes[1].gpu is None
    assert state.extra is not None
    assert state.extra["theirs"] == {"x": 1}
    assert state.extra["sees"] == ["docker", "host", "memory", "nvidia", "processes", "systemd", "theirs"]
    assert msgspec.json.decode(msgspec.json.encode(state), type=SystemState) == state


def test_what_collectors_raise_becomes_their_status() -> None:
    looker = _looker(
        _registration("none", "services", _raise(AbsentError("no such thing"))),
        _registration("closed", "services", _raise(DeniedError("may not", "run as root"))),
        _registration("forbidden", "services", _raise(PermissionError(13, "Permission denied"))),
        _registration("broken", "services", _raise(ValueError("bad"))),
        _registration("fine", "services", lambda look: [Service(type="x", id="1", name="1")]),
    )
    state = looker.look()
    statuses = {name: one.status for name, one in state.agent.collectors.items()}
    assert statuses == {"none": "absent", "closed": "denied", "forbidden": "denied", "broken": "failed", "fine": "ok"}
    assert state.agent.collectors["closed"].hint == "run as root"
    assert state.agent.collectors["broken"].error == "ValueError: bad"
    assert len(state.services) == 1


def test_one_that_hangs_is_stale_is_not_started_twice_and_comes_back() -> None:
    release, calls = threading.Event(), []

    def collect(look: Look) -> list[Service]:
        calls.append(look.monotonic)
        if len(calls) == 2:
            release.wait(60)
        return [Service(type="x", id=str(len(calls)), name="x")]

    looker = _looker(_registration("slow", "services", collect, deadline=0.2))
    assert looker.look().services[0].id == "1"
    late = looker.look()
    assert late.agent.collectors["slow"].status == "stale"
    assert late.services[0].id == "1"
    still = looker.look()
    assert still.agent.collectors["slow"].status == "stale"
    assert len(calls) == 2
    release.set()
    for _ in range(100):
        back = looker.look()
        if back.agent.collectors["slow"].status == "ok":
            break
        release.wait(0.02)
    assert back.agent.collectors["slow"].status == "ok"
    assert back.services[0].id == "3"
    looker.close()


def test_one_that_never_answered_is_a_timeout_and_shows_nothing() -> None:
    release = threading.Event()
    looker = _looker(_registration("slow", "services", lambda look: release.wait(60), deadline=0.1))
    state = looker.look()
    assert state.agent.collectors["slow"].status == "timeout"
    assert state.services == []
    release.set()
    looker.close()


def test_left_out_collectors_keep_what_they_found() -> None:
    numbers = iter(range(9))
    looker = _looker(
        _registration("a", "services", lambda look: [Service(type="x", id=str(next(numbers)), name="x")]),
    )
    looker.look()
    state = looker.look(without=frozenset({"a"}))
    assert state.services[0].id == "0"
    assert state.agent.collectors["a"].status == "stale"
    assert looker.look().services[0].id == "1"
    looker.close()


def test_left_out_collectors_are_still_seen_by_those_after_them() -> None:
    seen: list[object] = []
    looker = _looker(
        _registration("a", "services", lambda look: [Service(type="x", id="1", name="x")]),
        _registration("b", "services", lambda look: seen.append(look.found.get("a")) or []),
    )
    looker.look()
    looker.look(without=frozenset({"a"}))
    assert seen[1] == seen[0] == [Service(type="x", id="1", name="x")]
    looker.close()


def test_a_collector_that_waited_in_vain_is_a_timeout() -> None:
    def wait(look: Look) -> None:
        raise TimeoutError("no answer from the engine")

    looker = _looker(_registration("engine", "services", wait))
    status = looker.look().agent.collectors["engine"]
    assert (status.status, status.error) == ("timeout", "no answer from the engine")
    looker.close()
