"""TCP and UDP sockets of the agent's network namespace, from netlink (sock_diag(7)) instead of /proc/net.

A legacy TCPDIAG_GETSOCK dump holds the TCP sockets of IPv4 and IPv6 in one walk of the kernel's tables; UDP has none
such and takes a dump per family. The table of connections is as large as the machine's memory lets it be, and walking
it costs milliseconds though it is empty: so it is walked only where the counters of /proc/net/snmp say that a
connection was opened or ended, and otherwise every sixth time. Listening sockets and UDP are asked for every time.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator

from safetytwin.collectors.host_root import read_bytes
from safetytwin.models.process import Connection

_NETLINK_SOCK_DIAG = 4
_TCPDIAG_GETSOCK = 18
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_STATES = {
    1: "ESTABLISHED",
    2: "SYN_SENT",
    3: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    6: "TIME_WAIT",
    7: "CLOSE",
    8: "CLOSE_WAIT",
    9: "LAST_ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "SYN_RECV",
}
_LISTEN = 1 << 10
_CONNECTED = 0xFFF & ~(1 << 6 | _LISTEN)
"""Without TIME_WAIT, which belongs to no process any more."""
_ALL_STATES = 0xFFF
_OPEN = (1, 8)

_HEADER = struct.Struct("=IHHII")
_MESSAGE_TAIL = struct.Struct("=I")
_PORTS = struct.Struct(">HH")
_BODY = 16
_SMALLEST = _BODY + 72
"""A netlink header and struct inet_diag_msg."""


def _tcp_request(states: int) -> bytes:
    """Return a request with struct inet_diag_req for the TCP sockets of both families in some states."""
    return _HEADER.pack(76, _TCPDIAG_GETSOCK, _REQUEST_DUMP, 1, 0) + struct.pack("=4x48xII", states, 0)


def _udp_request(family: int) -> bytes:
    """Return a request with struct inet_diag_req_v2 for the UDP sockets of one family."""
    header = _HEADER.pack(72, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
    return header + struct.pack("=BBBBI48x", family, socket.IPPROTO_UDP, 0, 0, _ALL_STATES)


_CONNECTIONS_REQUEST = _tcp_request(_CONNECTED)
_EVERY_TIME = (_tcp_request(_LISTEN), _udp_request(socket.AF_INET), _udp_request(socket.AF_INET6))
_IS_TCP = (True, True, False, False)
"""Of the dump of connections and of those of every time."""
CONNECTIONS_LOOKS = 6
"""A change of a connection's state alone (half closed) is seen at most this many looks later."""


def opened_and_ended(snmp: bytes) -> tuple[bytes, ...] | None:
    """Return TCP's counters of connections in /proc/net/snmp, or None where it has none.

    ActiveOpens, PassiveOpens, AttemptFails, EstabResets and CurrEstab (RFC 4022): no connection comes or goes without
    one of them.
    """
    lines = [line.split() for line in snmp.split(b"\n") if line.startswith(b"Tcp: ")]
    return tuple(lines[1][5:10]) if len(lines) == 2 and len(lines[1]) >= 10 else None


def waits_for_accept(data: bytes) -> bool:
    """Tell whether a dump holds a connection that is established and has no inode: one that nobody accepted yet."""
    return any(not inode and identity[1] in _OPEN for inode, identity in _messages(data))


