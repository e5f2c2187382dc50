"""The files of accounts: passwd(5), group(5), shadow(5). Bytes in, values out; no hash of a password ever comes out."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from safetytwin.collectors.host_root import text_of
from safetytwin.models.fields import count
from safetytwin.models.software import User

_NO_LOGIN = frozenset({"nologin", "false", "true", "sync", "shutdown", "halt"})
_HASH = re.compile(r"\$|_|[./0-9A-Za-z]{13}\Z")
"""A hash of crypt(3): its method's prefix, or DES; nothing else matches any password."""
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class GroupLine:
    """One group."""

    gid: int | None
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShadowLine:
    """What may be known of a password, and the day from which the account is expired."""

    password: str
    expires: str | None


def can_log_in(shell: str | None) -> bool:
    """Say whether a shell is one: not /usr/sbin/nologin, /bin/false and others that end at once."""
    return os.path.basename(shell or "sh") not in _NO_LOGIN


def parse_users(data: bytes) -> list[User]:
    """Return the users of a passwd file; of several lines for one name the first, as getpwnam answers.

    Lines that are none of the format's (comments, NIS entries) are passed over.
    """
    users: dict[str, User] = {}
    for name, fields in _lines(data, 7):
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is None or name in users:
            continue
        users[name] = User(
            name=name,
            uid=uid,
            gid=gid,
            full_name=fields[4].partition(",")[0] or None,
            home=fields[5] or None,
            shell=fields[6] or "/bin/sh",  # what an empty field stands for
        )
    return list(users.values())


def parse_group(data: bytes) -> dict[str, GroupLine]:
    """Return the groups of a group file by name; of several lines for one name the first."""
    groups: dict[str, GroupLine] = {}
    for name, fields in _lines(data, 4):
        members = dict.fromkeys(member for member in fields[3].split(",") if member)
        groups.setdefault(name, GroupLine(_number(fields[2]), tuple(members)))
    return groups


def parse_shadow(data: bytes) -> dict[str, ShadowLine]:
    """Return what may be known of the passwords in a shadow file, by user."""
    found: dict[str, ShadowLine] = {}
    for name, fields in _lines(data, 2):
        expires = _day(fields[7]) if len(fields) > 7 else None
        found.setdefault(name, ShadowLine(_password_state(fields[1]), expires))
    return found


def _password_state(field: str) -> str:
    if not field:
        return "none"
    return "usable" if _HASH.match(field) else "locked"


def _day(text: str) -> str | None:
    days = _number(text)
    try:
        return None if days is None else (_EPOCH + timedelta(days=days)).isoformat()
    except OverflowError:
        return None


def _number(text: str) -> int | None:
    return count(int(text)) if text.isascii() and text.isdigit() and len(text) < 17 else None


def _lines(data: bytes, least: int) -> Iterator[tuple[str, list[str]]]:
    for line in text_of(data).split("\n"):
        fields = line.split(":")
        if len(fields) >= least and fields[0] and fields[0][0] not in "#+-":
            yield fields[0], fields
