"""The document, read by a Markdown reader of another make."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from parts.atlas import Atlas
from parts.hostile_machine import hostile_machine
from parts.states import states
from safetytwin.export.facts import containers_of
from safetytwin.export.markdown import markdown_text
from safetytwin.export.markdown_text import UNKNOWN, cell, escaped, table
from safetytwin.models.printable import printable

READER = MarkdownIt("commonmark").enable("table")
TEXT_ONLY = {"text", "softbreak", "text_special"}


def tables_of(text):
    """Return by heading the rows of its table, as a reader shows them; fails where anything is more than text."""
    found, heading, row = {}, None, None
    tokens = READER.parse(text)
    for index, token in enumerate(tokens):
        assert token.type != "html_block"
        if token.type == "inline":
            assert {child.type for child in token.children} <= TEXT_ONLY, token.content
            shown = "".join(child.content for child in token.children)
            if tokens[index - 1].type == "heading_open":
                heading = shown
            elif row is not None:
                row.append(shown)
        elif token.type == "tr_open":
            row = []
        elif token.type == "tr_close":
            found.setdefault(heading, []).append(row)
            row = None
    return found


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_is_shown_as_it_is(text):
    ((_, (shown,)),) = (tables_of("\n".join(table(["A"], [[text]])))[None],)
    assert shown == (printable(text).strip() or UNKNOWN)


@settings(max_examples=25)
@given(states())
def test_any_state_is_a_document_of_text_and_tables(one):
    found = tables_of(markdown_text(one))
    assert len(found.get("Containers", [None])) == 1 + len(containers_of(one))
    assert len(found.get("Packages", [None])) == 1 + len((one.software and one.software.packages) or ())


def test_hostile_names_are_only_text():
    machine = hostile_machine()
    found = tables_of(markdown_text(machine))
    assert found["Containers"][1][0] == printable(machine.services[4].name).strip()
    assert found["Users"][1][0] == "ada"
    assert len(found["Packages"]) == 3
    assert {len(row) for row in found["Packages"]} == {6}


def test_a_machine_with_models_and_gpus():
    state = Atlas().look()
    found = tables_of(markdown_text(state))
    assert [row[0] for row in found["AI workloads"][1:]] == [one.name or one.engine for one in state.ai.workloads]
    assert len(found["GPUs"]) == 1 + len(state.hardware.gpu["nvidia"])
    assert [row[0] for row in found["Containers"][1:]] == sorted(one.name for one in state.services if one.image)


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), ("", "–"), (True, "yes"), (0, "0"), ([], "–"), (["a", "b|c"], r"a, b\|c")]
)
def test_a_cell(value, shown):
    assert cell(value) == shown


def test_links_that_some_readers_make_of_plain_text_are_none():
    assert escaped("http://a www.b c@d") == r"http\://a www\.b c\@d"
