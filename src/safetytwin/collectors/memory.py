"""Main memory and swap, from /proc/meminfo and /proc/vmstat."""

import os
import re

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.cgroup_limits import limit_folders, memory_limit
from safetytwin.collectors.host_root import read_bytes
from safetytwin.collectors.pressure import read_pressure
from safetytwin.collectors.rates import percent, rate
from safetytwin.models.fields import count
from safetytwin.models.hardware import Memory, Swap

_MEMINFO = re.compile(
    rb"^(MemTotal|MemFree|MemAvailable|Buffers|Cached|SwapTotal|SwapFree|Dirty|Shmem|Slab|SReclaimable|HugePages_Total"
    rb"|HugePages_Free|Hugepagesize):[ \t]*(\d{1,20})( kB)?[ \t]*$",
    re.MULTILINE,
)
_VMSTAT = re.compile(rb"^(pswpin|pswpout|oom_kill) (\d{1,20})$", re.MULTILINE)
_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


def parse_meminfo(data: bytes) -> dict[str, int]:
    """Return those of /proc/meminfo's figures that the state has, in bytes; numbers of pages as they are."""
    figures: dict[str, int] = {}
    for name, number, unit in _MEMINFO.findall(data):
        value = count(int(number) * (1024 if unit else 1))
        if value is not None:
            figures[name.decode()] = value
    return figures


def parse_vmstat(data: bytes) -> dict[str, int]:
    """Return those of /proc/vmstat's 150 counters that the state has: pages swapped in and out, and OOM kills."""
    return {name.decode(): int(value) for name, value in _VMSTAT.findall(data)}


def available(figures: dict[str, int]) -> int | None:
    """Return what can be had without swapping, in bytes.

    Kernels before 3.14 have no MemAvailable; free memory and page cache are what free(1) took for it then.
    """
    known = figures.get("MemAvailable")
    if known is not None:
        return known
    if "MemFree" not in figures or "Cached" not in figures:
        return None
    reclaimable = figures["MemFree"] + figures.get("Buffers", 0) + figures["Cached"] + figures.get("SReclaimable", 0)
    return max(0, reclaimable - figures.get("Shmem", 0))


class MemoryCollector:
    """Reads meminfo and vmstat at each look."""

    def __init__(self) -> None:
        self._paging: tuple[float, int | None, int | None] | None = None
        self._limit_folders: list[str] | None = None

    def collect(self, look: Look) -> Memory:
        """Return memory and swap in bytes; raises AbsentError without /proc/meminfo."""
        proc = look.root.proc
        try:
            figures = parse_meminfo(read_bytes(os.path.join(proc, "meminfo")))
        except FileNotFoundError as error:
            raise AbsentError("no /proc/meminfo") from error
        try:
            counters = parse_vmstat(read_bytes(os.path.join(proc, "vmstat")))
        except OSError:
            counters = {}
        if self._limit_folders is None:
            self._limit_folders = limit_folders(look.root, "memory")
        total, free = figures.get("MemTotal"), available(figures)
        if total is not None and free is not None:
            free = min(free, total)
        used = None if total is None or free is None else total - free
        huge_pages = figures.get("HugePages_Total")
        return Memory(
            total=total,
            available=free,
            used=used,
            free=figures.get("MemFree"),
            usage_percent=percent(used, total),
            buffers=figures.get("Buffers"),
            cached=figures["Cached"] + figures.get("SReclaimable", 0) if "Cached" in figures else None,
            shared=figures.get("Shmem"),
            slab=figures.get("Slab"),
            dirty=figures.get("Dirty"),
            huge_pages_total=huge_pages,
            huge_pages_free=figures.get("HugePages_Free"),
            huge_page_size=figures.get("Hugepagesize"),
            swap=self._swap(figures, counters, look.monotonic),
            pressure=read_pressure(os.path.join(proc, "pressure/memory")),
            limit=memory_limit(self._limit_folders),
            oom_kills=count(counters.get("oom_kill")),
        )

    def close(self) -> None:
        """Hold nothing open."""

    def _swap(self, figures: dict[str, int], counters: dict[str, int], now: float) -> Swap | None:
        before = self._paging
        swapped_in, swapped_out = (
            None if pages is None else pages * _PAGE_SIZE for pages in (counters.get("pswpin"), counters.get("pswpout"))
        )
        self._paging = (now, swapped_in, swapped_out)
        total = figures.get("SwapTotal")
        if not total:
            return None
        free = figures.get("SwapFree")
        used = None if free is None else max(0, total - free)
        return Swap(
            total=total,
            used=used,
            free=free,
            usage_percent=percent(used, total),
            in_per_second=None if before is None else rate(swapped_in, before[1], now - before[0]),
            out_per_second=None if before is None else rate(swapped_out, before[2], now - before[0]),
        )
