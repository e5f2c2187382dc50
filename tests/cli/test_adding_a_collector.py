"""The example of docs/adding-a-collector.md works as it stands there."""

import json
import os
import re
import subprocess
import sys

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs")


def _blocks(language: str) -> list[str]:
    with open(os.path.join(DOCS, "adding-a-collector.md"), encoding="utf-8") as page:
        return re.findall(rf"^```{language}\n(.*?)^```", page.read(), re.MULTILINE | re.DOTALL)


def _package(tmp_path) -> None:
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").write_text("")
    (tmp_path / "my_package" / "kernel_modules.py").write_text(_blocks("python")[0])
    info = tmp_path / "my_package-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    point = re.search(r"^kernel_modules = \"(.*)\"", _blocks("toml")[0], re.MULTILINE)
    assert point is not None
    (info / "entry_points.txt").write_text(f"[safetytwin.collectors]\nkernel_modules = {point.group(1)}\n")


def _agent(tmp_path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "STATE_DIRECTORY": str(tmp_path / "state")}
    command = [sys.executable, "-m", "safetytwin", "agent", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


def test_a_package_adds_a_collector(tmp_path) -> None:
    _package(tmp_path)
    done = _agent(tmp_path, "--output", "-")
    assert done.returncode == 0, done.stderr
    state = json.loads(done.stdout)
    if os.path.exists("/proc/modules"):
        with open("/proc/modules", encoding="utf-8") as modules:
            assert state["extra"]["kernel_modules"]["loaded"] == len(modules.readlines())
        assert state["agent"]["collectors"]["kernel_modules"]["status"] == "ok"
    else:
        assert state["agent"]["collectors"]["kernel_modules"]["status"] == "absent"


def test_a_name_that_is_taken_is_refused(tmp_path) -> None:
    _package(tmp_path)
    code = (tmp_path / "my_package" / "kernel_modules.py").read_text()
    (tmp_path / "my_package" / "kernel_modules.py").write_text(
        code.replace('Registration("kernel_modules"', 'Registration("cpu"')
    )
    done = _agent(tmp_path, "--output", "-")
    assert done.returncode == 1
    assert "rename it" in done.stderr
