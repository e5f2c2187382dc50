"""safetytwin vm plan and vm xml as a person and a script use them."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from parts.shapes import GIB, machine, parsed
from safetytwin.models.hardware import Memory

VM = [sys.executable, "-m", "safetytwin", "vm"]


def run(*arguments, content=None):
    return subprocess.run([*VM, *arguments], input=content, capture_output=True, timeout=60, check=False)


@pytest.fixture
def state_file(tmp_path):
    path = tmp_path / "state.json"
    path.write_bytes(msgspec.json.encode(machine(memory=Memory(total=GIB))))
    return str(path)


def test_plan_of_a_state_in_a_file(state_file):
    done = run("plan", "--state", state_file)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert text.startswith("safetytwin-host-1: the twin of atlas as it was at ")
    assert "at next boot  create  disk sdb  100 GiB\n" in text
    assert "interface 3c:ec:ef:00:00:01  eth0  (on safetytwin-isolated)\n" in text


def test_json_has_shape_plan_and_what_is_left_out(state_file):
    done = run("plan", "--state", "-", "--json", content=Path(state_file).read_bytes())
    planned = json.loads(done.stdout)
    assert set(planned) == {"shape", "plan", "left_out"}
    assert planned["shape"]["memory"] == GIB
    assert {line["when"] for line in planned["plan"]} == {"at next boot"}


def test_the_domain_that_xml_prints_needs_no_change(state_file, tmp_path):
    printed = run("xml", "--state", state_file)
    assert parsed(printed.stdout.decode()).findtext("name") == "safetytwin-host-1"
    domain = tmp_path / "domain.xml"
    domain.write_bytes(printed.stdout)
    assert b"It is as it should be." in run("plan", "--state", state_file, "--domain", str(domain)).stdout


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        ([], "name a machine, or a state with --state FILE", 2),
        (["--state", "/nowhere"], "/nowhere can't be read: No such file", 1),
        (["--state", "STATE", "--at", "-2h"], "--at is for a machine of a bridge", 2),
        (["--state", "STATE", "--domain", "/nowhere"], "/nowhere can't be read: No such file", 1),
        (["--state", "STATE", "--domain", "STATE"], "the domain's XML can't be read", 1),
        (["--state", "STATE", "--pass-gpu", "x"], "the machine has no GPU at PCI address 'x'", 1),
        (["atlas", "--bridge", "http://127.0.0.1:1"], "no bridge answers at", 1),
    ],
)
def test_what_can_not_be_done_is_said(state_file, arguments, says, code):
    done = run("plan", *(state_file if argument == "STATE" else argument for argument in arguments))
    assert says in done.stderr.decode()
    assert done.returncode == code


def test_planning_imports_no_libvirt(state_file):
    script = (
        "import sys; from safetytwin.cli.main import main; "
        f"code = main(['vm', 'plan', '--state', {state_file!r}]); sys.exit(code or 'libvirt' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0
