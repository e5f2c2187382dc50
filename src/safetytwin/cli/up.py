"""safetytwin up: the live twin of this machine, agent and bridge in one.

The bridge runs in this process, the agent in one of its own: what shows the machine must not slow what looks at it.
"""

import argparse
import contextlib
import ipaddress
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
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
    server = bridge_server()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    data = options.data or Path(state_directory())
    bridge = server.BridgeThread(server.BridgeOptions(data / "bridge", host=host, port=port))
    interrupts = Interrupts()
    try:
        with bridge as url, _agent(url, options) as agent:
            sys.stdout.write(f"The live twin of this machine: {url}\nCtrl-C ends it. Its data: {data}\n")
            sys.stdout.flush()
            if not options.no_browser:
                from safetytwin.cli.browser import open_browser

                open_browser(url)
            while not (interrupts.stopping or interrupts.reload):  # SIGHUP: the terminal has gone
                interrupts.wait(_CHECK_SECONDS)
                if agent.poll() is not None:
                    raise UserError(f"the agent has ended ({_how(agent.returncode)}); what it said is above")
                if not bridge.running:
                    raise UserError("the bridge has ended; what it said is above")
    except server.BridgeError as error:
        raise UserError(str(error)) from error
    finally:
        interrupts.close()
    return 0


@contextlib.contextmanager
def _agent(url: str, options: argparse.Namespace) -> Iterator[subprocess.Popen[bytes]]:
    """Run an agent that reports to the bridge and ends with this process, however that ends."""
    command = [sys.executable, "-m", "safetytwin.cli.follower", "--bridge", url]
    if options.data is not None:
        command += ["--state-directory", str(options.data)]
    for name in ("interval", "config"):
        if getattr(options, name) is not None:
            command += [f"--{name}", getattr(options, name)]
    # In a process group of its own: Ctrl-C is for this process, which ends the agent before the bridge.
    agent = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)
    try:
        yield agent
    finally:
        agent.terminate()
        try:
            agent.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()
        if agent.stdin is not None:
            agent.stdin.close()


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


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
