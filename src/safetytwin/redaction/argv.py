"""Secrets in a command line: by the flag before them, by the program's own short flags, by their shape."""

import os
from collections.abc import Mapping, Sequence

from safetytwin.redaction.names import is_secret_name
from safetytwin.redaction.text import REDACTED, is_location, redact_text, refers_to_secret

_MYSQL = {"-p": "joined"}
_USER_AND_PASSWORD = {"-u": "next", "--user": "next", "-U": "next", "--proxy-user": "next"}
_SHORT_FLAGS: Mapping[str, Mapping[str, str]] = {
    # "next": the secret is the next argument or joined to the flag; "joined": only where joined to it.
    **dict.fromkeys(
        ("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "mariadb-dump", "mariadb-admin"), _MYSQL
    ),
    "sshpass": {"-p": "next"},
    "curl": _USER_AND_PASSWORD,
    "redis-cli": {"-a": "next"},
    "valkey-cli": {"-a": "next"},
    **dict.fromkeys(("ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapwhoami"), {"-w": "next"}),
    **dict.fromkeys(("mosquitto_pub", "mosquitto_sub", "sqlcmd", "bcp", "ipmitool"), {"-P": "next"}),
    **dict.fromkeys(("smbclient", "net", "rpcclient", "winexe"), {"-U": "next"}),
    **dict.fromkeys(
        ("mongo", "mongosh", "mongodump", "mongorestore", "cqlsh", "rabbitmqadmin", "plink", "pscp"), {"-p": "next"}
    ),
    **dict.fromkeys(("7z", "7za", "7zr", "rar", "unrar"), {"-p": "joined"}),
    **dict.fromkeys(("zip", "unzip"), {"-P": "next"}),
    **dict.fromkeys(("snmpget", "snmpwalk", "snmpset"), {"-c": "next", "-A": "next", "-X": "next"}),
    **dict.fromkeys(("xfreerdp", "xfreerdp3", "wlfreerdp"), {"/p:": "joined"}),
    **dict.fromkeys(("llama-server", "llama-cli", "llama"), {"-hft": "next"}),
}
_LOGIN_PROGRAMS = frozenset({"docker", "podman", "skopeo", "buildah", "nerdctl", "helm", "oras"})
_SECRET_VERBS: Mapping[str, str] = {"ngrok": "authtoken", "vault": "login", "htpasswd": "-b"}


def redact_argv(argv: Sequence[str]) -> list[str]:
    """Return argv with secrets replaced; its length and every other argument stay as they are."""
    shown: list[str] = []
    flags = _flags_of(argv)
    awaiting = False
    for position, argument in enumerate(argv):
        if awaiting:
            awaiting = False
            if argument and not (argument.startswith("--") and len(argument) > 2):
                shown.append(argument if is_location(argument) else REDACTED)
                continue
        if position == 0:
            # A title set by the process itself may be a whole command line in one argument.
            shown.append(redact_text(argument))
            continue
        redacted, awaiting = _redact_argument(argument, flags)
        shown.append(redacted)
    _redact_last_of_htpasswd(argv, shown)
    return shown


def _redact_argument(argument: str, flags: Mapping[str, str]) -> tuple[str, bool]:
    """Return the argument as it may be shown, and whether the next one is a secret."""
    for flag, form in flags.items():
        if argument == flag:
            return argument, form == "next"
        if argument.startswith(flag) and not argument.startswith("--") and len(argument) > len(flag):
            return flag + REDACTED, False
        if argument.startswith(f"{flag}="):
            return f"{flag}={REDACTED}", False
    name, equals, value = argument.partition("=")
    bare = name.lstrip("-/")
    if equals and value and not _has_space(name):
        # Java's system properties: -Dpassword=...
        if is_secret_name(bare[1:] if name.startswith("-D") else bare) and not refers_to_secret(value):
            return (argument if is_location(value) else f"{name}={REDACTED}"), False
        return f"{name}={redact_text(value)}" if "://" not in name else redact_text(argument), False
    if argument.startswith("-") and not _has_space(argument) and is_secret_name(bare):
        return argument, True
    return redact_text(argument), False


def _flags_of(argv: Sequence[str]) -> Mapping[str, str]:
    """Return the short flags before secrets of the program that argv runs, wrappers such as sudo or env passed over."""
    for position, argument in enumerate(argv[:8]):
        program = os.path.basename(argument)
        if program in _SHORT_FLAGS:
            return _SHORT_FLAGS[program]
        if program in _LOGIN_PROGRAMS and "login" in argv[position + 1 : position + 4]:
            return {"-p": "next"}
        if program in _SECRET_VERBS and _SECRET_VERBS[program] in argv[position + 1 :] and program != "htpasswd":
            return {_SECRET_VERBS[program]: "next"}
    return {}


def _redact_last_of_htpasswd(argv: Sequence[str], shown: list[str]) -> None:
    """Redact `htpasswd -b FILE USER PASSWORD`: the one common program whose secret stands without a flag."""
    if len(argv) < 4 or os.path.basename(argv[0]) != "htpasswd":
        return
    if any(argument.startswith("-") and not argument.startswith("--") and "b" in argument for argument in argv[1:-1]):
        shown[-1] = REDACTED


def _has_space(text: str) -> bool:
    return any(character.isspace() for character in text)
