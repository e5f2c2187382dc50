"""Services under a System V init: scripts of /etc/init.d, their runlevels and their pid files.

Such an init keeps no list of what it started: a service with a pid file runs or does not, of others nothing is known.
Source: Linux Standard Base, "System Initialization".
"""

import os
import re

from safetytwin.collectors.host_root import HostRoot, list_dir, read_bytes, read_line, text_of
from safetytwin.collectors.init_openrc import living_pid, on_this_root
from safetytwin.models.service import Service

_INITS = frozenset(("init", "upstart"))
_NO_SERVICES = frozenset(("README", "skeleton", "functions", "rc", "rcS", "halt", "reboot", "single"))
_START = re.compile(r"^S[0-9]{2}(.+)$")
_DESCRIPTION = re.compile(r"^#\s*Short-Description:[ \t]*(\S.*?)\s*$", re.MULTILINE)
_PIDFILE = re.compile(r"""^#\s*pidfile:[ \t]*(/\S+)|^\s*PIDFILE=["']?(/[^\s"'$]+)["']?\s*$""", re.MULTILINE)
SCRIPT_LIMIT = 64 * 1024


def is_sysv(root: HostRoot) -> bool:
    """Say whether PID 1 is an init that runs such scripts; in a container they lie about and nobody runs them."""
    return read_line(os.path.join(root.proc, "1/comm")) in _INITS and os.path.isdir(os.path.join(root.etc, "init.d"))


def sysv_services(root: HostRoot) -> list[Service]:
    """Return every service that has an init script."""
    enabled: set[str] = set()
    for level in ("rc2.d", "rc3.d", "rc4.d", "rc5.d"):
        links = list_dir(os.path.join(root.etc, level)) or list_dir(os.path.join(root.etc, "rc.d", level))
        enabled.update(found[1] for name in links if (found := _START.match(name)))
    folder = os.path.join(root.etc, "init.d")
    return [
        _service(root, os.path.join(folder, name), name, is_enabled=name in enabled)
        for name in list_dir(folder)
        if name not in _NO_SERVICES and not name.startswith(".") and os.path.isfile(os.path.join(folder, name))
    ]


def _service(root: HostRoot, script: str, name: str, *, is_enabled: bool) -> Service:
    try:
        text = text_of(read_bytes(script, SCRIPT_LIMIT))
    except OSError:
        text = ""
    description = _DESCRIPTION.search(text)
    pidfiles = [path for path in _pidfiles(root, name, text) if os.path.exists(path)]
    pid = next((pid for path in pidfiles if (pid := living_pid(root, path)) is not None), None)
    status: tuple[str, str] | tuple[None, None] = (None, None)
    if pid is not None:
        status = ("active", "running")
    elif pidfiles:
        status = ("inactive", "dead")
    return Service(
        type="sysv",
        id=name,
        name=name,
        status=status[0],
        sub_status=status[1],
        unit_file_state="enabled" if is_enabled else "disabled",
        description=description[1] if description else None,
        pid=pid,
    )


def _pidfiles(root: HostRoot, name: str, script: str) -> list[str]:
    """Return where the service's pid file may lie: where the script says, then where such files lie by custom."""
    said = [on_this_root(root, found[1] or found[2]) for found in _PIDFILE.finditer(script)]
    customary = [f"{name}.pid", f"{name}d.pid", f"{name}/{name}.pid", f"{name}/{name}d.pid", f"{name}/pid"]
    return said + [os.path.join(root.run, path) for path in customary]
