"""python -m safetytwin."""

import sys

from safetytwin.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
