"""The examples of docs/changes.md are run."""

import io
import os
import re

import msgspec

from parts.small_states import process, state, unit
from safetytwin.changes.diff import tree_of
from safetytwin.changes.twin import Twin
from safetytwin.cli.diff_files import diff_files
from safetytwin.models.change import Change
from safetytwin.models.hardware import Gpu, Memory
from safetytwin.models.process import Process

GIB = 2**30


def example(language):
    with open(os.path.join(os.path.dirname(__file__), "../../docs/changes.md"), encoding="utf-8") as page:
        (found,) = re.findall(rf"```{language}\n(.*?)```", page.read(), re.DOTALL)
    return found


def test_the_python_example_runs():
    names = {"old": state(processes=(process(1),)), "new": state(10, processes=(process(2),))}
    exec(example("python"), names)  # noqa: S102 - the page's own example
    assert names["step"].items["processes"].keys() == {"1/10", "2/20"}


def test_the_json_example_is_a_change_that_can_be_applied():
    change = msgspec.json.decode(example("json"), type=Change)
    old = state(
        processes=(Process(812, 33401, "nginx", cwd="/"), Process(813, 33410, "nginx")),
        gpu={"nvidia": [Gpu("GPU-8d5c", "nvidia", status="ok")]},
    )
    twin = Twin(tree_of(old))
    twin.apply(change)
    assert twin.rest["seq"] == 8
    assert twin.items("processes") == {
        "812/33401": {"pid": 812, "start_ticks": 33401, "name": "nginx", "num_threads": 9},
        "900/12000": {"pid": 900, "start_ticks": 12000, "name": "python3"},
    }
    assert twin.item("hardware.gpu.nvidia", "GPU-8d5c")["status"] == "lost"


def test_the_command_prints_what_the_page_shows(tmp_path):
    old = state(processes=(process(813),), services=(unit("ssh.service"),), memory=Memory(total=16 * GIB, used=GIB))
    new = state(
        10,
        processes=(process(900, "python3"),),
        services=(unit("ssh.service", "failed"),),
        memory=Memory(total=32 * GIB, used=2 * GIB),
    )
    for name, one in (("before.json", old), ("after.json", new)):
        (tmp_path / name).write_bytes(msgspec.json.encode(one))
    out = io.StringIO()
    diff_files(str(tmp_path / "before.json"), str(tmp_path / "after.json"), all_=False, json_=False, out=out)
    _, _, shown = example("console").partition("\n")
    assert out.getvalue() == shown
