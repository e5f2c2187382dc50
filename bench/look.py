"""What a look costs, beside what other agents' looks cost.

Starts a load of N processes of five kinds, a tenth of them at work (load.c, worker.c), and has each peer look at it in
a process of its own, once and then again and again with a pause between: the CPU (user and system) of the first look
and of the later ones, and the peak of its memory. As root the load and the peers are alone, in namespaces of their
own. Machines vary: compare the ratios of one run.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from load import build, load, run_in_own_namespaces
from peers.outside import cpu_seconds, tree
from peers.programs import APPS, GLANCES, NODE_EXPORTER, PROCESS_EXPORTER, TOP, Program, Running
from peers.targets import FLOOR, GOPSUTIL, OURS, OURS_WITH_FILES, PSUTIL, cost, targets_table

HERE = os.path.dirname(os.path.abspath(__file__))
PAUSE = 1.0
WARM_UP = 2
MOST_LOOKS = 18
LONGEST = 9.0
"""Seconds for the looks of one peer at one size; at least FEWEST_LOOKS are made."""
FEWEST_LOOKS = 3
GIVEN_UP = 60.0
"""Seconds after which a peer counts as failed at a size."""
PAGE = os.path.join(os.path.dirname(HERE), "docs", "look-cost.md")
BEGIN, END = "<!-- written by ./dev bench look -->\n", "<!-- end of what ./dev bench look writes -->\n"


@dataclass(frozen=True)
class Peer:
    """Something that looks: a name, how to measure it, and what it does not gather of what ours does."""

    name: str
    command: Callable[[str], list[str] | None]
    """Given a folder for what is built, an argument list that prints a measurement as JSON; None: not installed."""
    lacks: str = ""
    install: str = ""


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
    build_it = ["go", "build", "-o", binary, "peer"]
    subprocess.run(build_it, check=True, env=environment, cwd=source, capture_output=True, text=True, timeout=120)
    return [binary, str(MOST_LOOKS), str(PAUSE), str(LONGEST)]


def _floor(folder: str) -> list[str] | None:
    return [os.path.join(folder, "floor"), str(MOST_LOOKS), str(PAUSE), str(LONGEST)]


def _program(program: Program) -> Peer:
    command = [sys.executable, os.path.abspath(__file__), "--measure", program.name]
    return Peer(program.name, lambda _: command, program.lacks, program.install)


PROGRAMS = {program.name: program for program in (GLANCES, PROCESS_EXPORTER, NODE_EXPORTER, APPS, TOP)}
_GO = "apt-get install golang-go golang-github-shirou-gopsutil-dev"
PEERS = (
    Peer(OURS, _ourselves("safetytwin"), "open files, unless asked for"),
    Peer("SafetyTwin, no sockets", _ourselves("safetytwin-no-sockets"), "connections"),
    Peer(OURS_WITH_FILES, _ourselves("safetytwin-open-files")),
    Peer("SafetyTwin, the whole machine", _ourselves("safetytwin-machine"), "AI workloads"),
    Peer("SafetyTwin, whole, with AI", _ourselves("safetytwin-ai")),
    Peer(FLOOR, _floor, "anything: it makes the reads of a look and parses none of them"),
    Peer(PSUTIL, _ourselves("psutil", "psutil"), "services, containers, control groups", "pip install psutil"),
    Peer(GOPSUTIL, _gopsutil, "services, containers, control groups", _GO),
    *map(_program, PROGRAMS.values()),
)


def _looker(mode: str) -> Callable[[], int]:
    """Return a function that looks once and returns how many processes it saw."""
    if mode == "psutil":
        return _psutil_look()
    if mode in {"safetytwin-machine", "safetytwin-ai"}:
        return _machine_look(recognise=mode == "safetytwin-ai")
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


def _machine_look(*, recognise: bool) -> Callable[[], int]:
    from safetytwin.agent.config import AgentConfig  # noqa: PLC0415 - only the measured peer is imported
    from safetytwin.agent.observer import make_observer  # noqa: PLC0415

    observer = make_observer(AgentConfig(recognise=recognise), "bench")
    kept = []

    def look() -> int:
        kept[:] = [observer.observe()]
        return len(kept[0].processes)

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
        "rss_mb": _peak_megabytes("self"),
    }


def measure_program(program: Program) -> dict[str, object] | None:
    """Measure another program from outside while it looks each second, or whenever it is asked; None: not installed."""
    with tempfile.TemporaryDirectory(prefix="safetytwin-bench-") as folder:
        running = program.start(folder, PAUSE)
        if running is None:
            return None
        pid = running.process.pid
        try:
            _wait_until_it_answers(program, running)
            costs, ends = [], time.monotonic() + LONGEST
            before = sum(map(cpu_seconds, tree(pid)))
            while time.monotonic() < ends or len(costs) < FEWEST_LOOKS:
                if running.ask is not None:
                    running.ask()
                time.sleep(PAUSE)
                after = sum(map(cpu_seconds, tree(pid)))
                costs.append(1000 * (after - before))
                before = after
            if running.process.poll() is not None:
                raise SystemExit(f"{program.name} ended by itself with status {running.process.returncode}")
            peak = sum(_peak_megabytes(str(one)) for one in tree(pid))
        finally:
            running.process.send_signal(signal.SIGTERM)
            try:
                running.process.wait(10)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
    result: dict[str, object] = {"mean_ms": statistics.fmean(costs), "looks": len(costs), "rss_mb": peak}
    return result | ({"median_ms": statistics.median(costs)} if running.ask is not None else {})


def _wait_until_it_answers(program: Program, running: Running) -> None:
    """Wait for a program's first look; raises SystemExit where it does not answer within a minute."""
    time.sleep(3)
    ends = time.monotonic() + 60
    while running.ask is not None:
        try:
            running.ask()
        except OSError as error:
            if time.monotonic() > ends:
                raise SystemExit(f"{program.name} does not answer: {error}") from error
            time.sleep(1)
        else:
            return


