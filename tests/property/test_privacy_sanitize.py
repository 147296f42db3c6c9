"""What redaction promises for any value: no credential, nothing else lost, bounded, and done once for all."""

from __future__ import annotations

import copy
import json
from typing import Any, Callable

from hypothesis import example, given
from hypothesis import strategies as st

from honeyhive_litellm._json import encode
from honeyhive_litellm._privacy.credentials import possible_rules, scrub
from honeyhive_litellm._privacy.sanitize import clean, clean_text
from honeyhive_litellm._privacy.truncate import cut, fit, utf8_size

LIMIT = 4096
ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
TOKEN = st.text(ALNUM, min_size=24, max_size=40).map(lambda text: f"q7{text}9Z")

FORMS = st.sampled_from(
    [
        "sk-{}", "sk-proj-{}", "sk-ant-api03-{}", "hh_{}", "hh_ingst_{}", "AIza{}", "ya29.{}", "ghp_{}", "gho_{}",
        "github_pat_{}", "xoxb-{}", "sk_live_{}", "hf_{}", "gsk_{}", "Bearer {}", "bearer {}", "BEARER {}",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}", "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----",
        "https://me:{}@example.com/x", "https://example.com/a?b=1&key={}", "https://example.com/a?sig={}",
        "https://example.com/a?X-Amz-Signature={}", "AccountKey={};EndpointSuffix=x", "aws_secret_access_key={}",
        "AWS_SECRET_ACCESS_KEY = {}", "OPENAI_API_KEY={}", "api-key: {}", 'apiKey="{}"', "{{'password': '{}'}}",
        '{{"client_secret":"{}"}}', "Authorization: Bearer {}", "authorization: Token {}", "Cookie: session={}",
        "access_token={}", 'refresh_token: "{}"', "PASSWORD={}", "passwd: {}",
        '{{"arguments":"{{\\"api_key\\":\\"{}\\"}}"}}',
        "slack_token={}", "connection_string: {}", "glpat-{}", "npm_{}", "hvs.{}", "dapi{}0123456", "pypi-AgE{}",
        "ATATT3{}", "https://hooks.slack.com/services/{}", "https://{}@example.com/x", "curl -u me:{}", "--token {}",
        "<secret>{}</secret>", "{{'token': '{}'}}", "bot123456789:AA{}abcdef",
        "mysql -u root -p{}", "docker login -u me -p {}", "redis-cli -a '{}'", 'sshpass -p "{}" ssh x',
        'curl -H "A: b" \\\n -u "me:{}" x.org', "machine x.org login me password {}",
        "machine x.org\n login me\n password {}",
    ]
)  # fmt: skip
EDGES = st.sampled_from(["", " ", "\n", "\t", "é", '"', "'", "(", ", ", ": ", "<", "=> "])
PLACES = st.sampled_from(
    [
        lambda text: text,
        lambda text: [text],
        lambda text: {"note": text},
        lambda text: {text: 1},
        lambda text: {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]},
        lambda text: {"arguments": json.dumps({"note": text})},
        lambda text: {"arguments": json.dumps({"inner": json.dumps({"note": text})})},
        lambda text: RuntimeError("call failed", text),
        lambda text: ((text,), {"b": (text,)}),
    ]
)
WORDS = st.lists(
    st.sampled_from(
        ["the", "task-based", "risk-free", "hh_session", "sk-", "key", "Basic", "token", "secret", "it's", "12:30",
         "a=b", "max_tokens=5", "password", "Bearer of", "eyJ", "AKIA", "naïve", "日本", "\n", "--", "://", "author:",
         "3 + 4", "test_name"]
    ),
    max_size=60,
).map(" ".join)  # fmt: skip


@given(FORMS, TOKEN, EDGES, EDGES, WORDS, WORDS, PLACES)
def test_no_credential_survives_wherever_it_stands(
    form: str, token: str, before: str, after: str, head: str, tail: str, place: Callable[[str], object]
) -> None:
    text = f"{head} {before}{form.format(token)}{after} {tail}"
    cleaned = encode(clean(place(text), LIMIT)).decode()
    assert token not in cleaned
    assert "[redacted" in cleaned


@given(FORMS, TOKEN, st.integers(0, 300))
def test_no_part_of_a_credential_stays_at_the_cut(form: str, token: str, shift: int) -> None:
    text = "y" * (LIMIT - shift) + " " + form.format(token) + " end" * 5000
    assert token[:6] not in clean_text(text, LIMIT)


@given(WORDS)
def test_prose_is_left_as_it_is(text: str) -> None:
    assert clean_text(text, 100_000) == text


@given(
    st.dictionaries(
        st.sampled_from(["prompt_tokens", "max_tokens", "total_tokens", "token_ids", "password"]), st.integers()
    )
)
def test_numbers_stay_under_any_name(usage: Any) -> None:
    small = {name: value % 2**60 for name, value in usage.items()}
    assert clean(small, LIMIT) == small


@given(FORMS, TOKEN, WORDS)
def test_the_quick_look_finds_all_that_a_rule_would(form: str, token: str, text: str) -> None:
    """The whole text is searched once first, and its strings only if that finds something."""
    text = f"{text} {form.format(token)} {text}"
    assert possible_rules(text)
    assert token not in scrub(text)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.characters(categories=["Cs"]) | st.binary()
    | st.dates() | st.uuids() | st.decimals() | st.builds(object) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=4)
    | st.tuples(inner, inner),
    max_leaves=25,
)  # fmt: skip


def is_plain(value: object) -> bool:
    if type(value) is dict:
        return all(type(key) is str and is_plain(item) for key, item in value.items())
    if type(value) is list:
        return all(map(is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


@given(ANY)
@example({"api_key": 2**63 - 1})
@example({"api_key": -(2**63) - 1})
@example({"api_key": float("nan")})
def test_any_value_becomes_plain_once_for_all_and_stays_unchanged_itself(value: Any) -> None:
    before = repr(value)
    cleaned = clean(value, LIMIT)
    assert is_plain(cleaned)
    assert json.loads(encode(cleaned)) == cleaned
    assert clean(cleaned, LIMIT) == cleaned
    assert repr(value) == before


@given(st.text(), st.integers(0, 200))
def test_a_cut_text_fits(text: str, limit: int) -> None:
    result = cut(text, limit)
    assert utf8_size(result) <= limit
    assert result == text or utf8_size(text) > limit
    assert cut(result, limit) == result


@given(st.dictionaries(st.sampled_from(["inputs", "outputs", "config", "metadata"]), ANY), st.integers(2500, 8000))
def test_an_event_is_made_to_fit_and_its_own_facts_stay(parts: Any, limit: int) -> None:
    content = clean({**parts, "inputs": {"text": "é" * 9000, "list": list(range(3000))}}, 10_000)
    assert isinstance(content, dict)
    event = {"event_id": "id", "error": "RateLimitError: slow down", "start_time": 1.5, **content}
    kept = copy.deepcopy(event)
    fitted = fit(event, limit)
    assert len(encode(fitted)) <= limit
    assert event == kept
    assert [fitted[name] for name in ("event_id", "error", "start_time")] == ["id", "RateLimitError: slow down", 1.5]
