"""What models lie on a machine: found in the stores and named folders, verified by their headers, looked at cheaply."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from safetytwin.collectors.filesystems import kind_of
from safetytwin.collectors.host_root import HostRoot
from safetytwin.models.workload import AiModel
from safetytwin.workloads.model_files import HeaderReader
from safetytwin.workloads.model_stores_folder import scan_folder
from safetytwin.workloads.model_stores_huggingface import PREFIX, scan_huggingface
from safetytwin.workloads.model_stores_ollama import scan_ollama
from safetytwin.workloads.model_stores_places import Place, places
from safetytwin.workloads.model_stores_records import DOWNLOADING
from safetytwin.workloads.model_stores_walk import Barriers, Walk, unchanged

_SECONDS = 2.0
_LOOKS_BETWEEN_SEARCHES = 6
"""Looks until stores are searched for again."""
_LOOKS_BETWEEN_SWEEPS = 60
"""Looks until every store is read again: a file that changes in place leaves its folder's time of change as it was."""
_REST = 49
"""After a store was read it rests so many times as long as that took: never more than 2 % of the time goes to it."""


@dataclass(frozen=True, slots=True)
class _Scanned:
    models: dict[str, AiModel]
    folders: dict[str, int]
    notes: tuple[str, ...]
    moving: bool
    """Whether no folder's time of change will tell what comes next: a download under way, a walk cut short."""
    rests_until: float


class ModelInventory:
    """The models of one machine. A look costs little as long as no folder of a store changed."""

    def __init__(
        self,
        root: HostRoot,
        environment: Mapping[str, str],
        directories: Sequence[str] = (),
        *,
        reader: HeaderReader | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        """Environment is that of the process that asks; seconds is what reading one store may take in one look."""
        self._root = root
        self._places = places(root, environment, directories)
        self._reader = reader or HeaderReader()
        self._seconds = seconds
        self._looks = 0
        self._found: dict[str, Place] = {}
        self._absent: list[str] = []
        self._barriers = Barriers(root)
        self._scanned: dict[str, _Scanned] = {}
        self._models: list[AiModel] = []
        self.notes: list[str] = []
        """What could not be looked at in the last look, one sentence each."""

    def look(self) -> list[AiModel]:
        """Return the models at rest, sorted by id: the same list where nothing changed, else the same items."""
        if self._looks % _LOOKS_BETWEEN_SEARCHES == 0:
            self._search()
        sweep = self._looks % _LOOKS_BETWEEN_SWEEPS == 0
        self._looks += 1
        for path, place in self._found.items():
            before = self._scanned.get(path)
            if before is None or (time.monotonic() >= before.rests_until and self._is_due(before, sweep=sweep)):
                self._scanned[path] = self._scan(path, place, before)
        for path in self._scanned.keys() - self._found.keys():
            del self._scanned[path]
        models: dict[str, AiModel] = {}
        for scanned in self._scanned.values():
            models = scanned.models | models
        ordered = [models[path] for path in sorted(models)]
        if len(ordered) != len(self._models) or any(a is not b for a, b in zip(ordered, self._models, strict=True)):
            self._models = ordered
        self.notes = [*self._absent, *(note for scanned in self._scanned.values() for note in scanned.notes)]
        return self._models

    def _is_due(self, before: _Scanned, *, sweep: bool) -> bool:
        return sweep or before.moving or not unchanged(before.folders)

    def _search(self) -> None:
        """Find which of the places exist, without links and on file systems of this machine."""
        self._barriers = Barriers(self._root)
        self._found, self._absent = {}, []
        denied = 0
        for place in self._places:
            try:
                path, barrier = self._barriers.resolved(place.path)
            except OSError as error:
                denied += isinstance(error, PermissionError)
                if place.named:
                    self._absent.append(f"{place.path} can't be looked at: {error.strerror or error}")
                continue
            if barrier is not None:
                note = f"nothing below {path} is looked at: it is on a file system of type {barrier}"
                if (place.named or kind_of(barrier) is not None) and note not in self._absent:
                    self._absent.append(note)
                continue
            self._found.setdefault(path, place)
        if denied:
            self._absent.append(f"{denied} places where models may be can't be looked into; run as root to see them")

    def _scan(self, path: str, place: Place, before: _Scanned | None) -> _Scanned:
        started = time.monotonic()
        walk = Walk(self._barriers, started + self._seconds)
        known = before.models if before is not None else {}
        models: dict[str, AiModel] = {}
        for model in self._models_of(path, place, walk):
            same = known.get(model.id)
            models.setdefault(model.id, same if same == model and same is not None else model)
        if walk.ran_out:
            models = known | models
        took = time.monotonic() - started
        return _Scanned(
            models,
            walk.folders,
            tuple(walk.notes),
            moving=walk.ran_out or any(model.problem == DOWNLOADING for model in models.values()),
            rests_until=started + took + _REST * took,
        )

    def _models_of(self, path: str, place: Place, walk: Walk) -> Iterator[AiModel]:
        store = place.store
        if store == "directory":
            store = _store_in(path, walk)
        if store == "ollama":
            return scan_ollama(path, walk, self._reader)
        if store == "huggingface":
            return scan_huggingface(path, walk, self._reader)
        return scan_folder(path, path if store == "directory" else store, walk, self._reader)


def _store_in(path: str, walk: Walk) -> str:
    """Return which store a named directory is, by its shape."""
    names = {entry.name for entry in walk.entries(path) if entry.kind == "folder"}
    if names >= {"blobs", "manifests"}:
        return "ollama"
    return "huggingface" if any(name.startswith(PREFIX) for name in names) else "directory"
