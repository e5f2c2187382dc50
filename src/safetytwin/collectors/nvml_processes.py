"""Which processes an NVIDIA GPU serves, and what each of them takes of it."""

from dataclasses import dataclass
from typing import Any

from safetytwin.collectors import nvml_values as values
from safetytwin.collectors.base import Look
from safetytwin.collectors.gpu_pids import holds_device, pids_are_the_hosts, start_ticks
from safetytwin.collectors.nvml import NvmlDevice
from safetytwin.models.hardware import GpuProcess, MigDevice

_KINDS = (
    ("compute", "nvmlDeviceGetComputeRunningProcesses"),
    ("compute", "nvmlDeviceGetMPSComputeRunningProcesses"),
    ("graphics", "nvmlDeviceGetGraphicsRunningProcesses"),
)
"""The lists that a driver keeps. Of a function's versions _v3 is asked, or _v2 of drivers before 510.

The binding's names without a version are not used: with an older driver they raise what is no NVMLError.
"""

_Key = tuple[int, int | None, int | None]
"""pid, MIG GPU instance, MIG compute instance."""


@dataclass(slots=True)
class _User:
    kind: str
    memory: int | None


class NvmlProcesses:
    """Reads the processes of one GPU; remembers when their utilisation was last asked for."""

    def __init__(self) -> None:
        self._asked: float | None = None

    def read(
        self, device: NvmlDevice, slices: list[tuple[NvmlDevice, MigDevice]], look: Look
    ) -> list[GpuProcess] | None:
        """Return the processes by pid, or None where the driver can't say."""
        sources: list[tuple[NvmlDevice, int | None, int | None]] = [
            (part, static.gpu_instance_id, static.compute_instance_id) for part, static in slices
        ]
        users = _users(sources or [(device, None, None)])
        if users is None:
            return None
        shares = self._shares(device, look) if users else None
        certain = not users or pids_are_the_hosts(look.root)
        processes, foreign = [], 0
        for (pid, gpu_instance, compute_instance), user in sorted(users.items(), key=_by_pid):
            ticks = start_ticks(look.root, pid)
            if not certain and ticks is not None and not holds_device(look.root, pid, "/dev/nvidia"):
                foreign += 1
                continue
            # The driver leaves out those that used nothing since it was asked last.
            share = shares.get(pid, (0, 0, 0, 0)) if shares is not None else (None, None, None, None)
            processes.append(
                GpuProcess(
                    pid=pid,
                    start_ticks=ticks,
                    kind=user.kind,
                    memory=user.memory,
                    sm_percent=values.percent(share[0]),
                    memory_percent=values.percent(share[1]),
                    encoder_percent=values.percent(share[2]),
                    decoder_percent=values.percent(share[3]),
                    gpu_instance_id=gpu_instance,
                    compute_instance_id=compute_instance,
                )
            )
        if foreign:
            look.notes.append(f"GPU processes of another PID namespace than the agent's: {foreign}")
            look.hint = "run the agent in the host's PID namespace (docker run --pid=host)"
        return processes

    def _shares(self, device: NvmlDevice, look: Look) -> dict[int, tuple[int, int, int, int]] | None:
        """Return SM, memory, encoder and decoder percentages by pid since the last look, or None where unknown."""
        before, self._asked = self._asked, look.wall
        since = before if before is not None and 0 < look.wall - before <= 60 else look.wall - 1
        return device.utilization_since(int(since * 1e6))


def _users(sources: list[tuple[NvmlDevice, int | None, int | None]]) -> dict[_Key, _User] | None:
    users: dict[_Key, _User] = {}
    answered = False
    for device, gpu_instance, compute_instance in sources:
        for kind, function in _KINDS:
            listed: list[Any] | None = device.ask(f"{function}_v3")
            if listed is None and not device.answers(f"{function}_v3"):
                listed = device.ask(f"{function}_v2")
            answered = answered or listed is not None
            for entry in listed or ():
                if not entry.pid:
                    continue
                key = (
                    entry.pid,
                    _instance(getattr(entry, "gpuInstanceId", None), gpu_instance),
                    _instance(getattr(entry, "computeInstanceId", None), compute_instance),
                )
                memory = values.size(entry.usedGpuMemory)
                known = users.get(key)
                if known is None:
                    users[key] = _User(kind, memory)
                    continue
                # Both lists tell of the same memory, so it is not added up.
                known.kind = "both" if known.kind != kind else kind
                known.memory = max((m for m in (known.memory, memory) if m is not None), default=None)
    return users if answered else None


def _by_pid(item: tuple[_Key, _User]) -> tuple[int, int, int]:
    (pid, gpu_instance, compute_instance), _ = item
    return pid, -1 if gpu_instance is None else gpu_instance, -1 if compute_instance is None else compute_instance


def _instance(reported: int | None, of_slice: int | None) -> int | None:
    return of_slice if reported is None or reported == values.NOT_AVAILABLE else reported
