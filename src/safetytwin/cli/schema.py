"""safetytwin schema: the JSON Schema of the state."""

import argparse
import json
import sys

from safetytwin.models.schema import state_schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "Print the JSON Schema (2020-12) of the state, with each field's meaning, unit and kind."
    parser.epilog = "examples:\n  safetytwin schema > state.schema.json\n  safetytwin schema | jq '.\"$defs\".Process'"


def run(options: argparse.Namespace) -> int:
    """Print the schema."""
    del options
    json.dump(state_schema(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
    return 0
