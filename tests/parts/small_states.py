"""Small states to derive changes and events from: what a test does not name is plain and constant."""

from typing import Any

import msgspec

from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.twin import Step, Twin
from safetytwin.models.hardware import Hardware
from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.system_state import Agent, CollectorStatus, SystemState
from safetytwin.models.timestamps import timestamp

START = 1_800_000_000.0
"""The moment of second 0."""


def moment(second: float) -> str:
    at = timestamp(START + second)
    assert at is not None
    return at


def state(
    second: float = 0,
    *,
    processes: tuple[Process, ...] = (),
    services: tuple[Service, ...] = (),
    collectors: dict[str, str] | None = None,
    ai: Any = None,
    boot_id: str | None = "boot-1",
    version: str = "1.0",
    **hardware: Any,
) -> SystemState:
    statuses = {name: CollectorStatus(status=status) for name, status in (collectors or {}).items()}
    return SystemState(
        schema=1,
        host_id="host-1",
        seq=int(second) // 10,
        timestamp=moment(second),
        hardware=Hardware(**{"hostname": "alpha", **hardware}),
        services=list(services),
        processes=list(processes),
        agent=Agent(version=version, backend="proc", collectors=statuses),
        boot_id=boot_id,
        ai=ai,
    )


def process(pid: int, name: str = "nginx", *, started: float = 0, **more: Any) -> Process:
    return Process(pid=pid, start_ticks=pid * 10, name=name, create_time=moment(started), username="root", **more)


def unit(name: str, status: str = "active", **more: Any) -> Service:
    return Service(type="systemd", id=name, name=name, status=status, **more)


def container(name: str, status: str = "running", *, identity: str = "c0ffee", **more: Any) -> Service:
    return Service(type="docker", id=identity, name=name, status=status, **more)


def step(old: SystemState, new: SystemState) -> Step:
    """What the change from old to new does, after a trip over the wire."""
    change = diff(old, new)
    sent = msgspec.json.decode(msgspec.json.encode(change), type=type(change))
    return Twin(tree_of(old)).apply(sent)
