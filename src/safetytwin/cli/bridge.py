"""safetytwin bridge: keep the twins of machines, show them; and the tokens that let people and agents in."""

import argparse
import functools
import logging
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from safetytwin.agent.identity import state_directory
from safetytwin.cli.errors import UserError
from safetytwin.cli.extras import bridge_server
from safetytwin.cli.listen import DEFAULT_HOST, DEFAULT_PORT, listen_address

if TYPE_CHECKING:
    from safetytwin.bridge.server import Join
    from safetytwin.bridge.stores.base import Retention

_EXAMPLES = """examples:
  safetytwin bridge                                     on this machine alone, http://127.0.0.1:5678
  safetytwin bridge --listen 0.0.0.0:5678 --tls-cert cert.pem --tls-key key.pem --allow-host twins.example
  safetytwin bridge --listen 10.0.0.5:5678 --behind-proxy --allow-host twins.example
  safetytwin bridge --store nats://nats1,nats2 --nats-credentials FILE   one of several bridges on one store
  safetytwin bridge token create --person --name ann    prints a token for a person
  safetytwin bridge token create                        prints a token for an agent; its first use binds it
  safetytwin bridge token list
  safetytwin bridge token revoke ID

Off loopback it needs TLS, or a proxy before it that does TLS, and tokens. docs/service.md: running it as a service."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "Keep a live twin of every machine that reports: now, then, and what changed."
    parser.epilog = _EXAMPLES
    parser.usage = "%(prog)s [OPTIONS]\n       %(prog)s token {create,list,revoke} [OPTIONS]"
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        type=listen_address,
        default=(DEFAULT_HOST, DEFAULT_PORT),
        help=f"address to listen on; default: {DEFAULT_HOST}:{DEFAULT_PORT}",
    )
    add_data_argument(parser, default_data())
    parser.add_argument(
        "--store",
        metavar="nats://HOST[,HOST]",
        help="keep the twins in NATS JetStream, together with other bridges; docs/cluster.md",
    )
    parser.add_argument(
        "--nats-credentials",
        metavar="FILE",
        type=Path,
        help="a .creds file of NATS, or one with a line USER:PASSWORD or TOKEN",
    )
    parser.add_argument(
        "--nats-ca", metavar="FILE", type=Path, help="certificates that NATS's are checked against (PEM)"
    )
    parser.add_argument("--tls-cert", metavar="FILE", type=Path, help="certificate (PEM, with its chain)")
    parser.add_argument("--tls-key", metavar="FILE", type=Path, help="its key (PEM)")
    parser.add_argument("--behind-proxy", action="store_true", help="a proxy before it does TLS")
    parser.add_argument(
        "--allow-host", metavar="NAME", action="append", default=[], help="a name it answers under; may be repeated"
    )
    parser.add_argument("--require-tokens", action="store_true", help="ask for tokens on loopback too")
    for option, default, kept in (
        ("--keep-days", 14, "every state"),
        ("--keep-sparse-days", 90, "one state of ten minutes"),
        ("--keep-hourly-days", 365, "one state an hour, events and charts"),
    ):
        parser.add_argument(
            option, metavar="DAYS", type=_days, default=float(default), help=f"days to keep {kept}; default: {default}"
        )
    parser.add_argument(
        "--keep-bytes", metavar="BYTES", type=_bytes, help="size on disk beyond which the oldest go first"
    )
    commands = parser.add_subparsers(dest="command", metavar="token")
    from safetytwin.cli import token

    token.add_arguments(commands.add_parser("token", allow_abbrev=False, help="make, list and revoke tokens"))


def _join(options: argparse.Namespace, retention: "Retention") -> "Join | None":
    """Return what opens the store that other bridges use too, None where this one has its own; raises UserError."""
    if options.store is None:
        if options.nats_credentials is not None or options.nats_ca is not None:
            raise UserError("--nats-credentials and --nats-ca go with --store nats://HOST")
        return None
    from safetytwin.nats_address import NatsAddressError, is_nats, nats_address

    if not is_nats(options.store):
        raise UserError("--store takes nats://HOST:PORT[,HOST:PORT] or tls://…; without it there is a store in --data")
    if "@" in options.store:
        raise UserError("a command line is no place for a secret: write it in a file, for --nats-credentials FILE")
    try:
        address = nats_address(options.store, credentials_file=options.nats_credentials, ca_file=options.nats_ca)
    except NatsAddressError as error:
        raise UserError(str(error)) from error
    try:
        from safetytwin.bridge.cluster.opening import joined
    except ModuleNotFoundError as error:
        if error.name != "nats":
            raise
        raise UserError("--store nats://… needs the NATS client: pip install 'safetytwin[nats]'") from error
    return functools.partial(joined, address=address, retention=retention)


def _days(text: str) -> float:
    """Return a number of days."""
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 < days <= 36500:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days; write it as 14 or 0.5")
    return days


def _bytes(text: str) -> int:
    """Return a number of bytes, as 500M or 20G."""
    match = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", text)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as 500M or 20G")
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ")


def add_data_argument(parser: argparse.ArgumentParser, default: object) -> None:
    """Add --data, with a default that a parser below another leaves to that one."""
    parser.add_argument(
        "--data", metavar="DIR", type=Path, default=default, help=f"where the twins are kept; default: {default_data()}"
    )


def default_data() -> Path:
    """Return where this user's bridge keeps its data."""
    return Path(state_directory()) / "bridge"


def run(options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, or do what is asked with tokens."""
    if options.command == "token":
        from safetytwin.cli import token

        return token.run(options)
    server = bridge_server()
    from safetytwin.bridge.stores.base import Retention
    from safetytwin.bridge.twin_keeper import sqlite_keeper

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    host, port = options.listen
    retention = Retention(options.keep_days, options.keep_sparse_days, options.keep_hourly_days, options.keep_bytes)
    status: int = server.run_bridge(
        server.BridgeOptions(
            data_dir=options.data,
            keep=functools.partial(sqlite_keeper, retention=retention),
            join=_join(options, retention),
            host=host,
            port=port,
            allow_hosts=tuple(options.allow_host),
            tls_certificate=options.tls_cert,
            tls_key=options.tls_key,
            behind_proxy=options.behind_proxy,
            require_tokens=options.require_tokens,
        )
    )
    return status
