"""One NVIDIA GPU as NVML tells of it: what stays, what changes seldom, what moves with every look.

Each question to NVML is a trip into the driver, some of them slow, so the three are asked apart. NVML's units are
milliwatts, millijoules, MHz and KiB/s.
"""

import os
from typing import Any

from safetytwin.collectors import nvml_values as values
from safetytwin.collectors.base import Look
from safetytwin.collectors.host_root import read_int
from safetytwin.collectors.nvml import Nvml, NvmlDevice
from safetytwin.collectors.nvml_processes import NvmlProcesses
from safetytwin.models.fields import count
from safetytwin.models.hardware import Gpu, GpuLink, MigDevice

SELDOM = 6
"""Looks between two readings of what changes seldom."""

_MAX_LINKS = 36
_GRAPHICS, _SM, _MEMORY, _VIDEO = range(4)
"""nvmlClockType_t."""
_TX, _RX = range(2)
"""nvmlPcieUtilCounter_t."""

# Field values (NVML_FI_DEV_...), asked for together.
_ECC_CORRECTED, _ECC_UNCORRECTED, _RETIRED_SBE, _RETIRED_DBE = 3, 4, 29, 30
_REMAPPED = {"correctable": 142, "uncorrectable": 143, "pending": 144, "failure": 145}
_MEMORY_TEMPERATURE, _ENERGY, _PCIE_TX, _PCIE_RX = 82, 83, 197, 198
_FIELDS_EACH_LOOK = (_MEMORY_TEMPERATURE, _ENERGY, _PCIE_TX, _PCIE_RX)
_FIELDS_SELDOM = (_ECC_CORRECTED, _ECC_UNCORRECTED, _RETIRED_SBE, _RETIRED_DBE, *_REMAPPED.values())


