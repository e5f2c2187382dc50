"""A real Docker engine in mount and network namespaces of its own, with a busybox image; nothing of it is left."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

IMAGE = "bb:1"
BUSYBOX = "/usr/bin/busybox"
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Engine:
    """A running engine: its socket, its process, and its command line client."""

    socket: str
    pid: int
    directory: Path

    def cli(self, *arguments: str, check: bool = True) -> str:
        """Run the docker client and return what it prints."""
        done = subprocess.run(
            ["docker", "-H", f"unix://{self.socket}", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "DOCKER_CONFIG": str(self.directory)},
        )
        if check and done.returncode:
            raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what `docker inspect` prints of one container."""
        found: dict[str, Any] = json.loads(self.cli("container", "inspect", name))[0]
        return found

    def api(self, target: str) -> Any:
        """Return the JSON of GET target, by another client than the product's."""
        connection = _UnixConnection(self.socket)
        try:
            connection.request("GET", target)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


@contextmanager
def docker_engine() -> Iterator[Engine]:
    """Run a dockerd; skips the test, with the reason, where none can run."""
    require_root_and("dockerd", "docker", "unshare", "ip", "iptables")
    with working_directory("st-docker-") as directory:
        path = directory / "docker.sock"
        command = (
            f"exec dockerd --data-root {directory}/data --exec-root {directory}/exec"
            f" --pidfile {directory}/docker.pid -H unix://{path}"
        )
        with running(directory, command, path) as pid:
            engine = Engine(str(path), pid, directory)
            import_image(engine)
            try:
                yield engine
            finally:
                names = engine.cli("ps", "-aq", check=False).split()
                if names:
                    engine.cli("rm", "-f", "-v", *names, check=False)
        remove_empty_groups("docker")


def require_root_and(*programs: str) -> None:
    """Skip where a program is missing or the tests do not run as root."""
    if os.geteuid() != 0:
        pytest.skip("a container engine of the tests' own needs root")
    missing = [program for program in programs if shutil.which(program) is None]
    if missing or not Path(BUSYBOX).exists():
        pytest.skip(f"not installed: {' '.join(missing) or BUSYBOX}")


@contextmanager
def working_directory(prefix: str) -> Iterator[Path]:
    """Return a folder with a short name, for the path of a unix socket has 107 bytes at most."""
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running(directory: Path, command: str, path: Path) -> Iterator[int]:
    """Run a shell command line in namespaces of its own until it answers at a socket; end it afterwards."""
    script = directory / "run.sh"
    script.write_text(f"ip link set lo up; mount -t tmpfs tmpfs /run\n{command}\n")
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "sh", str(script)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        if not wait_for(lambda: process.poll() is not None or _answers(path), 30) or process.poll() is not None:
            pytest.skip(f"the engine does not start here: {log.read_text(errors='replace')[-1000:]}")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def import_image(engine: Engine) -> None:
    """Give an engine the one image that the tests use."""
    root = engine.directory / "image.tar"
    with tarfile.open(root, "w") as archive:
        archive.add(BUSYBOX, "bin/busybox")
        for name in ("sh", "sleep", "cat", "dd", "true", "false"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    engine.cli("import", "--change", 'CMD ["/bin/sh"]', str(root), IMAGE)


def remove_empty_groups(name: str) -> None:
    """Remove the control group under which an engine puts its containers, unless another engine uses it.

    The kernel refuses to remove a group that has processes or groups below it.
    """
    for top in [CGROUPS / name, *CGROUPS.glob(f"*/{name}")]:
        for group, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                os.rmdir(group)


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> bool:
    """Say whether a condition came true within some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


def _answers(path: Path) -> bool:
    connection = _UnixConnection(str(path))
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
