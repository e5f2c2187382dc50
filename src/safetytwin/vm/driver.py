"""What runs twins, behind one interface: libvirt, or a recorder that only remembers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from safetytwin.vm.domain import Accelerator


class DriverError(Exception):
    """Something that could not be done with a domain; the text says what, why and how to mend it."""


class DriverAwayError(DriverError):
    """Nothing can be done now: libvirt is not installed, not running, or does not answer."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot as the driver keeps it."""

    name: str
    taken_at: float
    """Seconds since 1970."""
    description: str
    """What was noted when it was taken."""


class Driver(Protocol):
    """All raise DriverError; a domain is named by its name, and one that there is not is an error unless said."""

    def accelerator(self) -> tuple[Accelerator, str]:
        """Return how domains run here, and why: found by trying."""

    def ensure_network(self, name: str) -> None:
        """See that a network is there and active; makes it, leading nowhere, where there is none of the name."""

    def current_xml(self, name: str) -> str | None:
        """Return the XML of the domain as it runs, or as it is defined where it does not run; None: there is none."""

    def defined_xml(self, name: str) -> str | None:
        """Return the XML that the next boot takes; None: there is no domain."""

    def running(self, name: str) -> bool:
        """Say whether the domain runs, paused or not; False also where there is none."""

    def define(self, xml: str) -> None:
        """Make a domain, or change what its next boot takes."""

    def start(self, name: str) -> None:
        """Boot it; harmless where it runs."""

    def stop(self, name: str, *, force: bool) -> None:
        """Ask its system to power off, or cut the power; harmless where it does not run."""

    def undefine(self, name: str) -> None:
        """Forget the domain and its snapshots, not its files; harmless where there is none."""

    def set_vcpus(self, name: str, count: int) -> None:
        """Change the vCPUs while it runs."""

    def set_memory(self, name: str, size: int) -> None:
        """Change the memory (bytes) while it runs."""

    def attach(self, name: str, device_xml: str) -> None:
        """Plug a device in while it runs."""

    def detach(self, name: str, device_xml: str) -> None:
        """Unplug a device while it runs."""

    def resize_disk(self, name: str, target: str, size: int) -> None:
        """Let a disk grow to size bytes while it runs."""

    def note(self, name: str, metadata_xml: str) -> None:
        """Change what is noted in the domain while it runs."""

    def snapshots(self, name: str) -> Sequence[Snapshot]:
        """Return the snapshots, oldest first; none where there is no domain."""

    def snapshot(self, name: str, snapshot: str, description: str) -> None:
        """Take a snapshot of disks and, where it runs, memory."""

    def revert(self, name: str, snapshot: str) -> None:
        """Go back to a snapshot."""

    def drop_snapshot(self, name: str, snapshot: str) -> None:
        """Delete a snapshot; harmless where there is none."""

    def ask_guest(self, name: str, command: dict[str, Any], timeout: int) -> Any:
        """Return what the guest agent answers to a command of its protocol within timeout seconds."""
