"""safetytwin events: what happened on the machines of a bridge."""

import argparse
import difflib
import sys
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import TextIO

import msgspec

from safetytwin.changes.kinds import KINDS
from safetytwin.cli.bridge_api import BridgeApi, BridgeAwayError, add_bridge_arguments
from safetytwin.cli.human_times import ACCEPTED, local_time, moment
from safetytwin.cli.known_hosts import all_hosts, find_host
from safetytwin.models.event import Event
from safetytwin.models.printable import printable
from safetytwin.models.timestamps import seconds_of, timestamp

_LAST = 50
_PER_PAGE = 1000
_RETRY_SECONDS = 2.0
_STYLES = {"notice": "cyan", "warning": "yellow", "critical": "bold red"}

_EXAMPLES = """examples:
  safetytwin events                                    the last of all machines
  safetytwin events atlas --since "2 hours ago"
  safetytwin events --kind "unit.*,container.died" --follow
  safetytwin events --since yesterday --json | jq -r .text"""


class ShownEvent(Event, frozen=True, kw_only=True):
    """An event with its number and its machine, as the bridge tells it."""

    id: int
    host_id: str


class _Page(msgspec.Struct, frozen=True):
    events: list[ShownEvent]
    next: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "Show what happened on the machines that report to a bridge, the newest last."
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "host", metavar="HOST", nargs="?", help="only of this machine: hostname, host id or their beginning"
    )
    parser.add_argument(
        "--since", metavar="TIME", type=moment, help=f"from when on (default: the last {_LAST}): {ACCEPTED}"
    )
    parser.add_argument(
        "--kind", metavar="KIND", type=_kinds, help="only of these kinds, comma-separated, such as unit.failed,model.*"
    )
    parser.add_argument("--follow", action="store_true", help="go on as they happen, until stopped")
    parser.add_argument("--json", action="store_true", help="print JSON, one event a line")
    add_bridge_arguments(parser)


def _kinds(text: str) -> str:
    families = {f"{kind.partition('.')[0]}.*" for kind in KINDS}
    for name in text.split(","):
        if name not in KINDS and name not in families:
            close = difflib.get_close_matches(name, [*KINDS, *families], 1)
            nearest = f"did you mean {close[0]!r}?" if close else f"families: {', '.join(sorted(families))}"
            raise argparse.ArgumentTypeError(f"there is no kind of event {name!r}; {nearest}")
    return text


def run(options: argparse.Namespace) -> int:
    """Print events."""
    api = BridgeApi.of(options)
    host_id = find_host(api, options.host).host_id if options.host is not None else None
    write = _json_lines(sys.stdout) if options.json else _lines(api, sys.stdout, of_one=host_id is not None)
    if options.follow:
        return _follow(api, host_id, options, write)
    for event in _told(api, host_id, options.since, options.kind):
        write(event)
    return 0


def _path(host_id: str | None, what: str) -> str:
    return f"/api/v1/{what}" if host_id is None else f"/api/v1/hosts/{host_id}/{what}"


def _told(api: BridgeApi, host_id: str | None, since: float | None, kinds: str | None) -> list[ShownEvent]:
    """Return events from a moment on, or the last few, oldest first."""
    found: list[ShownEvent] = []
    cursor: str | None = None
    while True:
        parameters = {
            "from": None if since is None else timestamp(since),
            "kind": kinds,
            "limit": str(_LAST if since is None else _PER_PAGE),
            "cursor": cursor,
        }
        page = api.get_as(_Page, _path(host_id, "events"), parameters)
        found += page.events
        cursor = page.next
        if since is None or cursor is None:
            return found[::-1]


def _follow(
    api: BridgeApi, host_id: str | None, options: argparse.Namespace, write: Callable[[ShownEvent], None]
) -> int:
    """Write events as they happen until interrupted; a bridge that goes away is waited for."""
    began = time.time()
    since: float | None = options.since
    # Not the highest number alone: what an agent saw while the bridge was away is told late, at its moment of then.
    told: set[int] = set()
    connected = False
    while True:
        try:
            for event in _as_they_happen(api, host_id, since, options.kind):
                connected = True
                if event is not None and event.id not in told:
                    told.add(event.id)
                    write(event)
                    sys.stdout.flush()
        except BridgeAwayError as error:
            if not connected:
                raise
            sys.stderr.write(f"safetytwin events: {error}; trying again\n")
        since = began if since is None else since
        time.sleep(_RETRY_SECONDS)


def _as_they_happen(
    api: BridgeApi, host_id: str | None, since: float | None, kinds: str | None
) -> Iterator[ShownEvent | None]:
    """Yield what has happened, then what happens; None when the first is known to be all."""
    wanted = None if kinds is None else kinds.split(",")
    for name, data in api.stream(_path(host_id, "stream")):
        if name == "open":
            yield from _told(api, host_id, since, kinds)
            yield None
        elif name == "event":
            event = api.decoded(data, ShownEvent)
            if wanted is None or any(fnmatchcase(event.kind, pattern) for pattern in wanted):
                yield event


def _json_lines(out: TextIO) -> Callable[[ShownEvent], None]:
    def write(event: ShownEvent) -> None:
        out.write(msgspec.json.encode(event).decode() + "\n")

    return write


def _lines(api: BridgeApi, out: TextIO, *, of_one: bool) -> Callable[[ShownEvent], None]:
    """Return what writes an event as a line for people; each names its machine unless all are of one."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False, soft_wrap=True)
    names: dict[str, str] = {}

    def name_of(host_id: str) -> str:
        if host_id not in names:
            names.update({row.host_id: row.hostname or row.host_id for row in all_hosts(api)})
        return names.setdefault(host_id, host_id)

    def write(event: ShownEvent) -> None:
        line = Text(local_time(seconds_of(event.at))[:19], style="dim")
        if not of_one:
            line.append(f"  {printable(name_of(event.host_id))}", style="not dim bold")
        line.append(f"  {printable(event.kind)}  ", style=f"not dim {_STYLES.get(event.severity, '')}")
        line.append(printable(event.text), style="not dim")
        console.print(line)

    return write
