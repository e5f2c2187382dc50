"""One look from beginning to end: collect, recognise, redact. Whatever leaves here may be shown, written or sent."""

import time
from collections.abc import Callable, Mapping

import msgspec

from safetytwin.agent.config import AgentConfig
from safetytwin.collectors.base import LookOptions
from safetytwin.collectors.registry import registrations
from safetytwin.collectors.system import SystemLooker
from safetytwin.models.system_state import CollectorStatus, SystemState
from safetytwin.redaction import Redactor

FIRST_SAMPLE_SECONDS = 0.3
"""How far apart the two samples of a one-shot look are: 30 clock ticks, so that CPU percentages have a resolution."""


class Observer:
    """Looks again and again; the only way from the collectors to the rest of the program."""

    def __init__(
        self,
        looker: SystemLooker,
        redactor: Redactor,
        recognise: Callable[[SystemState], SystemState] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._looker = looker
        self._redactor = redactor
        self._recognise = recognise
        self._labels = dict(labels) if labels else None

    def observe(self, *, without: frozenset[str] = frozenset()) -> SystemState:
        """Look once; rates are null the first time, for they need the look before."""
        state = self._looker.look(without=without)
        if self._recognise is not None:
            state = _recognised(state, self._recognise)
        if self._labels is not None:
            state = msgspec.structs.replace(state, labels=self._labels)
        return self._redactor.redact(state)

    def observe_once(self) -> SystemState:
        """Look twice, briefly, so that a single state has its rates."""
        self._looker.look()
        time.sleep(FIRST_SAMPLE_SECONDS)
        return self.observe()

    def close(self) -> None:
        """Give back what the collectors hold."""
        self._looker.close()


def _recognised(state: SystemState, recognise: Callable[[SystemState], SystemState]) -> SystemState:
    """Return the state with its AI workloads, or as it was where recognising failed; its status says which."""
    began = time.monotonic()
    error = None
    try:
        state = recognise(state)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    status = CollectorStatus(
        status="ok" if error is None else "failed", duration=round(time.monotonic() - began, 6), error=error
    )
    agent = msgspec.structs.replace(state.agent, collectors={**state.agent.collectors, "recognition": status})
    return msgspec.structs.replace(state, agent=agent)


def make_observer(config: AgentConfig, host_id: str) -> Observer:
    """Return what looks, recognises and redacts, as the configuration says; raises ValueError as make_looker does."""
    return Observer(
        make_looker(config, host_id), Redactor(config.allow_environment), make_recogniser(config), config.labels
    )


def make_looker(config: AgentConfig, host_id: str) -> SystemLooker:
    """Return what looks, as the configuration says.

    Raises ValueError where a collector of another package is unfit, or one to leave out does not exist.
    """
    try:
        collectors = registrations(config.backend)
    except TypeError as error:
        raise ValueError(str(error)) from error
    names = [registration.name for registration in collectors]
    for name in config.without:
        if name not in names:
            raise ValueError(f"there is no collector {name!r} to leave out; there are {', '.join(names)}")
    options = LookOptions(
        open_files=config.open_files,
        environment=config.environment,
        user_units=config.user_units,
        unit_file_contents=config.unit_file_contents,
        docker_socket=config.docker_socket,
        podman_socket=config.podman_socket,
        system_bus=config.system_bus,
    )
    chosen = [registration for registration in collectors if registration.name not in config.without]
    return SystemLooker(chosen, host_id=host_id, options=options, backend=config.backend)


def make_recogniser(config: AgentConfig) -> Callable[[SystemState], SystemState] | None:
    """Return what recognises AI workloads, None where that is off; raises ValueError for an unfit catalogue."""
    if not config.recognise:
        return None
    from safetytwin.workloads.machine import recogniser_of  # noqa: PLC0415 - only where it is wanted

    return recogniser_of(
        model_directories=config.model_directories, own_catalogue=config.ai_catalogue, ask=config.ask_engines
    ).recognise
