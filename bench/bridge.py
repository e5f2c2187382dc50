"""One bridge process under the frames of many machines: what it takes, how far behind it falls, what it costs.

Each simulated machine (safetytwin.fleet) sends, over HTTP and zstd, a full frame and then changes: some processes move
their gauges at each look, one now and then starts or ends. The load comes from another process than the bridge; both
share this computer, so that what is measured is a lower bound. Machines of a small number of seeds share their frames,
for making them all would cost more than taking them: what a bridge sees differs by the names alone.
"""

import argparse
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import urlsplit

import msgspec
import zstandard

from safetytwin.fleet.frames import FrameMaker
from safetytwin.fleet.machine import Machine

SERVE = """
import pathlib, sys
from safetytwin.bridge.server import BridgeOptions, run_bridge
sys.exit(run_bridge(BridgeOptions(pathlib.Path(sys.argv[1]), port=0, on_ready=lambda url: print(url, flush=True))))
"""
MODELS = 20
"""Simulated machines whose looks are made; the others are like them."""
_NAME = "a-machine-with-a-name-of-its-own"


class Model:
    """One simulated machine, of which many are told."""

    def __init__(self, seed: int, processes: int) -> None:
        self._machine = Machine(_NAME, seed=seed, processes=processes, start=time.time())
        self._maker = FrameMaker(_NAME, f"{seed:016x}", boot=time.time() - 1000)
        self._frames: list[bytes] = []
        self._lock = threading.Lock()

    def frame(self, number: int) -> bytes:
        """Return the JSON of a frame of the model."""
        with self._lock:
            while len(self._frames) <= number:
                frame = self._maker.frame(self._machine.look(), self._machine.now)
                self._frames.append(msgspec.json.encode([frame]))
            return self._frames[number]


class Told:
    """One machine that is like a model."""

    def __init__(self, number: int, model: Model) -> None:
        self.host_id = f"machine-{number:05d}"
        self._model = model
        self._next = 0
        self._compressor = zstandard.ZstdCompressor(level=3)

    def body(self) -> bytes:
        """Return the body of the next request."""
        frame = self._model.frame(self._next).replace(_NAME.encode(), self.host_id.encode())
        self._next += 1
        return self._compressor.compress(frame)


class Load:
    """Sends the frames of machines and notes what became of them."""

    def __init__(self, url: str, machines: list[Told], threads: int) -> None:
        self._address = urlsplit(url).netloc
        self._shares = [machines[number::threads] for number in range(threads)]
        self._lock = threading.Lock()
        self.sent = 0
        self.refused: dict[int, int] = {}
        self.latencies: list[float] = []
        self.lag = 0.0

    def round(self, interval: float | None) -> float:
        """Send one frame of each machine, spread over the interval; return the seconds it took."""
        began = time.monotonic()
        threads = [threading.Thread(target=self._send, args=(share, began, interval)) for share in self._shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        time.sleep(max(0.0, (interval or 0.0) - seconds))
        return seconds

    def _send(self, share: list[Told], began: float, interval: float | None) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        for position, machine in enumerate(share):
            body = machine.body()
            late = 0.0
            if interval is not None:
                due = began + interval * position / len(share)
                time.sleep(max(0.0, due - time.monotonic()))
                late = time.monotonic() - due
            started = time.monotonic()
            connection.request("POST", f"/api/v1/hosts/{machine.host_id}/frames", body, {"Content-Encoding": "zstd"})
            response = connection.getresponse()
            response.read()
            with self._lock:
                self.lag = max(self.lag, late)
                self.latencies.append(time.monotonic() - started)
                if response.status == 200:
                    self.sent += 1
                else:
                    self.refused[response.status] = self.refused.get(response.status, 0) + 1
        connection.close()


def usage(pid: int) -> tuple[float, int]:
    """Return a process's CPU seconds and resident bytes (proc_pid_stat(5))."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


def report(name: str, load: Load, seconds: float, cpu: float, rss: int, machines: int, before: int) -> None:
    latencies = sorted(load.latencies)
    middle, high = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    print(
        f"{name}: {load.sent / seconds:.0f} frames/s, answered in {middle * 1e3:.1f} ms (99 %: {high * 1e3:.1f} ms), "
        f"bridge {cpu / seconds * 100:.0f} % of a core ({cpu / max(1, load.sent) * 1e3:.2f} ms a frame), "
        f"{(rss - before) / machines / 1024:.0f} KiB a machine, sender late by at most {load.lag:.2f} s, "
        f"refused {load.refused or 'none'}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--interval", type=float, default=10.0, help="of the machines' looks, in seconds")
    parser.add_argument("--processes", type=int, default=300)
    parser.add_argument("--threads", type=int, default=16, help="that send")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        bridge = subprocess.Popen([sys.executable, "-c", SERVE, data], stdout=subprocess.PIPE, text=True)
        try:
            measure(bridge, arguments)
        finally:
            bridge.terminate()
            bridge.wait(60)


def measure(bridge: subprocess.Popen, arguments: argparse.Namespace) -> None:
    url = bridge.stdout.readline().strip()
    models = [Model(seed, arguments.processes) for seed in range(min(MODELS, arguments.machines))]
    machines = [Told(number, models[number % len(models)]) for number in range(arguments.machines)]
    _, empty = usage(bridge.pid)

    def run(name: str, interval: float | None, seconds: float) -> None:
        load = Load(url, machines, arguments.threads)
        cpu, _ = usage(bridge.pid)
        began = time.monotonic()
        rounds = []
        while not rounds or time.monotonic() - began + (interval or 0) / 2 < seconds:
            rounds.append(load.round(interval))
        after, rss = usage(bridge.pid)
        report(name, load, time.monotonic() - began, after - cpu, rss, len(machines), empty)
        if interval is not None and len(rounds) > 1:
            print(
                f"  lag: the first round took {rounds[0]:.2f} s, the last {rounds[-1]:.2f} s of {interval:g}",
                flush=True,
            )

    run("full frames, as fast as can be", None, 0)
    run(f"{arguments.machines / arguments.interval:.0f} frames/s wanted", arguments.interval, arguments.seconds)
    run("changes, as fast as can be", None, min(20.0, arguments.seconds))


if __name__ == "__main__":
    main()
