"""What the benchmarks print: ratios to ours, who is not installed, and only between a page's marks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from look import PEERS, Peer, measured, prepared, table, write_page
from peers.outside import tree, use_of
from peers.targets import FLOOR, GOPSUTIL, OURS, OURS_WITH_FILES, PSUTIL, targets_table


def _results() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for number, peer in enumerate(PEERS):
        measured = {"mean_ms": 5.0 * (number + 1), "first_ms": 50.0, "rss_mb": 20.0, "looks": 9, "processes": 200}
        found.append({"load": 200, "peer": peer.name, "state": "measured"} | measured)
    return found


def test_ratios_are_those_of_the_same_load_and_what_is_missing_says_so() -> None:
    results = _results()
    last = results[-1]["peer"]
    results[-1] = {"load": 200, "peer": last, "state": "not installed"}
    failed = results[-2]["peer"]
    results[-2] = {"load": 200, "peer": failed, "state": "failed", "why": "it ended"}
    rows = {line.split("|")[1].strip(): line for line in table(results).splitlines() if line.startswith("|")}
    lines = table(results).splitlines()
    assert any(line.startswith(f"| {PEERS[0].name} | 5.00 | 1.00 |") for line in lines)
    assert any(line.startswith(f"| {PEERS[2].name} | 15.0 | 3.00 |") for line in lines)
    assert any(line.startswith(f"| {last} | not installed |  |") for line in lines)
    assert any(line.startswith(f"| {failed} | failed |  |") for line in lines)
    assert rows[str(last)] == f"| {last} | – |"


def test_a_peer_that_fails_is_not_called_not_installed() -> None:
    script = [sys.executable, "-c"]
    failed = measured([*script, "import sys; sys.exit('no such port')"])
    assert failed["state"] == "failed"
    assert "no such port" in str(failed["why"])
    assert measured([*script, "print('not JSON')"])["state"] == "failed"
    assert measured([*script, "import time; time.sleep(600)"], longest=0.5)["state"] == "failed"
    assert measured([*script, "print('null')"]) == {"state": "not installed"}
    assert measured([*script, "print('{\"median_ms\": 2.5}')"]) == {"state": "measured", "median_ms": 2.5}


def test_a_peer_that_cannot_be_built_has_failed() -> None:
    def does_not_build(_: str) -> list[str]:
        subprocess.run([sys.executable, "-c", "raise SystemExit('does not compile')"], check=True, capture_output=True)
        return []

    command, failure = prepared(Peer("broken", does_not_build), "")
    assert command is None
    assert failure["state"] == "failed"
    assert "does not compile" in str(failure["why"])
    assert prepared(Peer("absent", lambda _: None), "") == (None, {"state": "not installed"})


def test_targets_are_judged_by_medians_and_say_what_was_not_measured() -> None:
    costs = {OURS: (12.0, 240.0), OURS_WITH_FILES: (13.0, 250.0), PSUTIL: (520.0, 600.0), GOPSUTIL: (500.0, 500.0)}
    results: list[dict[str, object]] = [
        {"load": 1000, "peer": name, "state": "measured", "mean_ms": 1.0, "median_ms": later, "first_ms": first}
        for name, (later, first) in (costs | {FLOOR: (5.0, 9.0)}).items()
    ]
    lines = targets_table(results).splitlines()
    assert f"| look at 1,000: {PSUTIL} over {OURS_WITH_FILES} | ≥ 35 | 40 | yes |" in lines
    assert f"| look at 1,000: {GOPSUTIL} over {OURS_WITH_FILES} | ≥ 40 | 38.5 | no |" in lines
    assert f"| look at 5,000: {PSUTIL} over {OURS_WITH_FILES} | ≥ 60 | not measured | – |" in lines
    assert f"| look at 1,000: {OURS} over {FLOOR} | ≤ 2 | 2.4 | no |" in lines
    assert f"| first look at 1,000: {PSUTIL} over {OURS_WITH_FILES} | ≥ 2 | 2.4 | yes |" in lines


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
