"""Writes /proc/PID folders for tests that need one to change between two looks."""

import os


def stat_line(pid, comm=b"worker", *, state=b"S", ppid=1, flags=0x400000, ticks=(5, 2), nice=0, threads=1, start=5000):
    """Return the bytes of a stat file (proc_pid_stat(5))."""
    fields = [state, ppid, pid, pid, 0, -1, flags, 10, 0, 0, 0, *ticks, 0, 0, 20, nice, threads, 0, start, 8192000, 300]
    fields += [18446744073709551615, 94429473800192, 94429473820073, 140732011588624, *[0] * 11, 17, 0, 0, 0, 0, 0, 0]
    fields += [94429473836080, 94429473837696, 94429974863872, 140732011592397, 140732011592438, 140732011592438]
    fields += [140732011593707, 0]
    words = [field if isinstance(field, bytes) else str(field).encode() for field in fields]
    return b"%d (%s) %s\n" % (pid, comm, b" ".join(words))


def write_process(tree, pid, comm=b"worker", *, uid=1000, cmdline=b"worker\0", exe="/usr/bin/worker", cwd="/", **stat):
    """Write tree/proc/PID anew; exe or cwd None leaves that link out."""
    folder = os.path.join(tree, "proc", str(pid))
    os.makedirs(os.path.join(folder, "fd"), exist_ok=True)
    files = {
        "stat": stat_line(pid, comm, **stat),
        "statm": b"2000 300 200 10 0 150 0\n",
        "status": b"Name:\tworker\nUid:\t%d\t0\t0\t0\nVmSwap:\t       8 kB\n" % uid,
        "cmdline": cmdline,
        "cgroup": b"0::/system.slice/worker.service\n",
        "io": b"rchar: 315\nwchar: 321\nsyscr: 1\nsyscw: 2\nread_bytes: 0\nwrite_bytes: 8192\n",
    }
    for name, data in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
    for name, target in (("exe", exe), ("cwd", cwd), ("fd/0", "/dev/null")):
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            os.unlink(path)
        if target is not None:
            os.symlink(target, path)
    return folder


def write_machine(tree, passwd=b"root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n"):
    """Write what of proc and etc belongs to no process."""
    os.makedirs(os.path.join(tree, "proc"), exist_ok=True)
    os.makedirs(os.path.join(tree, "etc"), exist_ok=True)
    with open(os.path.join(tree, "proc", "stat"), "wb") as file:
        file.write(b"cpu  1 2 3 4\nbtime 1767225600\nprocesses 9\n")
    with open(os.path.join(tree, "proc", "meminfo"), "wb") as file:
        file.write(b"MemTotal:        8000000 kB\nMemFree:         4000000 kB\n")
    if passwd is not None:
        with open(os.path.join(tree, "etc", "passwd"), "wb") as file:
            file.write(passwd)