def parse_dump(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (inode, identity) of each socket of a dump of struct inet_diag_msg; sockets without an inode are left out.

    The identity is what a Connection is made of: family, state, ports and addresses, as the kernel packs them.
    """
    return ((inode, identity) for inode, identity in _messages(data) if inode)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    position, end = 0, len(data)
    while position + _BODY <= end:
        length, kind = _HEADER.unpack_from(data, position)[:2]
        if length < _BODY:
            return
        if kind not in {_ERROR, _DONE} and length >= _SMALLEST and position + _SMALLEST <= end:
            (inode,) = _MESSAGE_TAIL.unpack_from(data, position + _BODY + 68)
            start = position + _BODY
            yield inode, data[start : start + 2] + data[start + 4 : start + 40]
        position += (length + 3) & ~3


def connection(identity: bytes, *, tcp: bool) -> Connection | None:
    """Return the Connection that an identity of parse_dump stands for, None where it is neither IPv4 nor IPv6."""
    family, state = identity[0], identity[1]
    if family == socket.AF_INET:
        family_name, size = "ipv4", 4
    elif family == socket.AF_INET6:
        family_name, size = "ipv6", 16
    else:
        return None
    local_port, remote_port = _PORTS.unpack_from(identity, 2)
    remote = identity[22 : 22 + size]
    has_peer = remote_port != 0 or any(remote)
    return Connection(
        family=family_name,
        type="tcp" if tcp else "udp",
        local_address=socket.inet_ntop(family, identity[6 : 6 + size]),
        local_port=local_port,
        remote_address=socket.inet_ntop(family, remote) if has_peer else None,
        remote_port=remote_port if has_peer else None,
        status=_STATES.get(state) if tcp else None,
    )


class SocketTable:
    """The sockets by inode; a Connection is the same object for as long as nothing of it changes."""

    def __init__(self, proc: str) -> None:
        self.connections: dict[int, Connection] = {}
        self._counters_path = f"{proc}/net/snmp"
        self._counters: tuple[bytes, ...] | None = None
        self._looks_left = 0
        self._netlink: socket.socket | None = None
        self._dumps: list[bytes] = []
        self._made: dict[tuple[bool, bytes], Connection] = {}

    def refresh(self) -> bool:
        """Ask the kernel; return whether anything changed. Raises OSError where netlink does not answer."""
        try:
            dumps = [self._connections(), *[self._dump(request) for request in _EVERY_TIME]]
        except OSError:
            self.close()
            raise
        if dumps == self._dumps:
            return False
        self._dumps = dumps
        made: dict[tuple[bool, bytes], Connection] = {}
        connections: dict[int, Connection] = {}
        for tcp, data in zip(_IS_TCP, dumps, strict=True):
            for inode, identity in parse_dump(data):
                key = (tcp, identity)
                one = self._made.get(key) or connection(identity, tcp=tcp)
                if one is not None:
                    connections[inode] = made[key] = one
        changed = connections != self.connections
        self._made = made
        if changed:
            self.connections = connections
        return changed

    def _connections(self) -> bytes:
        """Return the dump of connections, an earlier one where none was opened or ended since."""
        counters = self._read_counters()
        self._looks_left -= 1
        if self._dumps and counters is not None and counters == self._counters and self._looks_left > 0:
            return self._dumps[0]
        data = self._dump(_CONNECTIONS_REQUEST)
        self._counters = None if waits_for_accept(data) else counters
        self._looks_left = CONNECTIONS_LOOKS
        return data

    def _read_counters(self) -> tuple[bytes, ...] | None:
        try:
            return opened_and_ended(read_bytes(self._counters_path))
        except OSError:
            return None

    def close(self) -> None:
        """Give the netlink socket back."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None
        self._dumps = []

    def _dump(self, request: bytes) -> bytes:
        if self._netlink is None:
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
            self._netlink.settimeout(2.0)
        self._netlink.send(request)
        received: list[bytes] = []
        while True:
            data = self._netlink.recv(65536)
            kind = _HEADER.unpack_from(data)[1]
            if kind == _ERROR:
                code = -struct.unpack_from("=i", data, _BODY)[0]
                raise OSError(code or errno.EPROTO, f"sock_diag: {os.strerror(code or errno.EPROTO)}")
            if kind == _DONE:
                return b"".join(received)
            received.append(data)
            if _ends(data):
                return b"".join(received)


def _ends(data: bytes) -> bool:
    """Tell whether the last message of data says that the dump is done; the kernel may append it to a full part."""
    position, kind = 0, 0
    while position + _BODY <= len(data):
        length, kind = _HEADER.unpack_from(data, position)[:2]
        if length < _BODY:
            return True
        position += (length + 3) & ~3
    return kind == _DONE
