"""Routes of the virtual machines that follow machines."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each

import msgspec

from safetytwin.bridge.bodies import decoded, inflated
from safetytwin.bridge.problems import Problem
from safetytwin.bridge.routes import parameters as p
from safetytwin.bridge.routes.table import Call, Endpoint, Parameter
from safetytwin.models.fields import Record
from safetytwin.models.system_state import SystemState
from safetytwin.vm.driver import DriverAwayError, DriverError
from safetytwin.vm.plan import Line, left_out, plan
from safetytwin.vm.scaling import Host
from safetytwin.vm.shape import shape as shape_of
from safetytwin.vm.shape_records import Shape
from safetytwin.vm.snapshots import TwinSnapshot
from safetytwin.vm.twin_records import NoTwinError
from safetytwin.vm.twins import Twins, TwinStatus

if TYPE_CHECKING:
    from safetytwin.bridge.app import Bridge

T = TypeVar("T")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_CONSOLE_LINES = 200
_MOST_CONSOLE_LINES = 2000


class TwinView(Record, frozen=True, omit_defaults=False):
    """A machine's twin: what it is to be, what it is, and what differs."""

    shape: A[Shape, msgspec.Meta(description="What the twin is to be.")]
    plan: A[list[Line], msgspec.Meta(description="What would be created or changed.")]
    left_out: A[list[Line], msgspec.Meta(description="In what a twin can't be as the machine.")]
    twin: A[TwinStatus | None, msgspec.Meta(description="The twin; null where there is none.")] = None
    problem: A[str | None, msgspec.Meta(description="Why it can't be asked, or does not follow.")] = None


class SnapshotList(Record, frozen=True):
    """The snapshots of a twin, oldest first."""

    snapshots: list[TwinSnapshot]


class SnapshotName(Record, frozen=True):
    """What a snapshot is called; without a name it is kept for a while only."""

    name: A[str, msgspec.Meta(description="Kept for ever under this name.", pattern=rf"^{_NAME}\Z")] | None = None


class Console(Record, frozen=True):
    """The last lines of a twin's console, as plain text: what a terminal would act on is taken out or written out."""

    lines: list[str]


async def show_vm(bridge: "Bridge", call: Call) -> TwinView:
    """Show the shape of a machine, its twin and what differs."""
    seen = await bridge.keeper.state(call.host_id, call["at"])
    state = msgspec.json.decode(seen.state, type=SystemState)

    def view(twins: Twins) -> TwinView:
        record = twins.files.load(call.host_id)
        if record is None:
            return _planned(state)
        status = twins.status(call.host_id)
        shape = twins.shape(record, state)
        lines = plan(shape, twins.driver.current_xml(shape.name))
        return TwinView(shape, lines, left_out(shape.deviations), status, bridge.vms.error(call.host_id))

    if call.host_id not in bridge.vms.files.hosts():
        return _planned(state)
    try:
        return await bridge.vms.do(view)
    except (DriverError, ValueError) as error:
        return msgspec.structs.replace(_planned(state), problem=str(error))


def _planned(state: SystemState) -> TwinView:
    shape = shape_of(state, host=Host.here())
    return TwinView(shape, plan(shape, None), left_out(shape.deviations))


async def start_vm(bridge: "Bridge", call: Call) -> TwinStatus:
    """Boot a twin."""
    return await _after(bridge, call, lambda twins: twins.start(call.host_id))


async def stop_vm(bridge: "Bridge", call: Call) -> TwinStatus:
    """Power a twin off."""
    return await _after(bridge, call, lambda twins: twins.stop(call.host_id, force=bool(call["force"])))


async def restart_vm(bridge: "Bridge", call: Call) -> TwinStatus:
    """Power a twin off and boot it."""
    return await _after(bridge, call, lambda twins: twins.restart(call.host_id, force=bool(call["force"])))


async def list_snapshots(bridge: "Bridge", call: Call) -> SnapshotList:
    """List a twin's snapshots."""
    status = await _done(bridge, call, lambda twins: twins.status(call.host_id))
    return SnapshotList(status.snapshots)


async def take_snapshot(bridge: "Bridge", call: Call) -> SnapshotList:
    """Take a snapshot of a twin."""
    wanted: SnapshotName = decoded(await inflated(bridge, call.request), SnapshotName, bridge.limits)
    await _done(bridge, call, lambda twins: twins.snapshot(call.host_id, wanted.name))
    return await list_snapshots(bridge, call)


async def delete_snapshot(bridge: "Bridge", call: Call) -> SnapshotList:
    """Delete a snapshot."""
    await _done(bridge, call, lambda twins: twins.delete_snapshot(call.host_id, call["name"]))
    return await list_snapshots(bridge, call)


async def roll_back(bridge: "Bridge", call: Call) -> TwinStatus:
    """Go back to a snapshot; the twin stays there until it is released."""
    return await _after(bridge, call, lambda twins: twins.rollback(call.host_id, call["name"]))


async def pin_vm(bridge: "Bridge", call: Call) -> TwinStatus:
    """Keep a twin as it is."""
    return await _after(bridge, call, lambda twins: twins.pin(call.host_id))


