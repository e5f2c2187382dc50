"""Reads a command line: wrappers taken off, the program resolved, its flags; text in, facts out.

What a program is called with says what it is told to do, never what it is: whoever judges sets that against the
executable.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from os.path import basename
from typing import Literal, NamedTuple

from safetytwin.workloads.argv_wrappers import Unwrapped, is_wrapper, unwrap

Kind = Literal["program", "script", "module", "code", "package", "java", "shell", "title", "none"]
Interpreter = Literal["python", "node", "java", "shell", "other"]

_INTERPRETERS: tuple[tuple[Interpreter, re.Pattern[str]], ...] = (
    ("python", re.compile(r"^(python|pypy|ipython|pythonw)[\d.]*[a-z]?(-dbg|\.exe)?$", re.IGNORECASE)),
    ("node", re.compile(r"^(node|nodejs|bun|deno|electron)[\d.]*$")),
    ("java", re.compile(r"^java[\d.]*$")),
    ("shell", re.compile(r"^-?(sh|bash|dash|zsh|ksh|ksh93|mksh|ash|fish|busybox|csh|tcsh|rbash|pwsh|xonsh|nu)$")),
    ("other", re.compile(r"^(perl|ruby|php|lua|luajit|Rscript|R|guile|tclsh|wish|expect|gawk|awk|mawk)[\d.-]*$")),
)
_PYTHON_VALUE_FLAGS = frozenset({"-X", "-W", "--check-hash-based-pycs", "-Q"})
_NODE_VALUE_FLAGS = frozenset(
    {"-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions", "--env-file"}
)
_NODE_PACKAGE = re.compile(r"(?:.*/|^)node_modules/((?:@[^/]+/)?[^/.][^/]*)(?:/|$)")
_SITE_PACKAGE = re.compile(r"/(?:site|dist)-packages/(.+)$")
_IMPORT = re.compile(
    r"(?:^|[;\n])\s*(?:from\s+([A-Za-z_][\w.]*)\s+import\b|import\s+([A-Za-z_][\w.]*(?:\s*,\s*[A-Za-z_][\w.]*)*))"
)
_LONGEST_CODE = 65536
_WSGI_SERVERS = frozenset({"uvicorn", "gunicorn", "hypercorn", "granian", "daphne"})
_APP = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*(\(\))?$")
_SCRIPT_ENDINGS = (".py", ".pyc", ".js", ".mjs", ".cjs", ".ts")


class Invocation(NamedTuple):
    """What a command line runs."""

    kind: Kind
    program: str = ""
    """Name of the program, script, module, package or title."""
    path: str = ""
    """Path of the program or script, as given."""
    arguments: tuple[str, ...] = ()
    """What follows it."""
    interpreter: Interpreter | None = None
    package: str = ""
    """Package that the script lies in: of npm, or of Python's site-packages."""
    imports: tuple[str, ...] = ()
    """Top packages that `python -c` imports."""
    wrappers: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    """NAME=value given by env."""
    app: str = ""
    """module:name that an ASGI or WSGI server serves."""


def interpreter_of(path: str) -> Interpreter | None:
    """Return what kind of interpreter a program is by the name in its path, None where it is none."""
    name = basename(path)
    for kind, pattern in _INTERPRETERS:
        if pattern.match(name):
            return kind
    return None


def parse(argv: Sequence[str], exe: str | None = None) -> Invocation:
    """Return what a command line runs; exe is the executable's path, where known: it outweighs what argv[0] claims."""
    if not argv or not any(argv):
        return Invocation("none")
    if _is_title(argv, exe):
        return _title(argv[0])
    if exe is not None and interpreter_of(exe) not in {None, "shell"} and interpreter_of(argv[0]) is None:
        # argv[0] may be anything: the executable is an interpreter, so the rest are an interpreter's arguments.
        argv = [exe, *argv[1:]]
    return _command(unwrap(argv))


def _is_title(argv: Sequence[str], exe: str | None) -> bool:
    """Tell whether the only argument is a title, as setproctitle and process.title write it.

    Also where a title holds blanks and arguments follow, as after exec -a: no program's path is like that.
    """
    first = argv[0]
    if len(argv) == 1 and exe is not None and interpreter_of(exe) in {"python", "node", "other"}:
        return interpreter_of(first) is None
    return (" " in first and not first.startswith("/")) or "::" in first or first.rstrip().endswith(":")


