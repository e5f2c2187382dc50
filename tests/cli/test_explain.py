"""safetytwin explain, on real processes of this machine."""

import json
import os
import subprocess
import sys

import pytest

from safetytwin.cli.main import main

if not sys.platform.startswith("linux"):
    pytest.skip("recognition reads /proc", allow_module_level=True)


@pytest.fixture
def impostor():
    """A sleep that calls itself llama-server, with a key in its arguments."""
    process = subprocess.Popen(
        ["llama-server -m x.gguf --api-key sk-aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "600"], executable="/usr/bin/sleep"
    )
    yield process.pid
    process.kill()
    process.wait()


def test_a_verdict_with_what_speaks_for_and_against_it(impostor, capsys):
    assert main(["explain", str(impostor)]) == 0
    out = capsys.readouterr().out
    assert "Not an AI workload." in out
    assert "For\n   +2.0  title: engine:llama.cpp" in out
    assert "Against\n   -8.0  exe: not engine:llama.cpp" in out
    assert f"(/proc/{impostor}/exe)" in out
    assert "sk-aaaa" not in out
    assert "[redacted]" in out


def test_json_holds_the_same(impostor, capsys):
    assert main(["explain", str(impostor), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["role"], said["is_llm_related"], said["prior"]) == (None, False, -4.0)
    assert said["score"] == said["prior"] + sum(one["weight"] for one in said["evidence"])


def test_a_process_of_which_nothing_speaks(capsys):
    assert main(["explain", str(os.getpid())]) == 0
    assert "Nothing speaks for it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("subject", "said"), [("999999999", "no process '999999999'"), ("nope", "no unit or container")]
)
def test_what_does_not_exist(subject, said, capsys):
    assert main(["explain", subject]) == 1
    assert said in capsys.readouterr().err


def test_a_catalogue_that_can_not_be_used(tmp_path, capsys):
    own = tmp_path / "own.toml"
    own.write_text("[family.x]\n")
    assert main(["explain", "1", "--ai-catalogue", str(own)]) == 1
    assert "missing required field" in capsys.readouterr().err
