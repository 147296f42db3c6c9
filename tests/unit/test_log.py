"""Log records: their codes and numbers, how often one is written, and their form as JSON."""

from __future__ import annotations

import json
import logging
from typing import Any, Iterator, List

import pytest

from honeyhive_litellm import _log
from honeyhive_litellm._cli.logs import JsonFormatter
from honeyhive_litellm._log import fields_of, log_error, recovered, warn
from honeyhive_litellm._log_codes import LogCode


@pytest.fixture(autouse=True)
def nothing_logged_yet() -> Iterator[None]:
    _log.reset()
    yield
    _log.reset()


def fields(caplog: pytest.LogCaptureFixture) -> List[Any]:
    return [(vars(record)["event_code"], vars(record).get("suppressed")) for record in caplog.records]


def test_a_record_has_its_code_and_numbers(caplog: pytest.LogCaptureFixture) -> None:
    warn(LogCode.EVENTS_DAMAGED, "%d events are damaged", 3, counts={"events": 3})
    log_error(LogCode.PROXY_NOT_RECORDING, "no call is recorded")
    first, second = caplog.records
    assert (first.levelname, first.getMessage()) == ("WARNING", "3 events are damaged")
    assert {"event_code": "spool.events_damaged", "events": 3, "suppressed": 0}.items() <= vars(first).items()
    assert (second.levelname, vars(second)["event_code"]) == ("ERROR", "proxy.not_recording")


def test_a_repeated_warning_is_counted_and_the_next_one_has_the_count(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        warn(LogCode.QUEUE_FULL, "the queue is full")
    warn(LogCode.SPOOL_FULL, "the spool is full", about="capacity")
    warn(LogCode.SPOOL_FULL, "the spool is full", about="disk")
    monkeypatch.setattr(_log, "_QUIET_S", -1.0)
    warn(LogCode.QUEUE_FULL, "the queue is full", repeat_s=-1.0)
    codes = ["runtime.queue_full", "spool.full", "spool.full", "runtime.queue_full"]
    assert fields(caplog) == list(zip(codes, [0, 0, 0, 3]))


def test_an_end_is_logged_once_and_only_after_a_beginning(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        recovered(LogCode.DISK_UNWRITABLE, LogCode.DISK_WRITABLE, "the disk is back")
    assert caplog.records == []
    warn(LogCode.DISK_UNWRITABLE, "the disk is gone")
    for _ in range(2):
        recovered(LogCode.DISK_UNWRITABLE, LogCode.DISK_WRITABLE, "the disk is back")
    assert fields(caplog) == [("spool.disk_unwritable", 0), ("spool.disk_writable", None)]


def test_json_has_one_object_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logger = logging.getLogger("honeyhive_litellm")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("%s", 'a "quoted"\ntext', extra=fields_of(LogCode.DRAIN_ENDED, {"pending": 2}))
    (record,) = caplog.records
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert "ValueError: two\nlines" in found.pop("traceback")
    assert found == {
        "level": "error",
        "logger": "honeyhive_litellm",
        "message": 'a "quoted"\ntext',
        "event_code": "drain.ended",
        "pending": 2,
    }
