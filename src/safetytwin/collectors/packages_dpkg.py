"""Packages of dpkg, from its status file (dpkg(1), FILES; deb-control(5); dpkg-query(1) for binary:Package)."""

import os
import sys
from collections.abc import Iterator, Mapping

from safetytwin.collectors.host_root import HostRoot, read_bytes, text_of
from safetytwin.collectors.package_database import LARGEST_DATABASE, PackageDatabase, unless_same
from safetytwin.models.software import Package

_GONE = frozenset({"not-installed", "config-files"})


class DpkgDatabase(PackageDatabase):
    """The status file of dpkg, which it replaces as a whole."""

    manager = "dpkg"

    def __init__(self, root: HostRoot) -> None:
        folder = os.path.join(root.var, "lib/dpkg")
        self._status, self._arch = os.path.join(folder, "status"), os.path.join(folder, "arch")
        super().__init__((self._status, self._arch))

    def read(self) -> Mapping[str, Package]:
        """Return the packages by id; raises OSError."""
        data = read_bytes(self._status, LARGEST_DATABASE)
        return {package.id: package for package in parse_status(data, self._native_architecture())}

    def _native_architecture(self) -> str | None:
        """Return the machine's own architecture: the first in dpkg's list, which exists where foreign ones are."""
        try:
            return text_of(read_bytes(self._arch)).split()[0]
        except (OSError, IndexError):
            return None


def parse_status(data: bytes, native: str | None = None) -> Iterator[Package]:
    """Yield the packages of a status file that are more than leftover configuration.

    native is the machine's own architecture; a package of another carries it in its id, as dpkg prints it.
    """
    for stanza in data.split(b"\n\n"):
        name = _field(stanza, b"Package")
        words = (_field(stanza, b"Status") or "").split()
        if name is None or len(words) != 3 or words[2] in _GONE:
            continue
        want, _, status = words
        architecture = _field(stanza, b"Architecture")
        foreign = native is not None and architecture not in {native, "all", None}
        qualified = architecture is not None and (_field(stanza, b"Multi-Arch") == "same" or foreign)
        source = (_field(stanza, b"Source") or "").partition(" ")[0]
        yield Package(
            manager="dpkg",
            id=f"{name}:{architecture}" if qualified else name,
            name=name,
            version=_field(stanza, b"Version"),
            architecture=None if architecture is None else sys.intern(architecture),
            source=unless_same(source, name),
            status=None if status == "installed" else sys.intern(status),
            held=True if want == "hold" else None,
        )


def _field(stanza: bytes, name: bytes) -> str | None:
    """Return a field's text, or None where it is missing or empty; dpkg writes each name as it is here."""
    mark = name + b":"
    start = 0 if stanza.startswith(mark) else stanza.find(b"\n" + mark) + 1
    if start == 0 and not stanza.startswith(mark):
        return None
    end = stanza.find(b"\n", start)
    value = stanza[start + len(mark) : end if end >= 0 else None].strip()
    return text_of(value) if value else None
