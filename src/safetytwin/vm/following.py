"""Following: one step brings a twin to a state of its machine, and says what it could not bring.

A step begins with what the driver and the guest say now and ends with the record; killed anywhere between, the next
step goes on where it was.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from safetytwin.models.system_state import SystemState
from safetytwin.vm import guest_plan
from safetytwin.vm.applying import apply_live
from safetytwin.vm.damping import Damper
from safetytwin.vm.domain import Place, disk_file, domain_xml
from safetytwin.vm.domain_reading import Present, read_domain
from safetytwin.vm.driver import Driver, DriverError
from safetytwin.vm.guest import Guest, GuestError
from safetytwin.vm.images import grow, make_empty
from safetytwin.vm.names import SYSTEM_DISK
from safetytwin.vm.plan import Line, left_out, plan
from safetytwin.vm.seed import guest_hostname
from safetytwin.vm.shape_records import Shape
from safetytwin.vm.twin_records import TwinRecord


@dataclass(slots=True)
class Outcome:
    """What one step did."""

    applied: list[Line] = field(default_factory=list)
    """What is new: not what was asked for before and is on its way, as memory is that a guest gives back slowly."""
    pending: list[Line] = field(default_factory=list)
    drift: list[Line] = field(default_factory=list)


def bring(driver: Driver, shape: Shape, place: Place, state: SystemState, damper: Damper) -> Outcome:
    """Bring a twin's domain and inside to a state of its machine; raises DriverError where nothing could be done."""
    outcome = Outcome(drift=left_out(shape.deviations))
    current = driver.current_xml(shape.name)
    if current is None:
        raise DriverError(f"the domain {shape.name} is gone: safetytwin vm create makes it anew from the same disks")
    present = read_domain(current)
    lines = plan(shape, current)
    outcome.drift += [line for line in lines if line.when == "cannot"]
    if driver.running(shape.name):
        on_their_way = [line for line in lines if damper.repeats(_key(line), line.after)]
        applied, failed = apply_live(driver, shape, present, place, _damped(lines, damper, outcome.drift))
        outcome.applied = [line for line in applied if line not in on_their_way]
        outcome.drift += failed
        outcome.pending = [line for line in lines if line.when == "at next boot"]
        define(driver, shape, place, present)
        _bring_inside(driver, shape, state, damper, outcome)
    else:
        prepare_disks(shape, place, read_domain(driver.defined_xml(shape.name) or current))
        outcome.applied = [line for line in lines if line.when != "cannot"]
        define(driver, shape, place, present)
    return outcome


def followed(record: TwinRecord, outcome: Outcome, shape: Shape, revision: int | None) -> TwinRecord:
    """Return what is remembered after a step."""
    return msgspec.structs.replace(record, revision=revision, at=shape.at, pending=outcome.pending, drift=outcome.drift)


def define(driver: Driver, shape: Shape, place: Place, present: Present | None) -> None:
    """See that the next boot takes the shape; disks that are there keep their names."""
    names = () if present is None else tuple(present.disk_targets.items())
    wanted = _unshrunk(shape, present)
    defined = driver.defined_xml(shape.name)
    if defined is None or plan(wanted, defined):
        where = Place(place.directory, place.accelerator, names)
        driver.define(domain_xml(wanted, where))


def prepare_disks(shape: Shape, place: Place, present: Present | None) -> None:
    """Make the disks that are missing and let those grow that are too small; for a twin that does not run."""
    for disk in shape.disks:
        path = place.file(shape, disk_file(disk.serial))
        if disk.size is None:
            continue
        if disk.serial != SYSTEM_DISK:
            make_empty(path, disk.size)
        before = None if present is None else present.disks.get(disk.serial)
        if before is not None and (before.size or 0) < disk.size:
            grow(path, disk.size)


def _unshrunk(shape: Shape, present: Present | None) -> Shape:
    """Return the shape with the disks that can't shrink at the size they have."""
    if present is None:
        return shape
    disks = [
        msgspec.structs.replace(disk, size=max(disk.size or 0, present.disks[disk.serial].size or 0) or None)
        if disk.serial in present.disks
        else disk
        for disk in shape.disks
    ]
    return msgspec.structs.replace(shape, disks=disks)


def _damped(lines: Sequence[Line], damper: Damper, drift: list[Line]) -> list[Line]:
    allowed: list[Line] = []
    now = time.monotonic()
    for line in lines:
        if line.when != "live" or damper.allows(_key(line), now, line.after):
            allowed.append(line)
        else:
            drift.append(_held(line))
    return allowed


def _bring_inside(driver: Driver, shape: Shape, state: SystemState, damper: Damper, outcome: Outcome) -> None:
    guest = Guest(driver, shape.name)
    if not guest.answers():
        outcome.drift.append(_without_agent())
        return
    facts = guest.facts()
    outcome.drift += guest_plan.unfollowed(state, facts)
    now = time.monotonic()
    for step in guest_plan.steps(state, guest_hostname(shape), facts):
        if not damper.allows(step.key, now):
            outcome.drift.append(_held(step.line))
            continue
        try:
            code, output = guest.run(step.argv)
        except GuestError as error:
            code, output = -1, str(error)
        if code == 0:
            outcome.applied.append(step.line)
        else:
            said = f"{step.argv[0]} in the guest: {output.strip()[:200]}"
            outcome.drift.append(msgspec.structs.replace(step.line, when="cannot", reason=said))
    damper.forget_calm(now)


def _key(line: Line) -> str:
    return f"{line.action} {line.what} {line.item}"


def _held(line: Line) -> Line:
    return msgspec.structs.replace(line, when="cannot", reason="it changes too often: left until it is calm")


def _without_agent() -> Line:
    reason = "no guest agent answers in it: install qemu-guest-agent in the image, or wait until it has booted"
    return Line("cannot", "leave", "guest", None, reason=reason)
