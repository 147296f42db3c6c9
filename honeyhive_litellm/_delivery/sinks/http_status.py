"""What an HTTP answer means for the events of the request: one table, without IO.

The server's habits behind the table: HoneyHive's OpenAPI 1.9 knows 200, 400 and, for a batch, a 500 that means "some
events created" without saying which. Since 2026 a bad or revoked key is answered with 404 where it used to be 401 or
403, so a 404 on an ingestion route speaks of the configuration, not of the events. 413 and 429 are undocumented, but
proxies and load balancers send them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Container, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from honeyhive_litellm._delivery.sink import Result, Verdict

MAX_RETRY_AFTER_S = 3600.0

LONGEST_PROBE_PAUSE_S = 30.0
"""The longest pause after a refused key or address. Back-off begins shorter: the cause may have been one event."""

LONGEST_UNREACHABLE_PAUSE_S = 5.0
"""The longest pause after a failed connection: trying again does not burden a server that cannot be reached."""

REDIRECTS_TO = "redirects to "
"""How the body of a redirect's `Reply` begins; its Location follows."""

_DENIES_SUCCESS = re.compile(r'"success"\s*:\s*false')


@dataclass(frozen=True)
class Reply:
    """What came of one HTTP request.

    `status` is None if no answer came; then `error` says why in one word (a key of NETWORK_ERRORS). With a status, an
    `error` says that the answer broke off after it. `body` is at most 2 KB of text without credentials.
    `retry_after_s` is between 0 and 3600. `was_sent` is False only if the request certainly never left this machine.
    """

    status: Optional[int]
    body: str = ""
    retry_after_s: Optional[float] = None
    error: Optional[str] = None
    was_sent: bool = True


class Meaning(NamedTuple):
    """What a status means. REJECT stands for SPLIT where the request had several events."""

    verdict: Verdict
    ambiguous: bool
    may_be_event: bool


DELIVERED, RETRY, PAUSE, REJECT = Verdict.DELIVERED, Verdict.RETRY, Verdict.PAUSE, Verdict.REJECT

STATUSES: Tuple[Tuple[Container[int], Meaning], ...] = (
    #                                  verdict   ambiguous  may be the event
    (range(200, 205), Meaning(DELIVERED, False, True)),
    (range(205, 300), Meaning(PAUSE, True, True)),  # a success that is not whole
    (range(300, 400), Meaning(PAUSE, False, True)),  # the address moved, and the key is for the host the user named
    ({400, 409, 413, 422}, Meaning(REJECT, False, True)),  # refuses what was sent, not who sent it where
    ({401, 407}, Meaning(PAUSE, False, False)),  # the key, or a proxy's: the same whatever was sent
    ({408, 425, 429}, Meaning(RETRY, False, False)),  # too slow, too early, too many
    # 402, 403, 404, 405, 406, 410, 415, 431 ...: the key, the address, the account, another kind of server; or, with
    # 403 and the like, a firewall that dislikes one prompt.
    (range(400, 500), Meaning(PAUSE, False, True)),
    # A batch's 500 means "some created", a gateway's 502 or 504 may come after the work was done; it may also be the
    # crash that one event causes, or a batch that is too much at once.
    (range(500, 1000), Meaning(RETRY, True, True)),
)
"""The first line that holds the status counts."""

_UNDOCUMENTED = Meaning(PAUSE, False, True)
_NEVER_SENT = Meaning(RETRY, False, False)
_NO_ANSWER = Meaning(RETRY, True, True)  # perhaps a crash, or a proxy that resets what is too large
_DENIED = Meaning(REJECT, True, True)

NETWORK_ERRORS = {
    "closed": "this process has closed its connections",
    "dns": "its name cannot be resolved",
    "dropped": "the connection broke off",
    "garbled": "its answer is not HTTP",
    "proxy": "the HTTP proxy does not connect to it",
    "refused": "nothing listens at that address",
    "timeout": "it did not answer in time",
    "tls": "no trusted TLS connection",
    "unreachable": "no connection to it",
}
"""`Reply.error`, and what a log line says."""


def result_of(reply: Reply, events: int) -> Result:
    """What *reply* means for a request with so many events."""
    meaning = _meaning(reply)
    verdict = Verdict.SPLIT if meaning.verdict is REJECT and events > 1 else meaning.verdict
    return Result(
        verdict,
        meaning.ambiguous,
        meaning.may_be_event,
        some_failed=reply.status == 500,
        retry_after_s=reply.retry_after_s,
        longest_pause_s=_longest_pause_s(reply, verdict),
        log_text=describe(reply),
        status=reply.status,
        reason=reply.body or describe(reply),
    )


def _meaning(reply: Reply) -> Meaning:
    if reply.status is None:
        return _NO_ANSWER if reply.was_sent else _NEVER_SENT
    status = reply.status
    meaning = next((meaning for statuses, meaning in STATUSES if status in statuses), _UNDOCUMENTED)
    if is_page(reply) and meaning.verdict is not RETRY and status != 413:
        # Not the API's answer, but a sign-in page, a web application, "plain HTTP request sent to HTTPS port": it
        # neither delivers nor refuses. 413 means the same from a proxy.
        return meaning._replace(verdict=PAUSE, ambiguous=False)
    if 200 <= status < 300 and _DENIES_SUCCESS.search(reply.body):
        return _DENIED  # all ingestion routes answer with the field `success`
    return meaning


def is_page(reply: Reply) -> bool:
    """Whether the body is HTML or XML, where the API answers with JSON or with nothing."""
    return reply.body.lstrip("\ufeff \t\r\n").startswith("<")


def _longest_pause_s(reply: Reply, verdict: Verdict) -> float:
    if not reply.was_sent:
        return LONGEST_UNREACHABLE_PAUSE_S
    return LONGEST_PROBE_PAUSE_S if verdict is PAUSE else math.inf


def describe(reply: Reply) -> str:
    """What happened, in a few words for a log. Never text that may repeat what was sent."""
    if reply.status is None:
        return NETWORK_ERRORS.get(reply.error or "", "no answer")
    text = f"HTTP {reply.status}"
    if 300 <= reply.status < 400 and reply.body.startswith(REDIRECTS_TO):
        return f"{text}, a redirect to {_host_of(reply.body[len(REDIRECTS_TO) :])}, which is not followed"
    return f"{text} with a web page" if is_page(reply) and reply.status < 500 else text


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
