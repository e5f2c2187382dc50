"""The spool: capped, oldest first, whole after a crash, and never of a half that is of no use."""

import os

import pytest

from safetytwin.agent.spool import SEGMENT_FRAMES, Spool, Waiting

EPOCH = "a" * 16


def _frame(seq: int, size: int = 100, epoch: str = EPOCH) -> Waiting:
    return Waiting(epoch, seq, bytes([seq % 251]) * size)


def _all(spool: Spool) -> list[int]:
    seen = []
    while frames := spool.oldest(7, 10_000):
        seen += [frame.seq for frame in frames]
        spool.forget(len(frames))
    return seen


def test_frames_come_back_oldest_first_and_survive_a_restart(tmp_path) -> None:
    spool = Spool(str(tmp_path), 1 << 20)
    for seq in range(10):
        spool.append(_frame(seq), full=seq == 0)
    again = Spool(str(tmp_path), 1 << 20)
    assert len(again) == 10
    again.append(_frame(0, epoch="b" * 16), full=True)
    assert len(again) == 11
    assert [(frame.epoch[0], frame.seq) for frame in again.oldest(100, 1 << 20)] == [("a", seq) for seq in range(10)]
    assert _all(again) == [*range(10), 0]
    assert len(again) == 0
    assert os.listdir(tmp_path) == []


def test_a_torn_tail_is_skipped_and_counted(tmp_path) -> None:
    spool = Spool(str(tmp_path), 1 << 20)
    for seq in range(3):
        spool.append(_frame(seq), full=False)
    (name,) = os.listdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1])
    again = Spool(str(tmp_path), 1 << 20)
    assert len(again) == 2
    assert again.damaged == 1
    # What comes next goes into a segment of its own, not behind the torn record.
    again.append(_frame(3), full=False)
    assert _all(again) == [0, 1, 3]


def test_a_flipped_bit_hides_what_follows_but_not_what_is_before(tmp_path) -> None:
    spool = Spool(str(tmp_path), 1 << 20)
    for seq in range(3):
        spool.append(_frame(seq), full=False)
    (name,) = os.listdir(tmp_path)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert _all(Spool(str(tmp_path), 1 << 20)) == [0]


def test_the_oldest_segment_goes_where_there_is_no_room(tmp_path) -> None:
    spool = Spool(str(tmp_path), 10_000)
    full = 0
    for seq in range(400):
        is_full = spool.wants_full or seq == 0
        full += is_full
        spool.append(_frame(seq), full=is_full)
    assert sum(entry.stat().st_size for entry in os.scandir(tmp_path)) <= 10_000
    kept = _all(spool)
    assert kept == list(range(kept[0], 400))
    assert spool.dropped == kept[0]
    assert kept[0] % SEGMENT_FRAMES == 0, "what is kept begins with a full frame"


def test_where_one_frame_is_too_much_the_next_must_be_full(tmp_path) -> None:
    spool = Spool(str(tmp_path), 500)
    spool.append(_frame(0), full=True)
    spool.append(_frame(1, 450), full=False)
    assert spool.dropped == 2
    assert spool.wants_full
    spool.append(_frame(2), full=True)
    assert not spool.wants_full
    assert _all(spool) == [2]


def test_a_full_disk_leaves_what_was_kept_whole(tmp_path, monkeypatch) -> None:
    spool = Spool(str(tmp_path), 1 << 20)
    spool.append(_frame(0), full=True)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2]))
    with pytest.raises(OSError, match="No space left"):
        spool.append(_frame(1), full=False)
    monkeypatch.undo()
    spool.append(_frame(1), full=False)
    assert _all(spool) == [0, 1]
