"""Packages of apk (Alpine), from its installed database (apk-tools documentation, "apk-installed-db")."""

import os
import sys
from collections.abc import Iterator, Mapping

from safetytwin.collectors.host_root import HostRoot, read_bytes, text_of
from safetytwin.collectors.package_database import (
    LARGEST_DATABASE,
    PackageDatabase,
    first_existing,
    unless_same,
)
from safetytwin.models.software import Package

_KEPT = frozenset((b"P", b"V", b"A", b"o"))


class ApkDatabase(PackageDatabase):
    """The installed database, which apk replaces as a whole; apk 3 keeps it below /usr."""

    manager = "apk"

    def __init__(self, root: HostRoot) -> None:
        super().__init__([os.path.join(root.root, folder, "apk/db/installed") for folder in ("lib", "usr/lib")])

    def read(self) -> Mapping[str, Package]:
        """Return the packages by id; raises OSError."""
        path = first_existing(self.paths)
        if path is None:
            return {}
        return {package.id: package for package in parse_installed(read_bytes(path, LARGEST_DATABASE))}


def parse_installed(data: bytes) -> Iterator[Package]:
    """Yield the packages of an installed database; a stanza without a name is passed over."""
    for stanza in data.split(b"\n\n"):
        fields: dict[bytes, str] = {}
        for line in stanza.split(b"\n"):
            letter, colon, value = line.partition(b":")
            if colon and letter in _KEPT:
                fields.setdefault(letter, text_of(value))
        name = fields.get(b"P")
        if name:
            architecture = fields.get(b"A")
            yield Package(
                manager="apk",
                id=name,
                name=name,
                version=fields.get(b"V") or None,
                architecture=sys.intern(architecture) if architecture else None,
                source=unless_same(fields.get(b"o"), name),
            )
