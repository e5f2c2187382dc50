"""Where the twins of this host are: their files, and the libvirt that runs them."""

import argparse
import os

from safetytwin.vm.domain import Place
from safetytwin.vm.libvirt_driver import SYSTEM, LibvirtDriver
from safetytwin.vm.twin_records import TwinFiles
from safetytwin.vm.twins import Twins


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where twins are."""
    group = parser.add_argument_group("where twins are")
    group.add_argument(
        "--vm-directory",
        metavar="DIR",
        default=os.environ.get("SAFETYTWIN_VM_DIRECTORY") or Place().directory,
        help=f"where their files are; default: $SAFETYTWIN_VM_DIRECTORY, else {Place().directory}",
    )
    group.add_argument(
        "--libvirt",
        metavar="URI",
        default=os.environ.get("SAFETYTWIN_LIBVIRT") or SYSTEM,
        help=f"libvirt that runs them; default: $SAFETYTWIN_LIBVIRT, else {SYSTEM}",
    )


def files_of(options: argparse.Namespace) -> TwinFiles:
    """Return the files of twins, for which no libvirt is needed."""
    return TwinFiles(options.vm_directory)


def twins_of(options: argparse.Namespace) -> Twins:
    """Return the twins; raises DriverAwayError where libvirt's bindings are not installed."""
    return Twins(LibvirtDriver(options.libvirt), files_of(options))
