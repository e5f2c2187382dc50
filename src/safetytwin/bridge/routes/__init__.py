"""The routes of the bridge: one table, made of the tables beside this file."""

from safetytwin.bridge.routes import about, frames, hosts, live, session, vm

ENDPOINTS = (
    *hosts.ENDPOINTS,
    *frames.ENDPOINTS,
    *live.ENDPOINTS,
    *vm.ENDPOINTS,
    *session.ENDPOINTS,
    *about.ENDPOINTS,
)
"""All that the API has."""
