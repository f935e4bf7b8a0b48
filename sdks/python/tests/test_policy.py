"""What a worker goes by, on a clock that only the test turns."""

from __future__ import annotations

import random

import pytest

from jobforge.errors import JobForgeError, NotAnswered, Refused
from jobforge.retrying import TRIES, wait_before_again
from jobforge.settings import Rhythm, rhythm
from jobforge.worker.policy import (
    Backoff,
    BeatPolicy,
    Reliance,
    Terms,
    Turn,
    acts_until,
    attempt_ends,
    renewal_pause,
    rooms,
    whose_turn,
)

ANSWER = {
    "worker_id": "worker-0a1b2c3d",
    "lease_ms": 20000,
    "renew_ms": 5000,
    "heartbeat": {
        "enabled": True,
        "interval_ms": 30000,
        "max_interval_ms": 60000,
        "multiplier": 2.0,
        "stale_after_ms": 120000,
    },
    "poll": {"interval_ms": 2000, "max_interval_ms": 10000, "multiplier": 2.0, "wait_ms": 20000},
    "limits": {"body_bytes": 8388608, "claim": 100, "heartbeat": 1000, "results": 1000},
}


def test_an_idle_worker_asks_less_and_less_often() -> None:
    poll = Backoff(first=2, longest=10, factor=2)
    waits: list[float] = []
    for _ in range(5):
        waits.append(poll.after(waits[-1] if waits else None))
    assert waits == [2, 4, 8, 10, 10]


def test_a_heartbeat_backs_off_and_says_when_the_next_is_due() -> None:
    beat = BeatPolicy(enabled=True, interval=30, max_interval=120, multiplier=2, stale_after=120)
    intervals = [beat.interval]
    for _ in range(3):
        intervals.append(beat.next_interval(intervals[-1]))
    assert intervals == [30, 60, 120, 120]
    assert [beat.due_in(interval) for interval in intervals] == [120, 120, 240, 240]


def test_a_worker_that_cannot_renew_stops_a_fifth_of_its_lease_before_others_may_begin() -> None:
    lease, now, sent = 20.0, 100.0, 100.0
    while now < acts_until(sent, lease):
        now += 0.5
    assert now == sent + 16


def test_renewals_come_four_times_a_lease_and_more_often_when_one_has_failed() -> None:
    assert renewal_pause(20, failing=False, calm=False) == 5
    assert renewal_pause(20, failing=False, calm=True) == 10
    assert renewal_pause(20, failing=True, calm=True) == 1


def test_a_calm_worker_survives_one_renewal_that_is_lost() -> None:
    lease, sent = 20.0, 0.0
    tries = sent + renewal_pause(lease, failing=False, calm=True)
    again = tries + renewal_pause(lease, failing=True, calm=True)
    assert again < acts_until(sent, lease)


def test_a_shorter_lease_counts_at_once() -> None:
    reliance = Reliance(60)
    reliance.given(20, 5)
    assert reliance.lease == 20


def test_a_longer_lease_counts_once_it_was_given_for_as_long_as_the_one_before() -> None:
    reliance = Reliance(20)
    counted = []
    for sent in (100, 105, 119, 120, 135):
        reliance.given(60, sent)
        counted.append(reliance.lease)
    assert counted == [20, 20, 20, 60, 60]


def test_of_leases_that_grow_on_the_way_only_what_was_given_all_along_counts() -> None:
    reliance = Reliance(20)
    given = [(30, 0, 20), (100, 10, 20), (100, 20, 30), (100, 49, 30), (100, 50, 100), (20, 51, 20)]
    for lease, sent, counts in given:
        reliance.given(lease, sent)
        assert reliance.lease == counts, f"{lease} s at {sent} s"


