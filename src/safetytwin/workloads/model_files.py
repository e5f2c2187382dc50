"""Model files, known by what they hold and never by their names; nothing in them is run or unpickled."""

import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from safetytwin.workloads.formats import detect, saved_model
from safetytwin.workloads.formats.header import ModelHeader, Part
from safetytwin.workloads.formats.source import HeaderSource
from safetytwin.workloads.model_files_directory import main_file, saved_model_header
from safetytwin.workloads.model_files_open import open_model_file
from safetytwin.workloads.model_files_parts import Folder, whole_model

_KEPT = 32_768
"""How many files' results are kept."""
_TIME_LIMIT = 5.0
"""Seconds that a model with all its parts may take."""


def read_header(path_or_fd: str | int, folder: str | None = None) -> ModelHeader | None:
    """Return what a model file, or the folder of a model, says of itself; None where it is no model or not readable.

    A descriptor is left open. What lies beside a file (its configuration, the other parts of a split model) is looked
    for in folder; without one, a path's own folder is taken, and of a descriptor the file alone is described.
    Regular files only; a link is not followed unless it is one of the Hugging Face cache to its blob.
    """
    return HeaderReader().read(path_or_fd, folder)


class HeaderReader:
    """Reads headers and keeps what it read until a file's device, inode, size or time of change differs."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, int, int, int, int], Any] = OrderedDict()

    def read(self, path_or_fd: str | int, folder: str | None = None) -> ModelHeader | None:
        """Return what read_header returns; a file that did not change is not read again."""
        deadline = time.monotonic() + _TIME_LIMIT
        if isinstance(path_or_fd, int):
            part = self._part(path_or_fd, deadline)
            beside = None if folder is None else self._folder(folder, deadline)
            return None if part is None else whole_model(part, _path_of(path_or_fd, folder), beside)
        try:
            descriptor = open_model_file(path_or_fd)
        except OSError:
            return None
        try:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                return self._directory(path_or_fd, descriptor, deadline)
            part = self._part(descriptor, deadline)
        finally:
            os.close(descriptor)
        if part is None:
            return None
        beside = self._folder(os.path.dirname(path_or_fd) or "." if folder is None else folder, deadline)
        return whole_model(part, path_or_fd, beside)

    def _directory(self, path: str, descriptor: int, deadline: float) -> ModelHeader | None:
        name = main_file(descriptor)
        if name is None:
            return None
        folder = self._folder(path, deadline)
        if name == saved_model.DESCRIPTION:
            problem = self._beside(path, name, lambda file: self._once(saved_model.problem_of, file, deadline))
            return saved_model_header(path, problem)
        part = folder.part(name)
        return None if part is None else whole_model(part, os.path.join(path, name), folder)

    def _folder(self, path: str, deadline: float) -> Folder:
        def part(name: str) -> Part | None:
            found: Part | None = self._beside(path, name, lambda file: self._part(file, deadline))
            return found

        def json(name: str) -> Any:
            return self._beside(path, name, lambda file: self._once(detect.small_json, file, deadline))

        def size(name: str) -> int | None:
            found: int | None = self._beside(path, name, lambda file: os.fstat(file).st_size)
            return found

        def shards(name: str) -> tuple[str, ...]:
            return self._beside(path, name, lambda file: self._once(detect.shards, file, deadline)) or ()

        return Folder(path, part, json, size, shards)

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
        part: Part | None = self._once(detect.parse, descriptor, deadline)
        return part

    def _once(self, parse: Callable[[HeaderSource], Any], descriptor: int, deadline: float) -> Any:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        key = (parse, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        source = HeaderSource.of_descriptor(descriptor, status.st_size, deadline=deadline)
        found = parse(source)
        if source.gave_up:
            return found
        self._kept[key] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found


def _path_of(descriptor: int, folder: str | None) -> str | None:
    """Return where in folder an open file lies, by the name that it was opened by (proc_pid_fd(5))."""
    if folder is None:
        return None
    try:
        return os.path.join(folder, os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
    except OSError:
        return None
