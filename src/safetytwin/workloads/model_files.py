"""Model files, known by what they hold and never by their names; nothing in them is run or unpickled."""

import os
import re
import stat
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from safetytwin.workloads.formats import detect
from safetytwin.workloads.formats.header import ModelHeader, Part
from safetytwin.workloads.formats.source import HeaderSource
from safetytwin.workloads.model_files_parts import Folder, whole_model

_KEPT = 8192
"""How many files' results are kept."""
_TIME_LIMIT = 5.0
"""Seconds that a model with all its parts may take."""
_BLOB = re.compile(r"(\.\./){1,8}blobs/[0-9A-Za-z_-]{1,128}")
"""A link of the Hugging Face cache to its blob: the one kind of link that is followed."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def read_header(path_or_fd: str | int, folder: str | None = None) -> ModelHeader | None:
    """Return what a model file, or the folder of a model, says of itself; None where it is no model or not readable.

    A descriptor is left open; the files beside it are looked for in folder, which for a path is where the file lies.
    Regular files only; a link is not followed unless it is one of the Hugging Face cache to its blob.
    """
    return HeaderReader().read(path_or_fd, folder)


class HeaderReader:
    """Reads headers and keeps what it read until a file's device, inode, size or time of change differs."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int, int, int], Any] = OrderedDict()

    def read(self, path_or_fd: str | int, folder: str | None = None) -> ModelHeader | None:
        """Return what read_header returns; a file that did not change is not read again."""
        deadline = time.monotonic() + _TIME_LIMIT
        if isinstance(path_or_fd, int):
            part = self._part(path_or_fd, deadline)
            return None if part is None else whole_model(part, None, self._folder(folder, deadline))
        try:
            descriptor = open_model_file(path_or_fd)
        except OSError:
            return None
        try:
            part = self._part(descriptor, deadline)
        finally:
            os.close(descriptor)
        if part is None:
            return None
        beside = self._folder(os.path.dirname(path_or_fd) or "." if folder is None else folder, deadline)
        return whole_model(part, path_or_fd, beside)

    def _folder(self, path: str | None, deadline: float) -> Folder | None:
        if path is None:
            return None

        def part_of(name: str) -> Part | None:
            found: Part | None = self._beside(path, name, lambda descriptor: self._part(descriptor, deadline))
            return found

        def json_of(name: str) -> Any:
            return self._beside(path, name, self._small_json)

        return Folder(path, part_of, json_of)

    def _beside(self, folder: str, name: str, read: Callable[[int], Any]) -> Any:
        try:
            descriptor = open_model_file(os.path.join(folder, name))
        except OSError:
            return None
        try:
            return read(descriptor)
        finally:
            os.close(descriptor)

    def _part(self, descriptor: int, deadline: float) -> Part | None:
        part: Part | None = self._once("part", descriptor, lambda source: detect.parse(source), deadline)
        return part

    def _small_json(self, descriptor: int) -> Any:
        return self._once("json", descriptor, detect.small_json, None)

    def _once(self, purpose: str, descriptor: int, parse: Callable[[HeaderSource], Any], deadline: float | None) -> Any:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        key = (purpose, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = parse(HeaderSource.of_descriptor(descriptor, status.st_size, deadline=deadline))
        self._kept[key] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found


def open_model_file(path: str) -> int:
    """Return a descriptor of a file to read headers from, never waiting on a pipe or a device; raises OSError."""
    try:
        return os.open(path, _FLAGS)
    except OSError:
        target = os.readlink(path)  # raises OSError where it is no link
        if _BLOB.fullmatch(target) is None:
            raise
        return os.open(os.path.join(os.path.dirname(path), target), _FLAGS)
