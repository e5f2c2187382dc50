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
    started: float | None = None
    """time.monotonic() when it began."""
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
    """Tasks handed to one thread; once abandoned, that thread begins no further one.

    Who waits for them is woken once, when all are done: a wake-up for each costs more than most collectors.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._lock = threading.Lock()
        self._position = 0
        """The task that runs, or is next."""
        self._abandoned = False
        self._done = threading.Event()

    def serve(self) -> bool:
        """Run the tasks; return False where the batch was abandoned meanwhile."""
        for position, task in enumerate(self._tasks):
            with self._lock:
                if self._abandoned:
                    return False
                self._position = position
                task.started = time.monotonic()
            task.run()
        self._done.set()
        return True

    def wait(self) -> int | None:
        """Wait until all are done, or one exceeds its deadline; return that one's position, None for all done.

        The batch is then abandoned.
        """
        shortest = min(task.deadline for task in self._tasks)
        pause = shortest
        while not self._done.wait(pause):
            with self._lock:
                task = self._tasks[self._position]
                left = task.deadline if task.started is None else task.started + task.deadline - time.monotonic()
                if left <= 0 and not task.finished.is_set():
                    self._abandoned = True
                    return self._position
            # One that starts meanwhile may have less time than the one that runs.
            pause = min(max(left, 0.001), shortest)
        return None


class Worker:
    """Runs lists of tasks in order, each under its deadline."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Batch | None] | None = None

    def run(self, tasks: Sequence[Task]) -> None:
        """Run tasks in order; those that exceed their deadline go on where nobody waits for them."""
        while tasks:
            batch = _Batch(tasks)
            self._hand_over(batch)
            late = batch.wait()
            if late is None:
                return
            self._queue = None
            tasks = tasks[late + 1 :]

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
    while (batch := queue.get()) is not None and batch.serve():
        pass
