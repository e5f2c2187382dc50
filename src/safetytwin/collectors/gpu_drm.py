"""AMD and Intel GPUs, from sysfs and from what DRM drivers say of their clients. See docs/gpus.md."""

from collections.abc import Callable
from typing import Any

from safetytwin.collectors import drm_amd, drm_cards, drm_intel, drm_kfd
from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.drm_cards import Card, Hwmon
from safetytwin.collectors.drm_clients import Clients, DrmClients
from safetytwin.collectors.drm_users import processes_of, total_engines
from safetytwin.collectors.gpu_pids import pids_are_the_hosts, start_ticks
from safetytwin.models.hardware import Gpu, GpuProcess


class _Awake:
    """What does not change of a GPU and may be read only while it is awake."""

    def __init__(self, card: Card, static: Callable[[Card], dict[str, Any]]) -> None:
        self.static = static(card)
        self.hwmon = Hwmon(card)
        self.energy: tuple[float, float] | None = None


class _DrmCollector:
    """What AMD's and Intel's GPUs have in common."""

    _vendor: str
    _pci_vendor: str

    def __init__(self) -> None:
        self._identities: dict[Card, dict[str, Any]] = {}
        self._awake: dict[Card, _Awake] = {}
        self._clients = DrmClients()

    def collect(self, look: Look) -> list[Gpu]:
        """Return the GPUs, in the kernel's order; raises AbsentError where there is none of this vendor."""
        cards = drm_cards.cards(look.root, self._pci_vendor)
        for card in [card for card in self._identities if card not in cards]:
            del self._identities[card]
            self._awake.pop(card, None)
        if not cards:
            raise AbsentError(f"no {self._vendor} GPU")
        clients = self._clients.read(look, cards)
        return [self._gpu(look, card, clients) for card in cards]

    def close(self) -> None:
        """Forget what was known."""
        self._identities, self._awake, self._clients = {}, {}, DrmClients()

    def _gpu(self, look: Look, card: Card, all_clients: Clients) -> Gpu:
        if card not in self._identities:
            self._identities[card] = self._identity(look, card)
        identity = self._identities[card]
        uses = [use for use in all_clients.uses if use.client.pdev == card.address]
        awake = self._awake.get(card)
        if drm_cards.sleeps(card):
            look.notes.append(f"GPU {card.address} is powered down; reading it would wake it")
            return Gpu(**identity, **(awake.static if awake else {}), status="ok", processes=processes_of(uses, []))
        if drm_cards.fell_off_the_bus(card):
            error = "it no longer answers on the PCI bus; see the kernel's log"
            return Gpu(**identity, status="lost", error=error)
        if awake is None:
            awake = self._awake[card] = _Awake(card, self._static)
        values = self._values(look, card, awake, Clients(uses, all_clients.complete))
        engines = total_engines(uses) or None
        return Gpu(**identity, **awake.static, **values, engines_percent=engines, status="ok")

    def _identity(self, look: Look, card: Card) -> dict[str, Any]:
        raise NotImplementedError

    def _static(self, card: Card) -> dict[str, Any]:
        raise NotImplementedError

    def _values(self, look: Look, card: Card, awake: _Awake, clients: Clients) -> dict[str, Any]:
        raise NotImplementedError


class AmdCollector(_DrmCollector):
    """AMD GPUs that amdgpu runs."""

    _vendor, _pci_vendor = "AMD", "1002"

    def _identity(self, look: Look, card: Card) -> dict[str, Any]:
        return drm_amd.identity(look, card)

    def _static(self, card: Card) -> dict[str, Any]:
        return drm_amd.static(card)

    def _values(self, look: Look, card: Card, awake: _Awake, clients: Clients) -> dict[str, Any]:
        values = drm_amd.gauges(card, awake.hwmon, awake.static["memory_total"])
        return {**values, "processes": processes_of(clients.uses, _rocm_processes(look, card))}


class IntelCollector(_DrmCollector):
    """Intel GPUs that i915 or xe runs."""

    _vendor, _pci_vendor = "Intel", "8086"

    def _identity(self, look: Look, card: Card) -> dict[str, Any]:
        return drm_intel.identity(look, card)

    def _static(self, card: Card) -> dict[str, Any]:
        return drm_intel.static(card)

    def _values(self, look: Look, card: Card, awake: _Awake, clients: Clients) -> dict[str, Any]:
        values = drm_intel.gauges(card, awake.hwmon)
        joules = values["energy_joules"]
        if joules is not None:
            if values["power_watts"] is None:
                values["power_watts"] = drm_intel.power_between(awake.energy, (look.monotonic, joules))
            awake.energy = (look.monotonic, joules)
        if clients.complete and all(use.engines_percent is not None for use in clients.uses):
            # The driver keeps no total that sysfs shows: what all clients use of the busiest engine is it.
            values["utilization_percent"] = max(total_engines(clients.uses).values(), default=0.0)
        return {**values, "processes": processes_of(clients.uses, [])}


def _rocm_processes(look: Look, card: Card) -> list[GpuProcess]:
    """Return the processes that ROCm serves; their pids are the host's."""
    users = drm_kfd.memory_by_process(look.root, card.address)
    if users and not pids_are_the_hosts(look.root):
        look.notes.append(f"ROCm processes of another PID namespace than the agent's: {len(users)}")
        look.hint = "run the agent in the host's PID namespace (docker run --pid=host)"
        return []
    return [
        GpuProcess(pid=pid, start_ticks=start_ticks(look.root, pid), kind="compute", memory=memory)
        for pid, memory in users.items()
    ]
