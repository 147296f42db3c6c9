from __future__ import annotations

import base64
import collections
import dataclasses
import datetime
import json
import pathlib
import threading
import uuid
from typing import Any, Callable, List

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from honeyhive_litellm._json import encode
from honeyhive_litellm._privacy import credentials
from honeyhive_litellm._privacy.clean_texts import CleanTexts
from honeyhive_litellm._privacy.sanitize import clean, clean_text
from honeyhive_litellm._privacy.secret_names import is_secret_name
from honeyhive_litellm._privacy.truncate import cut, fit, utf8_size

LIMIT = 10_000
TAIL = "Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7"
VENDORS = """
npm_ shpat_ dop_v1_ r8_ lsv2_pt_ fw_ ntn_ dckr_pat_ glsa_ sbp_ rpa_ phx_ whsec_ lin_api_ glpat- xai- pplx- nvapi- tvly-
csk- GOCSPX- NRAK- hvs. pypi-AgEIcHl dapi ATATT3xFfGF0
"""
SECRETS = [
    f"sk-{TAIL}",
    f"sk-proj-{TAIL}",
    f"sk-ant-api03-{TAIL}",
    f"sk-or-v1-{TAIL}",
    f"hh_{TAIL}",
    f"hh_ingst_{TAIL[:24]}_{TAIL}",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    f"AIza{TAIL}",
    f"ya29.{TAIL}",
    f"ghp_{TAIL}",
    f"gho_{TAIL}",
    f"github_pat_{TAIL}",
    f"xoxb-{TAIL}",
    f"xoxp-{TAIL}",
    f"sk_live_{TAIL}",
    f"rk_test_{TAIL}",
    f"hf_{TAIL}",
    f"gsk_{TAIL}",
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{TAIL}",
    f"-----BEGIN PRIVATE KEY-----\n{TAIL}\n-----END PRIVATE KEY-----",
    f"-----BEGIN RSA PRIVATE KEY-----\n{TAIL}\n-----END RSA PRIVATE KEY-----",
    f"Bearer {TAIL}",
    f"Authorization: Bearer {TAIL}",
    f"authorization: Basic {base64.b64encode(b'user:' + TAIL.encode()).decode()}",
    f"https://user:{TAIL}@example.com/path",
    f"postgresql://admin:{TAIL}@db/x",
    f"https://example.com/?api_key={TAIL}",
    f"https://example.com/?key={TAIL}",
    f"https://example.com/x?sig={TAIL}",
    f"https://s3/x?X-Amz-Signature={TAIL}",
    f"DefaultEndpointsProtocol=https;AccountKey={TAIL}",
    f"aws_secret_access_key={TAIL}",
    f"aws_secret_access_key = '{TAIL}'",
    f'{{"api_key": "{TAIL}"}}',
    f"client_secret: {TAIL}",
    f"password={TAIL}",
    f"PASSWORD={TAIL}",
    f"azure_ad_token={TAIL}",
    f"Set-Cookie: session={TAIL}; Path=/",
    f"OPENAI_API_KEY={TAIL}",
    *(f"{vendor}{TAIL}" for vendor in VENDORS.split()),
    f"SG.{TAIL}.{TAIL}",
    f"https://hooks.slack.com/services/T0/B0/{TAIL}",
    f"https://discord.com/api/webhooks/1/{TAIL}",
    f"bot123456789:AA{TAIL}",
    f"https://{TAIL}@github.com/x",
    f"curl -u admin:{TAIL} https://x",
    f"--api-key {TAIL}",
    f"<password>{TAIL}</password>",
    f"{{'token': '{TAIL}', 'n': 1}}",
    f"'X-Key': '{TAIL}'",
]

