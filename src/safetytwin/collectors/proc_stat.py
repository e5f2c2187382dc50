"""/proc/stat: where the CPUs' time went since boot (proc_stat(5))."""

from dataclasses import dataclass, field

from safetytwin.collectors.rates import percent
from safetytwin.models.fields import count
from safetytwin.models.hardware import CpuTimes

_FIELDS = 8
"""user nice system idle iowait irq softirq steal; the guests' time that follows is in user and nice already."""

Ticks = tuple[int, ...]


@dataclass(slots=True)
class Stat:
    """The counters of one reading; times in ticks, of the whole machine and by logical CPU."""

    machine: Ticks | None = None
    cpus: dict[int, Ticks] = field(default_factory=dict)
    context_switches: int | None = None
    interrupts: int | None = None
    processes_created: int | None = None


def parse_stat(data: bytes) -> Stat:
    """Return /proc/stat's counters; older kernels have fewer columns, those count 0."""
    stat = Stat()
    for line in data.splitlines():
        name, _, rest = line.partition(b" ")
        if name[:3] == b"cpu":
            words = rest.split(None, _FIELDS)[:_FIELDS]
            if len(words) < 4 or not all(word.isdigit() for word in words):
                continue
            ticks = tuple(map(int, words)) + (0,) * (_FIELDS - len(words))
            if name == b"cpu":
                stat.machine = ticks
            elif name[3:].isdigit() and len(name) < 9:
                stat.cpus[int(name[3:])] = ticks
        elif name == b"intr":
            stat.interrupts = _first(rest)
        elif name == b"ctxt":
            stat.context_switches = _first(rest)
        elif name == b"processes":
            stat.processes_created = _first(rest)
    return stat


def _first(rest: bytes) -> int | None:
    word = rest.split(None, 1)[:1]
    return count(int(word[0])) if word and word[0].isdigit() else None


def spent(new: Ticks | None, old: Ticks | None) -> Ticks | None:
    """Return the ticks between two readings, or None where there are none.

    Each column counts 0 where it went back: iowait does so by design, all do when a CPU comes back online.
    """
    if new is None or old is None:
        return None
    deltas = tuple(max(0, after - before) for after, before in zip(new, old, strict=True))
    return deltas if any(deltas) else None


def usage(deltas: Ticks | None) -> float | None:
    """Return the share of time that was not idle, waiting for I/O being idle, in percent."""
    if deltas is None:
        return None
    total = sum(deltas)
    return percent(total - deltas[3] - deltas[4], total)


def shares(deltas: Ticks | None) -> CpuTimes | None:
    """Return where the time went in percent."""
    if deltas is None:
        return None
    user, nice, system, idle, iowait, irq, softirq, steal = deltas
    total = sum(deltas)
    return CpuTimes(
        user=percent(user + nice, total),
        system=percent(system, total),
        idle=percent(idle, total),
        iowait=percent(iowait, total),
        irq=percent(irq + softirq, total),
        steal=percent(steal, total),
    )
