"""Questions are parsed, written and refused as docs/fleet.md says."""

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.questions.fields import FIELDS
from safetytwin.questions.parser import DEEPEST, LONGEST, QuestionError, parse_question
from safetytwin.questions.tree import And, Compare, Has, Not, OfOne, OneOf, Or, written

PAGE = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text()
EXAMPLES = [shlex.split(line)[3] for line in PAGE.splitlines() if line.startswith("safetytwin hosts --where '")]

_texts = st.text(max_size=12)
_leaves = st.one_of(
    st.builds(
        Compare, st.sampled_from(["hostname", "model", "label.app.io/name"]), st.sampled_from(["=", "~"]), _texts
    ),
    st.builds(OneOf, st.just("image"), st.lists(_texts, min_size=1, max_size=3).map(tuple)),
    st.builds(Has, st.sampled_from(["package.g++", "unit.failed"])),
    st.builds(OfOne, st.just("gpu"), st.builds(Compare, st.just("gpu.name"), st.sampled_from(["=", "~"]), _texts)),
)


def _larger(smaller):
    several = st.lists(smaller, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, smaller), st.builds(And, several), st.builds(Or, several))


@given(st.recursive(_leaves, _larger, max_leaves=8))
def test_what_is_written_parses_to_the_same(question) -> None:
    assert parse_question(written(question)) == question


@given(
    st.text()
    | st.lists(
        st.sampled_from(
            ["gpu", "[", "]", "(", ")", "not", "and", "or", "has", "in", "=", "~", ">", "8GiB", '"', "unit"]
        )
    ).map(" ".join)
)
def test_any_text_is_a_question_or_is_refused(text) -> None:
    try:
        question = parse_question(text)
    except QuestionError as error:
        refused = error
    else:
        assert parse_question(written(question)) == question
        return
    assert 1 <= refused.column <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu.memoryfree > 1", "column 1: expected a field, not 'gpu.memoryfree'; did you mean gpu.memory_free?"),
        ("uptime > 30x", "column 10: '30x' is not a duration such as 30d, 2h, 5min or 10s"),
        ("model = and", "column 9: expected a value of model, not 'and'; as a value it is written \"and\""),
        ("model < a", "column 7: expected one of = != ~ in after model, not '<'"),
        ("(model = a", "column 11: expected and, or, or ), not the end"),
        ("model = a b", "column 11: expected and, or, or the end, not 'b'"),
        ("  ! a", "column 3: '!' has no meaning here; not equal is !="),
        ("gpu[model = a]", "column 5: expected a field of gpu, not 'model'; there are vendor, name"),
        ('model = "a', "column 9: this text has no end"),
    ],
)
def test_an_error_points_at_the_column(text: str, said: str) -> None:
    with pytest.raises(QuestionError) as refused:
        parse_question(text)
    assert str(refused.value).startswith(said)


def test_length_and_depth_have_limits() -> None:
    parse_question("(" * DEEPEST + "has unit" + ")" * DEEPEST)
    for text in ("not " * (DEEPEST + 1) + "has unit", "a" * (LONGEST + 1)):
        with pytest.raises(QuestionError, match="at most"):
            parse_question(text)


def test_unequal_is_not_equal() -> None:
    assert parse_question("os != debian") == parse_question("not os = debian")


def test_the_page_has_exactly_the_fields() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(field.name, field.kind, field.about) for field in FIELDS]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_page_are_questions(example: str) -> None:
    assert parse_question(written(parse_question(example))) == parse_question(example)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) > 5