PLACES: List[Callable[[str], object]] = [
    lambda s: s,
    lambda s: {"text": s},
    lambda s: [{"role": "user", "content": [{"type": "text", "text": f"look: {s} , please"}]}],
    lambda s: {"arguments": json.dumps({"note": s})},
    lambda s: ValueError(f"request failed: {s}"),
    lambda s: {"deep": [[[({"a": (s,)},)]]]},
    lambda s: f"line one\nline two {s}\nline three",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", range(len(PLACES)))
def test_no_credential_survives_in_any_text(secret: str, place: int) -> None:
    cleaned = encode(clean(PLACES[place](secret), LIMIT)).decode()
    assert TAIL not in cleaned
    assert "IOSFODNN7" not in cleaned
    assert base64.b64encode(b"user:" + TAIL.encode()).decode() not in cleaned
    assert "redacted" in cleaned


@pytest.mark.parametrize(
    "name",
    ["api_key", "apiKey", "x-api-key", "Authorization", "proxy-authorization", "cookie", "password", "client_secret",
     "aws_secret_access_key", "aws_access_key_id", "aws_session_token", "azure_ad_token", "azure_password",
     "vertex_credentials", "private_key", "access_token", "refresh_token", "connection_string", "database_url"],
)  # fmt: skip
def test_a_value_under_a_credentials_name_is_replaced_whatever_it_looks_like(name: str) -> None:
    assert clean({"a": [{name: "plain word"}]}, LIMIT) == {"a": [{name: "[redacted]"}]}
    assert clean({name: {"nested": "plain word"}}, LIMIT) == {name: "[redacted]"}
    assert clean({name: None, "beside": 1}, LIMIT) == {name: None, "beside": 1}


@pytest.mark.parametrize(
    "name",
    ["prompt_tokens", "max_tokens", "completion_tokens", "token_ids", "cached_tokens", "tokens", "reasoning_tokens",
     "key_alias", "virtual_key_hash", "user_api_key_hash", "author", "api_key_alias"],
)  # fmt: skip
def test_names_of_counts_hashes_and_aliases_are_no_credentials(name: str) -> None:
    assert not is_secret_name(name)
    assert clean({name: "value"}, LIMIT) == {name: "value"}


def test_a_tools_parameter_named_like_a_credential_stays() -> None:
    schema = {"type": "object", "properties": {"password": {"type": "string", "description": "the user's"}}}
    assert clean(schema, LIMIT) == schema


PROSE = [
    "We asked (task-list) for hh_session and the sk- prefix; key: the door. Basic JavaScript, Bearer of news.",
    "The password policy: at least ten characters. Secret sauce. Time is 12:30, ratio 3:4, a=b.",
    "See https://example.com/path?page=2&q=cats and mailto:someone@example.com.",
    "def f(token): return tokens[token]",
    "npm_package_version_2_10_lock, fw_update_2024_q3_release, rpa_process_2024_final_1, xai-methods-2023-review-paper",
    "pypi-server-2024-release-v2 and shpat_names; --max-tokens 4096 --key value -u root: <token>EOS</token>",
    '{"token": "hello", "logprob": -1.25, "next_token": "12"} see http://example.com/@user and SG.words.here',
    "-" * 400 + " | --- | --- | </table>",
    "key-value-pairs-2024-01-02-and-more",
]


@pytest.mark.parametrize("text", PROSE)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert clean_text(text, LIMIT) == text


def test_media_become_their_digest_type_and_size() -> None:
    data = b"\x89PNG" + bytes(range(256)) * 8
    encoded = base64.b64encode(data).decode()
    told = clean({"url": f"data:image/png;base64,{encoded}", "b64_json": encoded, "raw": data}, LIMIT)
    assert isinstance(told, dict)
    assert {v["bytes"] for v in told.values()} == {len(data)}
    assert len({v["sha256"] for v in told.values()}) == 1
    assert told["url"]["mime_type"] == told["b64_json"]["mime_type"] == "image/png"
    inside = clean_text(f"see data:image/png;base64,{encoded} above", LIMIT)
    assert encoded[:64] not in inside and "image/png" in inside


def test_a_long_text_is_cut_on_a_character_and_tells_its_size() -> None:
    text = "é" * 20_000
    result = clean_text(text, 1000)
    assert utf8_size(result) <= 1000
    assert result.endswith("…[truncated: 40000 bytes]")
    assert cut(result, 1000) == result


def test_no_half_of_a_credential_is_left_at_the_cut() -> None:
    result = clean_text("x" * 960 + " " + SECRETS[1] + " and more" * 1000, 1000)
    assert "Zq7" not in result


@pytest.mark.parametrize(
    "text",
    ["sk-" * 350_000, "eyJ" * 350_000, '{"key": "' * 110_000, "://" * 350_000, "a:" * 500_000, "password=" * 110_000,
     "-----BEGIN PRIVATE KEY-----" * 40_000, "\\" * 1_000_000, "=" * 1_000_000],
    ids=lambda text: str(text[:12]),
)  # fmt: skip
@pytest.mark.timeout(60)
def test_hostile_text_of_a_megabyte_is_no_trap(text: str) -> None:
    assert isinstance(clean_text(text, 2_000_000), str)


def test_what_json_does_not_know_costs_itself_alone() -> None:
    loop: List[Any] = []
    loop.append(loop)
    cleaned = clean({"lock": threading.Lock(), "loop": loop, "nan": float("nan"), "big": 2**80, 3: {1}}, LIMIT)
    assert cleaned == {
        "lock": "<unserialisable: lock>",
        "loop": ["<cycle>"],
        "nan": "nan",
        "big": hex(2**80),
        "3": [1],
    }


def test_depth_and_length_are_bounded() -> None:
    deep: Any = "end"
    for _ in range(1000):
        deep = [deep]
    assert b"<too deep>" in encode(clean(deep, LIMIT))
    long = clean(list(range(100_000)), LIMIT)
    assert isinstance(long, list)
    assert len(long) == 10_000 and long[-1] == "[90001 more]"
    assert clean(long, LIMIT) == long
    wide = encode(clean([[list(range(100))] * 100] * 1000, LIMIT))
    assert len(wide) < 1_000_000 and b" more]" in wide


def test_an_object_that_cannot_be_read_costs_itself_alone() -> None:
    class Unreadable:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    class BadKey:
        def __hash__(self) -> int:
            return 1

        def __repr__(self) -> str:
            raise RuntimeError

    assert clean({"a": Unreadable(), "b": 1}, LIMIT) == {"a": "<unserialisable: Unreadable>", "b": 1}
    assert clean({BadKey(): 1}, LIMIT) == {"<unserialisable: BadKey>": 1}


def test_nothing_is_awaited_or_consumed() -> None:
    async def answer() -> int:
        return 1

    coroutine = answer()
    numbers = (number for number in range(3))
    assert clean([coroutine, numbers], LIMIT) == ["<unserialisable: coroutine>", "<unserialisable: generator>"]
    assert list(numbers) == [0, 1, 2]
    coroutine.close()


class Model(pydantic.BaseModel):
    size: int = 1
    api_key: str = "plain word"
    secret: pydantic.SecretStr = pydantic.SecretStr("plain word")


def test_models_records_and_pythons_own_types_tell_what_they_hold() -> None:
    @dataclasses.dataclass
    class Entry:
        when: datetime.date
        password: str

    wrong = Model()
    wrong.__dict__["size"] = "a string"  # pydantic would warn of it on the user's screen
    pair = collections.namedtuple("pair", "left api_key")
    cleaned = clean(
        {
            "model": wrong,
            "entry": Entry(datetime.date(2026, 1, 2), "plain word"),
            "pair": pair(1, "plain word"),
            "deque": collections.deque([1]),
            "id": uuid.UUID(int=1),
            "took": datetime.timedelta(seconds=2),
            "path": pathlib.PurePosixPath("/a"),
            "type": int,
        },
        LIMIT,
    )
    assert cleaned == {
        "model": {"size": "a string", "api_key": "[redacted]", "secret": "[redacted]"},
        "entry": {"when": "2026-01-02", "password": "[redacted]"},
        "pair": {"left": 1, "api_key": "[redacted]"},
        "deque": [1],
        "id": "00000000-0000-0000-0000-000000000001",
        "took": 2.0,
        "path": "/a",
        "type": "<builtins.int>",
    }


def test_an_embedded_picture_larger_than_a_field_is_told_by_all_of_it() -> None:
    data = bytes(range(256)) * 400
    text = clean_text(f"see data:image/png;base64,{base64.b64encode(data).decode()} above", 5000)
    assert f"{len(data)} bytes" in text and text.endswith(" above")


def test_no_half_of_a_credential_appears_where_redaction_made_a_text_shorter() -> None:
    jwt = f"eyJhbGciOiJIUzI1NiJ9.eyJ{TAIL * 20}.{TAIL} "
    for shift in range(0, 1000, 97):
        assert "Zq7" not in clean_text("y" * shift + " " + jwt * 40, 10_000)


JSONLIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.sampled_from(SECRETS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(JSONLIKE)
@example({"api_key": 2**63 - 1})
@example({"api_key": -(2**63) - 1})
@example({"api_key": float("nan")})
def test_cleaning_is_idempotent_encodable_and_leaves_no_secret(value: object) -> None:
    once = clean(value, LIMIT)
    encoded = encode(once)
    assert TAIL.encode() not in encoded
    assert clean(once, LIMIT) == once


@given(st.dictionaries(st.sampled_from(["inputs", "outputs", "metadata"]), JSONLIKE), st.integers(3000, 6000))
def test_an_event_that_is_too_large_is_made_to_fit_and_keeps_its_ids(parts: Any, limit: int) -> None:
    event = {"event_id": "an id", "start_time": 1.0, **clean({**parts, "inputs": {"long": "word " * 4000}}, LIMIT)}  # type: ignore[dict-item]
    fitted = fit(event, limit)
    assert len(encode(fitted)) <= limit
    assert (fitted["event_id"], fitted["start_time"]) == ("an id", 1.0)


def test_the_quick_look_passes_over_nothing_that_the_rules_look_for() -> None:
    for prefix in (*credentials._VENDORS, *credentials._SHORT_VENDORS):
        assert prefix.encode().translate(None, credentials._HEX), "words of hexadecimal digits are passed over"
    for ending in credentials._ENDS_BEFORE_ASSIGNING:
        assert not ending[-1].isdigit(), "signs after a digit are passed over"


# ---- what was searched before


def test_a_credential_is_taken_out_however_often_it_is_said() -> None:
    said = {"content": "my key is sk-proj-abcdefgh12345678, and this is a text that was not said before"}
    first, *others = [clean(said, 1000) for _ in range(3)]
    assert "sk-proj" not in str(first) and "[redacted: api key]" in str(first)
    assert others == [first, first]


def test_texts_that_are_met_again_stay_known_and_others_are_forgotten() -> None:
    known = CleanTexts(max_chars=20_000)
    known.add(["a system prompt"])
    for number in range(1000):
        assert known.unsearched(["a system prompt"]) == []
        known.add([f"question {number}"])
    assert known.unsearched(["question 0", "question 999"]) == ["question 0"]


def test_what_is_known_takes_no_more_memory_than_it_may() -> None:
    known = CleanTexts(max_chars=20_000)
    texts = [f"{number} " + "x" * 1000 for number in range(100)]
    for text in texts:
        known.add([text])
    left = len(texts) - len(known.unsearched(texts))
    assert 5 <= left <= 20
