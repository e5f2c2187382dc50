"""What is concluded of one process."""

from typing import NamedTuple

from safetytwin.models.workload import Evidence
from safetytwin.workloads.argv_grammar import Invocation
from safetytwin.workloads.catalogue import ROLES
from safetytwin.workloads.process_sight import ModelFile, Sight


class ModelReference(NamedTuple):
    """A model as a process names or holds it."""

    value: str
    """A path, or a name."""
    source: str
    """argv, environment, mapped or open."""
    kind: str
    """model, projector, adapter or draft."""
    file: ModelFile | None = None
    name: str | None = None
    """What the store that it lies in calls it."""


class Listener(NamedTuple):
    """What the command line says of where the process listens."""

    host: str | None = None
    port: int | None = None
    socket: str | None = None


class Judgement(NamedTuple):
    """The verdict on a process, and how it came about."""

    role: str | None
    """None: nothing of AI."""
    engine: str | None
    """Name of a family of the catalogue."""
    score: float
    """Log-odds."""
    evidence: tuple[Evidence, ...]
    missing: tuple[str, ...] = ()
    models: tuple[ModelReference, ...] = ()
    served_names: tuple[str, ...] = ()
    listener: Listener = Listener()
    authenticated: bool | None = None
    invocation: Invocation = Invocation("none")
    sight: Sight = Sight()
    launcher: bool = False
    version: str | None = None

    @property
    def related(self) -> bool:
        """It serves, trains, embeds or converses with models, or runs on a framework that does."""
        return self.role in ROLES
