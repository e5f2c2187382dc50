"""safetytwin show against a bridge with a history."""

import json

import msgspec

from parts.bridge_history import ALPHA, BETA, BROKEN, HEALTHY
from safetytwin.changes.diff import tree_of


def _tree(state):
    return tree_of(msgspec.structs.replace(state, host_id=ALPHA))


def test_as_it_is(safetytwin, told) -> None:
    code, out, err = safetytwin("show", "alpha", "--bridge", told.url)
    assert (code, err) == (0, "")
    assert out.startswith("alpha")
    assert "ssh.service" in out
    assert "\x1b" not in out
    assert "\x07" not in out


def test_as_it_was(safetytwin, told) -> None:
    code, out, err = safetytwin("show", ALPHA, "--at", told.before, "--bridge", told.url)
    assert (code, err) == (0, "")
    assert out.startswith("As it was at ")
    assert "ssh.service" not in out, "it had not failed then"


def test_json_is_the_state_exactly(safetytwin, told) -> None:
    for at, state in ((told.before, HEALTHY), (told.after, BROKEN), ("now", BROKEN)):
        code, out, _ = safetytwin("show", "alpha", "--json", "--at", at, "--bridge", told.url)
        assert code == 0
        assert json.loads(out) == _tree(state)


def test_moments_before_all_that_is_kept(safetytwin, told) -> None:
    code, out, err = safetytwin("show", "alpha", "--at", "-2h", "--bridge", told.url)
    assert (code, out) == (1, "")
    assert err.startswith("safetytwin show: ")
    assert err.count("\n") == 1


def test_a_moment_that_is_none(safetytwin, told) -> None:
    code, out, err = safetytwin("show", "alpha", "--at", "soon", "--bridge", told.url)
    assert (code, out) == (2, "")
    assert "'soon' is no moment; write one as: now, 14:00, yesterday" in err


def test_a_hostile_name_is_only_text(safetytwin, told) -> None:
    code, out, _ = safetytwin("show", BETA, "--bridge", told.url)
    assert code == 0
    assert "beta\\x1b[31m\\u202eevil\\n" in out
    assert "\x1b" not in out
