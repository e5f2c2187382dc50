"""What i915 and xe tell of a GPU in sysfs. Source: kernel Documentation/ABI/testing/sysfs-driver-intel-{i915,xe}-*."""

import os
from typing import Any

from safetytwin.collectors.base import Look
from safetytwin.collectors.drm_cards import Card, Hwmon, device_name, pci_facts, pcie_now, within
from safetytwin.collectors.host_root import list_dir, read_int, read_line
from safetytwin.models.fields import count

_I915_THROTTLE, _XE_THROTTLE = "throttle_reason_", "reason_"


def identity(look: Look, card: Card) -> dict[str, Any]:
    """Return what names the GPU; none of it wakes a GPU that sleeps."""
    return {
        "uuid": f"pci:{card.address}",
        "vendor": "intel",
        "index": card.index,
        "name": device_name(look, card) or f"Intel GPU {card.pci_id}",
        "driver": card.driver,
        "driver_version": read_line(os.path.join(look.root.sys, "module", card.driver or "i915", "version")),
        **pci_facts(card),
    }


def static(card: Card) -> dict[str, Any]:
    """Return what does not change while the driver is loaded; memory is that of boards which have their own."""
    return {
        "memory_total": _memory_total(card),
        "clock_graphics_max_mhz": _highest(card, "gt_RP0_freq_mhz", "gt/{}/rps_RP0_freq_mhz", "freq0/rp0_freq"),
    }


def gauges(card: Card, hwmon: Hwmon) -> dict[str, Any]:
    """Return what moves; utilisation comes from the clients."""
    return {
        "temperature_celsius": within(_temperature(hwmon), -100, 300, 0.001),
        "memory_temperature_celsius": within(hwmon.labelled("temp", "vram"), -100, 300, 0.001),
        "power_watts": within(hwmon.first("power1_input", "power1_average"), 0, 10_000, 1e-6),
        "power_limit_watts": within(hwmon.first("power1_max", "power1_cap"), 0, 10_000, 1e-6),
        "energy_joules": within(hwmon.first("energy1_input", "energy2_input"), 0, 1e15, 1e-6),
        "clock_graphics_mhz": _highest(card, "gt_act_freq_mhz", "gt/{}/rps_act_freq_mhz", "freq0/act_freq"),
        "throttle_reasons": _throttle_reasons(card),
        **pcie_now(card),
    }


def power_between(before: tuple[float, float] | None, now: tuple[float, float]) -> float | None:
    """Return watts from two readings of (seconds, joules); None at first sight and where the counter fell back."""
    if before is None or now[0] <= before[0] or now[1] < before[1]:
        return None
    return round((now[1] - before[1]) / (now[0] - before[0]), 3)


def _temperature(hwmon: Hwmon) -> int | None:
    package = hwmon.labelled("temp", "pkg")
    return hwmon.first("temp1_input") if package is None else package


def _memory_total(card: Card) -> int | None:
    tiles = [name for name in list_dir(card.device) if name.startswith("tile")]
    sizes = [count(read_int(os.path.join(card.device, tile, "physical_vram_size_bytes"))) for tile in tiles]
    known = [size for size in sizes if size]
    return count(sum(known)) if known else count(read_int(os.path.join(card.folder, "lmem_total_bytes")))


def _highest(card: Card, i915: str, i915_gt: str, xe: str) -> float | None:
    """Return the highest of the clocks that the parts of a GPU have, MHz: xe's, newer i915's or older i915's files."""
    paths = [os.path.join(folder, xe) for folder in _xe_parts(card)]
    paths += [os.path.join(card.folder, i915_gt.format(part)) for part in list_dir(os.path.join(card.folder, "gt"))]
    if not paths:
        paths = [os.path.join(card.folder, i915)]
    return max((mhz for path in paths if (mhz := within(read_int(path), 0, 100_000)) is not None), default=None)


def _xe_parts(card: Card) -> list[str]:
    return [
        os.path.join(card.device, tile, part)
        for tile in list_dir(card.device)
        if tile.startswith("tile")
        for part in list_dir(os.path.join(card.device, tile))
        if part.startswith("gt")
    ]


def _throttle_reasons(card: Card) -> list[str] | None:
    """Return why the clocks are held down, in the driver's words; None where it doesn't say."""
    folders = [(os.path.join(part, "freq0/throttle"), _XE_THROTTLE) for part in _xe_parts(card)]
    folders += [
        (os.path.join(card.folder, "gt", part), _I915_THROTTLE) for part in list_dir(os.path.join(card.folder, "gt"))
    ]
    told, reasons = False, set()
    for folder, prefix in folders:
        for name in list_dir(folder):
            if name.startswith(prefix) and name != prefix + "status":
                value = read_int(os.path.join(folder, name))
                told = told or value is not None
                if value:
                    reasons.add(name.removeprefix(prefix))
    return sorted(reasons) if told else None
