"""What recognition reads of a process beyond its record: maps, device files, open model files, a few variables.

Read only where it can have changed; what may not be read is named, never taken for absent.
"""

import os
import re
import stat
from collections.abc import Collection
from typing import NamedTuple

from safetytwin.collectors.host_root import read_bytes, text_of
from safetytwin.workloads.formats.header import ModelHeader
from safetytwin.workloads.library_table import Library, LibraryTable
from safetytwin.workloads.mapped_files import MappedFile, parse_maps
from safetytwin.workloads.model_files import HeaderReader

_MAPS_LIMIT = 16 * 1024 * 1024
_ENVIRONMENT_LIMIT = 1024 * 1024
_MOST_DESCRIPTORS = 4096
_MOST_LINKS = 8
_MOST_FILES = 256
"""Model files of one process whose headers are read."""
_MODEL_ENDING = re.compile(
    r"(?:\.(?:gguf|ggml|safetensors|pt|pth|ckpt|bin|onnx|tflite|h5|hdf5|keras|llamafile|engine|mlmodel)|/sha256-[0-9a-f]{64}"
    r"|/blobs/[0-9a-f]{40,64}|/model\.weights)$"
)
_NO_MODEL = re.compile(
    r"(?:\.(?:so|pyc|pyd|mo|ttf|otf|ttc|cache|db|sqlite|journal|jar|jsa|node|pak|icu|dat|conf|mui|dll|exe|class|nls|map"
    r"|wal|shm|mdb|ldb|sst|log|idx|pack|rpm|deb|qcow2|img|iso|hive|gvdb|compiled|typelib|hwdb|catalog|oat|odex|vdex|mp3"
    r"|png|gif|tif|tiff)(?:[.-][\w.]*)?|locale-archive|gconv-modules\.cache|ld\.so\.cache|\.so\.[\d.]+)$",
    re.IGNORECASE,
)
_LEAST_UNNAMED = 1024 * 1024
"""Bytes mapped of a file, whose name says nothing, from which on its header is read."""
_DEVICES = re.compile(r"^/dev/(nvidia\d+|nvidia-uvm|kfd|dri/renderD\d+|accel/accel\d+|accel\d+|neuron\d+|davinci\d+)$")


class ModelFile(NamedTuple):
    """A model file as a process holds it."""

    path: str
    """As the process sees it."""
    how: str
    """mapped, open, or named (on the command line or in the environment)."""
    deleted: bool
    header: ModelHeader | None
    """None where it could not be read."""
    broken: bool = False
    """It was read and is no model."""


class Sight(NamedTuple):
    """What was read of a process."""

    libraries: tuple[tuple[str, Library], ...] = ()
    files: tuple[ModelFile, ...] = ()
    devices: tuple[str, ...] = ()
    site_packages: str | None = None
    denied: tuple[str, ...] = ()
    """Files of /proc/PID that may not be read."""
    interpreter: bool = False
    """It maps what belongs to an interpreter."""
    mapped: bool = False
    """maps was read."""


