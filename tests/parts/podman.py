"""A real Podman service with Docker's API, in mount and network namespaces of its own; nothing of it is left."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from parts.docker import Engine, import_image, remove_empty_groups, require_root_and, running, working_directory

CONFIGURATION = """\
[engine]
cgroup_manager="cgroupfs"
events_logger="file"
[containers]
default_ulimits=["nofile=4096:4096","nproc=4096:4096"]
"""


@contextmanager
def podman_engine(idle_seconds: int = 0) -> Iterator[Engine]:
    """Run a podman service, which stops itself after idle_seconds without a call (0: never); skips where none can run.

    The Docker client speaks to it.
    """
    require_root_and("podman", "docker", "runc", "unshare", "ip", "iptables")
    with working_directory("st-podman-") as directory:
        path = directory / "podman.sock"
        (directory / "containers.conf").write_text(CONFIGURATION)
        podman = (
            f"podman --root {directory}/root --runroot {directory}/rr --tmpdir {directory}/tmp"
            " --cgroup-manager cgroupfs --runtime runc"
        )
        command = f"export CONTAINERS_CONF={directory}/containers.conf\n"
        command += f"exec {podman} system service --time={idle_seconds} unix://{path}"
        with running(directory, command, path) as pid:
            engine = Engine(str(path), pid, directory)
            import_image(engine)
            try:
                yield engine
            finally:
                names = engine.cli("ps", "-aq", check=False).split()
                if names:
                    engine.cli("rm", "-f", "-v", *names, check=False)
        subprocess.run(["umount", "--lazy", str(directory / "root" / "overlay")], check=False, capture_output=True)
        remove_empty_groups("libpod_parent")
