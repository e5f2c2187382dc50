"""plan(shape, domain): what differs between a shape and a domain, and when each difference can be made good. Pure."""

from collections.abc import Iterator
from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Literal

import msgspec

from safetytwin.models.fields import Record
from safetytwin.models.quantities import size as size_text
from safetytwin.vm.domain_reading import Present, read_domain
from safetytwin.vm.names import SYSTEM_DISK
from safetytwin.vm.shape_records import Deviation, Shape, VmDisk

NOTED_ONLY = "noted only"
"""The reason of lines that change nothing but what is noted of the machine."""

When = Literal["live", "at next boot", "cannot"]


class Line(Record, frozen=True):
    """One thing to do, or one that can't be done."""

    when: A[When, msgspec.Meta(description="live: while it runs; at next boot; cannot: it stays as it is.")]
    action: Literal["create", "change", "add", "remove", "leave"]
    what: A[str, msgspec.Meta(description="vcpus, memory, disk, interface, …")]
    item: A[str | None, msgspec.Meta(description="Which: serial of a disk, address of an interface or GPU.")] = None
    before: A[int | str | None, msgspec.Meta(description="What is; bytes for memory and disks.")] = None
    after: A[int | str | None, msgspec.Meta(description="What is to be.")] = None
    reason: A[str | None, msgspec.Meta(description="Why not now, or not at all.")] = None


def plan(shape: Shape, domain_xml: str | None) -> list[Line]:
    """Return what differs, [] where the domain is as the shape; domain_xml None: there is no domain yet.

    Raises DomainError (a ValueError) where the XML can't be read.
    """
    if domain_xml is None:
        return list(_creation(shape))
    present = read_domain(domain_xml)
    return [
        *_machine(shape, present),
        *_vcpus(shape, present),
        *_memory(shape, present),
        *_disks(shape, present),
        *_interfaces(shape, present),
        *_gpus(shape, present),
        *_notes(shape, present),
    ]


def left_out(deviations: list[Deviation]) -> list[Line]:
    """Return the lines of what a shape does not follow of its machine."""
    return [
        Line(
            "cannot",
            "leave",
            deviation.what,
            deviation.item,
            before=deviation.wanted,
            after=deviation.given,
            reason=deviation.reason if deviation.choice is None else f"{deviation.reason} ({deviation.choice})",
        )
        for deviation in deviations
    ]


def _creation(shape: Shape) -> Iterator[Line]:
    boot: When = "at next boot"
    yield Line(boot, "create", "domain", shape.name, after=f"{shape.architecture} {shape.machine} {shape.firmware}")
    yield Line(boot, "create", "vcpus", after=shape.vcpus, reason=f"up to {shape.topology.vcpus} live")
    yield Line(boot, "create", "memory", after=shape.memory, reason=f"up to {size_text(shape.max_memory)} live")
    for disk in shape.disks:
        yield Line(boot, "create", "disk", disk.serial, after=disk.size)
    for interface in shape.interfaces:
        yield Line(boot, "create", "interface", interface.mac, after=interface.of, reason=f"on {shape.network}")
    for address in shape.passed_gpus:
        yield Line(boot, "create", "gpu", address)


def _machine(shape: Shape, present: Present) -> Iterator[Line]:
    if present.architecture != shape.architecture:
        yield Line("cannot", "change", "architecture", None, present.architecture, shape.architecture, _MADE_ANEW)
    elif present.machine != shape.machine:
        yield Line("at next boot", "change", "machine", None, present.machine, shape.machine)
    if present.firmware != shape.firmware:
        yield Line("at next boot", "change", "firmware", None, present.firmware, shape.firmware)
    if shape.interfaces and present.network not in {None, shape.network}:
        yield Line("at next boot", "change", "network", None, present.network, shape.network)


_MADE_ANEW = "what is on its disks is for the other one: delete the twin and create it anew"


