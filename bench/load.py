"""The load that peers look at, and namespaces of its own to look at it in: nothing else of the machine counts."""

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

HERE = os.path.dirname(os.path.abspath(__file__))
_STAGE = "BENCH_STAGE"
_BYTECODE = os.path.join(os.path.dirname(HERE), ".cache", "bytecode")
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def run_in_own_namespaces(unseen: Callable[[], AbstractContextManager[Mapping[str, str]]] = nullcontext) -> None:
    """Run this program again in network and PID namespaces of its own; say so where they can't be had.

    unseen runs beside it in the same network but not among its processes; what it yields goes into the environment.
    """
    stage = os.environ.get(_STAGE)
    if stage == "processes":
        return
    # What is installed is compiled once, not at every start; some environments switch that off.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = _BYTECODE
    if stage == "network":
        _bring_up_loopback()
        with unseen() as variables:
            inside = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, *sys.argv]
            environment = os.environ | (variables or {}) | {_STAGE: "processes"}
            sys.exit(subprocess.run(inside, check=False, env=environment).returncode)
    tried = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "true"]
    if shutil.which("unshare") and subprocess.run(tried, check=False, capture_output=True).returncode == 0:
        command = ["unshare", "--net", sys.executable, *sys.argv]
        sys.exit(subprocess.run(command, check=False, env=os.environ | {_STAGE: "network"}).returncode)
    print("all of this machine's processes are looked at: namespaces need root (unshare)", file=sys.stderr)
    with unseen() as variables:
        environment = os.environ | (variables or {}) | {_STAGE: "processes"}
        sys.exit(subprocess.run([sys.executable, *sys.argv], check=False, env=environment).returncode)


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        name, flags = struct.unpack_from("16sH", fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0)))
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", name, flags | _IFF_UP))


def build(folder: str) -> None:
    """Compile the load and the floor."""
    if shutil.which("gcc") is None:
        raise SystemExit("gcc is missing; install it, for instance: apt-get install gcc libc6-dev")
    for name in ("load", "worker", "floor"):
        source = os.path.join(HERE, f"{name}.c")
        subprocess.run(["gcc", "-O2", "-pthread", "-o", os.path.join(folder, name), source], check=True)


@contextmanager
def load(folder: str, processes: int, seconds: int, active_percent: int = 10) -> Iterator[None]:
    """Run a load of processes for as long as the block runs, seconds at most; it ends with its whole process group."""
    environment = os.environ | {"PERF_ACTIVE": str(active_percent)}
    command = [os.path.join(folder, "load"), str(processes), str(seconds), os.path.join(folder, "data")]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment)
    try:
        assert running.stdout is not None
        ready = running.stdout.readline()
        if not ready.startswith(f"READY {processes} "):
            raise SystemExit(f"the load of {processes} processes did not start: {ready!r} (see ulimit -u)")
        yield
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
