"""Tokens: who may ask the bridge what. Kept as SHA-256 in a file that only the bridge's user may read.

A token is 32 random bytes, so that its bare hash can't be guessed back; it is shown once, when it is made.
"""

import contextlib
import fcntl
import hashlib
import hmac
import logging
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Literal

import msgspec

from safetytwin.models.fields import Record
from safetytwin.models.system_state import HostId, Timestamp
from safetytwin.models.timestamps import timestamp

FILE = "tokens.json"
"""Name of the file within the bridge's data directory."""

COOKIE = "safetytwin"
"""Holds a person's token in a browser: HttpOnly, so that no script reads it; SameSite=Strict, so that no other site's
page sends it."""

_LOG = logging.getLogger(__name__)
_NO_HASH = "0" * 64


Name = A[str, msgspec.Meta(max_length=200)]


class Token(Record, frozen=True):
    """One token as it is kept: everything but the token itself."""

    id: A[str, msgspec.Meta(pattern=r"^[0-9a-f]{12}\Z", description="Public part, by which it is revoked.")]
    kind: A[Literal["agent", "person"], msgspec.Meta(description="An agent sends its machine; a person sees all.")]
    sha256: A[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z", description="Hash of the token.")]
    created_at: A[Timestamp, msgspec.Meta(description="When it was made.")]
    name: A[Name | None, msgspec.Meta(description="For people.")] = None
    host_id: A[HostId | None, msgspec.Meta(description="An agent's machine; null until its first use binds it.")] = None


class TokenFile(Record, frozen=True):
    """What the file holds."""

    version: Literal[1]
    tokens: list[Token]


class TokenError(Exception):
    """The tokens can't be read or changed; the text says why and how to mend it."""


class TokenStore:
    """The tokens of one bridge; several processes may use the same file at once."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self._lock = data_dir / (FILE + ".lock")
        self._seen: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def create(self, kind: Literal["agent", "person"], *, name: str | None = None, host_id: str | None = None) -> str:
        """Make a token and return it: the only time that it can be read. Raises TokenError.

        An agent's token without host_id is bound to the first machine that uses it.
        """
        if kind == "person" and host_id is not None:
            raise TokenError("A person's token is for all machines: leave out the host id.")
        public, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        token = f"st_{public}_{secret}"
        kept = Token(
            id=public,
            kind=kind,
            sha256=_hash(token),
            created_at=timestamp(time.time()) or "",
            name=name,
            host_id=host_id,
        )
        try:
            msgspec.convert(msgspec.to_builtins(kept), Token)
        except msgspec.ValidationError as error:
            raise TokenError(f"No token can be made of that: {error}.") from None
        with self._changing() as tokens:
            tokens[public] = kept
        return token

    def list(self) -> Sequence[Token]:
        """Return all tokens, oldest first. Raises TokenError."""
        return sorted(self._read().values(), key=lambda token: token.created_at)

    def revoke(self, public: str) -> None:
        """Make a token worthless, at once for a running bridge too. Raises TokenError where there is none."""
        with self._changing() as tokens:
            if tokens.pop(public, None) is None:
                known = ", ".join(sorted(tokens)) or "none"
                raise TokenError(f"There is no token {public[:40]!r}. Known: {known}.")

    def check(self, presented: str) -> Token | None:
        """Return the token that was presented, or None where it is none of ours. Raises TokenError."""
        self._refresh()
        kept = self._tokens.get(presented[3:15]) if presented.startswith("st_") else None
        matches = hmac.compare_digest(_hash(presented), kept.sha256 if kept else _NO_HASH)
        return kept if matches else None

    def bind(self, public: str, host_id: str) -> Token | None:
        """Bind an agent's token to its machine, once; return it as it now is, None where it was revoked meanwhile."""
        with self._changing() as tokens:
            token = tokens.get(public)
            if token is not None and token.host_id is None:
                token = tokens[public] = msgspec.structs.replace(token, host_id=host_id)
            return token

    def _refresh(self) -> None:
        """Read the file again where another process has changed it."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self._tokens, self._seen = {}, None
            return
        except OSError as error:
            raise TokenError(f"{self._path} can't be read: {error.strerror}.") from None
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen != self._seen:
            self._tokens, self._seen = self._read(), seen

    def _read(self) -> dict[str, Token]:
        try:
            with open(self._path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                content = msgspec.json.decode(file.read(), type=TokenFile)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise TokenError(f"{self._path} can't be read: {error.strerror}.") from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise TokenError(f"{self._path} is damaged ({error}): remove it and make new tokens.") from None
        if mode & 0o077:
            _LOG.warning("others may read %s (mode %o); run: chmod 600 %s", self._path, mode, self._path)
        return {token.id: token for token in content.tokens}

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Token]]:
        """Give the tokens to be changed, alone among processes, and write them when that went well."""
        try:
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TokenError(f"{self._lock} can't be opened: {error.strerror}.") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = self._read()
            before = dict(tokens)
            yield tokens
            if tokens != before:
                self._write(tokens)
        finally:
            os.close(lock)

    def _write(self, tokens: dict[str, Token]) -> None:
        """Replace the file in one step: after a crash it is the old one or the new one."""
        content = msgspec.json.format(msgspec.json.encode(TokenFile(1, list(tokens.values()))))
        try:
            handle, path = tempfile.mkstemp(prefix=FILE, dir=self._path.parent)  # mode 0600
            try:
                with open(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(path, self._path)
            except BaseException:
                os.unlink(path)
                raise
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise TokenError(f"{self._path} can't be written: {error.strerror}.") from None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
