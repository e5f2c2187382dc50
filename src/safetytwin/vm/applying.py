"""Changing a twin that runs: the live lines of a plan, each on its own, so that one that fails fails no other."""

from xml.etree.ElementTree import Element, tostring

import msgspec

from safetytwin.vm.domain import Place, disk_element, disk_file, interface_element, metadata, target_names
from safetytwin.vm.domain_reading import Present
from safetytwin.vm.driver import Driver, DriverError
from safetytwin.vm.images import make_empty
from safetytwin.vm.plan import Line
from safetytwin.vm.shape_records import Shape, VmDisk, VmInterface


def apply_live(
    driver: Driver, shape: Shape, present: Present, place: Place, lines: list[Line]
) -> tuple[list[Line], list[Line]]:
    """Apply the live lines of a plan to a running domain; return those that were applied, and the failed with reasons.

    What is noted in the domain says afterwards what really is, so that what failed is planned anew.
    """
    done: list[Line] = []
    failed: list[Line] = []
    targets = target_names(shape, tuple(present.disk_targets.items()))
    for line in lines:
        if line.when != "live":
            continue
        try:
            _apply(driver, shape, present, place, targets, line)
        except DriverError as error:
            failed.append(msgspec.structs.replace(line, when="cannot", reason=str(error)))
        else:
            done.append(line)
    if done:
        left = [line for line in lines if line not in done]
        driver.note(shape.name, _xml(metadata(_as_it_is(shape, present, done, left))))
    return done, failed


def _apply(driver: Driver, shape: Shape, present: Present, place: Place, targets: dict[str, str], line: Line) -> None:
    name, item = shape.name, line.item or ""
    match line.action, line.what:
        case "change", "vcpus":
            driver.set_vcpus(name, shape.vcpus)
        case "change", "memory":
            driver.set_memory(name, shape.memory)
        case "add", "disk":
            disk = next(disk for disk in shape.disks if disk.serial == item)
            make_empty(place.file(shape, disk_file(item)), disk.size or 0)
            driver.attach(name, _xml(disk_element(shape, disk, targets[item], place)))
        case "change", "disk":
            size = next(disk.size for disk in shape.disks if disk.serial == item) or 0
            driver.resize_disk(name, present.disk_targets[item], size)
        case "remove", "disk":
            gone = disk_element(shape, VmDisk(item), present.disk_targets[item], place)
            driver.detach(name, _xml(gone))
        case "add", "interface":
            interface = next(interface for interface in shape.interfaces if interface.mac == item)
            driver.attach(name, _xml(interface_element(shape, interface)))
        case "remove", "interface":
            driver.detach(name, _xml(interface_element(shape, VmInterface(item, ""))))
        case _:
            pass  # Names and addresses are only noted, all of them at once.


def _as_it_is(shape: Shape, present: Present, done: list[Line], left: list[Line]) -> Shape:
    """Return the shape with what is not yet so: sizes of disks that did not grow, devices that may still be there."""
    unchanged = {line.item for line in left if line.action == "change" and line.what == "disk"}
    disks = [
        msgspec.structs.replace(disk, size=present.disks[disk.serial].size) if disk.serial in unchanged else disk
        for disk in shape.disks
    ]
    removed = {line.item for line in (*done, *left) if line.action == "remove"}
    return msgspec.structs.replace(
        shape,
        disks=[*disks, *(disk for serial, disk in present.disks.items() if serial in removed)],
        interfaces=[
            *shape.interfaces,
            *(interface for mac, interface in present.interfaces.items() if mac in removed),
        ],
    )


def _xml(element: Element) -> str:
    return tostring(element, encoding="unicode")
