"""The delivery table, row by row, and the arithmetic of waiting and batching."""

from __future__ import annotations

import asyncio
import math
from typing import List, Optional

import pytest
import tenacity

from honeyhive_litellm._delivery.sinks.http_status import (
    POISON_ATTEMPTS,
    BackOff,
    Reply,
    Verdict,
    batch_body,
    classify,
    describe,
    is_ambiguous,
    longest_pause,
    parse_retry_after,
)

DELIVERED, RETRY, SPLIT = Verdict.DELIVERED, Verdict.RETRY, Verdict.SPLIT
REJECT, PAUSE = Verdict.REJECT, Verdict.PAUSE
PAGE = "\ufeff\n<!DOCTYPE html><title>Sign in</title>"
NO = '{"event_ids": [], "success" : false}'

# status, body, then the verdict on: a batch, a batch sent again, a single event (however often, while that may be
# chance), a single event refused again and again while others are delivered; last, whether the server may hold some
TABLE = [
    (200, '{"success": true}', DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (200, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (201, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (202, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (203, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (204, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (200, NO, SPLIT, SPLIT, REJECT, REJECT, True),
    (200, PAGE, PAUSE, SPLIT, PAUSE, REJECT, False),
    (206, "", PAUSE, SPLIT, PAUSE, REJECT, True),
    (207, "", PAUSE, SPLIT, PAUSE, REJECT, True),
    (301, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (302, PAGE, PAUSE, SPLIT, PAUSE, REJECT, False),
    (307, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (308, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (400, NO, SPLIT, SPLIT, REJECT, REJECT, False),
    (400, PAGE, PAUSE, SPLIT, PAUSE, REJECT, False),
    (401, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (402, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (403, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (404, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (405, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (407, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (408, "", RETRY, RETRY, RETRY, RETRY, False),
    (409, "", SPLIT, SPLIT, REJECT, REJECT, False),
    (410, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (413, "", SPLIT, SPLIT, REJECT, REJECT, False),
    (413, PAGE, SPLIT, SPLIT, REJECT, REJECT, False),
    (415, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (422, "", SPLIT, SPLIT, REJECT, REJECT, False),
    (425, "", RETRY, RETRY, RETRY, RETRY, False),
    (429, PAGE, RETRY, RETRY, RETRY, RETRY, False),
    (451, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (500, NO, RETRY, SPLIT, RETRY, REJECT, True),
    (502, PAGE, RETRY, SPLIT, RETRY, REJECT, True),
    (503, "", RETRY, SPLIT, RETRY, REJECT, True),
    (504, "", RETRY, SPLIT, RETRY, REJECT, True),
    (520, "", RETRY, SPLIT, RETRY, REJECT, True),
    (None, "", RETRY, SPLIT, RETRY, REJECT, True),
]


@pytest.mark.parametrize(("status", "body", "batch", "batch_again", "single", "single_alone", "ambiguous"), TABLE)
def test_each_row_of_the_table_holds(
    status: Optional[int],
    body: str,
    batch: Verdict,
    batch_again: Verdict,
    single: Verdict,
    single_alone: Verdict,
    ambiguous: bool,
) -> None:
    reply = Reply(status, body)
    found = [classify(reply, 100), classify(reply, 2, 2), classify(reply, 1, 99), classify(reply, 1, 99, 1e-9)]
    assert found == [batch, batch_again, single, single_alone]
    assert classify(reply, 1, POISON_ATTEMPTS - 1, 0.0) is single
    assert is_ambiguous(reply) is ambiguous


def test_a_request_that_never_left_is_retried_and_certainly_not_stored() -> None:
    reply = Reply(None, error="refused", was_sent=False)
    assert [classify(reply, 100, 5), classify(reply, 1, 99, 0.0)] == [RETRY, RETRY]
    assert not is_ambiguous(reply)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(None, error="dns", was_sent=False), "dns"),
        (Reply(401, '{"message": "prompt"}'), "HTTP 401"),
        (Reply(422, "prompt"), "HTTP 422"),
        (Reply(200, PAGE), "HTTP 200 with a web page"),
        (Reply(502, PAGE), "HTTP 502"),
        (
            Reply(307, "redirects to https://user:pass@other.example:8443/login?token=x"),
            "HTTP 307, a redirect to https://other.example:8443, which is not followed",
        ),
        (Reply(301, "redirects to /v2"), "HTTP 301, a redirect to another path, which is not followed"),
        (
            Reply(301, "redirects to http://[::bad"),
            "HTTP 301, a redirect to an unreadable address, which is not followed",
        ),
        (Reply(302, "redirects to //a\nb"), "HTTP 302, a redirect to http://ab, which is not followed"),
    ],
)
def test_a_log_is_told_what_came_back_and_never_what_it_says(reply: Reply, told: str) -> None:
    assert describe(reply) == told


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


def test_a_pause_may_be_shortened_but_never_below_what_the_server_asks_for() -> None:
    back_off = BackOff(draw=lambda: 1.0)
    assert [back_off.seconds(n, None, 5.0) for n in (1, 4, 99)] == [0.5, 4, 5]
    assert back_off.seconds(1, Reply(429, retry_after_s=30.0), 5.0) == 30.5
    assert longest_pause(Reply(None, error="refused", was_sent=False)) == 5
    assert longest_pause(Reply(403)) == 30
    assert longest_pause(Reply(None, error="dropped")) == longest_pause(Reply(503)) == math.inf


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
        retry=tenacity.retry_if_result(lambda reply: classify(reply, 100) is RETRY),
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
