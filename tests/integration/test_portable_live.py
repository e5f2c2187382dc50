"""Both backends on this machine, now: what psutil can see is what the native collectors see."""

import os
import subprocess
import sys

import msgspec
import pytest

from parts.looks import live_look
from safetytwin.collectors.block_devices import BlockDevicesCollector
from safetytwin.collectors.cpu import CpuCollector
from safetytwin.collectors.disks import DisksCollector
from safetytwin.collectors.host import HostCollector
from safetytwin.collectors.memory import MemoryCollector
from safetytwin.collectors.network import NetworkCollector
from safetytwin.collectors.portable import (
    PortableBlockDevices,
    PortableCpu,
    PortableDisks,
    PortableHost,
    PortableMemory,
)
from safetytwin.collectors.portable_network import PortableNetwork
from safetytwin.collectors.portable_processes import PortableProcesses

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has both backends")
MIB = 1 << 20


def same(native, portable, *fields):
    for field in fields:
        assert getattr(native, field) == getattr(portable, field), field


def test_host():
    native, portable = HostCollector().collect(live_look()), PortableHost().collect(live_look())
    same(native, portable, "hostname", "platform", "platform_version", "kernel_version", "boot_time", "os")
    assert native.uptime == pytest.approx(portable.uptime, abs=30)


def test_cpu():
    native, portable = CpuCollector().collect(live_look()), PortableCpu().collect(live_look())
    same(native, portable, "online", "cores_logical", "cores_physical", "architecture")
    assert [core.id for core in native.cores] == [core.id for core in portable.cores]


def test_memory():
    native, portable = MemoryCollector().collect(live_look()), PortableMemory().collect(live_look())
    same(native, portable, "total")
    assert native.available == pytest.approx(portable.available, abs=512 * MIB)
    assert native.used == pytest.approx(portable.used, abs=512 * MIB)
    assert (native.swap is None) == (portable.swap is None)


def test_disks():
    native = {disk.mountpoint: disk for disk in DisksCollector().collect(live_look())}
    portable = {disk.mountpoint: disk for disk in PortableDisks().collect(live_look())}
    lasting = {name for name in native if "pytest" not in name}
    # psutil reads /proc/mounts, which does not tell what is mounted over
    assert lasting <= set(portable)
    for name in lasting:
        same(native[name], portable[name], "fstype", "total", "kind", "read_only", "device")


def test_block_devices():
    native = {device.name: device for device in BlockDevicesCollector().collect(live_look())}
    portable = {device.name: device for device in PortableBlockDevices().collect(live_look())}
    used = {name for name, device in native.items() if device.reads and not name.startswith("loop")}
    assert used <= set(portable)
    for name in used:
        assert native[name].read_bytes <= portable[name].read_bytes


def test_interfaces():
    native = {each.name: each for each in NetworkCollector().collect(live_look())}
    portable = {each.name: each for each in PortableNetwork().collect(live_look())}
    both = set(native) & set(portable)
    assert "lo" in both
    for name in both:
        same(native[name], portable[name], "index", "mtu", "speed_mbps")
        assert {(each.address, each.prefix) for each in native[name].addresses} == {
            (each.address, each.prefix) for each in portable[name].addresses
        }
        assert native[name].rx_bytes <= portable[name].rx_bytes


def test_processes():
    processes = pytest.importorskip("safetytwin.collectors.processes")
    # One process of a name longer than the kernel keeps, with an empty argument, that lasts through both looks.
    code = "import sys; print('ready', flush=True); sys.stdin.read(1)"
    with subprocess.Popen([sys.executable, "-c", code, ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        collector = processes.ProcessesCollector()
        try:
            before = {process.pid: process for process in collector.collect(live_look())}
            portable = {process.pid: process for process in PortableProcesses().collect(live_look())}
            after = {process.pid: process for process in collector.collect(live_look(1))}
        finally:
            collector.close()
            child.kill()
    lasting = {
        pid
        for pid, process in before.items()
        if pid in after and process.start_ticks == after[pid].start_ticks and process.name == after[pid].name
    }
    assert {os.getpid(), child.pid} <= lasting
    assert lasting <= set(portable)
    for pid in lasting:
        native, other = before[pid], portable[pid]
        same(native, other, "kernel_thread", "uid")
        if native.kernel_thread:
            assert other.name.startswith(native.name)  # psutil adds what a kernel worker works on at the moment
        else:
            same(native, other, "name")
        if native.ppid == after[pid].ppid:
            same(native, other, "ppid")
    for pid in (os.getpid(), child.pid):
        native, other = before[pid], portable[pid]
        same(native, other, "cmdline", "exe", "cwd", "username", "nice")
    native, other = before[child.pid], portable[child.pid]  # it waits; this process grows as it looks
    assert native.memory_info.rss == pytest.approx(other.memory_info.rss, abs=4 * MIB)
    assert native.memory_percent == pytest.approx(other.memory_percent, abs=1)


def test_all_of_it_is_valid_by_the_models():
    for collector in (PortableDisks(), PortableBlockDevices(), PortableNetwork(), PortableProcesses()):
        for value in collector.collect(live_look()):
            assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value
