"""safetytwin agent: look at this machine."""

import argparse
import os
import sys
import time

import msgspec

from safetytwin.agent.atomic_file import write_whole
from safetytwin.agent.identity import IdentityError, host_id
from safetytwin.agent.interrupts import Interrupts
from safetytwin.agent.observer import Observer, make_observer
from safetytwin.cli.agent_options import add_config_arguments, configured
from safetytwin.cli.errors import UsageError, UserError
from safetytwin.models.system_state import SystemState

_EXAMPLES = """examples:
  safetytwin agent                                      a summary on one screen
  safetytwin agent --output system_state.json --pretty  the full state, as JSON, in a file (mode 0600)
  safetytwin agent --output - | jq .hardware.cpu        the same to another program
  safetytwin agent --interval 10 --output states.jsonl  a line a look, until stopped
  safetytwin agent --bridge http://127.0.0.1:5678       report to a bridge every 10 seconds, until stopped

Secrets in command lines, URLs and environments are replaced by [redacted] before anything is shown, written or sent.
Run as root to see the processes of all users in full; docs/permissions.md says what each privilege adds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "Look at this machine: hardware, processes, services, containers, GPUs, AI workloads."
    parser.epilog = _EXAMPLES
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output", metavar="FILE", help="write the full state as JSON to FILE, or to standard output with -"
    )
    output.add_argument("--pretty", action="store_true", help="indent the JSON")
    output.add_argument(
        "--reset-identity",
        action="store_true",
        help="give this installation a new host id (after its disk was cloned), and stop",
    )
    output.add_argument(
        "--report",
        action="store_true",
        help="report to the bridge that the configuration names; --bridge URL implies it",
    )
    add_config_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Look as the options say."""
    if options.pretty and (options.output is None or options.interval is not None):
        raise UsageError("--pretty goes with --output FILE alone: a stream has one line a look")
    # A bridge in the configuration file is the service's: whoever looks by hand must not become a second agent.
    reports = options.report or options.bridge is not None
    if options.output is not None and reports:
        raise UsageError("--output goes neither with --bridge nor with --report: a reporting agent writes no file")
    config = configured(options).config
    if options.reset_identity or reports:
        from safetytwin.cli import agent_loop

        return agent_loop.reset(config) if options.reset_identity else agent_loop.report(config, options)
    if options.interval is not None and options.output is None:
        raise UsageError("--interval needs --output FILE (or --output - for standard output), or --bridge URL")
    try:
        observer = make_observer(config, host_id(config.state_directory, keep=options.output is not None))
    except (ValueError, IdentityError) as error:
        raise UserError(str(error)) from error
    try:
        if options.interval is not None:
            return _stream(observer, options.output, config.interval)
        state = observer.observe_once()
    finally:
        observer.close()
    if options.output is None:
        from safetytwin.cli.summary import print_summary

        print_summary(state)
    elif options.output == "-":
        sys.stdout.buffer.write(_encode(state, pretty=options.pretty))
        sys.stdout.buffer.flush()
    else:
        try:
            write_whole(options.output, _encode(state, pretty=options.pretty))
        except OSError as error:
            raise UserError(f"nothing was written to {options.output}: {error.strerror or error}") from error
    return 0


def _encode(state: SystemState, *, pretty: bool) -> bytes:
    data = msgspec.json.encode(state)
    if pretty:
        data = msgspec.json.format(data, indent=2)
    return data + b"\n"


def _stream(observer: Observer, output: str, interval: float) -> int:
    """Write a line a look until SIGINT or SIGTERM; the line in hand is finished first."""
    try:
        descriptor = _open_stream(output)
    except OSError as error:
        raise UserError(f"{output} can't be written: {error.strerror or error}") from error
    interrupts = Interrupts()
    next_look = time.monotonic()
    try:
        while not interrupts.stopping:
            _append(descriptor, _encode(observer.observe(), pretty=False), output)
            # A look that took longer than the interval leaves looks out; they never pile up.
            now = time.monotonic()
            next_look += interval * max(1, -(-(now - next_look) // interval))
            while not interrupts.stopping and (left := next_look - time.monotonic()) > 0:
                interrupts.reload = False  # SIGHUP: nothing to reread here
                interrupts.wait(left)
    finally:
        interrupts.close()
        if descriptor != 1:
            os.close(descriptor)
    return 0


def _open_stream(output: str) -> int:
    if output == "-":
        return 1
    return os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _append(descriptor: int, line: bytes, output: str) -> None:
    view = memoryview(line)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"a line could not be written whole to {output}: {error.strerror or error}") from error
