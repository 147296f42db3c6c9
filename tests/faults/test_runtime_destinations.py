"""Ten destinations in one process, of which one fails in each of seven ways under load: the other nine are unmoved."""

from __future__ import annotations

import functools
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm import Stats
from honeyhive_litellm.testing import Collector

from ..waiting import until

NAMES = [f"d{number}" for number in range(10)]
FAILING, OTHERS = NAMES[0], NAMES[1:]
CALLS = 4
LARGE = "x" * 20_000

PATIENCE_S = 10.0
"""Within this time the events of the others arrive: they wait for a second, and then it is up to the machine. A server
that hangs or is slow takes longer."""

LEAST_LIMIT = 64 * 1024

QUIET_BYTES = 256 * 1024
"""More than the files of a destination with few calls take, empty ones included, and less than those of a flood."""


class Way(NamedTuple):
    """How the destination fails: what its server does, its options, how many calls it gets and how large they are."""

    server: Callable[[Collector], None]
    options: Dict[str, Any]
    calls: int
    text: str
    is_seen: Callable[[Stats], bool]
    """Whether the numbers of the failing destination show the fault."""


WAYS: Dict[str, Way] = {
    "a wrong key": Way(lambda server: server.fail(401), {}, CALLS, "", lambda stats: "401" in str(stats.last_error)),
    "an outage": Way(lambda server: server.down(), {}, CALLS, "", lambda stats: stats.last_error is not None),
    "a hang": Way(lambda server: server.hang(), {}, CALLS, "", lambda stats: stats.pending >= CALLS),
    "a slow server": Way(lambda server: server.delay(20), {}, CALLS, "", lambda stats: stats.pending >= CALLS),
    "a flood": Way(lambda server: None, {}, 150, LARGE, lambda stats: stats.accepted == 150),
    "a full disk limit": Way(
        lambda server: server.down(),
        {"spool_max_bytes": LEAST_LIMIT},
        20,
        LARGE,
        lambda stats: stats.dropped.get("capacity", 0) > 0,
    ),
    "poison events": Way(lambda server: server.fail(400), {}, CALLS, "", lambda stats: stats.dead == CALLS),
}


@pytest.fixture(scope="module")
def sound() -> Iterator[Collector]:
    """The server of the nine others."""
    with Collector() as running:
        yield running


def call(name: str, text: str = "") -> None:
    litellm.completion(
        model="gpt-4o",
        messages=[{"role": "user", "content": f"question {text}"}],
        mock_response="answer",
        metadata={"user_api_key_team_id": name},
    )


def has_committed(name: str, count: int) -> bool:
    return honeyhive_litellm.stats().destinations[name].committed >= count


def calls(name: str, count: int, text: str, *, one_commit_each: bool) -> None:
    for number in range(1, count + 1):
        call(name, text)
        if one_commit_each:  # the limit is kept between commits
            until(functools.partial(has_committed, name, number))


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("way", WAYS)
def test_one_that_fails_delays_drops_and_costs_nothing_of_the_others(
    way: str, sound: Collector, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    fault = WAYS[way]
    before = len(sound.events)
    with Collector() as failing:
        fault.server(failing)
        destinations: Dict[str, Any] = {
            name: {"project": name, "api_key": "hh_key", "api_url": sound.url, "match": {"team": name}}
            for name in OTHERS
        }
        destinations[FAILING] = {
            "project": FAILING, "api_key": "hh_key", "api_url": failing.url, "match": {"team": FAILING},
            **fault.options,
        }  # fmt: skip
        honeyhive_litellm.init(
            api_key="hh_main",
            project="main",
            api_url=sound.url,
            spool_path=tmp_path,
            lookup_delay=0,
            destinations=destinations,
        )
        try:
            flood = threading.Thread(
                target=calls,
                args=(FAILING, fault.calls, fault.text),
                kwargs={"one_commit_each": bool(fault.options)},
            )
            flood.start()
            waited: List[float] = []
            for _ in range(CALLS):
                for name in OTHERS:
                    began = time.monotonic()
                    call(name)
                    waited.append(time.monotonic() - began)
            returned = time.monotonic()
            until(lambda: len(sound.events) - before >= CALLS * len(OTHERS), PATIENCE_S, "the others' events arrived")
            arrived = time.monotonic()
            flood.join(60)
            until(lambda: fault.is_seen(honeyhive_litellm.stats().destinations[FAILING]), what=way)

            numbers = honeyhive_litellm.stats().destinations
            for name in OTHERS:
                other = numbers[name]
                assert (other.accepted, other.dropped, other.dead, other.last_error) == (CALLS, {}, 0, None), name
            projects = [event["metadata"]["project"] for event in sound.events[before:]]
            assert {name: projects.count(name) for name in OTHERS} == dict.fromkeys(OTHERS, CALLS)
            sizes = {name: bytes_in(tmp_path / "destinations" / name) for name in NAMES}
            assert max(sizes[name] for name in OTHERS) < QUIET_BYTES, sizes
            if fault.options:
                assert sizes[FAILING] < 10 * LEAST_LIMIT, sizes
            record_property("longest call in seconds", max(waited))
            record_property("seconds until all arrived", arrived - returned)
            record_property("bytes on disk", sizes)
        finally:
            honeyhive_litellm.shutdown(0.6)
