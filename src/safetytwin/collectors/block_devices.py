"""Disks, partitions and other block devices with their I/O, from /proc/diskstats and /sys/class/block."""

import os
import re
from dataclasses import dataclass

import msgspec

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.host_root import HostRoot, list_dir, read_bytes, read_int, read_line, text_of
from safetytwin.collectors.rates import rate, same_if_equal
from safetytwin.models.fields import count
from safetytwin.models.hardware import BlockDevice

_SECTOR = 512
"""Sectors of /proc/diskstats are this long whatever the device's are."""
_RAM_DISK = re.compile(r"ram\d+$")
_ROM = re.compile(r"(sr|scd)\d+$")
_SCSI_ROM = 5


@dataclass(frozen=True, slots=True)
class Io:
    """A device's counters since boot (kernel Documentation/admin-guide/iostats.rst)."""

    reads: int | None = None
    bytes_read: int | None = None
    writes: int | None = None
    bytes_written: int | None = None
    busy_milliseconds: int | None = None


def parse_diskstats(data: bytes) -> dict[str, Io]:
    """Return the counters by kernel name; a line that is none is left out."""
    found: dict[str, Io] = {}
    for line in data.splitlines():
        words = line.split()
        if len(words) >= 7 and words[0].isdigit() and words[1].isdigit():
            io = _io(words[3:])
            if io is not None:
                found[text_of(words[2])] = io
    return found


def _io(words: list[bytes]) -> Io | None:
    if not all(word.isdigit() for word in words):
        return None
    values = [int(word) for word in words]
    busy = None
    if len(values) >= 11:
        reads, _, sectors_read, _, writes, _, sectors_written, _, _, busy = values[:10]
    elif len(values) == 4:
        reads, sectors_read, writes, sectors_written = values  # partitions before Linux 2.6.25
    else:
        return None
    return Io(
        reads=count(reads),
        bytes_read=count(sectors_read * _SECTOR),
        writes=count(writes),
        bytes_written=count(sectors_written * _SECTOR),
        busy_milliseconds=count(busy),
    )


class BlockDevicesCollector:
    """Reads the counters at each look, and what a device is when its name or its size is new."""

    def __init__(self) -> None:
        self._partitions: bytes | None = None
        self._plain: dict[str, BlockDevice | None] = {}
        self._before: dict[str, Io] = {}
        self._read_at: float | None = None
        self._shown: dict[str, BlockDevice] = {}

    def collect(self, look: Look) -> list[BlockDevice]:
        """Return the devices that have a size, RAM disks left out, as lsblk(8) does.

        Raises AbsentError where the kernel has neither /proc/diskstats nor /sys/class/block.
        """
        root = look.root
        counters = _read_counters(root)
        seconds = None if self._read_at is None else look.monotonic - self._read_at
        partitions = _read_partitions(root)
        if partitions is None or partitions != self._partitions or counters.keys() != self._plain.keys():
            self._plain = {name: _describe_if_new(root, name, self._plain.get(name)) for name in counters}
            self._partitions = partitions
        shown: dict[str, BlockDevice] = {}
        for name, io in counters.items():
            plain = self._plain[name]
            if plain is None:
                continue
            device = _with_io(plain, io, self._before.get(name), seconds)
            shown[name] = same_if_equal(self._shown.get(name), device)
        self._before, self._shown, self._read_at = counters, shown, look.monotonic
        return list(shown.values())

    def close(self) -> None:
        """Hold nothing open."""


def _read_counters(root: HostRoot) -> dict[str, Io]:
    try:
        found = parse_diskstats(read_bytes(os.path.join(root.proc, "diskstats")))
    except FileNotFoundError:
        found = {}
    if found:
        return found
    folder = os.path.join(root.sys, "class/block")
    if not os.path.isdir(folder):
        raise AbsentError("neither /proc/diskstats nor /sys/class/block")
    for name in list_dir(folder):
        try:
            io = _io(read_bytes(os.path.join(folder, name, "stat")).split())
        except OSError:
            continue
        found[name.replace("!", "/")] = io or Io()
    return found


def _read_partitions(root: HostRoot) -> bytes | None:
    """Return /proc/partitions: the sizes of all devices in one file, which tells whether any has changed."""
    try:
        return read_bytes(os.path.join(root.proc, "partitions"))
    except OSError:
        return None


def _describe_if_new(root: HostRoot, name: str, known: BlockDevice | None) -> BlockDevice | None:
    """Return what a device is; None for a RAM disk and for one without a size, such as a loop device not in use."""
    if _RAM_DISK.match(name):
        return None
    folder = os.path.join(root.sys, "class/block", name.replace("/", "!"))
    sectors = read_int(os.path.join(folder, "size"))
    if sectors == 0:
        return None
    size = None if sectors is None else count(sectors * _SECTOR)
    return known if known is not None and known.size == size else _describe(name, folder, size)


def _describe(name: str, folder: str, size: int | None) -> BlockDevice:
    parent = None
    disk = folder
    if os.path.exists(os.path.join(folder, "partition")):
        # /sys/class/block/sda1 -> …/block/sda/sda1
        disk = os.path.dirname(os.path.realpath(folder))
        parent = os.path.basename(disk).replace("!", "/")
    rotational = read_int(os.path.join(disk, "queue/rotational"))
    removable = read_int(os.path.join(disk, "removable"))
    return BlockDevice(
        name=name,
        parent=parent,
        kind=_kind(name, folder, parent),
        model=None
        if parent
        else read_line(os.path.join(disk, "device/model")) or read_line(os.path.join(disk, "device/name")),
        serial=None if parent else _serial(disk),
        size=size,
        rotational=None if rotational is None else rotational == 1,
        removable=None if removable is None else removable == 1,
    )


def _kind(name: str, folder: str, parent: str | None) -> str | None:
    if parent is not None:
        return "partition"
    for part in ("dm", "md", "loop"):
        if os.path.isdir(os.path.join(folder, part)):
            return part
    if name.startswith("loop"):
        return "loop"
    if name.startswith("zram"):
        return "zram"
    if _ROM.match(name) or read_int(os.path.join(folder, "device/type")) == _SCSI_ROM:
        return "rom"
    return "disk" if os.path.isdir(folder) else None


def _serial(folder: str) -> str | None:
    for name in ("device/serial", "serial"):
        serial = read_line(os.path.join(folder, name))
        if serial is not None:
            return serial
    try:
        page = read_bytes(os.path.join(folder, "device/vpd_pg80"))
    except OSError:
        return None
    return text_of(page[4:]).strip("\0 \n") or None  # SCSI Primary Commands, unit serial number page: 4 bytes of header


def _with_io(plain: BlockDevice, io: Io, before: Io | None, seconds: float | None) -> BlockDevice:
    read_rate = write_rate = busy = None
    if before is not None and seconds is not None:
        read_rate = rate(io.bytes_read, before.bytes_read, seconds)
        write_rate = rate(io.bytes_written, before.bytes_written, seconds)
        busy = rate(io.busy_milliseconds, before.busy_milliseconds, seconds)
    return msgspec.structs.replace(
        plain,
        read_bytes=io.bytes_read,
        write_bytes=io.bytes_written,
        reads=io.reads,
        writes=io.writes,
        read_bytes_per_second=read_rate,
        write_bytes_per_second=write_rate,
        busy_percent=None if busy is None else min(100.0, round(busy / 10, 2)),
    )
