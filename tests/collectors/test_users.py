"""Names of users."""

import os

from hypothesis import given
from hypothesis import strategies as st

from safetytwin.collectors.users import Users, parse_passwd


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(data):
    assert all(isinstance(uid, int) and name for uid, name in parse_passwd(data).items())


def test_comments_nis_entries_and_torn_lines_are_passed_over():
    data = b"# root\nroot:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:\n+::::::\nhalf:x\n"
    data += b"x:x:-1:1::/:\ncaf\xe9:x:7:7::/:/bin/sh\n"
    assert parse_passwd(data) == {0: "root", 7: "caf\ufffd"}


def test_a_replaced_file_is_read_again(tmp_path):
    passwd = tmp_path / "passwd"
    passwd.write_bytes(b"ada:x:1000:1000::/:/bin/sh\n")
    users = Users(str(tmp_path))
    assert users.refresh()
    assert not users.refresh()
    assert (users.name_of(1000), users.name_of(1001), users.name_of(None)) == ("ada", "1001", None)
    (tmp_path / "new").write_bytes(b"eve:x:1000:1000::/:/bin/sh\n")
    os.replace(tmp_path / "new", passwd)
    assert users.refresh()
    assert users.name_of(1000) == "eve"
    passwd.unlink()
    assert users.refresh()
    assert users.name_of(1000) == "1000"
