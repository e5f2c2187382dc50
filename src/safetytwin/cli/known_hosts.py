"""The machines that a bridge knows, and which of them a person means."""

import difflib

import msgspec

from safetytwin.cli.bridge_api import BridgeApi
from safetytwin.cli.errors import UserError
from safetytwin.models.printable import printable


class HostRow(msgspec.Struct, frozen=True):
    """One machine of the bridge's list; docs/api.md says what the fields are."""

    host_id: str
    hostname: str | None
    status: str
    observed_at: str
    received_at: str
    revision: int
    summary: msgspec.Raw = msgspec.Raw(b"{}")


class UnknownHost(msgspec.Struct, frozen=True):
    """One machine that a question could not be judged on."""

    host_id: str
    hostname: str | None = None
    because: str = ""


class _Page(msgspec.Struct, frozen=True):
    hosts: list[HostRow]
    next: str | None = None
    unknown: list[UnknownHost] = []
    unknown_count: int = 0


class Matching(msgspec.Struct, frozen=True):
    """What machines a question is true of, and which could not be judged: how many, and the first of them."""

    hosts: list[HostRow]
    unknown: list[UnknownHost]
    unknown_count: int


def all_hosts(api: BridgeApi) -> list[HostRow]:
    """Return all machines, by name; raises UserError."""
    return hosts_where(api, None).hosts


def hosts_where(api: BridgeApi, where: str | None) -> Matching:
    """Return the machines that a question is true of, by name; all without one; raises UserError."""
    found: list[HostRow] = []
    unknown: list[UnknownHost] = []
    count = 0
    cursor: str | None = None
    while True:
        page = api.get_as(_Page, "/api/v1/hosts", {"where": where, "cursor": cursor})
        found += page.hosts
        unknown += page.unknown
        count += page.unknown_count
        cursor = page.next
        if cursor is None:
            found.sort(key=lambda row: (row.hostname or row.host_id, row.host_id))
            return Matching(found, unknown, count)


def find_host(api: BridgeApi, wanted: str) -> HostRow:
    """Return the machine that is meant: by id, by hostname, or by what only its id or hostname begins with.

    Raises UserError where there is none or more than one.
    """
    return chosen_host(all_hosts(api), wanted)


def chosen_host(hosts: list[HostRow], wanted: str) -> HostRow:
    """Return the one of the machines that is meant; raises UserError where there is none or more than one."""
    name = wanted.lower()
    for matches in (
        [row for row in hosts if row.host_id == name],
        [row for row in hosts if name and _name(row) == name],
        [row for row in hosts if name and (row.host_id.startswith(name) or _name(row).startswith(name))],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            listed = "\n".join(f"  {row.host_id}  {printable(row.hostname or '')}" for row in matches[:20])
            raise UserError(f"{wanted!r} may be {len(matches)} machines; write more of one of these ids:\n{listed}")
    if not hosts:
        raise UserError("the bridge knows no machine yet. Let one report: safetytwin agent --bridge URL")
    known = [name for row in hosts for name in (row.host_id, _name(row)) if name]
    close = difflib.get_close_matches(name, known, 1)
    nearest = f"did you mean {close[0]!r}?" if close else "safetytwin hosts lists all"
    raise UserError(f"the bridge knows no machine {wanted!r}; {nearest}")


def shortest_ids(hosts: list[HostRow], least: int = 8) -> dict[str, str]:
    """Return by host id what of it is enough to tell it from the others, at least so many characters."""
    ids = sorted(row.host_id for row in hosts)
    short = {}
    for position, host_id in enumerate(ids):
        neighbours = ids[max(0, position - 1) : position] + ids[position + 1 : position + 2]
        shared = max((_shared(host_id, other) for other in neighbours), default=0)
        short[host_id] = host_id[: max(least, shared + 1)]
    return short


def _shared(one: str, other: str) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def _name(row: HostRow) -> str:
    return (row.hostname or "").lower()
