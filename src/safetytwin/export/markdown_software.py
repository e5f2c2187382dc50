"""The document's tables of what is installed and set up."""

from collections.abc import Callable, Sequence

from safetytwin.models.software import Software
from safetytwin.models.system_state import SystemState

Rows = Sequence[Sequence[object]]


def _software(state: SystemState) -> Software:
    return state.software or Software()


def _users(state: SystemState) -> Rows:
    return [
        (one.name, one.uid, one.full_name, one.groups or [], one.home, one.shell, one.password, one.expires)
        for one in _software(state).users or ()
    ]


def _groups(state: SystemState) -> Rows:
    return [(one.name, one.gid, one.members or []) for one in _software(state).groups or ()]


def _sysctl(state: SystemState) -> Rows:
    return [(one.name, one.value, one.configured, one.file) for one in _software(state).sysctl or ()]


def _unit_files(state: SystemState) -> Rows:
    return [(one.path, one.unit, one.state, one.sha256) for one in _software(state).unit_files or ()]


def _packages(state: SystemState) -> Rows:
    return [
        (one.name, one.version, one.architecture, one.manager, one.source or one.name, one.status or "installed")
        for one in _software(state).packages or ()
    ]


SOFTWARE_SECTIONS: tuple[tuple[str, Sequence[str], Callable[[SystemState], Rows]], ...] = (
    ("Users", ("Name", "Number", "Full name", "Groups", "Home", "Shell", "Password", "Expires"), _users),
    ("Groups", ("Name", "Number", "Members"), _groups),
    ("Kernel settings", ("Name", "Value", "Configured", "By"), _sysctl),
    ("Unit files of the administrator", ("Path", "Unit", "State", "SHA-256"), _unit_files),
    ("Packages", ("Name", "Version", "Architecture", "Manager", "Source", "Status"), _packages),
)
