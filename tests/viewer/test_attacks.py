"""Attacks over HTTP: rebinding, forms of other sites, the token's way, formulas, paths and SQL in every parameter."""

from __future__ import annotations

import csv
import io
import logging
import socket
import uuid
from contextlib import closing
from typing import Any, Dict, List, Optional
from urllib.parse import quote

import httpx
import pytest

from honeyhive_litellm.collector._hosts import Hosts
from honeyhive_litellm.collector._http import _HOSTS_LOGGED
from honeyhive_litellm.collector.viewer.security import CONTENT_SECURITY_POLICY
from honeyhive_litellm.testing import Collector

from .conftest import client, post

KEY = {"Authorization": "Bearer hh_any"}
ROUTES = [
    ("GET", "/"),
    ("GET", "/open?token=x"),
    ("GET", "/events/1"),
    ("GET", "/live"),
    ("GET", "/export.jsonl"),
    ("GET", "/static/main.js"),
    ("GET", "/favicon.ico"),
    ("POST", "/clear"),
    ("POST", "/v1/events/search"),
    ("POST", "/v1/events"),
    ("GET", "/nowhere"),
    ("OPTIONS", "/v1/events"),
]
EVENT: Dict[str, Any] = {"event_type": "model", "inputs": {"prompt": "a secret"}, "metadata": {"tags": ["t"]}}


def fresh(collector: Collector) -> httpx.Client:
    """A client without cookie."""
    return httpx.Client(base_url=collector.url, trust_env=False, timeout=10)


# Rebinding


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_a_foreign_host_is_refused_on_every_route(collector: Collector, method: str, path: str, host: str) -> None:
    post(collector, EVENT)
    with fresh(collector) as connected:
        answer = connected.request(method, path, headers={**KEY, "Host": host}, json={} if method == "POST" else None)
    assert answer.status_code == 421
    assert "secret" not in answer.text and "--allow-host" in answer.text


@pytest.mark.parametrize("lines", [b"", b"Host: 127.0.0.1\r\nHost: evil.example\r\n", b"Host:\r\n"])
def test_a_host_that_is_missing_or_named_twice_is_refused(collector: Collector, lines: bytes) -> None:
    with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2]))) as raw:
        raw.settimeout(10)
        raw.sendall(b"GET / HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] in (b"400", b"421")


def test_a_refused_host_is_logged_once_and_without_control_characters(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), fresh(collector) as connected:
        for _ in range(3):
            connected.get("/", headers={"Host": "evil.example"})
    logged = [record.getMessage() for record in caplog.records if "evil.example" in record.getMessage()]
    assert len(logged) == 1 and logged[0].isprintable()


def test_however_many_hosts_are_refused_few_are_logged(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), fresh(collector) as connected:
        for number in range(_HOSTS_LOGGED + 5):
            answer = connected.get("/", headers={"Host": f"{number}.evil.example" + "x" * 200})
            assert answer.status_code == 421
    logged = [record.getMessage() for record in caplog.records if "evil.example" in record.getMessage()]
    assert len(logged) == _HOSTS_LOGGED
    assert max(map(len, logged)) < 250


@pytest.mark.parametrize(
    ("header", "own", "is_allowed"),
    [
        ("localhost", None, True),
        ("LOCALHOST:8787", None, True),
        ("127.0.0.1:1", None, True),
        ("127.9.9.9", None, True),
        ("[::1]:8787", None, True),
        ("[::1]", None, True),
        ("::1", None, False),
        ("mine", None, True),
        ("MINE:80", None, True),
        ("192.168.1.5:8787", "192.168.1.5", True),
        ("192.168.1.5", "192.168.1.6", False),
        ("[fe80::1]", "fe80::1", True),
        ("localhost.", None, False),
        ("localhost:x", None, False),
        ("localhost@evil.example", None, False),
        ("evil.example#localhost", None, False),
        ("2130706433", None, False),
        ("0x7f.1", None, False),
        ("127.1", None, False),
        ("", None, False),
        (None, None, False),
        ("localhost evil", None, False),
        ("l\u043ecalhost", None, False),
        ("[::1", None, False),
        ("evil.example", "127.0.0.1", False),
        ("localhost\n", None, False),
    ],
)
def test_a_host_is_parsed_and_compared_exactly(header: Optional[str], own: Optional[str], is_allowed: bool) -> None:
    assert Hosts(["mine"]).allows(header, own) is is_allowed


# Token and cookie


def test_pages_need_the_cookie_and_the_token_is_good_once(collector: Collector) -> None:
    post(collector, EVENT)
    link = collector.page_link
    with fresh(collector) as one, fresh(collector) as other:
        for path in ("/", "/overview", "/delivery", "/help", "/clear", "/compare", f"/events/{uuid.uuid4()}", "/live"):
            answer = one.get(path)
            assert answer.status_code == 401 and "secret" not in answer.text
        opened = one.get(link)
        assert (opened.status_code, opened.headers["Location"]) == (303, "/")
        cookie = opened.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert f"_{collector.url.rpartition(':')[2]}=" in cookie
        assert "secret" in one.get("/").text
        assert other.get(link).status_code == 401
        assert other.get(collector.page_link).status_code == 303 and collector.page_link != link


def test_a_key_opens_no_page(collector: Collector) -> None:
    with fresh(collector) as connected:
        assert connected.get("/", headers=KEY).status_code == 401
        assert connected.get("/export.jsonl").status_code == 401
        assert connected.get("/export.jsonl", headers=KEY).status_code == 200
        assert connected.get("/export.jsonl", headers={"Authorization": "Bearer hh_ingst_x"}).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "x" * 4000, "\u00e9", "%00", "../../"])
