"""safetytwin diff A.json B.json: what changed between two states in files."""

import sys
from typing import TextIO

import msgspec

from safetytwin.changes.describe import describe
from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.significance import significant
from safetytwin.changes.twin import Twin
from safetytwin.cli.errors import UserError
from safetytwin.models.change import Change
from safetytwin.models.system_state import SystemState


def diff_files(a: str, b: str, *, all_: bool, json_: bool, out: TextIO) -> int:
    """Print what changed from the state in file a to that in b and return 0; "-" is standard input.

    all_ takes gauges in; json_ prints the Change. Raises UserError where a file can't be read or holds no state.
    """
    old, new = read_state(a), read_state(b)
    change, lines = difference(old, new, all_=all_)
    if json_:
        out.write(msgspec.json.format(msgspec.json.encode(change)).decode() + "\n")
        return 0
    if old.host_id != new.host_id:
        out.write(f"Two machines: {old.host_id} and {new.host_id}\n")
    out.write("\n".join(lines) + "\n")
    return 0


def difference(old: SystemState, new: SystemState, *, all_: bool) -> tuple[Change, list[str]]:
    """Return what changed, and the same in lines for people, one at least; all_ takes gauges in."""
    whole = diff(old, new)
    step = Twin(tree_of(old)).apply(whole)
    change = whole if all_ else significant(whole, step)
    nothing = "Nothing changed." if all_ else "Nothing changed but measurements; --all shows them."
    return change, describe(change, step) or [nothing]


def read_state(path: str) -> SystemState:
    """Return the state in a file, "-" being standard input; raises UserError that says what is wrong and where."""
    try:
        if path == "-":
            content = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                content = file.read()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    try:
        return msgspec.json.decode(content, type=SystemState)
    except msgspec.ValidationError as error:
        raise UserError(f"{path} is no state: {error}. `safetytwin schema` prints what a state is.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no JSON: {error}") from error
    except RecursionError as error:
        raise UserError(f"{path} is no state: its JSON is nested too deeply") from error
