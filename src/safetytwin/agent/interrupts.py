"""Signals that end or renew the loop, noticed where it waits and never in the middle of a write."""

import os
import select
import signal
from types import FrameType


class Interrupts:
    """Turns SIGINT and SIGTERM into `stopping` and SIGHUP into `reload`, and wakes wait() at once.

    A handler only notes the signal and writes a byte into a pipe: nothing is interrupted, and no signal is lost between
    a check and a wait.
    """

    def __init__(self) -> None:
        self.stopping = False
        self.reload = False
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if hasattr(os, "pipe2") else os.pipe()
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == getattr(signal, "SIGHUP", None):
            self.reload = True
        else:
            self.stopping = True
        try:
            os.write(self._writer, b"!")
        except BlockingIOError:
            pass  # the pipe is full of wake-ups already

    def wait(self, seconds: float) -> None:
        """Return after seconds, or as soon as a signal came."""
        if self.stopping or self.reload:
            return
        readable, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        if readable:
            os.read(self._reader, 512)

    def close(self) -> None:
        """Give the pipe back and the signals their usual meaning."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None:
                signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)
        os.close(self._reader)
        os.close(self._writer)
