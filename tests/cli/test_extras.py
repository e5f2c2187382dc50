"""Commands where what they need is not there."""

import subprocess
import sys

import pytest

# Stands in for an installation, or a system, that has no such module.
_WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.modules.pop(sys.argv[1], None)
sys.meta_path.insert(0, Missing())
from safetytwin.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("command", [["up", "--no-browser"], ["bridge"], ["bridge", "token", "list"]])
@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("uvicorn", "needs the package uvicorn, which is not installed; run: pip install 'safetytwin[bridge]'"),
        ("fcntl", "the bridge runs on Linux and macOS; let this machine report to one there"),
    ],
)
def test_it_is_said(tmp_path, command, module, said) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, module, *command],
        capture_output=True,
        text=True,
        timeout=60,
        env={"STATE_DIRECTORY": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["hosts", "show", "events", "diff"])
def test_what_only_asks_needs_no_bridge(command) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, "starlette", command, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
