"""Looks for tests: at a fixture tree or at this machine, with clocks that the test sets."""

import os
import time

from safetytwin.collectors.base import Look, LookOptions
from safetytwin.collectors.host_root import HostRoot

FIXTURES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "fixtures")


def fixture_look(name, *, number=0, monotonic=0.0, wall=1767229200.0):
    """Return a look at tests/fixtures/name, or at the tree in a folder where name is absolute."""
    root = HostRoot.fixture(os.path.join(FIXTURES, name))
    return Look(root, LookOptions(), number, {}, monotonic, wall)


def live_look(number=0, *, options=None):
    """Return a look at this machine, now."""
    return Look(HostRoot(), options or LookOptions(), number, {}, time.monotonic(), time.time())
