"""What a row of machines shows, from a state."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from safetytwin.changes.trees import Tree
from safetytwin.changes.twin import Step, Twin

_FAILING = frozenset({"denied", "timeout", "failed", "stale"})
_ENGINES = frozenset({"docker", "podman", "containerd", "cri-o", "kubernetes", "lxc"})


def summary_of(twin: Twin, services: Mapping[str, int]) -> Tree:
    """Return the row of a machine; services is what service_counts made of it. What is not known is left out."""
    rest = twin.rest
    hardware: Tree = rest["hardware"]
    cpu, memory, system = (hardware.get(name, {}) for name in ("cpu", "memory", "os"))
    disks = [disk for disk in twin.items("hardware.disks").values() if disk.get("usage_percent") is not None]
    disks = [disk for disk in disks if "bind_of" not in disk and disk.get("kind") not in {"image", "memory"}]
    worst = max(disks, key=lambda disk: disk["usage_percent"], default=None)
    row = {
        "os": system.get("name") or hardware.get("platform"),
        "kernel": hardware.get("kernel_version"),
        "cores": cpu.get("cores_logical"),
        "cpu_percent": cpu.get("usage_percent"),
        "memory_percent": memory.get("usage_percent"),
        "memory_total": memory.get("total"),
        "uptime": hardware.get("uptime"),
        "gpus": [
            _gpu(gpu) for path in twin.counts() if path.startswith("hardware.gpu.") for gpu in twin.items(path).values()
        ],
        "worst_disk": None if worst is None else {name: worst[name] for name in ("mountpoint", "usage_percent")},
        "processes": twin.counts().get("processes"),
        **services,
        "workloads": [_workload(one) for one in twin.items("ai.workloads").values()],
        "collectors_failing": sorted(
            name for name, one in rest["agent"]["collectors"].items() if one.get("status") in _FAILING
        ),
    }
    return {name: value for name, value in row.items() if value is not None and value != []}


def service_counts(services: Iterable[Tree]) -> dict[str, int]:
    """Count the services of a state by what a row shows of them."""
    counts: Counter[str] = Counter(
        dict.fromkeys(("services", "units_failed", "containers", "containers_unhealthy", "containers_exited"), 0)
    )
    for one in services:
        counts["services"] += 1
        if one["type"] in _ENGINES:
            counts["containers"] += 1
            counts["containers_unhealthy"] += one.get("health") == "unhealthy"
            counts["containers_exited"] += one.get("status") in {"exited", "dead"}
        else:
            counts["units_failed"] += one.get("status") == "failed"
    return dict(counts)


def moves_counts(step: Step) -> bool:
    """Say whether a change may have changed what service_counts counts."""
    return any(
        before is None or after is None or any(before.get(name) != after.get(name) for name in ("status", "health"))
        for before, after in step.items.get("services", {}).values()
    )


def _gpu(gpu: Tree) -> dict[str, Any]:
    names = ("name", "status", "utilization_percent", "memory_used", "memory_total")
    return {name: gpu[name] for name in names if name in gpu}


def _workload(workload: Tree) -> dict[str, Any]:
    row = {name: workload[name] for name in ("name", "engine", "role", "state") if name in workload}
    models = [model.get("name") or model["id"] for model in workload.get("models", ())]
    return row | ({"models": models} if models else {})