def _vcpus(shape: Shape, present: Present) -> Iterator[Line]:
    fits = shape.vcpus <= present.max_vcpus
    if present.vcpus != shape.vcpus:
        when: When = "live"
        reason = None
        if not fits:
            when, reason = "at next boot", f"there are places for {present.max_vcpus}"
        elif shape.vcpus < present.vcpus and present.emulated:
            when, reason = "at next boot", "an emulated CPU can't be taken away while it runs"
        yield Line(when, "change", "vcpus", None, present.vcpus, shape.vcpus, reason)
    wanted, now = shape.topology, present.topology
    if fits and (now is None or (now.cores, now.threads) != (wanted.cores, wanted.threads)):
        before = None if now is None else f"{now.cores} cores of {now.threads} threads"
        after = f"{wanted.cores} cores of {wanted.threads} threads"
        yield Line("at next boot", "change", "topology", None, before, after)


def _memory(shape: Shape, present: Present) -> Iterator[Line]:
    if present.memory != shape.memory:
        fits = shape.memory <= present.max_memory
        reason = None if fits else f"it may grow to {size_text(present.max_memory)}"
        when: When = "live" if fits else "at next boot"
        yield Line(when, "change", "memory", None, present.memory, shape.memory, reason)


def _disks(shape: Shape, present: Present) -> Iterator[Line]:
    for disk in shape.disks:
        there = present.disks.get(disk.serial)
        if there is None:
            yield Line("live", "add", "disk", disk.serial, after=disk.size)
        elif disk.size is not None and there.size != disk.size:
            yield _resized(disk, there)
    for serial, disk in present.disks.items():
        if serial != SYSTEM_DISK and all(wanted.serial != serial for wanted in shape.disks):
            yield Line("live", "remove", "disk", serial, before=disk.size, reason="its file is kept")


def _resized(disk: VmDisk, there: VmDisk) -> Line:
    shrinks = there.size is not None and disk.size is not None and disk.size < there.size
    reason = "a file system would lose its end" if shrinks else None
    return Line("cannot" if shrinks else "live", "change", "disk", disk.serial, there.size, disk.size, reason)


def _interfaces(shape: Shape, present: Present) -> Iterator[Line]:
    wanted = {interface.mac: interface for interface in shape.interfaces}
    for mac, interface in wanted.items():
        if mac not in present.interfaces:
            yield Line("live", "add", "interface", mac, after=interface.of)
    for mac, interface in present.interfaces.items():
        if mac not in wanted:
            yield Line("live", "remove", "interface", mac, before=interface.of)


def _gpus(shape: Shape, present: Present) -> Iterator[Line]:
    for address in shape.passed_gpus:
        if address not in present.passed_gpus:
            yield Line("at next boot", "add", "gpu", address)
    for address in present.passed_gpus:
        if address not in shape.passed_gpus:
            yield Line("at next boot", "remove", "gpu", address)


def _notes(shape: Shape, present: Present) -> Iterator[Line]:
    """Yield what is only noted in the domain: names and addresses."""
    if present.hostname != shape.hostname:
        yield Line("live", "change", "hostname", None, present.hostname, shape.hostname)
    if present.cpu_model != shape.cpu_model:
        yield Line("live", "change", "cpu_model", None, present.cpu_model, shape.cpu_model, NOTED_ONLY)
    for disk in shape.disks:
        there = present.disks.get(disk.serial)
        if there is not None and there.of != disk.of:
            yield Line("live", "change", "disk name", disk.serial, there.of, disk.of, NOTED_ONLY)
    for interface in shape.interfaces:
        known = present.interfaces.get(interface.mac)
        if known is None:
            continue
        if known.of != interface.of:
            yield Line("live", "change", "interface name", interface.mac, known.of, interface.of, NOTED_ONLY)
        if known.addresses != interface.addresses:
            before, after = ", ".join(known.addresses), ", ".join(interface.addresses)
            yield Line("live", "change", "addresses", interface.mac, before, after, NOTED_ONLY)
