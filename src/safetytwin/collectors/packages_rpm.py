"""Packages of rpm, where its database is SQLite, the default since rpm 4.16 (Fedora 33, RHEL 9).

The older formats (Berkeley DB, SUSE's ndb) can be read by librpm alone; that such a database is there is said.
"""

import os
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from safetytwin.collectors.host_root import HostRoot
from safetytwin.collectors.package_database import PackageDatabase, UnreadableDatabaseError, first_existing
from safetytwin.collectors.rpm_header import header_package
from safetytwin.models.software import Package

_UNREAD = {"Packages": "Berkeley DB", "Packages.db": "ndb"}


class RpmDatabase(PackageDatabase):
    """The database; SQLite writes beside it first (-wal)."""

    manager = "rpm"

    def __init__(self, root: HostRoot) -> None:
        folders = [os.path.join(root.root, "usr/lib/sysimage/rpm"), os.path.join(root.var, "lib/rpm")]
        self._sqlite = [os.path.join(folder, "rpmdb.sqlite") for folder in folders]
        self._others = {os.path.join(folder, name): kind for folder in folders for name, kind in _UNREAD.items()}
        super().__init__([*self._sqlite, *(f"{path}-wal" for path in self._sqlite), *self._others])

    def read(self) -> Mapping[str, Package]:
        """Return the packages by id; raises UnreadableDatabaseError."""
        path = first_existing(self._sqlite)
        if path is not None:
            return by_id(filter(None, map(header_package, _headers(path))))
        other = first_existing(list(self._others))
        if other is None:
            return {}
        raise UnreadableDatabaseError(
            f"rpm's database is in the format {self._others[other]}, which only librpm reads: it lists no package"
        )


def by_id(packages: Iterable[Package]) -> dict[str, Package]:
    """Return packages by id; they come oldest first, and of several of one id the newest keeps it."""
    found: dict[str, Package] = {}
    for package in packages:
        older = found.pop(package.id, None)
        if older is not None:
            kept = f"{older.name}-{older.version}.{older.architecture}"
            found[kept] = _renamed(older, kept)
        found[package.id] = package
    return found


def _renamed(package: Package, name: str) -> Package:
    return Package(package.manager, name, package.name, package.version, package.architecture, package.source)


def _headers(path: str) -> list[bytes]:
    import sqlite3  # noqa: PLC0415 - only machines with such a database pay for it

    # Where no transaction is open nothing is locked or written, so that a read-only file system does as well.
    mode = "mode=ro" if os.path.exists(f"{path}-wal") else "immutable=1"
    try:
        connection = sqlite3.connect(f"file:{quote(path)}?{mode}", uri=True, timeout=1.0)
        try:
            return [bytes(row[0]) for row in connection.execute("SELECT blob FROM Packages ORDER BY hnum")]
        finally:
            connection.close()
    except (sqlite3.Error, TypeError) as error:
        raise UnreadableDatabaseError(f"rpm's database can't be read: {error}") from error
