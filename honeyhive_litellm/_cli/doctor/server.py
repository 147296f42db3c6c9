"""The server, for `--connect`: its name, TLS, its clock, and what the key may do. Sends no event."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
import uuid
from email.utils import parsedate_to_datetime
from typing import Iterator, List, Optional, Tuple
from urllib.parse import urlsplit

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._delivery.sink import LookUp, Result, Verdict
from honeyhive_litellm._delivery.sinks.factory import sink_for
from honeyhive_litellm._privacy.cipher import cipher_of
from honeyhive_litellm._spool.record import Row

from .clock import check_skew
from .finding import Finding, ok, problem, warning

_TIMEOUT_S = 10.0


def check_server(settings: Settings) -> List[Finding]:
    """Connect, then use the key: one empty batch, and one question for an event that is not there."""
    access = settings.broker_access
    if access is not None:
        from .broker import check_broker  # its client is an extra

        key_id = cipher_of(settings.spool_key).key_id
        return asyncio.run(check_broker(access, settings.broker_destination, key_id))
    reached, server_time = _reach(settings.api_url)
    if server_time is None:
        return [reached]
    written, looked_up = asyncio.run(_use_key(settings))
    findings = [reached, check_skew(server_time, time.time()), _may_write(written, settings)]
    return [*findings, *_may_read(looked_up)]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_details: object) -> None:
        return None


def _reach(api_url: str) -> Tuple[Finding, Optional[float]]:
    """Whether an HTTP server answers there, and its time in Unix seconds; None if there is no server."""
    host = urlsplit(api_url).hostname
    check = "server.reachable"
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        request = urllib.request.Request(api_url, method="HEAD")  # noqa: S310 - the settings take http(s) only
        try:
            with opener.open(request, timeout=_TIMEOUT_S) as answer:
                headers = answer.headers
        except urllib.error.HTTPError as error:  # any answer will do
            headers = error.headers
    except (OSError, http.client.HTTPException) as error:
        return _unreachable(check, api_url, str(host), getattr(error, "reason", error)), None
    secured = ", its certificate is valid" if api_url.startswith("https:") else ", without TLS"
    return ok(check, f"{api_url} answers{secured}"), _time_of(headers.get("Date"))


def _unreachable(check: str, api_url: str, host: str, reason: object) -> Finding:
    if isinstance(reason, socket.gaierror):
        return problem(check, f"The name {host} cannot be resolved", "Check api_url and the DNS of this machine.")
    if isinstance(reason, ssl.SSLError):
        return problem(
            check,
            f"TLS with {host} fails: {getattr(reason, 'verify_message', None) or reason.reason or reason}",
            "Check the clock, and whether a proxy needs its own certificate authority (SSL_CERT_FILE).",
        )
    return problem(check, f"{api_url} cannot be reached: {reason}", "Check api_url, the firewall and HTTPS_PROXY.")


def _time_of(date: Optional[str]) -> float:
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError, IndexError):
        return time.time()  # a server that does not say cannot be compared with


async def _use_key(settings: Settings) -> Tuple[Result, Optional[LookUp]]:
    sink = sink_for(settings)
    try:
        written = await sink.send([])
        row = Row(seq=0, id=str(uuid.uuid4()), started_ms=0.0, session=None, body=b"{}")
        return written, await sink.look_up([row]) if sink.can_look_up else None
    finally:
        await sink.aclose()


def _may_write(result: Result, settings: Settings) -> Finding:
    check = "server.key_writes"
    # A server that takes no empty batch says so about the batch: the key was accepted.
    if result.verdict in (Verdict.DELIVERED, Verdict.REJECT, Verdict.SPLIT):
        return ok(check, f"The key may write to project {settings.project}")
    if result.verdict is Verdict.PAUSE:
        remedy = "Check HONEYHIVE_API_KEY and HONEYHIVE_API_URL."
        return problem(check, f"The server does not take the key or the address: {result.log_text}", remedy)
    return problem(check, f"The server takes no events now: {result.log_text}", "Wait, or ask who runs the server.")


def _may_read(looked_up: Optional[LookUp]) -> Iterator[Finding]:
    check = "server.key_reads"
    remedy = "Nothing is lost. With a key that may read, events whose reply was lost are looked up, not sent again."
    if looked_up is None:
        yield warning(check, "The key may write only", remedy)
    elif looked_up.failure is not None:
        yield warning(check, f"The key may not read: {looked_up.failure.log_text}", remedy)
    else:
        yield ok(check, "The key may read")
