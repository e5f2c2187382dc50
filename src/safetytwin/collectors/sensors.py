"""Hardware monitors: hwmon chips and thermal zones (kernel Documentation/hwmon/sysfs-interface.rst)."""

import os
import re
from dataclasses import dataclass

import msgspec

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.host_root import HostRoot, list_dir, read_int, read_line
from safetytwin.collectors.rates import same_if_equal
from safetytwin.models.hardware import Sensor

_INPUT = re.compile(r"(temp|fan|in|curr|power|energy)(\d+)_(input|average)$")
_KINDS = {
    "temp": ("temperature", "Cel", 1e-3),
    "fan": ("fan", "rpm", 1.0),
    "in": ("voltage", "V", 1e-3),
    "curr": ("current", "A", 1e-3),
    "power": ("power", "W", 1e-6),
    "energy": ("energy", "J", 1e-6),
}
_PCI = re.compile(r"([0-9a-f]{4,}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$")
_I2C = re.compile(r"(\d+)-([0-9a-f]{4})$")
_ZONES_OF_CHIPS = {"x86_pkg_temp": "coretemp"}
"""Zones that show what a chip of another name shows."""


@dataclass(frozen=True, slots=True)
class _Source:
    """One reading: where it comes from and what does not change of it."""

    path: str
    fault_path: str | None
    factor: float
    plain: Sensor


class SensorsCollector:
    """Reads what each sensor is once, and its value at each look."""

    def __init__(self) -> None:
        self._chips: tuple[str, ...] = ()
        self._sources: list[_Source] = []
        self._shown: dict[str, Sensor] = {}

    def collect(self, look: Look) -> list[Sensor]:
        """Return the sensors that can be read now; raises AbsentError where there are none.

        A sensor that answers with an error, with no number or with its fault flag set is left out of this look.
        """
        chips = _chips(look.root)
        if chips != self._chips:
            self._sources = _sources(chips)
            self._chips = chips
        if not self._sources:
            raise AbsentError("no hardware monitor and no thermal zone")
        shown: dict[str, Sensor] = {}
        for source in self._sources:
            raw = read_int(source.path)
            if raw is None or (source.fault_path is not None and read_int(source.fault_path)):
                continue
            name = source.plain.id
            value = round(raw * source.factor, 6)
            if abs(value) < 1e15:
                shown[name] = same_if_equal(self._shown.get(name), msgspec.structs.replace(source.plain, value=value))
        self._shown = shown
        return list(shown.values())

    def close(self) -> None:
        """Hold nothing open."""


def _chips(root: HostRoot) -> tuple[str, ...]:
    hwmon = [os.path.join(root.sys, "class/hwmon", name) for name in list_dir(os.path.join(root.sys, "class/hwmon"))]
    thermal = os.path.join(root.sys, "class/thermal")
    return tuple(hwmon + [os.path.join(thermal, name) for name in list_dir(thermal) if name.startswith("thermal_zone")])


def _sources(folders: tuple[str, ...]) -> list[_Source]:
    sources: dict[str, _Source] = {}
    names: set[str] = set()
    for folder in folders:
        if os.path.basename(folder).startswith("thermal_zone"):
            found = _zone(folder, names)
        else:
            name = (
                read_line(os.path.join(folder, "name")) or read_line(os.path.join(folder, "device/name")) or "unknown"
            )
            names.add(name)
            found = _chip(folder, name)
        for source in found:
            plain = source.plain
            if plain.id in sources:  # two chips that nothing tells apart but their number
                plain = msgspec.structs.replace(plain, id=f"{os.path.basename(folder)}/{plain.id}")
            sources[plain.id] = _Source(source.path, source.fault_path, source.factor, plain)
    return list(sources.values())


def _chip(folder: str, name: str) -> list[_Source]:
    place = folder
    files = list_dir(folder)
    if not any(_INPUT.match(file) for file in files):
        place = os.path.join(folder, "device")  # before Linux 3.13 some drivers kept their files there
        files = list_dir(place)
    chip = f"{name}-{_address(folder)}"
    sources: list[_Source] = []
    for file in sorted(files, key=_order):
        match = _INPUT.match(file)
        if match is None:
            continue
        prefix, number, variant = match.groups()
        if variant == "average" and f"{prefix}{number}_input" in files:
            continue
        kind, unit, factor = _KINDS[prefix]
        reading = f"{prefix}{number}"
        sources.append(
            _Source(
                os.path.join(place, file),
                os.path.join(place, f"{reading}_fault") if f"{reading}_fault" in files else None,
                factor,
                Sensor(
                    id=f"{chip}:{reading}",
                    kind=kind,
                    label=read_line(os.path.join(place, f"{reading}_label")),
                    unit=unit,
                    high=_threshold(place, f"{reading}_max", files, factor) if prefix != "fan" else None,
                    critical=_threshold(place, f"{reading}_crit", files, factor),
                ),
            )
        )
    return sources


def _order(file: str) -> tuple[str, int, str]:
    match = _INPUT.match(file)
    return (match.group(1), int(match.group(2)), file) if match else (file, 0, file)


def _threshold(folder: str, file: str, files: list[str], factor: float) -> float | None:
    raw = read_int(os.path.join(folder, file)) if file in files else None
    value = None if raw is None else round(raw * factor, 6)
    return value if value is not None and 0 < value < 1e9 else None


def _address(folder: str) -> str:
    """Return bus and address as libsensors prints them: the first device up the tree on a bus that has addresses."""
    device = os.path.join(folder, "device")
    if not os.path.exists(device):
        return "virtual-0"
    path = os.path.realpath(device)
    for _ in range(8):
        name = os.path.basename(path)
        bus = os.path.basename(os.path.realpath(os.path.join(path, "subsystem")))
        pci, i2c = _PCI.match(name), _I2C.match(name)
        if pci:
            domain, number, slot, function = (int(part, 16) for part in pci.groups())
            return f"pci-{(domain << 16) + (number << 8) + (slot << 3) + int(function):04x}"
        if i2c:
            return f"i2c-{int(i2c.group(1))}-{int(i2c.group(2), 16):02x}"
        if bus in {"platform", "of_platform"}:
            number_text = name.rpartition(".")[2]
            return f"isa-{int(number_text) if number_text.isdecimal() else 0:04x}"
        if bus == "acpi":
            return "acpi-0"
        if bus in {"hid", "scsi", "mdio_bus", "spi"}:
            return f"{bus.removesuffix('_bus')}-{name}"
        path = os.path.dirname(path)
        if not path.strip("/"):
            break
    return "virtual-0"


def _zone(folder: str, chips: set[str]) -> list[_Source]:
    kind = read_line(os.path.join(folder, "type")) or "unknown"
    # A zone is a hwmon chip of its own too, under its type's name, unless its driver forbids that.
    if kind.replace("-", "_") in chips or kind in chips or _ZONES_OF_CHIPS.get(kind) in chips:
        return []
    critical = None
    for file in list_dir(folder):
        trip = re.match(r"(trip_point_\d+)_type$", file)
        if trip and read_line(os.path.join(folder, file)) == "critical":
            critical = _threshold(folder, f"{trip.group(1)}_temp", list_dir(folder), 1e-3)
    zone = os.path.basename(folder)
    plain = Sensor(id=f"{zone}:{kind}", kind="temperature", label=kind, unit="Cel", critical=critical)
    return [_Source(os.path.join(folder, "temp"), None, 1e-3, plain)]
