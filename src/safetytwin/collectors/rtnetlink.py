"""Links and addresses by rtnetlink(7): one dump each, whatever the number of interfaces."""

import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from safetytwin.collectors.host_root import text_of

_NETLINK_ROUTE = 0
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWLINK, _RTM_GETLINK, _RTM_NEWADDR, _RTM_GETADDR = 16, 18, 20, 22
_NLM_F_REQUEST, _NLM_F_DUMP, _NLM_F_DUMP_INTR = 0x1, 0x300, 0x10
_TRIES = 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_STATS64 = struct.Struct("=8Q")
_STATS32 = struct.Struct("=8I")
_NESTED_OR_BYTE_ORDER = 0xC000
"""Flags in an attribute's type (NLA_F_NESTED, NLA_F_NET_BYTEORDER)."""
# if_link.h and if_addr.h
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_STATS, _IFLA_MASTER = 1, 3, 4, 7, 10
_IFLA_OPERSTATE, _IFLA_LINKINFO, _IFLA_STATS64, _IFLA_CARRIER_CHANGES = 16, 18, 23, 35
_IFLA_INFO_KIND = 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_OF_LINKS = frozenset(
    (
        _IFLA_ADDRESS,
        _IFLA_IFNAME,
        _IFLA_MTU,
        _IFLA_STATS,
        _IFLA_MASTER,
        _IFLA_OPERSTATE,
        _IFLA_LINKINFO,
        _IFLA_STATS64,
        _IFLA_CARRIER_CHANGES,
    )
)
_OF_ADDRESSES = frozenset((_IFA_ADDRESS, _IFA_LOCAL))


@dataclass(slots=True)
class Link:
    """One interface as the kernel reports it."""

    index: int
    name: str
    type: int | None = None
    """Hardware type (ARPHRD_ of if_arp.h)."""
    flags: int | None = None
    mac: bytes | None = None
    mtu: int | None = None
    master: int | None = None
    operstate: int | None = None
    kind: str | None = None
    """What rtnetlink calls the driver of a virtual interface: bridge, veth, …; null for hardware."""
    carrier_changes: int | None = None
    counters: tuple[int, ...] | None = None
    """rx_packets tx_packets rx_bytes tx_bytes rx_errors tx_errors rx_dropped tx_dropped."""


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """One address; family is AF_INET or AF_INET6, scope one of rtnetlink(7)'s."""

    index: int
    family: int
    address: bytes
    prefix: int
    scope: int


def dump_links() -> bytes:
    """Return the dump of this network namespace's interfaces; raises OSError where netlink may not be used."""
    return _dump(_RTM_GETLINK, _LINK.pack(0, 0, 0, 0, 0))


def dump_addresses() -> bytes:
    """Return the dump of this network namespace's addresses; raises OSError where netlink may not be used.

    It is the same bytes as long as nothing changed, and then need not be parsed again.
    """
    return _dump(_RTM_GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0))


def _dump(request: int, body: bytes) -> bytes:
    """Return a dump's messages; one that a change interrupted is asked for again, and in the end taken as it is."""
    answer = b""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE) as netlink:
        netlink.settimeout(2.0)
        netlink.bind((0, 0))
        for sequence in range(1, _TRIES + 1):
            length = _HEADER.size + len(body)
            netlink.sendto(_HEADER.pack(length, request, _NLM_F_REQUEST | _NLM_F_DUMP, sequence, 0) + body, (0, 0))
            answer, interrupted = _receive(netlink, sequence)
            if not interrupted:
                break
    return answer


