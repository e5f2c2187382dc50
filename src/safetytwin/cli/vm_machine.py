"""Which machine a vm command is about, and the shape of its twin."""

import argparse

from safetytwin.cli.bridge_api import BridgeApi, add_bridge_arguments
from safetytwin.cli.diff_files import read_state
from safetytwin.cli.errors import UsageError, UserError
from safetytwin.cli.human_times import ACCEPTED, moment
from safetytwin.cli.known_hosts import find_host
from safetytwin.models.system_state import SystemState
from safetytwin.models.timestamps import timestamp
from safetytwin.vm.scaling import Host
from safetytwin.vm.shape import ISOLATED, shape
from safetytwin.vm.shape_records import Shape
from safetytwin.vm.twin_records import TwinRecord


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which machine, when, and with what choices."""
    parser.add_argument(
        "host", metavar="HOST", nargs="?", help="hostname, host id, or what only one of them begins with"
    )
    parser.add_argument("--state", metavar="FILE", help="a state in a file in place of HOST; -: standard input")
    parser.add_argument("--at", metavar="TIME", type=moment, help=f"the moment to be the twin of: {ACCEPTED}")
    parser.add_argument("--network", metavar="NAME", help="libvirt network of its interfaces; default: one to nowhere")
    parser.add_argument(
        "--pass-gpu",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="pass a GPU of this host through, such as 0000:01:00.0; may be repeated",
    )
    add_bridge_arguments(parser)


def wanted_state(options: argparse.Namespace) -> SystemState:
    """Return the state that the options name; raises UsageError, UserError."""
    if (options.host is None) == (options.state is None):
        raise UsageError("name a machine, or a state with --state FILE")
    if options.state is not None:
        if options.at is not None:
            raise UsageError("--at is for a machine of a bridge: a state in a file is of one moment")
        return read_state(options.state)
    api = BridgeApi.of(options)
    at = None if options.at is None else timestamp(options.at)
    return api.get_as(SystemState, f"/api/v1/hosts/{find_host(api, options.host).host_id}", {"at": at})


def wanted_shape(options: argparse.Namespace, state: SystemState, record: TwinRecord | None = None) -> Shape:
    """Return the shape of a machine on this host; what is not chosen now is as it was chosen for its twin.

    Raises UserError.
    """
    network = options.network or (ISOLATED if record is None else record.network)
    pass_gpus = options.pass_gpu or ([] if record is None else record.pass_gpus)
    at = None if options.at is None else timestamp(options.at)
    try:
        return shape(state, at=at, host=Host.here(), network=network, pass_gpus=pass_gpus)
    except ValueError as error:
        raise UserError(str(error)) from error
