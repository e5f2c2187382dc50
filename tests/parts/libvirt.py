"""A libvirt of the test's own: with sockets, folders and a network namespace that nothing else uses."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_QEMU = """
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
remember_owner = 0
"""

_RUN = """set -e
mkdir -p /run/libvirt
mount --bind "$1/etc" /etc/libvirt
mount --bind "$1/lib" /var/lib/libvirt
mount --bind "$1/cache" /var/cache/libvirt
mount --bind "$1/run" /run/libvirt
ip link set lo up
exec libvirtd -f "$1/libvirtd.conf" -p "$1/libvirtd.pid"
"""


def needs_libvirt() -> None:
    """Skip the test where libvirt can't be had, and say what is missing."""
    if os.geteuid() != 0:
        pytest.skip("libvirt needs root")
    for program in ("libvirtd", "qemu-system-x86_64", "qemu-img", "unshare", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    for module in ("libvirt", "libvirt_qemu", "pycdlib"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"the package of {module} is not installed (the extra vm)")


class Libvirt:
    """One libvirtd; it may be killed and started again, its domains live on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.uri = f"qemu+unix:///system?socket={directory}/sock/libvirt-sock"
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("cache", "run", "sock"):
            (directory / name).mkdir(parents=True)
        shutil.copytree("/etc/libvirt", directory / "etc", symlinks=True)
        (directory / "lib").mkdir()
        for autostart in (directory / "etc").rglob("autostart/*"):
            autostart.unlink()
        with (directory / "etc" / "qemu.conf").open("a") as file:
            file.write(_QEMU)
        (directory / "libvirtd.conf").write_text(
            f'unix_sock_dir = "{directory}/sock"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
            f'log_outputs = "2:file:{directory}/libvirtd.log"\n'
        )

    def start(self) -> None:
        command = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", _RUN, "sh", self.directory]
        with (self.directory / "output").open("wb") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        deadline = time.monotonic() + 60
        while not (self.directory / "sock" / "libvirt-sock").exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError((self.directory / "output").read_text())
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def destroy_domains(self) -> None:
        for file in (self.directory / "run" / "qemu").glob("*.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)


@contextlib.contextmanager
def running_libvirt(directory: Path) -> Iterator[Libvirt]:
    needs_libvirt()
    libvirt = Libvirt(directory)
    libvirt.start()
    try:
        yield libvirt
    finally:
        libvirt.destroy_domains()
        libvirt.stop()