@pytest.mark.parametrize(
    ("timeout", "progressed", "progress_timeout", "ends"),
    [
        (None, 0, None, (None, False)),
        (60, 0, None, (160, False)),
        (60, 130, 20, (150, True)),
        (60, 145, 20, (160, False)),
        (None, 0, 20, (120, True)),
    ],
)
def test_an_attempt_ends_at_its_time_out_or_when_nothing_was_reported_for_too_long(
    timeout: float | None, progressed: float, progress_timeout: float | None, ends: tuple[float | None, bool]
) -> None:
    assert attempt_ends(100, timeout, progressed, progress_timeout) == ends


def test_a_claim_never_asks_for_more_than_there_is_room_for_and_every_queue_gets_its_turn() -> None:
    queues = ["a", "b", "c"]
    for free in range(1, 20):
        assert sum(rooms(free, queues, free).values()) == free
    assert [rooms(1, queues, turn) for turn in range(3)] == [{"a": 1}, {"b": 1}, {"c": 1}]


def test_a_worker_that_runs_nothing_takes_the_lone_job_at_once_and_a_busy_one_makes_room_now_and_then() -> None:
    turns = [whose_turn(second, 3, "worker-0a1b2c3d") for second in range(600)]
    assert whose_turn(None, 0, "w") is Turn.COMPANY
    assert whose_turn(0, 0, "w") is Turn.ALONE
    assert set(turns[:30]) == {Turn.COMPANY}
    assert 150 <= turns.count(Turn.MAKE_ROOM) <= 350


def test_the_environment_has_the_last_word_on_the_rhythm() -> None:
    said = rhythm(
        {
            "POLL_INTERVAL_MS": "500",
            "MAX_POLL_INTERVAL_MS": "3000",
            "IDLE_BACKOFF_MULTIPLIER": "1.5",
            "HEARTBEAT_INTERVAL_MS": "1000",
            "HEARTBEAT_MAX_INTERVAL_MS": "4000",
            "HEARTBEAT_BACKOFF_MULTIPLIER": "3",
        }
    )
    terms = Terms.of(ANSWER, said)
    assert terms.poll == Backoff(0.5, 3.0, 1.5)
    assert terms.beat == BeatPolicy(enabled=True, interval=1, max_interval=4, multiplier=3, stale_after=120)
    asked = Terms.of(ANSWER, Rhythm())
    assert asked.poll == Backoff(2.0, 10.0, 2.0)
    assert (asked.beat.interval, asked.beat.max_interval) == (30, 60)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "1e99"])
def test_a_variable_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="POLL_INTERVAL_MS"):
        rhythm({"POLL_INTERVAL_MS": text})


def waits(fault: JobForgeError, *, repeatable: bool) -> list[float | None]:
    return [
        wait_before_again(fault, tries, repeatable=repeatable, draw=random.Random(1)) for tries in range(1, TRIES + 1)
    ]


def test_what_was_never_sent_is_always_sent_again_and_what_may_have_been_done_only_if_that_is_safe() -> None:
    never_sent, broken_off = NotAnswered("", sent=False), NotAnswered("", sent=True)
    assert None not in waits(never_sent, repeatable=False)[:-1]
    assert set(waits(broken_off, repeatable=False)) == {None}
    assert None not in waits(broken_off, repeatable=True)[:-1]
    assert waits(broken_off, repeatable=True)[-1] is None


def test_a_refusal_is_repeated_only_where_it_may_pass() -> None:
    assert set(waits(Refused(422, "invalid_job", ""), repeatable=True)) == {None}
    assert set(waits(Refused(500, "internal", ""), repeatable=True)) == {None}
    assert set(waits(Refused(503, "database_interrupted", ""), repeatable=False)) == {None}
    assert None not in waits(Refused(503, "database_unreachable", ""), repeatable=False)[:-1]


def test_waits_grow_and_a_server_may_ask_for_longer_ones() -> None:
    grown = [wait for wait in waits(NotAnswered("", sent=False), repeatable=True) if wait is not None]
    assert grown == sorted(grown)
    asked = wait_before_again(
        Refused(429, "rate_limited", "", retry_after=2), 1, repeatable=False, draw=random.Random(1)
    )
    assert asked is not None
    assert 2 <= asked <= 2.1
