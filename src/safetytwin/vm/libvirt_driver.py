"""The driver that runs twins with libvirt and QEMU (https://libvirt.org/html/)."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from safetytwin.models.printable import printable
from safetytwin.vm.domain import METADATA, Accelerator
from safetytwin.vm.driver import DriverAwayError, DriverError, Snapshot
from safetytwin.vm.patience import HangsError, Patience

SYSTEM = "qemu:///system"
_QUICK = 30.0
"""Seconds that a call may take."""
_SLOW = 600.0
"""Seconds that what reads or writes a twin's whole memory may take."""

T = TypeVar("T")


class LibvirtDriver:
    """Domains of one libvirt; connects when first asked, and anew where libvirt has been restarted."""

    def __init__(self, uri: str = SYSTEM, *, patience: float = _QUICK) -> None:
        """Raise DriverAwayError where libvirt's bindings are not installed.

        patience is how many seconds a call may take that neither boots a twin nor reads or writes its whole memory.
        """
        try:
            import libvirt  # noqa: PLC0415 - an extra
            import libvirt_qemu  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise DriverAwayError(
                "twins need libvirt and its bindings: install libvirt-daemon-system, qemu-system-x86, qemu-utils and "
                "libvirt-dev, then pip install 'safetytwin[vm]'"
            ) from error
        # Without this the library prints every error on standard error by itself.
        libvirt.registerErrorHandler(lambda *_: None, None)
        self._api = libvirt
        self._qemu = libvirt_qemu
        self._uri = uri
        self._connection: Any = None
        self._accelerator: tuple[Accelerator, str] | None = None
        self._quick = patience
        self._patience = Patience()

    def accelerator(self) -> tuple[Accelerator, str]:
        """Return kvm where a domain starts with it, else qemu and what KVM said."""
        if self._accelerator is None:
            self._accelerator = self._ask(self._probed)
        return self._accelerator

    def ensure_network(self, name: str) -> None:
        """See that a network is active; makes an isolated one where there is none."""

        def ensure(connection: Any) -> None:
            network = self._found(connection.networkLookupByName, name, self._api.VIR_ERR_NO_NETWORK)
            if network is None:
                xml = Element("network")
                SubElement(xml, "name").text = name
                SubElement(xml, "bridge", {"stp": "on", "delay": "0"})
                network = connection.networkDefineXML(tostring(xml, encoding="unicode"))
                network.setAutostart(1)
            if not network.isActive():
                network.create()

        self._ask(ensure)

    def current_xml(self, name: str) -> str | None:
        """Return the XML of the domain as it is now."""
        return self._xml(name, 0)

    def defined_xml(self, name: str) -> str | None:
        """Return the XML that the next boot takes."""
        return self._xml(name, self._api.VIR_DOMAIN_XML_INACTIVE)

    def running(self, name: str) -> bool:
        """Say whether the domain runs."""

        def running(connection: Any) -> bool:
            domain = self._domain(connection, name)
            return domain is not None and bool(domain.isActive())

        return self._ask(running)

    def define(self, xml: str) -> None:
        """Make or change a domain."""
        self._ask(lambda connection: connection.defineXML(xml))

    def start(self, name: str) -> None:
        """Boot it."""
        self._with(name, lambda domain: domain.isActive() or domain.create(), _SLOW)

    def stop(self, name: str, *, force: bool) -> None:
        """Power it off."""

        def stop(domain: Any) -> None:
            if domain.isActive():
                if force:
                    domain.destroy()
                else:
                    domain.shutdown()

        self._with(name, stop)

    def undefine(self, name: str) -> None:
        """Forget the domain."""
        api = self._api
        flags = (
            api.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | api.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | api.VIR_DOMAIN_UNDEFINE_NVRAM
        )

        def undefine(connection: Any) -> None:
            domain = self._domain(connection, name)
            if domain is None:
                return
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(flags)

        self._ask(undefine)

    def set_vcpus(self, name: str, count: int) -> None:
        """Change the vCPUs."""
        self._with(name, lambda domain: domain.setVcpusFlags(count, self._api.VIR_DOMAIN_AFFECT_LIVE))

    def set_memory(self, name: str, size: int) -> None:
        """Change the memory by its balloon."""
        self._with(name, lambda domain: domain.setMemoryFlags(size // 1024, self._api.VIR_DOMAIN_AFFECT_LIVE))

    def attach(self, name: str, device_xml: str) -> None:
        """Plug a device in."""
        self._with(name, lambda domain: domain.attachDeviceFlags(device_xml, self._api.VIR_DOMAIN_AFFECT_LIVE))

    def detach(self, name: str, device_xml: str) -> None:
        """Unplug a device; the guest may take its time, so that it is gone a little later."""
        self._with(name, lambda domain: domain.detachDeviceFlags(device_xml, self._api.VIR_DOMAIN_AFFECT_LIVE))

    def resize_disk(self, name: str, target: str, size: int) -> None:
        """Let a disk grow."""
        flags = self._api.VIR_DOMAIN_BLOCK_RESIZE_BYTES
        self._with(name, lambda domain: domain.blockResize(target, size, flags))

    def note(self, name: str, metadata_xml: str) -> None:
        """Change what is noted."""
        twin = fromstring(metadata_xml)  # noqa: S314 - made by this package
        for element in twin.iter():
            element.tag = element.tag.rpartition("}")[2]  # libvirt puts the namespace in by itself
        text = tostring(twin, encoding="unicode")
        kind, flags = self._api.VIR_DOMAIN_METADATA_ELEMENT, self._api.VIR_DOMAIN_AFFECT_LIVE
        self._with(name, lambda domain: domain.setMetadata(kind, text, "st", METADATA, flags))

    def snapshots(self, name: str) -> Sequence[Snapshot]:
        """Return the snapshots, oldest first."""

        def snapshots(connection: Any) -> list[Snapshot]:
            domain = self._domain(connection, name)
            found = [] if domain is None else [_snapshot(one.getXMLDesc()) for one in domain.listAllSnapshots()]
            return sorted(found, key=lambda snapshot: (snapshot.taken_at, snapshot.name))

        return self._ask(snapshots)

    def snapshot(self, name: str, snapshot: str, description: str) -> None:
        """Take a snapshot within the disks' own files."""
        xml = Element("domainsnapshot")
        SubElement(xml, "name").text = snapshot
        SubElement(xml, "description").text = description
        text = tostring(xml, encoding="unicode")
        redefine = self._api.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | self._api.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT

        def take(domain: Any) -> None:
            taken = domain.snapshotCreateXML(text, 0).getXMLDesc(self._api.VIR_DOMAIN_SNAPSHOT_XML_SECURE)
            plugged = _with_vcpus_from_the_start(taken)
            if plugged is not None:
                domain.snapshotCreateXML(plugged, redefine)

        self._with(name, take, _SLOW)

    def revert(self, name: str, snapshot: str) -> None:
        """Go back to a snapshot, with a new QEMU where devices have come or gone since."""
        force = self._api.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE

        def revert(domain: Any) -> None:
            domain.revertToSnapshot(domain.snapshotLookupByName(snapshot), force)

        self._with(name, revert, _SLOW)

    def drop_snapshot(self, name: str, snapshot: str) -> None:
        """Delete a snapshot."""

        def drop(domain: Any) -> None:
            missing = self._api.VIR_ERR_NO_DOMAIN_SNAPSHOT
            there = self._found(domain.snapshotLookupByName, snapshot, missing)
            if there is not None:
                there.delete()

        self._with(name, drop, _SLOW)

    def ask_guest(self, name: str, command: dict[str, Any], timeout: int) -> Any:
        """Return the guest agent's answer."""
        text = json.dumps(command)
        patience = timeout + self._quick
        answer = self._with(name, lambda domain: self._qemu.qemuAgentCommand(domain, text, timeout, 0), patience)
        return json.loads(answer).get("return")

    def _probed(self, connection: Any) -> tuple[Accelerator, str]:
        domain = Element("domain", {"type": "kvm"})
        SubElement(domain, "name").text = "safetytwin-probe"
        SubElement(domain, "memory", {"unit": "MiB"}).text = "16"
        SubElement(domain, "vcpu").text = "1"
        SubElement(SubElement(domain, "os"), "type").text = "hvm"
        SubElement(domain, "cpu", {"mode": "host-model"})
        flags = self._api.VIR_DOMAIN_START_PAUSED | self._api.VIR_DOMAIN_START_AUTODESTROY
        try:
            connection.createXML(tostring(domain, encoding="unicode"), flags).destroy()
        except self._api.libvirtError as error:
            return "qemu", f"a domain does not start with KVM here, so twins are emulated: {_said(error)}"
        return "kvm", "a domain starts with KVM here"

    def _xml(self, name: str, flags: int) -> str | None:
        def xml(connection: Any) -> str | None:
            domain = self._domain(connection, name)
            return None if domain is None else domain.XMLDesc(flags)

        return self._ask(xml)

    def _with(self, name: str, act: Callable[[Any], T], timeout: float | None = None) -> T:
        def with_domain(connection: Any) -> T:
            domain = self._domain(connection, name)
            if domain is None:
                raise DriverError(f"there is no domain {name}: it was never created, or was deleted")
            return act(domain)

        return self._ask(with_domain, timeout)

    def _ask(self, question: Callable[[Any], T], timeout: float | None = None) -> T:
        def ask() -> T:
            had_one = self._connection is not None
            try:
                return question(self._open())
            except self._api.libvirtError:
                # A connection to a libvirt that was restarted looks alive until it is written to.
                if not had_one or self._lives():
                    raise
            return question(self._open())

        try:
            return self._patience.call(ask, timeout or self._quick)
        except HangsError:
            # What hangs keeps its connection; the next question gets a new one once it has returned.
            self._connection = None
            raise DriverAwayError(f"libvirt ({self._uri}) does not answer: see whether libvirtd is well") from None
        except self._api.libvirtError as error:
            if not self._lives():
                self._connection = None
                raise DriverAwayError(f"libvirt ({self._uri}) can't be reached: {_said(error)}") from error
            raise DriverError(_said(error)) from error

    def _open(self) -> Any:
        if not self._lives():
            self._connection = None
            self._connection = self._api.open(self._uri)
        return self._connection

    def _lives(self) -> bool:
        try:
            return self._connection is not None and bool(self._connection.isAlive())
        except self._api.libvirtError:
            return False

    def _domain(self, connection: Any, name: str) -> Any:
        return self._found(connection.lookupByName, name, self._api.VIR_ERR_NO_DOMAIN)

    def _found(self, look_up: Callable[[str], Any], name: str, missing: int) -> Any:
        try:
            return look_up(name)
        except self._api.libvirtError as error:
            if error.get_error_code() == missing:
                return None
            raise


def _snapshot(xml: str) -> Snapshot:
    element = fromstring(xml)  # noqa: S314 - printed by libvirt
    taken_at = float(element.findtext("creationTime") or 0)
    return Snapshot(element.findtext("name") or "", taken_at, element.findtext("description") or "")


def _with_vcpus_from_the_start(xml: str) -> str | None:
    """Return a snapshot whose vCPUs are all there when QEMU starts, None where they are.

    A QEMU that is started to go back loads the memory before libvirt could plug in the vCPUs that came later.
    """
    snapshot = fromstring(xml)  # noqa: S314 - printed by libvirt
    plugged = snapshot.findall(".//vcpus/vcpu[@enabled='yes'][@hotpluggable='yes']")
    for vcpu in plugged:
        vcpu.set("hotpluggable", "no")
    return tostring(snapshot, encoding="unicode") if plugged else None


def _said(error: Exception) -> str:
    return printable(str(error))[:500]
