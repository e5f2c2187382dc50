"""Kernel settings that files set (sysctl.d(5), sysctl.conf(5)), each with the value that the kernel has now.

The kernel does not tell its defaults: a setting counts as chosen where a file sets it. The files are read again when
they changed; the values, which anyone may set without a file, once a minute.
"""

import os

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.file_stamps import WatchedFiles
from safetytwin.collectors.host_root import HostRoot, list_dir, read_text
from safetytwin.collectors.sysctl_files import Setting, is_secret, merged, parse_sysctl, proc_path, setting_name
from safetytwin.models.software import Software, Sysctl

VALUES_SECONDS = 60.0
"""How often the kernel is asked for the values."""
_FOLDERS = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
"""Where sysctl.d lies, the strongest first: a file hides those of its name in the folders after."""
_LARGEST_VALUE = 4096


class SysctlCollector:
    """Keeps what files set and when the kernel was asked."""

    def __init__(self) -> None:
        self._watched = WatchedFiles()
        self._settings: dict[str, tuple[Setting, str]] = {}
        self._asked: float | None = None
        self._software = Software()

    def collect(self, look: Look) -> Software:
        """Return the settings, the very same object where none changed; raises AbsentError where no file sets any."""
        changed = self._watched.changed()
        if changed:
            files = sysctl_files(look.root)
            folders = [_folder(look.root, name) for name in _FOLDERS]
            self._watched.watch([*folders, *files.values()])
            self._settings = _read(look.root, files)
        if not self._settings:
            raise AbsentError("no file of sysctl.d sets anything")
        if changed or self._asked is None or look.monotonic - self._asked >= VALUES_SECONDS:
            self._asked = look.monotonic
            values = [
                Sysctl(
                    name,
                    None if is_secret(name) else _value(look.root, name),
                    None if is_secret(name) else setting.value,
                    file,
                )
                for name, (setting, file) in sorted(self._settings.items())
            ]
            if values != self._software.sysctl:
                self._software = Software(sysctl=values)
        return self._software

    def close(self) -> None:
        """Nothing is kept open."""


def sysctl_files(root: HostRoot) -> dict[str, str]:
    """Return the files in the order in which they are read: their paths on the machine, and where they lie for us.

    sysctl.conf comes last: procps reads it so; systemd reads it where sysctl.d links to it.
    """
    by_name: dict[str, tuple[str, str]] = {}
    for folder in _FOLDERS:
        for name in list_dir(_folder(root, folder)):
            if name.endswith(".conf"):
                by_name.setdefault(name, (f"/{folder}/sysctl.d/{name}", os.path.join(_folder(root, folder), name)))
    files = dict(path for _, path in sorted(by_name.items()))
    files["/etc/sysctl.conf"] = os.path.join(root.etc, "sysctl.conf")
    return files


def _folder(root: HostRoot, name: str) -> str:
    base = {"etc": root.etc, "run": root.run}.get(name) or os.path.join(root.root, name)
    return os.path.join(base, "sysctl.d")


def _read(root: HostRoot, files: dict[str, str]) -> dict[str, tuple[Setting, str]]:
    found: list[tuple[Setting, str]] = []
    for path, here in files.items():
        try:
            found += [(setting, path) for setting in parse_sysctl(read_text(here))]
        except OSError:
            continue  # sysctl.conf is gone from many machines; a link to /dev/null is a file that someone masked
    return merged(found, lambda pattern: _matching(root, pattern))


def _matching(root: HostRoot, pattern: str) -> list[str]:
    """Return the names of the settings that a pattern such as net.ipv4.conf.*.rp_filter stands for."""
    import glob  # noqa: PLC0415 - few files hold patterns

    base = os.path.join(root.proc, "sys")
    found = glob.glob(proc_path(pattern), root_dir=base)
    return sorted(setting_name(path) for path in found if os.path.isfile(os.path.join(base, path)))


def _value(root: HostRoot, name: str) -> str | None:
    try:
        text = read_text(os.path.join(root.proc, "sys", proc_path(name)))
    except (OSError, ValueError):
        return None
    return text[:_LARGEST_VALUE].strip().replace("\t", " ") or None
