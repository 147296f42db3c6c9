"""What a request remembers of its attempts, however many there are."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from honeyhive_litellm import Settings
from honeyhive_litellm._capture.attempt import Attempt
from honeyhive_litellm._capture.open_attempts import OpenAttempts
from honeyhive_litellm._capture.outcomes import bare_outcome
from honeyhive_litellm._capture.router_request import MAX_FAILURES, RouterRequest, RouterRequests
from honeyhive_litellm._capture.target import Target
from honeyhive_litellm._mapping.model import NO_CONTEXT

from ..faults.emitter import NoLiteLLM
from .mapping_calls import mapped

TARGET = Target(None, Settings(api_key="k", project="p"), lambda _: 0, NoLiteLLM(), OpenAttempts())


def failed(request: RouterRequest, group: object) -> Dict[str, Any]:
    """The `router` metadata of one more attempt of this model group, which fails."""
    attempt = Attempt(TARGET, "id", 1, mapped(call_type="acompletion"), 0.0)
    attempt.request.metadata["router"] = {"model_group": group}
    request.add_attempt(attempt)
    outcome = bare_outcome("failure", None)
    outcome.metadata["error_class"] = "Timeout"
    request.add_failure(attempt.request.metadata, outcome)
    router = attempt.request.metadata["router"]
    assert isinstance(router, dict)
    return router


def test_of_very_many_attempts_the_latest_failures_are_listed_and_all_are_counted() -> None:
    request = RouterRequest({"model": "main"}, lambda _: None, NO_CONTEXT, 0.0)
    listed: List[int] = []
    for number in range(200):
        router = failed(request, "main" if number % 2 else "other")
        assert (router["attempt"], router["retry_count"]) == (number + 1, number // 2)
        listed.append(len(router.get("fallback_info", [])))
    assert listed[: MAX_FAILURES + 1] == list(range(MAX_FAILURES + 1))
    assert set(listed[MAX_FAILURES + 1 :]) == {MAX_FAILURES + 1}
    info = router["fallback_info"]
    assert info[0] == {"left_out": 199 - MAX_FAILURES}
    assert [failure["attempt"] for failure in info[1:]] == list(range(200 - MAX_FAILURES, 200))
    end = request.outcome(None, True).metadata["router"]
    assert isinstance(end, dict)
    assert (end["attempts"], end["fallback_info"][0]) == (200, {"left_out": 200 - MAX_FAILURES})


@pytest.mark.parametrize("group", [None, ["odd"], 7])
def test_an_odd_model_group_does_no_harm(group: object) -> None:
    request = RouterRequest({"model": "main"}, lambda _: None, NO_CONTEXT, 0.0)
    assert [failed(request, group)["retry_count"] for _ in range(2)] == [0, 1]


def test_a_request_is_over_although_its_response_raises() -> None:
    class Odd:
        def __getattr__(self, name: str) -> object:
            raise ValueError(name)

    requests = RouterRequests(lambda _: None, OpenAttempts())
    request = requests.begin({"model": "main"}, lambda _: None)
    assert request is not None
    with pytest.raises(ValueError, match="__anext__"):
        requests.end(request, Odd(), None, True)
    assert not requests.are_running
    assert requests.current() is None
