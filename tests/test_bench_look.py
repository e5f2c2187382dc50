"""What the benchmarks print: ratios to ours, who is not installed, and only between a page's marks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from look import PEERS, table, write_page
from peers.outside import tree, use_of


def _results() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for number, peer in enumerate(PEERS):
        measured = {"mean_ms": 5.0 * (number + 1), "first_ms": 50.0, "rss_mb": 20.0, "looks": 9, "processes": 200}
        found.append({"load": 200, "peer": peer.name, "installed": True} | measured)
    return found


def test_ratios_are_those_of_the_same_load_and_what_is_missing_says_so() -> None:
    results = _results()
    last = results[-1]["peer"]
    results[-1] = {"load": 200, "peer": last, "installed": False}
    rows = {line.split("|")[1].strip(): line for line in table(results).splitlines() if line.startswith("|")}
    lines = table(results).splitlines()
    assert any(line.startswith(f"| {PEERS[0].name} | 5.00 | 1.00 |") for line in lines)
    assert any(line.startswith(f"| {PEERS[2].name} | 15.0 | 3.00 |") for line in lines)
    assert any(line.startswith(f"| {last} | not measured |  |") for line in lines)
    assert rows[str(last)] == f"| {last} | – |"


def test_a_page_is_written_between_its_marks_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<begin>\nold\n<end>\nafter\n")
    write_page(str(page), "<begin>\n", "<end>\n", "new\n")
    write_page(str(page), "<begin>\n", "<end>\n", "newer\n")
    assert page.read_text() == "before\n<begin>\n\nnewer\n\n<end>\nafter\n"
    with pytest.raises(SystemExit, match="lacks the marks"):
        write_page(str(page), "<start>\n", "<end>\n", "new\n")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_use_of_a_program_is_that_of_all_its_processes() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, burn], stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == b"done\n"
            use = use_of(running.pid)
            time.sleep(0.1)
            assert use.cpu >= 0.3
            assert use.rss > 5
            assert use.waits <= use_of(running.pid).waits
        finally:
            for pid in tree(running.pid):
                os.kill(pid, signal.SIGTERM)
