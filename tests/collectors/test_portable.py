"""The portable collectors where psutil says what it says on other systems."""

import collections
import errno
import socket
import sys
import types

import pytest

from parts.looks import live_look
from safetytwin.collectors import portable
from safetytwin.collectors.base import AbsentError
from safetytwin.collectors.portable import (
    PortableBlockDevices,
    PortableCpu,
    PortableDisks,
    PortableMemory,
    PortableSensors,
)
from safetytwin.collectors.portable_network import PortableNetwork
from safetytwin.models.hardware import Address, BlockDevice, Sensor


def record(**fields):
    return collections.namedtuple("Record", fields)(**fields)  # noqa: PYI024 - psutil's own results are of this kind


def with_psutil(collector, **functions):
    collector._psutil = types.SimpleNamespace(**functions)
    return collector


def test_without_psutil_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'safetytwin\[psutil\]'"):
        PortableCpu()


def test_cpu_of_a_mac(monkeypatch):
    monkeypatch.setattr(portable.sys, "platform", "darwin")
    readings = iter([10.0, 15.0])

    def times(percpu):
        busy = next(readings)
        return [record(user=busy, nice=0.0, system=5.0, idle=100.0 + busy - 10)]

    collector = with_psutil(
        PortableCpu(),
        cpu_times=times,
        cpu_count=lambda logical: 8 if logical else None,
        cpu_stats=lambda: record(ctx_switches=5, interrupts=6),
        cpu_freq=lambda percpu: [record(current=3200, min=600, max=3228)],
        getloadavg=lambda: (1.0, 2.0, 3.0),
    )
    first = collector.collect(live_look())
    assert (first.usage_percent, first.times, first.cores_physical) == (None, None, None)
    second = collector.collect(live_look(1))
    assert second.usage_percent == 50
    assert (second.times.user, second.times.idle, second.times.iowait, second.times.steal) == (50, 50, None, None)
    assert second.load_average == [1.0, 2.0, 3.0]
    assert (second.frequency_mhz, second.frequency_max_mhz) == (3200, 3228)


def test_cpu_of_windows_has_no_load_average(monkeypatch):
    monkeypatch.setattr(portable.sys, "platform", "win32")
    collector = with_psutil(
        PortableCpu(),
        cpu_times=lambda percpu: [record(user=1.0, system=1.0, idle=1.0, interrupt=0.0, dpc=0.0)],
        cpu_count=lambda logical: 1,
        cpu_stats=lambda: record(ctx_switches=5, interrupts=6),
        cpu_freq=lambda percpu: None,
    )
    cpu = collector.collect(live_look())
    assert (cpu.load_average, cpu.frequency_mhz) == (None, None)


def test_memory_of_windows():
    collector = with_psutil(
        PortableMemory(),
        virtual_memory=lambda: record(total=100, available=25, free=25),
        swap_memory=lambda: record(total=0, used=0, free=0, sin=0, sout=0),
    )
    memory = collector.collect(live_look())
    assert (memory.used, memory.usage_percent, memory.cached, memory.swap) == (75, 75, None, None)


def test_drives_of_windows(monkeypatch):
    monkeypatch.setattr(portable.os, "name", "nt")
    monkeypatch.delattr(portable.os, "statvfs")

    def usage(mountpoint):
        if mountpoint == "E:\\":
            raise OSError(errno.EIO, "The device is not ready")
        return record(total=100, used=60, free=40)

    def drive(letter, fstype, opts):
        return record(device=f"{letter}:\\", mountpoint=f"{letter}:\\", fstype=fstype, opts=opts)

    drives = [
        drive("C", "NTFS", "rw,fixed"),
        drive("D", "", "cdrom"),
        drive("E", "FAT32", "rw,removable"),
        drive("Z", "NTFS", "rw,remote"),
    ]
    collector = with_psutil(PortableDisks(), disk_partitions=lambda **_: drives, disk_usage=usage)
    look = live_look()
    found = {disk.mountpoint: disk for disk in collector.collect(look)}
    assert {name: (disk.kind, disk.status) for name, disk in found.items()} == {
        "C:\\": ("local", "ok"),
        "E:\\": ("local", "failed"),
        "Z:\\": ("network", "ok"),
    }
    assert (found["C:\\"].usage_percent, found["C:\\"].inodes_total) == (60, None)
    assert look.notes == ["E:\\: The device is not ready"]


def test_disk_io_of_a_system_that_counts_none():
    with pytest.raises(AbsentError):
        with_psutil(PortableBlockDevices(), disk_io_counters=lambda **_: {}).collect(live_look())


def test_disk_io_that_went_back_has_no_rate():
    readings = iter([500, 400])

    def counters(**_):
        return {"disk0": record(read_count=1, write_count=2, read_bytes=next(readings), write_bytes=7)}

    collector = with_psutil(PortableBlockDevices(), disk_io_counters=counters)
    collector.collect(live_look())
    assert collector.collect(live_look()) == [
        BlockDevice(name="disk0", reads=1, writes=2, read_bytes=400, write_bytes=7, write_bytes_per_second=0.0)
    ]


def test_interfaces_of_windows_and_bsd():
    def address(family, text, netmask=None):
        return record(family=family, address=text, netmask=netmask, broadcast=None, ptp=None)

    collector = with_psutil(
        PortableNetwork(),
        AF_LINK=-1,
        NIC_DUPLEX_FULL=2,
        NIC_DUPLEX_HALF=1,
        net_if_addrs=lambda: {
            "Ethernet": [
                address(-1, "00-1A-2B-3C-4D-5E"),
                address(socket.AF_INET, "192.0.2.7", "255.255.255.0"),
                address(socket.AF_INET6, "fe80::1%12", "ffff:ffff:ffff:ffff::"),
                address(socket.AF_INET6, "2001:db8::1", "2001:db8::/48"),
            ]
        },
        net_if_stats=lambda: {"Ethernet": record(isup=True, duplex=2, speed=4294967295, mtu=1500, flags="")},
        net_io_counters=lambda **_: {},
    )
    interface = collector.collect(live_look())[0]
    assert (interface.mac, interface.duplex, interface.speed_mbps, interface.flags) == (
        "00:1a:2b:3c:4d:5e",
        "full",
        None,
        None,
    )
    assert interface.rx_bytes is None
    assert interface.addresses == [
        Address(address="192.0.2.7", family="ipv4", prefix=24),
        Address(address="fe80::1", family="ipv6", prefix=64, scope="link"),
        Address(address="2001:db8::1", family="ipv6", prefix=48, scope="global"),
    ]


def test_sensors_without_a_reading_are_left_out():
    reading = record(label="Core 0", current=51.0, high=80.0, critical=None)
    collector = with_psutil(
        PortableSensors(),
        sensors_temperatures=lambda: {"coretemp": [reading, record(label="", current=None, high=None, critical=None)]},
    )
    assert collector.collect(live_look()) == [
        Sensor(id="coretemp:temperature1", kind="temperature", label="Core 0", value=51.0, unit="Cel", high=80.0)
    ]
    with pytest.raises(AbsentError):
        with_psutil(PortableSensors()).collect(live_look())
