"""The digest is the standard's, whichever module computes it."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from safetytwin.digest import sha256_hex


@given(st.binary(max_size=300))
def test_it_is_sha_256(data: bytes) -> None:
    assert sha256_hex(data) == hashlib.sha256(data).hexdigest()
