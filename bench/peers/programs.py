"""The other agents: how each is found and started, what it does not gather, and how to install it."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(os.path.dirname(HERE), ".cache")
ANSWER = 30.0
"""Seconds that a program may take to answer when it is asked."""
APPS_PLUGIN = "/usr/lib/netdata/plugins.d/apps.plugin"


@dataclass
class Running:
    """A started program, and how it is made to look once (None: it looks by itself)."""

    process: subprocess.Popen[bytes]
    ask: Callable[[], object] | None = None


@dataclass(frozen=True)
class Program:
    """Another agent."""

    name: str
    start: Callable[[str, float], Running | None]
    """Given a folder of its own and the interval in seconds; None where it is not installed."""
    install: str
    lacks: str
    """What it does not gather of what ours does."""


def _popen(command: list[str], **more: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more
    )  # type: ignore[call-overload,no-any-return]  # any of Popen's own keywords


def free_port() -> int:
    """Return a TCP port of loopback that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def _glances() -> str | None:
    """Return Glances in a folder of its own, put there the first time."""
    folder = os.path.join(CACHE, "glances")
    program = os.path.join(folder, "bin", "glances")
    if not os.path.exists(program):
        made = subprocess.run([sys.executable, "-m", "venv", folder], check=False, capture_output=True)
        pip = [os.path.join(folder, "bin", "pip"), "install", "--quiet", "glances"]
        if made.returncode or subprocess.run(pip, check=False, capture_output=True).returncode:
            shutil.rmtree(folder, ignore_errors=True)
            return None
    return program


def _glances_alone(folder: str, interval: float) -> Running | None:
    program = _glances()
    command = [program or "", "--stdout", "load.min1", "--time", str(max(1, int(interval))), "--disable-check-update"]
    return Running(_popen(command, cwd=folder)) if program else None


def _glances_server(folder: str, interval: float) -> Running | None:
    program, port = _glances(), free_port()
    if program is None:
        return None
    command = [program, "--server", "--bind", "127.0.0.1", "--port", str(port), "--disable-check-update"]
    command += ["--disable-autodiscover", "--cached-time", str(max(1, int(interval) - 1))]
    import xmlrpc.client  # noqa: PLC0415 - or its memory would count for the peers that look.py measures in its own process

    proxy = xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port}")
    return Running(_popen(command, cwd=folder), proxy.getAll)


def _scraped(program: str, *options: str) -> Callable[[str, float], Running | None]:
    def start(folder: str, _: float) -> Running | None:
        path, port = shutil.which(program), free_port()
        if path is None:
            return None
        address = f"--web.listen-address=127.0.0.1:{port}"
        everything = [option.replace("{folder}", folder) for option in options]
        import urllib.request  # noqa: PLC0415 - as xmlrpc.client above

        url = f"http://127.0.0.1:{port}/metrics"
        return Running(
            _popen([path, address, *everything], cwd=folder), lambda: urllib.request.urlopen(url, timeout=ANSWER).read()
        )

    return start


def _process_exporter(folder: str, interval: float) -> Running | None:
    with open(os.path.join(folder, "process-exporter.yml"), "w") as file:
        file.write("process_names:\n  - name: '{{.Comm}}'\n    cmdline: ['.+']\n")
    return _scraped("prometheus-process-exporter", "--config.path={folder}/process-exporter.yml")(folder, interval)


def _apps_plugin(folder: str, interval: float) -> Running | None:
    if not os.path.exists(APPS_PLUGIN):
        return None
    environment = os.environ | {
        "NETDATA_STOCK_CONFIG_DIR": "/usr/lib/netdata/conf.d",
        "NETDATA_USER_CONFIG_DIR": folder,
    }
    return Running(_popen([APPS_PLUGIN, str(max(1, int(interval)))], cwd=folder, env=environment))


def _top(folder: str, interval: float) -> Running | None:
    path = shutil.which("top")
    return Running(_popen([path, "-b", "-d", str(interval)], cwd=folder)) if path else None


def _netdata(folder: str, interval: float) -> Running | None:
    program = shutil.which("netdata") or "/usr/sbin/netdata"
    if not os.path.exists(program):
        return None
    places = {name: os.path.join(folder, "netdata", name) for name in ("cache", "lib", "log", "config")}
    for place in places.values():
        os.makedirs(place, exist_ok=True)
    with open(os.path.join(folder, "netdata.conf"), "w") as file:
        file.write(
            f"[global]\nrun as user = root\nupdate every = {int(interval)}\nmemory mode = ram\n"
            f"[db]\nupdate every = {int(interval)}\nmode = ram\n"
            "[directories]\n"
            + "".join(f"{name} = {place}\n" for name, place in places.items())
            + f"[web]\nbind to = 127.0.0.1\ndefault port = {free_port()}\n"
            "[plugins]\ncharts.d = no\npython.d = no\nnode.d = no\ngo.d = no\nfping = no\nioping = no\n"
        )
    command = [program, "-D", "-c", os.path.join(folder, "netdata.conf"), "-P", os.path.join(folder, "netdata.pid")]
    return Running(_popen(command, cwd=folder, start_new_session=True))


GLANCES = Program(
    "Glances, all", _glances_alone, "pip install glances",
    "executables, folders, open files and connections of processes, units",
)  # fmt: skip
GLANCES_SERVER = Program("Glances, server", _glances_server, GLANCES.install, GLANCES.lacks)
PROCESS_EXPORTER = Program(
    "process-exporter", _process_exporter, "apt-get install prometheus-process-exporter",
    "single processes (it sums them by name), executables, folders, connections, open files",
)  # fmt: skip
NODE_EXPORTER = Program(
    "node-exporter", _scraped("prometheus-node-exporter"), "apt-get install prometheus-node-exporter",
    "processes, services, containers: the host part alone",
)  # fmt: skip
APPS = Program(
    "apps.plugin (C)", _apps_plugin, "apt-get install --no-install-recommends netdata-core netdata-plugins-bash",
    "single processes (it sums them by group), executables, folders, connections, arguments",
)  # fmt: skip
TOP = Program(
    "top -b (C)", _top, "apt-get install procps",
    "all but 12 fields: no arguments, executable, folder, I/O, descriptors, connections",
)  # fmt: skip
NETDATA = Program(
    "netdata", _netdata, APPS.install, "single processes, arguments, executables, folders, connections, units",
)  # fmt: skip
