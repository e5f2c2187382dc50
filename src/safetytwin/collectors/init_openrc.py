"""Services under OpenRC, from its state folders. Source: OpenRC's librc.c (rc_service_state, rc_runlevel_list)."""

import os
import re

from safetytwin.collectors.host_root import HostRoot, list_dir, read_line, read_text
from safetytwin.models.fields import count
from safetytwin.models.service import Service

_STATES = {
    "failed": ("failed", "failed"),
    "starting": ("activating", "starting"),
    "stopping": ("deactivating", "stopping"),
    "inactive": ("inactive", "inactive"),
    "started": ("active", "started"),
}
"""Folders of the state folder, those first that say more: a failing service may be in several."""
_PIDFILE = re.compile(r"^pidfile=(/\S+)$", re.MULTILINE)
_NO_SERVICES = frozenset(("functions.sh", "README"))


def is_openrc(root: HostRoot) -> bool:
    """Say whether OpenRC manages this machine's services."""
    return _state_folder(root) is not None


def openrc_services(root: HostRoot) -> list[Service]:
    """Return every service that has an init script."""
    state_folder = _state_folder(root)
    if state_folder is None:
        return []
    states: dict[str, tuple[str, str]] = {}
    for folder, state in _STATES.items():
        for name in list_dir(os.path.join(state_folder, folder)):
            states.setdefault(name, state)
    runlevels: dict[str, list[str]] = {}
    for level in list_dir(os.path.join(root.etc, "runlevels")):
        for name in list_dir(os.path.join(root.etc, "runlevels", level)):
            runlevels.setdefault(name, []).append(level)
    scripts = {name for name in list_dir(os.path.join(root.etc, "init.d")) if _is_service(name)}
    return [
        _service(root, state_folder, name, states.get(name, ("inactive", "stopped")), runlevels.get(name))
        for name in sorted(scripts | states.keys())
    ]


def _is_service(name: str) -> bool:
    return name not in _NO_SERVICES and not name.endswith((".sh", "~")) and not name.startswith(".")


def _state_folder(root: HostRoot) -> str | None:
    for folder in (os.path.join(root.run, "openrc"), os.path.join(root.root, "lib/rc/init.d")):
        if os.path.isdir(os.path.join(folder, "started")):
            return folder
    return None


def _service(
    root: HostRoot, state_folder: str, name: str, state: tuple[str, str], runlevels: list[str] | None
) -> Service:
    status, sub_status = state
    daemons = _pids(root, os.path.join(state_folder, "daemons", name)) if status == "active" else []
    if daemons and all(pid is None for pid in daemons):
        status, sub_status = "failed", "crashed"
    return Service(
        type="openrc",
        id=name,
        name=name,
        status=status,
        sub_status=sub_status,
        unit_file_state="enabled" if runlevels else "disabled",
        pid=next((pid for pid in daemons if pid is not None), None),
        extra={"runlevels": runlevels} if runlevels else None,
    )


def _pids(root: HostRoot, folder: str) -> list[int | None]:
    """Return the processes of a service's daemons, None for one that is gone; those without a pid file don't count."""
    pids: list[int | None] = []
    for name in list_dir(folder):
        try:
            found = _PIDFILE.search(read_text(os.path.join(folder, name)))
        except OSError:
            continue
        if found is not None:
            pids.append(living_pid(root, on_this_root(root, found[1])))
    return pids


def on_this_root(root: HostRoot, path: str) -> str:
    """Return where an absolute path of the machine lies: /run and /var/run are the root's run."""
    for top in ("/run/", "/var/run/"):
        if path.startswith(top):
            return os.path.join(root.run, path.removeprefix(top))
    return root.root.rstrip("/") + path


def living_pid(root: HostRoot, pidfile: str) -> int | None:
    """Return the process that a pid file names, or None where there is none or it is gone."""
    words = (read_line(pidfile) or "").split()
    if not words or not words[0].isascii() or not words[0].isdigit() or len(words[0]) > 10:
        return None
    pid = count(int(words[0]))
    return pid if pid and os.path.isdir(os.path.join(root.proc, str(pid))) else None
