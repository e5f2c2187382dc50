"""The interface of a collector, the registry, and what a collector may say of itself.

A collector is an object that lives as long as the agent: it keeps what does not change and the counters of the look
before. It knows nothing of the agent or of bridges; of other collectors it sees no more than what they found.
docs/adding-a-collector.md shows one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from safetytwin.collectors.host_root import HostRoot


class AbsentError(Exception):
    """The machine has no such thing (no systemd, no GPU): a fact, not a fault."""


class DeniedError(Exception):
    """It may not be read; hint says how to mend that."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class LookOptions:
    """What a look takes in beyond the default; see `safetytwin agent --help`."""

    open_files: bool = False
    environment: bool = False
    user_units: bool = False
    unit_file_contents: bool = False
    docker_socket: str | None = None
    podman_socket: str | None = None
    system_bus: str | None = None
    """Path of the system bus's socket where it is not the usual one."""


@dataclass(slots=True)
class Look:
    """One look: the machine's root, the clocks at its start, and what a collector has to say beside its result."""

    root: HostRoot
    options: LookOptions
    number: int
    """0 for the first look of this agent."""
    found: Mapping[str, Any]
    """What the collectors before this one returned in this look, by name; read only, and any of them may be missing."""
    monotonic: float
    """time.monotonic() at the start of the look; rates divide by its differences."""
    wall: float
    """time.time() at the start of the look."""
    notes: list[str] = field(default_factory=list)
    """What could not be seen, though the collector works, one sentence each."""
    hint: str | None = None
    """How the notes are mended, such as: run as root."""
    vanished: int = 0
    """Items that were gone before they could be read."""
    stale: bool = False
    """Set by a collector that answers from an earlier look, because the source did not answer in time."""


class Collector(Protocol):
    """Looks at one part of the machine.

    collect returns the value for the place that the registration names, or raises AbsentError, DeniedError, or any
    other exception (the collector is then `failed`; the look goes on). It reads below look.root only, runs no command,
    and never lets one unreadable item fail the others.
    """

    def collect(self, look: Look) -> Any:
        """Return what is there now."""
        ...

    def close(self) -> None:
        """Give descriptors and connections back."""
        ...


@dataclass(frozen=True, slots=True)
class Registration:
    """One collector: its name, where its result goes, how to make it and how long it may take."""

    name: str
    place: str
    """Where the result goes: a path of the state (hardware, hardware.cpu, software, processes, services) or extra.

    hardware and software merge the fields of the returned Hardware or Software; services appends to the list;
    extra.NAME holds whatever a collector of another package returns (JSON values).
    """
    make: Callable[[], Collector]
    deadline: float = 5.0
    """Seconds; a collector that takes longer is left behind and its section is stale or empty."""
    platforms: tuple[str, ...] = ("linux",)
    """Prefixes of sys.platform on which it runs."""
