"""A real systemd as PID 1 in namespaces of its own: with a bus, units of the test's making and cgroups.

It sees the machine's files through an overlay that is gone afterwards; nothing outside is started, stopped or written.
"""

import ctypes
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from safetytwin.collectors.host_root import HostRoot

T = TypeVar("T")

SYSTEMD = "/lib/systemd/systemd"
CGROUPS = Path("/sys/fs/cgroup")
CLONE_NEWCGROUP = 0x02000000

INIT = r"""
set -e
base=$1 units=$2
mount -t tmpfs t "$base"; root=$base/root; mkdir "$base/upper" "$base/work" "$root"
mount -t overlay o -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
mount -t proc p "$root/proc"; mount -t sysfs s "$root/sys" -o ro
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 c "$root/sys/fs/cgroup"
else
  mount -t tmpfs t "$root/sys/fs/cgroup"
  for c in cpu cpuacct cpuset memory devices freezer blkio pids; do
    [ -d "/sys/fs/cgroup/$c" ] || continue
    mkdir "$root/sys/fs/cgroup/$c"; mount -t cgroup -o "$c" c "$root/sys/fs/cgroup/$c"
  done
  mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
  mount -t cgroup -o none,name=systemd c "$root/sys/fs/cgroup/systemd"
  mount -t cgroup2 c "$root/sys/fs/cgroup/unified"
fi
mount -t tmpfs t "$root/dev" -o mode=755
for d in null zero full random urandom tty; do touch "$root/dev/$d"; mount --bind "/dev/$d" "$root/dev/$d"; done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts d "$root/dev/pts" -o newinstance,ptmxmode=0666; ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs t "$root/run" -o mode=755
etc=$root/etc/systemd/system
rm -rf "$etc" "$root/etc/machine-id"; mkdir "$etc"; cp -a "$units/." "$etc/"
for u in systemd-sysctl systemd-modules-load systemd-remount-fs; do ln -sf /dev/null "$etc/$u.service"; done
systemd-id128 new >"$root/etc/machine-id"
mount -t tmpfs t "$root/tmp"; ip link set lo up
cd "$root"; mkdir -p .outside; pivot_root . .outside; umount -l /.outside
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec env -i container=test "PATH=$PATH" /lib/systemd/systemd --system --unit=test.target </dev/null
"""

TARGET = """
[Unit]
Requires=basic.target dbus.socket
After=basic.target
Wants=systemd-journald.service systemd-logind.service
"""


class Systemd:
    """A running systemd, seen from outside."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        top = f"/proc/{pid}/root"
        self.root = HostRoot(
            proc=f"{top}/proc", sys=f"{top}/sys", etc=f"{top}/etc", run=f"{top}/run", dev=f"{top}/dev", root=top
        )

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command inside and return what it prints."""
        arguments = ["nsenter", "-t", str(self.pid), "-a", *command]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def show(self, unit: str) -> dict[str, str]:
        """Return what systemctl show says of a unit."""
        lines = self.run("systemctl", "show", "--all", "--", unit).splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def inside(self, function: Callable[[], T]) -> T:
        """Call a function in a thread that is in this systemd's cgroup namespace, so that its paths hold there."""
        results: list[T] = []
        errors: list[BaseException] = []

        def call() -> None:
            try:
                self._enter_cgroup_namespace()
                results.append(function())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def _enter_cgroup_namespace(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        namespace = os.open(f"/proc/{self.pid}/ns/cgroup", os.O_RDONLY)
        try:
            if libc.setns(namespace, CLONE_NEWCGROUP) != 0:
                raise OSError(ctypes.get_errno(), "cannot enter the cgroup namespace")
        finally:
            os.close(namespace)


def wait_for(condition: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """Return what condition returns once that is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


def require_systemd() -> None:
    """Skip where no systemd can be started."""
    if os.geteuid() != 0:
        pytest.skip("needs root: starts a systemd in namespaces")
    for program in (SYSTEMD, "unshare", "nsenter", "systemctl", "dbus-daemon", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@contextmanager
def running_systemd(folder: Path, units: Mapping[str, str]) -> Iterator[Systemd]:
    """Start a systemd with these unit files (name to text; a text "-> path" is a link), and end it with all it runs."""
    require_systemd()
    overlay, unit_folder = folder / "overlay", folder / "units"
    overlay.mkdir(parents=True)
    unit_folder.mkdir()
    for name, text in {"test.target": TARGET, **units}.items():
        path = unit_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.symlink_to(text.removeprefix("-> "))
        else:
            path.write_text(text)
    group = f"safetytwin-test-{os.getpid()}-{time.monotonic_ns()}"
    hierarchies = _own_cgroups(group)
    log = folder / "log"
    with log.open("wb") as output:
        launcher = subprocess.Popen(
            _launch(hierarchies, overlay, unit_folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        pid = wait_for(lambda: _ready(launcher, log), "systemd and its bus are up")
        yield Systemd(pid)
    finally:
        launcher.kill()  # unshare --kill-child: PID 1 goes with it, and with PID 1 all of its namespace
        launcher.wait()
        for directory in hierarchies:
            _remove_cgroup(directory)


def _own_cgroups(group: str) -> list[Path]:
    """Make a cgroup of our own in each hierarchy: systemd moves every process of its root cgroup."""
    if (CGROUPS / "cgroup.controllers").exists():
        tops = [CGROUPS]
    else:
        tops = sorted(path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink())
    made = []
    for top in tops:
        directory = top / group
        directory.mkdir()
        made.append(directory)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if top.name == "cpuset":
                (directory / name).write_text((top / name).read_text())
    return made


def _launch(cgroups: list[Path], overlay: Path, units: Path) -> list[str]:
    enter = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'
    namespaces = ["--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--cgroup"]
    unshare = ["unshare", *namespaces, "--propagation", "private", "sh", "-c", INIT, "init", str(overlay), str(units)]
    return ["sh", "-c", enter, "enter", *map(str, cgroups), "--", *unshare]


def _ready(launcher: "subprocess.Popen[bytes]", log: Path) -> int | None:
    if launcher.poll() is not None:
        raise AssertionError(f"systemd did not start: {log.read_text(errors='replace')}")
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    if not children:
        return None
    run = Path(f"/proc/{children[0]}/root/run")
    sockets = (run / "dbus/system_bus_socket", run / "systemd/private")
    return int(children[0]) if all(socket.is_socket() for socket in sockets) else None


def _remove_cgroup(directory: Path) -> None:
    for below in sorted(directory.rglob("*"), key=lambda path: len(path.parts), reverse=True):
        if below.is_dir():
            _rmdir(below)
    _rmdir(directory)


def _rmdir(directory: Path) -> None:
    """Remove a cgroup as soon as the processes that were in it are gone."""

    def removed() -> bool:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    wait_for(removed, f"{directory} is empty")
