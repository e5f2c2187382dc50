"""Installed packages, from the databases of dpkg, rpm, apk and pacman; a database is read only when it changed."""

from collections.abc import Callable, Mapping

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.host_root import HostRoot
from safetytwin.collectors.package_database import PackageDatabase, UnreadableDatabaseError
from safetytwin.collectors.packages_apk import ApkDatabase
from safetytwin.collectors.packages_dpkg import DpkgDatabase
from safetytwin.collectors.packages_pacman import PacmanDatabase
from safetytwin.collectors.packages_rpm import RpmDatabase
from safetytwin.models.software import Package, Software

_MANAGERS: tuple[Callable[[HostRoot], PackageDatabase], ...] = (ApkDatabase, DpkgDatabase, PacmanDatabase, RpmDatabase)


class PackagesCollector:
    """Keeps what each manager's database held."""

    def __init__(self) -> None:
        self._databases: list[PackageDatabase] | None = None
        self._by_database: dict[int, Mapping[str, Package]] = {}
        self._software = Software()

    def collect(self, look: Look) -> Software:
        """Return the packages, the very same object where no database changed.

        Raises AbsentError where the machine has no database that can be read, and says why. Where one database can't be
        read beside others that can, that is a note, and what it last held stays.
        """
        if self._databases is None:
            self._databases = [make(look.root) for make in _MANAGERS]
        read_anew = False
        problems: list[str] = []
        for index, database in enumerate(self._databases):
            try:
                packages = database.read_if_changed()
            except UnreadableDatabaseError as error:
                problems.append(str(error))
                look.stale = look.stale or bool(self._by_database.get(index))
                continue
            if packages is not None:
                before = self._by_database.get(index, {})
                self._by_database[index] = {key: _same(before.get(key), new) for key, new in packages.items()}
                read_anew = True
        if not any(self._by_database.values()):
            raise AbsentError("; ".join(problems) or "no packages of dpkg, rpm, apk or pacman are installed here")
        look.notes += problems
        if read_anew:
            found = [package for packages in self._by_database.values() for package in packages.values()]
            found.sort(key=lambda package: (package.manager, package.id))
            if self._software.packages is None or not _are_same(found, self._software.packages):
                self._software = Software(packages=found)
        return self._software

    def close(self) -> None:
        """Nothing is kept open."""


def _same(before: Package | None, new: Package) -> Package:
    return before if before is not None and before == new else new


def _are_same(new: list[Package], before: list[Package]) -> bool:
    return len(new) == len(before) and all(a is b for a, b in zip(new, before, strict=True))