def _peak_megabytes(pid: str) -> float:
    """Return the peak of resident memory since exec; ru_maxrss would hold that of the parent before exec too."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) / 1024


def run(sizes: list[int]) -> list[dict[str, object]]:
    """Measure every peer at every size, one after the other."""
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="safetytwin-bench-") as folder:
        build(folder)
        commands = [(peer, *prepared(peer, folder)) for peer in PEERS]
        for size in sizes:
            with load(folder, size, seconds=1200):
                for peer, command, failure in commands:
                    result = failure
                    if command is not None:
                        print(f"{size}: {peer.name}", file=sys.stderr)
                        result = measured(command)
                    results.append({"load": size, "peer": peer.name} | result)
    return results


def prepared(peer: Peer, folder: str) -> tuple[list[str] | None, dict[str, object]]:
    """Return how a peer is measured, or None and why it can't be."""
    try:
        return peer.command(folder), {"state": "not installed"}
    except (OSError, subprocess.SubprocessError) as error:
        return None, _failed(error)


def measured(command: list[str], longest: float = GIVEN_UP) -> dict[str, object]:
    """Return what a peer's measurement prints, and its state: measured, not installed, or failed and why."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        try:
            printed, said = running.communicate(timeout=longest)
            if running.returncode:
                raise subprocess.CalledProcessError(running.returncode, command, printed, said)
            result = json.loads(printed)
        except (subprocess.SubprocessError, ValueError) as error:
            return _failed(error)
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)  # a program it started would otherwise go on
    return {"state": "measured"} | result if result else {"state": "not installed"}


def _failed(error: Exception) -> dict[str, object]:
    said = getattr(error, "stderr", None)
    text = said.decode(errors="replace") if isinstance(said, bytes) else said or ""
    return {"state": "failed", "why": "; ".join([str(error), *text.strip().splitlines()[-3:]])}


def table(results: list[dict[str, object]]) -> str:
    """Return the results as a table in Markdown; a ratio is a peer's cost over ours at the same load."""
    sizes = list(dict.fromkeys(result["load"] for result in results))
    found = {(result["load"], result["peer"]): result for result in results}

    def cells(values: Callable[[dict[str, object], dict[str, object]], list[str]], peer: Peer) -> str:
        rows = []
        for size in sizes:
            result = found[size, peer.name]
            state = str(result["state"])
            rows += values(result, found[size, OURS]) if state == "measured" else [state, ""]
        return " | ".join(rows)

    def later(result: dict[str, object], ours: dict[str, object]) -> list[str]:
        return _with_ratio(cost(result), cost(ours))

    def first(result: dict[str, object], ours: dict[str, object]) -> list[str]:
        return _with_ratio(cost(result, first=True), cost(ours, first=True))

    head = "".join(f" {size:,} | × |" for size in sizes)  # noqa: RUF001 - the sign of multiplication is meant
    line = "---|" * (2 * len(sizes))
    lines = [f"| a look, ms of CPU |{head} does not gather |", f"|---|{line}---|"]
    lines += [f"| {peer.name} | {cells(later, peer)} | {_lacks(peer)} |" for peer in PEERS]
    lines += ["", f"| first look, ms of CPU |{head}", f"|---|{line}"]
    inside = [peer for peer in PEERS if peer.name not in PROGRAMS]
    lines += [f"| {peer.name} | {cells(first, peer)} |" for peer in inside]
    memory = "".join(f" {size:,} |" for size in sizes)
    lines += ["", f"| peak memory, MB |{memory}", f"|---|{'---|' * len(sizes)}"]
    for peer in PEERS:
        peaks = [found[size, peer.name].get("rss_mb") for size in sizes]
        lines.append(f"| {peer.name} | " + " | ".join("–" if peak is None else _short(peak) for peak in peaks) + " |")
    return "\n".join([*lines, "", targets_table(results)])


