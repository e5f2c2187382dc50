"""Asks engines which models they hold: only where it is allowed, only on loopback, only GETs of the catalogue.

Nothing that is asked loads a model or generates a token; no redirect is followed, no header of a client is sent, and an
answer is read to a limit and a deadline.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from safetytwin.models.workload import Workload
from safetytwin.workloads.catalogue import Ask, Catalogue
from safetytwin.workloads.http_get import Answer, get
from safetytwin.workloads.models_used import Asked

_DEADLINE = 1.0
"""Seconds that one answer may take in all."""
_EVERY = 30.0
"""Seconds after which an engine is asked again."""
_MOST_ENGINES = 32
_MOST_MODELS = 256
_LONGEST_NAME = 256
_ASKED_ROLES = frozenset({"server", "gateway"})


class Answers(NamedTuple):
    """What an engine answered."""

    models: Sequence[Asked] = ()
    version: str | None = None
    authenticated: bool | None = None


class Asker:
    """Asks in a thread of its own, so that a slow engine never holds a look up longer than the first deadline."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._answers: dict[str, tuple[float, Answers]] = {}
        self._round: threading.Thread | None = None

    def ask(self, workloads: Sequence[Workload]) -> dict[str, Answers]:
        """Return the latest answers by workload; an engine seen for the first time is waited for, briefly."""
        now = time.monotonic()
        places = {one.id: place for one in workloads if (place := self._place(one)) is not None}
        self._answers = {key: kept for key, kept in self._answers.items() if key in places}
        due = [key for key in places if key not in self._answers or now - self._answers[key][0] > _EVERY]
        if due and (self._round is None or not self._round.is_alive()):
            new = any(key not in self._answers for key in due)
            wanted = {key: places[key] for key in due[:_MOST_ENGINES]}
            self._round = threading.Thread(target=self._ask_all, args=(wanted,), daemon=True)
            self._round.start()
            if new:
                self._round.join(_DEADLINE)
        return {key: answers for key, (_, answers) in list(self._answers.items())}

    def _place(self, workload: Workload) -> tuple[str, int, str] | None:
        """Return loopback's address, port and engine where a workload listens there itself."""
        if workload.engine is None or workload.role not in _ASKED_ROLES:
            return None
        if not self._catalogue.family[workload.engine].asks:
            return None
        for endpoint in workload.endpoints or ():
            host = {"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "::1": "::1"}.get(  # noqa: S104
                endpoint.address or ""
            )
            if host is not None and endpoint.port is not None:
                return host, endpoint.port, workload.engine
        return None

    def _ask_all(self, places: dict[str, tuple[str, int, str]]) -> None:
        for key, (host, port, engine) in places.items():
            self._answers[key] = (time.monotonic(), self._ask_one(host, port, engine))

    def _ask_one(self, host: str, port: int, engine: str) -> Answers:
        models: dict[str, Asked] = {}
        version = None
        authenticated = None
        for question in self._catalogue.family[engine].asks:
            answer = get(host, port, question.path, _DEADLINE)
            if answer is None:
                continue
            if answer.status in {401, 403}:
                authenticated = True
            if answer.status != 200:
                continue
            authenticated = authenticated or False
            found, said = read_answer(question, answer)
            for model in found:
                models.setdefault(model.name, model)
            version = version or said
        return Answers(tuple(models.values()), version, authenticated)


def read_answer(question: Ask, answer: Answer) -> tuple[list[Asked], str | None]:
    """Return the models and the version in an answer; nothing where it is not what the engine answers."""
    try:
        content = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [], None
    if not isinstance(content, dict):
        return [], None
    version = content.get(question.version) if question.version is not None else None
    items: Any = content.get(question.list) if question.list is not None else [content]
    found = []
    for item in (items if isinstance(items, list) else [])[:_MOST_MODELS]:
        name = item.get(question.name) if isinstance(item, dict) and question.name is not None else None
        state: str | None = question.state
        if question.state_key is not None and isinstance(item, dict):
            state = question.states.get(str(item.get(question.state_key)))
        if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and state is not None:
            found.append(Asked(name, state))
    return found, version[:64] if isinstance(version, str) else None
