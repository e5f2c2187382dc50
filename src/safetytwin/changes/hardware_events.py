"""Events of the hardware: processors, memory, disks, interfaces and GPUs."""

from collections.abc import Iterator
from typing import Any

from safetytwin.changes.item_changes import Facts, changed_values, is_blind, item_changes
from safetytwin.changes.kinds import event
from safetytwin.changes.trees import Tree
from safetytwin.models.event import Event
from safetytwin.models.quantities import size

_MEMORY_TOLERANCE = 0.02
"""Part of the memory by which a kernel's own reserve may differ from boot to boot."""

_PASSING_DISKS = frozenset({"memory", "overlay", "image"})
_PASSING_INTERFACES = frozenset({"veth"})
"""Kinds that come and go with containers, which have events of their own."""


def hardware_events(facts: Facts) -> Iterator[Event]:
    """Yield what changed in processors, memory and block devices."""
    old, new, at = facts.old_hardware, facts.new_hardware, facts.at
    before, after = _processors(old.get("cpu", {})), _processors(new.get("cpu", {}))
    if before and after and before != after:
        yield event("hardware.cpu_changed", at, "hardware.cpu", before=before, after=after)
    totals = changed_values(old.get("memory", {}), new.get("memory", {}), "total")
    if totals is not None and abs(totals[1] - totals[0]) > _MEMORY_TOLERANCE * max(totals):
        yield event("hardware.memory_changed", at, "hardware.memory", before=size(totals[0]), after=size(totals[1]))
    if is_blind(facts, "block_devices"):
        return
    for key, gone, come in item_changes(facts, "hardware.block_devices"):
        device = come or gone or {}
        if device.get("kind") != "disk" or (gone and come):
            continue
        about = {"name": device["name"], "model": device.get("model"), "serial": device.get("serial")}
        if gone is None:
            shown = None if device.get("size") is None else size(device["size"])
            yield event("hardware.disk_added", at, f"hardware.block_devices/{key}", **about, size=shown)
        else:
            yield event("hardware.disk_removed", at, f"hardware.block_devices/{key}", **about)


def _processors(cpu: Tree) -> str | None:
    cores, model = cpu.get("cores_logical"), cpu.get("model")
    if cores is None:
        return None
    return f"{cores} CPUs, {model}" if model else f"{cores} CPUs"


def disk_events(facts: Facts) -> Iterator[Event]:
    """Yield which file systems were mounted, unmounted, made read-only, or do not answer."""
    if is_blind(facts, "disks"):
        return
    for key, before, after in item_changes(facts, "hardware.disks"):
        disk = after or before or {}
        if disk.get("kind") in _PASSING_DISKS:
            continue
        subject = f"hardware.disks/{key}"
        about = {"mountpoint": disk["mountpoint"], "device": disk.get("device"), "fstype": disk.get("fstype")}
        if before is None or after is None:
            if not facts.rebooted:
                yield event("disk.mounted" if after else "disk.unmounted", facts.at, subject, **about)
            continue
        if after.get("read_only") and before.get("read_only") is False:
            yield event("disk.read_only", facts.at, subject, **about)
        statuses = changed_values(before, after, "status")
        if statuses is not None and "stale" in statuses:
            kind = "disk.not_answering" if statuses[1] == "stale" else "disk.answering"
            yield event(kind, facts.at, subject, **about)


def interface_events(facts: Facts) -> Iterator[Event]:
    """Yield which interfaces came, went, rose, fell, or changed their addresses."""
    if is_blind(facts, "network"):
        return
    for key, before, after in item_changes(facts, "hardware.network"):
        interface = after or before or {}
        if interface.get("kind") in _PASSING_INTERFACES:
            continue
        subject, name = f"hardware.network/{key}", interface["name"]
        if before is None or after is None:
            if not facts.rebooted:
                yield event("interface.added" if after else "interface.removed", facts.at, subject, name=name)
            continue
        was, now = _is_up(before), _is_up(after)
        if was is not None and now is not None and was != now:
            yield event("interface.up" if now else "interface.down", facts.at, subject, name=name)
        addresses = _addresses(before), _addresses(after)
        if None not in addresses and addresses[0] != addresses[1]:
            shown = [", ".join(some or ()) or "none" for some in addresses]
            yield event("interface.address_changed", facts.at, subject, name=name, before=shown[0], after=shown[1])


def _is_up(interface: Tree) -> bool | None:
    """Say whether an interface can carry traffic; None where neither the kernel's state nor its flags say so."""
    state = interface.get("operstate")
    if state in {"up", "down", "lowerlayerdown", "dormant", "notpresent"}:
        return bool(state == "up")
    flags = interface.get("flags")
    return None if flags is None else "up" in flags


def _addresses(interface: Tree) -> list[str] | None:
    addresses = interface.get("addresses")
    if addresses is None:
        return None
    prefixed = (f"{one['address']}/{one['prefix']}" if "prefix" in one else one["address"] for one in addresses)
    return sorted(prefixed)


def gpu_events(facts: Facts) -> Iterator[Event]:
    """Yield which GPUs were lost, came back, were added or removed, had memory errors or another driver."""
    for path in facts.step.items:
        if not path.startswith("hardware.gpu.") or is_blind(facts, path.removeprefix("hardware.gpu.")):
            continue
        for key, before, after in item_changes(facts, path):
            yield from _gpu_events(facts.at, f"{path}/{key}", before, after)


def _gpu_events(at: str, subject: str, before: Tree | None, after: Tree | None) -> Iterator[Event]:
    gpu = after or before or {}
    about: dict[str, Any] = {"name": gpu.get("name") or f"{gpu['vendor']} GPU", "uuid": gpu["uuid"]}
    was, now = (before or {}).get("status"), (after or {}).get("status")
    if before is None:
        yield event("gpu.added", at, subject, **about)
    if now == "lost" and was != "lost":
        yield event("gpu.lost", at, subject, **about, error=gpu.get("error"))
    if after is None:
        yield event("gpu.removed", at, subject, **about)
    if before is None or after is None:
        return
    if was == "lost" and now not in {"lost", None}:
        yield event("gpu.back", at, subject, **about)
    errors = changed_values(before, after, "ecc_uncorrected")
    if errors is not None and errors[1] > errors[0]:
        yield event("gpu.memory_errors", at, subject, **about, errors=errors[1] - errors[0])
    versions = changed_values(before, after, "driver_version")
    if versions is not None:
        yield event("gpu.driver_changed", at, subject, **about, before=versions[0], after=versions[1])
