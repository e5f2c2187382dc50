"""Tells each process which GPUs it uses, from what the GPUs say of their processes."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from safetytwin.models.hardware import Gpu
from safetytwin.models.process import Process, ProcessGpu

N = TypeVar("N", int, float)


def with_gpus(processes: list[Process], gpus: Sequence[Gpu]) -> list[Process]:
    """Return processes with their gpu field set; those that use none are the same objects as before.

    A GPU's process is joined only where its start is that of the process, or unknown (where there is no /proc): a pid
    may be another's by now. What a process holds of several slices of one GPU is added up.
    """
    used: dict[int, list[tuple[int | None, ProcessGpu]]] = {}
    for gpu in gpus:
        for user in gpu.processes or ():
            share = ProcessGpu(uuid=gpu.uuid, memory=user.memory, sm_percent=user.sm_percent)
            used.setdefault(user.pid, []).append((user.start_ticks, share))
    if not used:
        return processes
    joined = []
    for process in processes:
        shares = [share for ticks, share in used.get(process.pid, ()) if ticks in {None, process.start_ticks}]
        joined.append(msgspec.structs.replace(process, gpu=_by_gpu(shares)) if shares else process)
    return joined


def _by_gpu(shares: list[ProcessGpu]) -> list[ProcessGpu]:
    """Return one share a GPU."""
    added: dict[str, ProcessGpu] = {}
    for share in shares:
        before = added.get(share.uuid, ProcessGpu(uuid=share.uuid))
        memory, sm_percent = _sum(before.memory, share.memory), _sum(before.sm_percent, share.sm_percent)
        added[share.uuid] = ProcessGpu(uuid=share.uuid, memory=memory, sm_percent=sm_percent)
    return list(added.values())


def _sum(one: N | None, other: N | None) -> N | None:
    """Return the sum; what is known where the other isn't."""
    if one is None or other is None:
        return other if one is None else one
    return one + other
