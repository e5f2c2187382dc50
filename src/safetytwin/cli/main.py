"""The command line: picks the command and imports no other."""

import argparse
import importlib
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from safetytwin import __version__
from safetytwin.cli.errors import UsageError, UserError

COMMANDS = {
    # command: (module of safetytwin.cli, what it does)
    "agent": ("agent", "look at this machine: a summary, the state as JSON, or looks without end"),
    "explain": ("explain", "say why a process, unit or container is, or is not, an AI workload"),
    "config": ("config", "print the agent's configuration and where each value came from"),
    "schema": ("schema", "print the JSON Schema of the state"),
    "up": ("up", "show the live twin of this machine in a browser: agent and bridge in one"),
    "bridge": ("bridge", "keep the twins of machines that report, and show them; make tokens"),
    "hosts": ("hosts", "list the machines that a bridge knows"),
    "show": ("show", "show a machine as it is, or as it was"),
    "events": ("events", "show what happened on machines, and what happens"),
    "models": ("models", "list the AI models that lie on this machine, verified, and what is wrong with them"),
    "export": ("export", "write a machine down for other tools: Ansible, Docker Compose, Markdown"),
    "diff": ("diff", "show what changed between two states, or two moments of a machine"),
    "vm": ("vm", "make a virtual machine of a machine's shape that follows it; snapshots, rollback"),
}

_EXAMPLES = """examples:
  safetytwin up                                     this machine's live twin, in a browser
  safetytwin show atlas --at "yesterday 14:00"      a machine as it was
  safetytwin agent                                  a summary of this machine
  safetytwin agent --output system_state.json       all of it, as JSON
  safetytwin diff before.json after.json            what changed

Each command has its own help: safetytwin COMMAND --help"""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, whose width is asked without shutil.

    argparse makes a formatter for every option that is added; shutil brings bz2 and lzma with it.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_terminal_columns() - 2)


def _terminal_columns() -> int:
    """Return what COLUMNS or the terminal says, as shutil.get_terminal_size does; 80 where neither does."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(1).columns or 80
    except (OSError, ValueError):
        return 80


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors say where the help is."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as usual, but take -2h after an option for its value, which argparse would take for an option."""
        return super().parse_known_args(_joined(sys.argv[1:] if args is None else args), namespace)

    def error(self, message: str) -> NoReturn:
        """Print the error and how to find help; exit with 2."""
        self.exit(2, f"{self.prog}: {message}\nSee: {self.prog} --help\n")


def _joined(arguments: Sequence[str]) -> list[str]:
    joined: list[str] = []
    for argument in arguments:
        after_option = bool(joined) and joined[-1].startswith("--") and len(joined[-1]) > 2 and "=" not in joined[-1]
        if after_option and re.match(r"-[0-9]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _top_parser() -> Parser:
    width = max(map(len, COMMANDS)) + 2
    listing = "\n".join(f"  {name:<{width}}{what}" for name, (_, what) in COMMANDS.items())
    parser = Parser(
        prog="safetytwin",
        description="A live digital twin of a machine: what it is and was, what changed, what serves which AI model.",
        epilog=f"commands:\n{listing}\n\n{_EXAMPLES}",
        formatter_class=HelpFormatter,
        usage="safetytwin COMMAND [OPTIONS]",
    )
    parser.add_argument("--version", action="version", version=f"safetytwin {__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 could not (the reason is on standard error), 2 wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        return _without_command(arguments)
    name = arguments[0]
    module = importlib.import_module(f"safetytwin.cli.{COMMANDS[name][0]}")
    parser = Parser(prog=f"safetytwin {name}", formatter_class=HelpFormatter, allow_abbrev=False)
    module.add_arguments(parser)
    options = parser.parse_args(arguments[1:])
    try:
        code: int = module.run(options)
    except UsageError as error:
        parser.error(str(error))
    except UserError as error:
        sys.stderr.write(f"safetytwin {name}: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone: nothing more to say, and no traceback at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _without_command(arguments: Sequence[str]) -> int:
    parser = _top_parser()
    if not arguments:
        parser.print_help(sys.stderr)
    elif arguments[0].startswith("-"):
        parser.parse_args(arguments)
    else:
        import difflib

        close = difflib.get_close_matches(arguments[0], COMMANDS, 1)
        parser.error(f"there is no command {arguments[0]!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    return 2
