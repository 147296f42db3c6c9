"""Credentials in text: what is found in every place, and what is left alone."""

from __future__ import annotations

import base64
import json
from typing import Callable, List

import pytest

from honeyhive_litellm._json import encode
from honeyhive_litellm._privacy.credentials import scrub
from honeyhive_litellm._privacy.sanitize import clean, clean_text

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


@pytest.mark.parametrize(
    "text",
    ["sk-" * 350_000, "eyJ" * 350_000, '{"key": "' * 110_000, "://" * 350_000, "a:" * 500_000, "password=" * 110_000,
     "-----BEGIN PRIVATE KEY-----" * 40_000, "\\" * 1_000_000, "=" * 1_000_000,
     "kind: Secret\ndata:\n  a: b\n" + " " * 100_000],
    ids=lambda text: str(text[:12]),
)  # fmt: skip
@pytest.mark.timeout(60)
def test_hostile_text_of_a_megabyte_is_no_trap(text: str) -> None:
    assert isinstance(clean_text(text, 2_000_000), str)


@pytest.mark.parametrize("word", ["JavaScript", "aaaaaaaaa", "dXNlcjpwYXNzd29yZA"])
def test_basic_is_redacted_before_a_user_and_password_only(word: str) -> None:
    is_pair = word.startswith("dXNl")
    assert (
        clean_text(f"Use Basic {word} here", LIMIT) == f"Use Basic {'[redacted: basic auth]' if is_pair else word} here"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("machine api.x.com login joe password hunter22secret", "hunter22secret"),
        ("machine api.x.com\n  login joe\n  account q\n  password s3cr3t!x\nmachine b login c", "s3cr3t!x"),
        ("default login anonymous password user@site1", "user@site1"),
        ("Password:\nhunter22secret\n", "hunter22secret"),
        ("**Password:**\r\n  hunter22\r\nbye", "hunter22"),
        ("API key:\nAbc123Def456Ghi789", "Abc123Def456Ghi789"),
        ("Username\njoe\nPassword\nhunt3r-22-secret\n", "hunt3r-22-secret"),
    ],
)
def test_a_value_without_a_sign_before_it_in_its_line_is_found(text: str, value: str) -> None:
    assert scrub(text) == text.replace(value, "[redacted]")


@pytest.mark.parametrize(
    "text",
    [
        "the machine x login and the password is lost", "machine x login y password <your password>",
        "passwords:\n  user12:\n    x: 1", "password:\n  - a1b2c3 x", "Password:\nThe 8 characters\n",
        "password\naddress1\naddress2\ntoken\nsha256\n", "if password:\n    check2(x)\n", "Forgot password\nStep2now\n",
        "class A:\n    def check_password():\n        return2\n", "columns: id, name, password\nvalue12x\n",
        "Token:\nprompt_tokens2", "secret:\n  key1: v", "password:\n  $ref1",
    ],
)  # fmt: skip
def test_a_line_below_a_name_that_is_no_clear_value_stays(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<b>password</b>: hunter2Hunter", "<b>password</b>: [redacted]"),
        ("<code>db_password</code> = hunter2Hunter", "<code>db_password</code> = [redacted]"),
        ("the <b>password</b> is here: yes", "the <b>password</b> is here: yes"),
        ("token: 'correct horse battery staple here'", "token: 'correct horse battery staple here'"),
        ("<b>Password</b>: correct horse", "<b>Password</b>: correct horse"),
        ("csk-configurationManagerFactory", "csk-configurationManagerFactory"),
        ("password: |\n  hunter2Hunter\n", "password: |\n  [redacted]\n"),
        ("OLDPWD=/srv/app", "OLDPWD=/srv/app"),
        ("name,password\nme,[redacted]\nyou,hunter2Hunter\n", "name,password\nme,[redacted]\nyou,[redacted]\n"),
        (f"name,api key\nme,[redacted]{TAIL}\n", "name,api key\nme,[redacted]\n"),
        ('pwd="/srv/app"', 'pwd="/srv/app"'),
        ('pwd="hunter2/Hunter"', 'pwd="[redacted]"'),
        ("password = 'correct horse battery staple here'", "password = '[redacted]'"),
        (rf'{{\"password\": \"{TAIL}" and more', r'{\"password\": \"[redacted]" and more'),
        (f"private_key: |\n  {TAIL}\n  {TAIL}", "private_key: |\n  [redacted]"),
        (f"private_key: |\n  {TAIL}\nnext: 1", "private_key: |\n  [redacted]\nnext: 1"),
        (f"password{' ' * 70}= hunter2Hunter", f"password{' ' * 70}= hunter2Hunter"),  # too far to be its own
        ("password: {'length': 8}", "password: {'length': 8}"),
        ("user,password\njoe,hunter2Hunter", "user,password\njoe,[redacted]"),
    ],
)
def test_the_value_alone_is_replaced(text: str, expected: str) -> None:
    assert scrub(text) == expected
