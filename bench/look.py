"""What a look at the processes costs, beside what other agents' looks cost.

Starts a load of N processes of five kinds, a tenth of them at work (load.c, worker.c), and has each peer look at it in
a process of its own, once and then again and again with a pause between: the CPU (user and system) of the first look
and of the later ones, and the peak of its memory. Machines vary: compare the ratios of one run.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
PAUSE = 1.0
WARM_UP = 2
MOST_LOOKS = 18
LONGEST = 20.0
"""Seconds for the looks of one peer at one size; at least FEWEST_LOOKS are made."""
FEWEST_LOOKS = 5


@dataclass(frozen=True)
class Peer:
    """Something that looks at processes: a name and how to find it, None where it is not installed."""

    name: str
    command: Callable[[str], list[str] | None]
    """Given a folder for what is built, an argument list that prints a measurement as JSON."""


def _ourselves(mode: str, module: str = "safetytwin") -> Callable[[str], list[str] | None]:
    def command(_: str) -> list[str] | None:
        found = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False)
        return [sys.executable, os.path.abspath(__file__), "--measure", mode] if found.returncode == 0 else None

    return command


def _gopsutil(folder: str) -> list[str] | None:
    """Build the Go peer against Debian's golang-github-shirou-gopsutil-dev, without a module proxy."""
    if shutil.which("go") is None or not os.path.isdir("/usr/share/gocode/src/github.com/shirou/gopsutil"):
        return None
    source = os.path.join(folder, "src", "peer")
    os.makedirs(source, exist_ok=True)
    shutil.copy(os.path.join(HERE, "gopsutil_peer.go"), os.path.join(source, "main.go"))
    with open(os.path.join(source, "go.mod"), "w") as module:
        module.write("module peer\n")
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": f"{folder}:/usr/share/gocode", "GOFLAGS": ""}
    binary = os.path.join(folder, "gopsutil_peer")
    subprocess.run(["go", "build", "-o", binary, "peer"], check=True, env=environment, cwd=source)
    return [binary, str(MOST_LOOKS), str(PAUSE), str(LONGEST)]


def _floor(folder: str) -> list[str] | None:
    return [os.path.join(folder, "floor"), str(MOST_LOOKS), str(PAUSE), str(LONGEST)]


PEERS = (
    Peer("safetytwin", _ourselves("safetytwin")),
    Peer("safetytwin, no sockets", _ourselves("safetytwin-no-sockets")),
    Peer("safetytwin, open files", _ourselves("safetytwin-open-files")),
    Peer("the kernel's floor (C)", _floor),
    Peer("psutil", _ourselves("psutil", "psutil")),
    Peer("gopsutil (Go)", _gopsutil),
)


def _looker(mode: str) -> Callable[[], int]:
    """Return a function that looks once and returns how many processes it saw."""
    if mode == "psutil":
        return _psutil_look()
    from safetytwin.collectors.base import Look, LookOptions  # noqa: PLC0415 - only the measured peer is imported
    from safetytwin.collectors.host_root import HostRoot  # noqa: PLC0415
    from safetytwin.collectors.processes import ProcessesCollector  # noqa: PLC0415

    collector = ProcessesCollector(sockets=mode != "safetytwin-no-sockets")
    options = LookOptions(open_files=mode == "safetytwin-open-files")
    kept = []

    def look() -> int:
        kept[:] = collector.collect(Look(HostRoot(), options, 0, {}, time.monotonic(), time.time()))
        return len(kept)

    return look


def _psutil_look() -> Callable[[], int]:
    import psutil  # noqa: PLC0415 - only the measured peer is imported

    fields = [
        "pid", "ppid", "name", "exe", "cmdline", "cwd", "username", "uids", "status", "create_time", "nice",
        "cpu_percent", "cpu_times", "memory_percent", "memory_info", "num_threads", "num_fds", "io_counters",
        "open_files",
    ]  # fmt: skip
    kept = []

    def look() -> int:
        by_pid: dict[int | None, list[object]] = {}
        for connection in psutil.net_connections("inet"):
            by_pid.setdefault(connection.pid, []).append(connection)
        kept[:] = [(one.info, by_pid.get(one.pid, [])) for one in psutil.process_iter(fields)]
        return len(kept)

    return look


