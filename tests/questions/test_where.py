"""The bridge and the command answer questions."""

import json

from parts.bridge_history import ALPHA, BETA


def test_the_command_lists_what_matches(safetytwin, told) -> None:
    code, out, err = safetytwin("hosts", "--json", "--where", "unit.failed = ssh.service", "--bridge", told.url)
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert [row["host_id"] for row in answer["hosts"]] == [ALPHA]
    assert [one["host_id"] for one in answer["unknown"]] == [BETA], "no collector told that it looked for units"


def test_the_command_says_which_could_not_be_judged(safetytwin, told) -> None:
    code, out, err = safetytwin("hosts", "--where", "cpu.usage > 5%", "--bridge", told.url)
    assert (code, out) == (0, "")
    assert err.startswith(
        "No machine is known to match.\n2 machines could not be judged: hardware.cpu.usage_percent is not"
    )
    assert "\x1b" not in err


def test_a_wrong_question_is_answered_with_its_column(safetytwin, told) -> None:
    code, out, err = safetytwin("hosts", "--where", "modle = x", "--bridge", told.url)
    assert (code != 0, out) == (True, "")
    assert "column 1: expected a field, not 'modle'; did you mean model?" in err
