"""The routes of the bridge: one table, made of the tables beside this file."""

from dataclasses import replace

from safetytwin.bridge.routes import about, frames, hosts, live, session, vm

ENDPOINTS = (
    *hosts.ENDPOINTS,
    *frames.ENDPOINTS,
    *live.ENDPOINTS,
    # A virtual machine is of the bridge beside whose hypervisor it runs, whichever one owns its machine.
    *(replace(endpoint, here=True) for endpoint in vm.ENDPOINTS),
    *session.ENDPOINTS,
    *about.ENDPOINTS,
)
"""All that the API has."""
