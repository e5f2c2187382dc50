"""safetytwin show HOST: a machine as it is, or as it was."""

import argparse
import sys
import time

import msgspec

from safetytwin.cli.bridge_api import BridgeApi, add_bridge_arguments
from safetytwin.cli.human_times import ACCEPTED, local_time, moment
from safetytwin.cli.known_hosts import find_host
from safetytwin.models.quantities import duration
from safetytwin.models.system_state import SystemState
from safetytwin.models.timestamps import seconds_of, timestamp

_EXAMPLES = """examples:
  safetytwin show atlas                             as it is now
  safetytwin show atlas --at "yesterday 14:00"      as it was
  safetytwin show atlas --at -2h --json | jq .services"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "Show a machine that reports to a bridge, as it is or as it was."
    parser.epilog = _EXAMPLES
    parser.add_argument("host", metavar="HOST", help="hostname, host id, or what only one of them begins with")
    parser.add_argument("--at", metavar="TIME", type=moment, help=f"the moment to show: {ACCEPTED}")
    parser.add_argument("--json", action="store_true", help="print the whole state as JSON")
    add_bridge_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print a machine's state."""
    now = time.time()
    at: float | None = options.at
    api = BridgeApi.of(options)
    host = find_host(api, options.host)
    reply = api.get(f"/api/v1/hosts/{host.host_id}", {"at": None if at is None else timestamp(at)})
    if options.json:
        sys.stdout.write(msgspec.json.format(reply.body, indent=2).decode() + "\n")
        return 0
    state = api.decoded(reply.body, SystemState)
    if at is not None:
        seen = seconds_of(reply.headers.get("SafetyTwin-At") or state.timestamp)
        sys.stdout.write(f"As it was at {local_time(at)}; looked at {local_time(seen)}\n\n")
    elif host.status == "silent":
        silence = duration(max(0.0, now - seconds_of(host.received_at)))
        sys.stdout.write(f"Silent for {silence}: this is how it was at {local_time(seconds_of(host.received_at))}\n\n")
    elif host.status == "conflict":
        sys.stdout.write(
            "Two agents use this machine's identity: on the machine whose disk is a copy, run: "
            "safetytwin agent --reset-identity\n\n"
        )
    from safetytwin.cli.summary import print_summary

    print_summary(state)
    return 0
