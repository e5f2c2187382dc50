"""Packages of pacman (Arch), from its local database: a folder for each package with a file desc (libalpm)."""

import os
import sys
from collections.abc import Mapping

from safetytwin.collectors.host_root import HostRoot, read_bytes, text_of
from safetytwin.collectors.package_database import PackageDatabase, unless_same
from safetytwin.models.software import Package


class PacmanDatabase(PackageDatabase):
    """The local database; a folder is named after package and version, so that one that was read stays valid."""

    manager = "pacman"

    def __init__(self, root: HostRoot) -> None:
        self._folder = os.path.join(root.var, "lib/pacman/local")
        self._by_folder: dict[str, Package] = {}
        super().__init__((self._folder,))

    def read(self) -> Mapping[str, Package]:
        """Return the packages by id; raises OSError."""
        by_folder: dict[str, Package] = {}
        for name in os.listdir(self._folder):
            package = self._by_folder.get(name) or self._read_package(name)
            if package is not None:
                by_folder[name] = package
        self._by_folder = by_folder
        return {package.id: package for package in by_folder.values()}

    def _read_package(self, folder: str) -> Package | None:
        try:
            return parse_desc(read_bytes(os.path.join(self._folder, folder, "desc")))
        except (FileNotFoundError, NotADirectoryError):
            return None  # ALPM_DB_VERSION, or gone since


def parse_desc(data: bytes) -> Package | None:
    """Return the package that a desc file describes, or None where it names none."""
    fields: dict[bytes, str] = {}
    for block in data.split(b"\n\n"):
        lines = block.strip().split(b"\n")
        if len(lines) > 1:
            fields[lines[0]] = text_of(lines[1].strip())
    name = fields.get(b"%NAME%")
    if not name:
        return None
    architecture = fields.get(b"%ARCH%")
    return Package(
        manager="pacman",
        id=name,
        name=name,
        version=fields.get(b"%VERSION%") or None,
        architecture=sys.intern(architecture) if architecture else None,
        source=unless_same(fields.get(b"%BASE%"), name),
    )
