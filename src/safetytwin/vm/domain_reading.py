"""What a domain is now, read from its XML: ours, or what libvirt made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, fromstring

from safetytwin.vm.domain import METADATA
from safetytwin.vm.shape_records import Firmware, Topology, VmDisk, VmInterface

_UNITS = {"b": 1, "bytes": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20, "g": 1 << 30, "gib": 1 << 30}
_TWIN = f"{{{METADATA}}}"


class DomainError(ValueError):
    """The XML is no domain that can be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Present:
    """A domain as it is, and what was noted in it of the machine."""

    name: str
    emulated: bool
    """Without KVM: a vCPU can't be taken away while it runs."""
    architecture: str
    machine: str
    """The family, such as q35 for pc-q35-7.2."""
    firmware: Firmware
    vcpus: int
    max_vcpus: int
    topology: Topology | None
    memory: int
    max_memory: int
    network: str | None
    """Of its first interface; None where it has none."""
    hostname: str | None
    cpu_model: str | None
    disks: Mapping[str, VmDisk]
    """By serial: those that the domain has and that are noted."""
    disk_targets: Mapping[str, str]
    """Target device by serial."""
    interfaces: Mapping[str, VmInterface]
    """By hardware address: those that the domain has and that are noted."""
    passed_gpus: tuple[str, ...]


def read_domain(xml: str) -> Present:
    """Return what a domain is; raises DomainError."""
    try:
        domain = fromstring(xml)  # noqa: S314 - made by this package or printed by libvirt, and expat limits entities
        return _read(domain)
    except ParseError as error:
        raise DomainError(f"the domain's XML can't be read: {error}") from error
    except (ValueError, KeyError, AttributeError) as error:
        raise DomainError(f"the domain's XML is not one of a twin: {error}") from error


def _read(domain: Element) -> Present:
    kind = _needed(domain, "os/type")
    vcpu = _needed(domain, "vcpu")
    most = int(vcpu.text or "")
    memory = _size(_needed(domain, "memory"))
    current = domain.find("currentMemory")
    noted = domain.find(f"metadata/{_TWIN}twin")
    noted = Element("none") if noted is None else noted
    targets = {
        serial: target.get("dev", "")
        for disk in domain.findall("devices/disk")
        if (serial := disk.findtext("serial")) and (target := disk.find("target")) is not None
    }
    networks = {
        mac.get("address", "").lower(): source.get("network")
        for interface in domain.findall("devices/interface")
        if (mac := interface.find("mac")) is not None and (source := interface.find("source")) is not None
    }
    disks = (_disk(disk) for disk in noted.findall(f"{_TWIN}disk"))
    interfaces = (_interface(interface) for interface in noted.findall(f"{_TWIN}interface"))
    return Present(
        name=domain.findtext("name") or "",
        emulated=domain.get("type") == "qemu",
        architecture=kind.get("arch", ""),
        machine=_family(kind.get("machine", "")),
        firmware=_firmware(domain),
        vcpus=int(vcpu.get("current") or most),
        max_vcpus=most,
        topology=_topology(domain.find("cpu/topology")),
        memory=memory if current is None else _size(current),
        max_memory=memory,
        network=next(iter(networks.values()), None),
        hostname=noted.get("hostname"),
        cpu_model=noted.get("cpu_model"),
        disks={disk.serial: disk for disk in disks if disk.serial in targets},
        disk_targets=targets,
        interfaces={interface.mac: interface for interface in interfaces if interface.mac in networks},
        passed_gpus=tuple(_address(source) for source in domain.findall("devices/hostdev/source/address")),
    )


def _needed(domain: Element, path: str) -> Element:
    element = domain.find(path)
    if element is None:
        raise ValueError(f"it has no {path}")
    return element


def _size(element: Element) -> int:
    return int(element.text or "") * _UNITS[element.get("unit", "KiB").lower()]


def _family(machine: str) -> str:
    """Return the machine type without its version: libvirt writes q35 out as pc-q35-7.2, virt as virt-7.2."""
    if "q35" in machine:
        return "q35"
    return "virt" if machine.startswith("virt") else machine


def _firmware(domain: Element) -> Firmware:
    system = _needed(domain, "os")
    loader = system.find("loader")
    flash = loader is not None and loader.get("type") == "pflash"
    return "efi" if flash or system.get("firmware") == "efi" else "bios"


def _topology(element: Element | None) -> Topology | None:
    if element is None:
        return None
    return Topology(*(int(element.get(name, "1")) for name in ("sockets", "cores", "threads")))


def _disk(element: Element) -> VmDisk:
    size = element.get("size")
    return VmDisk(element.get("serial", ""), element.get("of"), None if size is None else int(size))


def _interface(element: Element) -> VmInterface:
    addresses = [address.get("is", "") for address in element.findall(f"{_TWIN}address")]
    return VmInterface(element.get("mac", ""), element.get("of", ""), addresses)


def _address(element: Element) -> str:
    domain, bus, slot, function = (int(element.get(name, "0"), 16) for name in ("domain", "bus", "slot", "function"))
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
