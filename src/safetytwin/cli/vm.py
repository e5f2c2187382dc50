"""safetytwin vm: the virtual machine of a machine's shape, that follows it."""

import argparse

from safetytwin.cli import vm_plan, vm_run

_EXAMPLES = """examples:
  safetytwin vm plan atlas                          what a twin of atlas would be, or what of it would change
  safetytwin vm plan atlas --at "yesterday 14:00"   of atlas as it was
  safetytwin agent --output - | safetytwin vm plan --state - --json
  safetytwin vm xml atlas                           the libvirt domain
  safetytwin vm create atlas --image debian-12-generic-amd64.qcow2 --key ~/.ssh/id_ed25519.pub
  safetytwin vm snapshot atlas --name before-upgrade
  safetytwin vm rollback atlas before-upgrade       it stays there, until: safetytwin vm release atlas"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "A virtual machine of a machine's shape, that follows it: to enter, break and roll back."
    parser.epilog = _EXAMPLES
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    vm_plan.add_commands(commands)
    vm_run.add_commands(commands)


def run(options: argparse.Namespace) -> int:
    """Do what is asked."""
    code: int = options.do(options)
    return code
