"""The driver that runs nothing: it remembers what a twin would be, and what was asked for it."""

import time
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree.ElementTree import Element, fromstring, tostring

from safetytwin.vm.domain import METADATA, Accelerator
from safetytwin.vm.driver import DriverError, Snapshot

_TWIN = f"{{{METADATA}}}twin"


class Recorder:
    """Domains in memory, changed as libvirt would change them; calls are what was asked, in order."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any] | None = None) -> None:
        """Answer guest agent commands with answer, or refuse them where there is none."""
        self.calls: list[tuple[Any, ...]] = []
        self.networks: set[str] = set()
        self._answer = answer
        self._defined: dict[str, str] = {}
        self._live: dict[str, str] = {}
        self._snapshots: dict[str, list[tuple[Snapshot, str | None, str]]] = {}

    def accelerator(self) -> tuple[Accelerator, str]:
        """Return kvm: nothing is too slow for a recorder."""
        return "kvm", "nothing runs"

    def ensure_network(self, name: str) -> None:
        """Remember a network."""
        self.networks.add(name)

    def current_xml(self, name: str) -> str | None:
        """Return what runs, else what is defined."""
        return self._live.get(name, self._defined.get(name))

    def defined_xml(self, name: str) -> str | None:
        """Return what is defined."""
        return self._defined.get(name)

    def running(self, name: str) -> bool:
        """Say whether it was started."""
        return name in self._live

    def define(self, xml: str) -> None:
        """Remember a domain."""
        name = fromstring(xml).findtext("name") or ""  # noqa: S314 - made by this package
        self.calls.append(("define", name))
        self._defined[name] = xml

    def start(self, name: str) -> None:
        """Remember that it runs."""
        self.calls.append(("start", name))
        self._live.setdefault(name, self._needed(name))

    def stop(self, name: str, *, force: bool) -> None:
        """Remember that it does not."""
        self.calls.append(("stop", name, force))
        self._live.pop(name, None)

    def undefine(self, name: str) -> None:
        """Forget it."""
        self.calls.append(("undefine", name))
        for kept in (self._defined, self._live, self._snapshots):
            kept.pop(name, None)

    def set_vcpus(self, name: str, count: int) -> None:
        """Change the vCPUs."""
        self._changed("set_vcpus", name, count, lambda domain: _needed(domain, "vcpu").set("current", str(count)))

    def set_memory(self, name: str, size: int) -> None:
        """Change the memory."""

        def change(domain: Element) -> None:
            current = _needed(domain, "currentMemory")
            current.text = str(size // 1024)
            current.set("unit", "KiB")

        self._changed("set_memory", name, size, change)

    def attach(self, name: str, device_xml: str) -> None:
        """Add a device."""
        device = fromstring(device_xml)  # noqa: S314 - made by this package
        self._changed("attach", name, device_xml, lambda domain: _needed(domain, "devices").append(device))

    def detach(self, name: str, device_xml: str) -> None:
        """Remove a device, found as libvirt finds it: a disk by its target, an interface by its address."""
        device = fromstring(device_xml)  # noqa: S314 - made by this package

        def change(domain: Element) -> None:
            devices = _needed(domain, "devices")
            for there in devices.findall(device.tag):
                if _key(there) == _key(device):
                    devices.remove(there)
                    return
            raise DriverError("there is no such device")

        self._changed("detach", name, device_xml, change)

    def resize_disk(self, name: str, target: str, size: int) -> None:
        """Remember that a disk grew."""
        self._changed("resize_disk", name, (target, size), lambda _: None)

    def note(self, name: str, metadata_xml: str) -> None:
        """Change what is noted."""

        def change(domain: Element) -> None:
            noted = _needed(domain, "metadata")
            for twin in noted.findall(_TWIN):
                noted.remove(twin)
            noted.append(fromstring(metadata_xml))  # noqa: S314 - made by this package

        self._changed("note", name, None, change)

    def snapshots(self, name: str) -> Sequence[Snapshot]:
        """Return the snapshots."""
        return [snapshot for snapshot, _, _ in self._snapshots.get(name, [])]

    def snapshot(self, name: str, snapshot: str, description: str) -> None:
        """Remember the domain as it is."""
        self.calls.append(("snapshot", name, snapshot))
        kept = self._snapshots.setdefault(name, [])
        if any(one.name == snapshot for one, _, _ in kept):
            raise DriverError(f"there is a snapshot {snapshot} already")
        kept.append((Snapshot(snapshot, time.time(), description), self._live.get(name), self._needed(name)))

    def revert(self, name: str, snapshot: str) -> None:
        """Bring a domain back."""
        self.calls.append(("revert", name, snapshot))
        for one, live, defined in self._snapshots.get(name, []):
            if one.name == snapshot:
                self._defined[name] = defined
                self._live.pop(name, None)
                if live is not None:
                    self._live[name] = live
                return
        raise DriverError(f"there is no snapshot {snapshot}")

    def drop_snapshot(self, name: str, snapshot: str) -> None:
        """Forget a snapshot."""
        self.calls.append(("drop_snapshot", name, snapshot))
        kept = self._snapshots.get(name, [])
        self._snapshots[name] = [one for one in kept if one[0].name != snapshot]

    def ask_guest(self, name: str, command: dict[str, Any], timeout: int) -> Any:  # noqa: ARG002 - as the driver's
        """Answer as was said when it was made."""
        self.calls.append(("ask_guest", name, command))
        if self._answer is None or name not in self._live:
            raise DriverError("the guest agent is not connected")
        return self._answer(command)

    def _needed(self, name: str) -> str:
        if name not in self._defined:
            raise DriverError(f"there is no domain {name}")
        return self._defined[name]

    def _changed(self, call: str, name: str, detail: Any, change: Callable[[Element], Any]) -> None:
        self.calls.append((call, name, detail))
        if name not in self._live:
            raise DriverError("the domain is not running")
        domain = fromstring(self._live[name])  # noqa: S314 - made by this package
        change(domain)
        self._live[name] = tostring(domain, encoding="unicode")


def _needed(domain: Element, path: str) -> Element:
    element = domain.find(path)
    if element is None:
        raise DriverError(f"the domain has no {path}")
    return element


def _key(device: Element) -> tuple[str | None, str | None]:
    target, mac = device.find("target"), device.find("mac")
    is_disk = device.tag == "disk" and target is not None
    return (target.get("dev") if target is not None and is_disk else None, None if mac is None else mac.get("address"))
