"""The machine as psutil sees it: for macOS, Windows and the BSDs, and on Linux with --backend psutil.

The models are those of the native collectors; what psutil does not know is null.
"""

import os
import platform
import socket
import sys
from typing import Any

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.cpu_sets import parse_cpu_list
from safetytwin.collectors.disk_usage import Place, Usage, UsageReader, reached_through, usage_of
from safetytwin.collectors.filesystems import is_private, kind_of, may_hang
from safetytwin.collectors.host_root import read_line
from safetytwin.collectors.psutil_loader import Portable
from safetytwin.collectors.rates import percent, rate
from safetytwin.models.fields import count
from safetytwin.models.hardware import (
    BlockDevice,
    Cpu,
    CpuCore,
    CpuTimes,
    Disk,
    Hardware,
    Memory,
    OperatingSystem,
    Sensor,
    Swap,
)
from safetytwin.models.timestamps import timestamp


class PortableHost(Portable):
    """Names, operating system and boot."""

    def collect(self, look: Look) -> Hardware:
        """Return the host's fields of Hardware."""
        booted = self._psutil.boot_time()
        uptime = look.wall - booted
        return Hardware(
            hostname=socket.gethostname() or None,
            platform=platform.system() or None,
            platform_version=platform.version() or None,
            kernel_version=platform.release() or None,
            os=_operating_system(),
            uptime=round(uptime, 2) if booted > 0 and uptime >= 0 else None,
            boot_time=timestamp(round(booted)) if booted > 0 else None,
        )


def _operating_system() -> OperatingSystem | None:
    if sys.platform == "darwin":
        version = platform.mac_ver()[0]
        return OperatingSystem(id="macos", name=f"macOS {version}".strip(), version=version or None)
    if sys.platform == "win32":
        edition, version = platform.win32_edition() or "", platform.version()
        name = f"Windows {platform.release()} {edition}".strip()
        return OperatingSystem(id="windows", name=name, version=version or None)
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return OperatingSystem(id=sys.platform.rstrip("0123456789"), name=platform.system() or None)
    return OperatingSystem(
        id=release.get("ID"),
        name=release.get("PRETTY_NAME"),
        version=release.get("VERSION_ID"),
        codename=release.get("VERSION_CODENAME"),
        id_like=release.get("ID_LIKE", "").split() or None,
    )


class PortableCpu(Portable):
    """Processors: counts, usage, frequency."""

    def __init__(self) -> None:
        super().__init__()
        self._before: list[dict[str, float]] = []

    def collect(self, look: Look) -> Cpu:
        """Return the processors; usage and times are null in the first look."""
        times = [times._asdict() for times in self._psutil.cpu_times(percpu=True)]
        before, self._before = self._before, times
        spent: list[dict[str, float]] = []
        if len(before) == len(times):
            spent = [_spent(new, old) for new, old in zip(times, before, strict=True)]
        machine = {name: sum(each[name] for each in spent) for name in spent[0]} if spent else {}
        frequencies = self._frequencies(len(times))
        known = [each.current for each in frequencies if each.current]
        online = _online(look) if sys.platform == "linux" else None
        numbers = parse_cpu_list(online or "")
        if len(numbers) != len(times):
            online, numbers = None, list(range(len(times)))
        statistics = self._psutil.cpu_stats()
        return Cpu(
            model=platform.processor() or None,
            architecture=platform.machine() or None,
            cores_physical=self._psutil.cpu_count(logical=False),
            cores_logical=self._psutil.cpu_count(logical=True),
            online=online,
            usage_percent=_usage(machine),
            cores=[
                CpuCore(
                    id=number,
                    usage_percent=_usage(spent[position]) if spent else None,
                    frequency_mhz=(frequencies[position].current or None) if frequencies else None,
                )
                for position, number in enumerate(numbers)
            ]
            or None,
            times=_shares(machine),
            frequency_mhz=round(sum(known) / len(known), 1) if known else None,
            frequency_max_mhz=max((each.max for each in frequencies if each.max), default=None),
            frequency_min_mhz=min((each.min for each in frequencies if each.min), default=None),
            # psutil imitates it on Windows, with 0 until its first sample
            load_average=list(self._psutil.getloadavg()) if sys.platform != "win32" else None,
            context_switches=count(statistics.ctx_switches),
            interrupts=count(statistics.interrupts),
        )

    def _frequencies(self, cpus: int) -> list[Any]:
        """Return one frequency for each CPU, or none where psutil has fewer."""
        if not hasattr(self._psutil, "cpu_freq"):
            return []
        try:
            found = self._psutil.cpu_freq(percpu=True) or []
        except (OSError, NotImplementedError, RuntimeError):
            return []
        return found if len(found) == cpus else found[:1] * cpus


