"""The vocabulary of events, as data: each kind's severity and its sentence. docs/events.md is made from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safetytwin.models.event import Event, Severity
from safetytwin.models.fields import Count
from safetytwin.models.printable import printable

_LONGEST_VALUE = 200
"""Characters of one value in a sentence; a hostile name may have megabytes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event."""

    severity: Severity
    text: str
    """The sentence; {names} are the event's details."""
    many: str | None = None
    """The sentence for several folded into one, with {count} or {times}; by default the first one's, and how often."""


KINDS: Mapping[str, Kind] = {
    # The machine. Silence, return, conflict and the first sight are the bridge's to say.
    "host.up": Kind("info", "{hostname} is seen for the first time"),
    "host.rebooted": Kind("notice", "{hostname} was restarted"),
    "host.silent": Kind("warning", "Nothing was heard of {hostname} for {silence}"),
    "host.back": Kind("info", "{hostname} is heard again after {silence}"),
    "host.conflict": Kind("warning", "Two agents use the identity of {hostname}"),
    "host.renamed": Kind("notice", "The machine was renamed from {before} to {after}"),
    "host.kernel_changed": Kind("notice", "The kernel changed from {before} to {after}"),
    "host.os_changed": Kind("notice", "The operating system changed from {before} to {after}"),
    "host.out_of_memory": Kind(
        "warning",
        "The kernel killed {killed} for want of memory",
        "The kernel killed processes for want of memory {times}",
    ),
    # Processes.
    "process.started": Kind("info", "{name} started (process {pid}, {username})", "{name} started {times}"),
    "process.exited": Kind("info", "{name} exited after {ran}", "{name} exited {times}"),
    "process.ran": Kind("info", "{name} ran", "{name} ran {times}"),
    "process.became": Kind("info", "{before} became {after} (process {pid})"),
    "process.outdated": Kind(
        "notice",
        "{name} still runs an executable that was replaced or removed: {exe}",
        "{count} processes named {name} still run an executable that was replaced or removed",
    ),
    # Units and other services that are no containers.
    "unit.started": Kind("info", "{name} started"),
    "unit.stopped": Kind("info", "{name} stopped"),
    "unit.restarted": Kind("notice", "{name} was restarted"),
    "unit.failed": Kind("warning", "{name} failed: {result}"),
    "unit.restart_loop": Kind(
        "warning",
        "{name} restarts in a loop: {restarts} times in {window}",
        "{name} still restarts in a loop: {times}",
    ),
    # Containers.
    "container.created": Kind("info", "{name} was created from {image}"),
    "container.started": Kind("info", "{name} started"),
    "container.stopped": Kind("info", "{name} stopped with code {exit_code}"),
    "container.died": Kind("warning", "{name} died with code {exit_code}"),
    "container.restarted": Kind("notice", "{name} was restarted"),
    "container.restart_loop": Kind(
        "warning",
        "{name} restarts in a loop: {restarts} times in {window}",
        "{name} still restarts in a loop: {times}",
    ),
    "container.paused": Kind("info", "{name} was paused"),
    "container.resumed": Kind("info", "{name} goes on after a pause"),
    "container.unhealthy": Kind("warning", "{name} is unhealthy"),
    "container.healthy": Kind("info", "{name} is healthy"),
    "container.out_of_memory": Kind("warning", "{name} was killed for want of memory"),
    "container.renamed": Kind("notice", "{before} was renamed to {after}"),
    "container.removed": Kind("info", "{name} was removed"),
    # AI workloads and models.
    "workload.appeared": Kind("info", "{name} appeared: {role}"),
    "workload.gone": Kind("notice", "{name} is gone"),
    "workload.finding": Kind("warning", "{name}: {finding}"),
    "model.loaded": Kind("info", "{name} was loaded"),
    "model.unloaded": Kind("info", "{name} was unloaded"),
    "model.appeared": Kind("info", "{name} is new on this machine: {size}"),
    "model.downloading": Kind("info", "{name} is not complete: {problem}"),
    "model.changed": Kind("notice", "{name} changed from {before} to {after}"),
    "model.removed": Kind("notice", "{name} was removed from this machine"),
    # Disks.
    "disk.mounted": Kind("info", "{device} was mounted on {mountpoint}"),
    "disk.unmounted": Kind("notice", "{mountpoint} was unmounted"),
    "disk.nearly_full": Kind("warning", "{mountpoint} has {percent} % of its {what} in use"),
    "disk.full": Kind("critical", "{mountpoint} has {percent} % of its {what} in use"),
    "disk.recovered": Kind("info", "{mountpoint} has room again: {percent} % of its {what} in use"),
    "disk.read_only": Kind("warning", "{mountpoint} became read-only"),
    "disk.not_answering": Kind("warning", "{mountpoint} does not answer"),
    "disk.answering": Kind("info", "{mountpoint} answers again"),
    # The network.
    "interface.added": Kind("info", "Interface {name} was added"),
    "interface.removed": Kind("notice", "Interface {name} is gone"),
    "interface.up": Kind("info", "Interface {name} is up"),
    "interface.down": Kind("warning", "Interface {name} is down"),
    "interface.address_changed": Kind("notice", "The addresses of {name} changed from {before} to {after}"),
    # GPUs.
    "gpu.lost": Kind("critical", "{name} ({uuid}) is lost"),
    "gpu.back": Kind("notice", "{name} ({uuid}) is back"),
    "gpu.added": Kind("notice", "{name} ({uuid}) was added"),
    "gpu.removed": Kind("warning", "{name} ({uuid}) is no longer there"),
    "gpu.memory_errors": Kind("warning", "{name} ({uuid}) had {errors} uncorrected memory errors"),
    "gpu.driver_changed": Kind("notice", "The driver of {name} changed from {before} to {after}"),
    # Other hardware.
    "hardware.cpu_changed": Kind("notice", "The processors changed from {before} to {after}"),
    "hardware.memory_changed": Kind("notice", "The memory changed from {before} to {after}"),
    "hardware.disk_added": Kind("notice", "Disk {name} was added: {size}"),
    "hardware.disk_removed": Kind("warning", "Disk {name} is no longer there"),
    # The agent.
    "agent.version_changed": Kind("info", "The agent changed from version {before} to {after}"),
    "agent.collector_failing": Kind("warning", "The collector {name} is {status}: {error}"),
    "agent.collector_recovered": Kind("info", "The collector {name} works again"),
}


