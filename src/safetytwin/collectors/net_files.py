"""Interfaces and addresses from files of /proc and /sys, where netlink can't be asked."""

import os
import socket

from safetytwin.collectors.host_root import HostRoot, list_dir, read_bytes, read_int, read_line, text_of
from safetytwin.collectors.rtnetlink import Link, LinkAddress

_OPERSTATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
"""RFC 2863 states in the order of the kernel's numbers (if.h, IF_OPER_)."""


def parse_net_dev(data: bytes) -> dict[str, tuple[int, ...]]:
    """Return the counters of /proc/net/dev by interface, in the order of Link.counters.

    The name ends at the last colon that numbers follow: aliases have colons, old kernels no space after them.
    """
    found: dict[str, tuple[int, ...]] = {}
    for line in data.splitlines():
        name, colon, rest = line.rpartition(b":")
        words = rest.split()
        if not colon or len(words) < 12 or not all(word.isdigit() for word in words):
            continue
        values = [int(word) for word in words]
        # receive: bytes packets errs drop fifo frame compressed multicast; transmit: bytes packets errs drop …
        counters = (values[1], values[9], values[0], values[8], values[2], values[10], values[3], values[11])
        text = text_of(name.strip())
        if text:
            found[text] = counters
    return found


def parse_if_inet6(data: bytes) -> list[LinkAddress]:
    """Return the addresses of /proc/net/if_inet6; its scopes are those of RFC 4291, turned into rtnetlink's."""
    scopes = {0x00: 0, 0x10: 254, 0x20: 253, 0x40: 200}
    found: list[LinkAddress] = []
    for line in data.splitlines():
        words = line.split()
        if len(words) < 6 or len(words[0]) != 32:
            continue
        try:
            address = bytes.fromhex(words[0].decode("ascii"))
            index, prefix, scope = (int(word, 16) for word in words[1:4])
        except ValueError:
            continue
        if 0 < index < 1 << 31 and 0 <= prefix <= 128:
            found.append(LinkAddress(index, socket.AF_INET6, address, prefix, scopes.get(scope & 0xF0, 0)))
    return found


def read_links(root: HostRoot) -> list[Link]:
    """Return the interfaces of /sys/class/net and /proc/net/dev by index; raises OSError where there is neither."""
    folder = os.path.join(root.sys, "class/net")
    names = [name for name in list_dir(folder) if os.path.isdir(os.path.join(folder, name))]  # not bonding_masters
    try:
        counters = parse_net_dev(read_bytes(os.path.join(root.proc, "net/dev")))
    except OSError:
        if not names:
            raise
        counters = {}
    links = [
        _read_link(os.path.join(folder, name), name, counters.get(name))
        for name in {**counters, **dict.fromkeys(names)}
    ]
    indices = {link.name: link.index for link in links}
    for link in links:
        master = os.path.join(folder, link.name, "master")
        if os.path.exists(master):
            link.master = indices.get(os.path.basename(os.path.realpath(master)))
    return sorted(links, key=lambda link: (link.index == 0, link.index, link.name))


def read_addresses(root: HostRoot) -> list[LinkAddress]:
    """Return the IPv6 addresses; [] where the kernel has none to tell."""
    try:
        return parse_if_inet6(read_bytes(os.path.join(root.proc, "net/if_inet6")))
    except OSError:
        return []


def _read_link(folder: str, name: str, counters: tuple[int, ...] | None) -> Link:
    operstate = read_line(os.path.join(folder, "operstate"))
    return Link(
        index=read_int(os.path.join(folder, "ifindex")) or 0,
        name=name,
        type=read_int(os.path.join(folder, "type")),
        flags=_hexadecimal(read_line(os.path.join(folder, "flags"))),
        mac=_mac(read_line(os.path.join(folder, "address"))),
        mtu=read_int(os.path.join(folder, "mtu")),
        operstate=_OPERSTATES.index(operstate) if operstate in _OPERSTATES else None,
        kind=_kind(folder),
        carrier_changes=read_int(os.path.join(folder, "carrier_changes")),
        counters=counters,
    )


def _hexadecimal(text: str | None) -> int | None:
    try:
        return int(text or "", 16)
    except ValueError:
        return None


def _mac(text: str | None) -> bytes | None:
    try:
        return bytes.fromhex((text or "").replace(":", "")) or None
    except ValueError:
        return None


def _kind(folder: str) -> str | None:
    for line in (read_line(os.path.join(folder, "uevent")) or "").splitlines():
        if line.startswith("DEVTYPE="):
            return {"wlan": None}.get(line[8:], line[8:])
    for entry, kind in (("bridge", "bridge"), ("bonding", "bond"), ("tun_flags", "tun")):
        if os.path.exists(os.path.join(folder, entry)):
            return kind
    return None
