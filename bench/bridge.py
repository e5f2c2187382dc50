"""One bridge process under the frames of many machines: what it takes, how far behind it falls, what it costs.

Each simulated machine has its own processes and sends, over HTTP and zstd, a full frame and then changes: some
processes move their gauges at each look, one now and then starts or ends. The load comes from another process than the
bridge; both share this computer, so that what is measured is the lower bound.
"""

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import zstandard

SERVE = """
import pathlib, sys
from safetytwin.bridge.server import BridgeOptions, run_bridge
sys.exit(run_bridge(BridgeOptions(pathlib.Path(sys.argv[1]), port=0, on_ready=lambda url: print(url, flush=True))))
"""
MOVING = 0.12
"""Share of processes whose gauges move between two looks; the others sleep."""


class Machine:
    """One simulated machine."""

    def __init__(self, number: int, processes: int) -> None:
        self.host_id = f"machine-{number:05d}"
        self._random = random.Random(number)  # noqa: S311 - a simulation that is the same each time
        self._epoch = f"{self._random.getrandbits(64):016x}"
        self._boot = self._random.uniform(1e4, 1e6)
        self._seq = 0
        self._pids = list(range(1, processes + 1))
        self._next_pid = processes + 1
        self._compressor = zstandard.ZstdCompressor(level=3)

    def frame(self) -> bytes:
        """Return the body of the next request."""
        kind, content = ("full", {"state": self._state()}) if self._seq == 0 else ("change", {"change": self._change()})
        frame = {
            "host_id": self.host_id,
            "epoch": self._epoch,
            "seq": self._seq,
            "kind": kind,
            "observed_at": _now(),
            "monotonic": self._boot + time.monotonic(),
            **content,
        }
        self._seq += 1
        return self._compressor.compress(json.dumps([frame]).encode())

    def _process(self, pid: int) -> dict:
        return {
            "pid": pid, "start_ticks": pid * 100, "name": f"worker-{pid % 40}", "ppid": 1, "username": "service",
            "exe": f"/usr/bin/worker-{pid % 40}", "cmdline": [f"/usr/bin/worker-{pid % 40}", "--queue", str(pid)],
            "status": "sleeping", "create_time": "2026-01-31T14:00:00.000Z",
            "cgroup": f"/system.slice/w{pid % 40}.service",
            **self._gauges(),
        }  # fmt: skip

    def _gauges(self) -> dict:
        rss = self._random.randrange(1 << 20, 1 << 28)
        return {
            "cpu_percent": round(self._random.random() * 10, 1), "cpu_seconds": round(self._random.random() * 1e4, 2),
            "memory_percent": round(rss / (1 << 35) * 100, 3),
            "memory_info": {"rss": rss, "vms": rss * 4, "shared": rss // 4},
            "num_threads": 4,
        }  # fmt: skip

    def _state(self) -> dict:
        services = [
            {
                "type": "systemd",
                "id": f"w{i}.service",
                "name": f"w{i}.service",
                "status": "active",
                "sub_status": "running",
            }
            for i in range(80)
        ]
        return {
            "schema": 1, "host_id": self.host_id, "seq": 0, "timestamp": _now(),
            "hardware": {"hostname": self.host_id, "cpu": {"cores_logical": 8, "usage_percent": 10.0},
                         "memory": {"total": 1 << 35, "used": 1 << 34, "usage_percent": 50.0}},
            "services": services, "processes": [self._process(pid) for pid in self._pids],
            "agent": {"version": "0.1.0", "backend": "proc", "collectors": {}, "interval": 10.0},
        }  # fmt: skip

    def _change(self) -> dict:
        moving = self._random.sample(self._pids, max(1, int(len(self._pids) * MOVING)))
        processes: dict = {"changed": {f"{pid}/{pid * 100}": self._gauges() for pid in moving}}
        if self._random.random() < 0.3:
            gone = self._pids.pop(self._random.randrange(len(self._pids)))
            processes["changed"].pop(f"{gone}/{gone * 100}", None)
            processes["removed"] = [f"{gone}/{gone * 100}"]
            self._pids.append(self._next_pid)
            processes["added"] = [self._process(self._next_pid)]
            self._next_pid += 1
        usage = round(self._random.random() * 100, 1)
        hardware = {"cpu": {"usage_percent": usage}, "memory": {"used": self._random.randrange(1 << 34)}}
        return {
            "state": {"seq": self._seq, "timestamp": _now(), "hardware": hardware},
            "collections": {"processes": processes},
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Load:
    """Sends the frames of machines, each in its turn, from some threads."""

    def __init__(self, url: str, machines: list[Machine], threads: int) -> None:
        self._address = urlsplit(url).netloc
        self._shares = [machines[i::threads] for i in range(threads)]
        self.sent = 0
        self.refused: dict[int, int] = {}
        self.latencies: list[float] = []
        self.lag = 0.0
        self._lock = threading.Lock()

    def round(self, interval: float | None) -> float:
        """Send one frame of each machine within the interval (None: as fast as can be); return how long it took."""
        began = time.monotonic()
        threads = [threading.Thread(target=self._send, args=(share, began, interval)) for share in self._shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - began

    def _send(self, share: list[Machine], began: float, interval: float | None) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        for position, machine in enumerate(share):
            body = machine.frame()
            if interval is not None:
                due = began + interval * position / len(share)
                time.sleep(max(0.0, due - time.monotonic()))
                late = time.monotonic() - due
            else:
                late = 0.0
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
        f"refused {load.refused or 'none'}"
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
    machines = [Machine(number, arguments.processes) for number in range(arguments.machines)]
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
            print(f"  lag: the first round took {rounds[0]:.2f} s, the last {rounds[-1]:.2f} s of {interval:g}")

    run("full frames, as fast as can be", None, 0)
    run(f"{arguments.machines / arguments.interval:.0f} frames/s wanted", arguments.interval, arguments.seconds)
    run("changes, as fast as can be", None, min(20.0, arguments.seconds))


if __name__ == "__main__":
    main()
