import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.looks import fixture_look
from safetytwin.collectors import network
from safetytwin.collectors.base import AbsentError
from safetytwin.collectors.net_files import parse_if_inet6, parse_net_dev
from safetytwin.collectors.network import NetworkCollector
from safetytwin.collectors.rtnetlink import dump_addresses, dump_links, parse_addresses, parse_links
from safetytwin.models.hardware import Address


def by_name(name):
    return {each.name: each for each in NetworkCollector().collect(fixture_look(name))}


def test_no_space_after_the_colon():
    interface = by_name("network/no-space-after-the-colon")["eth0"]
    assert (interface.rx_bytes, interface.tx_bytes) == (4046496815, 5)
    assert (interface.rx_packets, interface.rx_errors, interface.rx_dropped) == (10, 1, 2)
    assert (interface.tx_packets, interface.tx_errors, interface.tx_dropped) == (20, 3, 4)
    assert interface.rx_bytes_per_second is None


def test_alias_names_with_a_colon():
    found = by_name("network/alias-with-a-colon")
    assert set(found) == {"eth0", "eth0:1", "eth0:2"}
    assert (found["eth0:2"].rx_bytes, found["eth0:2"].tx_bytes) == (7, 8)


def test_counters_that_wrap_give_no_rate():
    collector = NetworkCollector()
    collector.collect(fixture_look("network/counter-wraps/first", monotonic=0.0))
    interface = collector.collect(fixture_look("network/counter-wraps/second", monotonic=10.0))[0]
    assert (interface.rx_bytes_per_second, interface.tx_bytes_per_second) == (None, 100.0)


def test_a_speed_that_is_not_known_is_null():
    found = by_name("network/speed-unknown")
    assert {name: each.speed_mbps for name, each in found.items()} == {"a": None, "b": None, "c": None, "d": 10000}
    assert {name: each.duplex for name, each in found.items()} == {"a": None, "b": None, "c": None, "d": "full"}
    first = found["a"]
    assert (first.mac, first.mtu, first.operstate) == ("02:00:00:00:00:01", 1500, "up")
    assert first.flags == ["up", "broadcast", "multicast"]
    assert first.addresses is None  # without netlink nobody tells all of them


def test_kinds_and_addresses_where_netlink_is_not_asked():
    found = by_name("network/kinds-without-netlink")
    assert {name: each.kind for name, each in found.items()} == {
        "lo": "loopback",
        "br0": "bridge",
        "bond0": "bond",
        "wlan0": "wireless",
        "wg0": "wireguard",
        "tun0": "tun",
        "eth0": "ethernet",
        "eth1": "ethernet",
    }
    assert found["eth1"].master == "bond0"
    assert (found["eth0"].physical, found["br0"].physical) == (True, False)
    assert found["lo"].addresses == [Address(address="::1", family="ipv6", prefix=128, scope="host")]
    assert found["eth0"].addresses == [Address(address="fe80::fcff:fe00:1", family="ipv6", prefix=64, scope="link")]


def test_an_interface_without_traffic_is_the_same_object():
    collector = NetworkCollector()
    looks = [
        collector.collect(fixture_look("network/counter-wraps/first", monotonic=float(second)))
        for second in (0, 10, 20)
    ]
    assert looks[2][0] is looks[1][0]


def test_without_a_network_it_is_absent(tmp_path):
    with pytest.raises(AbsentError):
        NetworkCollector().collect(fixture_look(str(tmp_path)))


def test_where_netlink_is_denied_files_are_read(monkeypatch):
    def denied():
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(network, "dump_links", denied)
    look = fixture_look("network/kinds-without-netlink")
    look.root = dataclasses.replace(look.root, live=True)
    found = {each.name: each for each in NetworkCollector().collect(look)}
    assert found["br0"].kind == "bridge"
    assert look.notes == ["netlink can't be asked (Operation not permitted): IPv4 addresses are unknown"]


def test_the_kernel_answers_both_dumps():
    links = parse_links(dump_links())
    assert "lo" in {link.name for link in links.values()}
    assert {address.index for address in parse_addresses(dump_addresses())} <= {link.index for link in links.values()}


def test_a_message_seen_before_is_not_parsed_again():
    answer = len(_LINKS).to_bytes(4, "little") + _LINKS[4:]
    first = parse_links(answer)
    assert next(iter(parse_links(answer, first).values())) is next(iter(first.values()))


@given(st.binary())
def test_parsers_take_any_bytes(data):
    parse_net_dev(data)
    parse_if_inet6(data)
    parse_links(data)
    parse_addresses(data)


@given(st.integers(0, 4096), st.binary(min_size=1, max_size=4))
def test_netlink_answers_with_a_damaged_byte(position, damage):
    answer = bytearray(_LINKS)
    position %= len(answer)
    answer[position : position + len(damage)] = damage
    parse_links(bytes(answer[: len(_LINKS)]))
    parse_addresses(bytes(answer))


# One RTM_NEWLINK as Linux 6 sends it (index 7, name eth0, 64 bit counters, kind veth), then the end of the dump.
_LINKS = bytes.fromhex(
    "9c00000010000200010000000000000000000100070000004310010000000000"
    "0900030065746830000000000a00010002fc000000010000"
    "08000400dc05000008000a0002000000"
    "050010000600000044001700"
    "0a000000000000001400000000000000f401000000000000c8000000000000000100000000000000"
    "0200000000000000030000000000000004000000000000000c001280080001007665746800000000"
)


def test_a_link_as_the_kernel_sends_it():
    answer = bytearray(_LINKS)
    answer[0:4] = len(answer).to_bytes(4, "little")
    link = next(iter(parse_links(bytes(answer)).values()))
    assert (link.index, link.name, link.kind, link.master, link.operstate) == (7, "eth0", "veth", 2, 6)
    assert link.mac == bytes.fromhex("02fc00000001")
    assert link.counters == (10, 20, 500, 200, 1, 2, 3, 4)
