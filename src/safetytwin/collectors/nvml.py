"""The NVIDIA Management Library behind one guarded call site: what is not answered is None, what is gone says so.

Source: NVIDIA, NVML API Reference Guide. The binding is NVIDIA's own (nvidia-ml-py); it is imported only where the
library is there, for it costs more memory than all of a small agent's look.
"""

import os
from collections.abc import Sequence
from typing import Any

from safetytwin.collectors.base import AbsentError, DeniedError
from safetytwin.collectors.host_root import HostRoot, read_bytes

_LIBRARY = "libnvidia-ml.so.1"
_LIBRARY_FOLDERS = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/lib/wsl/lib")

# NVML return codes (nvmlReturn_t).
_SUCCESS, _UNINITIALIZED, _INVALID_ARGUMENT, _NOT_SUPPORTED, _NO_PERMISSION, _NOT_FOUND = 0, 1, 2, 3, 4, 6
_DRIVER_NOT_LOADED, _LIBRARY_NOT_FOUND, _FUNCTION_NOT_FOUND, _GPU_IS_LOST = 9, 12, 13, 15
_RESET_REQUIRED, _VERSION_MISMATCH, _ARGUMENT_VERSION_MISMATCH, _DEPRECATED, _GPU_NOT_FOUND = 16, 18, 25, 26, 28

_NEVER = frozenset({_INVALID_ARGUMENT, _NOT_SUPPORTED, _FUNCTION_NOT_FOUND, _ARGUMENT_VERSION_MISMATCH, _DEPRECATED})
"""Answers that stay the same for as long as the device and the driver do."""
_GONE = frozenset({_UNINITIALIZED, _DRIVER_NOT_LOADED, _VERSION_MISMATCH})

_VALUE_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""The member of nvmlValue_t for each nvmlValueType_t."""


class DriverGoneError(Exception):
    """The driver was unloaded, reloaded or replaced: NVML must be initialised again."""


class DeviceError(Exception):
    """The driver has lost a device or may not touch it; status is the word for it in a Gpu."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


def library_is_there(root: HostRoot) -> bool:
    """Say whether NVML's library can be loaded, without loading it: that would cost every machine without a GPU.

    Looks where ld.so(8) does: LD_LIBRARY_PATH, the cache of ldconfig, the default folders. NVML speaks of the machine
    that this process runs on, so a fixture tree has none.
    """
    if not root.live:
        return False
    if os.name == "nt":
        return os.path.exists(os.path.join(os.environ.get("WINDIR", "C:/Windows"), "System32/nvml.dll"))
    folders = os.environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":")
    if any(folder and os.path.exists(os.path.join(folder, _LIBRARY)) for folder in folders):
        return True
    try:
        if _LIBRARY.encode() in read_bytes("/etc/ld.so.cache"):
            return True
    except OSError:
        pass  # no ldconfig here (musl): the default folders remain
    return any(os.path.exists(os.path.join(folder, _LIBRARY)) for folder in _LIBRARY_FOLDERS)


class Nvml:
    """NVML, initialised; raises AbsentError, DeniedError or RuntimeError where it can't be."""

    def __init__(self) -> None:
        try:
            import pynvml  # noqa: PLC0415 - 6 MB that only a machine with the library pays
        except ImportError as error:
            raise RuntimeError(
                "NVIDIA's libnvidia-ml.so.1 is here, its Python binding is not: pip install nvidia-ml-py"
            ) from error
        self.api: Any = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise _why_not(error.value, str(error)) from error

    def close(self) -> None:
        """Shut NVML down; a driver that is gone already is no matter."""
        try:
            self.api.nvmlShutdown()
        except self.api.NVMLError:
            pass

    def system(self, function: str) -> Any:
        """Return what a function of the whole system answers, or None; raises DriverGoneError."""
        try:
            return getattr(self.api, function)()
        except self.api.NVMLError as error:
            if error.value in _GONE:
                raise DriverGoneError(str(error)) from error
            return None

    def handle(self, index: int) -> Any:
        """Return the handle of a GPU; raises DeviceError, DriverGoneError."""
        try:
            return self.api.nvmlDeviceGetHandleByIndex(index)
        except self.api.NVMLError as error:
            if error.value == _NO_PERMISSION:
                raise DeviceError("denied", f"{error}: open /dev/nvidia* to this user, or run as root") from error
            raise _fatal(error.value, str(error)) or DeviceError("failed", str(error)) from error


