"""A question as a tree, and how it is written."""

import re
from dataclasses import dataclass

KEYWORDS = frozenset({"and", "or", "not", "in", "has"})
WORD = r'[^\s()\[\],=!~<>"]+'
"""A field's name, or a value that needs no quotes."""


@dataclass(frozen=True, slots=True)
class Compare:
    """One field against one value."""

    field: str
    operator: str
    """=, ~, <, <=, > or >=; != is Not of =."""
    value: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """One field against several values."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Has:
    """There is a value of a field."""

    field: str


@dataclass(frozen=True, slots=True)
class OfOne:
    """All of it is true of one and the same item, such as one GPU."""

    group: str
    inner: "Question"


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    inner: "Question"


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    parts: tuple["Question", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them."""

    parts: tuple["Question", ...]


Question = Compare | OneOf | Has | OfOne | Not | And | Or


def written(question: Question, group: str = "") -> str:
    """Return the text of a question, which parses to the same; within the brackets of a group names are short."""
    match question:
        case Compare(name, operator, value):
            return f"{_short(name, group)} {operator} {_value(value)}"
        case OneOf(name, values):
            return f"{_short(name, group)} in ({', '.join(map(_value, values))})"
        case Has(name):
            return f"has {_short(name, group)}"
        case OfOne(of, inner):
            return f"{of}[{written(inner, of)}]"
        case Not(Compare(name, "=", value)):
            return f"{_short(name, group)} != {_value(value)}"
        case Not(inner):
            return f"not {_within(inner, group, (And, Or))}"
        case And(parts):
            return " and ".join(_within(part, group, (And, Or)) for part in parts)
        case Or(parts):
            return " or ".join(_within(part, group, (Or,)) for part in parts)


def _within(question: Question, group: str, parenthesized: tuple[type, ...]) -> str:
    text = written(question, group)
    return f"({text})" if isinstance(question, parenthesized) else text


def _short(name: str, group: str) -> str:
    return name.removeprefix(f"{group}.")


def _value(value: str) -> str:
    if re.fullmatch(WORD, value) and value.lower() not in KEYWORDS:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
