"""Asks a question of many machines, a page at a time."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from safetytwin.questions.judge import judge
from safetytwin.questions.tree import Question
from safetytwin.questions.view import View

_NAMED = 100
"""Machines that could not be judged, told by name a page."""
_JUDGED = 2000
"""Machines that are judged for one page at most: an answer must not wait for all of a large fleet."""


@dataclass(slots=True)
class Asked:
    """What a page of machines says to a question."""

    matching: list[str] = field(default_factory=list)
    """Host ids."""
    unknown: list[tuple[View, str]] = field(default_factory=list)
    """Machines that could not be judged, and why; the first ones."""
    unknown_count: int = 0
    next: str | None = None
    """The last host id that was judged, where there are more."""


def ask(question: Question, views: Iterable[View], limit: int) -> Asked:
    """Judge machines in the order of their ids until so many match."""
    asked = Asked()
    last: str | None = None
    for number, view in enumerate(views):
        if number == _JUDGED or len(asked.matching) == limit:
            asked.next = last
            break
        last = view.host_id
        verdict = judge(question, view)
        if verdict is True:
            asked.matching.append(view.host_id)
        elif isinstance(verdict, str):
            asked.unknown_count += 1
            if len(asked.unknown) < _NAMED:
                asked.unknown.append((view, verdict))
    return asked
