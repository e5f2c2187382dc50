"""The hardware collectors on this machine, against what other programs say of it."""

import contextlib
import errno
import json
import os
import platform
import shutil
import subprocess
import sys
import time

import msgspec
import psutil
import pytest

from parts.hung_fuse import hung_fuse
from parts.looks import live_look
from safetytwin.collectors.base import AbsentError
from safetytwin.collectors.block_devices import BlockDevicesCollector
from safetytwin.collectors.cpu import CpuCollector
from safetytwin.collectors.cpu_sets import parse_cpu_list
from safetytwin.collectors.disks import DisksCollector
from safetytwin.collectors.host import HostCollector
from safetytwin.collectors.memory import MemoryCollector
from safetytwin.collectors.network import NetworkCollector
from safetytwin.collectors.sensors import SensorsCollector

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and /sys")
MIB = 1 << 20


def output(*command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_host_against_uname_and_os_release():
    host = HostCollector().collect(live_look())
    name = os.uname()
    assert (host.hostname, host.platform, host.kernel_version, host.platform_version) == (
        name.nodename,
        name.sysname,
        name.release,
        name.version,
    )
    release = platform.freedesktop_os_release()
    assert (host.os.id, host.os.version) == (release["ID"], release.get("VERSION_ID"))
    assert host.os.name == release["PRETTY_NAME"]
    assert host.uptime == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=30)


def test_virtualization_against_systemd_detect_virt():
    if shutil.which("systemd-detect-virt") is None:
        pytest.skip("systemd-detect-virt is not installed")
    # exit status 1 is its word "none"
    said = subprocess.run(["systemd-detect-virt"], check=False, capture_output=True, text=True, timeout=60).stdout
    assert HostCollector().collect(live_look()).virtualization == said.strip()


def test_cpu_against_lscpu():
    cpu = CpuCollector().collect(live_look())
    said = {}

    def flatten(fields):
        for field in fields:
            said[field["field"].rstrip(":")] = field["data"]
            flatten(field.get("children", []))

    flatten(json.loads(output("lscpu", "--json"))["lscpu"])
    assert parse_cpu_list(cpu.online) == parse_cpu_list(said["On-line CPU(s) list"])
    assert cpu.architecture == said["Architecture"]
    assert cpu.cores_logical == os.sysconf("SC_NPROCESSORS_ONLN")
    if "Vendor ID" in said and cpu.vendor is not None and platform.machine() == "x86_64":
        assert (cpu.vendor, cpu.model) == (said["Vendor ID"], said["Model name"])
    if said.get("Socket(s)", "-") != "-":
        assert cpu.sockets == int(said["Socket(s)"])
        assert cpu.cores_physical == int(said["Socket(s)"]) * int(said["Core(s) per socket"])


def test_cpu_usage_while_one_core_is_busy():
    collector = CpuCollector()
    collector.collect(live_look())
    end = time.process_time() + 0.5
    while time.process_time() < end:
        pass
    cpu = collector.collect(live_look(1))
    assert cpu.usage_percent > 0
    assert cpu.times.user > 0
    assert max(core.usage_percent for core in cpu.cores) > 0
    assert cpu.load_average == pytest.approx(os.getloadavg(), abs=1)


def test_memory_against_psutil():
    memory = MemoryCollector().collect(live_look())
    said = psutil.virtual_memory()
    assert memory.total == said.total
    assert memory.available == pytest.approx(said.available, abs=512 * MIB)
    assert memory.free == pytest.approx(said.free, abs=512 * MIB)
    assert memory.cached == pytest.approx(said.cached, abs=256 * MIB)
    swap = psutil.swap_memory()
    if swap.total:
        assert memory.swap.total == swap.total
        assert memory.swap.used == pytest.approx(swap.used, abs=64 * MIB)
    else:
        assert memory.swap is None


