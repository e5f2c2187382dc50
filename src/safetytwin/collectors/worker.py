"""Runs collectors where one that hangs can be left behind.

A read of /proc can block for ever (a process whose memory map is locked), so can statvfs on a dead mount and an
engine's socket. All collectors of a look run in one thread, one after the other; where one exceeds its deadline, that
thread is left to it and another takes the rest. A collector that hangs is never started a second time meanwhile.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any


@dataclass(slots=True)
class Task:
    """One call under a deadline (seconds), and what became of it."""

    call: Callable[[], Any]
    deadline: float
    result: Any = None
    error: Exception | None = None
    duration: float | None = None
    started: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Call, and keep the result or the exception."""
        began = time.monotonic()
        try:
            self.result = self.call()
        except Exception as error:
            self.error = error
        self.duration = time.monotonic() - began
        self.finished.set()


class _Batch:
    """Tasks handed to one thread; once abandoned, that thread begins no further one."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tasks
        self._lock = threading.Lock()
        self._abandoned = False

    def begin(self, task: Task) -> bool:
        with self._lock:
            if self._abandoned:
                return False
            task.started.set()
            return True

    def abandon_unless_finished(self, task: Task) -> bool:
        with self._lock:
            self._abandoned = not task.finished.is_set()
            return self._abandoned


class Worker:
    """Runs lists of tasks in order, each under its deadline."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Batch | None] | None = None

    def run(self, tasks: Sequence[Task]) -> None:
        """Run tasks in order; those that exceed their deadline go on where nobody waits for them."""
        position = 0
        while position < len(tasks):
            batch = _Batch(tasks[position:])
            self._hand_over(batch)
            for task in batch.tasks:
                position += 1
                task.started.wait()
                if not task.finished.wait(task.deadline) and batch.abandon_unless_finished(task):
                    self._queue = None
                    break

    def close(self) -> None:
        """Let the thread end once it has nothing to do."""
        if self._queue is not None:
            self._queue.put(None)
            self._queue = None

    def _hand_over(self, batch: _Batch) -> None:
        if self._queue is None:
            self._queue = SimpleQueue()
            threading.Thread(target=_serve, args=(self._queue,), name="safetytwin-look", daemon=True).start()
        self._queue.put(batch)


def _serve(queue: "SimpleQueue[_Batch | None]") -> None:
    while (batch := queue.get()) is not None:
        for task in batch.tasks:
            if not batch.begin(task):
                return
            task.run()
