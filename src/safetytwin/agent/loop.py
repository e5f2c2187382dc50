"""The agent as it runs: look, make a frame, deliver, wait; until it is told to stop."""

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from safetytwin.agent.bridge_client import Answer
from safetytwin.agent.governor import Governor
from safetytwin.agent.interrupts import Interrupts
from safetytwin.agent.observer import Observer
from safetytwin.agent.outbox import Outbox
from safetytwin.agent.schedule import Schedule, boot_clock
from safetytwin.models.system_state import SystemState
from safetytwin.notify import Notifier

LOG = logging.getLogger("safetytwin.agent")


@dataclass(slots=True)
class Loop:
    """Looks at the machine and reports to a bridge."""

    observer: Observer
    outbox: Outbox
    governor: Governor
    schedule: Schedule
    interval: float
    notifier: Notifier

    def step(self) -> Answer | None:
        """Look once, deliver, and drain a little of what waits; return what the bridge said of the newest state.

        Raises IdentityConflictError.
        """
        began = boot_clock()
        state = self.observer.observe(without=frozenset(self.governor.shed))
        self.governor.after_look(state.agent.collectors, state.agent.rss)
        state = self._with_own_facts(state)
        self.notifier.alive()
        answer = self.outbox.deliver(state, boot_clock())
        if answer is not None and answer.status == 200:
            self.outbox.drain()
        self.schedule.looked(began)
        return answer

    def run(self, interrupts: Interrupts, reload: Callable[[], None]) -> None:
        """Step at each interval until SIGINT or SIGTERM; SIGHUP calls reload, which may replace the observer."""
        connected: bool | None = None
        started = False
        while not interrupts.stopping:
            answer = self.step()
            if answer is not None and (answer.status == 200) != connected:
                connected = answer.status == 200
                if connected:
                    LOG.info("reporting to the bridge every %g s", self.interval)
            if started:
                self.notifier.alive(self.status(answer))
            else:
                self.notifier.ready(self.status(answer))
                started = True
            if gc.get_freeze_count() == 0:
                # What the first look made stays: the collector of garbage need not visit it again.
                gc.collect()
                gc.freeze()
            while not interrupts.stopping and (left := self.schedule.wait_seconds()) > 0:
                watched = self.notifier.watchdog_seconds
                interrupts.wait(left if watched is None else min(left, watched / 3))
                if watched is not None:
                    self.notifier.alive()
                if interrupts.reload:
                    interrupts.reload = False
                    reload()

    def status(self, answer: Answer | None) -> str:
        """Return in a line how reporting goes, after this answer of the bridge; None: it was not asked."""
        if answer is not None and answer.status == 200:
            return f"reporting to the bridge every {self.interval:g} s"
        waiting = f"{self.outbox.waiting} frames wait"
        if answer is None:
            return f"the bridge is asked again later; {waiting}"
        said = f"answered {answer.status}" if answer.status else "can't be reached"
        return f"the bridge {said}: {answer.detail}; {waiting}"

    def _with_own_facts(self, state: SystemState) -> SystemState:
        facts = msgspec.structs.replace(
            state.agent,
            interval=self.interval,
            looks_skipped=self.schedule.skipped,
            frames_dropped=self.outbox.dropped,
            frames_spooled=self.outbox.waiting,
            shed=list(self.governor.shed) or None,
        )
        return msgspec.structs.replace(state, agent=facts)
