"""Programs measured from outside: their CPU, memory and wake-ups as the kernel counts them."""

import os
import time
from dataclasses import dataclass


def cpu_seconds(pid: int) -> float:
    """Return the CPU that a process has used, all its threads, in seconds (clock_getcpuclockid(3))."""
    return time.clock_gettime(((~pid) << 3) | 2)


def tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for parent in found:
        for task in _listed(f"/proc/{parent}/task"):
            try:
                with open(f"/proc/{parent}/task/{task}/children") as children:
                    found += map(int, children.read().split())
            except OSError:
                continue  # it ended meanwhile
    return found


@dataclass(frozen=True)
class Use:
    """What a program has used so far."""

    cpu: float
    """Seconds."""
    waits: int
    """Voluntary context switches: how often it went to sleep, and so was woken."""
    rss: float
    """Megabytes now, of all its processes."""
    peak: float
    """Megabytes, the most so far."""


def use_of(pid: int) -> Use:
    """Return what a process and those below it have used."""
    cpu, waits, rss, peak = 0.0, 0, 0.0, 0.0
    for one in tree(pid):
        try:
            cpu += cpu_seconds(one)
            fields = _status(f"/proc/{one}/status")
        except OSError:
            continue  # it ended meanwhile
        rss += fields.get("VmRSS", 0) / 1024
        peak += fields.get("VmHWM", 0) / 1024
        for task in _listed(f"/proc/{one}/task"):
            try:
                waits += _status(f"/proc/{one}/task/{task}/status").get("voluntary_ctxt_switches", 0)
            except OSError:
                continue
    return Use(cpu, waits, rss, peak)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _status(path: str) -> dict[str, int]:
    with open(path) as file:
        pairs = (line.split(":", 1) for line in file)
        return {name: int(words[0]) for name, value in pairs if (words := value.split()) and words[0].isdigit()}
