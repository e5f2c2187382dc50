"""Containers of Docker and of Podman, asked over their unix sockets."""

import os
import time
from dataclasses import dataclass

from safetytwin.collectors.base import AbsentError, DeniedError, Look
from safetytwin.collectors.engine_client import EngineError, EngineSilentError
from safetytwin.collectors.engine_containers import EngineContainers
from safetytwin.models.service import Service

COLLECT_TIMEOUT = 3.5
"""Seconds that all engines of a kind get together in one look; below the collectors' own deadline."""
GRACE = 60.0
"""Seconds for which an engine that is gone or answers errors may be restarting: its containers stand as they were."""
FIRST_PAUSE = 20.0
LONGEST_PAUSE = 300.0
"""Seconds between two tries where the socket may not be used."""


@dataclass(slots=True)
class _Denial:
    error: DeniedError
    pause: float
    again_at: float


class _EngineCollector:
    """The containers of every engine of one kind: the system's and those of the users who run their own."""

    kind: str
    socket: str
    """Below /run and below /run/user/UID."""
    denied_hint: str

    def __init__(self) -> None:
        self._engines: dict[str, EngineContainers] = {}
        self._denials: dict[str, _Denial] = {}

    def collect(self, look: Look) -> list[Service]:
        """Return the containers; raises AbsentError, DeniedError, EngineError, TimeoutError where no engine answers."""
        deadline = time.monotonic() + COLLECT_TIMEOUT
        services: dict[str, Service] = {}
        problems: list[Exception] = []
        answered = False
        for path in self._sockets(look):
            try:
                found = self._containers(path, look, deadline - time.monotonic())
            except (AbsentError, DeniedError, EngineError, TimeoutError) as problem:
                problems.append(problem)
                continue
            answered = True
            for service in found:
                services.setdefault(service.id, service)
        worth_telling = [problem for problem in problems if not isinstance(problem, AbsentError)]
        if not answered:
            raise next(iter(worth_telling or problems), AbsentError(f"no {self.kind} socket"))
        look.notes += [str(problem) for problem in worth_telling]
        if any(isinstance(problem, DeniedError) for problem in worth_telling):
            look.hint = self.denied_hint
        return list(services.values())

    def close(self) -> None:
        """Close the connections."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()

    @property
    def calls(self) -> int:
        """Calls made to the engines so far."""
        return sum(engine.calls for engine in self._engines.values())

    def _option(self, look: Look) -> str | None:
        raise NotImplementedError

    def _sockets(self, look: Look) -> list[str]:
        """Return the sockets to ask, each once: the given one, or those that are there and those that just were."""
        given = self._option(look)
        if given is not None:
            return [given.removeprefix("unix://")]
        places: dict[str, str] = {}
        for path in _places(look, self.socket) + list(self._engines):
            places.setdefault(os.path.realpath(path), path)
        return list(places.values())

    def _containers(self, path: str, look: Look, timeout: float) -> list[Service]:
        denial = self._denials.get(path)
        if denial is not None and look.monotonic < denial.again_at:
            raise denial.error
        engine = self._engines.get(path)
        if engine is None:
            engine = self._engines[path] = EngineContainers(self.kind, path)
        try:
            services = engine.look(look, timeout)
        except PermissionError:
            raise self._denied(path, denial, look) from None
        except (EngineSilentError, TimeoutError) as error:
            if engine.heard is None:
                raise TimeoutError(str(error)) from None
            return self._stale(engine, look)
        except EngineError as error:
            if not _was_just_heard(engine, look):
                raise
            look.notes.append(str(error))
            return self._stale(engine, look)
        except OSError as error:
            if _was_just_heard(engine, look):
                return self._stale(engine, look)
            engine.close()
            del self._engines[path]
            raise AbsentError(f"{path}: {error.strerror or error}") from None
        self._denials.pop(path, None)
        return services

    def _stale(self, engine: EngineContainers, look: Look) -> list[Service]:
        look.stale = True
        return engine.from_memory(look)

    def _denied(self, path: str, before: _Denial | None, look: Look) -> DeniedError:
        pause = min(LONGEST_PAUSE, before.pause * 2) if before is not None else FIRST_PAUSE
        error = DeniedError(f"{path} may not be used", self.denied_hint)
        self._denials[path] = _Denial(error, pause, look.monotonic + pause)
        return error


class DockerCollector(_EngineCollector):
    """The containers of Docker."""

    kind = "docker"
    socket = "docker.sock"
    denied_hint = "add the agent's user to group docker, or run as root"

    def _option(self, look: Look) -> str | None:
        return look.options.docker_socket

    def _sockets(self, look: Look) -> list[str]:
        """Leave out names that lead to Podman (package podman-docker), and a Docker that asking would start."""
        paths = super()._sockets(look)
        if self._option(look) is not None:
            return paths
        podman = {os.path.realpath(path) for path in _places(look, PodmanCollector.socket)}
        system_socket = os.path.join(look.root.run, self.socket)
        asleep = any(
            service.id == "docker.service" and service.status in {"inactive", "failed"}
            for service in look.found.get("systemd") or ()
        )
        return [
            path for path in paths if os.path.realpath(path) not in podman and not (asleep and path == system_socket)
        ]


class PodmanCollector(_EngineCollector):
    """The containers of Podman, of root and of users."""

    kind = "podman"
    socket = "podman/podman.sock"
    denied_hint = "run as root to see root's containers"

    def _option(self, look: Look) -> str | None:
        return look.options.podman_socket


def _was_just_heard(engine: EngineContainers, look: Look) -> bool:
    return engine.heard is not None and look.monotonic - engine.heard < GRACE


def _places(look: Look, socket: str) -> list[str]:
    """Return where a socket of the system and of each user that is logged in would be, where there is something.

    The system's also where its folder may not be entered: that is denial, not absence. Of users' folders nothing is
    told by that, for every user has one.
    """
    users = os.path.join(look.root.run, "user")
    try:
        uids = sorted((name for name in os.listdir(users) if name.isdigit()), key=int)
    except OSError:
        uids = []
    paths = [os.path.join(users, uid, socket) for uid in uids]
    return _system_place(os.path.join(look.root.run, socket)) + [path for path in paths if os.path.lexists(path)]


def _system_place(path: str) -> list[str]:
    try:
        os.lstat(path)
    except PermissionError:
        return [path]
    except OSError:
        return []
    return [path]
