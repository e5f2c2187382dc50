"""What an agent costs as it runs: looking, comparing, redacting, encoding and sending, for minutes on end.

Ours reports to a bridge on this machine every 10 seconds, beside other agents that look or are asked as often: all at
the same time at the same load of 300 processes, of which a tenth works each second and one comes and one goes in every
interval. As root all of them are alone with it, in namespaces of their own; the bridge is not seen there. CPU, memory
and wake-ups are those that the kernel counts for each whole program. Machines vary: compare the ratios of one run.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from load import build, load, run_in_own_namespaces
from look import write_page
from peers.outside import Use, use_of
from peers.programs import GLANCES_SERVER, NETDATA, NODE_EXPORTER, PROCESS_EXPORTER, Program, free_port

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "agent-cost.md")
BEGIN, END = "<!-- written by ./dev bench agent -->\n", "<!-- end of what ./dev bench agent writes -->\n"
PEERS = (GLANCES_SERVER, NODE_EXPORTER, PROCESS_EXPORTER, NETDATA)
PROCESSES = 300
INTERVAL = 10.0
COMING = 10.0
"""A process starts every so many seconds, and ends half a minute later."""
BRIDGE_PORT = "BENCH_BRIDGE_PORT"
DAY = 86400.0


class Counter:
    """Passes a TCP connection on and counts what goes to the bridge, headers included."""

    def __init__(self, port: int) -> None:
        self.sent = 0
        self._bridge = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            agent, _ = self._listener.accept()
            bridge = socket.create_connection(("127.0.0.1", self._bridge))
            threading.Thread(target=self._pass, args=(agent, bridge, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(bridge, agent, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        while data := source.recv(65536):
            self.sent += len(data) if counted else 0
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@dataclass
class Measured:
    """One agent that runs: what it had used when the measurement began."""

    name: str
    lacks: str
    process: subprocess.Popen[bytes]
    counter: Counter | None = None
    before: Use | None = None
    sent_before: int = 0


@contextmanager
def stopped_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process when the block does."""
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def churn(stop: threading.Event) -> None:
    """Let processes come and go."""
    running: list[subprocess.Popen[bytes]] = []
    while not stop.wait(COMING):
        running = [one for one in running if one.poll() is None]
        running.append(subprocess.Popen(["sleep", "30"]))
    for one in running:
        one.wait()


def ask_again_and_again(program: Program, ask: object, stop: threading.Event) -> None:
    """Scrape an agent at each interval, as its server would."""
    while not stop.wait(INTERVAL):
        try:
            ask()  # type: ignore[operator]  # what Running.ask holds
        except OSError as error:
            print(f"{program.name} does not answer: {error}", file=sys.stderr)


@contextmanager
def bridge() -> Iterator[dict[str, str]]:
    """Run a bridge that the agents do not see among the processes; yield its port as a variable of the environment."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="safetytwin-bench-") as data:
        command = [sys.executable, "-m", "safetytwin", "bridge", "--listen", f"127.0.0.1:{port}", "--data", data]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with stopped_at_the_end(running):
            yield {BRIDGE_PORT: str(port)}


def start_ours(stack: ExitStack, folder: str) -> Measured:
    """Start our agent, which reports to the bridge."""
    counter = Counter(int(os.environ[BRIDGE_PORT]))
    command = [sys.executable, "-m", "safetytwin", "agent", "--bridge", counter.url, "--interval", f"{INTERVAL:g}"]
    command += ["--state-directory", os.path.join(folder, "SafetyTwin")]
    agent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.enter_context(stopped_at_the_end(agent))
    return Measured("SafetyTwin", "", agent, counter)


def start_peer(stack: ExitStack, folder: str, program: Program, stop: threading.Event) -> Measured | None:
    """Start another agent, None where it is not installed."""
    place = os.path.join(folder, program.name)
    os.makedirs(place)
    running = program.start(place, INTERVAL)
    if running is None:
        return None
    stack.enter_context(stopped_at_the_end(running.process))
    if running.ask is not None:
        threading.Thread(target=ask_again_and_again, args=(program, running.ask, stop), daemon=True).start()
    return Measured(program.name, program.lacks, running.process)


def run(minutes: float) -> str:
    """Measure all for so many minutes; return the table."""
    warm_up = min(65.0, 20 * minutes)
    with tempfile.TemporaryDirectory(prefix="safetytwin-bench-") as folder, ExitStack() as stack:
        build(folder)
        stack.enter_context(load(folder, PROCESSES, seconds=int(60 * minutes + warm_up + 120)))
        stop = threading.Event()
        coming = threading.Thread(target=churn, args=(stop,))
        coming.start()
        stack.callback(coming.join)
        stack.callback(stop.set)
        agents = [start_ours(stack, folder)]
        missing = []
        for program in PEERS:
            started = start_peer(stack, folder, program, stop)
            if started is None:
                missing.append(program)
            else:
                agents.append(started)
        time.sleep(warm_up)
        for agent in agents:
            if agent.process.poll() is not None:
                raise SystemExit(f"{agent.name} ended by itself with status {agent.process.returncode}")
            agent.before = use_of(agent.process.pid)
            agent.sent_before = agent.counter.sent if agent.counter else 0
        began = time.monotonic()
        time.sleep(60 * minutes)
        rows = [row(agent, time.monotonic() - began) for agent in agents]
    rows += [f"| {program.name} | not installed: {program.install} | | | | | |" for program in missing]
    head = [
        f"{minutes:g} minutes, {PROCESSES} processes, every {INTERVAL:g} s.",
        "",
        "| | CPU, % of a core | memory now, MB | at its peak | wake-ups a minute | MB sent a day | does not gather |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def row(agent: Measured, seconds: float) -> str:
    """Return an agent's row of the table."""
    assert agent.before is not None
    after = use_of(agent.process.pid)
    percent = 100 * (after.cpu - agent.before.cpu) / seconds
    waits = 60 * (after.waits - agent.before.waits) / seconds
    sent = "–"
    if agent.counter is not None:
        sent = f"{(agent.counter.sent - agent.sent_before) / seconds * DAY / 1e6:.1f}"
    return (
        f"| {agent.name} | {percent:.3f} | {after.rss:.1f} | {after.peak:.1f} | {waits:.0f} | {sent} | "
        f"{agent.lacks or '–'} |"
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long is measured (default: 10)")
    parser.add_argument("--no-page", action="store_true", help="leave docs/agent-cost.md as it is")
    arguments = parser.parse_args()
    run_in_own_namespaces(bridge)
    text = run(arguments.minutes)
    print(text)
    if not arguments.no_page:
        write_page(PAGE, BEGIN, END, text)


if __name__ == "__main__":
    main()
