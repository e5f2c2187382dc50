"""Network interfaces as psutil sees them."""

import re
import socket
from typing import Any

import msgspec

from safetytwin.collectors.base import Look
from safetytwin.collectors.psutil_loader import Portable
from safetytwin.collectors.rates import rate, same_if_equal
from safetytwin.models.fields import count
from safetytwin.models.hardware import Address, Interface

_NO_SPEED = frozenset((0, 65535, 4294967295))


class PortableNetwork(Portable):
    """Network interfaces."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[str, Any] = {}
        self._read_at: float | None = None
        self._shown: dict[str, Interface] = {}

    def collect(self, look: Look) -> list[Interface]:
        """Return the interfaces by name."""
        addresses = self._psutil.net_if_addrs()
        states = self._psutil.net_if_stats()
        counters = self._psutil.net_io_counters(pernic=True, nowrap=False)
        seconds = 0.0 if self._read_at is None else look.monotonic - self._read_at
        before, self._before, self._read_at = self._before, counters, look.monotonic
        shown: dict[str, Interface] = {}
        for name in sorted({*addresses, *states, *counters}):
            new, old = counters.get(name), before.get(name)
            plain = self._describe(name, addresses.get(name, []), states.get(name))
            interface = msgspec.structs.replace(plain, **_counters(new), **_io_rates(new, old, seconds))
            shown[name] = same_if_equal(self._shown.get(name), interface)
        self._shown = shown
        return list(shown.values())

    def _describe(self, name: str, addresses: list[Any], state: Any) -> Interface:
        link_addresses = [each.address for each in addresses if each.family == self._psutil.AF_LINK]
        flags = [flag for flag in getattr(state, "flags", "").split(",") if flag]
        duplex = {self._psutil.NIC_DUPLEX_FULL: "full", self._psutil.NIC_DUPLEX_HALF: "half"}
        speed = None if state is None else count(state.speed)
        return Interface(
            name=name,
            index=_index(name),
            mac=link_addresses[0].replace("-", ":").lower() if link_addresses else None,
            kind="loopback" if "loopback" in flags else None,
            flags=flags or None,
            mtu=None if state is None else count(state.mtu) or None,
            speed_mbps=None if speed in _NO_SPEED else speed,
            duplex=None if state is None else duplex.get(state.duplex),
            addresses=[_address(each) for each in addresses if each.family in {socket.AF_INET, socket.AF_INET6}],
        )


def _index(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except (OSError, AttributeError):
        return None


def _address(found: Any) -> Address:
    if found.family == socket.AF_INET:
        return Address(address=found.address, family="ipv4", prefix=_prefix(socket.AF_INET, found.netmask))
    address = found.address.partition("%")[0]
    scope = "link" if address.lower().startswith("fe8") else "host" if address == "::1" else "global"
    return Address(address=address, family="ipv6", prefix=_prefix(socket.AF_INET6, found.netmask), scope=scope)


def _prefix(family: int, netmask: str | None) -> int | None:
    """Return the length of a netmask, written as an address or, on some systems, as address/length."""
    if netmask is None:
        return None
    length = re.search(r"/(\d{1,3})$", netmask)
    if length:
        return int(length.group(1))
    try:
        return int.from_bytes(socket.inet_pton(family, netmask), "big").bit_count()
    except OSError:
        return None


def _counters(new: Any) -> dict[str, int | None]:
    if new is None:
        return {}
    return {
        "rx_bytes": count(new.bytes_recv),
        "tx_bytes": count(new.bytes_sent),
        "rx_packets": count(new.packets_recv),
        "tx_packets": count(new.packets_sent),
        "rx_errors": count(new.errin),
        "tx_errors": count(new.errout),
        "rx_dropped": count(new.dropin),
        "tx_dropped": count(new.dropout),
    }


def _io_rates(new: Any, old: Any, seconds: float) -> dict[str, float | None]:
    if new is None or old is None:
        return {}
    return {
        "rx_bytes_per_second": rate(new.bytes_recv, old.bytes_recv, seconds),
        "tx_bytes_per_second": rate(new.bytes_sent, old.bytes_sent, seconds),
    }
