"""Users who can log in, and their groups, from passwd, group and shadow; read again only where one of them changed."""

import os
from collections.abc import Mapping

from safetytwin.collectors.account_files import (
    GroupLine,
    ShadowLine,
    can_log_in,
    parse_group,
    parse_shadow,
    parse_users,
)
from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.file_stamps import WatchedFiles
from safetytwin.collectors.host_root import HostRoot, read_bytes
from safetytwin.models.software import Group, Software, User


class AccountsCollector:
    """Keeps what the files said; users of a directory service (LDAP, NIS) stand in none of them and are not listed."""

    def __init__(self) -> None:
        self._watched = WatchedFiles()
        self._software = Software()
        self._shadow_denied = False

    def collect(self, look: Look) -> Software:
        """Return users and groups, the very same object where nothing changed; raises AbsentError without passwd."""
        if self._watched.changed():
            self._watched.watch(os.path.join(look.root.etc, name) for name in ("passwd", "group", "shadow"))
            try:
                software = self._read(look.root)
            except FileNotFoundError:
                self._watched.forget()
                raise AbsentError("this machine has no passwd file") from None
            except OSError:
                self._watched.forget()
                raise
            if software != self._software:
                self._software = software
        if self._shadow_denied:
            look.notes.append("whether users have a password may be read by root only")
            look.hint = "run as root"
        return self._software

    def close(self) -> None:
        """Nothing is kept open."""

    def _read(self, root: HostRoot) -> Software:
        users = [user for user in parse_users(read_bytes(os.path.join(root.etc, "passwd"))) if can_log_in(user.shell)]
        shadow = self._shadow(os.path.join(root.etc, "shadow"))
        try:
            groups = parse_group(read_bytes(os.path.join(root.etc, "group")))
        except FileNotFoundError:
            groups = {}
        return software_of(users, groups, shadow)

    def _shadow(self, path: str) -> Mapping[str, ShadowLine]:
        self._shadow_denied = False
        try:
            return parse_shadow(read_bytes(path))
        except PermissionError:
            self._shadow_denied = True
        except FileNotFoundError:
            pass
        return {}


def software_of(users: list[User], groups: Mapping[str, GroupLine], shadow: Mapping[str, ShadowLine]) -> Software:
    """Return the users with their groups and the state of their passwords, and those groups, each sorted by name."""
    memberships: dict[str, list[str]] = {}
    for name, group in groups.items():
        for member in group.members:
            memberships.setdefault(member, []).append(name)
    complete = [
        User(
            user.name,
            user.uid,
            user.gid,
            user.full_name,
            user.home,
            user.shell,
            groups=sorted(memberships.get(user.name, ())) or None,
            password=shadow[user.name].password if user.name in shadow else None,
            expires=shadow[user.name].expires if user.name in shadow else None,
        )
        for user in sorted(users, key=lambda user: user.name)
    ]
    names, gids = {user.name for user in users}, {user.gid for user in users}
    theirs = [
        Group(name, group.gid, sorted(group.members) or None)
        for name, group in sorted(groups.items())
        if group.gid in gids or not names.isdisjoint(group.members)
    ]
    return Software(users=complete, groups=theirs)
