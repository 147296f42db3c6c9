"""The script of faults, without a server: which request is befallen, and how often."""

from __future__ import annotations

from typing import List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm.collector._faults import Act, Fault, Script

BATCH = "/v1/events/batch"


def statuses(script: Script, count: int, path: str = BATCH) -> List[Optional[int]]:
    taken = [script.take("POST", path) for _ in range(count)]
    return [None if fault is None else fault.status for fault in taken]


def test_faults_are_used_up_in_the_order_they_were_added() -> None:
    script = Script()
    script.add(Fault(Act.REPLY, times=2, status=503))
    script.add(Fault(Act.REPLY, times=1, status=429))
    assert statuses(script, 4) == [503, 503, 429, None]


def test_a_fault_without_a_number_lasts_until_the_script_is_cleared() -> None:
    script = Script()
    script.add(Fault(Act.REPLY, status=500))
    assert statuses(script, 3) == [500, 500, 500]
    script.clear()
    assert statuses(script, 1) == [None]


def test_a_fault_for_a_method_or_a_path_leaves_the_others_alone() -> None:
    script = Script()
    script.add(Fault(Act.HANG, method="PUT"))
    script.add(Fault(Act.DROP, path="/v1/sessions"))
    assert script.take("POST", "/v1/events") is None
    taken = (script.take("PUT", "/v1/events"), script.take("POST", "/v1/sessions/x/events/batch"))
    assert [None if fault is None else fault.act for fault in taken] == [Act.HANG, Act.DROP]


def test_a_fault_for_an_event_befalls_only_requests_that_name_it() -> None:
    script = Script()
    script.add(Fault(Act.REPLY, event_id="e-1", status=400))
    assert script.take("POST", BATCH) is None
    assert script.take("POST", BATCH, b'{"events":[{"event_id":"e-2"}]}') is None
    found = script.take("POST", BATCH, b'{"events":[{"event_id":"e-1"}]}')
    assert found is not None
    assert found.status == 400


def test_a_fault_for_large_requests_leaves_the_small_ones_alone() -> None:
    script = Script()
    script.add(Fault(Act.DROP, over_bytes=100))
    assert script.take("POST", BATCH, size=100) is None
    assert script.take("POST", BATCH, size=101) is not None


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"times": 0}, "times"),
        ({"status": 99}, "status"),
        ({"seconds": -1.0}, "seconds"),
        ({"keep": -1}, "keep"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(wrong: dict[str, int], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Fault(Act.REPLY, **wrong)  # type: ignore[arg-type]


def test_a_script_shows_what_it_has_in_store() -> None:
    script = Script()
    script.add(Fault(Act.HANG))
    assert repr(script) == "Script(['hang'])"


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["/a", "/b", ""])), max_size=6))
def test_every_fault_happens_exactly_as_often_as_scripted(lines: List[Tuple[int, str]]) -> None:
    script = Script()
    for times, path in lines:
        script.add(Fault(Act.REPLY, times=times, path=path))
    scripted = sum(times for times, _ in lines)
    happened = 0
    for path in ("/a", "/b"):
        happened += sum(status is not None for status in statuses(script, scripted + 1, path))
    assert happened == scripted
    assert repr(script) == "Script([])"
