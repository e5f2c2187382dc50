"""Secrets inside any text: known token shapes, URLs, headers, private keys, NAME=VALUE."""

import re

from safetytwin.redaction.names import is_secret_name

REDACTED = "[redacted]"

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.DOTALL
)

# Shapes that their issuers document, so that tools can find them: the prefix says whose secret it is.
_TOKEN_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,} | gl(?:pat|dt|rt|ptt|cbt|oas|soat|agent)-[A-Za-z0-9_.-]{16,}
    | sk-[A-Za-z0-9_-]{16,} | hf_[A-Za-z0-9]{16,} | api_org_[A-Za-z0-9]{16,} | nvapi-[A-Za-z0-9_-]{16,}
    | gsk_[A-Za-z0-9]{16,} | r8_[A-Za-z0-9]{16,} | xai-[A-Za-z0-9]{16,} | pplx-[A-Za-z0-9]{16,} | tgp_v1_[A-Za-z0-9_-]{16,}
    | xox[abeoprs]-[A-Za-z0-9-]{8,} | xapp-[A-Za-z0-9-]{8,} | (?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16} | AIza[0-9A-Za-z_-]{30,}
    | ya29\.[0-9A-Za-z_-]{10,} | eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)? | npm_[A-Za-z0-9]{20,}
    | pypi-[A-Za-z0-9_-]{20,} | do[opr]_v1_[a-f0-9]{20,} | SG\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}
    | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,} | whsec_[A-Za-z0-9+/=]{10,} | hv[sbr]\.[A-Za-z0-9_-]{16,} | s\.[A-Za-z0-9]{24}
    | tskey-[A-Za-z0-9-]{10,} | dckr_(?:pat|oat)_[A-Za-z0-9_-]{16,} | ATATT3[A-Za-z0-9_=-]{20,} | AGE-SECRET-KEY-1[0-9A-Z]{20,}
    | lin_api_[A-Za-z0-9]{16,} | secret_[A-Za-z0-9]{32,} | shp(?:at|ca|pa|ss)_[a-fA-F0-9]{16,} | sq0[a-z]{3}-[A-Za-z0-9_-]{16,}
    | glsa_[A-Za-z0-9_]{20,} | dapi[a-f0-9]{32} | [0-9]{8,10}:AA[A-Za-z0-9_-]{32,} | key-[a-f0-9]{32}
    )""",
    re.VERBOSE,
)

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,30}"
# Every repetition is bounded: a machine's command lines must not make the agent spend time in proportion to their square.
_URL_USER_AND_PASSWORD = re.compile(
    rf"(?<![A-Za-z0-9+.-])({_SCHEME}://[^\s/:@?#'\"]{{0,128}}):([^\s/'\"]{{0,256}})@(?=[^\s@])"
)
_URL_PASSWORD_WITH_SLASH = re.compile(
    rf"(?<![A-Za-z0-9+.-])({_SCHEME}://[^\s/:@?#'\"]{{0,128}}):([^\s@'\"]{{1,256}})@(?=[A-Za-z0-9\[])"
)
_URL_LONE_USER = re.compile(rf"(?<![A-Za-z0-9+.-])({_SCHEME}://)([^\s/:@?#'\"]{{20,256}})@")
_URL_PARAMETER = re.compile(r"([?&;#]([A-Za-z0-9_.~%-]{1,64})=)([^\s&;#'\"]+)")

_AUTHORIZATION = re.compile(r"(?i)\b((?:proxy-)?authorization\s*[:=]\s*['\"]?)([A-Za-z][A-Za-z0-9-]*\s+)?([^\s'\",;]+)")
_BEARER = re.compile(r"(?i)\b(bearer|basic|digest|negotiate)(\s+)([A-Za-z0-9+/=._~:-]{8,})")
_OPENSSL_PASS = re.compile(r"(?<![A-Za-z0-9])pass:\S+")

_NAME_AND_VALUE = re.compile(
    r"""(?<![A-Za-z0-9_.-])(-{0,2}["']?([A-Za-z_][A-Za-z0-9_.-]{0,80})["']?\s?[=:]\s?)"""
    r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^\s'",;&|)}\]]+)"""
)
_FLAG_AND_VALUE = re.compile(
    r"""(?<![A-Za-z0-9_.-])(--?([A-Za-z][A-Za-z0-9_.-]{1,80})\s+)("[^"]*"|'[^']*'|(?!-)[^\s'"]+)"""
)


def redact_text(text: str) -> str:
    """Return text without the secrets in it; the same object where there are none."""
    if "://" in text:
        text = _URL_USER_AND_PASSWORD.sub(rf"\1:{REDACTED}@", text)
        text = _URL_PASSWORD_WITH_SLASH.sub(_url_password, text)
        text = _URL_LONE_USER.sub(rf"\1{REDACTED}@", text)
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(REDACTED, text)
    if len(text) >= 12:
        text = _TOKEN_SHAPES.sub(REDACTED, text)
        text = _BEARER.sub(rf"\1\2{REDACTED}", text)
        text = _AUTHORIZATION.sub(rf"\1\2{REDACTED}", text)
    if "=" in text or ":" in text:
        text = _URL_PARAMETER.sub(_named, text)
        text = _NAME_AND_VALUE.sub(_named, text)
        text = _OPENSSL_PASS.sub(f"pass:{REDACTED}", text)
    if "-" in text and " " in text:
        text = _FLAG_AND_VALUE.sub(_named, text)
    return text


def redact_value(name: str, value: str) -> str:
    """Return value as it may be shown where it stands under name: a variable, a label, a flag."""
    if value and is_secret_name(name) and not is_location(value) and not refers_to_secret(value):
        return REDACTED
    return redact_text(value)


_LOCATION = re.compile(
    r"^(?:file:)?[~.]?(?:/[\w.@ -]{1,100})+\.(?:pem|key|crt|cer|json|txt|ya?ml|toml|env|conf|cfg|ini|jks|p12|pfx)$"
)


def is_location(value: str) -> bool:
    """Return whether value is the path of a file that may hold a secret, rather than the secret itself."""
    return _LOCATION.match(value) is not None


def _url_password(match: "re.Match[str]") -> str:
    if match.group(2) == REDACTED or "://" in match.group(2):
        return match.group(0)
    return f"{match.group(1)}:{REDACTED}@"


def _named(match: "re.Match[str]") -> str:
    value = match.group(3)
    bare = value.strip("\"'")
    if not bare or REDACTED in value or not is_secret_name(match.group(2)):
        return match.group(0)
    if is_location(bare) or refers_to_secret(bare):
        return match.group(0)
    quote = value[0] if value[0] in "\"'" else ""
    return f"{match.group(1)}{quote}{REDACTED}{quote}"


def refers_to_secret(value: str) -> bool:
    """Return whether value only speaks of a secret: $TOKEN, ${TOKEN}, true, none."""
    return value.startswith("$") or value.lower() in {"true", "false", "none", "null", "yes", "no", "on", "off"}
