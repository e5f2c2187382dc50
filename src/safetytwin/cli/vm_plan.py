"""safetytwin vm plan and vm xml: what a twin would be. Needs neither libvirt nor root."""

import argparse
import sys
from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Any

import msgspec

from safetytwin.cli.errors import UserError
from safetytwin.cli.vm_machine import add_machine_arguments, wanted_shape, wanted_state
from safetytwin.cli.vm_place import add_place_arguments, files_of, twins_of
from safetytwin.models.fields import Record
from safetytwin.models.printable import printable
from safetytwin.models.quantities import size
from safetytwin.vm.domain import domain_xml
from safetytwin.vm.domain_reading import DomainError
from safetytwin.vm.driver import DriverError
from safetytwin.vm.plan import Line, left_out, plan
from safetytwin.vm.shape_records import Shape
from safetytwin.vm.twin_records import TwinRecord


class Planned(Record, frozen=True):
    """What --json prints."""

    shape: A[Shape, msgspec.Meta(description="What the twin is to be.")]
    plan: A[list[Line], msgspec.Meta(description="What would be created or changed.")]
    left_out: A[list[Line], msgspec.Meta(description="In what the twin is not as the machine.")]


def add_commands(commands: Any) -> None:
    """Add vm plan and vm xml to the parsers of vm."""
    text = "what would be created or changed: live, at next boot, or not at all"
    planning = commands.add_parser("plan", help=text, description=text.capitalize() + ".", allow_abbrev=False)
    add_machine_arguments(planning)
    planning.add_argument("--domain", metavar="FILE", help="XML of the domain to change, in place of the twin's")
    add_place_arguments(planning)
    planning.add_argument("--json", action="store_true", help="print the shape and the plan as JSON")
    planning.set_defaults(do=_plan)
    text = "the libvirt domain that the twin would be"
    printing = commands.add_parser("xml", help=text, description=f"Print {text}.", allow_abbrev=False)
    add_machine_arguments(printing)
    printing.set_defaults(do=_xml)


def _plan(options: argparse.Namespace) -> int:
    state = wanted_state(options)
    record = _record(options, state.host_id)
    wanted = wanted_shape(options, state, record)
    domain = _present(options, wanted.name, record)
    try:
        planned = Planned(wanted, plan(wanted, domain), left_out(wanted.deviations))
    except DomainError as error:
        raise UserError(f"{options.domain or wanted.name}: {error}") from error
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(planned), indent=2).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_lines(planned)) + "\n")
    return 0


def _xml(options: argparse.Namespace) -> int:
    sys.stdout.write(domain_xml(wanted_shape(options, wanted_state(options))))
    return 0


def _record(options: argparse.Namespace, host_id: str) -> TwinRecord | None:
    try:
        return files_of(options).load(host_id)
    except DriverError as error:
        sys.stderr.write(f"The twin here can't be looked at, so this is a new one's plan: {error}\n")
        return None


def _present(options: argparse.Namespace, name: str, record: TwinRecord | None) -> str | None:
    """Return the domain's XML; None where there is no twin here, or it can't be asked, which is said."""
    if options.domain is not None:
        return _content(options.domain)
    if record is None:
        return None
    try:
        return twins_of(options).driver.current_xml(name)
    except DriverError as error:
        sys.stderr.write(f"The twin here can't be asked, so this is a new one's plan: {error}\n")
        return None


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no XML in UTF-8: {error}") from error


def _lines(planned: Planned) -> list[str]:
    shape = planned.shape
    head = f"{shape.name}: the twin of {printable(shape.hostname or shape.host_id)} as it was at {shape.at}"
    lines = [line_text(line) for line in (*planned.plan, *planned.left_out)]
    return [head, "", *(lines if planned.plan else ["It is as it should be.", *lines])]


def line_text(line: Line) -> str:
    """Return a line of a plan for people."""
    subject = line.what if line.item is None else f"{line.what} {printable(line.item)}"
    before, after = (_value(line.what, value) for value in (line.before, line.after))
    moved = " → ".join(text for text in (before, after) if text)
    reason = "" if line.reason is None else f"({line.reason})"
    return "  ".join(
        part for part in (f"{line.when:<12}", f"{line.action:<6}", subject, moved, reason) if part
    ).rstrip()


def _value(what: str, value: int | str | None) -> str:
    if value is None:
        return ""
    return size(value) if isinstance(value, int) and what in {"memory", "disk"} else printable(str(value))
