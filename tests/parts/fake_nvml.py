"""A libnvidia-ml.so.1 of our own for machines without an NVIDIA GPU, and a process of its own that looks through it.

A process loads a library once for ever, and finds it through LD_LIBRARY_PATH as that was at its start: so each test
looks from a child.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

SOURCE = Path(__file__).with_suffix(".c")
COMPILER = shutil.which("gcc") or shutil.which("cc")

H100 = """
[gpu]
name=NVIDIA H100 80GB HBM3
uuid=GPU-11111111-2222-3333-4444-555555555555
serial=1650423012345
vbios=96.00.74.00.01
pci=00000000:1B:00.0
pci_id=0x233010de
util=87
mem_util=41
encoder=3
decoder=4
temperature=61
power_mw=512345
power_limit_mw=700000
pstate=0
compute_mode=0
persistence=1
ecc=1
mig=0
mig_max=7
clock0=1980
clock1=1975
clock2=2619
clock3=1545
clock_max0=1980
clock_max2=2619
throttle=0x204
pcie_gen=5
pcie_gen_max=5
pcie_width=16
pcie_width_max=16
rx_kb=1000
tx_kb=2000
total=85520809984
used=40000000000
reserved=500000000
field=82:72
field=83:123456789
field=3:5
field=4:1
field=29:2
field=30:1
field=142:3
field=143:0
field=144:1
field=145:0
link=0:1:4:00000000:05:00.0
link=1:0:4:00000000:06:00.0
"""

LAPTOP = """
[gpu]
name=NVIDIA GeForce MX150
uuid=GPU-99999999-0000-0000-0000-000000000000
pci=00000000:02:00.0
pci_id=0x1d1010de
util=7
mem_util=0
temperature=48
total=2147483648
used=104857600
"""
"""Answers "not supported" to most questions, as laptops' GPUs do."""

UNIFIED = """
[gpu]
name=NVIDIA GB10
uuid=GPU-aaaaaaaa-0000-0000-0000-000000000000
pci=0000000F:01:00.0
pci_id=0x2e1210de
util=12
mem_util=0
temperature=40
power_mw=4800
"""
"""A board whose memory is the machine's own: it has no memory to report, but processes that use some."""

SYSTEM = "[system]\ndriver=580.65.06\nnvml=13.580.65.06\ncuda=13000\n"


class FakeNvml:
    """The library in a folder, with the file that says what GPUs there are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.calls_file = folder / "calls"
        self.library = folder / "libnvidia-ml.so.1"

    def build(self, *defines: str) -> None:
        assert COMPILER is not None
        flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden"]
        name = "-Wl,-soname,libnvidia-ml.so.1"
        subprocess.run(
            [COMPILER, *flags, *defines, name, "-o", str(self.library), str(SOURCE)], check=True, timeout=120
        )

    def write(self, *sections: str, system: str = SYSTEM) -> None:
        """Say what GPUs there are; whole or not at all, for the library may read at any moment."""
        new = self.state.with_suffix(".new")
        new.write_text("\n".join([system, *sections]))
        new.replace(self.state)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "LD_LIBRARY_PATH": str(self.folder),
            "FAKE_NVML_STATE": str(self.state),
            "FAKE_NVML_CALLS": str(self.calls_file),
        }

    def calls(self) -> list[str]:
        """Return the functions called since this was last asked, as "function argument"."""
        if not self.calls_file.exists():
            return []
        lines = self.calls_file.read_text().splitlines()
        self.calls_file.unlink()
        return lines


class Looker:
    """A process that looks with NvidiaCollector when told to."""

    def __init__(self, environment: dict[str, str], roots: dict[str, str] | None = None) -> None:
        self._child = subprocess.Popen(
            [sys.executable, __file__, json.dumps(roots or {})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.communicate(timeout=60)

    def look(self, **clocks: float) -> dict[str, Any]:
        """Return what one look found: gpus, or error; notes, hint and whether pynvml was imported."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(clocks) + "\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._child.stdout.readline())
        return answer


def _serve() -> None:
    import msgspec

    from safetytwin.collectors.base import Look, LookOptions
    from safetytwin.collectors.gpu_nvidia import NvidiaCollector
    from safetytwin.collectors.host_root import HostRoot

    collector = NvidiaCollector()
    root = HostRoot(**json.loads(sys.argv[1]))
    for number, line in enumerate(sys.stdin):
        clocks = {"monotonic": 1000.0 + 10 * number, "wall": 1.7e9 + 10 * number, **json.loads(line)}
        look = Look(root, LookOptions(), number, {}, **clocks)
        answer: dict[str, Any] = {}
        try:
            answer["gpus"] = collector.collect(look)
        except Exception as error:
            answer = {"error": type(error).__name__, "message": str(error), "hint": getattr(error, "hint", None)}
        answer |= {"notes": look.notes, "look_hint": look.hint, "pynvml": "pynvml" in sys.modules}
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
        sys.stdout.flush()
    collector.close()


if __name__ == "__main__":
    _serve()
