"""safetytwin bridge token: make, list and revoke the tokens that let people and agents in."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from safetytwin.cli.errors import UserError
from safetytwin.cli.extras import bridge_server
from safetytwin.models.printable import printable

if TYPE_CHECKING:
    from safetytwin.bridge.auth import Token


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands below token; each takes --data, as the command above them does."""
    parser.description = (
        "Make, list and revoke the tokens that a bridge asks for. A token is shown once, when it is made."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="{create,list,revoke}")
    create = actions.add_parser("create", allow_abbrev=False, help="make a token and print it")
    create.add_argument(
        "--person", action="store_true", help="for a person, who sees all machines; default: for an agent"
    )
    create.add_argument("--name", metavar="NAME", help="whose it is, for the list")
    create.add_argument("--host-id", metavar="ID", help="the agent's machine; default: the first that uses it")
    listing = actions.add_parser("list", allow_abbrev=False, help="list the tokens, which are not shown themselves")
    listing.add_argument("--json", action="store_true", help="print JSON")
    revoke = actions.add_parser("revoke", allow_abbrev=False, help="make a token worthless at once")
    revoke.add_argument("id", metavar="ID", help="as list shows it")
    for action in (create, listing, revoke):
        action.add_argument(
            "--data", metavar="DIR", type=Path, default=argparse.SUPPRESS, help="the bridge's data directory"
        )


def run(options: argparse.Namespace) -> int:
    """Do what is asked."""
    bridge_server()  # says so where no bridge can run
    from safetytwin.bridge.auth import TokenError, TokenStore

    data: Path = options.data
    try:
        if options.action == "create":
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_owner(data)
            token = TokenStore(data).create(
                "person" if options.person else "agent", name=options.name, host_id=options.host_id
            )
            sys.stdout.write(token + "\n")
            sys.stderr.write("Keep it in a file that only its owner may read: it is not shown again.\n")
        elif options.action == "revoke":
            _check_owner(data)
            TokenStore(data).revoke(options.id)
        else:
            _list(TokenStore(data).list(), json=options.json)
    except TokenError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{data} can't be made: {error.strerror}; run as the user that the bridge runs as") from error
    return 0


def _check_owner(data: Path) -> None:
    """Raise UserError where the file would be another user's than the bridge's, who could not read it then."""
    owner = data.stat().st_uid if data.exists() else os.geteuid()
    if owner == os.geteuid():
        return
    import pwd

    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    raise UserError(
        f"{data} belongs to {name}: run this as that user, such as: sudo -u {name} safetytwin bridge token ..."
    )


def _list(tokens: "Sequence[Token]", *, json: bool) -> None:
    if json:
        shown = [
            {name: value for name, value in msgspec.to_builtins(one).items() if name != "sha256"} for one in tokens
        ]
        sys.stdout.write(msgspec.json.format(msgspec.json.encode({"tokens": shown}), indent=2).decode() + "\n")
        return
    for one in tokens:
        bound = "" if one.kind == "person" else f"  {one.host_id or 'not used yet'}"
        sys.stdout.write(f"{one.id}  {one.kind:<6}  {one.created_at[:10]}  {printable(one.name or '')}{bound}\n")
    if not tokens:
        sys.stderr.write("There are no tokens.\n")