class NvmlGpu:
    """Reads one GPU again and again; every method but lost raises DeviceError, DriverGoneError."""

    def __init__(self, nvml: Nvml, index: int, look: Look, system: dict[str, Any]) -> None:
        self._nvml = nvml
        self._device = NvmlDevice(nvml, nvml.handle(index))
        self._identity = self._read_identity(index, look, system)
        self._static = self._read_static()
        self._seldom: dict[str, Any] = {}
        self._looks = 0
        self._slices: list[tuple[NvmlDevice, MigDevice]] = []
        self._links: dict[int, GpuLink] = {}
        self._processes = NvmlProcesses()
        self._pcie: tuple[float, int, int] | None = None

    @property
    def uuid(self) -> str:
        """The driver's UUID."""
        return str(self._identity["uuid"])

    @property
    def index(self) -> int:
        """The index that the driver gave it when it was opened."""
        return int(self._identity["index"])

    @property
    def pci_bus_id(self) -> str | None:
        """The PCI address."""
        address: str | None = self._identity["pci_bus_id"]
        return address

    @property
    def denied(self) -> frozenset[str]:
        """The functions of NVML that this user may not call."""
        return self._device.denied

    def without_values(self, status: str, error: str) -> Gpu:
        """Return the device as it is known by name, for one that answers no more: never an old value."""
        return Gpu(**self._identity, status=status, error=error)

    def read(self, look: Look) -> Gpu:
        """Return the GPU as it is now."""
        if self._looks % SELDOM == 0:
            self._seldom = self._read_seldom()
        self._looks += 1
        return Gpu(
            **self._identity,
            **self._static,
            **self._seldom,
            **self._read_gauges(look),
            mig_devices=self._read_slices(),
            processes=self._processes.read(self._device, self._slices, look),
            status="ok",
        )

    def _read_identity(self, index: int, look: Look, system: dict[str, Any]) -> dict[str, Any]:
        ask = self._device.ask
        pci = ask("nvmlDeviceGetPciInfo")
        address = values.pci_address(pci.busId) if pci is not None else None
        uuid = values.text(ask("nvmlDeviceGetUUID"))
        node = read_int(os.path.join(look.root.sys, "bus/pci/devices", address, "numa_node")) if address else None
        return {
            "uuid": uuid or (f"pci:{address}" if address else f"index:{index}"),
            "vendor": "nvidia",
            "index": index,
            "name": values.text(ask("nvmlDeviceGetName")),
            "pci_bus_id": address,
            "pci_id": values.pci_id(pci.pciDeviceId) if pci is not None else None,
            "serial": values.text(ask("nvmlDeviceGetSerial")),
            "numa_node": count(node),
            **system,
        }

    def _read_static(self) -> dict[str, Any]:
        ask = self._device.ask
        return {
            "vbios_version": values.text(ask("nvmlDeviceGetVbiosVersion")),
            "clock_graphics_max_mhz": values.within(ask("nvmlDeviceGetMaxClockInfo", _GRAPHICS), 0, 100_000),
            "clock_memory_max_mhz": values.within(ask("nvmlDeviceGetMaxClockInfo", _MEMORY), 0, 100_000),
            "pcie_generation_max": values.size(ask("nvmlDeviceGetMaxPcieLinkGeneration")),
            "pcie_width_max": values.size(ask("nvmlDeviceGetMaxPcieLinkWidth")),
        }

    def _read_seldom(self) -> dict[str, Any]:
        ask = self._device.ask
        mig = ask("nvmlDeviceGetMigMode")
        mig_mode = values.flag(mig[0]) if mig is not None else None
        if mig_mode != self._seldom.get("mig_mode"):
            self._device.forget()
        self._slices = self._find_slices() if mig_mode else []
        ecc = ask("nvmlDeviceGetEccMode")
        fields = self._device.fields(_FIELDS_SELDOM)
        retired = [fields[number] for number in (_RETIRED_SBE, _RETIRED_DBE) if number in fields]
        remapped = {name: fields[number] for name, number in _REMAPPED.items() if number in fields}
        for name in ("pending", "failure"):
            if name in remapped:
                remapped[name] = bool(remapped[name])
        return {
            "mig_mode": mig_mode,
            "compute_mode": values.compute_mode(ask("nvmlDeviceGetComputeMode")),
            "persistence_mode": values.flag(ask("nvmlDeviceGetPersistenceMode")),
            "power_limit_watts": values.within(ask("nvmlDeviceGetEnforcedPowerLimit"), 0, 1e7, 0.001),
            "ecc_mode": values.flag(ecc[0]) if ecc is not None else None,
            "ecc_corrected": values.size(fields.get(_ECC_CORRECTED)),
            "ecc_uncorrected": values.size(fields.get(_ECC_UNCORRECTED)),
            "retired_pages": values.size(sum(retired)) if retired else None,
            "remapped_rows": remapped or None,
            "links": self._read_links(),
        }

    def _read_gauges(self, look: Look) -> dict[str, Any]:
        ask = self._device.ask
        use = ask("nvmlDeviceGetUtilizationRates")
        encoder, decoder = ask("nvmlDeviceGetEncoderUtilization"), ask("nvmlDeviceGetDecoderUtilization")
        fields = self._device.fields(_FIELDS_EACH_LOOK)
        received, sent = self._pcie_rates(fields, look)
        energy = values.size(fields.get(_ENERGY))
        return {
            "utilization_percent": values.percent(use.gpu) if use is not None else None,
            "memory_utilization_percent": values.percent(use.memory) if use is not None else None,
            "encoder_percent": values.percent(encoder[0]) if encoder is not None else None,
            "decoder_percent": values.percent(decoder[0]) if decoder is not None else None,
            **_memory(self._device, self._nvml),
            "temperature_celsius": values.within(ask("nvmlDeviceGetTemperature", 0), -100, 300),
            "memory_temperature_celsius": values.within(fields.get(_MEMORY_TEMPERATURE), -100, 300),
            "power_watts": values.within(ask("nvmlDeviceGetPowerUsage"), 0, 1e7, 0.001),
            "energy_joules": None if energy is None else energy / 1000,
            "fan_percent": values.within(ask("nvmlDeviceGetFanSpeed"), 0, 250),
            "clock_graphics_mhz": values.within(ask("nvmlDeviceGetClockInfo", _GRAPHICS), 0, 100_000),
            "clock_sm_mhz": values.within(ask("nvmlDeviceGetClockInfo", _SM), 0, 100_000),
            "clock_memory_mhz": values.within(ask("nvmlDeviceGetClockInfo", _MEMORY), 0, 100_000),
            "clock_video_mhz": values.within(ask("nvmlDeviceGetClockInfo", _VIDEO), 0, 100_000),
            "performance_state": values.performance_state(ask("nvmlDeviceGetPerformanceState")),
            "throttle_reasons": values.throttle_reasons(self._throttle_bits()),
            "pcie_generation": values.size(ask("nvmlDeviceGetCurrPcieLinkGeneration")),
            "pcie_width": values.size(ask("nvmlDeviceGetCurrPcieLinkWidth")),
            "pcie_rx_bytes_per_second": received,
            "pcie_tx_bytes_per_second": sent,
        }

    def _throttle_bits(self) -> Any:
        bits = self._device.ask("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None and not self._device.answers("nvmlDeviceGetCurrentClocksEventReasons"):
            return self._device.ask("nvmlDeviceGetCurrentClocksThrottleReasons")  # its name before driver 535
        return bits

    def _pcie_rates(self, fields: dict[int, int | float], look: Look) -> tuple[float | None, float | None]:
        """Return bytes received and sent a second: from counters; where there are none, as the driver measures it."""
        before, received, sent = self._pcie, fields.get(_PCIE_RX), fields.get(_PCIE_TX)
        if received is None or sent is None:
            rates = [self._device.ask("nvmlDeviceGetPcieThroughput", counter) for counter in (_RX, _TX)]
            return values.within(rates[0], 0, 1e9, 1024), values.within(rates[1], 0, 1e9, 1024)
        self._pcie = (look.monotonic, int(received), int(sent))
        if before is None or look.monotonic <= before[0]:
            return None, None
        elapsed = look.monotonic - before[0]
        return (
            values.within((received - before[1]) / elapsed, 0, 1e13),
            values.within((sent - before[2]) / elapsed, 0, 1e13),
        )

    def _find_slices(self) -> list[tuple[NvmlDevice, MigDevice]]:
        found = []
        for position in range(values.size(self._device.ask("nvmlDeviceGetMaxMigDeviceCount")) or 0):
            handle = self._device.ask("nvmlDeviceGetMigDeviceHandleByIndex", varying=(position,))
            if handle is None:
                continue
            part = NvmlDevice(self._nvml, handle)
            uuid = values.text(part.ask("nvmlDeviceGetUUID"))
            if uuid is None:
                continue
            static = MigDevice(
                uuid=uuid,
                name=values.text(part.ask("nvmlDeviceGetName")),
                gpu_instance_id=values.size(part.ask("nvmlDeviceGetGpuInstanceId")),
                compute_instance_id=values.size(part.ask("nvmlDeviceGetComputeInstanceId")),
            )
            found.append((part, static))
        return found

    def _read_slices(self) -> list[MigDevice] | None:
        """Return the MIG slices; None where MIG is off or unknown to the device."""
        if not self._seldom["mig_mode"]:
            return None
        slices = []
        for part, static in self._slices:
            memory = _memory(part, self._nvml)
            slices.append(
                MigDevice(
                    uuid=static.uuid,
                    name=static.name,
                    gpu_instance_id=static.gpu_instance_id,
                    compute_instance_id=static.compute_instance_id,
                    memory_total=memory.get("memory_total"),
                    memory_used=memory.get("memory_used"),
                )
            )
        return slices

    def _read_links(self) -> list[GpuLink] | None:
        """Return the NVLinks; the other end of a link and its version are asked for once while it is up."""
        links = []
        for number in range(_MAX_LINKS):
            state = self._device.ask("nvmlDeviceGetNvLinkState", number)
            if state is None and not self._device.answers("nvmlDeviceGetNvLinkState", number):
                break
            active = values.flag(state)
            known = self._links.get(number)
            if known is None or known.active != active:
                remote = self._device.ask("nvmlDeviceGetNvLinkRemotePciInfo", varying=(number,)) if active else None
                known = GpuLink(
                    index=number,
                    active=active,
                    version=values.size(self._device.ask("nvmlDeviceGetNvLinkVersion", varying=(number,))),
                    remote_pci_bus_id=values.pci_address(remote.busId) if remote is not None else None,
                )
                self._links[number] = known
            links.append(known)
        return links or None


def _memory(device: NvmlDevice, nvml: Nvml) -> dict[str, int | None]:
    """Return a device's memory; nothing of it for boards whose memory is the machine's own."""
    memory = device.ask("nvmlDeviceGetMemoryInfo", nvml.api.nvmlMemory_v2)
    reserved = None
    if memory is not None:
        reserved = values.size(memory.reserved)
    else:
        memory = device.ask("nvmlDeviceGetMemoryInfo")
    if memory is None or not memory.total or memory.used > memory.total:
        return {}
    return {
        "memory_total": count(memory.total),
        "memory_used": count(memory.used),
        "memory_free": count(memory.free),
        "memory_reserved": reserved,
    }
