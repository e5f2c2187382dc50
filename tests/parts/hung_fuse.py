"""A real FUSE mount whose server never answers: what a dead network mount looks like to statvfs."""

import contextlib
import ctypes
import os

_MNT_DETACH = 2


@contextlib.contextmanager
def hung_fuse(folder, fstype="fuse.sshfs"):
    """Mount a file system on folder that takes questions and gives no answer; raises OSError where that can't be had.

    Closing the server's descriptor aborts the connection, so that whoever waits for an answer gets an error.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"hung", os.fsencode(folder), fstype.encode(), 0, options) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        try:
            yield
        finally:
            libc.umount2(os.fsencode(folder), _MNT_DETACH)
    finally:
        os.close(server)
