"""Calls that may never return, such as statvfs on a dead network mount, made where they can be left behind."""

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

MOST_STUCK = 32
"""Threads that may hang at one time; an automounter that mounts a dead server again and again must not fill memory."""


class _Call(Generic[R]):
    def __init__(self, call: Callable[[], R]) -> None:
        self._call = call
        self.finished = threading.Event()
        self.result: R | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.result = self._call()
        except Exception as error:
            self.error = error
        self.finished.set()


class GuardedCalls(Generic[K, R]):
    """Makes a call for each of some keys, each in a thread of its own, and waits at most deadline seconds for them all.

    A call that hangs is remembered under its key and never made a second time meanwhile.
    """

    def __init__(self, deadline: float = 1.0) -> None:
        self._deadline = deadline
        self._stuck: dict[K, _Call[R]] = {}

    def ask(self, calls: Sequence[tuple[K, Callable[[], R]]]) -> dict[K, R | Exception]:
        """Return what each call returned or raised; the keys of those that did not answer are missing."""
        self._stuck = {key: call for key, call in self._stuck.items() if not call.finished.is_set()}
        under_way: dict[K, _Call[R]] = {}
        for key, function in calls:
            if key in self._stuck or len(self._stuck) >= MOST_STUCK:
                continue
            call = _Call(function)
            under_way[key] = call
            threading.Thread(target=call.run, name="safetytwin-guarded", daemon=True).start()
        answers: dict[K, R | Exception] = {}
        end = time.monotonic() + self._deadline
        for key, call in under_way.items():
            if not call.finished.wait(max(0.0, end - time.monotonic())):
                self._stuck[key] = call
            elif call.error is not None:
                answers[key] = call.error
            elif call.result is not None:
                answers[key] = call.result
        return answers