def _receive(netlink: socket.socket, sequence: int) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    interrupted = False
    while True:
        part = netlink.recv(1 << 17)
        if not part:
            raise OSError("netlink: the answer ends early")
        for kind, flags, number, payload in _messages(part):
            if number != sequence:
                continue
            interrupted = interrupted or bool(flags & _NLM_F_DUMP_INTR)
            if kind == _NLMSG_DONE:
                return b"".join(parts), interrupted
            if kind == _NLMSG_ERROR:
                code = -struct.unpack_from("=i", payload)[0] if len(payload) >= 4 else 0
                raise OSError(code, f"netlink: {os.strerror(code)}")
        parts.append(part)


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield (type, flags, sequence number, payload) of each whole message."""
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, position)
        if length < _HEADER.size or position + length > len(data):
            return
        yield kind, flags, sequence, data[position + _HEADER.size : position + length]
        position += (length + 3) & ~3


def _attributes(data: bytes, position: int, wanted: frozenset[int]) -> Iterator[tuple[int, bytes]]:
    """Yield (type, value) of the wanted attributes; a link has sixty, most of them not ours."""
    end = len(data)
    while position + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < 4 or position + length > end:
            return
        kind &= ~_NESTED_OR_BYTE_ORDER
        if kind in wanted:
            yield kind, data[position + 4 : position + length]
        position += (length + 3) & ~3


def parse_links(data: bytes, known: Mapping[bytes, Link] | None = None) -> dict[bytes, Link]:
    """Return the interfaces in a dump by the message that tells of each; what is cut short is left out.

    A message that is in known is not parsed again: a host of containers has hundreds of interfaces, most of them idle.
    """
    links: dict[bytes, Link] = {}
    for kind, _, _, payload in _messages(data):
        if kind != _RTM_NEWLINK or len(payload) < _LINK.size:
            continue
        link = known.get(payload) if known is not None else None
        if link is None:
            link = _link(payload)
        if link.name and link.index > 0:
            links[payload] = link
    return links


def _link(payload: bytes) -> Link:
    _, hardware, index, flags, _ = _LINK.unpack_from(payload)
    link = Link(index=index, name="", type=hardware, flags=flags)
    for attribute, value in _attributes(payload, _LINK.size, _OF_LINKS):
        _set(link, attribute, value)
    return link


def _set(link: Link, attribute: int, value: bytes) -> None:
    if attribute == _IFLA_IFNAME:
        link.name = _string(value)
    elif attribute == _IFLA_ADDRESS:
        link.mac = value
    elif attribute == _IFLA_MTU:
        link.mtu = _number(value)
    elif attribute == _IFLA_MASTER:
        link.master = _number(value)
    elif attribute == _IFLA_OPERSTATE:
        link.operstate = value[0] if value else None
    elif attribute == _IFLA_CARRIER_CHANGES:
        link.carrier_changes = _number(value)
    elif attribute == _IFLA_STATS64 and len(value) >= _STATS64.size:
        link.counters = _STATS64.unpack_from(value)
    elif attribute == _IFLA_STATS and len(value) >= _STATS32.size and link.counters is None:
        link.counters = _STATS32.unpack_from(value)  # before Linux 2.6.35; where both come, the 64 bit ones win
    elif attribute == _IFLA_LINKINFO:
        for inner, text in _attributes(value, 0, frozenset((_IFLA_INFO_KIND,))):
            if inner == _IFLA_INFO_KIND:
                link.kind = _string(text) or None


def parse_addresses(data: bytes) -> list[LinkAddress]:
    """Return the IPv4 and IPv6 addresses in a dump's messages, in the kernel's order."""
    found: list[LinkAddress] = []
    for kind, _, _, payload in _messages(data):
        if kind != _RTM_NEWADDR or len(payload) < _ADDRESS.size:
            continue
        family, prefix, _, scope, index = _ADDRESS.unpack_from(payload)
        length = {socket.AF_INET: 4, socket.AF_INET6: 16}.get(family)
        address = b""
        for attribute, value in _attributes(payload, _ADDRESS.size, _OF_ADDRESSES):
            # On a point-to-point link IFA_ADDRESS is the other end, IFA_LOCAL ours.
            if attribute == _IFA_LOCAL or (attribute == _IFA_ADDRESS and not address):
                address = value
        if len(address) == length and index < 1 << 31:
            found.append(LinkAddress(index, family, address, prefix, scope))
    return found


def _string(value: bytes) -> str:
    return text_of(value.partition(b"\0")[0])


def _number(value: bytes) -> int | None:
    return int.from_bytes(value[:4], sys.byteorder) if len(value) >= 4 else None