class NvmlDevice:
    """One GPU or MIG slice; remembers what it does not answer, so that it is not asked again."""

    def __init__(self, nvml: Nvml, handle: Any) -> None:
        self._api = nvml.api
        self._handle = handle
        self._unanswered: set[tuple[Any, ...]] = set()
        self._denied: set[str] = set()

    @property
    def denied(self) -> frozenset[str]:
        """The functions that this user may not call."""
        return frozenset(self._denied)

    def forget(self) -> None:
        """Ask everything again: what a device answers changes with its MIG mode."""
        self._unanswered.clear()
        self._denied.clear()

    def answers(self, function: str, *arguments: Any) -> bool:
        """Say whether the device has not yet declined to answer."""
        return (function, *arguments) not in self._unanswered

    def ask(self, function: str, *arguments: Any, varying: tuple[Any, ...] = ()) -> Any:
        """Return what the function answers for this device, or None where it does not.

        varying are further arguments, which have no bearing on whether it is answered. Raises DeviceError where the
        device is lost, DriverGoneError where the driver is.
        """
        question = (function, *arguments)
        if question in self._unanswered:
            return None
        try:
            return getattr(self._api, function)(self._handle, *arguments, *varying)
        except self._api.NVMLError as error:
            self._judge(error, question)
        except (AttributeError, UnicodeDecodeError):
            # An older binding lacks the function, or the driver's text is no text.
            self._unanswered.add(question)
        return None

    def utilization_since(self, microseconds: int) -> dict[int, tuple[int, int, int, int]] | None:
        """Return SM, memory, encoder and decoder percentages by pid since that time, or None where it can't be told.

        {} where nothing ran: NVML says "not found" then.
        """
        question = ("nvmlDeviceGetProcessUtilization",)
        if question in self._unanswered:
            return None
        try:
            samples = self._api.nvmlDeviceGetProcessUtilization(self._handle, microseconds)
        except self._api.NVMLError as error:
            if error.value in (_SUCCESS, _NOT_FOUND):
                return {}
            self._judge(error, question)
            return None
        latest = sorted(samples, key=lambda sample: int(sample.timeStamp))
        return {s.pid: (s.smUtil, s.memUtil, s.encUtil, s.decUtil) for s in latest}

    def fields(self, ids: Sequence[int]) -> dict[int, int | float]:
        """Return the field values (NVML_FI_...) that the device has, asked for in one call."""
        wanted = [number for number in ids if (number,) not in self._unanswered]
        values = self.ask("nvmlDeviceGetFieldValues", varying=(wanted,)) if wanted else None
        found: dict[int, int | float] = {}
        for number, value in zip(wanted, values or (), strict=False):
            if value.nvmlReturn == 0 and value.valueType < len(_VALUE_MEMBERS):
                found[number] = getattr(value.value, _VALUE_MEMBERS[value.valueType])
            elif value.nvmlReturn in _NEVER:
                self._unanswered.add((number,))
        return found

    def _judge(self, error: Any, question: tuple[Any, ...]) -> None:
        """Remember what won't be answered; raise where not the question is at fault but the device or the driver."""
        code = error.value
        if code == _NO_PERMISSION:
            self._unanswered.add(question)
            self._denied.add(question[0])
        elif code in _NEVER:
            self._unanswered.add(question)
        elif (fatal := _fatal(code, str(error))) is not None:
            raise fatal from error


def _fatal(code: int, text: str) -> "DriverGoneError | DeviceError | None":
    """Return what to raise for a return code, or None where it concerns the question alone."""
    if code in _GONE:
        return DriverGoneError(text)
    if code in (_GPU_IS_LOST, _GPU_NOT_FOUND):
        return DeviceError("lost", f"{text}: the GPU fell off the bus; see the kernel's log for NVRM Xid")
    if code == _RESET_REQUIRED:
        return DeviceError("failed", f"{text}: reset it with nvidia-smi --gpu-reset or reboot")
    return None


def _why_not(code: int, text: str) -> Exception:
    """Return what to raise where nvmlInit fails."""
    if code == _LIBRARY_NOT_FOUND:
        return AbsentError(f"no NVIDIA driver: {_LIBRARY} can't be loaded")
    if code == _DRIVER_NOT_LOADED:
        return AbsentError("the NVIDIA library is installed, but its kernel module is not loaded")
    if code == _NO_PERMISSION:
        return DeniedError(
            "the NVIDIA driver may not be asked", "open /dev/nvidiactl and /dev/nvidia* to this user, or run as root"
        )
    if code == _VERSION_MISMATCH:
        return RuntimeError(
            "the NVIDIA driver was updated, and its library no longer fits the kernel module that is loaded: "
            "reboot, or reload the module and restart the agent"
        )
    return RuntimeError(f"NVML can't be initialised: {text}")
