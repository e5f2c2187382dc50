"""Files that are written whole or not at all, and that only their owner may read."""

import os


def write_whole(path: str, data: bytes) -> None:
    """Write data to path, mode 0600: a reader sees the old file or the new one, never half of it; raises OSError.

    The new file is on the disk before it takes the old one's name, and a link at path is replaced, not followed.
    """
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
