"""Which processes use GPUs through DRM, and how much: found once for each process, read at every look.

Reading the links of all descriptors of all processes is dearer than the rest of a look. So a process is searched when
it is new, when the number of its descriptors changed, and else seldom, and then only if it ran meanwhile.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from safetytwin.collectors.base import Look
from safetytwin.collectors.drm_cards import Card, device_paths
from safetytwin.collectors.drm_fdinfo import DrmClient, parse_fdinfo
from safetytwin.collectors.gpu_pids import start_ticks
from safetytwin.collectors.host_root import read_bytes
from safetytwin.models.process import Process

SEARCH_EVERY = 30
"""Looks between two searches of a process whose number of descriptors is known and did not change."""
SEARCH_BLIND_EVERY = 6
"""The same where that number is not known."""


@dataclass(slots=True)
class ClientUse:
    """One client of one GPU at this look."""

    pid: int
    start_ticks: int | None
    client: DrmClient
    engines_percent: dict[str, float] | None
    """Share of each engine since the look before; None at first sight."""


@dataclass(slots=True)
class Clients:
    """All clients that can be seen."""

    uses: list[ClientUse] = field(default_factory=list)
    complete: bool = True
    """False where other processes may use the GPU, out of sight."""


@dataclass(slots=True)
class _Candidate:
    start_ticks: int | None
    num_fds: int | None
    cpu_seconds: float | None
    descriptors: list[str]
    denied: bool
    again: bool = False


class DrmClients:
    """Keeps what is known of each process, and each client's counters of the look before."""

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}
        self._counters: dict[tuple[str, int], tuple[float, DrmClient]] = {}
        self._paths: frozenset[str] = frozenset()

    def read(self, look: Look, cards: Sequence[Card]) -> Clients:
        """Return the clients of these GPUs; notes in look what may not be read."""
        paths = frozenset(path for card in cards for path in device_paths(card))
        if paths != self._paths:
            self._candidates, self._paths = {}, paths
        addresses = {card.address for card in cards}
        self._find(look)
        clients = Clients(complete=_sees_every_process(look))
        seen: dict[tuple[str, int], tuple[float, DrmClient]] = {}
        for pid, candidate in sorted(self._candidates.items()):
            kept = []
            for descriptor in candidate.descriptors:
                try:
                    data = read_bytes(os.path.join(look.root.proc, str(pid), "fdinfo", descriptor))
                except OSError:
                    candidate.again = True  # closed, or the process is gone
                    continue
                client = parse_fdinfo(data)
                if client is None:
                    kept.append(descriptor)
                    clients.complete = False  # a kernel that keeps no account of clients
                    continue
                key = (client.pdev, client.client_id)
                if client.pdev not in addresses or key in seen:
                    continue
                kept.append(descriptor)
                before = self._counters.get(key)
                shares = shares_between(before, (look.monotonic, client)) if before is not None else None
                seen[key] = (look.monotonic, client)
                clients.uses.append(ClientUse(pid, candidate.start_ticks, client, shares))
            candidate.descriptors = kept
        self._counters = seen
        denied = sum(candidate.denied for candidate in self._candidates.values())
        if denied:
            clients.complete = False
            look.notes.append(f"processes that may not be asked which GPU they use: {denied}")
            look.hint = "run as root, or give the agent CAP_SYS_PTRACE"
        return clients

    def _find(self, look: Look) -> None:
        """Search the processes that are new or may have opened a GPU since they were searched."""
        here: dict[int, _Candidate] = {}
        for pid, started, num_fds, cpu_seconds in _processes(look):
            known = self._candidates.get(pid)
            if known is not None and known.start_ticks == started:
                every = SEARCH_BLIND_EVERY if num_fds is None else SEARCH_EVERY
                its_turn = (look.number + pid) % every == 0
                ran = cpu_seconds is None or cpu_seconds != known.cpu_seconds
                if known.num_fds == num_fds and not known.again and not (its_turn and ran):
                    here[pid] = known
                    continue
            descriptors, denied = _descriptors_of(os.path.join(look.root.proc, str(pid), "fd"), self._paths)
            here[pid] = _Candidate(started, num_fds, cpu_seconds, descriptors, denied)
        self._candidates = here


def _processes(look: Look) -> Iterable[tuple[int, int | None, int | None, float | None]]:
    """Yield pid, start, number of descriptors and CPU of each process, from the collector of processes if it ran."""
    found: list[Process] | None = look.found.get("processes")
    if found is not None:
        for process in found:
            if not process.kernel_thread:
                yield process.pid, process.start_ticks, process.num_fds, process.cpu_seconds
        return
    for name in os.listdir(look.root.proc):
        if name.isascii() and name.isdigit():
            yield int(name), start_ticks(look.root, int(name)), None, None


def _descriptors_of(folder: str, paths: frozenset[str]) -> tuple[list[str], bool]:
    """Return the descriptors of a process that are open at these paths, and whether it may not be asked."""
    found = []
    try:
        for descriptor in os.listdir(folder):
            try:
                if os.readlink(os.path.join(folder, descriptor)) in paths:
                    found.append(descriptor)
            except FileNotFoundError:
                continue
    except PermissionError:
        return [], True
    except OSError:
        return [], False  # the process is gone
    return sorted(found), False


def _sees_every_process(look: Look) -> bool:
    """Say whether the descriptors of other users' processes can be read: whether those of PID 1 can."""
    try:
        os.listdir(os.path.join(look.root.proc, "1/fd"))
    except OSError:
        return False
    return True


def shares_between(before: tuple[float, DrmClient], now: tuple[float, DrmClient]) -> dict[str, float]:
    """Return each engine's share in percent between two readings of a client, at (seconds, counters).

    A counter may fall back for a while, the kernel says: then nothing was used, and the larger value is kept in now.
    """
    (time_before, old), (time_now, new) = before, now
    shares: dict[str, float] = {}
    for counters, past in ((new.engines, old.engines), (new.cycles, old.cycles)):
        for engine, value in past.items():
            if engine in counters and counters[engine] < value:
                counters[engine] = value
    elapsed = (time_now - time_before) * 1e9
    for engine, value in new.engines.items():
        if engine in old.engines and elapsed > 0:
            shares[engine] = _percent(value - old.engines[engine], elapsed * new.capacity.get(engine, 1))
    for engine, value in new.cycles.items():
        if engine in old.cycles and engine in new.total_cycles and engine in old.total_cycles:
            passed = new.total_cycles[engine] - old.total_cycles[engine]
            if passed > 0:
                shares[engine] = _percent(value - old.cycles[engine], passed * new.capacity.get(engine, 1))
    return shares


def _percent(part: float, whole: float) -> float:
    return round(min(100.0, 100 * part / whole), 2)
