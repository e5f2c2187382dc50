"""Judges a question on a machine: true, false, or not to be known."""

import operator
from collections.abc import Callable, Iterable
from typing import Any

from safetytwin.changes.trees import Tree
from safetytwin.questions.amounts import Kind, comparable
from safetytwin.questions.fields import GROUPS, Field, Found, field_named
from safetytwin.questions.patterns import resembles
from safetytwin.questions.tree import And, Compare, Has, Not, OfOne, OneOf, Or, Question
from safetytwin.questions.versions import version_key
from safetytwin.questions.view import View

Verdict = bool | str
"""True, False, or why neither can be said (Kleene's three values)."""

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def judge(question: Question, view: View, item: Tree | None = None) -> Verdict:
    """Return whether it is true of the machine, or of one item of it."""
    match question:
        case Or(parts):
            return _any(judge(part, view, item) for part in parts)
        case And(parts):
            return _opposite(_any(_opposite(judge(part, view, item)) for part in parts))
        case Not(inner):
            return _opposite(judge(inner, view, item))
        case OfOne(group, inner):
            items, missing = GROUPS[group].items(view)
            return _any([*(judge(inner, view, one) for one in items), missing or False])
        case Has(name):
            return _holds(_field(name).read(view, item), lambda _: True)
        case OneOf(name, values):
            field = _field(name)
            wanted = [comparable(field.kind, value) for value in values]
            return _holds(field.read(view, item), lambda value: _measured(field.kind, value) in wanted)
        case Compare(name, sign, value):
            field = _field(name)
            found = field.read(view, item)
            if sign == "~":
                return _holds(found, lambda one: resembles(one, value))
            bound = comparable(field.kind, value)
            return _holds(found, lambda one: _ORDER[sign](_measured(field.kind, one), bound))


def _field(name: str) -> Field:
    field = field_named(name)
    if field is None:  # the parser lets no such question pass
        raise ValueError(f"there is no field {name}")
    return field


def _measured(kind: Kind, value: Any) -> Any:
    """Return a value of the state as it is compared: versions by their order, numbers in the state's own units."""
    return version_key(value) if kind == "version" else value


def _holds(found: Found, test: Callable[[Any], bool]) -> Verdict:
    return any(map(test, found.values)) or found.missing or False


def _any(verdicts: Iterable[Verdict]) -> Verdict:
    unknown: Verdict = False
    for verdict in verdicts:
        if verdict is True:
            return True
        unknown = unknown or verdict
    return unknown


def _opposite(verdict: Verdict) -> Verdict:
    return verdict if isinstance(verdict, str) else not verdict
