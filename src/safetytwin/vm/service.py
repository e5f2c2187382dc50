"""Twins beside a running bridge: each follows its machine as the bridge's states of it change."""

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from safetytwin.models.system_state import SystemState
from safetytwin.vm.domain import Place
from safetytwin.vm.driver import DriverError
from safetytwin.vm.libvirt_driver import SYSTEM, LibvirtDriver
from safetytwin.vm.twin_records import TwinFiles, TwinRecord
from safetytwin.vm.twins import Twins

_LOG = logging.getLogger(__name__)
_PAUSE = 0.5
"""Seconds between two looks at revisions: what changes faster is followed by its latest state alone."""
_ANEW = 60.0
"""Seconds after which a twin is brought to its machine's state again though that did not change: the twin may have."""
_AFTER_FAILURE = 10.0

T = TypeVar("T")

Revision = Callable[[str], int | None]
"""Returns the revision of a machine's state, None where the machine is not known."""
State = Callable[[str], Awaitable[tuple[bytes, int]]]
"""Returns a machine's state as JSON, and its revision."""


@dataclass(slots=True)
class _Course:
    """How far one twin has come."""

    revision: int | None = None
    wished: str = ""
    next_time: float = 0.0
    """Seconds of the steady clock from when it is brought anew in any case."""
    error: str | None = None
    stamp: int | None = None
    """Of its record when it was last brought: a person may have released it since."""


@dataclass(slots=True)
class TwinService:
    """The twins of this host for a bridge; the driver is opened when it is first needed."""

    files: TwinFiles
    open_twins: Callable[[TwinFiles], Twins]
    _twins: Twins | None = None
    _courses: dict[str, _Course] = field(default_factory=dict)
    _steps: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @classmethod
    def from_environment(cls) -> "TwinService":
        """Return the service of $SAFETYTWIN_VM_DIRECTORY and $SAFETYTWIN_LIBVIRT, or of the usual places."""
        directory = os.environ.get("SAFETYTWIN_VM_DIRECTORY") or Place().directory
        uri = os.environ.get("SAFETYTWIN_LIBVIRT") or SYSTEM
        return cls(TwinFiles(directory), lambda files: Twins(LibvirtDriver(uri), files))

    def twins(self) -> Twins:
        """Return the twins; raises DriverError where there is no driver."""
        if self._twins is None:
            self._twins = self.open_twins(self.files)
        return self._twins

    async def do(self, act: Callable[[Twins], T]) -> T:
        """Do something with the twins beside the event loop; raises DriverError."""
        return await asyncio.to_thread(lambda: act(self.twins()))

    def error(self, host_id: str) -> str | None:
        """Return why a twin could not be brought to its machine's state at all, None where it could."""
        course = self._courses.get(host_id)
        return None if course is None else course.error

    async def run(self, revision: Revision, state: State) -> None:
        """Let the twins follow, until cancelled."""
        try:
            while True:
                for host_id in self.files.hosts():
                    current = revision(host_id)
                    if current is not None and self._is_due(host_id, current):
                        self._steps[host_id] = asyncio.create_task(self._step(host_id, state))
                await asyncio.sleep(_PAUSE)
        finally:
            for step in self._steps.values():
                step.cancel()

    def _is_due(self, host_id: str, revision: int) -> bool:
        step = self._steps.get(host_id)
        if step is not None and not step.done():
            return False
        course = self._courses.setdefault(host_id, _Course())
        late = time.monotonic() >= course.next_time
        released = self.files.stamp(host_id) != course.stamp
        return late or released or (revision != course.revision and course.error is None)

    async def _step(self, host_id: str, state: State) -> None:
        course = self._courses[host_id]
        try:
            content, course.revision = await state(host_id)
            await self.do(lambda twins: _follow(twins, host_id, content, course))
        except DriverError as error:
            if course.error != str(error):
                _LOG.warning("the twin of %s does not follow: %s", host_id, error)
            course.error = str(error)
            course.next_time = time.monotonic() + _AFTER_FAILURE
        except Exception:
            _LOG.exception("the twin of %s could not follow", host_id)
            course.next_time = time.monotonic() + _ANEW
        finally:
            course.stamp = self.files.stamp(host_id)


def _follow(twins: Twins, host_id: str, content: bytes, course: _Course) -> None:
    record = twins.files.needed(host_id)
    state = msgspec.json.decode(content, type=SystemState)
    wished = _wished(twins, record, state)
    if wished == course.wished and time.monotonic() < course.next_time:
        return
    twins.follow(state, course.revision)
    course.wished, course.error = wished, None
    course.next_time = time.monotonic() + _ANEW


def _wished(twins: Twins, record: TwinRecord, state: SystemState) -> str:
    """Return a digest of all that a twin follows: gauges and what is not followed leave it as it is."""
    shape = msgspec.structs.replace(twins.shape(record, state), at="1970-01-01T00:00:00Z")
    services = [(one.type, one.id, one.status, one.sub_status, one.unit_file_state) for one in state.services]
    chosen = (record.pinned, record.follow)
    return hashlib.sha256(msgspec.json.encode((shape, services, chosen))).hexdigest()
