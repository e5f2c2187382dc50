"""The host itself: names, operating system, boot, firmware and what it runs on."""

import os

from safetytwin.collectors.base import Look
from safetytwin.collectors.host_root import HostRoot, read_bytes, read_line, read_text, text_of
from safetytwin.collectors.virtualization import virtualization
from safetytwin.models.hardware import Dmi, Hardware, OperatingSystem
from safetytwin.models.timestamps import timestamp

_DMI_FILES = {
    "vendor": "sys_vendor",
    "product": "product_name",
    "version": "product_version",
    "serial": "product_serial",
    "uuid": "product_uuid",
    "board": "board_name",
    "bios_vendor": "bios_vendor",
    "bios_version": "bios_version",
    "bios_date": "bios_date",
    "chassis_type": "chassis_type",
}
_CLOCK_STEP_SECONDS = 2.0
"""The moment of boot is read again where it seems to have moved by more than this: somebody set the clock."""


def parse_os_release(text: str) -> dict[str, str]:
    """Return the variables of os-release(5), unquoted as a shell would."""
    variables: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name.isidentifier():
            variables[name] = _unquoted(value.strip())
    return variables


def _unquoted(value: str) -> str:
    quote = value[:1]
    if quote == "'":
        return value[1:].partition("'")[0]
    if quote == '"':
        value = value[1:]
    result: list[str] = []
    escaped = False
    for character in value:
        if escaped:
            result.append(character)
        elif character == "\\":
            escaped = True
            continue
        elif quote == '"' and character == '"':
            break
        else:
            result.append(character)
        escaped = False
    return "".join(result)


def operating_system(variables: dict[str, str]) -> OperatingSystem | None:
    """Return the distribution that os-release's variables name, or None where they name none."""
    if not variables:
        return None
    return OperatingSystem(
        id=variables.get("ID") or "linux",
        name=variables.get("PRETTY_NAME") or variables.get("NAME") or "Linux",
        version=variables.get("VERSION_ID") or None,
        codename=variables.get("VERSION_CODENAME") or None,
        id_like=variables.get("ID_LIKE", "").split() or None,
    )


def parse_boot_time(stat: bytes) -> int | None:
    """Return /proc/stat's btime in seconds since 1970, or None where there is none."""
    for line in stat.splitlines():
        name, _, value = line.partition(b" ")
        if name == b"btime" and value.strip().isdigit():
            return int(value)
    return None


class HostCollector:
    """Reads what never changes once; the host's name at each look, os-release when its file changed."""

    def __init__(self) -> None:
        self._kernel: tuple[str | None, ...] | None = None
        self._dmi: Dmi | None = None
        self._dmi_denied = False
        self._virtualization: str | None = None
        self._os: OperatingSystem | None = None
        self._os_stamp: tuple[str, int, int, int] | None = None
        self._booted: int | None = None
        self._clock: float | None = None

    def collect(self, look: Look) -> Hardware:
        """Return the host's fields of Hardware."""
        root = look.root
        kernel = os.path.join(root.proc, "sys/kernel")
        if self._kernel is None:
            self._kernel = tuple(read_line(os.path.join(kernel, name)) for name in ("ostype", "version", "osrelease"))
            self._virtualization = virtualization(root)
            self._dmi = self._read_dmi(root)
        if self._dmi_denied:
            look.notes.append("DMI serial number and UUID may be read by root only")
            look.hint = "run as root"
        platform, version, release = self._kernel
        uptime = self._uptime(root)
        return Hardware(
            hostname=read_line(os.path.join(kernel, "hostname")),
            platform=platform or "Linux",
            platform_version=version,
            kernel_version=release,
            os=self._operating_system(root),
            uptime=uptime,
            boot_time=self._boot_time(look, uptime),
            virtualization=self._virtualization,
            dmi=self._dmi,
        )

    def close(self) -> None:
        """Hold nothing open."""

    def _read_dmi(self, root: HostRoot) -> Dmi | None:
        values: dict[str, str] = {}
        for field, name in _DMI_FILES.items():
            try:
                text = read_text(os.path.join(root.sys, "class/dmi/id", name)).strip()
            except PermissionError:
                self._dmi_denied = True
                continue
            except OSError:
                continue
            if text:
                values[field] = text
        return Dmi(**values) if values else None

    def _uptime(self, root: HostRoot) -> float | None:
        words = (read_line(os.path.join(root.proc, "uptime")) or "").split()
        try:
            uptime = float(words[0])
        except (IndexError, ValueError):
            return None
        return uptime if 0 <= uptime < 1e12 else None

    def _boot_time(self, look: Look, uptime: float | None) -> str | None:
        clock = None if uptime is None else look.wall - uptime
        stepped = clock is not None and self._clock is not None and abs(clock - self._clock) > _CLOCK_STEP_SECONDS
        if self._booted is None or stepped:
            self._clock = clock
            try:
                self._booted = parse_boot_time(read_bytes(os.path.join(look.root.proc, "stat")))
            except OSError:
                self._booted = None
        return None if self._booted is None else timestamp(self._booted)

    def _operating_system(self, root: HostRoot) -> OperatingSystem | None:
        for path in (os.path.join(root.etc, "os-release"), os.path.join(root.root, "usr/lib/os-release")):
            try:
                file = os.stat(path)
                stamp = (path, file.st_mtime_ns, file.st_ino, file.st_size)
                if stamp != self._os_stamp:
                    self._os = operating_system(parse_os_release(text_of(read_bytes(path))))
                    self._os_stamp = stamp
            except OSError:
                continue
            return self._os
        return None