def _title(title: str) -> Invocation:
    words = title.split()
    name = words[0] if words else ""
    unwrapped = unwrap(words)
    if unwrapped.package and unwrapped.words:
        # npm writes its own command into the title: npm exec PACKAGE ARGUMENTS
        return _package(unwrapped)._replace(kind="package")
    return Invocation("title", name.rstrip(":"), path=title, arguments=tuple(words[1:]))


def _command(unwrapped: Unwrapped) -> Invocation:
    words = unwrapped.words
    if not words:
        return Invocation("none", wrappers=unwrapped.wrappers)
    if unwrapped.package:
        return _package(unwrapped)
    kind = interpreter_of(words[0])
    if kind == "python":
        found = _python(words[1:])
    elif kind == "node":
        found = _node(words[1:])
    elif kind == "java":
        found = _java(words[1:])
    elif kind is not None:
        found = Invocation("shell", _first_plain(words[1:]), arguments=words[1:], interpreter=kind)
    else:
        found = Invocation("program", basename(words[0]), words[0], words[1:])
        if words[0].endswith(_SCRIPT_ENDINGS):
            found = _script(words[0], words[1:], "python" if ".py" in basename(words[0]) else "node")
    return found._replace(
        wrappers=unwrapped.wrappers + found.wrappers, assignments=unwrapped.assignments + found.assignments
    )


def _package(unwrapped: Unwrapped) -> Invocation:
    name = unwrapped.words[0]
    scope, at, _ = name.rpartition("@")
    plain = scope if at and scope else name  # without the version behind @
    plain = plain.partition("==")[0].partition("[")[0]
    python = unwrapped.wrappers[-1] in {"uv", "uvx", "pipx"}
    return Invocation(
        "package", plain, name, unwrapped.words[1:], "python" if python else "node",
        package=plain, wrappers=unwrapped.wrappers, assignments=unwrapped.assignments,
    )  # fmt: skip


def _python(words: Sequence[str]) -> Invocation:
    place = 0
    while place < len(words):
        word = words[place]
        if word == "-m" or (word.startswith("-m") and len(word) > 2 and not word.startswith("--")):
            module = word[2:] or (words[place + 1] if place + 1 < len(words) else "")
            rest = tuple(words[place + (1 if word[2:] else 2) :])
            return _served(Invocation("module", module, arguments=rest, interpreter="python", package=_top(module)))
        if word == "-c" or (word.startswith("-c") and not word.startswith("--")):
            code = word[2:] or (words[place + 1] if place + 1 < len(words) else "")
            rest = tuple(words[place + (1 if word[2:] else 2) :])
            return Invocation("code", arguments=rest, interpreter="python", imports=tuple(_imports(code)))
        if word in _PYTHON_VALUE_FLAGS:
            place += 2
        elif word.startswith("-") and len(word) > 1:
            flags = word[1:]
            if not word.startswith("--") and flags.endswith("m") and flags[:-1].isalpha() and len(flags) > 1:
                return _python(("-m", *words[place + 1 :]))  # -um MODULE
            if not word.startswith("--") and flags.endswith("c") and flags[:-1].isalpha() and len(flags) > 1:
                return _python(("-c", *words[place + 1 :]))
            place += 1
        else:
            return _script(word, tuple(words[place + 1 :]), "python")
    return Invocation("none", interpreter="python")


def _top(module: str) -> str:
    return module.partition(".")[0]


def _imports(code: str) -> Iterator[str]:
    """Yield the top packages that statements at the beginning of a line or behind a semicolon import."""
    for match in _IMPORT.finditer(code[:_LONGEST_CODE]):
        for name in (match[1] or match[2]).split(","):
            yield _top(name.strip())