def _online(look: Look) -> str | None:
    """Return the online set, without which psutil's numbering has no holes."""
    return read_line(os.path.join(look.root.sys, "devices/system/cpu/online"))


def _spent(new: dict[str, float], old: dict[str, float]) -> dict[str, float]:
    """Return the seconds between two readings; a guest's time is in user and nice already (psutil, cpu_times)."""
    return {name: max(0.0, new[name] - old.get(name, 0.0)) for name in new if name not in {"guest", "guest_nice"}}


def _usage(spent: dict[str, float]) -> float | None:
    total = sum(spent.values())
    return percent(total - spent.get("idle", 0.0) - spent.get("iowait", 0.0), total)


def _shares(spent: dict[str, float]) -> CpuTimes | None:
    total = sum(spent.values())
    if total <= 0:
        return None

    def share(*names: str) -> float | None:
        parts = [spent[name] for name in names if name in spent]
        return percent(sum(parts), total) if parts else None

    return CpuTimes(
        user=share("user", "nice"),
        system=share("system"),
        idle=share("idle"),
        iowait=share("iowait"),
        irq=share("irq", "softirq", "interrupt", "dpc"),
        steal=share("steal"),
    )


class PortableMemory(Portable):
    """Memory and swap."""

    def __init__(self) -> None:
        super().__init__()
        self._paging: tuple[float, int, int] | None = None

    def collect(self, look: Look) -> Memory:
        """Return memory and swap in bytes."""
        memory = self._psutil.virtual_memory()
        used = memory.total - memory.available
        return Memory(
            total=count(memory.total),
            available=count(memory.available),
            used=count(used),
            free=count(memory.free),
            usage_percent=percent(used, memory.total),
            buffers=count(getattr(memory, "buffers", None)),
            cached=count(getattr(memory, "cached", None)),
            shared=count(getattr(memory, "shared", None)),
            slab=count(getattr(memory, "slab", None)),
            swap=self._swap(look.monotonic),
        )

    def _swap(self, now: float) -> Swap | None:
        swap = self._psutil.swap_memory()
        before, self._paging = self._paging, (now, swap.sin, swap.sout)
        if not swap.total:
            return None
        return Swap(
            total=count(swap.total),
            used=count(swap.used),
            free=count(swap.free),
            usage_percent=percent(swap.used, swap.total),
            in_per_second=None if before is None else rate(swap.sin, before[1], now - before[0]),
            out_per_second=None if before is None else rate(swap.sout, before[2], now - before[0]),
        )


