"""Services under runit, s6 and daemontools: their supervisors keep a binary status file per service.

Sources: runit's sv.c, s6's s6_svstatus_unpack, daemontools' svstat.c.
"""

import errno
import os
from dataclasses import dataclass

from safetytwin.collectors.host_root import HostRoot, list_dir, read_bytes
from safetytwin.models.fields import count
from safetytwin.models.service import Service
from safetytwin.models.timestamps import timestamp

TAI64_AT_1970 = 2**62 + 10
"""The TAI64 label of 1970, by which these programs count (without leap seconds)."""
SCAN_FOLDERS = ("etc/service", "service", "var/service", "run/service", "run/runit/service", "run/s6/services")
_RUNIT_STATES = {0: ("inactive", "down"), 1: ("active", "run"), 2: ("deactivating", "finish")}


@dataclass(frozen=True, slots=True)
class Supervised:
    """What a status file says."""

    type: str
    status: str
    sub_status: str
    pid: int | None
    since: float
    """Seconds since 1970 at which it came into this state."""
    exit_code: int | None = None
    exit_signal: int | None = None


def parse_status(data: bytes) -> Supervised | None:
    """Return what a supervise/status file says, or None where it is none of runit, s6 or daemontools."""
    if len(data) == 20:
        return _runit(data)
    if len(data) == 18:
        return _daemontools(data)
    if len(data) in {35, 43}:
        return _s6(data)
    return None


def _since(data: bytes) -> float:
    return int.from_bytes(data[:8], "big") - TAI64_AT_1970 + int.from_bytes(data[8:12], "big") / 1e9


def _runit(data: bytes) -> Supervised | None:
    state = _RUNIT_STATES.get(data[19])
    if state is None:
        return None
    pid = int.from_bytes(data[12:16], "little")
    sub_status = "paused" if data[16] and state[0] == "active" else state[1]
    return Supervised("runit", state[0], sub_status, pid or None, _since(data))


def _daemontools(data: bytes) -> Supervised:
    pid = int.from_bytes(data[12:16], "little")
    status, sub_status = ("active", "up") if pid else ("inactive", "down")
    return Supervised("daemontools", status, "paused" if data[16] and pid else sub_status, pid or None, _since(data))


def _s6(data: bytes) -> Supervised:
    flags = data[-1]
    pid = count(int.from_bytes(data[24:32], "big"))
    paused, finishing, ready = flags & 1, flags & 2, flags & 16
    if pid and not finishing:
        return Supervised("s6", "active", "paused" if paused else "ready" if ready else "up", pid, _since(data))
    wait_status = int.from_bytes(data[-3:-1], "big")
    exit_signal = wait_status & 0x7F
    return Supervised(
        "s6",
        "deactivating" if finishing else "inactive",
        "finish" if finishing else "down",
        pid or None,
        _since(data),
        exit_code=None if exit_signal else wait_status >> 8,
        exit_signal=exit_signal or None,
    )


def supervised_services(root: HostRoot, notes: list[str]) -> list[Service]:
    """Return the services of all scan folders whose supervisors live; notes tells of those that may not be read."""
    services: dict[str, Service] = {}
    for scan in SCAN_FOLDERS:
        folder = _below(root, scan)
        for name in list_dir(folder):
            if name.startswith("."):
                continue
            try:
                service = _service(os.path.join(folder, name), name)
            except PermissionError:
                notes.append(f"the state of {name} below {folder} may not be read")
                continue
            except OSError:
                continue  # no supervised service
            if service is not None:
                services.setdefault(f"{service.type}/{name}", service)
    return list(services.values())


def _below(root: HostRoot, path: str) -> str:
    top, _, rest = path.partition("/")
    return os.path.join(
        {"etc": root.etc, "run": root.run, "var": root.var}.get(top, os.path.join(root.root, top)), rest
    )


def _is_supervisor_alive(control: str) -> bool:
    """Say whether a supervisor reads its pipe, as sv and s6-svok ask it; nothing is written."""
    try:
        os.close(os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False
        raise
    return True


def _service(folder: str, name: str) -> Service | None:
    found = parse_status(read_bytes(os.path.join(folder, "supervise/status"), 64))
    if found is None or not _is_supervisor_alive(os.path.join(folder, "supervise/control")):
        return None
    running = found.status == "active"
    return Service(
        type=found.type,
        id=name,
        name=name,
        status=found.status,
        sub_status=found.sub_status,
        unit_file_state="disabled" if os.path.exists(os.path.join(folder, "down")) else "enabled",
        pid=found.pid if running else None,
        start_time=timestamp(found.since) if running else None,
        exit_code=found.exit_code,
        extra={"exit_signal": found.exit_signal} if found.exit_signal else None,
    )
