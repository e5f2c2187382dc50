"""What the numbers of NVML mean: pure functions from what a driver answers to what a Gpu holds.

Drivers answer garbage now and then (0xFFFFFFFF for "not available", percentages above 100): that is None here.
"""

from typing import Any

from safetytwin.models.fields import count

NOT_AVAILABLE = 0xFFFFFFFF
"""What a driver puts where an unsigned int has no value (NVML_VALUE_NOT_AVAILABLE; 0xFFFFFFFF for instance ids)."""

_COMPUTE_MODES = ("default", "exclusive_thread", "prohibited", "exclusive_process")
"""By nvmlComputeMode_t."""

_THROTTLE_REASONS = (
    "gpu_idle",
    "applications_clocks_setting",
    "sw_power_cap",
    "hw_slowdown",
    "sync_boost",
    "sw_thermal_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
    "display_clocks_setting",
)
"""By bit of nvmlClocksEventReasons."""


def text(value: Any) -> str | None:
    """Return a string without padding; None where it is empty or says that there is none."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    stripped = value.strip("\0 \n\t")
    return None if stripped.lower() in {"", "n/a", "[n/a]", "[not supported]", "unknown"} else stripped


def within(value: Any, lowest: float, highest: float, scale: float = 1) -> float | None:
    """Return value x scale where value is a number from lowest to highest, else None."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not lowest <= value <= highest:
        return None
    return value if scale == 1 else round(value * scale, 3)


def percent(value: Any) -> float | None:
    """Return a percentage, or None for what is none."""
    return within(value, 0, 100)


def size(value: Any) -> int | None:
    """Return a number of bytes or of things, or None for what is none."""
    return count(value) if isinstance(value, int) and value != NOT_AVAILABLE else None


def flag(value: Any) -> bool | None:
    """Return an nvmlEnableState_t as a truth value."""
    return bool(value) if value in {0, 1} else None


def compute_mode(value: Any) -> str | None:
    """Return the name of an nvmlComputeMode_t."""
    return _COMPUTE_MODES[value] if isinstance(value, int) and 0 <= value < len(_COMPUTE_MODES) else None


def performance_state(value: Any) -> str | None:
    """Return P0 to P15; 32 means unknown."""
    return f"P{value}" if within(value, 0, 15) is not None else None


def cuda_version(value: Any) -> str | None:
    """Return 13.0 for 13000."""
    return f"{value // 1000}.{value % 1000 // 10}" if isinstance(value, int) and value > 0 else None


def throttle_reasons(bits: Any) -> list[str] | None:
    """Return the names of the bits that are set; a bit that has no name yet is named by its value."""
    if not isinstance(bits, int):
        return None
    names = [name for position, name in enumerate(_THROTTLE_REASONS) if bits >> position & 1]
    unnamed = bits >> len(_THROTTLE_REASONS) << len(_THROTTLE_REASONS)
    return [*names, f"unknown_{unnamed:#x}"] if unnamed else names


def pci_address(value: Any) -> str | None:
    """Return 0000:01:00.0, as the kernel writes it, for NVML's 00000000:01:00.0."""
    address = text(value)
    if address is None:
        return None
    address = address.lower()
    return address[4:] if len(address) == 16 and address.startswith("0000") else address


def pci_id(value: Any) -> str | None:
    """Return vendor:device for NVML's pciDeviceId, which holds the device in its upper half."""
    return f"{value & 0xFFFF:04x}:{value >> 16:04x}" if isinstance(value, int) and value > 0 else None