class PortableDisks(Portable):
    """Mounts and drives."""

    def __init__(self, deadline: float = 1.0) -> None:
        super().__init__()
        self._reader: UsageReader[str] = UsageReader(self._usage, deadline)
        self._places: dict[str, Place[str]] = {}

    def collect(self, look: Look) -> list[Disk]:
        """Return the mounts by mountpoint."""
        places: dict[str, Place[str]] = {}
        partitions = self._psutil.disk_partitions(all=True)
        hanging = [each.mountpoint for each in partitions if os.name == "posix" and may_hang(each.fstype)]
        for partition in partitions:
            options = [option for option in partition.opts.split(",") if option]
            kind = "network" if "remote" in options else kind_of(partition.fstype, partition.device)
            if not partition.fstype or kind is None or is_private(partition.fstype, partition.mountpoint):
                continue  # no type: a drive without a medium
            guarded = kind == "network" or reached_through(partition.mountpoint, hanging)
            if not guarded and os.path.isfile(partition.mountpoint):
                continue
            plain = Disk(
                mountpoint=partition.mountpoint,
                device=None if partition.device in {"", "none"} else partition.device,
                fstype=partition.fstype,
                options=options,
                read_only="ro" in options or "read-only" in options,
                kind=kind,
            )
            known = self._places.get(plain.mountpoint)
            if known is None or known.plain != plain:
                known = Place(plain.mountpoint, plain.mountpoint, plain, guarded=guarded, shown=plain)
            places[plain.mountpoint] = known
        self._places = dict(sorted(places.items()))
        return self._reader.fill(list(self._places.values()), look)

    def _usage(self, mountpoint: str) -> Usage:
        if hasattr(os, "statvfs"):
            return usage_of(os.statvfs(mountpoint))
        usage = self._psutil.disk_usage(mountpoint)
        return Usage(total=count(usage.total), used=count(usage.used), free=count(usage.free))


class PortableBlockDevices(Portable):
    """I/O of disks and, where the system counts them, partitions."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[str, Any] = {}
        self._read_at: float | None = None

    def collect(self, look: Look) -> list[BlockDevice]:
        """Return the devices that have been used since boot; raises AbsentError where the system counts none."""
        counters = self._psutil.disk_io_counters(perdisk=True, nowrap=False)
        if not counters:
            raise AbsentError("the system counts no disk I/O")
        seconds = 0.0 if self._read_at is None else look.monotonic - self._read_at
        before, self._before, self._read_at = self._before, counters, look.monotonic
        return [
            _block_device(name, new, before.get(name), seconds)
            for name, new in sorted(counters.items())
            if any(new)  # psutil has no sizes, which would tell loop devices that are not in use
        ]


def _block_device(name: str, new: Any, old: Any, seconds: float) -> BlockDevice:
    def growth(field: str) -> float | None:
        return rate(getattr(new, field, None), getattr(old, field, None), seconds)

    busy = growth("busy_time")
    return BlockDevice(
        name=name,
        read_bytes=count(new.read_bytes),
        write_bytes=count(new.write_bytes),
        reads=count(new.read_count),
        writes=count(new.write_count),
        read_bytes_per_second=growth("read_bytes"),
        write_bytes_per_second=growth("write_bytes"),
        busy_percent=None if busy is None else min(100.0, round(busy / 10, 2)),
    )


class PortableSensors(Portable):
    """Temperatures and fans, where psutil can read them."""

    def collect(self, look: Look) -> list[Sensor]:  # noqa: ARG002 - a collector's interface
        """Return the sensors that have a reading; raises AbsentError where there are none."""
        sensors: list[Sensor] = []
        for function, kind, unit in (("sensors_temperatures", "temperature", "Cel"), ("sensors_fans", "fan", "rpm")):
            if not hasattr(self._psutil, function):
                continue
            for chip, readings in getattr(self._psutil, function)().items():
                for number, reading in enumerate(readings, 1):
                    if reading.current is None:
                        continue
                    sensors.append(
                        Sensor(
                            id=f"{chip}:{kind}{number}",
                            kind=kind,
                            label=reading.label or None,
                            value=reading.current,
                            unit=unit,
                            high=getattr(reading, "high", None),
                            critical=getattr(reading, "critical", None),
                        )
                    )
        if not sensors:
            raise AbsentError("psutil finds no sensors on this machine")
        return sensors
