"""The lists of an inventory: what modules of ansible.builtin can make, under names that are safe to hand them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from safetytwin.export.facts import REDACTED
from safetytwin.models.service import Service
from safetytwin.models.software import Group, Package, Sysctl, UnitFile, User

_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:~^-]*")
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?")
_PATH = re.compile(r"/[^\x00-\x1f\x7f:]*")
_SYSCTL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:@-]*")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\.service")
_UNIT_FILE = re.compile(
    r"/(?:etc|usr/local/lib)/systemd/system/[A-Za-z0-9:_.\\@-]*[A-Za-z0-9](?:\.d/[A-Za-z0-9:_.\\@-]+\.conf)?"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENABLED = {"enabled": True, "disabled": False}


class LeftOut:
    """What is not made, and why."""

    def __init__(self) -> None:
        self.items: list[dict[str, str]] = []

    def say(self, what: str, name: str, why: str) -> None:
        """Take note of one item."""
        self.items.append({"what": what, "name": name, "why": why})


def packages(found: Sequence[Package], left_out: LeftOut) -> list[dict[str, Any]]:
    """Return packages as their manager's module names them."""
    made = []
    for one in found:
        if not _PACKAGE.fullmatch(one.id):
            left_out.say("package", one.id, "its name is none that a package has")
            continue
        made.append(
            _known({"manager": one.manager, "id": one.id, "version": one.version, "architecture": one.architecture})
            | ({"held": True} if one.held else {})
        )
    return made


def groups(found: Sequence[Group], left_out: LeftOut) -> list[dict[str, Any]]:
    """Return groups with their numbers."""
    made = []
    for one in found:
        if _ACCOUNT.fullmatch(one.name):
            made.append(_known({"name": one.name, "gid": one.gid}))
        else:
            left_out.say("group", one.name, "its name is none that a group has")
    return made


def users(found: Sequence[User], all_groups: Sequence[Group], left_out: LeftOut) -> list[dict[str, Any]]:
    """Return users with their groups by name; no password, for none is known."""
    group_names = {group.gid: group.name for group in all_groups if _ACCOUNT.fullmatch(group.name)}
    made = []
    for one in found:
        if not _ACCOUNT.fullmatch(one.name) or one.uid is None:
            left_out.say("user", one.name, "its name is none that a user has, or its number is not known")
            continue
        made.append(
            _known(
                {
                    "name": one.name,
                    "uid": one.uid,
                    "group": group_names.get(one.gid),
                    "groups": [name for name in one.groups or () if _ACCOUNT.fullmatch(name)],
                    "comment": _one_line(one.full_name),
                    "home": _path(one.home),
                    "shell": _path(one.shell),
                    "locked": True if one.password == "locked" else None,  # noqa: S105 - a state, no password
                    "expires": _seconds(one.expires),
                }
            )
        )
    return made


def sysctl(found: Sequence[Sysctl], left_out: LeftOut) -> list[dict[str, Any]]:
    """Return the settings of the administrator's own files; those below /usr come with packages."""
    made = []
    for one in found:
        if one.file is None or not one.file.startswith("/etc/"):
            continue
        if one.configured is None or not _SYSCTL.fullmatch(one.name) or _CONTROL.search(one.configured):
            left_out.say("sysctl", one.name, "its value is a secret, or name or value is none that a setting has")
            continue
        made.append({"name": one.name, "value": one.configured})
    return made


def unit_files(found: Sequence[UnitFile], left_out: LeftOut) -> list[dict[str, Any]]:
    """Return the unit files whose whole contents are known."""
    made = []
    for one in found:
        if one.state == "masked":
            continue  # by the unit's own state
        if not _UNIT_FILE.fullmatch(one.path) or "/../" in one.path:
            left_out.say("unit file", one.path, "its name is none that a unit has")
        elif one.content is None or len(one.content.encode()) != one.size or one.target is not None:
            left_out.say("unit file", one.path, "its contents are not in the state; the agent's unit_file_contents")
        elif REDACTED in one.content:
            left_out.say("unit file", one.path, "there were secrets in it")
        else:
            made.append({"path": one.path, "content": one.content})
    return made


def units(found: Sequence[Service], left_out: LeftOut) -> list[dict[str, Any]]:
    """Return systemd's services that someone enabled, disabled or masked, and whether they run."""
    made = []
    for one in found:
        if one.type != "systemd" or one.unit_file_state not in {"enabled", "disabled", "masked"}:
            continue
        if not one.id.endswith(".service") or one.id.startswith("user/"):
            continue
        if not _UNIT.fullmatch(one.id):
            left_out.say("unit", one.id, "its name is none that a unit has")
            continue
        if one.unit_file_state == "masked":
            made.append({"name": one.id, "masked": True})
            continue
        state = {"active": "started", "inactive": "stopped"}.get(one.status or "")
        made.append(_known({"name": one.id, "enabled": _ENABLED[one.unit_file_state], "state": state}))
    return made


def _known(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value is not None}


def _one_line(text: str | None) -> str | None:
    return None if text is None or _CONTROL.search(text) or ":" in text else text


def _path(text: str | None) -> str | None:
    return text if text is not None and _PATH.fullmatch(text) else None


def _seconds(day: str | None) -> float | None:
    try:
        return None if day is None else datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
