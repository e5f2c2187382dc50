"""safetytwin diff: files, and moments of a machine of a bridge."""

import json

import msgspec
import pytest

from parts.bridge_history import ALPHA, BROKEN, HEALTHY
from safetytwin.models.change import Change


def test_what_changed_between_two_moments(safetytwin, told) -> None:
    code, out, err = safetytwin("diff", "alpha", "--from", told.before, "--to", told.after, "--bridge", told.url)
    assert (code, err) == (0, "")
    assert "~ unit ssh.service  status: active → failed" in out
    assert "- process 11 sshd" in out
    changes, events = out.split("\nEvents\n")
    assert changes.startswith("From ")
    assert "unit.failed  ssh.service failed" in events
    assert "\x1b" not in out
    assert "\x07" not in out


def test_until_now_where_nothing_is_said(safetytwin, told) -> None:
    _, out, _ = safetytwin("diff", "alpha", "--from", told.before, "--bridge", told.url)
    assert "- process 11 sshd" in out
    _, out, _ = safetytwin("diff", "alpha", "--from", told.after, "--bridge", told.url)
    assert "Nothing changed but measurements; --all shows them." in out


def test_json_has_change_and_events(safetytwin, told) -> None:
    code, out, _ = safetytwin(
        "diff", "alpha", "--from", told.before, "--to", told.after, "--all", "--json", "--bridge", told.url
    )
    difference = json.loads(out)
    assert code == 0
    assert set(difference) == {"from", "to", "change", "events"}
    change = msgspec.convert(difference["change"], Change)
    assert change.collections["processes"].removed == ["11/110"]
    assert "unit.failed" in {event["kind"] for event in difference["events"]}


def test_two_files(safetytwin, tmp_path) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, state in zip(paths, (HEALTHY, BROKEN), strict=True):
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(state, host_id=ALPHA)))
    code, out, err = safetytwin("diff", *paths)
    assert (code, err) == (0, "")
    assert "- process 11 sshd" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.json"], "a machine needs --from TIME"),
        (["a", "b", "c"], "give two files, or one machine with --from TIME"),
        (["a.json", "b.json", "--from", "-1h"], "give two files, or one machine"),
        (["a", "--from", "-1h", "--to", "-2h"], "is after --to"),
        (["a", "--from", "soon"], "'soon' is no moment"),
        ([], "required"),
    ],
)
def test_wrong_usage(safetytwin, arguments, said) -> None:
    code, out, err = safetytwin("diff", *arguments)
    assert (code, out) == (2, "")
    assert said in err
