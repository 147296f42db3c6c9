"""The delivery table, row by row, and the arithmetic of waiting and batching."""

from __future__ import annotations

import asyncio
from typing import List, Optional

import pytest
import tenacity

from honeyhive_litellm._delivery import (
    BackOff,
    Reply,
    Verdict,
    batch_body,
    classify,
    is_ambiguous,
    parse_retry_after,
)

DELIVERED, RETRY, SPLIT = Verdict.DELIVERED, Verdict.RETRY, Verdict.SPLIT
REJECT, PAUSE = Verdict.REJECT, Verdict.PAUSE
PAGE = "\ufeff\n<!DOCTYPE html><title>Sign in</title>"
NO = '{"event_ids": [], "success" : false}'

# status, body, then the verdict on: a batch, a batch sent again, a single event, a single event sent again;
# last, whether the server may hold some of it
TABLE = [
    (200, '{"success": true}', DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (200, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (201, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (202, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (203, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (204, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (200, NO, SPLIT, SPLIT, REJECT, REJECT, True),
    (200, PAGE, PAUSE, PAUSE, PAUSE, PAUSE, False),
    (206, "", PAUSE, PAUSE, PAUSE, PAUSE, True),
    (207, "", PAUSE, PAUSE, PAUSE, PAUSE, True),
    (301, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (302, PAGE, PAUSE, PAUSE, PAUSE, PAUSE, False),
    (307, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (308, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (400, NO, SPLIT, SPLIT, REJECT, REJECT, False),
    (400, PAGE, PAUSE, PAUSE, PAUSE, PAUSE, False),
    (401, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (402, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (403, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (404, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (405, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (407, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (408, "", RETRY, RETRY, RETRY, RETRY, False),
    (409, "", SPLIT, SPLIT, REJECT, REJECT, False),
    (410, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (413, "", SPLIT, SPLIT, REJECT, REJECT, False),
    (413, PAGE, SPLIT, SPLIT, REJECT, REJECT, False),
    (415, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (422, "", SPLIT, SPLIT, REJECT, REJECT, False),
    (425, "", RETRY, RETRY, RETRY, RETRY, False),
    (429, PAGE, RETRY, RETRY, RETRY, RETRY, False),
    (451, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (500, NO, RETRY, SPLIT, RETRY, RETRY, True),
    (502, PAGE, RETRY, RETRY, RETRY, RETRY, True),
    (503, "", RETRY, RETRY, RETRY, RETRY, True),
    (504, "", RETRY, RETRY, RETRY, RETRY, True),
    (520, "", RETRY, RETRY, RETRY, RETRY, True),
    (None, "", RETRY, RETRY, RETRY, RETRY, True),
]


@pytest.mark.parametrize(("status", "body", "batch", "batch_again", "single", "single_again", "ambiguous"), TABLE)
def test_each_row_of_the_table_holds(
    status: Optional[int],
    body: str,
    batch: Verdict,
    batch_again: Verdict,
    single: Verdict,
    single_again: Verdict,
    ambiguous: bool,
) -> None:
    reply = Reply(status, body)
    found = [classify(reply, size, attempt) for size, attempt in [(100, 1), (2, 2), (1, 1), (1, 99)]]
    assert found == [batch, batch_again, single, single_again]
    assert is_ambiguous(reply) is ambiguous


def test_a_request_that_never_left_is_retried_and_certainly_not_stored() -> None:
    reply = Reply(None, error="refused", was_sent=False)
    assert classify(reply, 100, 5) is RETRY
    assert not is_ambiguous(reply)


NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("999999", 3600.0),
        ("9" * 5000, 3600.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30.0),
        ("Tue Nov 14 22:13:50 2023", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30.0),
        ("Tue, 14 Nov 2023 23:13:50 +0100", 30.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Sat, 01 Jan 0000 00:00:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1e3", None),
        ("inf", None),
        ("nan", None),
        ("٣", None),
        ("soon", None),
        ("Tue, 99 Nov 2023 22:13:50 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(value: Optional[str], seconds: Optional[float]) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_waits_double_from_half_a_second_to_a_minute() -> None:
    back_off = BackOff(draw=lambda: 1.0)
    assert [back_off.seconds(n) for n in range(1, 10)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert back_off.seconds(10**9) == 60


def test_jitter_is_full() -> None:
    assert BackOff(draw=lambda: 0.0).seconds(5) == 0
    assert BackOff(draw=lambda: 0.25).seconds(5) == 2


def test_a_wait_is_never_shorter_than_the_server_asks_nor_than_the_own_back_off() -> None:
    asked = Reply(429, retry_after_s=30.0)
    assert BackOff(draw=lambda: 0.0).seconds(1, asked) == 30
    assert BackOff(draw=lambda: 1.0).seconds(1, asked) == 30.5
    assert BackOff(draw=lambda: 1.0).seconds(8, asked) == 60
    assert BackOff(draw=lambda: 1.0).seconds(3, Reply(429, retry_after_s=0.0)) == 2


async def test_tenacity_waits_as_the_policy_says() -> None:
    script = [
        Reply(503),
        Reply(429, retry_after_s=7.0),
        Reply(None, error="refused", was_sent=False),
        Reply(200),
    ]
    replies = iter(script)
    slept: List[float] = []

    async def send() -> Reply:
        await asyncio.sleep(0)
        return next(replies)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    retrying = tenacity.AsyncRetrying(
        wait=BackOff(draw=lambda: 1.0),
        sleep=sleep,
        retry=tenacity.retry_if_result(lambda reply: classify(reply, 100, 1) is RETRY),
    )
    last: Reply = await retrying(send)
    assert last == script[-1]
    assert slept == [0.5, 7.5, 2.0]


def test_tenacity_may_use_the_policy_for_a_function_that_raises() -> None:
    slept: List[float] = []
    retrying = tenacity.Retrying(
        wait=BackOff(draw=lambda: 1.0), sleep=slept.append, stop=tenacity.stop_after_attempt(3), reraise=True
    )

    def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        retrying(fail)
    assert slept == [0.5, 1.0]


def test_a_batch_body_is_the_events_in_one_object() -> None:
    assert batch_body([b'{"a":1}', b"{}"]) == b'{"events":[{"a":1},{}]}'
    assert batch_body([]) == b'{"events":[]}'
