"""The GPUs that NVIDIA's driver runs, through NVML.

A GPU that falls off the bus is reported as lost, the others as before. Only NVML initialised anew finds one that came
back. As to open a broken GPU can take the driver seconds, that is tried less and less often. See docs/gpus.md.
"""

import os
from collections.abc import Iterable

from safetytwin.collectors import nvml_values as values
from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.host_root import list_dir, read_line
from safetytwin.collectors.nvml import DeviceError, DriverGoneError, Nvml, library_is_there
from safetytwin.collectors.nvml_gpu import SELDOM, NvmlGpu
from safetytwin.models.hardware import Gpu

_RARELY = 60
"""Looks between two attempts to find a GPU again that stays away."""


class NvidiaCollector:
    """NVIDIA GPUs; absent where there is no NVML, denied where its devices may not be opened."""

    def __init__(self) -> None:
        self._nvml: Nvml | None = None
        self._count: int | None = None
        self._gpus: dict[int, NvmlGpu] = {}
        self._failed: dict[int, DeviceError] = {}
        self._known: dict[str, NvmlGpu] = {}
        self._restart_at: int | None = None
        self._pause = 1
        self._refused: Exception | None = None
        self._refused_at = 0

    def collect(self, look: Look) -> list[Gpu]:
        """Return the GPUs, in the driver's order."""
        if self._nvml is None or (self._restart_at is not None and look.number >= self._restart_at):
            self._start(look)
        try:
            return self._look(look)
        except DriverGoneError:
            self._start(look)
        try:
            return self._look(look)
        except DriverGoneError as error:
            self.close()
            raise RuntimeError(f"the NVIDIA driver does not answer: {error}") from error

    def close(self) -> None:
        """Shut NVML down: it holds the driver's devices open."""
        nvml, self._nvml = self._nvml, None
        self._count, self._gpus, self._failed, self._restart_at = None, {}, {}, None
        if nvml is not None:
            nvml.close()

    def _start(self, look: Look) -> None:
        """Initialise NVML; what was refused is not tried with every look, for it may load kernel modules."""
        self.close()
        if not library_is_there(look.root):
            self._refused = None
            raise AbsentError("no NVIDIA driver: libnvidia-ml.so.1 is not installed")
        if self._refused is not None and look.number - self._refused_at < SELDOM:
            raise self._refused.with_traceback(None)  # or it would grow with every look
        try:
            self._nvml = Nvml()
        except Exception as error:
            self._refused, self._refused_at = error, look.number
            raise
        self._refused = None

    def _look(self, look: Look) -> list[Gpu]:
        nvml = self._nvml
        assert nvml is not None  # noqa: S101 - _start() set it or raised; this tells the type checker
        number = nvml.system("nvmlDeviceGetCount") or 0
        if number != self._count:
            self._open_all(nvml, number, look)
        found = []
        for index, gpu in sorted(self._gpus.items()):
            try:
                found.append(gpu.read(look))
            except DeviceError as error:
                self._failed[index] = error
                del self._gpus[index]
        denied = {function for gpu in self._gpus.values() for function in gpu.denied}
        if denied:
            look.notes.append(f"the NVIDIA driver keeps from this user: {', '.join(sorted(denied))}")
            look.hint = "run as root"
        gone = self._gone({gpu.uuid for gpu in found}, look)
        if not gone:
            self._restart_at, self._pause = None, 1
        elif self._restart_at is None:
            self._restart_at = look.number + self._pause
            self._pause = min(2 * self._pause, _RARELY)
        return found + gone

    def _open_all(self, nvml: Nvml, number: int, look: Look) -> None:
        self._gpus, self._failed = {}, {}
        system = {
            "driver": "nvidia",
            "driver_version": values.text(nvml.system("nvmlSystemGetDriverVersion")),
            "cuda_version": values.cuda_version(nvml.system("nvmlSystemGetCudaDriverVersion")),
        }
        for index in range(number):
            try:
                gpu = NvmlGpu(nvml, index, look, system)
            except DeviceError as error:
                self._failed[index] = error
                continue
            self._gpus[index] = gpu
        for gpu in self._gpus.values():
            # Whatever was at its address before is not lost: it was replaced, or did not tell its UUID.
            address = gpu.pci_bus_id
            self._known = {uuid: old for uuid, old in self._known.items() if not address or old.pci_bus_id != address}
            self._known[gpu.uuid] = gpu
        self._count = number

    def _gone(self, here: set[str], look: Look) -> list[Gpu]:
        """Return the GPUs that do not answer: those known from before by their names, others by their PCI address."""
        missing = {uuid: gpu for uuid, gpu in self._known.items() if uuid not in here}
        gone: list[Gpu] = []
        addresses = _unnamed_addresses(look, self._known.values()) if len(self._failed) > len(missing) else []
        for index, error in sorted(self._failed.items()):
            if missing:
                uuid = next((uuid for uuid, gpu in missing.items() if gpu.index == index), next(iter(missing)))
                gone.append(missing.pop(uuid).without_values(error.status, str(error)))
                continue
            address = addresses.pop(0) if addresses else None
            gone.append(
                Gpu(
                    uuid=f"pci:{address}" if address else f"index:{index}",
                    vendor="nvidia",
                    index=index,
                    driver="nvidia",
                    name=_model(look, address) if address else None,
                    pci_bus_id=address,
                    status=error.status,
                    error=str(error),
                )
            )
        gone += [gpu.without_values("lost", "the driver no longer lists it") for gpu in missing.values()]
        return gone


def _unnamed_addresses(look: Look, known: Iterable[NvmlGpu]) -> list[str]:
    """Return the PCI addresses of the GPUs that the kernel module drives and that are not among the known ones."""
    addresses = {gpu.pci_bus_id for gpu in known}
    return [a for a in list_dir(os.path.join(look.root.proc, "driver/nvidia/gpus")) if a not in addresses]


def _model(look: Look, address: str) -> str | None:
    """Return the name of a GPU as the kernel module tells it in /proc/driver/nvidia/gpus/ADDRESS/information."""
    information = read_line(os.path.join(look.root.proc, "driver/nvidia/gpus", address, "information"))
    for line in (information or "").splitlines():
        label, _, value = line.partition(":")
        if label.strip() == "Model":
            return value.strip() or None
    return None
