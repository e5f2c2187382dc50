"""Where NATS is and how one is let in: what a nats:// URL and the files beside it say."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES = ("nats", "tls")
_PORT = 4222


class NatsAddressError(ValueError):
    """An address or a file beside it can't be used; the text says how to mend it, and never shows a secret."""


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """Servers of one NATS system, and what opens them."""

    servers: tuple[str, ...]
    """HOST:PORT of each; the client learns the others of a cluster by itself."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    credentials_file: Path | None = None
    """A .creds file of NATS: a user's JWT and its key."""
    tls: ssl.SSLContext | None = None
    """None: no TLS, unless the server asks for it."""
    options: tuple[tuple[str, str], ...] = ()
    """What stands after the ? of the URL."""

    @property
    def text(self) -> str:
        """The address as it may be shown and logged."""
        return f"{SCHEMES[self.tls is not None]}://{','.join(self.servers)}"


def is_nats(url: str) -> bool:
    """Say whether a URL names NATS."""
    return url.partition("://")[0] in SCHEMES


def nats_address(url: str, *, credentials_file: Path | None = None, ca_file: Path | None = None) -> NatsAddress:
    """Return what a URL nats://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][?OPTION=VALUE…] says; tls:// asks for TLS.

    The credentials file is a .creds file of NATS, or holds USER:PASSWORD or a token in its only line. The CA file has
    the certificates, in PEM, that the servers' are checked against; given, TLS is asked for. Raises NatsAddressError.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise NatsAddressError("The address of NATS begins with nats:// or tls://, as in nats://nats1:4222,nats2:4222")
    place, _, query = rest.partition("?")
    userinfo, _, hosts = place.rstrip("/").rpartition("@")
    servers = tuple(_server(one) for one in hosts.split(","))
    secrets: dict[str, Any] = _secrets(userinfo) if userinfo else {}
    if credentials_file is not None:
        if secrets:
            raise NatsAddressError("The address of NATS has a user in it, and there is a file with one: leave one out.")
        secrets = _from_file(credentials_file)
    try:
        options = tuple(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else ()
    except ValueError:
        raise NatsAddressError("After the ? of NATS's address stand OPTION=VALUE pairs, joined by &.") from None
    return NatsAddress(servers, tls=_tls(scheme, ca_file), options=options, **secrets)


def _server(text: str) -> str:
    try:
        found = urlsplit(f"//{text}")
        host, port = found.hostname, found.port or _PORT
    except ValueError:
        host, port = None, _PORT
    if not host or found.path or "@" in text:
        raise NatsAddressError("The address of NATS names its servers as HOST or HOST:PORT, joined by commas.")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _secrets(userinfo: str) -> dict[str, Any]:
    user, colon, password = userinfo.partition(":")
    if not colon:
        return {"token": unquote(user)}
    return {"user": unquote(user), "password": unquote(password)}


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NatsAddressError(f"The file with the credentials for NATS can't be read: {error}") from error
    if "BEGIN NATS USER JWT" in text:
        return {"credentials_file": path}
    if not text or "\n" in text:
        raise NatsAddressError(f"{path} is no .creds file of NATS, and no single line USER:PASSWORD or TOKEN.")
    user, colon, password = text.partition(":")
    return {"user": user, "password": password} if colon else {"token": text}


def _tls(scheme: str, ca_file: Path | None) -> ssl.SSLContext | None:
    if scheme != "tls" and ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise NatsAddressError(
            f"The file with NATS's certificate authority can't be used: {ca_file}: {error}"
        ) from error
