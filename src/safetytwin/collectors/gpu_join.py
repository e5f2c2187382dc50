"""Tells each process which GPUs it uses, from what the GPUs say of their processes."""

from collections.abc import Sequence

import msgspec

from safetytwin.models.hardware import Gpu
from safetytwin.models.process import Process, ProcessGpu


def with_gpus(processes: list[Process], gpus: Sequence[Gpu]) -> list[Process]:
    """Return processes with their gpu field set; those that use none are the same objects as before.

    A GPU's process is joined only where its start is that of the process: a pid may be another's by now.
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
        joined.append(msgspec.structs.replace(process, gpu=shares) if shares else process)
    return joined