class SightReader:
    """Reads processes below a /proc; hazards are folders in which a read may hang and that are left alone."""

    def __init__(self, proc: str, libraries: LibraryTable, headers: HeaderReader) -> None:
        self._proc = proc
        self._libraries = libraries
        self._headers = headers
        self.hazards: tuple[str, ...] = ()

    def look(self, pid: int) -> Sight:
        """Return what a process maps and holds open; a process that is gone maps nothing."""
        base = f"{self._proc}/{pid}/"
        denied = []
        maps: list[MappedFile] = []
        readable = False
        try:
            maps = parse_maps(read_bytes(base + "maps", _MAPS_LIMIT))
            readable = True
        except PermissionError:
            denied.append(base + "maps")
        except OSError:
            pass  # gone
        libraries = []
        site_packages = None
        interpreter = False
        files: list[ModelFile] = []
        for mapped in maps:
            for said in self._libraries.of(mapped.path):
                if said.kind == "interpreter":
                    interpreter = True
                else:
                    libraries.append((mapped.path, said))
            if site_packages is None and "-packages/" in mapped.path:
                site_packages = mapped.path.partition("-packages/")[0] + "-packages"
            if not mapped.executable and len(files) < _MOST_FILES and self._may_be_model(mapped):
                found = self._held(f"{base}map_files/{mapped.link}", base, mapped.path, "mapped", mapped.deleted)
                if found is not None:
                    files.append(found)
        devices, opened = self._descriptors(base, {file.path for file in files}, denied)
        return Sight(
            tuple(libraries), tuple(files + opened), devices, site_packages, tuple(denied), interpreter, readable
        )

    def environment(self, pid: int, names: Collection[str]) -> dict[str, str] | None:
        """Return those of the named variables that a process was started with; None where it may not be read."""
        try:
            data = read_bytes(f"{self._proc}/{pid}/environ", _ENVIRONMENT_LIMIT)
        except OSError:
            return None
        found: dict[str, str] = {}
        for item in data.split(b"\0"):
            name, equals, value = item.partition(b"=")
            if equals and text_of(name) in names and value:
                found.setdefault(text_of(name), text_of(value))
        return found

    def named(self, pid: int, path: str, cwd: str | None) -> ModelFile | None:
        """Return a model file or folder named on a command line; None where there is no such file."""
        whole = path if path.startswith("/") else os.path.join(cwd, path) if cwd is not None else None
        if whole is None:
            return None
        whole = os.path.normpath(whole)
        if self._hangs(whole):
            return ModelFile(whole, "named", deleted=False, header=None)
        inside = self._inside(pid, whole)
        try:
            found = os.stat(inside)
        except PermissionError:
            return ModelFile(whole, "named", deleted=False, header=None)
        except (OSError, ValueError):
            return None
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            return None
        header = self._headers.read(self._followed(pid, inside))
        if header is None and stat.S_ISDIR(found.st_mode):
            header = self._first_weights(pid, inside)
        readable = os.access(inside, os.R_OK)
        return ModelFile(whole, "named", deleted=False, header=header, broken=_broken(header) and readable)

    def listed(self, pid: int, folder: str) -> list[str]:
        """Return the names in a folder as a process sees it; [] where it can't be read."""
        if self._hangs(folder):
            return []
        try:
            return os.listdir(self._inside(pid, folder))
        except (OSError, ValueError):
            return []

    def beginning(self, pid: int, path: str, length: int, tail: int = 0) -> tuple[bytes, bytes]:
        """Return the first and the last bytes of a regular file as a process sees it; b"" where it can't be read."""
        if self._hangs(path):
            return b"", b""
        try:
            descriptor = os.open(self._inside(pid, path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return b"", b""
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return b"", b""
            return os.pread(descriptor, length, 0), os.pread(descriptor, tail, max(0, status.st_size - tail))
        except OSError:
            return b"", b""
        finally:
            os.close(descriptor)

    def link(self, pid: int, path: str) -> str | None:
        """Return where a link that a process names points to; None where it is none or can't be read."""
        if self._hangs(path):
            return None
        try:
            return os.readlink(self._inside(pid, path))
        except (OSError, ValueError):
            return None

    def exe_size(self, pid: int) -> int | None:
        """Return the size of a process's executable in bytes; None where it may not be seen."""
        try:
            return os.stat(f"{self._proc}/{pid}/exe").st_size
        except OSError:
            return None

    def _descriptors(self, base: str, known: set[str], denied: list[str]) -> tuple[tuple[str, ...], list[ModelFile]]:
        devices: dict[str, None] = {}
        files: list[ModelFile] = []
        if base == f"/proc/{os.getpid()}/":
            return (), []  # this agent keeps thousands, none of them a model's
        try:
            names = os.listdir(base + "fd")[:_MOST_DESCRIPTORS]
        except PermissionError:
            denied.append(base + "fd")
            return (), []
        except OSError:
            return (), []
        for name in names:
            try:
                link = os.readlink(f"{base}fd/{name}")
            except OSError:
                continue
            if not link.startswith("/"):
                continue
            if not link.isascii():
                link = text_of(os.fsencode(link))
            if _DEVICES.match(link):
                devices[link] = None
                continue
            deleted = link.endswith(" (deleted)")
            path = link.removesuffix(" (deleted)")
            if path in known or not _MODEL_ENDING.search(path) or len(files) >= _MOST_FILES:
                continue
            known.add(path)
            found = self._held(f"{base}fd/{name}", base, path, "open", deleted)
            if found is not None:
                files.append(found)
        return tuple(sorted(devices)), files

    def _may_be_model(self, mapped: MappedFile) -> bool:
        if _MODEL_ENDING.search(mapped.path):
            return True
        return mapped.size >= _LEAST_UNNAMED and _NO_MODEL.search(mapped.path) is None

    def _held(self, link: str, base: str, path: str, how: str, deleted: bool) -> ModelFile | None:
        """Return a file that a process holds, read through the kernel's link to it, which works when it is unlinked."""
        named = _MODEL_ENDING.search(path) is not None
        if self._hangs(path):
            return ModelFile(path, how, deleted, None) if named else None
        descriptor = -1
        places = (link,) if deleted else (link, f"{base}root{path}")
        for place in places:
            try:
                descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
                break
            except OSError:
                continue
        if descriptor < 0:
            return ModelFile(path, how, deleted, None) if named else None
        try:
            header = self._headers.read(descriptor, None if deleted else f"{base}root{os.path.dirname(path)}")
        finally:
            os.close(descriptor)
        if header is None and not named:
            return None
        return ModelFile(path, how, deleted, header, broken=_broken(header))

    def _first_weights(self, pid: int, folder: str) -> ModelHeader | None:
        """Return the header of the first weights in a folder of a model."""
        try:
            names = sorted(os.listdir(folder))[:1000]
        except OSError:
            return None
        for name in names:
            if name.endswith((".safetensors", ".gguf", ".bin", ".onnx", ".pt")):
                header = self._headers.read(self._followed(pid, os.path.join(folder, name)))
                if header is not None and header.problem is None:
                    return header
        return None

    def _inside(self, pid: int, path: str) -> str:
        """Return the path by which a file that a process names is reached from here: below its own root."""
        root = f"{self._proc}/{pid}/root"
        try:
            os.readlink(root)
        except OSError:
            return path
        return root + path

    def _followed(self, pid: int, path: str) -> str:
        """Return a path with the links at its end followed, as the process would: its root is not ours."""
        for _ in range(_MOST_LINKS):
            try:
                target = os.readlink(path)
            except (OSError, ValueError):
                return path
            beside = os.path.join(os.path.dirname(path), target)
            path = self._inside(pid, target) if target.startswith("/") else beside
        return path

    def _hangs(self, path: str) -> bool:
        return any(path == hazard or path.startswith(hazard + "/") for hazard in self.hazards)


def _broken(header: ModelHeader | None) -> bool:
    return header is None or header.problem is not None