async def release_vm(bridge: "Bridge", call: Call) -> TwinStatus:
    """Let a pinned twin follow its machine again."""
    return await _after(bridge, call, lambda twins: twins.release(call.host_id))


async def follow_vm(bridge: "Bridge", call: Call) -> TwinStatus:
    """Let a twin follow its machine."""
    return await _after(bridge, call, lambda twins: twins.set_follow(call.host_id, follow=True))


async def unfollow_vm(bridge: "Bridge", call: Call) -> TwinStatus:
    """Let a twin stay as it is, whatever becomes of its machine."""
    return await _after(bridge, call, lambda twins: twins.set_follow(call.host_id, follow=False))


async def show_console(bridge: "Bridge", call: Call) -> Console:
    """Show the last lines of a twin's console."""
    lines = call["lines"] or _CONSOLE_LINES
    return Console(await _done(bridge, call, lambda twins: twins.console(call.host_id, lines)))


async def _after(bridge: "Bridge", call: Call, act: Callable[[Twins], object]) -> TwinStatus:
    def do(twins: Twins) -> TwinStatus:
        act(twins)
        return twins.status(call.host_id)

    return await _done(bridge, call, do)


async def _done(bridge: "Bridge", call: Call, act: Callable[[Twins], T]) -> T:
    await bridge.keeper.state(call.host_id, None)  # a machine that is not known is 404 as everywhere
    try:
        # What is not there is seen before a driver is opened, which may not be installed.
        bridge.vms.files.needed(call.host_id)
        return await bridge.vms.do(act)
    except NoTwinError as error:
        raise Problem(404, str(error)) from None
    except DriverAwayError as error:
        raise Problem(503, str(error)) from None
    except DriverError as error:
        raise Problem(409, str(error)) from None


def _name(text: str) -> str:
    if not re.fullmatch(_NAME, text, re.ASCII):
        raise ValueError(f"{text[:80]!r} is no name of a snapshot: 1 to 64 of A-Z a-z 0-9 . _ -, no sign first")
    return text


_SNAPSHOT = Parameter(
    "name", "The snapshot.", {"type": "string", "pattern": f"^{_NAME}$"}, _name, "path", "before-upgrade"
)
_FORCE = Parameter("force", "Cut the power.", {"type": "boolean"}, p.boolean, example="true")
_LINES = p.limit(_MOST_CONSOLE_LINES, _CONSOLE_LINES, "lines")
_VM = "/api/v1/hosts/{host_id}/vm"
_ERRORS = (409, 503)

ENDPOINTS = (
    Endpoint(
        "GET", _VM, show_vm, "A machine's twin: its shape, what it is, what differs.", TwinView, (p.HOST_ID, p.AT)
    ),
    Endpoint("POST", f"{_VM}/start", start_vm, "Boot a twin.", TwinStatus, (p.HOST_ID,), problems=_ERRORS),
    Endpoint("POST", f"{_VM}/stop", stop_vm, "Power a twin off.", TwinStatus, (p.HOST_ID, _FORCE), problems=_ERRORS),
    Endpoint(
        "POST",
        f"{_VM}/restart",
        restart_vm,
        "Power a twin off and boot it with what waits for that.",
        TwinStatus,
        (p.HOST_ID, _FORCE),
        problems=_ERRORS,
    ),
    Endpoint(
        "GET",
        f"{_VM}/console",
        show_console,
        "The last lines of a twin's console.",
        Console,
        (p.HOST_ID, _LINES),
        problems=_ERRORS,
    ),
    Endpoint(
        "GET", f"{_VM}/snapshots", list_snapshots, "A twin's snapshots.", SnapshotList, (p.HOST_ID,), problems=_ERRORS
    ),
    Endpoint(
        "POST",
        f"{_VM}/snapshots",
        take_snapshot,
        "Take a snapshot of a twin.",
        SnapshotList,
        (p.HOST_ID,),
        body=SnapshotName,
        example={"name": "before-upgrade"},
        problems=(408, 413, 415, *_ERRORS),
    ),
    Endpoint(
        "DELETE",
        f"{_VM}/snapshots/{{name}}",
        delete_snapshot,
        "Delete a snapshot.",
        SnapshotList,
        (p.HOST_ID, _SNAPSHOT),
        problems=_ERRORS,
    ),
    Endpoint(
        "POST",
        f"{_VM}/snapshots/{{name}}/rollback",
        roll_back,
        "Go back to a snapshot, and stay there until released.",
        TwinStatus,
        (p.HOST_ID, _SNAPSHOT),
        problems=_ERRORS,
    ),
    Endpoint("POST", f"{_VM}/follow", follow_vm, "Let a twin follow.", TwinStatus, (p.HOST_ID,), problems=_ERRORS),
    Endpoint(
        "DELETE", f"{_VM}/follow", unfollow_vm, "Let a twin stay as it is.", TwinStatus, (p.HOST_ID,), problems=_ERRORS
    ),
    Endpoint("POST", f"{_VM}/pin", pin_vm, "Keep a twin as it is.", TwinStatus, (p.HOST_ID,), problems=_ERRORS),
    Endpoint(
        "DELETE", f"{_VM}/pin", release_vm, "Let a twin follow again.", TwinStatus, (p.HOST_ID,), problems=_ERRORS
    ),
)
