"""Makes frames of states and sees them delivered: in order, each once, the newest state first after an absence."""

import logging
import os
import random
import time
from collections.abc import Callable
from typing import Protocol

import msgspec
import zstandard

from safetytwin.agent.bridge_client import Answer
from safetytwin.agent.spool import Spool, Waiting
from safetytwin.changes.diff import diff, tree_of
from safetytwin.models.change import Frame
from safetytwin.models.system_state import SystemState

LOG = logging.getLogger("safetytwin.agent")

_FEW = 12
"""Frames that are sent in one request together with the newest; more than these are drained after it."""
_DRAIN_FRAMES = 20
_DRAIN_BYTES = 512 * 1024
_BACKOFF_SECONDS = 2.0
_BACKOFF_MOST_SECONDS = 300.0
_SLOW_SECONDS = 60.0


class Sender(Protocol):
    """What delivers frames to a bridge."""

    def send(self, frames: list[bytes]) -> Answer:
        """Send frames and return what the bridge said."""
        ...


class IdentityConflictError(Exception):
    """The bridge knows another living agent under this host id."""


class Outbox:
    """One run of the agent as the bridge sees it: an epoch of numbered frames."""

    def __init__(
        self, host_id: str, sender: Sender, spool: Spool, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._host_id = host_id
        self._sender = sender
        self._spool = spool
        self._clock = clock
        self._epoch = os.urandom(8).hex()
        self._seq = -1
        self._last: SystemState | None = None
        self._full_needed = True
        self._failures = 0
        self._not_before = 0.0
        self._compressor = zstandard.ZstdCompressor(level=6)
        self.refused = 0
        """Frames that the bridge would not take, since the start."""
        self.bytes_sent = 0

    @property
    def dropped(self) -> int:
        """Frames that will never be delivered, since the start."""
        return self._spool.dropped + self.refused

    @property
    def waiting(self) -> int:
        """Frames that wait in the spool."""
        return len(self._spool)

    def deliver(self, state: SystemState, monotonic: float) -> Answer | None:
        """Deliver a state, or keep its frame for later; return the bridge's answer, None where it was not asked.

        monotonic is the boot clock in seconds. Raises IdentityConflictError.
        """
        waiting = len(self._spool)
        full = self._full_needed or self._spool.wants_full
        asking = self._clock() >= self._not_before
        if asking and waiting > _FEW:
            full = True
        frame = self._next_frame(state, monotonic, full=full)
        if not asking:
            self._keep(frame, full=full)
            return None
        before = self._spool.oldest(_FEW, _DRAIN_BYTES) if 0 < waiting <= _FEW and not self._full_needed else []
        together = [*before, frame] if len(before) == waiting else [frame]
        answer = self._send(together)
        if answer.status == 409 and answer.need == "full":
            frame = self._encoded(self._frame(state, monotonic, full=True), state)
            together = [frame]
            answer = self._send(together)
        if answer.status == 200:
            self._full_needed = False
            self._failures = 0
            if len(together) > 1:
                self._spool.forget(len(before))
        else:
            self._after_refusal(answer, frame, full=full)
        return answer

    def drain(self) -> Answer | None:
        """Send some of what waits, gently; to be called once an interval after a delivery that went well."""
        if self._failures or self._clock() < self._not_before:
            return None
        frames = self._spool.oldest(_DRAIN_FRAMES, _DRAIN_BYTES)
        if not frames:
            return None
        answer = self._send(frames)
        if answer.status == 200:
            self._spool.forget(len(frames))
        elif answer.status in {400, 409, 413, 422}:
            # The bridge can't place them (it was renewed, or their beginning was dropped): their segment is of no use.
            LOG.warning("the bridge can't use %d older frames: %s", len(frames), answer.detail)
            self._spool.drop_oldest_segment()
        else:
            self._back_off(answer)
        return answer

    def _next_frame(self, state: SystemState, monotonic: float, *, full: bool) -> Waiting:
        self._seq += 1
        return self._encoded(self._frame(state, monotonic, full=full), state)

    def _frame(self, state: SystemState, monotonic: float, *, full: bool) -> Frame:
        whole = full or self._last is None
        return Frame(
            host_id=self._host_id,
            epoch=self._epoch,
            seq=self._seq,
            kind="full" if whole else "change",
            observed_at=state.timestamp,
            monotonic=monotonic,
            state=tree_of(state) if whole else None,
            change=None if whole or self._last is None else diff(self._last, state),
        )

    def _encoded(self, frame: Frame, state: SystemState) -> Waiting:
        self._last = state
        return Waiting(self._epoch, frame.seq, self._compressor.compress(msgspec.json.encode(frame)))

    def _send(self, frames: list[Waiting]) -> Answer:
        answer = self._sender.send([frame.data for frame in frames])
        if answer.status:
            self.bytes_sent += sum(len(frame.data) for frame in frames)
        return answer

    def _keep(self, frame: Waiting, *, full: bool) -> None:
        try:
            self._spool.append(frame, full=full)
        except OSError as error:
            self.refused += 1
            # The frame is lost, so the next one can't build on it.
            self._full_needed = True
            LOG.warning("the spool can't be written (%s); the newest frame is lost", error.strerror)

    def _after_refusal(self, answer: Answer, frame: Waiting, *, full: bool) -> None:
        if answer.status == 409 and answer.need == "identity":
            raise IdentityConflictError(answer.detail)
        if answer.status in {400, 409, 413, 422}:
            self.refused += 1
            self._full_needed = True
            LOG.warning("the bridge refused a frame (%d): %s", answer.status, answer.detail)
        else:
            self._keep(frame, full=full or frame.seq == 0)
        self._back_off(answer)

    def _back_off(self, answer: Answer) -> None:
        """Wait a random time up to a bound that doubles (full jitter), or what the bridge asks for and some more."""
        self._failures += 1
        most = min(_BACKOFF_MOST_SECONDS, _BACKOFF_SECONDS * 2 ** min(self._failures, 16))
        least = answer.retry_after or (_SLOW_SECONDS if answer.status in {401, 403, 507} else 0.0)
        delay = least + random.uniform(0, most)  # noqa: S311 - to spread agents, not to keep a secret
        self._not_before = self._clock() + delay
        if self._failures in {1, 4} or self._failures % 30 == 0:
            said = (
                f"answered {answer.status}: {answer.detail}" if answer.status else f"can't be reached: {answer.detail}"
            )
            LOG.warning("the bridge %s; trying again in %.0f s, %d frames wait", said, delay, len(self._spool))
