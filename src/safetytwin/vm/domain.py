"""domain_xml(shape): the libvirt domain of a shape, made element by element, so that no text of a state is ever markup.

The format is libvirt's (https://libvirt.org/formatdomain.html).
"""

import posixpath
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from safetytwin.vm.names import SYSTEM_DISK, domain_uuid
from safetytwin.vm.shape_records import Shape, VmDisk, VmInterface

METADATA = "urn:safetytwin:vm:1"
_ROOM_FOR_DEVICES = 8
"""PCIe ports kept free, for interfaces that come while the twin runs; q35 can't make more by itself."""

_SEED_TARGET = "sdzz"
"""Beyond the names of all disks that a twin may have."""

Accelerator = Literal["kvm", "qemu"]
"""qemu is emulation (TCG): it works everywhere, and is slow."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and with what a twin runs."""

    directory: str = "/var/lib/safetytwin/vm"
    """Its disks, seed and console log are below this, in a directory of the domain's name."""
    accelerator: Accelerator = "kvm"
    disk_names: tuple[tuple[str, str], ...] = ()
    """Serial and target device (such as sdb) of disks that keep theirs while others come and go."""

    def file(self, shape: Shape, name: str) -> str:
        """Return the path of one of a twin's files."""
        return posixpath.join(self.directory, shape.name, name)


def disk_file(serial: str) -> str:
    """Return the file name of a disk."""
    return f"{serial}.qcow2"


