"""The dumps of sock_diag, parsed, and the table of sockets on this machine."""

import os
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.collectors.sockets import (
    CONNECTIONS_LOOKS,
    SocketTable,
    connection,
    opened_and_ended,
    parse_dump,
    waits_for_accept,
)
from safetytwin.models.process import Connection


def message(family, state, local, remote, inode, *, attributes=b""):
    """Return one netlink message with a struct inet_diag_msg."""
    (local_address, local_port), (remote_address, remote_port) = local, remote
    body = struct.pack("=BBBB", family, state, 0, 0) + struct.pack(">HH", local_port, remote_port)
    body += socket.inet_pton(family, local_address).ljust(16, b"\0")
    body += socket.inet_pton(family, remote_address).ljust(16, b"\0")
    body += struct.pack("=IQ", 0, 77) + struct.pack("=IIIII", 0, 0, 0, 1000, inode) + attributes
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body


DONE = struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)


def test_a_dump_of_both_families():
    data = message(socket.AF_INET, 10, ("127.0.0.1", 8080), ("0.0.0.0", 0), 4711)
    data += message(socket.AF_INET6, 1, ("::1", 5678), ("2001:db8::1", 443), 4712, attributes=b"\x05\0\x08\0\0\0\0\0")
    data += message(socket.AF_INET, 6, ("127.0.0.1", 1), ("127.0.0.1", 2), 0) + DONE
    found = {inode: connection(identity, tcp=True) for inode, identity in parse_dump(data)}
    assert found == {
        4711: Connection("ipv4", "tcp", "127.0.0.1", 8080, None, None, "LISTEN"),
        4712: Connection("ipv6", "tcp", "::1", 5678, "2001:db8::1", 443, "ESTABLISHED"),
    }


def test_udp_has_no_state():
    ((_, identity),) = parse_dump(message(socket.AF_INET, 7, ("0.0.0.0", 53), ("0.0.0.0", 0), 5))
    assert connection(identity, tcp=False) == Connection("ipv4", "udp", "0.0.0.0", 53)


def test_a_connection_that_nobody_accepted_yet():
    local, remote = ("127.0.0.1", 1), ("127.0.0.1", 2)
    assert waits_for_accept(message(socket.AF_INET, 1, local, remote, 0))
    assert not waits_for_accept(message(socket.AF_INET, 1, local, remote, 9))
    assert not waits_for_accept(message(socket.AF_INET, 4, local, remote, 0))


@given(st.binary(max_size=400))
def test_any_bytes_are_survived(data):
    head = struct.pack("=IHHII", 88, 20, 2, 1, 0)
    for dump in (data, head + data, head + data.ljust(72, b"\1")):
        for _, identity in parse_dump(dump):
            connection(identity, tcp=True)


@given(st.binary(max_size=200))
def test_any_counters_are_survived(data):
    opened_and_ended(data)
    opened_and_ended(b"Tcp: a\nTcp: " + data)


def test_the_counters_of_connections():
    data = (
        b"Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails "
        b"EstabResets CurrEstab InSegs\nTcp: 1 200 120000 -1 11 12 13 14 15 99\n"
    )
    assert opened_and_ended(data) == (b"11", b"12", b"13", b"14", b"15")


def inode_of(one):
    return os.fstat(one.fileno()).st_ino


@pytest.fixture
def table():
    made = SocketTable("/proc")
    yield made
    made.close()


def test_sockets_come_change_and_go(table):
    table.refresh()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.bind(("::1", 0))
        address = server.getsockname()
        assert table.refresh()
        assert table.connections[inode_of(server)] == Connection("ipv4", "tcp", *address, None, None, "LISTEN")
        assert table.connections[inode_of(udp)] == Connection("ipv6", "udp", "::1", udp.getsockname()[1])
        client = socket.create_connection(address)
        table.refresh()
        ours = table.connections[inode_of(client)]
        assert ours == Connection("ipv4", "tcp", *client.getsockname(), *address, "ESTABLISHED")
        accepted, _ = server.accept()
        table.refresh()
        assert table.connections[inode_of(accepted)].remote_port == client.getsockname()[1]
        assert table.connections[inode_of(client)] is ours
        accepted.shutdown(socket.SHUT_WR)
        for _ in range(CONNECTIONS_LOOKS):
            table.refresh()
        assert table.connections[inode_of(client)].status == "CLOSE_WAIT"
        gone = inode_of(client)
        accepted.close()
        client.close()
        for _ in range(CONNECTIONS_LOOKS):
            table.refresh()
        assert gone not in table.connections


def test_hundreds_of_sockets_in_several_parts(table):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(900)]
    try:
        table.refresh()
        assert all(table.connections[inode_of(one)].local_port == one.getsockname()[1] for one in servers)
    finally:
        for one in servers:
            one.close()
