"""Secrets in a unit file (systemd.syntax(7)): in the variables it sets, in its commands, in any of its lines."""

import re

from safetytwin.redaction.argv import redact_argv
from safetytwin.redaction.environment import redact_environment
from safetytwin.redaction.text import REDACTED, redact_text

_WORD = re.compile(r"""((?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\.|[^\s"'\\]|["'\\])+)""", re.DOTALL)
_CREDENTIALS = frozenset({"SetCredential", "SetCredentialEncrypted"})
_QUOTES = "\"'"


def redact_unit_file(content: str) -> str:
    """Return a unit file's text without secrets; lines joined by a backslash count as one, as for systemd."""
    return "\n".join(map(_redact_line, re.split(r"(?<!\\)\n", content)))


def _redact_line(line: str) -> str:
    setting, equals, value = line.partition("=")
    name = setting.strip()
    if not equals or name[:1] in ("#", ";"):
        return redact_text(line)
    if name == "Environment":
        return f"{setting}={_WORD.sub(_redact_variable, value)}"
    if name in _CREDENTIALS:
        credential, colon, _ = value.partition(":")
        return f"{setting}={credential}:{REDACTED}" if colon else line
    if name.startswith("Exec"):
        return f"{setting}={_redact_command(value)}"
    return f"{setting}={redact_text(value)}"


def _redact_variable(match: re.Match[str]) -> str:
    word = match[0]
    quote = word[0] if word[0] in _QUOTES else ""
    name, equals, value = word.strip(_QUOTES).partition("=")
    if not equals:
        return redact_text(word)
    shown = redact_environment({name: value.strip(_QUOTES)})[name]
    return word if shown == value else f"{quote}{name}={shown}{quote}"


def _redact_command(command: str) -> str:
    """Redact a command's words where they stand; what is between them stays as it is."""
    words = _WORD.findall(command)
    shown = redact_argv([word.strip(_QUOTES) for word in words])
    after = iter(word if hidden == word.strip(_QUOTES) else hidden for word, hidden in zip(words, shown, strict=True))
    return redact_text(_WORD.sub(lambda _: next(after), command))