def test_a_wrong_token_is_refused_and_burns_nothing(collector: Collector, token: str) -> None:
    link = collector.page_link
    with fresh(collector) as connected:
        assert connected.get(f"/open?token={quote(token)}").status_code == 401
        assert connected.head(link).status_code == 401  # what only looks at a link does not use it up
        assert connected.get(link).status_code == 303


def test_neither_token_nor_cookie_is_logged_or_recorded(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    token = collector.page_link.partition("token=")[2]
    with caplog.at_level(logging.DEBUG), closing(client(collector)) as connected:
        cookie = next(iter(connected.cookies.values()))
        connected.get("/open?token=wrong")
        connected.post("/v1/events", json=EVENT, headers=KEY)
        connected.get("/", headers={"Host": "evil.example"})
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    texts = [record.getMessage() for record in ours] + [str(request.headers) for request in collector.requests]
    assert not any(token in text or str(cookie) in text for text in texts)


def test_the_closed_door_leads_to_no_other_site(collector: Collector) -> None:
    with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2]))) as raw:
        raw.settimeout(10)
        raw.sendall(b"GET //evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert b'href="//' not in answer


def test_every_answer_has_the_headers(collector: Collector) -> None:
    post(collector, EVENT)
    with closing(client(collector)) as connected:
        paths = [
            "/",
            "/overview",
            "/events/none",
            "/static/main.js",
            "/static/none",
            "/favicon.ico",
            "/export.csv",
            "/clear",
        ]
        for path in [*paths, "/open?token=x", "/compare", "/help", "/delivery", "/events/none.json"]:
            headers = connected.get(path).headers
            assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY, path
            assert headers["X-Content-Type-Options"] == "nosniff", path
            assert headers["Referrer-Policy"] == "no-referrer", path
            assert headers["Cache-Control"] == "no-store", path


# Forms of other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_another_sites_form_clears_nothing(collector: Collector, headers: Dict[str, str]) -> None:
    post(collector, EVENT)
    with closing(client(collector)) as connected:
        proof = connected.get("/clear").text.partition('name="proof" value="')[2].partition('"')[0]
        assert len(proof) == 64
        assert connected.post("/clear", data={"proof": proof}, headers=headers).status_code == 403
        assert connected.post("/clear", data={"proof": "0" * 64}, headers={"Origin": collector.url}).status_code == 403
        assert len(collector.events) == 1
        assert connected.get("/clear?proof=" + proof).status_code == 200
        assert len(collector.events) == 1
        assert connected.post("/clear", data={"proof": proof}, headers={"Origin": collector.url}).status_code == 303
        assert collector.events == []


def test_a_web_page_of_another_origin_gets_no_leave(collector: Collector) -> None:
    with fresh(collector) as connected:
        preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        answer = connected.options(
            "/v1/events/search", headers={**preflight, "Access-Control-Request-Headers": "authorization"}
        )
        assert not any(name.lower().startswith("access-control") for name in answer.headers)
        assert answer.status_code >= 400


# What else comes in by a URL

PATHS = [
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/pyproject.toml",
    "....//",
    "main.js%00.css",
    "/etc/passwd",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_the_static_files(collector: Collector, path: str) -> None:
    port = int(collector.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.settimeout(10)
        raw.sendall(f"GET /static/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] in (b"400", b"401", b"404") and b"root:" not in answer


INJECTIONS = [
    "' OR 1=1 --",
    '" OR ""="',
    "'; DROP TABLE records; --",
    "1); DELETE FROM records; --",
    "%' --",
    "\\",
    "NUL\x00byte",
    '"',
    '""',
    "NEAR(a b)",
    "a AND",
    "*",
    "^a",
    "text : secret",
    "{text} : a",
    "(",
    "a NOT",
    '"a" + "b',
    "-",
    "--",
    "-secret",
    "secret*",
    "9" * 400,
    "1e999",
    "nan",
    "-inf",
    "0x10",
    "💥",
    "\ud7ff",
    "a" * 5000,
]
PARAMETERS = [
    "q",
    "status",
    "model",
    "provider",
    "kind",
    "project",
    "source",
    "user",
    "tag",
    "session",
    "trace",
    "cost_min",
    "cost_max",
    "duration_min",
    "duration_max",
    "from",
    "to",
    "last",
    "before",
    "after",
    "a",
    "b",
    "turn",
    "raw",
    "limit",
    "since",
]


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_no_parameter_reaches_sql_or_breaks_a_page(collector: Collector, parameter: str) -> None:
    post(collector, EVENT, {**EVENT, "inputs": {"prompt": "other"}})
    failed: List[str] = []
    with closing(client(collector)) as connected:
        for injection in INJECTIONS:
            value = quote(injection.encode("utf-8", "surrogatepass"))
            for path in ("/", "/overview", "/compare", "/sessions/x", "/export.jsonl"):
                answer = connected.get(f"{path}?{parameter}={value}")
                if answer.status_code not in (200, 400, 404):
                    failed.append(f"{path}?{parameter}={injection[:30]!r}: {answer.status_code}")
    assert failed == []
    assert len(collector.events) == 2


def test_an_id_in_a_path_is_only_an_id(collector: Collector) -> None:
    post(collector, EVENT)
    with closing(client(collector)) as connected:
        for injection in [*INJECTIONS[:6], "a/../..", "<script>alert(1)</script>"]:
            for place in ("events", "traces", "sessions"):
                answer = connected.get(f"/{place}/{quote(injection, safe='')}")
                assert answer.status_code in (400, 404), (place, injection)
                assert "<script>alert" not in answer.text
    assert len(collector.events) == 1


FORMULAS = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1+1", "=cmd|' /C calc'!A0", "\uff1d1+1", "\n=1"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_cell_is_no_formula(collector: Collector, formula: str) -> None:
    post(
        collector,
        {
            "event_type": "model",
            "event_name": formula,
            "inputs": {"prompt": formula},
            "config": {"model": formula},
            "metadata": {"project": formula, "status": formula},
            "error": formula,
        },
    )
    with closing(client(collector)) as connected:
        text = connected.get("/export.csv").content.decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    for cell in row.values():
        assert not (cell or "").lstrip(" \u00a0").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"))
    assert row["name"] == f"'{formula}"
