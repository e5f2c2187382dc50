"""From the clients of a GPU to its processes and its engines: pure."""

from collections.abc import Sequence

from safetytwin.collectors.drm_clients import ClientUse
from safetytwin.models.fields import count
from safetytwin.models.hardware import GpuProcess

_COMPUTE = ("compute", "ccs")
_GRAPHICS = ("gfx", "render", "rcs")
_ENCODERS = ("enc", "enc_1")
_DECODERS = ("dec",)
"""Engines of amdgpu, i915 and xe. Intel's video engine does both, so it is neither."""


def total_engines(uses: Sequence[ClientUse]) -> dict[str, float]:
    """Return each engine's share in percent, all clients together; {} where no client is known from before."""
    totals: dict[str, float] = {}
    for use in uses:
        for engine, percent in (use.engines_percent or {}).items():
            totals[engine] = round(min(100.0, totals.get(engine, 0.0) + percent), 2)
    return totals


def processes_of(uses: Sequence[ClientUse], others: Sequence[GpuProcess]) -> list[GpuProcess]:
    """Return the processes behind clients, joined with those that another source names, by pid."""
    by_pid: dict[int, list[ClientUse]] = {}
    for use in uses:
        by_pid.setdefault(use.pid, []).append(use)
    known = {process.pid: process for process in others}
    processes = [_process(pid, clients, known.get(pid)) for pid, clients in by_pid.items()]
    processes += [process for pid, process in known.items() if pid not in by_pid]
    return sorted(processes, key=lambda process: process.pid)


def _process(pid: int, uses: Sequence[ClientUse], other: GpuProcess | None) -> GpuProcess:
    engines = total_engines(uses) if all(use.engines_percent is not None for use in uses) else {}
    sizes = [size for use in uses if (size := device_memory(use.client.memory)) is not None]
    told = [sum(sizes)] if sizes else []
    if other is not None and other.memory is not None:
        told.append(other.memory)
    return GpuProcess(
        pid=pid,
        start_ticks=uses[0].start_ticks,
        kind=_kind(uses, compute=other is not None),
        memory=count(max(told, default=None)),  # kernels differ in which of the two counts ROCm's memory
        sm_percent=_highest(engines, _COMPUTE + _GRAPHICS),
        encoder_percent=_highest(engines, _ENCODERS),
        decoder_percent=_highest(engines, _DECODERS),
    )


def device_memory(regions: dict[str, int]) -> int | None:
    """Return what a client holds of the GPU's own memory; where the GPU has none, of the machine's.

    vram and local0 are the GPU's own, gtt and system0 the machine's (amdgpu, i915, xe).
    """
    own = [size for name, size in regions.items() if name.startswith(("vram", "local"))]
    return sum(own or regions.values()) if regions else None


def _kind(uses: Sequence[ClientUse], *, compute: bool) -> str | None:
    used = {
        engine
        for use in uses
        for counters in (use.client.engines, use.client.cycles)
        for engine, value in counters.items()
        if value
    }
    compute = compute or bool(used.intersection(_COMPUTE))
    graphics = bool(used.intersection(_GRAPHICS))
    if compute and graphics:
        return "both"
    return "compute" if compute else "graphics" if graphics else None


def _highest(engines: dict[str, float], names: Sequence[str]) -> float | None:
    return max((engines[name] for name in names if name in engines), default=None)
