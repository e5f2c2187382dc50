"""The GPUs that NVIDIA's driver runs, through NVML.

A GPU that falls off the bus is reported as lost, the others as before; it is looked for again with every look, and NVML
initialised anew every few looks, for only that finds a GPU that came back. See docs/gpus.md.
"""

import os
from typing import Any

from safetytwin.collectors import nvml_values as values
from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.host_root import list_dir, read_line
from safetytwin.collectors.nvml import DeviceError, DriverGoneError, Nvml, library_is_there
from safetytwin.collectors.nvml_gpu import SELDOM, NvmlGpu
from safetytwin.models.hardware import Gpu


class NvidiaCollector:
    """NVIDIA GPUs; absent where there is no NVML, denied where its devices may not be opened."""

    def __init__(self) -> None:
        self._nvml: Nvml | None = None
        self._gpus: dict[int, NvmlGpu] = {}
        self._known: dict[str, NvmlGpu] = {}
        self._count: int | None = None
        self._incomplete_looks = 0
        self._refused: Exception | None = None
        self._refused_at = 0

    def collect(self, look: Look) -> list[Gpu]:
        """Return the GPUs, in the driver's order."""
        if self._nvml is None or self._incomplete_looks >= SELDOM:
            self._start(look)
        try:
            return self._look(look)
        except DriverGoneError:
            self.close()
            self._start(look)
        try:
            return self._look(look)
        except DriverGoneError as error:
            self.close()
            raise RuntimeError(f"the NVIDIA driver does not answer: {error}") from error

    def close(self) -> None:
        """Shut NVML down: it holds the driver's devices open."""
        nvml, self._nvml = self._nvml, None
        self._gpus = {}
        self._count = None
        self._incomplete_looks = 0
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
            self._gpus, self._count = {}, number
        failed = self._find(nvml, number, look)
        found: dict[int, Gpu] = {}
        for index, gpu in list(self._gpus.items()):
            try:
                found[index] = gpu.read(look)
            except DeviceError as error:
                found[index] = gpu.without_values(error.status, str(error))
                del self._gpus[index]
        denied = {function for gpu in self._gpus.values() for function in gpu.denied}
        if denied:
            look.notes.append(f"the NVIDIA driver keeps from this user: {', '.join(sorted(denied))}")
            look.hint = "run as root"
        gone = self._gone(found, failed, look)
        complete = len(self._gpus) == number and not gone
        self._incomplete_looks = 0 if complete else self._incomplete_looks + 1
        return [gpu for _, gpu in sorted(found.items())] + gone

    def _find(self, nvml: Nvml, number: int, look: Look) -> dict[int, DeviceError]:
        """Open the GPUs that are not open yet; return why that fails, by index."""
        failed: dict[int, DeviceError] = {}
        system: dict[str, Any] = {}
        for index in range(number):
            if index in self._gpus:
                continue
            if not system:
                system = {
                    "driver": "nvidia",
                    "driver_version": values.text(nvml.system("nvmlSystemGetDriverVersion")),
                    "cuda_version": values.cuda_version(nvml.system("nvmlSystemGetCudaDriverVersion")),
                }
            try:
                gpu = NvmlGpu(nvml, index, look, system)
            except DeviceError as error:
                failed[index] = error
                continue
            self._gpus[index] = gpu
            self._known[gpu.uuid] = gpu
        return failed

    def _gone(self, found: dict[int, Gpu], failed: dict[int, DeviceError], look: Look) -> list[Gpu]:
        """Return the GPUs that do not answer: those known from before by their names, others by their PCI address."""
        here = {gpu.uuid for gpu in found.values()}
        missing = {uuid: gpu for uuid, gpu in self._known.items() if uuid not in here}
        gone: list[Gpu] = []
        addresses = _unnamed_addresses(look, [*self._known.values()]) if len(failed) > len(missing) else []
        for index, error in sorted(failed.items()):
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


def _unnamed_addresses(look: Look, known: list[NvmlGpu]) -> list[str]:
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
