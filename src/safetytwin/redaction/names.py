"""Which names (of flags, variables, labels, URL parameters) stand before a secret."""

import re
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_SECRET_WORDS = frozenset(
    "password passwords passwd passphrase passcode passwort pass pwd pw secret secrets token credential credentials "
    "cred creds authorization authtoken authkey auth basicauth apikey apitoken accesskey secretkey privatekey "
    "accesstoken cookie cookies signature sig jwt bearer otp pin dsn psk connectionstring webhook userpass "
    "requirepass masterauth hft sessionid community".split()
)
_KEY_OWNERS = frozenset(
    "api access secret private signing sign encryption encrypt auth license licence account master storage service "
    "session shared deploy hmac admin app client root host user data ssh gpg pgp aes rsa tls unseal".split()
)
_TOKENS_OF_TEXT = frozenset(
    "pad eos bos unk sep cls mask special max min num stop image video audio new per first last next chunk".split()
)
_NOT_THE_SECRET = frozenset(
    "id ids limit count len length budget size type url uri endpoint expiry ttl timeout name length policy age "
    "file files path dir directory env var method mode provider realm enabled required algorithm header format "
    "version prefix rotation source store backend helper command cmd".split()
)
_NEVER = frozenset({"PWD", "OLDPWD"})


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Return whether what follows this name is a secret: --api-key, DB_PASSWORD, accessToken, X-Amz-Signature.

    Not so for names that only speak about one: --token-limit, --password-file, PAD_TOKEN, TOKENIZERS_PARALLELISM.
    """
    if name in _NEVER:
        return False
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _NOT_THE_SECRET:
        return False
    for position, word in enumerate(words):
        before = words[position - 1] if position else ""
        if word == "token" and before in _TOKENS_OF_TEXT:
            continue
        if word in _SECRET_WORDS:
            return True
        if word in {"key", "keys"} and (before in _KEY_OWNERS or (position == len(words) - 1 and name.isupper())):
            return True
    return False
