"""docs/commands.md against the commands themselves."""

import argparse
import importlib
import re
from pathlib import Path

import pytest

from safetytwin.cli.human_times import parse_time
from safetytwin.cli.main import COMMANDS, Parser

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "commands.md").read_text(encoding="utf-8")
ASKING = ("hosts", "show", "events", "diff")


def _parser(name):
    parser = Parser(prog=f"safetytwin {name}", allow_abbrev=False)
    importlib.import_module(f"safetytwin.cli.{COMMANDS[name][0]}").add_arguments(parser)
    return parser


@pytest.mark.parametrize("name", ["up", "bridge", *ASKING])
def test_every_option_is_on_the_page(name) -> None:
    options = {option for action in _parser(name)._actions for option in action.option_strings if option[:2] == "--"}
    missing = {option for option in options - {"--help"} if not re.search(rf"{option}\b", PAGE)}
    assert missing == set()


def _examples():
    text = PAGE + (DOCS / "service.md").read_text(encoding="utf-8")
    for block in re.findall(r"```(?:\n|ini\n)(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            for command in re.findall(r"safetytwin ((?:[a-z]+)(?: [^|]*)?)", re.split(r" {2,}", line.strip())[0]):
                yield command.strip()


@pytest.mark.parametrize("command", sorted(set(_examples())))
def test_every_example_is_right(command) -> None:
    words = [word.strip("\"'") for word in re.findall(r"\"[^\"]*\"|'[^']*'|[^ ]+", command) if word != "[--json]"]
    if words[0] not in COMMANDS:
        pytest.skip("no command line, but a sentence or a path")
    parsed = _parser(words[0]).parse_args(words[1:])
    assert isinstance(parsed, argparse.Namespace)


def _moments():
    rows = PAGE.split("## Moments")[1].splitlines()
    for row in rows:
        if row.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", row.split("|")[1])


@pytest.mark.parametrize("text", list(_moments()))
def test_every_moment_on_the_page_is_one(text) -> None:
    assert parse_time(text, 1769868000.0) <= 1769868000.0
