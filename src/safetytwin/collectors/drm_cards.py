"""The GPUs of /sys/class/drm and what is alike for all vendors: PCI, hwmon, names.

Source: kernel Documentation/gpu/, Documentation/ABI/testing/sysfs-bus-pci, Documentation/hwmon/sysfs-interface.rst.
"""

import os
import re
from dataclasses import dataclass
from typing import Any

from safetytwin.collectors.base import Look
from safetytwin.collectors.host_root import HostRoot, list_dir, read_bytes, read_int, read_line, text_of
from safetytwin.models.fields import count

_CARD = re.compile(r"card([0-9]{1,9})")
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_KIND = re.compile(r"[0-9]")
_GENERATIONS = {"2.5": 1, "5.0": 2, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}
"""PCIe generation by GT/s."""
_PCI_IDS = ("usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids")


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU as the kernel lists it."""

    index: int
    folder: str
    """/sys/class/drm/cardN."""
    address: str
    """PCI address, such as 0000:03:00.0."""
    pci_id: str
    """vendor:device in hexadecimal."""
    driver: str | None

    @property
    def device(self) -> str:
        """The folder of the PCI device."""
        return os.path.join(self.folder, "device")


def cards(root: HostRoot, vendor: str) -> list[Card]:
    """Return the GPUs of a vendor ("1002") in the kernel's order; displays, render nodes and virtual GPUs are none."""
    folder = os.path.join(root.sys, "class/drm")
    found = []
    for name in list_dir(folder):
        match = _CARD.fullmatch(name)
        if match is None:
            continue
        try:
            event = parse_uevent(read_bytes(os.path.join(folder, name, "device/uevent")))
        except OSError:
            continue
        pci_id, address = event.get("PCI_ID", "").lower(), event.get("PCI_SLOT_NAME", "").lower()
        if pci_id.startswith(vendor + ":") and _ADDRESS.fullmatch(address):
            found.append(Card(int(match[1]), os.path.join(folder, name), address, pci_id, event.get("DRIVER")))
    return sorted(found, key=lambda card: card.index)


def parse_uevent(data: bytes) -> dict[str, str]:
    """Return the pairs of a uevent file."""
    pairs = (line.partition("=") for line in text_of(data).splitlines())
    return {key: value for key, equals, value in pairs if equals}


def device_paths(card: Card) -> list[str]:
    """Return the paths in /dev at which processes open the GPU."""
    nodes = list_dir(os.path.join(card.device, "drm")) or [f"card{card.index}"]
    return [f"/dev/dri/{node}" for node in nodes]


def sleeps(card: Card) -> bool:
    """Say whether a GPU is powered down; to read it then would wake it."""
    return read_line(os.path.join(card.device, "power/runtime_status")) in {"suspended", "suspending"}


def fell_off_the_bus(card: Card) -> bool:
    """Say whether the device no longer answers: its PCI configuration then reads as ones."""
    try:
        descriptor = os.open(os.path.join(card.device, "config"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(descriptor, 4) == b"\xff\xff\xff\xff"
    except OSError:
        return False
    finally:
        os.close(descriptor)


def pci_facts(card: Card) -> dict[str, Any]:
    """Return the fields of a Gpu that PCI tells and that do not change."""
    device = card.device
    return {
        "pci_bus_id": card.address,
        "pci_id": card.pci_id,
        "numa_node": count(read_int(os.path.join(device, "numa_node"))),
        "pcie_generation_max": parse_link_speed(read_line(os.path.join(device, "max_link_speed"))),
        "pcie_width_max": _width(os.path.join(device, "max_link_width")),
    }


def pcie_now(card: Card) -> dict[str, Any]:
    """Return the speed and width of the link as they are."""
    device = card.device
    return {
        "pcie_generation": parse_link_speed(read_line(os.path.join(device, "current_link_speed"))),
        "pcie_width": _width(os.path.join(device, "current_link_width")),
    }


def parse_link_speed(line: str | None) -> int | None:
    """Return the PCIe generation of "16.0 GT/s PCIe", or None for "Unknown"."""
    return _GENERATIONS.get(line.split(" ")[0]) if line else None


def _width(path: str) -> int | None:
    width = read_int(path)
    return width if width is not None and 0 < width <= 32 else None  # 0 and 255 mean unknown, as on integrated GPUs


class Hwmon:
    """The hardware monitor of a GPU; its files are looked up once."""

    def __init__(self, card: Card) -> None:
        parent = os.path.join(card.device, "hwmon")
        monitors = [name for name in list_dir(parent) if name.startswith("hwmon")]
        self._folder = os.path.join(parent, monitors[0]) if monitors else None
        self._inputs: dict[str, str] = {}
        files = list_dir(self._folder) if self._folder else []
        for name in files:
            if name.endswith("_label") and (label := read_line(os.path.join(self._folder or "", name))):
                self._inputs[f"{_KIND.split(name)[0]} {label}"] = name.removesuffix("label") + "input"
        self._files = frozenset(files)

    def first(self, *names: str) -> int | None:
        """Return the number in the first of these files that is there and holds one."""
        for name in names:
            if name in self._files:
                number = read_int(os.path.join(self._folder or "", name))
                if number is not None:
                    return number
        return None

    def labelled(self, kind: str, label: str) -> int | None:
        """Return the number of the input of a kind (temp, freq, energy) that has this label."""
        name = self._inputs.get(f"{kind} {label}")
        return self.first(name) if name else None


def within(value: int | None, lowest: float, highest: float, factor: float = 1) -> float | None:
    """Return value x factor where that is from lowest to highest, else None."""
    if value is None or not lowest <= value * factor <= highest:
        return None
    return round(value * factor, 3)


def device_name(look: Look, card: Card) -> str | None:
    """Return the name that the list of PCI ids gives, where the machine has one."""
    for path in _PCI_IDS:
        try:
            return parse_pci_ids(read_bytes(os.path.join(look.root.root, path)), card.pci_id)
        except OSError:
            continue
    return None


def parse_pci_ids(data: bytes, pci_id: str) -> str | None:
    """Return a device's name from the text of pci.ids (https://pci-ids.ucw.cz)."""
    vendor, _, device = pci_id.encode().partition(b":")
    data = b"\n" + data
    start = data.find(b"\n" + vendor + b"  ")
    if start < 0:
        return None
    for line in data[start + 1 :].split(b"\n")[1:]:
        if line.startswith(b"\t" + device + b"  "):
            return text_of(line[7:]).strip() or None
        if line[:1] not in {b"\t", b"#", b""}:
            return None
    return None
