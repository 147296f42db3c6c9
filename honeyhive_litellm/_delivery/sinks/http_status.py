"""What to make of the server's answer, how long to wait, the body of one request: decisions without IO.

The server's habits behind the table: HoneyHive's OpenAPI 1.9 knows 200, 400 and, for a batch, a 500 that
means "some events created" without saying which. Since 2026 a bad or revoked key answers 404 where it used
to answer 401 or 403, so a 404 on an ingestion route tells of the configuration, not of the event. 413 and 429
are undocumented, but what proxies and load balancers send.
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Callable, Iterable, Optional
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tenacity import RetryCallState

MAX_RETRY_AFTER_S = 3600.0

PROBE_PAUSE_S = 30.0
"""A refused key or address is tried again at most this much later; at first sooner, it may have been one event."""

UNREACHABLE_PAUSE_S = 5.0
"""A server that cannot even be connected to is tried again at most this much later: that does not burden it."""

POISON_ATTEMPTS = 10
"""A single event that the server fails on this often, while it takes others, may be refused for good."""

_CHANCE = 1e-6
"""... unless that can be chance, because many requests fail."""

_RETRY_STATUSES = frozenset({408, 425, 429})
_CALLER_STATUSES = _RETRY_STATUSES | {401, 407}  # too early, too many, too slow; a key: whatever it is that was sent
_CONTENT_STATUSES = frozenset({400, 409, 413, 422})  # refusals of what was sent, not of who sent it where
_REFUSAL = re.compile(r'"success"\s*:\s*false')


class Verdict(Enum):
    """What becomes of the events of one request."""

    DELIVERED = "delivered"
    """The server has them."""
    RETRY = "retry"
    """The same request may succeed after a while."""
    SPLIT = "split"
    """One of them spoils the request: send its halves."""
    REJECT = "reject"
    """The server will never take this event: to the dead letters."""
    PAUSE = "pause"
    """Configuration trouble: keep everything, tell the user, probe slowly."""


WAITING = (Verdict.RETRY, Verdict.PAUSE)
"""What leaves the events where they are, to be tried again."""

REDIRECTS_TO = "redirects to "
"""How the body of a redirect's `Reply` begins; its Location follows."""


@dataclass(frozen=True)
class Reply:
    """What came of one request.

    `status` is None if no answer came; then `error` says in a word why ("refused", "timeout", ...). With a
    status, an `error` says that the answer broke off after it. `body` is at most 2 KB of text without
    credentials. `retry_after_s` is the server's wish, 0 to 3600 s. `was_sent` is False only if the request
    certainly never left this machine.
    """

    status: Optional[int]
    body: str = ""
    retry_after_s: Optional[float] = None
    error: Optional[str] = None
    was_sent: bool = True


def classify(reply: Reply, batch_size: int, attempt: int = 1, chance: float = 1.0) -> Verdict:
    """The verdict on a request of *batch_size* events, sent for the *attempt*-th time (from 1 on).

    A batch that fails again is split where its events may be to blame: perhaps one of them is what the server crashes
    on or a firewall refuses, or all together are too much. A single event stays RETRY or PAUSE, since nothing tells
    its fault from an outage, and an outage must not fill the dead letters - unless others are delivered meanwhile,
    and *chance*, the likelihood that an innocent event fails as often, is next to nothing.

    An HTML page is not the API's answer (a sign-in page, a web application, "plain HTTP request sent to HTTPS port"),
    so it neither delivers nor rejects; only 413 means the same from a proxy. Statuses that nobody documents PAUSE,
    which keeps all events.
    """
    verdict = _first_verdict(reply, batch_size)
    if verdict in WAITING and may_be_the_events(reply):
        if batch_size > 1 and attempt > 1:
            return Verdict.SPLIT
        if batch_size == 1 and attempt >= POISON_ATTEMPTS and chance < _CHANCE:
            return Verdict.REJECT
    return verdict


def _first_verdict(reply: Reply, batch_size: int) -> Verdict:
    status = reply.status
    if status is None or status in _RETRY_STATUSES or status >= 500:
        return Verdict.RETRY
    if _is_page(reply) and status != 413:
        return Verdict.PAUSE
    if status in _CONTENT_STATUSES or _denies_success(reply):
        return Verdict.SPLIT if batch_size > 1 else Verdict.REJECT
    if 200 <= status <= 204:
        return Verdict.DELIVERED
    # 401, 403, 404: key or address. 3xx: the address moved, and the key is for the host that the user named.
    # 402, 405, 407, 410, 415, 431 ...: the account, a proxy, another kind of server. No event is to blame.
    return Verdict.PAUSE


def may_be_the_events(reply: Reply) -> bool:
    """Whether a failure may lie in what was sent rather than in the server, the network or the key.

    A 500 or a lost connection may be the crash that one event causes, a timeout or 504 a batch that is too much at
    once, a reset connection a proxy's way to say 413, and a 403 a firewall that dislikes one prompt.
    """
    return reply.was_sent if reply.status is None else reply.status not in _CALLER_STATUSES