def domain_xml(shape: Shape, place: Place | None = None) -> str:
    """Return the XML of the domain of a shape."""
    place = place or Place()
    domain = Element("domain", {"type": place.accelerator})
    _text(domain, "name", shape.name)
    _text(domain, "uuid", domain_uuid(shape.host_id))
    SubElement(domain, "metadata").append(metadata(shape))
    _text(domain, "memory", str(shape.max_memory // 1024), {"unit": "KiB"})
    _text(domain, "currentMemory", str(shape.memory // 1024), {"unit": "KiB"})
    ceiling = str(shape.topology.vcpus)
    _text(domain, "vcpu", ceiling, {"placement": "static", "current": str(shape.vcpus)})
    _system(domain, shape, place)
    _text(domain, "on_poweroff", "destroy")
    _text(domain, "on_reboot", "restart")
    _text(domain, "on_crash", "destroy")
    _devices(domain, shape, place)
    indent(domain)
    return tostring(domain, encoding="unicode") + "\n"


def metadata(shape: Shape) -> Element:
    """Return what is noted of the machine in the domain: what libvirt has no place for, and which devices are ours."""
    twin = Element("st:twin", {"xmlns:st": METADATA, "host": shape.host_id})
    for name, value in (("hostname", shape.hostname), ("cpu_model", shape.cpu_model)):
        if value is not None:
            twin.set(name, value)
    for disk in shape.disks:
        noted = SubElement(twin, "st:disk", {"serial": disk.serial})
        if disk.of is not None:
            noted.set("of", disk.of)
        if disk.size is not None:
            noted.set("size", str(disk.size))
    for interface in shape.interfaces:
        noted = SubElement(twin, "st:interface", {"mac": interface.mac, "of": interface.of})
        for address in interface.addresses:
            SubElement(noted, "st:address", {"is": address})
    return twin


def disk_element(shape: Shape, disk: VmDisk, target: str, place: Place) -> Element:
    """Return a disk: thin, and giving back to the host what the twin discards."""
    element = Element("disk", {"type": "file", "device": "disk"})
    SubElement(element, "driver", {"name": "qemu", "type": "qcow2", "discard": "unmap"})
    SubElement(element, "source", {"file": place.file(shape, disk_file(disk.serial))})
    SubElement(element, "target", {"dev": target, "bus": "scsi"})
    _text(element, "serial", disk.serial)
    if disk.serial == SYSTEM_DISK:
        SubElement(element, "boot", {"order": "1"})
    return element


def interface_element(shape: Shape, interface: VmInterface) -> Element:
    """Return an interface on the shape's network."""
    element = Element("interface", {"type": "network"})
    SubElement(element, "mac", {"address": interface.mac})
    SubElement(element, "source", {"network": shape.network})
    SubElement(element, "model", {"type": "virtio"})
    return element


def target_names(shape: Shape, taken: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
    """Return the target device (sda, sdb, …) of each disk by serial; disks that have one keep it."""
    names = {disk.serial: "" for disk in shape.disks} | {
        serial: name for serial, name in taken if any(disk.serial == serial for disk in shape.disks)
    }
    used = set(names.values())
    free = (name for number in range(len(names) + len(used) + 1) if (name := f"sd{_letters(number)}") not in used)
    return {serial: name or next(free) for serial, name in names.items()}


def _letters(number: int) -> str:
    letters = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        letters = chr(ord("a") + digit) + letters
    return letters


def _system(domain: Element, shape: Shape, place: Place) -> None:
    system = SubElement(domain, "os", {"firmware": "efi"} if shape.firmware == "efi" else {})
    _text(system, "type", "hvm", {"arch": shape.architecture, "machine": shape.machine})
    features = SubElement(domain, "features")
    SubElement(features, "acpi")
    if shape.architecture == "x86_64":
        SubElement(features, "apic")
    # Emulation has no host model worth copying: it offers all that it can do.
    cpu = SubElement(domain, "cpu", {"mode": "host-model" if place.accelerator == "kvm" else "maximum"})
    if place.accelerator == "kvm":
        _text(cpu, "model", None, {"fallback": "allow"})
    topology = shape.topology
    counts = {"sockets": topology.sockets, "cores": topology.cores, "threads": topology.threads}
    SubElement(cpu, "topology", {name: str(count) for name, count in counts.items()})


def _devices(domain: Element, shape: Shape, place: Place) -> None:
    devices = SubElement(domain, "devices")
    names = target_names(shape, place.disk_names)
    for disk in shape.disks:
        devices.append(disk_element(shape, disk, names[disk.serial], place))
    seed = SubElement(devices, "disk", {"type": "file", "device": "cdrom"})
    SubElement(seed, "driver", {"name": "qemu", "type": "raw"})
    SubElement(seed, "source", {"file": place.file(shape, "seed.iso"), "startupPolicy": "optional"})
    SubElement(seed, "target", {"dev": _SEED_TARGET, "bus": "scsi"})
    SubElement(seed, "readonly")
    scsi = SubElement(devices, "controller", {"type": "scsi", "index": "0", "model": "virtio-scsi"})
    # Left to QEMU it has a queue for each vCPU that is there at the start, which a snapshot with more does not fit.
    SubElement(scsi, "driver", {"queues": "1"})
    ports = _ROOM_FOR_DEVICES + 4 + len(shape.interfaces) + len(shape.passed_gpus)
    for number in range(1, ports + 1):
        SubElement(devices, "controller", {"type": "pci", "index": str(number), "model": "pcie-root-port"})
    for interface in shape.interfaces:
        devices.append(interface_element(shape, interface))
    for address in shape.passed_gpus:
        devices.append(_passed(address))
    console = SubElement(devices, "serial", {"type": "pty"})
    SubElement(console, "log", {"file": place.file(shape, "console.log"), "append": "on"})
    SubElement(console, "target", {"port": "0"})
    agent = SubElement(devices, "channel", {"type": "unix"})
    SubElement(agent, "target", {"type": "virtio", "name": "org.qemu.guest_agent.0"})
    balloon = SubElement(devices, "memballoon", {"model": "virtio"})
    SubElement(balloon, "stats", {"period": "5"})
    entropy = SubElement(devices, "rng", {"model": "virtio"})
    _text(entropy, "backend", "/dev/urandom", {"model": "random"})


def _passed(address: str) -> Element:
    element = Element("hostdev", {"mode": "subsystem", "type": "pci", "managed": "yes"})
    domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    source = SubElement(element, "source")
    parts = {"domain": domain, "bus": bus, "slot": slot, "function": function}
    SubElement(source, "address", {name: f"0x{part}" for name, part in parts.items()})
    return element


def _text(parent: Element, tag: str, text: str | None, attributes: dict[str, str] | None = None) -> None:
    SubElement(parent, tag, attributes or {}).text = text
