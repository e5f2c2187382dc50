"""safetytwin vm create, start, stop and the like: the twins of this host. Needs libvirt, and the rights to use it."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from safetytwin.cli.bridge_api import BridgeApi, add_bridge_arguments
from safetytwin.cli.errors import UserError
from safetytwin.cli.human_times import TimeError, local_time, parse_time
from safetytwin.cli.known_hosts import find_host
from safetytwin.cli.vm_machine import add_machine_arguments, wanted_shape, wanted_state
from safetytwin.cli.vm_place import add_place_arguments, twins_of
from safetytwin.cli.vm_plan import line_text
from safetytwin.models.printable import printable
from safetytwin.models.quantities import size
from safetytwin.models.timestamps import seconds_of
from safetytwin.vm.driver import DriverError
from safetytwin.vm.twins import Twins

Act = Callable[[Twins, str, argparse.Namespace], int]


def add_commands(commands: Any) -> None:
    """Add the commands that act on twins to the parsers of vm."""
    text = "make a twin over an image and start it"
    creating = commands.add_parser("create", help=text, description=text.capitalize() + ".", allow_abbrev=False)
    add_machine_arguments(creating)
    creating.add_argument(
        "--image", metavar="FILE", required=True, help="a cloud image, or a copy of the machine's disk; it is only read"
    )
    creating.add_argument("--key", metavar="FILE", help="a public SSH key that may sign in as the user twin")
    add_place_arguments(creating)
    creating.set_defaults(do=_create)
    for name, act, text in (
        ("list", _list, "list the twins of this host"),
        ("status", _status, "show a twin: what it follows, what waits for its next boot, what it could not follow"),
        ("start", _start, "boot a twin"),
        ("stop", _stop, "power a twin off"),
        ("restart", _restart, "power a twin off and boot it with what waits for its next boot"),
        ("delete", _delete, "delete a twin with its disks and snapshots"),
        ("console", _console, "print the last lines of a twin's console"),
        ("enter", _enter, "enter a twin by its serial console"),
        ("follow", _follow, "let a twin follow its machine, or stay as it is"),
        ("snapshots", _snapshots, "list a twin's snapshots"),
        ("snapshot", _snapshot, "take a snapshot of a twin"),
        ("rollback", _rollback, "go back to a snapshot; the twin stays there until it is released"),
        ("release", _release, "let a twin that was rolled back follow its machine again"),
    ):
        parser = commands.add_parser(name, help=text, description=text.capitalize() + ".", allow_abbrev=False)
        if name != "list":
            parser.add_argument(
                "host", metavar="HOST", help="host id of the twin's machine, or what a bridge finds it by"
            )
            add_bridge_arguments(parser)
        if name in {"stop", "restart"}:
            parser.add_argument("--force", action="store_true", help="cut the power")
        if name == "console":
            parser.add_argument("--lines", metavar="N", type=int, default=50, help="how many; default: 50")
        if name == "follow":
            parser.add_argument("--off", action="store_true", help="stay as it is")
        if name in {"status", "snapshots"}:
            parser.add_argument("--json", action="store_true", help="print JSON")
        if name == "snapshot":
            parser.add_argument("--name", metavar="N", help="keep it for ever, under this name")
        if name == "rollback":
            parser.add_argument("to", metavar="NAME|TIME", help="a snapshot, or the moment to be at")
        add_place_arguments(parser)
        parser.set_defaults(do=_acting(act))


def _acting(act: Act) -> Callable[[argparse.Namespace], int]:
    def do(options: argparse.Namespace) -> int:
        try:
            twins = twins_of(options)
            return act(twins, "" if "host" not in options else _host_id(twins, options), options)
        except DriverError as error:
            raise UserError(str(error)) from error

    return do


def _host_id(twins: Twins, options: argparse.Namespace) -> str:
    """Return which twin is meant: by host id here, which needs no bridge, else as the bridge knows it."""
    wanted: str = options.host
    if wanted in twins.files.hosts():
        return wanted
    try:
        return find_host(BridgeApi.of(options), wanted).host_id
    except UserError as error:
        raise UserError(f"there is no twin of {printable(wanted)!r} here, and {error}") from error


def _create(options: argparse.Namespace) -> int:
    shape = wanted_shape(options, wanted_state(options))
    try:
        twins = twins_of(options)
        accelerator, why = twins.driver.accelerator()
        twins.create(shape, options.image, _key(options.key))
    except DriverError as error:
        raise UserError(str(error)) from error
    for deviation in shape.deviations:
        sys.stdout.write(f"{deviation.what} {printable(deviation.item or '')}: {deviation.reason}\n")
    sys.stdout.write(f"{shape.name} is started, with {'KVM' if accelerator == 'kvm' else 'emulation'} ({why}).\n")
    return 0


def _key(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            key = file.read(16384).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    if not key.startswith(("ssh-", "ecdsa-", "sk-")) or "\n" in key:
        raise UserError(
            f"{path} is no public SSH key: it should hold one line that begins with ssh-ed25519 or the like"
        )
    return key


def _list(twins: Twins, _: str, options: argparse.Namespace) -> int:  # noqa: ARG001 - as every action
    for host_id in twins.files.hosts():
        status = twins.status(host_id)
        pinned = "" if status.record.pinned is None else f"  pinned at {status.record.pinned}"
        sys.stdout.write(f"{host_id}  {status.status}  {size(status.disk_bytes)}{pinned}\n")
    return 0


def _status(twins: Twins, host_id: str, options: argparse.Namespace) -> int:
    status = twins.status(host_id)
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(status), indent=2).decode() + "\n")
        return 0
    record = status.record
    following = "follows its machine" if record.follow else "does not follow its machine"
    if record.pinned is not None:
        following = f"pinned at {record.pinned}: safetytwin vm release {host_id} lets it follow again"
    seen = "" if record.at is None else f", at {local_time(seconds_of(record.at))}"
    sys.stdout.write(f"{status.name}: {status.status}, {following}{seen}\n")
    sys.stdout.write(f"{size(status.disk_bytes)} on disk, {len(status.snapshots)} snapshots\n")
    for line in (*record.pending, *record.drift):
        sys.stdout.write(line_text(line) + "\n")
    return 0


def _start(twins: Twins, host_id: str, options: argparse.Namespace) -> int:  # noqa: ARG001 - as every action
    twins.start(host_id)
    return 0


def _stop(twins: Twins, host_id: str, options: argparse.Namespace) -> int:
    if twins.stop(host_id, force=options.force):
        return 0
    raise UserError("its system did not power off within a minute: cut its power with --force")


def _restart(twins: Twins, host_id: str, options: argparse.Namespace) -> int:
    twins.restart(host_id, force=options.force)
    return 0


def _delete(twins: Twins, host_id: str, options: argparse.Namespace) -> int:  # noqa: ARG001 - as every action
    twins.delete(host_id)
    return 0


def _console(twins: Twins, host_id: str, options: argparse.Namespace) -> int:
    for line in twins.console(host_id, options.lines):
        sys.stdout.write(printable(line) + "\n")
    return 0


def _enter(twins: Twins, host_id: str, options: argparse.Namespace) -> int:
    name = twins.status(host_id).name
    try:
        os.execvp("virsh", ["virsh", "--connect", options.libvirt, "console", "--force", "--", name])  # noqa: S606
    except FileNotFoundError as error:
        raise UserError("virsh is needed to enter a twin: install libvirt-clients") from error


def _follow(twins: Twins, host_id: str, options: argparse.Namespace) -> int:
    twins.set_follow(host_id, follow=not options.off)
    return 0


def _snapshots(twins: Twins, host_id: str, options: argparse.Namespace) -> int:
    snapshots = twins.status(host_id).snapshots
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(snapshots), indent=2).decode() + "\n")
        return 0
    for snapshot in snapshots:
        of = "" if snapshot.at is None else f"  of {local_time(seconds_of(snapshot.at))}"
        kept = "  kept" if snapshot.named else ""
        sys.stdout.write(f"{local_time(seconds_of(snapshot.taken_at))}  {printable(snapshot.name)}{of}{kept}\n")
    return 0


def _snapshot(twins: Twins, host_id: str, options: argparse.Namespace) -> int:
    sys.stdout.write(twins.snapshot(host_id, options.name) + "\n")
    return 0


def _rollback(twins: Twins, host_id: str, options: argparse.Namespace) -> int:
    wanted: str | float = options.to
    if all(snapshot.name != wanted for snapshot in twins.status(host_id).snapshots):
        try:
            wanted = parse_time(options.to, time.time())
        except TimeError as error:
            raise UserError(f"there is no snapshot {options.to!r}, and as a moment: {error}") from error
    snapshot = twins.rollback(host_id, wanted)
    sys.stdout.write(f"back at {printable(snapshot.name)}, and pinned: safetytwin vm release {host_id} ends that\n")
    return 0


def _release(twins: Twins, host_id: str, options: argparse.Namespace) -> int:  # noqa: ARG001 - as every action
    twins.release(host_id)
    return 0
