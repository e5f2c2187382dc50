"""Opening a file that someone else chose."""

import os
import re

_BLOB = re.compile(r"(\.\./){1,8}blobs/[0-9A-Za-z_-]{1,128}")
"""A link of the Hugging Face cache to its blob: the one kind of link that is followed."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def open_model_file(path: str) -> int:
    """Return a descriptor of a file or folder to read from, never waiting on a pipe or a device; raises OSError."""
    try:
        return os.open(path, _FLAGS)
    except OSError:
        target = os.readlink(path)  # raises OSError where it is no link
        if _BLOB.fullmatch(target) is None:
            raise
        return os.open(os.path.join(os.path.dirname(path), target), _FLAGS)
    except ValueError:
        raise FileNotFoundError(f"{path!r} is no path") from None
