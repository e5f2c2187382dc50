"""What of a state is plotted: the gauges, by the names of their series."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from safetytwin.changes.trees import Tree
from safetytwin.changes.twin import Twin

_MOST_ITEMS = 64
"""Disks, interfaces, GPUs, workloads that get series of their own; a machine with thousands of veths stays small."""

_FIXED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "cpu.usage": (("cpu", "usage_percent"), "%"),
    "cpu.iowait": (("cpu", "times", "iowait"), "%"),
    "cpu.steal": (("cpu", "times", "steal"), "%"),
    "memory.used": (("memory", "used"), "By"),
    "memory.usage": (("memory", "usage_percent"), "%"),
    "swap.used": (("memory", "swap", "used"), "By"),
    "swap.usage": (("memory", "swap", "usage_percent"), "%"),
}
_ITEMS: Mapping[str, tuple[str, str, Mapping[str, tuple[str, str]]]] = {
    "hardware.disks": ("disk", "mountpoint", {"usage": ("usage_percent", "%")}),
    "hardware.block_devices": (
        "io",
        "name",
        {
            "read": ("read_bytes_per_second", "By/s"),
            "write": ("write_bytes_per_second", "By/s"),
            "busy": ("busy_percent", "%"),
        },
    ),
    "hardware.network": (
        "network",
        "name",
        {"rx": ("rx_bytes_per_second", "By/s"), "tx": ("tx_bytes_per_second", "By/s")},
    ),
    "ai.workloads": ("workload", "id", {"cpu": ("cpu_percent", "%"), "memory": ("rss", "By")}),
}
_GPU: Mapping[str, tuple[str, str]] = {
    "utilization": ("utilization_percent", "%"),
    "memory": ("memory_used", "By"),
    "temperature": ("temperature_celsius", "Cel"),
    "power": ("power_watts", "W"),
}
_UNITS: Mapping[str, str] = {
    **{name: unit for name, (_, unit) in _FIXED.items()},
    "load.1m": "1",
    "load.5m": "1",
    "load.15m": "1",
    "processes": "1",
    **{f"{prefix}.{name}": unit for prefix, _, fields in _ITEMS.values() for name, (_, unit) in fields.items()},
    **{f"gpu.{name}": unit for name, (_, unit) in _GPU.items()},
    "workload.gpu_memory": "By",
}


def unit_of(name: str) -> str | None:
    """Return the unit of a series, None of an unknown one; what is in brackets names the item."""
    head, bracket, rest = name.partition("[")
    return _UNITS.get(head + rest.rpartition("]")[2] if bracket else name)


def gauges_of(twin: Twin) -> dict[str, float]:
    """Return what is plotted of a state; what is not known is left out."""
    hardware: Tree = twin.rest["hardware"]
    found: dict[str, Any] = {name: _at(hardware, steps) for name, (steps, _) in _FIXED.items()}
    load = _at(hardware, ("cpu", "load_average"))
    if isinstance(load, list) and len(load) == 3:
        found |= dict(zip(("load.1m", "load.5m", "load.15m"), load, strict=True))
    counts = twin.counts()
    found["processes"] = counts.get("processes")
    for path, (prefix, key, fields) in _ITEMS.items():
        for item in _some(twin, path, _is_plotted):
            found |= {f"{prefix}[{item[key]}].{name}": item.get(field) for name, (field, _) in fields.items()}
            if path == "ai.workloads":
                memories = [gpu["memory"] for gpu in item.get("gpus", ()) if gpu.get("memory") is not None]
                found[f"workload[{item['id']}].gpu_memory"] = sum(memories) if memories else None
    for path in counts:
        if path.startswith("hardware.gpu."):
            for item in _some(twin, path, lambda _: True):
                found |= {f"gpu[{item['uuid']}].{name}": item.get(field) for name, (field, _) in _GPU.items()}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _some(twin: Twin, path: str, wanted: Callable[[Tree], bool]) -> Iterator[Tree]:
    chosen = [item for item in twin.items(path).values() if wanted(item)]
    yield from chosen[:_MOST_ITEMS]


def _is_plotted(item: Tree) -> bool:
    """Leave out what shows another item's figures again, and what never moves."""
    return "bind_of" not in item and item.get("kind") not in {"image", "loop", "rom", "partition", "veth"}


def _at(tree: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        tree = tree.get(step) if isinstance(tree, dict) else None
    return tree
