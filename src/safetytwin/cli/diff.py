"""safetytwin diff: what changed between two states, or between two moments of a machine."""

import argparse
import sys
import time

import msgspec

from safetytwin.cli.bridge_api import BridgeApi, add_bridge_arguments
from safetytwin.cli.diff_files import diff_files, difference
from safetytwin.cli.errors import UsageError
from safetytwin.cli.human_times import ACCEPTED, local_time, moment
from safetytwin.cli.known_hosts import find_host
from safetytwin.models.event import Event
from safetytwin.models.printable import printable
from safetytwin.models.system_state import SystemState
from safetytwin.models.timestamps import seconds_of, timestamp

_EXAMPLES = """examples:
  safetytwin diff before.json after.json                           two states in files
  safetytwin agent --output - | safetytwin diff before.json -      then and now, without a bridge
  safetytwin diff atlas --from "yesterday 14:00"                   a machine, since then
  safetytwin diff atlas --from -2h --to -1h --all --json"""


class _Difference(msgspec.Struct, frozen=True):
    events: list[Event]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "Show what changed between two states in files, or between two moments of a machine."
    parser.epilog = _EXAMPLES
    parser.usage = (
        "%(prog)s A.json B.json [--all] [--json]\n       %(prog)s HOST --from TIME [--to TIME] [--all] [--json]"
    )
    parser.add_argument("what", metavar="A.json B.json | HOST", nargs="+", help="two states (-: stdin), or a machine")
    parser.add_argument("--from", dest="begin", metavar="TIME", type=moment, help=f"the first moment: {ACCEPTED}")
    parser.add_argument("--to", dest="end", metavar="TIME", type=moment, help="the second moment; default: now")
    parser.add_argument("--all", action="store_true", help="measurements too, not only what is significant")
    parser.add_argument("--json", action="store_true", help="print JSON: the change, and of a machine the events too")
    add_bridge_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print what changed."""
    moments = options.begin is not None or options.end is not None
    if len(options.what) == 2 and not moments:
        return diff_files(*options.what, all_=options.all, json_=options.json, out=sys.stdout)
    if len(options.what) != 1:
        raise UsageError("give two files, or one machine with --from TIME")
    if options.begin is None:
        raise UsageError("a machine needs --from TIME, such as --from -1h; two states in files need both")
    end = time.time() if options.end is None else options.end
    if options.begin > end:
        raise UsageError(f"--from ({local_time(options.begin)}) is after --to ({local_time(end)})")
    return _diff_moments(BridgeApi.of(options), options, end)


def _diff_moments(api: BridgeApi, options: argparse.Namespace, end: float) -> int:
    path = f"/api/v1/hosts/{find_host(api, options.what[0]).host_id}"
    begin_text, end_text = timestamp(options.begin), timestamp(end)
    reply = api.get(f"{path}/diff", {"from": begin_text, "to": end_text, "all": "true" if options.all else None})
    if options.json:
        sys.stdout.write(msgspec.json.format(reply.body, indent=2).decode() + "\n")
        return 0
    old, new = (api.get_as(SystemState, path, {"at": text}) for text in (begin_text, end_text))
    _, lines = difference(old, new, all_=options.all)
    sys.stdout.write(f"From {local_time(options.begin)} to {local_time(end)}\n\n" + "\n".join(lines) + "\n")
    happened = api.decoded(reply.body, _Difference).events
    if happened:
        sys.stdout.write("\nEvents\n")
    for event in reversed(happened):
        sys.stdout.write(f"  {local_time(seconds_of(event.at))[:19]}  {event.kind}  {printable(event.text)}\n")
    return 0
