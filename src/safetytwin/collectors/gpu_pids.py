"""Whose pid it is that a GPU's driver names: the start of a process, and PID namespaces."""

import os

from safetytwin.collectors.host_root import HostRoot, list_dir, read_bytes, read_line

_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h."""


def start_ticks(root: HostRoot, pid: int) -> int | None:
    """Return a process's start in clock ticks after boot (field 22 of proc_pid_stat(5)), or None where unseen."""
    try:
        return parse_start_ticks(read_bytes(os.path.join(root.proc, str(pid), "stat")))
    except OSError:
        return None


def parse_start_ticks(stat: bytes) -> int | None:
    """Return field 22 of a stat file; the name before it may hold spaces and parentheses."""
    fields = stat[stat.rfind(b")") + 1 :].split()
    return int(fields[19]) if len(fields) > 19 and fields[19].isdigit() else None


def pids_are_the_hosts(root: HostRoot) -> bool:
    """Say whether /proc shows the pids of the host's own PID namespace, whose numbers drivers speak of.

    There, and only there, is pid 2 the kernel's kthreadd; where that is hidden (hidepid), our own namespace tells.
    """
    if read_line(os.path.join(root.proc, "2/comm")) == "kthreadd":
        return True
    try:
        return os.readlink(os.path.join(root.proc, "self/ns/pid")) == _INITIAL_PID_NAMESPACE
    except OSError:
        return False


def holds_device(root: HostRoot, pid: int, prefix: str) -> bool:
    """Say whether a process has a device open whose path begins with prefix; needs its user or CAP_SYS_PTRACE."""
    folder = os.path.join(root.proc, str(pid), "fd")
    for descriptor in list_dir(folder):
        try:
            if os.readlink(os.path.join(folder, descriptor)).startswith(prefix):
                return True
        except OSError:
            continue
    return False
