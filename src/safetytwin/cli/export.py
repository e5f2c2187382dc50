"""safetytwin export HOST: a machine as an Ansible playbook, a compose file or a document."""

import argparse
import os
import sys

from safetytwin.cli.bridge_api import BridgeApi, add_bridge_arguments
from safetytwin.cli.diff_files import read_state
from safetytwin.cli.errors import UsageError, UserError
from safetytwin.cli.human_times import ACCEPTED, moment
from safetytwin.cli.known_hosts import find_host
from safetytwin.models.system_state import SystemState
from safetytwin.models.timestamps import timestamp

_EXAMPLES = """examples:
  safetytwin export atlas --as markdown --output atlas.md
  safetytwin export atlas --as ansible --output atlas/
  safetytwin export --state system_state.json --as compose > compose.yml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "Write a machine down in a form that other tools read. Secrets become variables, never values."
    parser.epilog = _EXAMPLES
    parser.add_argument("host", metavar="HOST", nargs="?", help="hostname, host id, or what only one begins with")
    parser.add_argument("--state", metavar="FILE", help="export the state in this file (- is standard input), no HOST")
    parser.add_argument("--at", metavar="TIME", type=moment, help=f"HOST as it was at: {ACCEPTED}")
    parser.add_argument(
        "--as",
        dest="form",
        choices=("ansible", "compose", "markdown"),
        required=True,
        help="ansible: an inventory and a playbook; compose: its containers; markdown: a document with tables",
    )
    parser.add_argument(
        "--output", metavar="PATH", help="file, or for ansible directory, to write; default: standard output"
    )
    add_bridge_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write the export."""
    if (options.host is None) == (options.state is None):
        raise UsageError("name one machine: HOST, or --state FILE")
    if options.state is not None and options.at is not None:
        raise UsageError("--at goes with HOST: a file holds one moment")
    if options.form == "ansible" and options.output is None:
        raise UsageError("an inventory and a playbook are several files: name a directory with --output")
    texts = _exported(_state(options), options.form)
    if options.form == "ansible":
        _write_directory(options.output, texts)
    elif options.output is not None:
        _write(options.output, texts[""])
    else:
        sys.stdout.write(texts[""])
    return 0


def _state(options: argparse.Namespace) -> SystemState:
    if options.state is not None:
        return read_state(options.state)
    api = BridgeApi.of(options)
    host = find_host(api, options.host)
    at = None if options.at is None else timestamp(options.at)
    return api.get_as(SystemState, f"/api/v1/hosts/{host.host_id}", {"at": at})


def _exported(state: SystemState, form: str) -> dict[str, str]:
    """Return the files by name; the only one of a form that has one is named ""."""
    try:
        if form == "ansible":
            from safetytwin.export.ansible import ansible_files

            return ansible_files(state)
        if form == "compose":
            from safetytwin.export.compose import compose_text
            from safetytwin.export.facts import containers_of

            if not containers_of(state):
                raise UserError("no containers are known of this machine; safetytwin show says what could not be seen")
            return {"": compose_text(state)}
    except ModuleNotFoundError as error:
        if error.name != "yaml":
            raise
        raise UserError(f"--as {form} needs the package PyYAML; run: pip install pyyaml") from error
    from safetytwin.export.markdown import markdown_text

    return {"": markdown_text(state)}


def _write_directory(path: str, texts: dict[str, str]) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} can't be made: {error.strerror}") from error
    for name, text in texts.items():
        _write(os.path.join(path, name), text)
    sys.stderr.write(f"{path}: {', '.join(texts)}\n")


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error
