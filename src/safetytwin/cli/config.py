"""safetytwin config: what configuration holds, and where each value came from."""

import argparse
import sys

import msgspec

from safetytwin.agent.config import keys
from safetytwin.cli.agent_options import add_config_arguments, configured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "Print the agent's configuration as it holds, with the source of each value."
    parser.epilog = "examples:\n  safetytwin config\n  SAFETYTWIN_INTERVAL=30 safetytwin config --json | jq .interval"
    parser.add_argument("--json", action="store_true", help="print JSON: value and source of each key")
    add_config_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print the configuration."""
    found = configured(options)
    values = msgspec.structs.asdict(found.config)
    if options.json:
        rows = {key: {"value": value, "source": found.sources[key]} for key, value in values.items()}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n")
        return 0
    descriptions = keys()
    for key, value in values.items():
        shown = "# (none)" if value is None else msgspec.json.encode(value).decode()
        sys.stdout.write(f"{key} = {shown}   # {found.sources[key]}; {descriptions[key]}\n")
    return 0
