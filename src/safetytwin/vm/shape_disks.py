"""The disks of a twin: one for each of the machine's disks, as large as it, and thin."""

from safetytwin.models.hardware import BlockDevice, Disk, Hardware
from safetytwin.vm.names import SYSTEM_DISK, disk_serial, xml_text
from safetytwin.vm.scaling import whole_mib
from safetytwin.vm.shape_records import Deviation, VmDisk

_MOST = 100


def disks(hardware: Hardware) -> tuple[list[VmDisk], list[Deviation]]:
    """Return the disks, the one to boot from first, and what of the machine's has none."""
    sizes, deviations = _by_name(hardware)
    root = _root(hardware, sizes)
    if root is None:
        deviations.append(
            Deviation("disk", "which disk the machine boots from is not known: the twin's is as its image", SYSTEM_DISK)
        )
        system = VmDisk(SYSTEM_DISK)
    else:
        system = VmDisk(SYSTEM_DISK, xml_text(root), sizes.pop(root))
    found = [VmDisk(disk_serial(name), xml_text(name), size) for name, size in sizes.items()]
    deviations += [Deviation("disk", f"a twin has at most {_MOST} disks", disk.of) for disk in found[_MOST - 1 :]]
    return [system, *found[: _MOST - 1]], deviations


def _by_name(hardware: Hardware) -> tuple[dict[str, int | None], list[Deviation]]:
    """Return the size in bytes of each disk; where no block device can be seen, of what is mounted."""
    sizes: dict[str, int | None] = {}
    deviations: list[Deviation] = []
    for device in hardware.block_devices or []:
        if device.kind != "disk":
            continue
        if device.removable:
            deviations.append(Deviation("disk", "removable", xml_text(device.name)))
        elif device.size:
            sizes[device.name] = whole_mib(device.size)
        else:
            deviations.append(Deviation("disk", "its size is not known, or it has no medium", xml_text(device.name)))
    if not sizes:
        for disk in hardware.disks or []:
            if disk.kind == "local" and disk.bind_of is None and disk.total:
                sizes[disk.device or disk.mountpoint] = whole_mib(disk.total)
    return sizes, deviations


def _root(hardware: Hardware, sizes: dict[str, int | None]) -> str | None:
    mounted = next((disk for disk in hardware.disks or [] if disk.mountpoint == "/"), None)
    if mounted is not None:
        name = _disk_of(mounted, hardware.block_devices or [])
        if name in sizes:
            return name
    return next(iter(sizes), None)


def _disk_of(mounted: Disk, devices: list[BlockDevice]) -> str:
    """Return the name of the disk below a mount: partitions lead to their parents."""
    path = mounted.device or mounted.mountpoint
    parents = {device.name: device.parent for device in devices}
    name = path.removeprefix("/dev/")
    if name not in parents:
        return path
    for _ in range(8):  # a chain of partition, LVM, RAID ends long before
        parent = parents.get(name)
        if parent is None:
            break
        name = parent
    return name
