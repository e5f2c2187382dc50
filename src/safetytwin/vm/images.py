"""The files of disks: overlays on a person's image and empty disks, thin, by qemu-img (qcow2)."""

import json
import os
import subprocess
from typing import Any

from safetytwin.models.printable import printable
from safetytwin.vm.driver import DriverError

_TIMEOUT = 120.0
_FORMATS = frozenset({"qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc", "qed"})


class ImageError(DriverError):
    """An image can't be used; the text says why and how to mend it."""


def image_format(path: str) -> str:
    """Return the format of an image and see that it is one a disk can be laid over; raises ImageError."""
    described = _described(path)
    kind = str(described.get("format"))
    if kind not in _FORMATS:
        raise ImageError(f"{printable(path)} is {printable(kind)}: a disk image is needed, best qcow2")
    if described.get("backing-filename") and kind == "raw":
        raise ImageError(f"{printable(path)} names another file below it, which a raw image can't")
    return kind


def image_size(path: str) -> int:
    """Return how large an image's disk is, in bytes; raises ImageError."""
    size = _described(path).get("virtual-size")
    if not isinstance(size, int):
        raise ImageError(f"the size of {printable(path)} can't be told")
    return size


def make_overlay(path: str, image: str, size: int | None) -> None:
    """Make a disk over an image, as large as it or size bytes where that is more; harmless where there is one."""
    kind = image_format(image)
    larger = [] if size is None or size <= image_size(image) else [str(size)]
    _make(path, ["-b", os.path.abspath(image), "-F", kind], larger)


def make_empty(path: str, size: int) -> None:
    """Make an empty disk of size bytes; harmless where there is one."""
    _make(path, [], [str(size)])


def grow(path: str, size: int) -> None:
    """Let a disk that no one uses grow to size bytes; harmless where it is as large."""
    if image_size(path) < size:
        _qemu_img("resize", "-f", "qcow2", path, str(size))


def snapshot_sizes(path: str) -> dict[str, int]:
    """Return how many bytes of memory each snapshot within a disk holds, by name; raises ImageError."""
    listed = _described(path).get("snapshots", [])
    return {one["name"]: one["vm-state-size"] for one in listed}


def used_bytes(directory: str) -> int:
    """Return what the files of a directory take on disk, snapshots in them included."""
    with os.scandir(directory) as entries:
        return sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in entries)


def _make(path: str, options: list[str], size: list[str]) -> None:
    if os.path.exists(path):
        return
    part = f"{path}.part"  # so that a half-made disk is never taken for one
    _qemu_img("create", "-q", "-f", "qcow2", *options, part, *size)
    os.replace(part, path)


def _described(path: str) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise ImageError(f"there is no image {printable(path)}")
    described: dict[str, Any] = json.loads(_qemu_img("info", "--output=json", "-U", os.path.abspath(path)))
    return described


def _qemu_img(*arguments: str) -> bytes:
    command = ["qemu-img", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise ImageError("qemu-img is needed: install qemu-utils") from error
    except subprocess.TimeoutExpired as error:
        raise ImageError(
            f"qemu-img {arguments[0]} took more than {_TIMEOUT:.0f} s: see whether the disk is well"
        ) from error
    if done.returncode:
        raise ImageError(printable(done.stderr.decode("utf-8", "replace").strip())[:500])
    return done.stdout
