"""Names of users, from the passwd file of the machine that is looked at."""

import os

from safetytwin.collectors.host_root import read_bytes, text_of


def parse_passwd(data: bytes) -> dict[int, str]:
    """Return names by uid (passwd(5)); of several names for one uid the first, as getpwuid answers.

    Lines that are none of the format's (comments, NIS entries) are passed over.
    """
    names: dict[int, str] = {}
    for line in data.split(b"\n"):
        fields = line.split(b":")
        if len(fields) < 4 or not fields[0] or not fields[2].isdigit():
            continue
        names.setdefault(int(fields[2][:10]), text_of(fields[0]))
    return names


class Users:
    """The names of users; the file is read again when it was replaced or written."""

    def __init__(self, etc: str) -> None:
        self._path = os.path.join(etc, "passwd")
        self._seen: tuple[int, int, int] | None = None
        self._names: dict[int, str] = {}

    def refresh(self) -> bool:
        """Read the file again where it changed; return whether it did."""
        try:
            status = os.stat(self._path)
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return False
            names = parse_passwd(read_bytes(self._path))
        except FileNotFoundError:
            seen, names = None, {}
        except OSError:
            return False  # it may not be read, or there is no descriptor left: what was read before holds
        changed = names != self._names
        self._seen, self._names = seen, names
        return changed

    def name_of(self, uid: int | None) -> str | None:
        """Return a user's name, the uid as text where it has none, None where the uid is not known."""
        if uid is None:
            return None
        return self._names.get(uid) or str(uid)
