"""Parses questions by hand, from left to right; nothing of a question is ever executed."""

import difflib
import re
from dataclasses import dataclass
from typing import NoReturn

from safetytwin.questions.amounts import OPERATORS, comparable
from safetytwin.questions.fields import FIELDS, GROUPS, Field, field_named
from safetytwin.questions.tree import KEYWORDS, WORD, And, Compare, Has, Not, OfOne, OneOf, Or, Question

LONGEST = 2000
"""Characters of a question."""
DEEPEST = 32
"""Levels of parentheses, brackets and not."""
_TOKEN = re.compile(rf'\s*(?:(?P<word>{WORD})|(?P<sign><=|>=|!=|[=~<>()\[\],])|(?P<text>"(?:[^"\\]|\\["\\])*"))')


class QuestionError(ValueError):
    """A question that is none; its text says at which column (from 1) and what was expected there."""

    def __init__(self, column: int, text: str) -> None:
        super().__init__(f"column {column}: {text}")
        self.column = column


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text[:60])


def parse_question(text: str) -> Question:
    """Return the tree of a question; raises QuestionError, a ValueError."""
    if len(text) > LONGEST:
        raise QuestionError(LONGEST + 1, f"a question has at most {LONGEST} characters, this one {len(text)}")
    parser = _Parser(_tokens(text))
    question = parser.any_of("", 0)
    if parser.token.kind != "end":
        parser.fail("and, or, or the end")
    return question


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            column = position + len(text[position:]) - len(text[position:].lstrip()) + 1
            if text[column - 1] == '"':
                raise QuestionError(
                    column,
                    'this text has no end: expected a closing " (within it, \\" is a quote and \\\\ a backslash)',
                )
            raise QuestionError(column, f"{text[column - 1]!r} has no meaning here; not equal is !=")
        kind, found = match.lastgroup, match[match.lastgroup]
        column = match.start(kind) + 1
        if kind == "text":
            found = re.sub(r'\\(["\\])', r"\1", found[1:-1])
        elif kind == "word" and found.lower() in KEYWORDS:
            kind, found = "keyword", found.lower()
        tokens.append(_Token(kind, found, column))
        position = match.end()
    return [*tokens, _Token("end", "", len(text) + 1)]


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._position = 0

    @property
    def token(self) -> _Token:
        return self._tokens[self._position]

    def fail(self, expected: str, hint: str = "") -> NoReturn:
        raise QuestionError(self.token.column, f"expected {expected}, not {self.token}{hint}")

    def any_of(self, group: str, depth: int) -> Question:
        parts = [self._all_of(group, depth)]
        while self._taken("keyword", "or"):
            parts.append(self._all_of(group, depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _all_of(self, group: str, depth: int) -> Question:
        parts = [self._one(group, depth)]
        while self._taken("keyword", "and"):
            parts.append(self._one(group, depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self, group: str, depth: int) -> Question:
        if depth > DEEPEST:
            raise QuestionError(self.token.column, f"expected at most {DEEPEST} levels of (, [ and not")
        if self._taken("keyword", "not"):
            return Not(self._one(group, depth + 1))
        if self._taken("sign", "("):
            inner = self.any_of(group, depth + 1)
            self._expect(")", "and, or, or )")
            return inner
        if self._taken("keyword", "has"):
            return Has(self._field(group).name)
        if self.token.text in GROUPS and self._tokens[self._position + 1].text == "[" and not group:
            group = self._next().text
            self._next()
            inner = self.any_of(group, depth + 1)
            self._expect("]", "and, or, or ]")
            return OfOne(group, inner)
        return self._comparison(self._field(group))

    def _comparison(self, field: Field) -> Question:
        allowed = OPERATORS[field.kind]
        token = self.token
        if token.kind not in {"sign", "keyword"} or token.text not in allowed:
            self.fail(f"one of {' '.join(allowed)} after {field.name}")
        operator = self._next().text
        if operator == "in":
            self._expect("(", "( and values, such as in (a, b)")
            values = [self._value(field)]
            while self._taken("sign", ","):
                values.append(self._value(field))
            self._expect(")", ", or )")
            return OneOf(field.name, tuple(values))
        value = self._value(field, as_text=operator == "~")
        if operator == "!=":
            return Not(Compare(field.name, "=", value))
        return Compare(field.name, operator, value)

    def _value(self, field: Field, *, as_text: bool = False) -> str:
        if self.token.kind not in {"word", "text"}:
            quoted = f'; as a value it is written "{self.token.text}"' if self.token.kind == "keyword" else ""
            self.fail(f"a value of {field.name}", quoted)
        if not as_text:
            try:
                comparable(field.kind, self.token.text)
            except ValueError as error:
                raise QuestionError(self.token.column, str(error)) from None
        return self._next().text

    def _field(self, group: str) -> Field:
        found = field_named(self.token.text, group) if self.token.kind == "word" else None
        if found is None:
            names = [field.name for field in FIELDS if not group or field.group == group]
            known = [name.removeprefix(f"{group}.") for name in names]
            close = difflib.get_close_matches(self.token.text[:60].lower(), known, 1, 0.5)
            within = f" of {group}" if group else ""
            hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
            self.fail(f"a field{within}", hint)
        self._next()
        return found

    def _expect(self, sign: str, expected: str) -> None:
        if not self._taken("sign", sign):
            self.fail(expected)

    def _taken(self, kind: str, text: str) -> bool:
        if (self.token.kind, self.token.text) != (kind, text):
            return False
        self._position += 1
        return True

    def _next(self) -> _Token:
        token = self.token
        self._position += 1
        return token
