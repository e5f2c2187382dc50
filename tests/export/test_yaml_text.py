"""YAML that every reader takes for the same values."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.export.yaml_text import Unsafe, yaml_text

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(documents)
def test_what_is_written_is_read_again(document):
    assert yaml.safe_load(yaml_text(document)) == document


@pytest.mark.parametrize(
    "text",
    [
        "1e3",
        "0o17",
        "0x1f",
        "012",
        "yes",
        "No",
        "y",
        "on",
        "null",
        "~",
        "",
        "1:20",
        "=",
        "<<",
        "2026-01-01",
        ".inf",
        "NaN",
    ],
)
def test_text_that_some_reader_takes_for_something_else_is_quoted(text):
    assert yaml_text([text]) == f'- "{text}"\n'


@given(st.lists(texts, max_size=4))
def test_comments_stay_comments(comments):
    assert yaml.safe_load(yaml_text({"a": 1}, comments)) == {"a": 1}


def test_unsafe_text_has_its_tag():
    assert yaml_text([Unsafe("{{ a }}")]) == '- !unsafe "{{ a }}"\n'