def measure(mode: str) -> dict[str, float]:
    """Look with one peer in this process; CPU in milliseconds, memory in megabytes."""
    look = _looker(mode)
    costs, seen, ends = [], 0, time.monotonic() + LONGEST
    while len(costs) < MOST_LOOKS + WARM_UP and (time.monotonic() < ends or len(costs) < FEWEST_LOOKS + WARM_UP):
        before = time.process_time()
        seen = look()
        costs.append(1000 * (time.process_time() - before))
        time.sleep(PAUSE)
    later = costs[WARM_UP:]
    return {
        "processes": seen,
        "first_ms": costs[0],
        "mean_ms": statistics.fmean(later),
        "median_ms": statistics.median(later),
        "looks": len(later),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


@contextmanager
def load(folder: str, processes: int, seconds: int) -> Iterator[None]:
    """Run a load of processes for as long as the block runs, seconds at most; it ends with its whole process group."""
    environment = os.environ | {"PERF_ACTIVE": "10"}
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


def build(folder: str) -> None:
    """Compile the load and the floor."""
    if shutil.which("gcc") is None:
        raise SystemExit("gcc is missing; install it, for instance: apt-get install gcc libc6-dev")
    for name in ("load", "worker", "floor"):
        source = os.path.join(HERE, f"{name}.c")
        subprocess.run(["gcc", "-O2", "-pthread", "-o", os.path.join(folder, name), source], check=True)


def run(sizes: list[int]) -> list[dict[str, object]]:
    """Measure every peer at every size, one after the other."""
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="safetytwin-bench-") as folder:
        build(folder)
        commands = [(peer.name, peer.command(folder)) for peer in PEERS]
        for size in sizes:
            with load(folder, size, seconds=600):
                for name, command in commands:
                    if command is None:
                        results.append({"load": size, "peer": name, "installed": False})
                        continue
                    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
                    results.append({"load": size, "peer": name, "installed": True} | json.loads(output))
    return results


def table(results: list[dict[str, object]]) -> str:
    """Return the results as a table; a ratio is a peer's cost over ours at the same load."""
    lines = []
    for size in dict.fromkeys(result["load"] for result in results):
        ours = next(result for result in results if result["load"] == size)
        lines += [f"load of {size} processes, a tenth at work; CPU ms a look, pause {PAUSE:g} s"]
        lines += [f"  {'':<24}{'first':>9}{'later':>9}{'median':>9}{'ratio':>8}{'first':>8}{'MB':>7}{'looks':>7}"]
        for result in results:
            if result["load"] != size:
                continue
            if not result["installed"]:
                lines.append(f"  {result['peer']:<24}not installed")
                continue
            first, mean = float(str(result["first_ms"])), float(str(result["mean_ms"]))
            lines.append(
                f"  {result['peer']:<24}{first:>9.1f}{mean:>9.2f}{result['median_ms']:>9.2f}"
                f"{mean / float(str(ours['mean_ms'])):>8.2f}{first / float(str(ours['first_ms'])):>8.2f}"
                f"{result['rss_mb']:>7.1f}{result['looks']:>7}"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", default="200,1000,5000", help="sizes of the load (default: 200,1000,5000)")
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    try:
        sizes = [int(size) for size in arguments.processes.split(",")]
    except ValueError:
        parser.error(f"--processes {arguments.processes!r}: write whole numbers with commas between, such as 200,1000")
    results = run(sizes)
    print(json.dumps(results, indent=2) if arguments.json else table(results))


if __name__ == "__main__":
    main()
