"""Which collectors there are: our own, in the order in which they run, then those of other packages."""

import importlib
import sys
from collections.abc import Callable

from safetytwin.collectors.base import Collector, Registration
from safetytwin.collectors.other_packages import load_entry_points

ENTRY_POINT_GROUP = "safetytwin.collectors"
"""Other packages register an object of type Registration under this entry point group."""


def _lazily(module: str, name: str) -> Callable[[], Collector]:
    def make() -> Collector:
        made: Collector = getattr(importlib.import_module(f"safetytwin.collectors.{module}"), name)()
        return made

    return make


_PROC: tuple[Registration, ...] = (
    Registration("host", "hardware", _lazily("host", "HostCollector")),
    Registration("cpu", "hardware.cpu", _lazily("cpu", "CpuCollector")),
    Registration("memory", "hardware.memory", _lazily("memory", "MemoryCollector")),
    Registration("disks", "hardware.disks", _lazily("disks", "DisksCollector")),
    Registration("block_devices", "hardware.block_devices", _lazily("block_devices", "BlockDevicesCollector")),
    Registration("network", "hardware.network", _lazily("network", "NetworkCollector")),
    Registration("sensors", "hardware.sensors", _lazily("sensors", "SensorsCollector")),
    Registration("processes", "processes", _lazily("processes", "ProcessesCollector"), deadline=10.0),
    Registration("nvidia", "hardware.gpu.nvidia", _lazily("gpu_nvidia", "NvidiaCollector")),
    Registration("amd", "hardware.gpu.amd", _lazily("gpu_drm", "AmdCollector")),
    Registration("intel", "hardware.gpu.intel", _lazily("gpu_drm", "IntelCollector")),
    Registration("systemd", "services", _lazily("systemd", "SystemdCollector")),
    Registration("init_scripts", "services", _lazily("init_scripts", "InitScriptsCollector")),
    Registration("docker", "services", _lazily("docker", "DockerCollector")),
    Registration("podman", "services", _lazily("docker", "PodmanCollector")),
    Registration("cgroup_containers", "services", _lazily("cgroup_containers", "CgroupContainersCollector")),
)

_SOFTWARE: tuple[Registration, ...] = (
    Registration("packages", "software", _lazily("packages", "PackagesCollector"), deadline=10.0),
    Registration("accounts", "software", _lazily("accounts", "AccountsCollector")),
    Registration("sysctl", "software", _lazily("sysctl", "SysctlCollector")),
    Registration("unit_files", "software", _lazily("unit_files", "UnitFilesCollector")),
)

_ANYWHERE = ("linux", "darwin", "win32", "freebsd", "openbsd", "netbsd", "cygwin", "sunos", "aix")
_PSUTIL: tuple[Registration, ...] = (
    Registration("host", "hardware", _lazily("portable", "PortableHost"), platforms=_ANYWHERE),
    Registration("cpu", "hardware.cpu", _lazily("portable", "PortableCpu"), platforms=_ANYWHERE),
    Registration("memory", "hardware.memory", _lazily("portable", "PortableMemory"), platforms=_ANYWHERE),
    Registration("disks", "hardware.disks", _lazily("portable", "PortableDisks"), platforms=_ANYWHERE),
    Registration(
        "block_devices", "hardware.block_devices", _lazily("portable", "PortableBlockDevices"), platforms=_ANYWHERE
    ),
    Registration("network", "hardware.network", _lazily("portable_network", "PortableNetwork"), platforms=_ANYWHERE),
    Registration("sensors", "hardware.sensors", _lazily("portable", "PortableSensors"), platforms=_ANYWHERE),
    Registration(
        "processes", "processes", _lazily("portable_processes", "PortableProcesses"), deadline=30.0, platforms=_ANYWHERE
    ),
    Registration(
        "nvidia", "hardware.gpu.nvidia", _lazily("gpu_nvidia", "NvidiaCollector"), platforms=("linux", "win32")
    ),
)


def registrations(backend: str) -> list[Registration]:
    """Return the collectors of a backend, "proc" or "psutil", that run on this platform, other packages' last.

    Raises TypeError where another package's entry point is no Registration, ValueError where it takes a name that is
    in use.
    """
    ours = [r for r in (*(_PROC if backend == "proc" else _PSUTIL), *_SOFTWARE) if sys.platform.startswith(r.platforms)]
    names = {registration.name for registration in ours}
    for value, theirs in load_entry_points(ENTRY_POINT_GROUP):
        if not isinstance(theirs, Registration):
            raise TypeError(
                f"entry point {value} of {ENTRY_POINT_GROUP} is no Registration; see docs/adding-a-collector.md"
            )
        if theirs.name in names:
            raise ValueError(f"entry point {value} registers a second collector named {theirs.name}; rename it")
        if sys.platform.startswith(theirs.platforms):
            names.add(theirs.name)
            ours.append(theirs)
    return ours
