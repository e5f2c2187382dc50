"""What a virtual machine would be: the records of a shape."""

from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Any, Literal

import msgspec

from safetytwin.models.fields import Count, Record
from safetytwin.models.system_state import HostId, Timestamp

Firmware = Literal["bios", "efi"]
_NONE: Any = msgspec.field(default_factory=list)


class Topology(Record, frozen=True):
    """How the vCPUs of the ceiling are arranged; sockets x cores x threads is the ceiling."""

    sockets: Count
    cores: Count
    threads: Count

    @property
    def vcpus(self) -> int:
        """The ceiling: how many vCPUs there are places for."""
        return self.sockets * self.cores * self.threads


class VmDisk(Record, frozen=True):
    """One disk of the twin, thin."""

    serial: A[str, msgspec.Meta(description="What it is known by: system for the one it boots from.")]
    of: A[str | None, msgspec.Meta(description="Which disk of the machine it stands for.")] = None
    size: A[Count | None, msgspec.Meta(description="Bytes; null: as large as the image.")] = None


class VmInterface(Record, frozen=True):
    """One network interface of the twin."""

    mac: A[str, msgspec.Meta(description="Hardware address, what it is known by.")]
    of: A[str, msgspec.Meta(description="Which interface of the machine it stands for.")]
    addresses: A[list[str], msgspec.Meta(description="The machine's addresses with prefix: noted, never set.")] = _NONE


class Deviation(Record, frozen=True):
    """One thing in which the twin is not as the machine, and why."""

    what: A[str, msgspec.Meta(description="vcpus, memory, disk, interface, gpu, architecture, …")]
    reason: A[str, msgspec.Meta(description="Why, for people.")]
    item: A[str | None, msgspec.Meta(description="Which one, where there are more.")] = None
    wanted: A[Count | None, msgspec.Meta(description="What the machine has (bytes for memory and disks).")] = None
    given: A[Count | None, msgspec.Meta(description="What the twin gets.")] = None
    choice: A[str | None, msgspec.Meta(description="What a person may do about it.")] = None


class Shape(Record, frozen=True):
    """The virtual machine that a machine would be."""

    host_id: A[HostId, msgspec.Meta(description="The machine.")]
    name: A[str, msgspec.Meta(description="Name of the domain.")]
    at: A[Timestamp, msgspec.Meta(description="The moment whose state it is the shape of.")]
    architecture: A[str, msgspec.Meta(description="Such as x86_64.")]
    machine: A[str, msgspec.Meta(description="Machine type of QEMU.")]
    firmware: Firmware
    vcpus: A[Count, msgspec.Meta(description="vCPUs now.")]
    topology: A[Topology, msgspec.Meta(description="Of the ceiling.")]
    memory: A[Count, msgspec.Meta(description="Bytes now, whole MiB.")]
    max_memory: A[Count, msgspec.Meta(description="Bytes that it may grow to while it runs, whole MiB.")]
    network: A[str, msgspec.Meta(description="Name of the libvirt network that its interfaces are on.")]
    disks: A[list[VmDisk], msgspec.Meta(description="The one it boots from first.")]
    interfaces: list[VmInterface] = _NONE
    hostname: A[str | None, msgspec.Meta(description="Name of the machine.")] = None
    cpu_model: A[str | None, msgspec.Meta(description="The machine's CPU model, noted only.")] = None
    passed_gpus: A[list[str], msgspec.Meta(description="PCI addresses of GPUs that are passed through.")] = _NONE
    deviations: list[Deviation] = _NONE