def _script(path: str, rest: tuple[str, ...], interpreter: Interpreter) -> Invocation:
    name = basename(path)
    for ending in _SCRIPT_ENDINGS:
        name = name.removesuffix(ending)
    found = Invocation("script", name, path, rest, interpreter)
    if is_wrapper(name):  # conda, poetry and pipx are scripts themselves
        inner = unwrap([name, *rest])
        if inner.wrappers:
            return _command(inner)
    if interpreter == "python":
        inside = _SITE_PACKAGE.search(path)
        if inside is not None:
            parts = inside[1].removesuffix(".py").removesuffix("/__main__").split("/")
            module = ".".join(parts)
            return found._replace(kind="module", program=module, package=parts[0])
        return _served(found)
    match = _NODE_PACKAGE.match(path)
    if match is not None:
        if match[1] == "npm" and name in {"npx-cli", "npm-cli"}:
            inner = unwrap(["npx" if name == "npx-cli" else "npm", *rest])
            if inner.package and inner.words:
                return _package(inner)
        return found._replace(package=match[1])
    return found


def _served(found: Invocation) -> Invocation:
    """Add the application that an ASGI or WSGI server serves: uvicorn package.module:app."""
    if found.program not in _WSGI_SERVERS:
        return found
    app = next((word for word in found.arguments if _APP.match(word)), "")
    return found._replace(app=app)


def _node(words: Sequence[str]) -> Invocation:
    place = 0
    while place < len(words):
        word = words[place]
        if word in {"run", "start"} and place == 0 and len(words) > 1:
            place += 1  # deno run, bun run
        elif word.startswith("npm:"):
            name = _plain(word[4:])
            return Invocation("package", name, word, tuple(words[place + 1 :]), "node", package=name)
        elif word in {"-e", "--eval", "-p", "--print"}:
            return Invocation("none", interpreter="node")
        elif word.startswith("-"):
            place += 2 if word in _NODE_VALUE_FLAGS else 1
        else:
            return _script(word, tuple(words[place + 1 :]), "node")
    return Invocation("none", interpreter="node")


def _plain(package: str) -> str:
    name, at, _ = package.rpartition("@")
    return name if at and name else package


def _java(words: Sequence[str]) -> Invocation:
    place = 0
    while place < len(words):
        word = words[place]
        if word == "-jar" and place + 1 < len(words):
            return Invocation("java", basename(words[place + 1]), words[place + 1], tuple(words[place + 2 :]), "java")
        if word in {"-cp", "-classpath", "--class-path", "-p", "--module-path", "-m", "--add-opens", "--add-exports"}:
            place += 2
        elif word.startswith("-"):
            place += 1
        else:
            return Invocation("java", word, word, tuple(words[place + 1 :]), "java")
    return Invocation("none", interpreter="java")


def _first_plain(words: Iterable[str]) -> str:
    return next((basename(word) for word in words if not word.startswith("-")), "")


def values_of(arguments: Sequence[str], flags: Iterable[str]) -> list[str]:
    """Return the values given to any of the flags: --flag VALUE, --flag=VALUE, -f VALUE."""
    wanted = frozenset(flags)
    found = []
    for place, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if equals and name in wanted and value:
            found.append(value)
        elif word in wanted and place + 1 < len(arguments):
            following = arguments[place + 1]
            if following and not (following.startswith("-") and len(following) > 1):
                found.append(following)
    return found


def has_flag(arguments: Sequence[str], flags: Iterable[str]) -> bool:
    """Tell whether any of the flags is given, with a value or without."""
    wanted = frozenset(flags)
    return any(word.partition("=")[0] in wanted for word in arguments)


def positionals(arguments: Sequence[str], valued: Iterable[str] = ()) -> list[str]:
    """Return the arguments that are neither flags nor, as far as can be told, their values.

    valued are the flags known to take a value; of an unknown flag the next argument counts as its value.
    """
    known = frozenset(valued)
    found: list[str] = []
    skip = False
    for place, word in enumerate(arguments):
        if skip and not word.startswith("-"):
            skip = False
        elif word == "--":
            return found + list(arguments[place + 1 :])
        elif word.startswith("-") and len(word) > 1:
            following = arguments[place + 1] if place + 1 < len(arguments) else ""
            skip = "=" not in word and (word in known or word.startswith("--") or following[:1].isdigit())
        else:
            found.append(word)
    return found
