"""What a day of one machine takes on disk, and how fast its past is read: python bench/history.py [--looks N]."""

import argparse
import random
import tempfile
import time
from pathlib import Path

from safetytwin.bridge.ingest import Ingest
from safetytwin.bridge.stores.base import Retention
from safetytwin.bridge.stores.sqlite import SqliteStore
from safetytwin.changes.diff import tree_of
from safetytwin.changes.trees import canonical_bytes
from safetytwin.fleet.frames import FrameMaker, sent
from safetytwin.fleet.machine import Machine


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--looks", type=int, default=8640)
    parser.add_argument("--processes", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder), reserve_bytes=0)
        ingest = Ingest(store)
        machine = Machine("atlas", processes=options.processes)
        maker = FrameMaker("atlas", "0123456789abcdef", boot=machine.now - 1000)
        drawn = random.Random(1).sample(range(options.looks), min(200, options.looks))  # noqa: S311 - a simulation
        chosen = dict.fromkeys(drawn, b"")
        moments = {}
        spent = 0.0
        for index in range(options.looks):
            state = machine.look()
            frame = sent(maker.frame(state, machine.now))
            began = time.perf_counter()
            ingest.accept("atlas", [frame], machine.now)
            spent += time.perf_counter() - began
            if index in chosen:
                chosen[index], moments[index] = canonical_bytes(tree_of(state)), machine.now
        store.retain(Retention(), machine.now)
        size = store.stats().bytes
        day = 8640 / options.looks
        print(
            f"{options.looks} looks, {options.processes} processes: {size / 1e6:.2f} MB, "
            f"{size * day / 1e6:.2f} MB a day"
        )
        print(f"ingest: {spent / options.looks * 1000:.2f} ms a frame")
        times = []
        for index, expected in chosen.items():
            began = time.perf_counter()
            found = store.state_at("atlas", moments[index])
            times.append((time.perf_counter() - began) * 1000)
            assert found.state == expected, index
        print(f"a past moment: p50 {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms")
        names = ["cpu.usage", "memory.usage", "network[eth0].rx"]
        times = []
        for _ in range(10):
            began = time.perf_counter()
            store.series("atlas", names, machine.now - 86400, machine.now, 172.8)
            times.append((time.perf_counter() - began) * 1000)
        print(f"a day's chart of three series: p50 {percentile(times, 0.5):.1f} ms, worst {max(times):.1f} ms")
        store.close()


if __name__ == "__main__":
    main()
