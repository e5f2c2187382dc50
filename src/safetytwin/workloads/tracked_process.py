"""One process through the looks: when it is read and judged again, and the record that is shown of it."""

from collections.abc import Mapping

import msgspec

from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.workloads.evidence import confidence
from safetytwin.workloads.judgement import Judgement
from safetytwin.workloads.process_sight import Sight
from safetytwin.workloads.service_links import Tie

_GROWTH = 1024 * 1024
"""Bytes of virtual memory by which a process grows before its maps are read again: less than any library or model."""
_MOST_PATIENCE = 64 * 1024 * 1024
"""The same for a process that grew again and again without mapping anything of interest: a browser, a database."""
_MOST_SKIPPED = 30
"""Looks at which growth below that is passed over before maps are read after all."""


class Seen:
    """What is kept of a process between looks."""

    __slots__ = (
        "_about",
        "_fds",
        "_patience",
        "_placement",
        "_result_of",
        "_skipped",
        "_vms",
        "fixed",
        "judgement",
        "raw",
        "result",
        "sight",
        "sightings",
    )

    def __init__(self, process: Process, judgement: Judgement) -> None:
        self.raw = process
        self.judgement = judgement
        self.sight = Sight()
        self.sightings: dict[str, str] = {}
        """When each model file was last seen mapped or open, RFC 3339."""
        self._vms = -1
        self._fds: int | None = None
        self._placement: tuple[object, ...] | None = None
        self._about: tuple[object, ...] | None = None
        self._patience = _GROWTH
        self._skipped = 0
        self._result_of: Process | None = None
        self.result = process
        """The record that is shown."""
        self.fixed = False
        """While the process's own record is the same object, the one that is shown is too."""

    def placement_moved(self, services: Mapping[str, Service]) -> bool:
        """Tell whether the unit or container that the process is in became another, or known."""
        return _may_move(self.raw) and _placement(services.get(self.raw.service or "")) != self._placement

    def take(self, process: Process, services: Mapping[str, Service]) -> bool:
        """Take the process's new record; return whether it must be judged again."""
        old = self.raw
        self.raw = process
        if process.kernel_thread:
            return False
        return (
            process.cmdline != old.cmdline
            or process.exe != old.exe
            or process.name != old.name
            or process.service != old.service
            or process.ppid != old.ppid
            or (process.status == "zombie") != (old.status == "zombie")
            or self.wants_look(process)
            or (self.judgement.role is not None and _listening(process) != _listening(old))
            or _gpus(process) != _gpus(old)
            or self.placement_moved(services)
        )

    def wants_look(self, process: Process) -> bool:
        """Tell whether maps and descriptors are to be read: new, another program, grown, or other descriptors."""
        vms = process.memory_info.vms if process.memory_info is not None else None
        if self._vms < 0 or process.exe != self.raw.exe or process.name != self.raw.name:
            return True
        if vms is not None and vms >= self._vms + _GROWTH:
            self._skipped += 1
            if vms >= self._vms + self._patience or self._skipped >= _MOST_SKIPPED:
                return True
        holds = self.judgement.role is not None or bool(self.sight.devices) or bool(self.sight.files)
        return holds and process.num_fds != self._fds

    def look(self, process: Process, sight: Sight, at: str) -> None:
        """Take what was read; weights seen before and unmapped since stay known, with the time of their sighting."""
        found = len(sight.libraries) + len(sight.files) > len(self.sight.libraries) + len(self.sight.files)
        self._patience = _GROWTH if found or self._vms < 0 else min(self._patience * 2, _MOST_PATIENCE)
        self._skipped = 0
        now = {file.path for file in sight.files}
        kept = tuple(
            file for file in self.sight.files if file.path not in now and file.header is not None and not file.broken
        )
        self.sightings.update(dict.fromkeys(now, at))
        self.sight = sight._replace(files=sight.files + kept)
        vms = process.memory_info.vms if process.memory_info is not None else None
        self._vms = vms if vms is not None else 0
        self._fds = process.num_fds

    def judged(self, process: Process, judgement: Judgement, service: Service | None) -> None:
        """Take the verdict."""
        if self._vms < 0 and process.kernel_thread:
            self._vms = 0
        self.judgement = judgement
        self._placement = _placement(service)

    def show(self, process: Process, tie: Tie | None) -> None:
        """Make the record that is shown; it stays the identical one where neither record nor verdict changed."""
        about: tuple[object, ...] | None = None
        if tie is not None:
            role = self.judgement.role if self.judgement.related else tie.role
            sure = confidence(self.judgement.score) if self.judgement.related else tie.confidence
            about = (role, self.judgement.engine or tie.engine, sure, tie.key)
        elif self.judgement.role is not None:
            about = (self.judgement.role, self.judgement.engine, confidence(self.judgement.score), None)
        self.fixed = about is None and not _may_move(process)
        if self._result_of is process and self._about == about:
            return
        self._result_of, self._about = process, about
        related = tie is not None or self.judgement.related
        if about is None:
            self.result = msgspec.structs.replace(process, is_llm_related=related)
        else:
            ai = dict(zip(("role", "engine", "confidence", "workload"), about, strict=True))
            extra = {**(process.extra or {}), "ai": {key: value for key, value in ai.items() if value is not None}}
            self.result = msgspec.structs.replace(process, is_llm_related=related, extra=extra)


def _may_move(process: Process) -> bool:
    """Tell whether what the process is in may become known, or another, without the process's own record changing."""
    return process.service is not None and not process.service.startswith("systemd/")


def _listening(process: Process) -> set[tuple[str | None, int | None]]:
    return {(one.local_address, one.local_port) for one in process.connections or () if one.status == "LISTEN"}


def _gpus(process: Process) -> set[str]:
    return {gpu.uuid for gpu in process.gpu or ()}


def _placement(service: Service | None) -> tuple[object, ...] | None:
    if service is None:
        return None
    return (service.image, tuple(service.labels or ()))
