"""The table of HTTP statuses, row by row, and what the headers of an answer say."""

from __future__ import annotations

import math
from typing import List, Optional

import pytest

from honeyhive_litellm._delivery.poison import POISON_ATTEMPTS, final_verdict
from honeyhive_litellm._delivery.sink import Verdict
from honeyhive_litellm._delivery.sinks.honeyhive import HoneyHiveSink, batch_body, is_event
from honeyhive_litellm._delivery.sinks.http_status import (
    NETWORK_ERRORS,
    Reply,
    describe,
    parse_retry_after,
    result_of,
)

DELIVERED, RETRY, SPLIT = Verdict.DELIVERED, Verdict.RETRY, Verdict.SPLIT
REJECT, PAUSE = Verdict.REJECT, Verdict.PAUSE
PAGE = "\ufeff\n<!DOCTYPE html><title>Sign in</title>"
NO = '{"event_ids": [], "success" : false}'

# status, body, then the verdict on: a batch, a batch sent again, a single event (however often, while that may be
# chance), a single event refused again and again while others are delivered; last, whether the server may hold some
TABLE = [
    (102, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (200, '{"success": true}', DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (200, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (201, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (202, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (203, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (204, "", DELIVERED, DELIVERED, DELIVERED, DELIVERED, False),
    (200, NO, SPLIT, SPLIT, REJECT, REJECT, True),
    (200, PAGE, PAUSE, SPLIT, PAUSE, REJECT, False),
    (206, "", PAUSE, SPLIT, PAUSE, REJECT, True),
    (206, NO, SPLIT, SPLIT, REJECT, REJECT, True),
    (207, "", PAUSE, SPLIT, PAUSE, REJECT, True),
    (301, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (302, PAGE, PAUSE, SPLIT, PAUSE, REJECT, False),
    (307, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (308, "", PAUSE, SPLIT, PAUSE, REJECT, False),
    (400, NO, SPLIT, SPLIT, REJECT, REJECT, False),
    (400, PAGE, PAUSE, SPLIT, PAUSE, REJECT, False),
    (401, "", PAUSE, PAUSE, PAUSE, PAUSE, False),
    (401, PAGE, PAUSE, PAUSE, PAUSE, PAUSE, False),
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
    many, one = result_of(Reply(status, body), 2), result_of(Reply(status, body), 1)
    assert [many.verdict, one.verdict] == [batch, single]
    verdicts = [
        final_verdict(many, 2, 1),
        final_verdict(many, 2, 2),
        final_verdict(one, 1, 99),
        final_verdict(one, 1, 99, 1e-9),
    ]
    assert verdicts == [batch, batch_again, single, single_alone]
    assert final_verdict(one, 1, POISON_ATTEMPTS - 1, 0.0) is single
    assert many.ambiguous is one.ambiguous is ambiguous


def test_a_request_that_never_left_is_retried_and_certainly_not_stored() -> None:
    result = result_of(Reply(None, error="refused", was_sent=False), 1)
    assert [final_verdict(result, 100, 5), final_verdict(result, 1, 99, 0.0)] == [RETRY, RETRY]
    assert not result.ambiguous


@pytest.mark.parametrize(
    ("reply", "longest_s"),
    [
        (Reply(None, error="refused", was_sent=False), 5),
        (Reply(403), 30),
        (Reply(None, error="dropped"), math.inf),
        (Reply(503), math.inf),
        (Reply(400), math.inf),
    ],
)
def test_the_longest_pause_depends_on_what_a_request_costs_the_server(reply: Reply, longest_s: float) -> None:
    assert result_of(reply, 1).longest_pause_s == longest_s


def test_a_result_carries_what_a_dead_letter_keeps() -> None:
    refused = result_of(Reply(422, '{"detail": "prompt"}'), 1)
    assert (refused.status, refused.reason, refused.log_text) == (422, '{"detail": "prompt"}', "HTTP 422")
    lost = result_of(Reply(None, error="dropped"), 1)
    assert (lost.status, lost.reason) == (None, "the connection broke off")


def test_a_dead_letter_may_be_stored_all_the_same_if_its_refusal_was_ambiguous() -> None:
    sink = HoneyHiveSink("https://hive.example", "hh_key", project="p", source="test", timeout_s=1.0)
    statuses: List[Optional[int]] = [None, 200, 207, 400, 403, 422, 500, 502]
    assert [status for status in statuses if sink.may_have_stored(status)] == [None, 207, 500, 502]


def test_only_a_500_says_that_some_events_failed() -> None:
    assert [status for status in range(100, 600) if result_of(Reply(status), 2).some_failed] == [500]


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(None, error="dns", was_sent=False), "its name cannot be resolved"),
        (Reply(None), "no answer"),
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
def test_a_log_text_says_what_came_back_and_never_quotes_it(reply: Reply, text: str) -> None:
    assert describe(reply) == text


@pytest.mark.parametrize("error", NETWORK_ERRORS)
def test_a_network_error_is_logged_in_words(error: str) -> None:
    assert len(describe(Reply(None, error=error)).split()) > 2


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


def test_a_batch_body_is_the_events_in_one_object() -> None:
    assert batch_body([b'{"a":1}', b"{}"]) == b'{"events":[{"a":1},{}]}'
    assert batch_body([]) == b'{"events":[]}'


def test_a_look_up_finds_the_event_of_a_failed_call_and_no_web_page() -> None:
    assert is_event(Reply(200, '{"metadata": {"success": false}}'))
    assert not is_event(Reply(200, PAGE))
    assert not is_event(Reply(404))
