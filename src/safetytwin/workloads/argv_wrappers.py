"""Programs that run another program: what of their command line comes before it."""

import re
from collections.abc import Mapping, Sequence
from os.path import basename
from typing import NamedTuple


class Wrapper(NamedTuple):
    """How a wrapper's own arguments end and the wrapped command begins."""

    values: frozenset[str] = frozenset()
    """Its flags that take the next argument."""
    positionals: int = 0
    """Its own arguments before the command, such as timeout's duration."""
    verbs: tuple[str, ...] = ()
    """Words, one of which must come first for it to be a wrapper: uv run."""
    package: bool = False
    """What follows is a package to fetch and run: npx, uvx."""


def _wrapper(values: str = "", positionals: int = 0, verbs: tuple[str, ...] = (), *, package: bool = False) -> Wrapper:
    return Wrapper(frozenset(values.split()), positionals, verbs, package)


_UV = "--with --with-requirements --python -p --env-file --directory --project --extra --group --index --from --package"
_SUDO = "-u --user -g --group -h --host -p --prompt -C -r -t -T -U -D -R --chdir"
_NPX = "-p --package -c --call -w --workspace --cache --prefix"

WRAPPERS: Mapping[str, tuple[Wrapper, ...]] = {
    "env": (_wrapper("-u --unset -C --chdir"),),
    "nice": (_wrapper("-n --adjustment"),),
    "ionice": (_wrapper("-c --class -n --classdata -p"),),
    "chrt": (_wrapper("-T -P -D", 1),),
    "taskset": (_wrapper("", 1),),
    "numactl": (_wrapper("-m -N -C -p -i --membind --cpunodebind --physcpubind --preferred --interleave"),),
    "nohup": (_wrapper(),),
    "setsid": (_wrapper(),),
    "stdbuf": (_wrapper("-i -o -e --input --output --error"),),
    "unbuffer": (_wrapper(),),
    "time": (_wrapper("-f -o --format --output"),),
    "timeout": (_wrapper("-k -s --kill-after --signal", 1),),
    "sudo": (_wrapper(_SUDO),),
    "doas": (_wrapper("-u -C"),),
    "runuser": (_wrapper("-u --user -g --group"),),
    "setpriv": (_wrapper("--reuid --regid --groups"),),
    "gosu": (_wrapper("", 1),),
    "su-exec": (_wrapper("", 1),),
    "chpst": (_wrapper("-u -U -b -e -m -d -o -p"),),
    "s6-setuidgid": (_wrapper("", 1),),
    "prlimit": (_wrapper(),),
    "chroot": (_wrapper("", 1),),
    "unshare": (_wrapper("-S -G -R -w --setuid --setgid --root --wd"),),
    "nsenter": (_wrapper("-t --target -S -G --setuid --setgid"),),
    "ip": (_wrapper("", 1, ("netns exec",)),),
    "tini": (_wrapper("-p -e"),),
    "docker-init": (_wrapper("-p -e"),),
    "dumb-init": (_wrapper("-r --rewrite"),),
    "catatonit": (_wrapper(),),
    "systemd-inhibit": (_wrapper("--what --who --why --mode"),),
    "systemd-run": (_wrapper("-u --unit -p --property -E --setenv --slice --description --uid --gid -H -M"),),
    "systemd-cat": (_wrapper("-t --identifier -p --priority"),),
    "xvfb-run": (_wrapper("-n -s -e -f -p -w --server-args"),),
    "dbus-run-session": (_wrapper("--config-file"),),
    "firejail": (_wrapper(),),
    "prime-run": (_wrapper(),),
    "optirun": (_wrapper(),),
    "strace": (_wrapper("-e -o -p -s -u -E"),),
    "ltrace": (_wrapper("-e -o -p -s -u"),),
    "catchsegv": (_wrapper(),),
    "valgrind": (_wrapper(),),
    "nsys": (_wrapper("-o -t --output --trace", 0, ("profile", "launch")),),
    "ncu": (_wrapper("-o -k --export"),),
    "perf": (_wrapper("-o -e -F -g", 0, ("record", "stat")),),
    "py-spy": (_wrapper("-o -r -f -d", 0, ("record",)),),
    "mpirun": (_wrapper("-n -np -H -host --host -hostfile --hostfile -x --map-by --bind-to -N"),),
    "mpiexec": (_wrapper("-n -np -H -host --host -hostfile --hostfile -x -N"),),
    "srun": (_wrapper("-N -n -c -p -t -J --nodes --ntasks --gres --partition --gpus"),),
    "uv": (
        _wrapper(_UV, 0, ("run",)),
        _wrapper(_UV, 0, ("tool run", "x"), package=True),
    ),
    "uvx": (_wrapper(_UV, package=True),),
    "pipx": (_wrapper("--spec --python", 0, ("run",), package=True),),
    "poetry": (_wrapper("-C --directory -P --project", 0, ("run",)),),
    "pipenv": (_wrapper("", 0, ("run",)),),
    "pdm": (_wrapper("-p --project", 0, ("run",)),),
    "rye": (_wrapper("", 0, ("run",)),),
    "hatch": (_wrapper("-e --env", 0, ("run",)),),
    "pixi": (_wrapper("-e --environment --manifest-path", 0, ("run",)),),
    **dict.fromkeys(
        ("conda", "mamba", "micromamba"), (_wrapper("-n --name -p --prefix --cwd -r --root-prefix", 0, ("run",)),)
    ),
    "mise": (_wrapper("-C", 0, ("exec", "x")),),
    "direnv": (_wrapper("", 1, ("exec",)),),
    "npx": (_wrapper(_NPX, package=True),),
    "npm": (_wrapper(_NPX, 0, ("exec", "x"), package=True),),
    "pnpm": (_wrapper("--package -C", 0, ("dlx", "exec"), package=True),),
    "yarn": (_wrapper("-p", 0, ("dlx",), package=True),),
    "bunx": (_wrapper("", package=True),),
    "bun": (_wrapper("", 0, ("x",), package=True),),
    **dict.fromkeys(
        ("qemu-x86_64", "qemu-x86_64-static", "qemu-aarch64", "qemu-aarch64-static", "box64"), (_wrapper("-L -cpu"),)
    ),
}
_LOADER = re.compile(r"^(ld-linux[\w.-]*\.so\.\d|ld-musl-[\w]+\.so\.1|ld-[\d.]+\.so|\.?ape-[\d.]+(\.elf)?)$")
_LOADER_FLAGS = _wrapper("--library-path --preload --argv0 --audit --inhibit-rpath --glibc-hwcaps-prepend")
_ASSIGNMENT = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*=")
_MOST = 8
"""Wrappers within wrappers that are looked through."""


