"""The agent's configuration as flags: each key of the configuration file is one."""

import argparse
import os
from typing import Any

from safetytwin.agent import config as agent_config
from safetytwin.cli.errors import UserError


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --config and a flag for every key of the agent's configuration."""
    group = parser.add_argument_group("configuration (flags are stronger than the environment, that than the file)")
    group.add_argument("--config", metavar="FILE", help=f"configuration file; default: {agent_config.default_path()}")
    for key, description in agent_config.keys().items():
        flag, kind = agent_config.flag_of(key), agent_config.type_of(key)
        if kind is dict:
            group.add_argument(
                flag,
                dest=key,
                type=_label,
                action="append",
                metavar="NAME=VALUE",
                default=None,
                help=f"{description}; may be repeated",
            )
        elif kind is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=description)
        elif kind is list:
            group.add_argument(
                flag, action="append", metavar="NAME", default=None, help=f"{description}; may be repeated"
            )
        else:
            metavar = {float: "NUMBER", int: "BYTES"}.get(kind, "VALUE")
            group.add_argument(
                flag, type=_checked(key, kind), metavar=metavar, default=None, help=description.replace("%", "%%")
            )


def _label(text: str) -> tuple[str, str]:
    try:
        return agent_config.label_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _checked(key: str, kind: type) -> Any:
    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no {'whole ' if kind is int else ''}number") from None
        try:
            return agent_config.value_of(key, value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text}: {error}") from None

    return convert


def configured(options: argparse.Namespace) -> agent_config.Configured:
    """Return the configuration that holds for these options; raises UserError."""
    known = agent_config.keys()
    flags = {key: getattr(options, key) for key in known}
    if flags["labels"] is not None:
        flags["labels"] = dict(flags["labels"])
    try:
        return agent_config.load(options.config, os.environ, flags)
    except agent_config.ConfigError as error:
        raise UserError(str(error)) from error
