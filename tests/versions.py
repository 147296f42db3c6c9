"""Which LiteLLM the tests run on, and what an older one cannot do."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from typing import Tuple

import pytest


def _numbers(release: str) -> Tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release)[:3])


LITELLM = version("litellm")


def has_litellm(oldest: str) -> bool:
    """Whether the installed LiteLLM is `oldest` ("1.80") or newer."""
    return _numbers(LITELLM) >= _numbers(oldest)


def needs_litellm(oldest: str, why: str) -> pytest.MarkDecorator:
    """Skip with an older LiteLLM: `why` says what that one lacks.

    `oldest` is the oldest of the releases the suite runs on that has it (1.53, 1.80, 1.83, the newest), not the first
    of all.
    """
    return pytest.mark.skipif(not has_litellm(oldest), reason=f"before LiteLLM {oldest}: {why}")


def needs_python(oldest: Tuple[int, int], why: str) -> pytest.MarkDecorator:
    """Skip on an older Python: `why` says what does not work there."""
    return pytest.mark.skipif(sys.version_info < oldest, reason=f"before Python {oldest[0]}.{oldest[1]}: {why}")


NEEDS_RESPONSES = pytest.mark.skipif(
    not has_litellm("1.80") or sys.version_info < (3, 9),
    reason="before LiteLLM 1.80 there is no Responses API, and before Python 3.9 it does not import",
)

SERVER_ERROR = "InternalServerError" if has_litellm("1.80") else "APIError"
"""The class of LiteLLM's error for a provider's status 500, and for a mocked exception."""
