"""An agent that ends with the process that started it, however that ends: `python -m safetytwin.cli.follower OPTIONS`.

Its standard input is a pipe. It loads, waits for the bridge's URL on it, one line, and reports to that bridge until the
pipe is closed: the kernel does that with the process that has the other end.
"""

import os
import signal
import sys
import threading

from safetytwin.cli import agent_loop
from safetytwin.cli.main import main

__all__ = ["agent_loop"]  # loaded before the URL is here: nothing is left to load then


def _end_with_standard_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    url = sys.stdin.readline().strip()
    if not url:
        sys.exit(0)
    threading.Thread(target=_end_with_standard_input, name="follower", daemon=True).start()
    sys.exit(main(["agent", "--bridge", url, *sys.argv[1:]]))