def _with_ratio(value: float | None, ours: float | None) -> list[str]:
    return ["–" if value is None else _short(value), "–" if value is None or not ours else _short(value / ours)]


def _short(value: object) -> str:
    number = float(str(value))
    return f"{number:.0f}" if number >= 99.5 else f"{number:.1f}" if number >= 9.95 else f"{number:.2f}"


def _lacks(peer: Peer) -> str:
    return peer.lacks or "–"


def write_page(page: str, begin: str, end: str, text: str) -> None:
    """Put text between two marks of a page; raises SystemExit where the page has not both."""
    with open(page, encoding="utf-8") as file:
        before, found, rest = file.read().partition(begin)
    _, also, after = rest.partition(end)
    if not (found and also):
        raise SystemExit(f"{page} lacks the marks {begin.strip()} and {end.strip()}")
    with open(page, "w", encoding="utf-8") as file:
        file.write(before + begin + "\n" + text + "\n" + end + after)


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", default="200,1000,5000", help="sizes of the load (default: 200,1000,5000)")
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    parser.add_argument("--no-page", action="store_true", help="leave docs/look-cost.md as it is")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        program = PROGRAMS.get(arguments.measure)
        print(json.dumps(measure_program(program) if program else measure(arguments.measure)))
        return
    try:
        sizes = [int(size) for size in arguments.processes.split(",")]
    except ValueError:
        parser.error(f"--processes {arguments.processes!r}: write whole numbers with commas between, such as 200,1000")
    run_in_own_namespaces()
    results = run(sizes)
    text = table(results)
    print(json.dumps(results, indent=2) if arguments.json else text)
    for result in results:
        if result["state"] == "failed":
            print(f"{result['peer']} failed at {result['load']}: {result['why']}", file=sys.stderr)
    for peer in PEERS:
        if any(one["peer"] == peer.name and one["state"] == "not installed" for one in results):
            print(f"{peer.name} is not installed; to have it measured: {peer.install}", file=sys.stderr)
    if not arguments.no_page:
        write_page(PAGE, BEGIN, END, text)


if __name__ == "__main__":
    main()
