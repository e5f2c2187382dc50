"""Unit files that the administrator wrote, their drop-ins, and whether they are enabled; read again only on change."""

import os

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.file_stamps import WatchedFiles
from safetytwin.collectors.host_root import read_bytes, text_of
from safetytwin.collectors.unit_folder import FoundFile, UnitFolder, install_state, scan, template_of
from safetytwin.digest import sha256_hex
from safetytwin.models.software import Software, UnitFile

_LARGEST_FILE = 1 << 20
_LARGEST_CONTENT = 64 * 1024


class UnitFilesCollector:
    """Keeps what is in the folders of units that are the administrator's own (systemd.unit(5), load path)."""

    def __init__(self) -> None:
        self._watched = WatchedFiles()
        self._software = Software()
        self._unread = 0

    def collect(self, look: Look) -> Software:
        """Return the files, the very same object where nothing changed.

        Raises AbsentError where systemd has no such folder.
        """
        if self._watched.changed():
            root, local = look.root, "usr/local/lib/systemd/system"
            folders = [
                scan("/etc/systemd/system", os.path.join(root.etc, "systemd/system"), root),
                scan(f"/{local}", os.path.join(root.root, local), root),
            ]
            self._watched.watch(place for folder in folders for place in folder.watched)
            found = None
            if any(folder.exists for folder in folders):
                found = self._read(folders, with_content=look.options.unit_file_contents)
            if found != self._software.unit_files:
                self._software = Software(unit_files=found)
        if self._software.unit_files is None:
            raise AbsentError("there is no folder of units of systemd")
        if self._unread:
            look.notes.append(f"unit files that may not be read: {self._unread}")
            look.hint = "run as root"
        return self._software

    def close(self) -> None:
        """Nothing is kept open."""

    def _read(self, folders: list[UnitFolder], *, with_content: bool) -> list[UnitFile]:
        enabled = {unit for folder in folders for unit in folder.enabled}
        indirect = {template_of(unit) for unit in enabled}
        self._unread = 0
        files = [
            self._file(file, enabled, indirect, with_content=with_content)
            for folder in folders
            for file in folder.files
        ]
        return sorted(files, key=lambda file: file.path)

    def _file(self, file: FoundFile, enabled: set[str], indirect: set[str | None], *, with_content: bool) -> UnitFile:
        if file.is_masked:
            return UnitFile(file.path, file.unit, state="masked")
        try:
            data = read_bytes(file.place, _LARGEST_FILE)
        except OSError:
            self._unread += 1
            return UnitFile(file.path, file.unit, target=file.target)
        return UnitFile(
            path=file.path,
            unit=file.unit,
            state=_state(file, data, enabled, indirect),
            target=file.target,
            size=len(data),
            sha256=sha256_hex(data),
            content=text_of(data[:_LARGEST_CONTENT]) if with_content else None,
        )


def _state(file: FoundFile, data: bytes, enabled: set[str], indirect: set[str | None]) -> str | None:
    if file.is_drop_in:
        return None
    if not data:
        return "masked"
    if file.unit in enabled:
        return "enabled"
    if file.target is not None:
        return "linked"
    return "indirect" if file.unit in indirect else install_state(data)
