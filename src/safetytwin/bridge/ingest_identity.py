"""Whether a run of an agent that a machine is not known by yet is the machine's next one, or a clone's.

Of two living agents with one host id the one that was there first keeps the twin. The newcomer's first frame tells them
apart where it can: by the firmware's ids, by when its kernel booted, by whether the process of the run before is gone.
Where it can't, the newcomer waits until the run before has missed its next look.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any

from safetytwin.bridge.twins import Contender, Host
from safetytwin.changes.twin import Twin
from safetytwin.models.change import Frame
from safetytwin.models.timestamps import seconds_of

BARE_EPOCH = "update_state"
"""How epochs of whole states that came without a frame begin; no agent's epoch looks like it."""
OVERLAP = 5.0
"""Seconds for which two runs of one agent may seem to overlap."""
_SURELY_ANOTHER = 600.0
"""Seconds of the first one's silence, such as an agent keeps that waits between its tries, for which another machine is
a clone."""
_FORGIVEN = 86400.0
"""Seconds of the first one's silence after which one that was refused may have the name."""


class Verdict(Enum):
    """What a newcomer is."""

    SUCCESSOR = "the machine's next run"
    CLONE = "another living agent"
    UNKNOWN = "not known yet"


def judged(host: Host, frame: Frame, twin: Twin, received_at: float) -> Verdict:
    """Return what a run of an agent is that sends its first frame, twin being the state in it."""
    if host.mark.epoch.startswith(BARE_EPOCH):
        return Verdict.SUCCESSOR
    silence = received_at - host.received_at
    boot, first_boot = twin.rest.get("boot_id"), host.twin.rest.get("boot_id")
    if was_refused(host, frame.epoch, boot) and silence < _FORGIVEN:
        return Verdict.CLONE
    patience = patience_with(host)
    kernels = (boot, first_boot)
    if -OVERLAP <= silence <= _SURELY_ANOTHER and (
        is_another_machine(host.twin, twin)
        # Its kernel ran already when another one made the last look: there are two.
        or (None not in kernels and boot != first_boot and received_at - frame.monotonic < host.at - OVERLAP)
    ):
        return Verdict.CLONE
    if boot == first_boot and _has_seen_the_end_of(host.twin, twin):
        return Verdict.SUCCESSOR
    patience = patience_with(host)
    if boot != first_boot and any(received_at - one.at < _FORGIVEN for one in host.refusals):
        # There was a clone, and this may be it after a boot: the first one is given time to speak.
        tried = host.contenders.get(frame.epoch)
        silence = min(silence, 0.0 if tried is None else received_at - tried.at)
        patience = host.quiet_after
    if not -OVERLAP <= silence <= patience:
        return Verdict.SUCCESSOR
    first_tried = host.contenders.get(frame.epoch)
    if first_tried is not None and _has_looked_since(host, first_tried, same_boot=boot == first_boot):
        return Verdict.CLONE
    return Verdict.UNKNOWN


def _has_looked_since(host: Host, tried: Contender, *, same_boot: bool) -> bool:
    """Say whether the first one made a look after the newcomer's first try."""
    if same_boot:
        # Of one boot they have one clock, which no delay on the way can bend.
        return host.at - host.mark.clock_offset > tried.monotonic + OVERLAP
    return host.at > tried.at + OVERLAP


def patience_with(host: Host) -> float:
    """Return the seconds after which a machine's next look has been missed."""
    return 1.5 * host.interval + OVERLAP


def was_refused(host: Host, epoch: str, boot: str | None) -> bool:
    """Say whether a run of an agent, or another of the same kernel, was refused as a clone's."""
    if epoch in {one.epoch for one in host.refusals}:
        return True
    return boot is not None and boot != host.twin.rest.get("boot_id") and boot in {one.boot_id for one in host.refusals}


def is_late(host: Host, frame: Frame, received_at: float) -> bool:
    """Say whether an unknown run of the agent is one from before the current one, whose frames waited in a spool."""
    if received_at - host.received_at > host.quiet_after:
        return False
    boot = (frame.state or {}).get("boot_id")
    if boot is not None and boot == host.twin.rest.get("boot_id"):
        return host.mark.clock_offset + frame.monotonic < host.began_at
    if received_at - frame.monotonic >= host.at:
        # A machine that booted after the current run's last frame, whatever its clock says.
        return False
    return seconds_of(frame.observed_at) + clock_skew(host) < host.began_at


def clock_skew(host: Host) -> float:
    """Return the seconds that make bridge time of the machine's wall clock."""
    return host.at - seconds_of(host.observed_at)


def is_another_machine(one: Twin, other: Twin) -> bool:
    """Say whether the firmware of two states names different machines."""
    first, second = (twin.rest["hardware"].get("dmi", {}) for twin in (one, other))
    return any(
        first.get(name) is not None and second.get(name) is not None and first[name] != second[name]
        for name in ("uuid", "serial")
    )


def _has_seen_the_end_of(old: Twin, new: Twin) -> bool:
    """Say whether a state shows that the agent of another one of the same kernel has ended.

    It does where it lists its own agent's process, and not the one of the agent before. Agents in containers see other
    processes under the same numbers, so the machine's name must be the same too.
    """
    if old.rest.get("boot_id") is None or old.rest["hardware"].get("hostname") != new.rest["hardware"].get("hostname"):
        return False
    before, now = _own_process(old, old.items("processes").values()), new.items("processes")
    return (
        before is not None
        and _own_process(new, now.values()) is not None
        and before not in map(_identity, now.values())
    )


def _own_process(twin: Twin, processes: Iterable[dict[str, Any]]) -> tuple[Any, Any] | None:
    pid = twin.rest["agent"].get("pid")
    return next((_identity(one) for one in processes if pid is not None and one["pid"] == pid), None)


def _identity(process: dict[str, Any]) -> tuple[Any, Any]:
    return process["pid"], process.get("start_ticks")
