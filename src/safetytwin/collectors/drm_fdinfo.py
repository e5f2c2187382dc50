"""What a DRM driver says of one client in /proc/PID/fdinfo/FD: pure parsing.

Source: kernel Documentation/gpu/drm-usage-stats.rst, and those of amdgpu, i915 and xe beside it.
"""

from dataclasses import dataclass, field

from safetytwin.collectors.host_root import text_of

_UNITS = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_MEMORY_PREFIXES = ("drm-resident-", "drm-memory-", "drm-total-")
"""The best first: drm-memory is its old name, drm-total counts what is not in memory too."""


@dataclass(slots=True)
class DrmClient:
    """One client of a GPU; two file descriptors that give the same pdev and client id are the same client."""

    pdev: str
    client_id: int
    driver: str | None = None
    engines: dict[str, int] = field(default_factory=dict)
    """Busy nanoseconds by engine, since the client opened the device."""
    cycles: dict[str, int] = field(default_factory=dict)
    """Busy cycles by engine (xe)."""
    total_cycles: dict[str, int] = field(default_factory=dict)
    """Cycles that passed, by engine."""
    capacity: dict[str, int] = field(default_factory=dict)
    """How many of an engine there are, where that is not one."""
    memory: dict[str, int] = field(default_factory=dict)
    """Bytes by region: vram, gtt, system0, local0."""


def parse_fdinfo(data: bytes) -> DrmClient | None:
    """Return the client that a fdinfo file describes, or None where it names none (no DRM file, an old kernel).

    A line that makes no sense is left out.
    """
    values: dict[str, str] = {}
    for line in text_of(data).split("\n"):
        key, colon, value = line.partition(":")
        if colon and key.startswith("drm-"):
            values[key.rstrip()] = value.strip()
    pdev, client_id = values.get("drm-pdev"), _number(values.get("drm-client-id", ""))
    if not pdev or client_id is None:
        return None
    client = DrmClient(pdev.lower(), client_id, values.get("drm-driver") or None)
    memory: dict[str, dict[str, int]] = {prefix: {} for prefix in _MEMORY_PREFIXES}
    for key, value in values.items():
        if key.startswith("drm-engine-capacity-"):
            if number := _number(value):
                client.capacity[key.removeprefix("drm-engine-capacity-")] = number
        elif key.startswith("drm-engine-"):
            _put(client.engines, key.removeprefix("drm-engine-"), _number(value.removesuffix("ns").rstrip()))
        elif key.startswith("drm-cycles-"):
            _put(client.cycles, key.removeprefix("drm-cycles-"), _number(value))
        elif key.startswith("drm-total-cycles-"):
            _put(client.total_cycles, key.removeprefix("drm-total-cycles-"), _number(value))
        else:
            for prefix in _MEMORY_PREFIXES:
                if key.startswith(prefix):
                    _put(memory[prefix], key.removeprefix(prefix), parse_size(value))
    for prefix in reversed(_MEMORY_PREFIXES):
        client.memory |= memory[prefix]
    return client


def parse_size(value: str) -> int | None:
    """Return a number of bytes from "12 KiB", "3 MiB" or "4096": no unit means bytes."""
    number, _, unit = value.partition(" ")
    amount, factor = _number(number), _UNITS.get(unit.strip())
    return None if amount is None or factor is None else amount * factor


def _number(text: str) -> int | None:
    """Return a kernel's 64-bit unsigned number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _put(into: dict[str, int], name: str, value: int | None) -> None:
    if value is not None and name:
        into[name] = value
