"""Which partitions this bridge owns: a session that is renewed, and one table that is changed by compare-and-swap.

A session is a key that its bridge writes again every so often and that the server removes when it does not. The table
says which session owns each partition; an owner counts as long as its session is there. One table with one revision,
instead of a lease for each partition, costs a write when something moves and none while nothing does. What clocks can't
tell apart, the fence of each machine's history does (docs/cluster.md).
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from safetytwin.bridge.cluster.bucket import Bucket, ChangedError
from safetytwin.bridge.cluster.placing import bridge_of, share_of
from safetytwin.bridge.stores.base import StoreError
from safetytwin.nats_link import LinkError, NatsLink
from safetytwin.nats_subjects import PARTITIONS

_LOG = logging.getLogger(__name__)

SESSION_SECONDS = 6.0
"""After which a bridge that is not heard of has lost its share."""
_RENEW_SECONDS = 1.5
_LOOK_SECONDS = 1.0
_MARGIN_SECONDS = 1.0
"""By which an owner stops to believe so before others may think the same."""
_GAP_SECONDS = 3.0
"""Between two renewals that went well: more, and NATS was away, or this bridge was."""
_GRACE_SECONDS = 8.0
"""After such a gap in which a bridge leaves it to others to come back: NATS may have been away for all of them."""
_TABLE = "table"


@dataclass(frozen=True, slots=True)
class Duties:
    """What is to be done when the share changes; each is awaited."""

    gain: Callable[[int], Awaitable[None]]
    """Load a partition; raises StoreError."""
    give: Callable[[frozenset[int]], Awaitable[None]]
    """Write what waits of partitions and let go of them, before others take them."""
    lose: Callable[[frozenset[int]], Awaitable[None]]
    """Let go of partitions that others have taken."""


class Membership:
    """One bridge among others; used on one event loop."""

    def __init__(self, link: NatsLink, name: str, about: bytes, duties: Duties, *, prefix: str, replicas: int) -> None:
        """Name is BRIDGE-RUN; about is what others may know of this bridge, as JSON."""
        self._link = link
        self._name = name
        self._about = about
        self._duties = duties
        self._sessions = Bucket(link, f"{prefix}-bridges", seconds=SESSION_SECONDS, replicas=replicas)
        self._owners = Bucket(link, f"{prefix}-owners", replicas=replicas)
        self._number = 0
        self._revision = 0
        self._valid_until = 0.0
        self._renewed_at = 0.0
        self._steady_since = 0.0
        """Since when the session was renewed without a gap."""
        self._former: set[str] = set()
        """Sessions that ended and in whose name partitions may stand that nobody else has had since."""
        self._loaded: set[int] = set()
        self._confirmed: frozenset[int] = frozenset()
        """Partitions that the table gives to the session `_confirmed_for`."""
        self._confirmed_for = ""
        self._leaving = False
        self._busy = asyncio.Lock()
        self.session = ""
        self.live: frozenset[str] = frozenset()
        """Sessions of all bridges, as they were last seen."""
        self.table: tuple[str, ...] = ("",) * PARTITIONS
        """The session that owns each partition; empty where none does."""
        self.when_live_changes: Callable[[], None] = lambda: None

    @property
    def held(self) -> frozenset[int]:
        """The partitions that are this bridge's to answer for now."""
        return self._confirmed & self._loaded if self._believes() else frozenset()

    def owns(self, partition: int) -> bool:
        """Say whether a partition is this bridge's to answer for now."""
        return partition in self._loaded and partition in self._confirmed and self._believes()

    def owner(self, partition: int) -> str | None:
        """Return the live session that owns a partition, None where none does."""
        session = self.table[partition]
        return session if session in self.live else None

    def _believes(self) -> bool:
        """Say whether the session that stands in the table surely lives."""
        return self._confirmed_for == self.session and _clock() < self._valid_until

    async def run(self) -> None:
        """Take part until cancelled."""
        renewing = asyncio.create_task(self._renew_for_ever())
        try:
            while True:
                try:
                    async with self._busy:
                        await self._look()
                except ChangedError:
                    continue  # another bridge was first: look again
                except (LinkError, StoreError) as error:
                    _LOG.warning("the bridges' shares can't be seen to: %s", error)
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def leave(self) -> None:
        """Give everything up in order, so that others can take it at once."""
        self._leaving = True
        async with self._busy:
            await self._duties.give(frozenset(self._loaded))
            self._loaded.clear()
            with contextlib.suppress(LinkError, ChangedError):
                table, revision = await self._read_table()
                mine = {self.session, *self._former}
                await self._write_table(tuple("" if one in mine else one for one in table), revision)
            self._valid_until = 0.0
            with contextlib.suppress(LinkError):
                await self._sessions.remove(self.session)

    async def _renew_for_ever(self) -> None:
        await self._make_buckets()
        for former in await self._runs_before():
            await self._sessions.remove(former)
        while not self._leaving:
            try:
                await self._renew()
            except (LinkError, ChangedError) as error:
                _LOG.debug("the session was not renewed: %s", error)
            await asyncio.sleep(_RENEW_SECONDS)

    async def _make_buckets(self) -> None:
        while True:
            try:
                await self._sessions.make()
                await self._owners.make()
            except LinkError as error:
                _LOG.warning("the bridges' buckets can't be made yet: %s", error)
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                return

    async def _runs_before(self) -> list[str]:
        """Return the sessions of this bridge's runs before: they have ended, for its data directory is locked."""
        bridge = self._name.partition("-")[0] + "-"
        while True:
            try:
                return [one for one in await self._sessions.keys() if one.startswith(bridge)]
            except LinkError as error:
                _LOG.debug("the bridges can't be listed yet: %s", error)
                await asyncio.sleep(_LOOK_SECONDS)

    async def _renew(self) -> None:
        began = _clock()
        if not self.session:
            session = f"{self._name}-{self._number}"
            self._number += 1
            self._former.add(session)
            self._revision = await self._sessions.put(session, self._about, 0)
            self.session = session
        else:
            try:
                self._revision = await self._sessions.put(self.session, self._about, self._revision)
            except (ChangedError, LinkError):
                # It may have been written, with the answer lost: nobody else writes this key.
                found = await self._sessions.get(self.session)
                if found is None:
                    _LOG.warning("this bridge was not heard of for too long; it takes part anew")
                    self._valid_until, self.session = 0.0, ""
                    return
                self._revision = found[1]
                return
        if began - self._renewed_at > _GAP_SECONDS:
            self._steady_since = _clock()
        self._renewed_at = began
        self._valid_until = began + SESSION_SECONDS - _MARGIN_SECONDS

    async def _look(self) -> None:
        session = self.session
        if not session:
            return
        live = frozenset(await self._sessions.keys())
        table, revision = await self._read_table()
        if live != self.live:
            self.live = live
            self.when_live_changes()
        self.table = table
        mine = {session, *self._former}
        lost = frozenset(number for number in self._loaded if table[number] not in mine)
        if lost:
            _LOG.warning("other bridges have taken %d partitions", len(lost))
            self._loaded -= lost
            await self._duties.lose(lost)
        if session not in live:
            return
        wanted = frozenset() if self._leaving else share_of(session, live)
        given = frozenset(self._loaded - wanted)
        if given:
            _LOG.info("giving %d partitions to other bridges", len(given))
            self._loaded -= given
            await self._duties.give(given)
        # Who was away with NATS itself comes back first; this bridge's own runs before do not.
        now = _clock()
        waits = now - self._renewed_at > _GAP_SECONDS or now - self._steady_since < _GRACE_SECONDS
        present = live | {one for one in table if waits and bridge_of(one) != bridge_of(session)} - {""}
        new = tuple(_new_owner(owner, number in wanted, session, mine, present) for number, owner in enumerate(table))
        if new != table:
            await self._write_table(new, revision)
            self.table = new
        self._confirmed_for = session
        self._confirmed = frozenset(number for number, owner in enumerate(new) if owner == session)
        self._former = {session}
        await self._gain(session)

    async def _gain(self, session: str) -> None:
        missing = sorted(self._confirmed - self._loaded)
        for number in missing:
            if self.session != session or self._leaving:
                return
            await self._duties.gain(number)
            self._loaded.add(number)
        if missing:
            _LOG.info("%d of %d partitions are here now", len(self._loaded), PARTITIONS)

    async def _read_table(self) -> tuple[tuple[str, ...], int]:
        found = await self._owners.get(_TABLE)
        if found is None:
            return ("",) * PARTITIONS, 0
        return msgspec.json.decode(found[0], type=tuple[str, ...]), found[1]

    async def _write_table(self, table: tuple[str, ...], revision: int) -> None:
        await self._owners.put(_TABLE, msgspec.json.encode(table), revision)


def _clock() -> float:
    """Return seconds that go on while the machine is suspended, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def new_name(bridge: str) -> str:
    """Return the name of one run of a bridge."""
    return f"{bridge}-{secrets.token_hex(4)}"


def _new_owner(owner: str, wanted: bool, session: str, mine: set[str], live: frozenset[str]) -> str:
    """Return who owns a partition from now on, as far as this bridge may say so."""
    if wanted:
        return session if owner in mine or owner not in live else owner
    return "" if owner in mine else owner