class Unwrapped(NamedTuple):
    """What is left of a command line, and what was taken off it."""

    words: tuple[str, ...]
    wrappers: tuple[str, ...]
    package: bool
    """The first word names a package to fetch and run, not a program."""
    assignments: tuple[str, ...]
    """NAME=value words of env."""


def is_wrapper(program: str) -> bool:
    """Tell whether a program's name is that of a wrapper."""
    return program in WRAPPERS or _LOADER.match(program) is not None


def unwrap(words: Sequence[str]) -> Unwrapped:
    """Return a command line without the wrappers before the program."""
    left = list(words)
    wrappers: list[str] = []
    assignments: list[str] = []
    package = False
    while left and len(wrappers) < _MOST:
        name = basename(left[0])
        rest = _after(name, left[1:], assignments)
        if rest is None:
            break
        left, package = rest
        wrappers.append(name)
        if package:
            break
    return Unwrapped(tuple(left), tuple(wrappers), package, tuple(assignments))


def _after(name: str, words: list[str], assignments: list[str]) -> tuple[list[str], bool] | None:
    """Return the command that a wrapper runs and whether it is a package; None where it is no wrapper or runs none."""
    kinds = (_LOADER_FLAGS,) if _LOADER.match(name) else WRAPPERS.get(name, ())
    for wrapper in kinds:
        rest = _past_verb(wrapper, words)
        if rest is None:
            continue
        rest = _past_flags(wrapper, rest, assignments if name in {"env", "sudo", "systemd-run"} else None)
        rest = rest[wrapper.positionals :]
        if rest and rest[0] == "--":
            rest = rest[1:]
        if rest:
            return rest, wrapper.package
    return None


def _past_verb(wrapper: Wrapper, words: list[str]) -> list[str] | None:
    if not wrapper.verbs:
        return words
    place = 0
    while place < len(words) and words[place].startswith("-"):  # flags before the verb: conda --no-plugins run
        place += 2 if words[place] in wrapper.values else 1
    for verb in wrapper.verbs:
        parts = verb.split(" ")
        if words[place : place + len(parts)] == parts:
            return words[place + len(parts) :]
    return None


def _past_flags(wrapper: Wrapper, words: list[str], assignments: list[str] | None) -> list[str]:
    place = 0
    while place < len(words):
        word = words[place]
        if word == "--":
            return words[place + 1 :]
        if assignments is not None and _ASSIGNMENT.match(word):
            assignments.append(word)
            place += 1
        elif assignments is not None and word in {"-S", "--split-string"}:
            return [part for text in words[place + 1 :] for part in text.split()]
        elif word in {"-m", "--module"} and wrapper.verbs == ("run",) and word not in wrapper.values:
            return ["python", *words[place:]]  # uv run -m MODULE
        elif word.startswith("-") and len(word) > 1:
            place += 2 if word in wrapper.values else 1
        else:
            break
    return words[place:]
