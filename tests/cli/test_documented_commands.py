"""Every `safetytwin …` line of the READMEs, of docs/ and of the commands' help is one that the program understands."""

import importlib
import os
import re
import shlex

import pytest

from safetytwin.cli.main import COMMANDS, Parser

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
_LINE = re.compile(r"^\s*(?:\$ |sudo |[A-Z_]+=\S+ )*(safetytwin [a-z].*)$")
# What follows a command is for the shell or for the reader: a pipe, a redirection, a comment, a column of explanation.
_COMMAND = re.compile(r"""(?:'[^']*'|"[^"]*"|(?!\s+[|>#]|\s{2,}| &&).)*""")


def _parser(name: str) -> Parser:
    module = importlib.import_module(f"safetytwin.cli.{COMMANDS[name][0]}")
    parser = Parser(prog=f"safetytwin {name}", allow_abbrev=False)
    module.add_arguments(parser)
    return parser


def _commands(text: str) -> list[str]:
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    lines = (match.group(1) for line in joined.splitlines() if (match := _LINE.match(line)))
    return [match.group().strip() for line in lines if (match := _COMMAND.match(line))]


def _documented() -> list[tuple[str, str]]:
    pages = [os.path.join(ROOT, name) for name in ("README.md", "README.pl.md")]
    docs = os.path.join(ROOT, "docs")
    pages += [os.path.join(docs, name) for name in sorted(os.listdir(docs)) if name.endswith(".md")]
    found = []
    for page in pages:
        with open(page, encoding="utf-8") as file:
            blocks = re.findall(r"^```(?:sh|bash|console|text)?\n(.*?)^```", file.read(), re.MULTILINE | re.DOTALL)
        found += [(os.path.relpath(page, ROOT), command) for block in blocks for command in _commands(block)]
    for name in COMMANDS:
        found += [(f"{name} --help", command) for command in _commands(_parser(name).epilog or "")]
    return found


def test_there_are_some() -> None:
    assert len(_documented()) > 10


@pytest.mark.parametrize(("where", "command"), _documented())
def test_a_documented_command_is_understood(where: str, command: str) -> None:
    words = shlex.split(command)
    assert words[1] in COMMANDS, f"{where}: there is no command {words[1]}"
    if "--help" in words or any(sign in command for sign in ("…", "[", "COMMAND")):  # a synopsis
        return
    _parser(words[1]).parse_args([re.sub(r"^(NUMBER|SECONDS)$", "1", word) for word in words[2:]])
