"""Credentials never reach the spool, a log line, a repr or the wire, wherever a user puts them and whatever happens.

Each canary is a secret with a number of its own, put where users of LiteLLM put secrets. Calls that carry them go
through LiteLLM's own code - answered, streamed, embedded, failing, refused by HoneyHive - with all that can be captured
being captured. Then everything that left the callback is searched for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import select
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm._instrumentation import logger as logger_module
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import has_litellm
from ..waiting import until_committed

Json = Dict[str, Any]

_secrets: Dict[str, str] = {}


def canary(place: str) -> str:
    """A secret that looks like nothing but a random word: letters, digits, no vendor's prefix."""
    return _secrets.setdefault(place, f"Qw{len(_secrets):03}Zk8vL2mX9pR4tB7nH3")


class Tap:
    """A relay in front of a server that keeps every byte the client sends."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._seen: List[bytes] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def seen(self) -> str:
        return b"".join(list(self._seen)).decode("utf-8", "replace")

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._target) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is client:
                        self._seen.append(data)
                    (server if ready is client else client).sendall(data)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)


def service_account(secret: str) -> Json:
    key = f"-----BEGIN PRIVATE KEY-----\n{secret}\n{secret}\n-----END PRIVATE KEY-----\n"
    return {"type": "service_account", "project_id": "p", "private_key_id": secret, "private_key": key}


def in_text() -> List[str]:
    """Secrets that nothing but what stands around them, or their own form, gives away."""
    c = canary
    return [
        f"Authorization: Bearer {c('text: bearer')}",
        f"curl -H 'x-api-key: {c('text: header')}' https://example.com",
        f"curl -u admin:{c('text: curl -u')} https://example.com",
        f"https://user:{c('text: url password')}@example.com/x",
        f"https://{c('text: url token')}@github.com/org/repo.git",
        f"postgresql://app:{c('text: database url')}@db:5432/x",
        f"mongodb+srv://app:{c('text: mongo url')}@cluster.example.net/?w=majority",
        f"redis://:{c('text: redis url')}@cache:6379/0",
        f"Server=db;User Id=sa;Password={c('text: connection string')};",
        f"https://x.blob.core.windows.net/c?sv=2024&sig={c('text: sas')}",
        f"https://s3.amazonaws.com/b/k?X-Amz-Signature={c('text: signed url')}",
        f"https://example.com/v1?api_key={c('text: query')}&x=1",
        f"https://hooks.slack.com/services/T0123ABCD/B0123ABCD/{c('text: slack webhook')}",
        f"https://discord.com/api/webhooks/123456789012345678/{c('text: discord webhook')}",
        f"https://api.telegram.org/bot123456789:AAE{c('text: telegram')}abcdefghijk/getMe",
        f"export AWS_SECRET_ACCESS_KEY={c('text: aws secret')}",
        f"OPENAI_API_KEY='sk-proj-{c('text: openai')}'",
        f"sk-ant-api03-{c('text: anthropic')}",
        f"key hh_{c('text: honeyhive')}",
        f"ghp_{c('text: github')}",
        f"glpat-{c('text: gitlab')}",
        f"xoxb-{c('text: slack')}",
        f"npm_{c('text: npm')}{c('text: npm')}",
        f"pypi-AgEIcHlwaS5vcmc{c('text: pypi')}",
        f"SG.{c('text: sendgrid')}.{c('text: sendgrid')}{c('text: sendgrid')}",
        f"shpat_{c('text: shopify')}",
        f"dop_v1_{c('text: digitalocean')}{c('text: digitalocean')}{c('text: digitalocean')}",
        f"xai-{c('text: xai')}{c('text: xai')}",
        f"pplx-{c('text: perplexity')}{c('text: perplexity')}",
        f"r8_{c('text: replicate')}{c('text: replicate')}",
        f"nvapi-{c('text: nvidia')}{c('text: nvidia')}",
        f"lsv2_pt_{c('text: langsmith')}_{c('text: langsmith')}",
        f"sk-lf-{c('text: langfuse')}",
        f"tvly-{c('text: tavily')}",
        f"fw_{c('text: fireworks')}",
        f"csk-{c('text: cerebras')}{c('text: cerebras')}",
        f"dapi{c('text: databricks')}{c('text: databricks')}",
        f"hvs.{c('text: vault')}{c('text: vault')}",
        f"GOCSPX-{c('text: google oauth')}",
        f"ATATT3xFfGF0{c('text: atlassian')}{c('text: atlassian')}",
        f"ntn_{c('text: notion')}{c('text: notion')}",
        f"dckr_pat_{c('text: docker')}",
        f"glsa_{c('text: grafana')}_{c('text: grafana')}",
        f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{c('text: jwt')}",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{c('text: ssh')}\n-----END OPENSSH PRIVATE KEY-----",
        f"Set-Cookie: sid={c('text: cookie')}; Path=/",
        f"'headers': {{'cookie': 'session={c('text: cookie in a repr')}'}}",
        json.dumps({"args": json.dumps({"password": c("text: json in json")})}),
        f'Traceback (most recent call last):\n  File "a.py", line 1\n    login(password="{c("text: traceback")}")\nE',
        f"<password>{c('text: xml')}</password>",
        f"--api-key {c('text: option')}",
        f"  password: {c('text: yaml')}",
    ]


def placed() -> Json:
    """Arguments of a call that carry a secret each."""
    c = canary
    return {
        "api_key": c("api_key"),
        "extra_headers": {
            "Authorization": f"Bearer {c('extra_headers: authorization')}",
            "X-Api-Key": c("extra_headers: x-api-key"),
            "Cookie": f"sid={c('extra_headers: cookie')}",
            "X-Team-Secret": c("extra_headers: secret"),
            "Proxy-Authorization": f"Basic {c('extra_headers: proxy')}",
            "X-Amz-Security-Token": c("extra_headers: amz"),
            "X-Goog-Api-Key": c("extra_headers: goog"),
            "Private-Token": c("extra_headers: gitlab"),
        },
        "headers": {"Ocp-Apim-Subscription-Key": c("headers"), "CF-Access-Client-Secret": c("headers: cf")},
        "organization": f"sk-{c('organization')}",
        "user": f"sk-{c('user')}",
        "metadata": {
            "session_id": f"sk-{c('metadata: session')}",
            "event_name": f"sk-{c('metadata: event_name')}",
            "tags": [f"token=sk-{c('metadata: tag')}"],
            "user_properties": {"password": c("metadata: user_properties")},
            "api_key": c("metadata: api_key"),
            "dbPassword": c("metadata: camel case"),
            "nested": {"list": [{"client_secret": c("metadata: nested")}]},
            "credentials": {"user": "u", "value": c("metadata: under a name")},
            "json": json.dumps({"refresh_token": c("metadata: json")}),
            "DATABASE_URL": f"postgres://u:{c('metadata: database_url')}@h/d",
            f"sk-{c('metadata: a name')}": 1,
            "env": {"GITHUB_TOKEN": c("metadata: env"), "SECRET_KEY_BASE": c("metadata: secret_key_base")},
            "headers": {"authorization": c("metadata: headers")},
            "config": f"[db]\npassword = {c('metadata: ini')}\n",
            "error": RuntimeError(f"Bearer {c('metadata: an error')}"),
            "bytes": f"password={c('metadata: bytes')}".encode(),
            "access_token": c("metadata: access_token"),
        },
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "login",
                    "description": f"uses api_key={c('tools: description')}",
                    "parameters": {
                        "type": "object",
                        "properties": {"password": {"type": "string", "default": c("tools: default")}},
                    },
                },
            }
        ],
        "langfuse_secret_key": c("langfuse_secret_key"),
    }


def messages(text: str) -> List[Json]:
    c = canary
    arguments = json.dumps(
        {"password": c("tool arguments"), "inner": json.dumps({"api_key": c("tool arguments: json")})}
    )
    call = {"id": "call_1", "type": "function", "function": {"name": "login", "arguments": arguments}}
    image = f"https://s3.amazonaws.com/b/i.png?X-Amz-Signature={c('image url')}"
    return [
        {"role": "system", "content": f"The key is sk-{c('system message')}"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": image}}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": json.dumps({"access_token": c("tool result")})},
        {"role": "user", "content": text},
    ]


CLOUDS: List[Json] = [
    {
        "model": "bedrock/anthropic.claude-3-sonnet-20240229-v1:0",
        "aws_access_key_id": canary("aws_access_key_id"),
        "aws_secret_access_key": canary("aws_secret_access_key"),
        "aws_session_token": canary("aws_session_token"),
        "aws_bedrock_runtime_endpoint": f"https://u:{canary('aws endpoint')}@bedrock",
        "aws_web_identity_token": canary("aws_web_identity_token"),
    },
    {"model": "vertex_ai/gemini-2.0-flash", "vertex_credentials": json.dumps(service_account(canary("vertex text")))},
    {"model": "vertex_ai/gemini-2.0-flash", "vertex_ai_credentials": service_account(canary("vertex dict"))},
    {"model": "gemini/gemini-2.0-flash", "api_key": f"AIza{canary('gemini')}"},
    {
        "model": "azure/gpt-4o",
        "api_base": f"https://u:{canary('azure api_base')}@x.openai.azure.com/?api-key={canary('azure query')}",
        "azure_ad_token": canary("azure_ad_token"),
        "client_secret": canary("client_secret"),
        "tenant_id": "t",
        "azure_password": canary("azure_password"),
        "azure_username": "u",
    },
    {"model": "watsonx/ibm/granite", "watsonx_apikey": canary("watsonx_apikey"), "token": canary("watsonx token")},
    {"model": "huggingface/x/y", "hf_token": canary("hf_token")},
    {"model": "oci/xai.grok-4", "oci_key": canary("oci_key")},
    {
        "model": "openai/gpt-4o",
        "base_url": f"https://{canary('base_url')}@example.com/v1?key={canary('base_url query')}",
        "proxies": {"https": f"http://u:{canary('proxies')}@proxy:3128"},
        "default_headers": {"X-Api-Key": canary("default_headers")},
        "extra_body": {"api_key": canary("extra_body"), "inner": {"auth": canary("extra_body: nested")}},
        "extra_query": {"api-key": canary("extra_query")},
        "cache": {"redis_password": canary("cache")},
        "slack_webhook_url": f"https://hooks.slack.com/services/T0123ABCD/B0123ABCD/{canary('slack_webhook_url')}",
        "vector_db": {"dsn": canary("dsn")},
        "web_search_options": {"search_token": canary("search_token")},
    },
    {
        "model": "openai/gpt-4o",
        # LiteLLM 1.53 tries these again and again for 45 seconds
        **({"fallbacks": [{"model": "openai/gpt-4o", "api_key": canary("fallbacks")}]} if has_litellm("1.80") else {}),
        "model_list": [{"model_name": "m", "litellm_params": {"model": "m", "api_key": canary("model_list")}}],
    },
    {
        "model": "openai/gpt-4o",
        "tools": [
            {
                "type": "mcp",
                "server_label": "x",
                "server_url": f"https://mcp.example.com/?token={canary('mcp url')}",
                "authorization": canary("mcp authorization"),
                "headers": {"X-Key": canary("mcp headers"), "Authorization": canary("mcp headers: authorization")},
            }
        ],
    },
]


async def call_all(route: Json, failing: Json) -> None:
    """Every call that the canaries are in."""
    text = "\n".join(in_text())

    async def tried(is_async: bool, **call: Any) -> None:
        try:
            answer = await litellm.acompletion(**call) if is_async else litellm.completion(**call)
            if call.get("stream") and is_async:
                async for _ in answer:
                    pass
            elif call.get("stream"):
                for _ in answer:
                    pass
        except Exception as error:  # what it says is LiteLLM's business
            assert error is not None

    for is_async in (True, False):
        everything = {**placed(), "messages": messages(text)}
        await tried(is_async, **{**everything, "tools": None}, **route)
        await tried(is_async, **{**everything, "tools": None}, stream=True, **route)
        await tried(is_async, **everything, **route)
        await tried(is_async, **everything, **failing)
        await tried(is_async, **everything, model="gpt-4o", mock_response=RuntimeError(text))
        await tried(is_async, **everything, model="gpt-4o", mock_response="litellm.RateLimitError")
        for cloud in CLOUDS:
            for answer in ("well", RuntimeError(f"cannot reach {cloud}")):
                await tried(is_async, messages=messages("hello"), mock_response=answer, **cloud)
    for line in in_text():
        await tried(True, model="gpt-4o", messages=[{"role": "user", "content": line}], mock_response=line)
        await tried(True, model="gpt-4o", messages=[{"role": "user", "content": "x"}], mock_response=RuntimeError(line))
    carried = {name: value for name, value in placed().items() if name != "tools"}
    embedding = {**carried, **route, "model": "openai/text-embedding-3-small", "input": in_text()}
    await litellm.aembedding(**embedding)
    litellm.embedding(**embedding)
    route = {**route, "model": "text-completion-openai/gpt-3.5-turbo-instruct"}
    await litellm.atext_completion(prompt=text, **carried, **route)


@pytest.fixture
def tap(collector: Collector) -> Iterator[Tap]:
    tap = Tap(int(collector.url.rpartition(":")[2]))
    yield tap
    tap.close()


def test_no_credential_gets_out(
    collector: Collector,
    tap: Tap,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own_key = "hh_" + canary("HoneyHive's own key")
    caplog.set_level(logging.DEBUG, "honeyhive_litellm")
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # LiteLLM leaves connections of its own open
    collector.down()
    honeyhive_litellm.init(
        api_key=own_key,
        project="tests",
        api_url=tap.url,
        spool_path=tmp_path,
        capture_headers=True,
        capture_raw_request=True,
        debug=True,
        custom_attributes={"service": {"api_key": canary("custom_attributes")}, "note": f"sk-{canary('attribute')}"},
    )
    with ModelServer() as models:
        route = {"model": "openai/gpt-4o", "api_base": models.url, "max_retries": 0}
        asyncio.run(call_all(route, {**route, "model": "openai/fail-401"}))
        honeyhive_litellm.flush(1)
        until_committed(honeyhive_litellm.stats().accepted)
    gc.collect()
    in_spool = on_disk(tmp_path)
    in_reprs = reprs()
    collector.up()
    refused = 3
    collector.fail(400, times=refused, path="/v1/events", body={"message": f"no: {own_key}"})
    assert honeyhive_litellm.flush(60) == 0
    stats = honeyhive_litellm.stats()
    assert stats.accepted == stats.delivered + stats.dead > 100
    in_dead = on_disk(tmp_path)
    honeyhive_litellm.shutdown(5)

    assert "in_flight" in in_spool and "hello" in in_spool and "raw_request" in in_spool
    assert "redacted" in tap.seen
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("honeyhive"))
    printed = "\n".join(line for line in capsys.readouterr().out.splitlines() if "HoneyHive" in line)
    assert "HoneyHive Trace Logged" in printed
    wire = tap.seen.replace(f"Authorization: Bearer {own_key}", "")
    assert len(_secrets) >= 40
    places = {"spool": in_spool, "dead": in_dead, "log": logged, "printed": printed, "reprs": in_reprs, "wire": wire}
    leaks: Set[str] = {
        f"{name} in {place}" for place, text in places.items() for name, secret in _secrets.items() if secret in text
    }
    assert leaks == set()


def on_disk(folder: Path) -> str:
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file())


def reprs() -> str:
    """What a debugger, a log line or a traceback would show of our objects."""
    logger = logger_module._installed
    assert logger is not None
    runtime = logger._runtime
    pipeline = runtime.channels.main.pipeline
    assert pipeline is not None
    shown = [logger, runtime, runtime.settings, *vars(runtime).values(), *vars(pipeline).values()]
    shown += [part for one in vars(pipeline).values() for part in getattr(one, "__dict__", {}).values()]
    return "\n".join(repr(one) for one in shown if type(one).__module__.startswith("honeyhive_litellm"))
