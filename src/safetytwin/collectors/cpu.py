"""The processors: what they are, read once, and what they do, from /proc/stat."""

import os
from dataclasses import dataclass

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.cgroup_limits import cpu_limit, limit_folders
from safetytwin.collectors.cpu_sets import format_cpu_list, parse_cpu_list
from safetytwin.collectors.cpuinfo import CpuInfo, parse_cpuinfo, parse_frequencies
from safetytwin.collectors.host_root import HostRoot, read_bytes, read_int, read_line
from safetytwin.collectors.pressure import read_pressure
from safetytwin.collectors.proc_stat import Stat, parse_stat, shares, spent, usage
from safetytwin.models.hardware import Cpu, CpuCore


@dataclass(slots=True)
class _Topology:
    """What holds as long as the online set is the same."""

    online: str
    cores: dict[int, tuple[int | None, int | None]]
    """(package, core) by logical CPU."""
    cores_physical: int | None
    sockets: int | None
    frequency_files: dict[int, str]
    frequency_max: float | None
    frequency_min: float | None


def parse_load_average(line: str | None) -> list[float] | None:
    """Return /proc/loadavg's three averages, or None where they are not there."""
    try:
        values = [float(word) for word in (line or "").split()[:3]]
    except ValueError:
        return None
    return values if len(values) == 3 and all(0 <= value < 1e9 for value in values) else None


class CpuCollector:
    """Reads /proc/stat and the frequencies at each look, the topology when the online set changes."""

    def __init__(self) -> None:
        self._info: CpuInfo | None = None
        self._architecture: str | None = None
        self._topology: _Topology | None = None
        self._before: Stat | None = None
        self._limit_folders: list[str] = []

    def collect(self, look: Look) -> Cpu:
        """Return the processors; usage and times are null in the first look. Raises AbsentError without /proc/stat."""
        root = look.root
        try:
            stat = parse_stat(read_bytes(os.path.join(root.proc, "stat")))
        except FileNotFoundError as error:
            raise AbsentError("no /proc/stat") from error
        before, self._before = self._before or Stat(), stat
        if self._info is None:
            self._info = _read_cpuinfo(root)
            self._architecture = _architecture(root)
            self._limit_folders = limit_folders(root, "cpu")
        online = read_line(os.path.join(root.sys, "devices/system/cpu/online"))
        if online is None or not parse_cpu_list(online):
            online = format_cpu_list(sorted(stat.cpus))
        if self._topology is None or self._topology.online != online:
            self._topology = _read_topology(root, online, self._info)
        topology = self._topology
        frequencies = self._frequencies(root, topology)
        known = [frequencies[cpu] for cpu in topology.cores if cpu in frequencies]
        machine = spent(stat.machine, before.machine)
        return Cpu(
            model=self._info.model,
            vendor=self._info.vendor,
            architecture=self._architecture,
            cores_physical=topology.cores_physical,
            cores_logical=len(topology.cores) or None,
            sockets=topology.sockets,
            online=online or None,
            usage_percent=usage(machine),
            cores=[
                CpuCore(
                    id=cpu,
                    usage_percent=usage(spent(stat.cpus.get(cpu), before.cpus.get(cpu))),
                    frequency_mhz=frequencies.get(cpu),
                    core_id=core,
                    package_id=package,
                )
                for cpu, (package, core) in topology.cores.items()
            ]
            or None,
            times=shares(machine),
            frequency_mhz=round(sum(known) / len(known), 1) if known else None,
            frequency_max_mhz=topology.frequency_max,
            frequency_min_mhz=topology.frequency_min,
            load_average=parse_load_average(read_line(os.path.join(root.proc, "loadavg"))),
            pressure=read_pressure(os.path.join(root.proc, "pressure/cpu")),
            limit_cores=cpu_limit(self._limit_folders),
            context_switches=stat.context_switches,
            interrupts=stat.interrupts,
            processes_created=stat.processes_created,
        )

    def close(self) -> None:
        """Hold nothing open."""

    def _frequencies(self, root: HostRoot, topology: _Topology) -> dict[int, float]:
        if topology.frequency_files:
            read = {cpu: _megahertz(path) for cpu, path in topology.frequency_files.items()}
            return {cpu: frequency for cpu, frequency in read.items() if frequency is not None}
        if self._info is None or not self._info.frequencies:
            return {}
        try:
            return parse_frequencies(read_bytes(os.path.join(root.proc, "cpuinfo")))
        except OSError:
            return {}


def _read_cpuinfo(root: HostRoot) -> CpuInfo:
    try:
        return parse_cpuinfo(read_bytes(os.path.join(root.proc, "cpuinfo")))
    except OSError:
        return CpuInfo()


def _architecture(root: HostRoot) -> str | None:
    return read_line(os.path.join(root.proc, "sys/kernel/arch")) or (os.uname().machine if root.live else None)


def _megahertz(path: str) -> float | None:
    kilohertz = read_int(path)
    return None if kilohertz is None or not 0 < kilohertz < 1e9 else round(kilohertz / 1000, 3)


def _read_topology(root: HostRoot, online: str, info: CpuInfo) -> _Topology:
    numbers = parse_cpu_list(online)
    cores: dict[int, tuple[int | None, int | None]] = {}
    siblings: set[str] = set()
    frequency_files: dict[int, str] = {}
    most: list[float] = []
    least: list[float] = []
    for number in numbers:
        folder = os.path.join(root.sys, f"devices/system/cpu/cpu{number}")
        package, core = (
            read_int(os.path.join(folder, "topology", name)) for name in ("physical_package_id", "core_id")
        )
        known_package, known_core = info.cores.get(number, (None, None))
        # -1: the firmware does not say
        package = known_package if package is None or package < 0 else package
        core = known_core if core is None or core < 0 else core
        cores[number] = (package, core)
        threads = read_line(os.path.join(folder, "topology/core_cpus_list")) or read_line(
            os.path.join(folder, "topology/thread_siblings_list")
        )
        if threads is not None:
            siblings.add(threads)
        elif core is not None:
            siblings.add(f"package {package} core {core}")
        current = os.path.join(folder, "cpufreq/scaling_cur_freq")
        if os.path.exists(current):
            frequency_files[number] = current
            for name, values in (("cpuinfo_max_freq", most), ("cpuinfo_min_freq", least)):
                frequency = _megahertz(os.path.join(folder, "cpufreq", name))
                if frequency is not None:
                    values.append(frequency)
    packages = {package for package, _ in cores.values() if package is not None}
    return _Topology(
        online=online,
        cores=cores,
        cores_physical=len(siblings) or None,
        sockets=len(packages) or None,
        frequency_files=frequency_files,
        frequency_max=max(most, default=None),
        frequency_min=min(least, default=None),
    )
