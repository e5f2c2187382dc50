"""safetytwin up: the live twin of this machine, agent and bridge in one.

The bridge runs in this process, the agent in one of its own: what shows the machine must not slow what looks at it.
"""

import argparse
import contextlib
import ipaddress
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

from safetytwin.agent.identity import state_directory
from safetytwin.agent.interrupts import Interrupts
from safetytwin.cli.errors import UsageError, UserError
from safetytwin.cli.extras import bridge_server
from safetytwin.cli.listen import DEFAULT_HOST, DEFAULT_PORT, listen_address

_EXAMPLES = """examples:
  safetytwin up                               look every 10 seconds, open the page in a browser
  safetytwin up --interval 2 --no-browser     look more often; the page's address is printed
  safetytwin up --listen 127.0.0.1:8000

To show the twins of several machines: safetytwin bridge --help"""

_PORTS_TRIED = 20
_GRACE_SECONDS = 10.0
"""For the agent to end the look in hand."""
_CHECK_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "Show the live twin of this machine: an agent that looks, a bridge that keeps and shows."
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        type=listen_address,
        help=f"loopback address of the page; default: {DEFAULT_HOST}:{DEFAULT_PORT}, or the next port that is free",
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help=f"where everything is kept; default: {state_directory()}"
    )
    parser.add_argument(
        "--interval", metavar="SECONDS", help="seconds between two looks; default: as configured, else 10"
    )
    parser.add_argument("--config", metavar="FILE", help="configuration file of the agent")
    parser.add_argument("--no-browser", action="store_true", help="open no browser")


def run(options: argparse.Namespace) -> int:
    """Run both until SIGINT, SIGTERM or the end of the terminal."""
    host, port = options.listen or (DEFAULT_HOST, _free_port(DEFAULT_HOST, DEFAULT_PORT))
    if not _is_loopback(host):
        raise UsageError(
            f"up shows this machine to its own users, on loopback; to listen on {host}: safetytwin bridge --help"
        )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    interrupts = Interrupts()
    try:
        with contextlib.closing(_Agent(options)) as agent:  # first of all, so that both load at once
            server = bridge_server()
            data = options.data or Path(state_directory())
            bridge = server.BridgeThread(server.BridgeOptions(data / "bridge", host=host, port=port))
            try:
                with bridge as url, contextlib.closing(agent):  # ends before the bridge, so that its last look is kept
                    agent.report_to(url)
                    sys.stdout.write(f"The live twin of this machine: {url}\nCtrl-C ends it. Its data: {data}\n")
                    sys.stdout.flush()
                    if not options.no_browser:
                        from safetytwin.cli.browser import open_browser

                        open_browser(url)
                    while not (interrupts.stopping or interrupts.reload):  # SIGHUP: the terminal has gone
                        agent.check()
                        if not bridge.running:
                            raise UserError("the bridge has ended; what it said is above")
                        interrupts.wait(_CHECK_SECONDS)
            except server.BridgeError as error:
                raise UserError(str(error)) from error
    finally:
        interrupts.close()
    return 0


class _Agent:
    """An agent in a process of its own, which ends with this one, however that ends."""

    def __init__(self, options: argparse.Namespace) -> None:
        command = [sys.executable, "-m", "safetytwin.cli.follower"]
        if options.data is not None:
            command += ["--state-directory", str(options.data)]
        for name in ("interval", "config"):
            if getattr(options, name) is not None:
                command += [f"--{name}", getattr(options, name)]
        reader, self._writer = os.pipe()
        # In a process group of its own: Ctrl-C is for this process, which ends the agent before the bridge.
        try:
            self._process = subprocess.Popen(command, stdin=reader, process_group=0)
        finally:
            os.close(reader)

    def report_to(self, url: str) -> None:
        """Have it look, and report to a bridge."""
        with contextlib.suppress(BrokenPipeError):  # it has ended; check says so
            os.write(self._writer, f"{url}\n".encode())

    def check(self) -> None:
        """Raise UserError where it has ended."""
        code = self._process.poll()
        if code is not None:
            how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            raise UserError(f"the agent has ended ({how}); what it said is above")

    def close(self) -> None:
        """End it once it has ended the look in hand; harmless where it has ended."""
        self._process.terminate()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _free_port(host: str, first: int) -> int:
    """Return the first port that no one listens on; 0, which is any, where none of a number is free."""
    for port in range(first, first + _PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((host, port))
                return port
    return 0
