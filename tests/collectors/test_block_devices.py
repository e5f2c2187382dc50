import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.looks import fixture_look
from safetytwin.collectors.base import AbsentError
from safetytwin.collectors.block_devices import BlockDevicesCollector, parse_diskstats


def by_name(devices):
    return {device.name: device for device in devices}


def test_a_partition_names_the_disk_that_counts_it_too():
    found = by_name(BlockDevicesCollector().collect(fixture_look("block/disk-and-its-partition/first")))
    assert {name: (device.kind, device.parent) for name, device in found.items()} == {
        "sda": ("disk", None),
        "sda1": ("partition", "sda"),
        "loop1": ("loop", None),
        "dm-0": ("dm", None),
        "cciss/c0d0": ("disk", None),
        "sr0": ("rom", None),
    }
    disk, partition = found["sda"], found["sda1"]
    assert (disk.model, disk.serial, disk.size) == ("WDC WD40EFRX-68N", "WD-WCC12", 4194304 * 512)
    assert (disk.rotational, disk.removable) == (True, False)
    assert (partition.rotational, partition.model, partition.serial) == (True, None, None)
    assert (disk.read_bytes, disk.write_bytes, disk.reads, disk.writes) == (20000 * 512, 8000 * 512, 1000, 400)
    assert (disk.read_bytes_per_second, disk.write_bytes_per_second, disk.busy_percent) == (None, None, None)
    assert found["dm-0"].rotational is False


def test_rates_between_two_looks():
    collector = BlockDevicesCollector()
    collector.collect(fixture_look("block/disk-and-its-partition/first", monotonic=100.0))
    found = by_name(collector.collect(fixture_look("block/disk-and-its-partition/second", monotonic=110.0)))
    assert set(found) == {"sda", "sda1"}
    disk = found["sda"]
    assert disk.read_bytes_per_second == pytest.approx(2048 * 512 / 10)
    assert disk.write_bytes_per_second == pytest.approx(4096 * 512 / 10)
    assert disk.busy_percent == 50
    assert found["sda1"].write_bytes_per_second == 0


def test_counters_that_were_reset_give_no_rate():
    collector = BlockDevicesCollector()
    collector.collect(fixture_look("block/disk-and-its-partition/first", monotonic=100.0))
    disk = collector.collect(fixture_look("block/counters-reset", monotonic=110.0))[0]
    assert (disk.read_bytes_per_second, disk.write_bytes_per_second, disk.busy_percent) == (None, None, None)
    assert disk.read_bytes == 8 * 512


def test_without_diskstats_sysfs_is_read():
    found = by_name(BlockDevicesCollector().collect(fixture_look("block/only-sysfs")))
    nvme = found["nvme0n1"]
    assert (nvme.serial, nvme.model, nvme.rotational) == ("S3X9", "Samsung SSD", False)
    assert (nvme.read_bytes, nvme.write_bytes) == (80 * 512, 160 * 512)
    assert (found["zram0"].kind, found["zram0"].reads) == ("zram", None)


def test_lines_of_partitions_on_linux_2_6():
    found = by_name(BlockDevicesCollector().collect(fixture_look("block/partition-lines-of-2.6")))
    assert (found["hda1"].reads, found["hda1"].read_bytes) == (35486, 38030 * 512)
    assert (found["hda1"].writes, found["hda1"].write_bytes) == (38040, 38050 * 512)
    assert found["hda1"].kind is None


def test_a_device_that_did_nothing_is_the_same_object():
    collector = BlockDevicesCollector()
    looks = [
        by_name(collector.collect(fixture_look("block/disk-and-its-partition/first", monotonic=float(second))))
        for second in (0, 10, 20)
    ]
    assert looks[2]["sda"] is looks[1]["sda"]


def test_a_kernel_without_block_devices(tmp_path):
    with pytest.raises(AbsentError):
        BlockDevicesCollector().collect(fixture_look(str(tmp_path)))
    os.makedirs(tmp_path / "sys/class/block")
    assert BlockDevicesCollector().collect(fixture_look(str(tmp_path))) == []


@given(
    st.binary()
    | st.lists(st.lists(st.integers(0, 2**70), max_size=20), max_size=3).map(
        lambda rows: "\n".join(" ".join(map(str, row)) for row in rows).encode()
    )
)
def test_diskstats_takes_any_bytes(data):
    for io in parse_diskstats(data).values():
        assert io.reads is None or 0 <= io.reads < 2**53
