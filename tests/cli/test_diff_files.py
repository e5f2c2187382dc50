import io
import json

import msgspec
import pytest

from parts.small_states import process, state
from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.twin import apply
from safetytwin.cli.diff_files import diff_files
from safetytwin.cli.errors import UserError
from safetytwin.models.change import Change

OLD = state(processes=(process(1, cpu_percent=1.0),))
NEW = state(10, processes=(process(1, cpu_percent=2.0), process(2)))


def printed(tmp_path, old, new, **options):
    for name, one in (("a.json", old), ("b.json", new)):
        (tmp_path / name).write_bytes(msgspec.json.encode(one))
    out = io.StringIO()
    chosen = {"all_": False, "json_": False, **options}
    assert diff_files(str(tmp_path / "a.json"), str(tmp_path / "b.json"), **chosen, out=out) == 0
    return out.getvalue()


def test_significant_changes_are_printed(tmp_path):
    assert printed(tmp_path, OLD, NEW) == "+ process 2 nginx\n"


def test_all_takes_measurements_in(tmp_path):
    assert "~ process 1 nginx  cpu_percent: 1 % → 2 %\n" in printed(tmp_path, OLD, NEW, all_=True)


def test_where_only_measurements_differ_that_is_said(tmp_path):
    only = state(10, processes=(process(1, cpu_percent=2.0),))
    assert printed(tmp_path, OLD, only) == "Nothing changed but measurements; --all shows them.\n"
    assert printed(tmp_path, OLD, OLD, all_=True) == "Nothing changed.\n"


def test_two_machines_are_said_to_be_two(tmp_path):
    other = msgspec.structs.replace(OLD, host_id="host-2")
    assert printed(tmp_path, OLD, other).startswith("Two machines: host-1 and host-2\n")


def test_json_prints_the_change(tmp_path):
    change = msgspec.json.decode(printed(tmp_path, OLD, NEW, json_=True, all_=True), type=Change)
    assert change == diff(OLD, NEW)
    assert apply(tree_of(OLD), change) == tree_of(NEW)
    assert set(json.loads(printed(tmp_path, OLD, NEW, json_=True))) == {"collections"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "can't be read: No such file or directory"),
        (b"", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"{]", "is no JSON"),
        (b"[]", "is no state: Expected `object`, got `array`"),
        (b'{"schema": 1}', "is no state: Object missing required field `host_id`"),
        (
            msgspec.json.encode(OLD).replace(b'"pid":1', b'"pid":"1"', 1),
            r"is no state: Expected `int`, got `str` - at `$.processes[0].pid`",
        ),
        (b'{"extra":{"a":' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_holds_no_state_says_what_and_where(tmp_path, content, says):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_bytes(msgspec.json.encode(OLD))
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(UserError) as caught:
        diff_files(str(good), str(bad), all_=False, json_=False, out=io.StringIO())
    assert str(caught.value).startswith(f"{bad} ")
    assert says in str(caught.value)
