"""What the databases of installed packages have in common: they are read only where their files changed."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from safetytwin.collectors.file_stamps import WatchedFiles
from safetytwin.models.software import Package

LARGEST_DATABASE = 512 * 1024 * 1024
"""Bytes; a larger file is no database of packages."""


class UnreadableDatabaseError(Exception):
    """There is a database, but it can't be read; the text says which and why."""


class PackageDatabase(ABC):
    """The database of one package manager."""

    manager: str

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        """The files and folders that change when a package is installed, upgraded or removed."""
        self._watched = WatchedFiles()

    def read_if_changed(self) -> Mapping[str, Package] | None:
        """Return the packages by id, or None where nothing changed since the last call; {} where there is no database.

        Raises UnreadableDatabaseError; the next call then tries again.
        """
        if not self._watched.changed():
            return None
        self._watched.watch(self.paths)
        try:
            return self.read()
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._watched.forget()
            raise UnreadableDatabaseError(f"{self.manager}'s database can't be read: {error.strerror}") from error
        except UnreadableDatabaseError:
            self._watched.forget()
            raise

    @abstractmethod
    def read(self) -> Mapping[str, Package]:
        """Return the packages by id; raises OSError (FileNotFoundError: no database), UnreadableDatabaseError."""


def first_existing(paths: Sequence[str]) -> str | None:
    """Return the first of the paths that exists."""
    return next((path for path in paths if os.path.exists(path)), None)


def unless_same(source: str | None, name: str) -> str | None:
    """Return a source package's name, or None where it is the package's own."""
    return source if source and source != name else None
