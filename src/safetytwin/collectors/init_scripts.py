"""Services that something else than systemd runs: OpenRC, System V init, runit, s6, daemontools, supervisord.

OpenRC and System V init count where PID 1 isn't systemd; supervisors are also found beside it. Files and sockets are
read, no command is run. status is in systemd's words (active, inactive, failed, …), sub_status in their own.
"""

import os

import msgspec

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.init_openrc import is_openrc, openrc_services
from safetytwin.collectors.init_supervise import supervised_services
from safetytwin.collectors.init_supervisord import SupervisordError, supervisord_services, supervisord_socket
from safetytwin.collectors.init_sysv import is_sysv, sysv_services
from safetytwin.collectors.systemd_gauges import uptime_lags
from safetytwin.models.service import Service
from safetytwin.models.timestamps import seconds_of

HINT = "run the agent as root"


class InitScriptsCollector:
    """Looks at what these keep of their services."""

    def __init__(self) -> None:
        self._before: dict[str, Service] = {}
        self._programs: list[Service] = []

    def collect(self, look: Look) -> list[Service]:
        """Return the services; raises AbsentError where there is none of these."""
        root = look.root
        services: list[Service] = []
        if not os.path.isdir(os.path.join(root.run, "systemd/system")):
            if is_openrc(root):
                services += openrc_services(root)
            elif is_sysv(root):
                services += sysv_services(root)
        services += supervised_services(root, look.notes)
        if look.notes:
            look.hint = HINT
        socket = supervisord_socket(root)
        if socket is not None:
            services += self._supervisord_services(socket, look)
        elif not services:
            raise AbsentError("no OpenRC, System V init, runit, s6 or supervisord runs services here")
        kept = [self._kept(service, look.wall) for service in services]
        self._before = {f"{service.type}/{service.id}": service for service in kept}
        return kept

    def close(self) -> None:
        """Nothing is held between looks."""

    def _supervisord_services(self, socket: str, look: Look) -> list[Service]:
        try:
            self._programs = supervisord_services(socket)
        except PermissionError as error:
            self._programs = []
            look.notes.append(f"supervisord at {socket} may not be asked: {error}")
            look.hint = HINT
        except ConnectionRefusedError:
            self._programs = []  # a socket that a supervisord left behind
        except (OSError, SupervisordError) as error:
            look.stale = bool(self._programs)
            look.notes.append(f"supervisord at {socket} does not answer: {error}")
        return self._programs

    def _kept(self, service: Service, wall: float) -> Service:
        """Return the row of the look before where nothing happened, else the new one with its uptime."""
        started = seconds_of(service.start_time) if service.start_time is not None else None
        before = self._before.get(f"{service.type}/{service.id}")
        if before is not None and not uptime_lags(before.uptime_seconds, started, wall):
            kept = msgspec.structs.replace(service, uptime_seconds=before.uptime_seconds)
            if kept == before:
                return before
        if started is None:
            return service
        return msgspec.structs.replace(service, uptime_seconds=max(0.0, round(wall - started, 1)))
