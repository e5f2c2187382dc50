"""SHA-256 from the interpreter itself: hashlib loads OpenSSL, 3.5 MB of the agent's memory."""

try:
    from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]  # Python 3.12 on; typeshed has no stub
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]  # Python 3.11
    except ImportError:  # an interpreter built without its own hashes
        from hashlib import sha256


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of data in hexadecimal."""
    digest: str = sha256(data).hexdigest()
    return digest
