"""A process that does what a test tells it to, and nothing else meanwhile."""

import subprocess
import sys
import time
from contextlib import contextmanager

_SCRIPT = """
import ctypes, os, signal, socket, sys, threading, time
signal.alarm(240)
kept = []
for line in sys.stdin:
    exec(line)
    print(os.getpid(), flush=True)
"""


class Puppet:
    """Runs one line of Python at a time in a process of its own."""

    def __init__(self, running, pid):
        self.running = running
        self.pid = pid

    def do(self, line):
        """Have the line done; returns once it is."""
        self.running.stdin.write(line + "\n")
        self.running.stdin.flush()
        answer = self.running.stdout.readline()
        assert answer, f"the process ended at: {line}"
        while b") S " not in self._stat():  # until it waits for the next line, it may still run
            time.sleep(0.001)
        return int(answer)

    def _stat(self):
        with open(f"/proc/{self.running.pid}/stat", "rb") as stat:
            return stat.read()

    def order(self, line):
        """Have the line done by a process that will not answer any more."""
        self.running.stdin.write(line + "\n")
        self.running.stdin.flush()


@contextmanager
def puppet(*arguments, before=()):
    """Start one, with arguments that it does not look at, by the command before where one is given."""
    command = [*before, sys.executable, "-S", "-c", _SCRIPT, *arguments]
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        one = Puppet(running, running.pid)
        one.pid = one.do("pass")
        yield one
    finally:
        running.kill()
        running.communicate()
