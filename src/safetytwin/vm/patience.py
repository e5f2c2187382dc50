"""Calls that may never return, each in a thread that can be left behind."""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class HangsError(Exception):
    """A call did not return in time, or an earlier one still has not."""


class Patience:
    """Makes one call at a time; after one that hangs it makes no other until that one has returned."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._left_behind: threading.Thread | None = None

    def call(self, function: Callable[[], T], timeout: float) -> T:
        """Return function()'s value or raise its exception; raises HangsError after timeout seconds."""
        if not self._mutex.acquire(timeout=timeout):
            raise HangsError
        try:
            return self._call(function, timeout)
        finally:
            self._mutex.release()

    def _call(self, function: Callable[[], T], timeout: float) -> T:
        if self._left_behind is not None and self._left_behind.is_alive():
            raise HangsError
        answers: queue.SimpleQueue[tuple[bool, T | BaseException]] = queue.SimpleQueue()

        def work() -> None:
            try:
                answers.put((True, function()))
            except BaseException as error:
                answers.put((False, error))

        thread = threading.Thread(target=work, name="libvirt", daemon=True)
        thread.start()
        try:
            good, answer = answers.get(timeout=timeout)
        except queue.Empty:
            self._left_behind = thread
            raise HangsError from None
        if not good and isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[return-value] # good: it is function's value
