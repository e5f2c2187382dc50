"""safetytwin agent as a person and a script use it."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import jsonschema
import pytest

from safetytwin.models.schema import state_schema

AGENT = [sys.executable, "-m", "safetytwin", "agent"]


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    return {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "80"}


def _run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*AGENT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


def test_the_summary_is_plain_when_piped_and_fits_80_columns(environment) -> None:
    done = _run(environment)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    for word in ("CPU", "Memory", "PID"):
        assert word in done.stdout
    assert not os.path.exists(environment["STATE_DIRECTORY"]), "merely looking leaves nothing behind"


def test_the_state_is_valid_and_alone_on_standard_output(environment) -> None:
    done = _run(environment, "--output", "-")
    assert done.returncode == 0, done.stderr
    state = json.loads(done.stdout)
    jsonschema.Draft202012Validator(state_schema()).validate(state)
    assert state["agent"]["backend"] == "proc"
    assert any(process["pid"] == os.getpid() for process in state["processes"])
    own = next(process for process in state["processes"] if process["pid"] == os.getpid())
    assert own["cpu_percent"] is not None, "a one-shot look samples twice"
    assert state["hardware"]["cpu"]["usage_percent"] is not None
    failed = {name: one for name, one in state["agent"]["collectors"].items() if one["status"] == "failed"}
    assert not failed


def test_a_file_is_written_whole_and_for_its_owner_only(environment, tmp_path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old")
    done = _run(environment, "--output", str(path), "--pretty")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert text.startswith("{\n  ")
    jsonschema.Draft202012Validator(state_schema()).validate(json.loads(text))
    assert sorted(os.listdir(tmp_path)) == ["state", "state.json"]


def test_a_link_is_replaced_and_not_followed(environment, tmp_path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "state.json").symlink_to("precious")
    assert _run(environment, "--output", str(tmp_path / "state.json")).returncode == 0
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("path", ["/nonexistent/x.json", "/proc/x.json"])
def test_what_can_not_be_written_says_why(environment, path: str) -> None:
    done = _run(environment, "--output", path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"safetytwin agent: nothing was written to {path}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--interval", "5"],
        ["--interval", "never", "--output", "-"],
        ["--interval", "0", "--output", "-"],
        ["--pretty"],
        ["--pretty", "--interval", "1", "--output", "-"],
        ["--nonsense"],
        ["--output", "-", "--bridge", "http://127.0.0.1:1"],
        ["--backend", "bpf"],
    ],
)
def test_wrong_usage_is_2_and_points_to_help(environment, arguments: list[str]) -> None:
    done = _run(environment, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "See: safetytwin agent --help" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stream_has_a_line_a_look_until_stopped(environment, tmp_path, number: int) -> None:
    path = tmp_path / "states.jsonl"
    command = [*AGENT, "--interval", "0.2", "--output", str(path)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as agent:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not path.exists() or path.read_bytes().count(b"\n") < 3):
            time.sleep(0.05)
        agent.send_signal(number)
        _, errors = agent.communicate(timeout=60)
    assert agent.returncode == 0, errors
    lines = path.read_text().splitlines()
    states = [json.loads(line) for line in lines]
    assert [state["seq"] for state in states] == list(range(len(states)))
    assert len(states) >= 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    validator = jsonschema.Draft202012Validator(state_schema())
    for state in states:
        validator.validate(state)
    own = [next(one for one in state["processes"] if one["pid"] == os.getpid()) for state in states]
    assert own[0].get("cpu_percent") is None
    assert own[1]["cpu_percent"] is not None


def test_a_reader_that_goes_away_is_no_fault(environment) -> None:
    command = " ".join([*AGENT, "--output", "-"]) + " | head -c 10"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.stderr == ""


def test_a_secret_of_a_live_process_is_not_shown(environment, tmp_path) -> None:
    secret = "hunter2" + os.urandom(8).hex()
    code = "import time; time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code, "--api-key", secret], env={**os.environ, "APP_PASSWORD": secret}
    ) as process:
        try:
            done = _run(environment, "--output", "-", "--environment")
            summary = _run(environment)
        finally:
            process.kill()
    assert str(process.pid) in done.stdout
    assert secret not in done.stdout
    assert secret not in summary.stdout


def test_help_has_examples(environment) -> None:
    done = _run(environment, "--help")
    assert done.returncode == 0
    assert "examples:" in done.stdout


def test_labels_of_the_configuration_are_in_the_state(environment) -> None:
    done = _run(environment, "--output", "-", "--label", "role=web", "--label", "rack=7")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["labels"] == {"role": "web", "rack": "7"}
