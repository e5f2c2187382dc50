"""Two agents never share one identity and one spool."""

import os
import subprocess
import sys

import pytest

from safetytwin.agent.run_lock import AlreadyReportingError, run_lock


def test_the_second_is_refused_and_told_who_the_first_is(tmp_path) -> None:
    with (
        run_lock(str(tmp_path)),
        pytest.raises(AlreadyReportingError, match=f"process {os.getpid()}"),
        run_lock(str(tmp_path)),
    ):
        pass
    with run_lock(str(tmp_path)):
        pass


def _agent(tmp_path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "safetytwin", "agent", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


def test_a_second_reporting_agent_ends_with_the_reason(tmp_path) -> None:
    (tmp_path / "state").mkdir()
    with run_lock(str(tmp_path / "state")):
        done = _agent(tmp_path, "--bridge", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "reports from" in done.stderr
    assert "--state-directory" in done.stderr


def test_a_bridge_in_the_configuration_makes_no_reporting_agent_of_whoever_looks(tmp_path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('bridge = "http://127.0.0.1:1"\n')
    looked = _agent(tmp_path, "--config", str(file))
    assert looked.returncode == 0, looked.stderr
    assert "CPU" in looked.stdout


def test_reporting_without_a_bridge_says_how_to_name_one(tmp_path) -> None:
    done = _agent(tmp_path, "--report")
    assert done.returncode == 1
    assert "--bridge URL" in done.stderr
