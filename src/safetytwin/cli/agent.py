"""safetytwin agent: look at this machine."""

import argparse
import os
import sys
import time

import msgspec

from safetytwin.agent.atomic_file import write_whole
from safetytwin.agent.identity import IdentityError, host_id
from safetytwin.agent.interrupts import Interrupts
from safetytwin.agent.observer import Observer
from safetytwin.agent.redaction import Redactor
from safetytwin.cli.errors import UsageError, UserError
from safetytwin.collectors.base import LookOptions
from safetytwin.collectors.registry import registrations
from safetytwin.collectors.system import SystemLooker
from safetytwin.models.system_state import SystemState

_EXAMPLES = """examples:
  safetytwin agent                                      a summary on one screen
  safetytwin agent --output system_state.json --pretty  the full state, as JSON, in a file (mode 0600)
  safetytwin agent --output - | jq .hardware.cpu        the same to another program
  safetytwin agent --interval 10 --output states.jsonl  a line a look, until stopped

Secrets in command lines, URLs and environments are replaced by [redacted] before anything is shown or written.
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
        "--interval", type=_seconds, metavar="SECONDS", help="look again and again; one line of JSON a look"
    )
    look = parser.add_argument_group("what to look at")
    look.add_argument("--open-files", action="store_true", help="list the open files of each process (dearer)")
    look.add_argument("--environment", action="store_true", help="list the processes' environments, values redacted")
    look.add_argument("--user-units", action="store_true", help="list the units of the users' systemd managers too")
    look.add_argument("--docker-socket", metavar="PATH", help="the Docker engine's socket, if not the usual one")
    look.add_argument("--podman-socket", metavar="PATH", help="Podman's socket, if not the usual one")
    look.add_argument("--system-bus", metavar="PATH", help="the D-Bus system bus's socket, if not the usual one")
    look.add_argument(
        "--backend",
        choices=("proc", "psutil"),
        default="proc" if sys.platform.startswith("linux") else "psutil",
        help="read /proc (Linux) or ask psutil (anywhere); default: %(default)s",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0.1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.1 and 86400 seconds")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Look as the options say."""
    if options.interval is not None and options.output is None:
        raise UsageError("--interval needs --output FILE (or --output - for standard output)")
    if options.pretty and (options.output is None or options.interval is not None):
        raise UsageError("--pretty goes with --output FILE alone: a stream has one line a look")
    observer = make_observer(options)
    try:
        if options.interval is not None:
            return _stream(observer, options.output, options.interval)
        state = observer.observe_once()
    finally:
        observer.close()
    if options.output is None:
        from safetytwin.cli.summary import print_summary

        print_summary(state)
    elif options.output == "-":
        _write_stdout(_encode(state, pretty=options.pretty))
    else:
        try:
            write_whole(options.output, _encode(state, pretty=options.pretty))
        except OSError as error:
            raise UserError(f"nothing was written to {options.output}: {error.strerror or error}") from error
    return 0


def make_observer(options: argparse.Namespace) -> Observer:
    """Return what looks, as the options say."""
    try:
        collectors = registrations(options.backend)
        identity = host_id(keep=options.output is not None)
    except (ValueError, IdentityError) as error:
        raise UserError(str(error)) from error
    look = LookOptions(
        open_files=options.open_files,
        environment=options.environment,
        user_units=options.user_units,
        docker_socket=options.docker_socket,
        podman_socket=options.podman_socket,
        system_bus=options.system_bus,
    )
    looker = SystemLooker(collectors, host_id=identity, options=look, backend=options.backend)
    return Observer(looker, Redactor())


def _encode(state: SystemState, *, pretty: bool) -> bytes:
    data = msgspec.json.encode(state)
    if pretty:
        data = msgspec.json.format(data, indent=2)
    return data + b"\n"


def _write_stdout(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


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
                interrupts.reload = (
                    False  # nothing to reread: this command takes its options from the command line alone
                )
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
