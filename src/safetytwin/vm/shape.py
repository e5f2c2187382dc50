"""shape(state): the virtual machine that a machine would be. Pure: it needs neither libvirt nor root."""

import re
from collections.abc import Collection

from safetytwin.models.hardware import Gpu, Hardware
from safetytwin.models.system_state import SystemState
from safetytwin.vm import shape_disks, shape_network
from safetytwin.vm.names import domain_name, xml_text
from safetytwin.vm.scaling import Host, sized
from safetytwin.vm.shape_records import Deviation, Firmware, Shape

ISOLATED = "safetytwin-isolated"
"""The libvirt network that twins are on unless a person says otherwise: it leads nowhere."""

_MACHINES = {"x86_64": "q35", "aarch64": "virt"}
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}
_PCI = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.ASCII)


def shape(
    state: SystemState,
    *,
    at: str | None = None,
    host: Host | None = None,
    network: str = ISOLATED,
    pass_gpus: Collection[str] = (),
) -> Shape:
    """Return the shape of a machine.

    at is the moment that the state is of (RFC 3339), its own where left out; host is what will run the twin, None for
    no limit but QEMU's; pass_gpus are PCI addresses of the machine's GPUs that the host itself has and gives away.
    Raises ValueError where one of those is no GPU of the machine.
    """
    hardware = state.hardware
    size = sized(hardware.cpu, hardware.memory, host)
    architecture, foreign = _architecture(hardware)
    disks, without_disk = shape_disks.disks(hardware)
    interfaces, odd_interfaces = shape_network.interfaces(state.host_id, hardware.network or [])
    passed, left_gpus = _gpus(hardware, pass_gpus)
    return Shape(
        host_id=state.host_id,
        name=domain_name(state.host_id),
        at=at or state.timestamp,
        architecture=architecture,
        machine=_MACHINES[architecture],
        firmware=_firmware(hardware, architecture),
        vcpus=size.vcpus,
        topology=size.topology,
        memory=size.memory,
        max_memory=size.max_memory,
        network=xml_text(network),
        disks=disks,
        interfaces=interfaces,
        hostname=xml_text(hardware.hostname) if hardware.hostname else None,
        cpu_model=xml_text(hardware.cpu.model) if hardware.cpu and hardware.cpu.model else None,
        passed_gpus=passed,
        deviations=[*foreign, *size.deviations, *without_disk, *odd_interfaces, *left_gpus],
    )


def _architecture(hardware: Hardware) -> tuple[str, list[Deviation]]:
    said = (hardware.cpu.architecture if hardware.cpu else None) or ""
    name = _ALIASES.get(said.lower(), said.lower())
    if name in _MACHINES:
        return name, []
    reason = f"a twin can't be {xml_text(said)}" if said else "the machine's is not known"
    return "x86_64", [Deviation("architecture", f"{reason}: it is x86_64")]


def _firmware(hardware: Hardware, architecture: str) -> Firmware:
    """Return efi where an EFI system partition is mounted (where systemd and distributions mount it)."""
    esp = {"/boot/efi", "/efi"}
    mounted = any(disk.mountpoint in esp and disk.fstype in {"vfat", "autofs"} for disk in hardware.disks or [])
    return "efi" if mounted or architecture == "aarch64" else "bios"


def _gpus(hardware: Hardware, wanted: Collection[str]) -> tuple[list[str], list[Deviation]]:
    addresses = {address.lower() for address in wanted}
    passed: list[str] = []
    left: list[Deviation] = []
    for gpu in (gpu for gpus in (hardware.gpu or {}).values() for gpu in gpus):
        address = (gpu.pci_bus_id or "").lower()
        passable = _PCI.fullmatch(address) is not None
        if passable and address in addresses:
            if address not in passed:
                passed.append(address)
        else:
            left.append(_left_gpu(gpu, address if passable else None))
    unknown = addresses.difference(passed)
    if unknown:
        raise ValueError(f"the machine has no GPU at PCI address {min(unknown)!r}; write it as 0000:01:00.0")
    return passed, left


def _left_gpu(gpu: Gpu, address: str | None) -> Deviation:
    choice = f"where the machine itself runs the twin: --pass-gpu {address}" if address else None
    return Deviation(
        "gpu", "a twin has no GPU unless one is passed through", xml_text(gpu.name or gpu.uuid), choice=choice
    )