def test_disks_against_df_and_psutil():
    disks = {disk.mountpoint: disk for disk in DisksCollector().collect(live_look())}
    columns = "source,fstype,size,used,avail,itotal,target"
    rows = [line.split(None, 6) for line in output("df", "-a", "-B1", f"--output={columns}", "-l").splitlines()[1:]]
    said = {row[6]: row for row in rows}
    compared = 0
    for mountpoint, disk in disks.items():
        row = said.get(mountpoint)
        if row is None or disk.total is None or row[2] == "-" or disk.kind not in {"local", "memory", "overlay"}:
            continue
        assert disk.fstype == row[1]
        assert disk.total == int(row[2])
        assert disk.used == pytest.approx(int(row[3]), abs=256 * MIB)
        assert disk.free == pytest.approx(int(row[4]), abs=256 * MIB)
        usage = psutil.disk_usage(mountpoint)
        assert disk.total == usage.total
        assert disk.usage_percent == pytest.approx(usage.percent, abs=5)
        compared += 1
    assert disks["/"].status == "ok"
    assert compared >= 1


@pytest.mark.root
def test_a_mount_whose_server_never_answers_leaves_the_rest_of_the_look_unharmed(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    tmp_path.chmod(0o755)
    try:
        with hung_fuse(str(tmp_path)):
            collector = DisksCollector(deadline=0.5)
            for _ in range(2):
                look = live_look()
                disks = {disk.mountpoint: disk for disk in collector.collect(look)}
                hung = disks[str(tmp_path)]
                assert (hung.status, hung.kind, hung.fstype, hung.total) == ("stale", "network", "fuse.sshfs", None)
                assert disks["/"].status == "ok"
                assert f"{tmp_path}: no answer in time" in look.notes
            assert len(collector._reader._guarded._stuck) == 1
    except OSError as error:
        if error.errno in {errno.EPERM, errno.ENODEV, errno.ENOENT}:
            pytest.skip(f"no FUSE here: {error}")
        raise
    assert str(tmp_path) not in {disk.mountpoint for disk in collector.collect(live_look())}


def mounted(kind, folder, *options):
    result = subprocess.run(
        ["mount", "-t", kind, *options, "none", folder], check=False, capture_output=True, timeout=60
    )
    if result.returncode:
        pytest.skip(f"mount is not possible here: {result.stderr.decode()}")


@pytest.mark.root
def test_bind_mounts_and_stacked_mounts(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    base, bound, stacked, file = (tmp_path / name for name in ("a base", "bound", "stacked", "file"))
    for folder in (base, bound, stacked):
        folder.mkdir()
    file.touch()
    undo = contextlib.ExitStack()
    with undo:
        mounted("tmpfs", str(base), "-o", "size=1m")
        undo.callback(subprocess.run, ["umount", str(base)], check=True)
        (base / "inner").mkdir()
        (base / "one").touch()
        for source, target in ((base / "inner", bound), (base / "one", file)):
            subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
            undo.callback(subprocess.run, ["umount", str(target)], check=True)
        for size in ("1m", "2m"):
            mounted("tmpfs", str(stacked), "-o", f"size={size}")
            undo.callback(subprocess.run, ["umount", str(stacked)], check=True)
        disks = {disk.mountpoint: disk for disk in DisksCollector().collect(live_look())}
        assert disks[str(base)].bind_of is None
        assert (disks[str(bound)].bind_of, disks[str(bound)].root) == (str(base), "/inner")
        assert str(file) not in disks
        assert disks[str(stacked)].total == 2 * MIB


def test_block_devices_against_lsblk():
    devices = {device.name: device for device in BlockDevicesCollector().collect(live_look())}
    said = {}

    def flatten(rows, parent=None):
        for row in rows:
            said[row["name"]] = {**row, "parent": parent}
            flatten(row.get("children", []), row["name"])

    flatten(json.loads(output("lsblk", "--json", "-b", "-o", "NAME,TYPE,SIZE,ROTA,RM,SERIAL"))["blockdevices"])
    said = {name: row for name, row in said.items() if int(row["size"])}

    def lasting(names):
        return {name for name in names if not name.startswith("loop")}  # other tests may come and go with theirs

    assert lasting(devices) == lasting(said)
    for name, row in said.items():
        if name not in devices:
            continue
        assert devices[name].size == int(row["size"])
        assert devices[name].rotational == row["rota"]
        assert devices[name].removable == row["rm"]
        if row["type"] == "part":
            assert (devices[name].kind, devices[name].parent) == ("partition", row["parent"])


def test_block_counters_against_psutil():
    before = psutil.disk_io_counters(perdisk=True, nowrap=False)
    devices = BlockDevicesCollector().collect(live_look())
    after = psutil.disk_io_counters(perdisk=True, nowrap=False)
    for device in devices:
        if device.name in before and device.name in after:
            assert before[device.name].read_bytes <= device.read_bytes <= after[device.name].read_bytes
            assert before[device.name].write_count <= device.writes <= after[device.name].write_count


def addresses_of(rows):
    return {
        row["ifname"]: {(info["local"], info["prefixlen"], info["scope"]) for info in row["addr_info"]} for row in rows
    }


def test_network_against_ip_and_psutil():
    found = {each.name: each for each in NetworkCollector().collect(live_look())}
    said = {row["ifname"]: row for row in json.loads(output("ip", "-d", "-j", "link", "show"))}
    addresses = addresses_of(json.loads(output("ip", "-j", "addr", "show")))
    counters = psutil.net_io_counters(pernic=True, nowrap=False)
    assert "lo" in found
    for name, interface in found.items():
        if name not in said or name not in addresses or name not in counters:
            continue  # a test beside this one has taken its interface away
        row = said[name]
        assert (interface.index, interface.mtu) == (row["ifindex"], row["mtu"])
        assert interface.operstate == row["operstate"].lower()
        assert interface.mac in {row.get("address"), None}
        assert set(interface.flags) == {
            flag.lower() for flag in row["flags"] if flag not in {"NO-CARRIER", "M-DOWN"}
        } | ({"running"} if "running" in interface.flags else set())
        kind = row.get("linkinfo", {}).get("info_kind")
        if kind is not None:
            assert interface.kind == kind
        assert {(each.address, each.prefix, each.scope) for each in interface.addresses} == addresses[name]
        assert interface.rx_bytes <= counters[name].bytes_recv


_IN_NAMESPACE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import msgspec
from parts.looks import live_look
from safetytwin.collectors.network import NetworkCollector
print(msgspec.json.encode(NetworkCollector().collect(live_look())).decode())
"""


@pytest.mark.root
def test_interfaces_of_a_network_namespace_of_its_own():
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("needs root, ip and unshare")
    tests = os.path.dirname(os.path.dirname(__file__))
    script = """set -e
ip link add left type veth peer name right
ip link add br0 type bridge
ip link set right master br0
ip addr add 192.0.2.1/24 dev left
ip addr add 192.0.2.9 peer 192.0.2.10/32 dev left
ip addr add 2001:db8::1/64 dev left nodad
ip link set left up
ip link set right up
exec "$@"
"""
    command = ["unshare", "--net", "sh", "-c", script, "sh", sys.executable, "-c", _IN_NAMESPACE, tests]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if "Operation not permitted" in result.stderr or "Unknown device type" in result.stderr:
        pytest.skip(f"no such interfaces here: {result.stderr}")
    assert result.returncode == 0, result.stderr
    found = {each["name"]: each for each in json.loads(result.stdout)}
    assert set(found) == {"lo", "left", "right", "br0"}
    assert (found["left"]["kind"], found["right"]["kind"], found["br0"]["kind"]) == ("veth", "veth", "bridge")
    assert found["right"]["master"] == "br0"
    assert "up" in found["left"]["flags"]
    assert "up" not in found["br0"]["flags"]
    addresses = [
        (each["address"], each["prefix"], each["family"], each["scope"])
        for each in found["left"]["addresses"]
        if each["scope"] == "global"
    ]
    assert addresses == [
        ("192.0.2.1", 24, "ipv4", "global"),
        ("192.0.2.9", 32, "ipv4", "global"),
        ("2001:db8::1", 64, "ipv6", "global"),
    ]
    assert found["br0"]["addresses"] == []
    # /sys is still that of the machine's own namespace: nothing may be taken from there
    assert "physical" not in found["left"]


def test_sensors_are_those_of_psutil():
    said = {
        reading.current
        for readings in psutil.sensors_temperatures().values()
        for reading in readings
        if reading.current
    }
    try:
        sensors = SensorsCollector().collect(live_look())
    except AbsentError:
        sensors = []
    assert bool([each for each in sensors if each.kind == "temperature"]) == bool(said)


def test_all_of_it_is_valid_by_the_models():
    for collector in (HostCollector(), CpuCollector(), MemoryCollector()):
        value = collector.collect(live_look())
        assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value
    for collector in (DisksCollector(), BlockDevicesCollector(), NetworkCollector()):
        for value in collector.collect(live_look()):
            assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value