def event(
    kind: str, at: str, subject: str, *, count: Count | None = None, last_at: str | None = None, **details: Any
) -> Event:
    """Return an event of a kind of KINDS; details are the names in its sentence, and more where they help.

    Details that are None are left out and read as "unknown" in the sentence. Raises KeyError for an unknown kind.
    """
    facts = KINDS[kind]
    known = {name: value for name, value in details.items() if value is not None}
    words = _Words({name: _word(value) for name, value in known.items()})
    times = "once" if count == 1 else f"{count} times"
    if count is None:
        text = facts.text.format_map(words)
    elif facts.many is not None:
        text = facts.many.format_map(_Words(words, count=count, times=times))
    else:
        text = f"{facts.text.format_map(words)} ({times})"
    return Event(
        at=at,
        kind=kind,
        severity=facts.severity,
        subject=subject,
        text=text,
        details=known or None,
        count=count,
        last_at=last_at,
    )


class _Words(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "unknown"


def _word(value: Any) -> str:
    text = printable(str(value))
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


_PAGE_HEAD = """# Events

What happened on a machine, made from the changes of its state by the bridge; an agent never sends one. This page is
made from `src/safetytwin/changes/kinds.py`. The names are stable; `{names}` in a sentence are the event's `details`.

Noise is folded: when the same thing happens to the same subject again and again, the first two are told at once, the
others are one event with a `count` at the end of ten minutes; so are the processes of one name, save those that ran for
more than an hour. Kernel threads' comings and goings are left out, and after a restart of the machine so is everything
that follows from it. What a collector that fails no longer sees is not taken for gone.
"""


def page() -> str:
    """Return docs/events.md."""
    lines = [_PAGE_HEAD, "| kind | severity | sentence | several |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {kind.severity} | {kind.text} | {kind.many or ''} |" for name, kind in KINDS.items()]
    return "\n".join(lines) + "\n"
