"""Which bridge should own which partition."""

from safetytwin.bridge.cluster.placing import bridge_of, name_of, share_of
from safetytwin.nats_subjects import PARTITIONS

LIVE = [f"{number:016x}-cafe{number:04x}-0" for number in range(5)]


def shares(live):
    return {session: share_of(session, live) for session in live}


def test_each_partition_has_one_bridge_and_each_bridge_a_fair_share():
    found = shares(LIVE)
    assert sorted(number for share in found.values() for number in share) == list(range(PARTITIONS))
    assert all(4 <= len(share) <= 24 for share in found.values())


def test_a_bridge_that_goes_moves_its_own_share_alone():
    before, after = shares(LIVE), shares(LIVE[1:])
    for session in LIVE[1:]:
        assert before[session] <= after[session]


def test_a_bridge_that_restarts_has_the_share_it_had():
    again = LIVE[0].replace("cafe", "beef")
    assert share_of(again, [again, *LIVE[1:]]) == share_of(LIVE[0], LIVE)


def test_two_runs_of_one_bridge_do_not_share_a_partition():
    again = LIVE[0].replace("cafe", "beef")
    found = shares([again, *LIVE])
    assert sorted(number for share in found.values() for number in share) == list(range(PARTITIONS))


def test_names():
    assert bridge_of(LIVE[3]) == "0000000000000003"
    assert name_of(LIVE[3]) == "0000000000000003-cafe0003"