def is_ambiguous(reply: Reply) -> bool:
    """Whether the server may hold some or all of the events although it did not say that it took them.

    True for a lost answer, for any 5xx (a batch's 500 means "some created", a gateway's 502 or 504 may come
    after the work was done), and for a success that is not whole. A 4xx was refused as a whole.
    """
    if reply.status is None:
        return reply.was_sent
    if 200 <= reply.status < 300:
        return not _is_page(reply) and (reply.status > 204 or _denies_success(reply))
    return reply.status >= 500


def is_event(reply: Reply) -> bool:
    """Whether this answer to a look-up is the event. A failed call's says `"success": false` of itself."""
    return reply.status == 200 and not _is_page(reply)


def _is_page(reply: Reply) -> bool:
    """Whether the body is HTML or XML, where the API answers with JSON or with nothing."""
    return reply.body.lstrip("\ufeff \t\r\n").startswith("<")


def _denies_success(reply: Reply) -> bool:
    """Whether a 2xx says `"success": false`, the field that all ingestion routes answer with."""
    return reply.status is not None and 200 <= reply.status < 300 and _REFUSAL.search(reply.body) is not None


def describe(reply: Reply) -> str:
    """What came back, in a few words for a log: never text that may repeat what was sent."""
    if reply.status is None:
        return str(reply.error)
    told = f"HTTP {reply.status}"
    if 300 <= reply.status < 400 and reply.body.startswith(REDIRECTS_TO):
        return f"{told}, a redirect to {_host_of(reply.body[len(REDIRECTS_TO) :])}, which is not followed"
    return f"{told} with a web page" if _is_page(reply) and reply.status < 500 else told


def _host_of(location: str) -> str:
    """Scheme and host of an address, without user, path and query; "another path" where it names no host."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "an unreadable address"
    if not host or not re.fullmatch(r"[!-~]{1,255}", host):
        return "another path"
    return f"{parts.scheme or 'http'}://{host}{f':{port}' if port else ''}"


def longest_pause(reply: Reply) -> float:
    """The longest pause, in seconds, that a failure like *reply* is worth; a `BackOff` may have a shorter one."""
    if not reply.was_sent:
        return UNREACHABLE_PAUSE_S
    return PROBE_PAUSE_S if classify(reply, 1) is Verdict.PAUSE else math.inf


def parse_retry_after(value: Optional[str], now: float) -> Optional[float]:
    """The seconds that a Retry-After header asks for, in both forms of RFC 9110 (seconds, HTTP date).

    *now* is the Unix time in seconds. Between 0 and 3600; None without a header or when it cannot be read.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return min(float(text), MAX_RETRY_AFTER_S)
    moment = parse_http_date(text)
    return None if moment is None else min(max(moment - now, 0.0), MAX_RETRY_AFTER_S)


def parse_http_date(text: str) -> Optional[float]:
    """The Unix time in seconds of an HTTP date; None when it cannot be read."""
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # "-0000", or no zone at all: HTTP dates are in GMT
            moment = moment.replace(tzinfo=timezone.utc)
        return moment.timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


class BackOff:
    """A tenacity `wait`: exponential with full jitter, never shorter than the server's Retry-After.

    The *n*-th wait is a random share of min(*longest_s*, *first_s* x 2^(n-1)). Where the tried function
    returned a `Reply` with `retry_after_s`, the wait is at least that, plus a share of *first_s*, so that
    clients sent away together do not come back together. *draw* returns a random number from 0 to 1.
    """

    def __init__(
        self, first_s: float = 0.5, longest_s: float = 60.0, draw: Callable[[], float] = random.random
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._draw = draw

    def __call__(self, retry_state: RetryCallState) -> float:
        """The seconds to wait after the attempt that *retry_state* tells of."""
        outcome = retry_state.outcome
        result = None if outcome is None or outcome.failed else outcome.result()
        return self.seconds(retry_state.attempt_number, result if isinstance(result, Reply) else None)

    def seconds(self, attempt: int, reply: Optional[Reply] = None, longest_s: float = math.inf) -> float:
        """The seconds to wait after the *attempt*-th attempt (from 1 on) ended with *reply*.

        A *longest_s* below the policy's own takes its place.
        """
        share = self._draw()
        ceiling = min(self._longest_s, longest_s, math.ldexp(self._first_s, min(attempt - 1, 60)))
        wait = share * ceiling
        if reply is not None and reply.retry_after_s is not None:
            wait = max(wait, reply.retry_after_s + share * self._first_s)
        return wait


def batch_body(events: Iterable[bytes]) -> bytes:
    """The body of a batch request (both `/v1/events/batch` and the legacy route) from encoded *events*."""
    return b'{"events":[' + b",".join(events) + b"]}"
