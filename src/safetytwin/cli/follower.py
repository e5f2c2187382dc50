"""An agent that ends with the process that started it, however that ends: `python -m safetytwin.cli.follower OPTIONS`.

It holds the reading end of a pipe as standard input; the kernel closes the other end with the process that has it.
"""

import os
import signal
import sys
import threading

from safetytwin.cli.main import main


def _end_with_standard_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_standard_input, name="follower", daemon=True).start()
    sys.exit(main(["agent", *sys.argv[1:]]))
