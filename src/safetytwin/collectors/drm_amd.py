"""What amdgpu tells of a GPU in sysfs. Source: kernel Documentation/gpu/amdgpu/."""

import os
import re
from typing import Any

from safetytwin.collectors.base import Look
from safetytwin.collectors.drm_cards import Card, Hwmon, device_name, pci_facts, pcie_now, within
from safetytwin.collectors.host_root import read_int, read_line
from safetytwin.models.fields import count

_CLOCK = re.compile(r"^[0-9]+: *([0-9]{1,6})Mhz", re.MULTILINE | re.IGNORECASE)
_ERRORS = re.compile(r"^(ue|ce): *([0-9]{1,15})$", re.MULTILINE)


def identity(look: Look, card: Card) -> dict[str, Any]:
    """Return what names the GPU; none of it wakes a GPU that sleeps."""
    unique = read_line(os.path.join(card.device, "unique_id"))
    return {
        "uuid": parse_unique_id(unique) or f"pci:{card.address}",
        "vendor": "amd",
        "index": card.index,
        "name": read_line(os.path.join(card.device, "product_name"))
        or device_name(look, card)
        or f"AMD GPU {card.pci_id}",
        "serial": read_line(os.path.join(card.device, "serial_number")),
        "driver": card.driver,
        "driver_version": read_line(os.path.join(look.root.sys, "module", card.driver or "amdgpu", "version")),
        **pci_facts(card),
    }


def parse_unique_id(line: str | None) -> str | None:
    """Return the id as ROCm writes it (0x and 16 digits); None for zero, which boards without one have."""
    if line is None:
        return None
    try:
        number = int(line, 16)
    except ValueError:
        return None
    return f"0x{number:016x}" if 0 < number < 1 << 64 else None


def static(card: Card) -> dict[str, Any]:
    """Return what does not change while the driver is loaded."""
    device = card.device
    return {
        "vbios_version": read_line(os.path.join(device, "vbios_version")),
        "memory_total": _bytes(device, "mem_info_vram_total"),
        "gtt_total": _bytes(device, "mem_info_gtt_total"),
        "clock_graphics_max_mhz": highest_clock(read_line(os.path.join(device, "pp_dpm_sclk"))),
        "clock_memory_max_mhz": highest_clock(read_line(os.path.join(device, "pp_dpm_mclk"))),
    }


def gauges(card: Card, hwmon: Hwmon, memory_total: int | None) -> dict[str, Any]:
    """Return what moves."""
    device = card.device
    used = _bytes(device, "mem_info_vram_used")
    corrected, uncorrected = parse_errors(read_line(os.path.join(device, "ras/umc_err_count")))
    microjoules = hwmon.first("energy1_input")
    return {
        "utilization_percent": within(read_int(os.path.join(device, "gpu_busy_percent")), 0, 100),
        "memory_utilization_percent": within(read_int(os.path.join(device, "mem_busy_percent")), 0, 100),
        "memory_used": used,
        "memory_free": count(memory_total - used) if memory_total is not None and used is not None else None,
        "gtt_used": _bytes(device, "mem_info_gtt_used"),
        "temperature_celsius": within(_core_temperature(hwmon), -100, 300, 0.001),
        "memory_temperature_celsius": within(hwmon.labelled("temp", "mem"), -100, 300, 0.001),
        "power_watts": within(hwmon.first("power1_average", "power1_input"), 0, 10_000, 1e-6),
        "power_limit_watts": within(hwmon.first("power1_cap"), 0, 10_000, 1e-6),
        "energy_joules": within(microjoules, 0, 1e15, 1e-6),
        "fan_percent": fan_percent(hwmon),
        "clock_graphics_mhz": within(hwmon.labelled("freq", "sclk"), 0, 100_000, 1e-6),
        "clock_memory_mhz": within(hwmon.labelled("freq", "mclk"), 0, 100_000, 1e-6),
        "ecc_corrected": corrected,
        "ecc_uncorrected": uncorrected,
        **pcie_now(card),
    }


def _core_temperature(hwmon: Hwmon) -> int | None:
    edge = hwmon.labelled("temp", "edge")  # data-centre boards have but a junction
    if edge is None:
        edge = hwmon.labelled("temp", "junction")
    return hwmon.first("temp1_input") if edge is None else edge


def fan_percent(hwmon: Hwmon) -> float | None:
    """Return the fan's speed of its highest where the board tells that, else the duty that is asked of it."""
    speed, highest = hwmon.first("fan1_input"), hwmon.first("fan1_max")
    if speed is not None and highest:
        return within(speed, 0, 250, 100 / highest)
    return within(hwmon.first("pwm1"), 0, 100, 100 / 255)


def highest_clock(table: str | None) -> float | None:
    """Return the highest clock of a pp_dpm table ("0: 500Mhz", "1: 2482Mhz *"), MHz."""
    return max((float(mhz) for mhz in _CLOCK.findall(table or "")), default=None)


def parse_errors(text: str | None) -> tuple[int | None, int | None]:
    """Return corrected and uncorrected errors of a RAS counter file ("ue: 0", "ce: 1")."""
    found = {name: int(number) for name, number in _ERRORS.findall(text or "")}
    return found.get("ce"), found.get("ue")


def _bytes(device: str, name: str) -> int | None:
    return count(read_int(os.path.join(device, name)))
