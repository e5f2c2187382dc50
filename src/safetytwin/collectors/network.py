"""Network interfaces of the agent's network namespace."""

import os
import socket
from dataclasses import dataclass
from typing import NamedTuple

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.host_root import HostRoot, read_int, read_line
from safetytwin.collectors.net_files import read_addresses, read_links
from safetytwin.collectors.rates import rate
from safetytwin.collectors.rtnetlink import Link, LinkAddress, dump_addresses, dump_links, parse_addresses, parse_links
from safetytwin.models.fields import count
from safetytwin.models.hardware import Address, Interface

# if.h
_FLAGS = (
    (0x1, "up"),
    (0x2, "broadcast"),
    (0x4, "debug"),
    (0x8, "loopback"),
    (0x10, "pointopoint"),
    (0x40, "running"),
    (0x80, "noarp"),
    (0x100, "promisc"),
    (0x200, "allmulti"),
    (0x400, "master"),
    (0x800, "slave"),
    (0x1000, "multicast"),
    (0x8000, "dynamic"),
    (0x10000, "lower_up"),
    (0x20000, "dormant"),
)
_OPERSTATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host"}
_NO_SPEED = frozenset((0, 65535, 4294967295))
"""What drivers write where they don't know: SPEED_UNKNOWN (-1) in 16 and in 32 bits."""
_ARPHRD_ETHER, _ARPHRD_INFINIBAND, _ARPHRD_LOOPBACK = 1, 32, 772


@dataclass(frozen=True, slots=True)
class _Device:
    """What /sys says of an interface, read again when its state has changed since."""

    state: tuple[int | str | None, ...]
    driver: str | None
    physical: bool | None
    wireless: bool
    speed: int | None
    duplex: str | None


class _Facts(NamedTuple):
    """All that an interface is made of: where it is the same as before, so is the interface."""

    link: Link
    device: _Device
    addresses: list[Address] | None
    master: str | None
    rates: tuple[float | None, float | None]


class NetworkCollector:
    """Dumps links and addresses at each look, and reads what a device is when its state is new."""

    def __init__(self) -> None:
        self._shown: dict[tuple[int, str], tuple[_Facts, Interface]] = {}
        self._read_at: float | None = None
        self._links: dict[bytes, Link] = {}
        self._address_dump: bytes | None = None
        self._addresses: dict[int, list[Address]] = {}

    def collect(self, look: Look) -> list[Interface]:
        """Return the interfaces by index; raises AbsentError where the kernel has no network."""
        links, addresses, complete = self._read(look)
        names = {link.index: link.name for link in links}
        seconds = 0.0 if self._read_at is None else look.monotonic - self._read_at
        shown: dict[tuple[int, str], tuple[_Facts, Interface]] = {}
        for link in links:
            key = (link.index, link.name)
            before, interface = self._shown.get(key, (None, None))
            facts = _Facts(
                link,
                _device(look.root, link, None if before is None else before.device),
                addresses.get(link.index, [] if complete else None),
                None if link.master is None else names.get(link.master),
                _rates(link.counters, None if before is None else before.link.counters, seconds),
            )
            if interface is None or facts != before:
                interface = _interface(facts)
            shown[key] = (facts, interface)
        self._shown, self._read_at = shown, look.monotonic
        return list({interface.name: interface for _, interface in shown.values()}.values())

    def close(self) -> None:
        """Hold nothing open."""

    def _read(self, look: Look) -> tuple[list[Link], dict[int, list[Address]], bool]:
        """Return links, addresses by link and whether these are all."""
        if look.root.live:
            try:
                links, dump = dump_links(), dump_addresses()
            except OSError as error:
                look.notes.append(f"netlink can't be asked ({error.strerror or error}): IPv4 addresses are unknown")
            else:
                if dump != self._address_dump:
                    self._address_dump, self._addresses = dump, _by_index(parse_addresses(dump))
                self._links = parse_links(links, self._links)
                return sorted(self._links.values(), key=lambda link: link.index), self._addresses, True
        try:
            return read_links(look.root), _by_index(read_addresses(look.root)), False
        except OSError as error:
            raise AbsentError("neither /proc/net/dev nor /sys/class/net") from error


def _by_index(addresses: list[LinkAddress]) -> dict[int, list[Address]]:
    found: dict[int, list[Address]] = {}
    for each in addresses:
        found.setdefault(each.index, []).append(
            Address(
                address=socket.inet_ntop(each.family, each.address),
                family="ipv4" if each.family == socket.AF_INET else "ipv6",
                prefix=each.prefix,
                scope=_SCOPES.get(each.scope),
            )
        )
    return found


def _rates(
    new: tuple[int, ...] | None, old: tuple[int, ...] | None, seconds: float
) -> tuple[float | None, float | None]:
    if new is None or old is None:
        return None, None
    return rate(new[2], old[2], seconds), rate(new[3], old[3], seconds)


def _device(root: HostRoot, link: Link, known: _Device | None) -> _Device:
    state = (link.name, link.flags, link.operstate, link.carrier_changes)
    if known is not None and known.state == state:
        return known
    folder = os.path.join(root.sys, "class/net", link.name)
    index = read_int(os.path.join(folder, "ifindex")) or 0
    if "/" in link.name or not os.path.isdir(folder) or index != link.index:  # a /sys of another network namespace
        return _Device(state, None, None, wireless=False, speed=None, duplex=None)
    driver = os.path.join(folder, "device/driver")
    speed = count(read_int(os.path.join(folder, "speed")))
    duplex = read_line(os.path.join(folder, "duplex"))
    return _Device(
        state,
        driver=os.path.basename(os.path.realpath(driver)) if os.path.exists(driver) else None,
        physical=os.path.exists(os.path.join(folder, "device")),
        wireless=any(os.path.exists(os.path.join(folder, entry)) for entry in ("wireless", "phy80211")),
        speed=None if speed in _NO_SPEED else speed,
        duplex=duplex if duplex in {"full", "half"} else None,
    )


def _kind(link: Link, device: _Device) -> str | None:
    if device.wireless:
        return "wireless"
    if link.kind is not None:
        return link.kind
    if link.type == _ARPHRD_LOOPBACK:
        return "loopback"
    if link.type == _ARPHRD_INFINIBAND:
        return "infiniband"
    return "ethernet" if link.type == _ARPHRD_ETHER and device.physical else None


def _interface(facts: _Facts) -> Interface:
    link, device, addresses, master, rates = facts
    known = [None] * 8 if link.counters is None else [count(value) for value in link.counters]
    rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped = known
    return Interface(
        name=link.name,
        index=link.index or None,
        mac=link.mac.hex(":") if link.mac else None,
        kind=_kind(link, device),
        driver=device.driver,
        physical=device.physical,
        flags=None if link.flags is None else [name for bit, name in _FLAGS if link.flags & bit],
        operstate=_operstate(link.operstate),
        master=master,
        mtu=count(link.mtu),
        speed_mbps=device.speed,
        duplex=device.duplex,
        addresses=addresses,
        rx_bytes=rx_bytes,
        tx_bytes=tx_bytes,
        rx_packets=rx_packets,
        tx_packets=tx_packets,
        rx_errors=rx_errors,
        tx_errors=tx_errors,
        rx_dropped=rx_dropped,
        tx_dropped=tx_dropped,
        rx_bytes_per_second=rates[0],
        tx_bytes_per_second=rates[1],
    )


def _operstate(number: int | None) -> str | None:
    return _OPERSTATES[number] if number is not None and number < len(_OPERSTATES) else None
