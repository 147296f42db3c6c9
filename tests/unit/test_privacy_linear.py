"""The search for credentials takes time in proportion to a text, whatever is in it."""

from __future__ import annotations

import json
import time
from typing import Dict

import pytest

from honeyhive_litellm._privacy.credentials import scrub

UNITS = [
    "password:", "password: '", 'password="', "password='", "password: |\n a\n", "a,password\n1,2\n", "|password|\n",
    "|a|password|\n|---|---|\n|x|y1z2|\n", "token=", 'token="', "api key: ", "\u5bc6\u7801\uff1a",
    "\u5bc6\u7801\uff1a\u5bc6\u7801\uff1a", "\u5bc6\u7801\uff1aabc1 ", "\u30d1\u30b9\u30ef\u30fc\u30c9\uff1a",
    "\u043f\u0430\u0440\u043e\u043b\u044c: ", "<key>password</key>", "<password>", "</password>", "<password>x1",
    "&lt;password&gt;", '"name": "api_key", "value": ', '"value": "x", "name": "api_key"', "['password', ",
    '["Authorization", "Bearer ', "cookie: a=b; ", "Cookie: a=b; c=d;", "Authorization: Digest a=b, ",
    "Authorization: Bearer ", "Authorization: ", "?key=1", "&key=1", "&sig=", "?key=", "--token abc123 ",
    "--password ", "--password=", "--", "-- ", "curl -u a:", "curl -u a:b ", "curl ", "curl -u ", "wget --user ",
    "://", "://a:", "://a:@", "://a@", "://a:b@c/", "://@", "a://b:c@d?x=1@", "https://a:b", "glpat-", "sk_live_",
    "sk-", "sk-a", "sk-proj-", "hh_1", "hh_", "SG.", "SG.a", "a.b-", "AKIA", "AKIAIOSFODNN7EXAMPLE ",
    "AKIAIOSFODNN7EXAMPLEaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ", "npm_aaaaaaaaaaaaaaaa", "npm_",
    "MMMMMMMMMMMMMMMMMMMMMMMMM.", "MMMMMMMMMMMMMMMMMMMMMMMMM", "MMMMMMMMMMMMMMMMMMMMMMMM.abcdef.", "LS0tLS1CRUdJTiB",
    "eyJ", "eyJrIjoi", "eyJhbGci.", "ZXlK", "data:\n  a: b\n kind: Secret", "kind: Secret\ndata:\n a: b\n", "data:\n",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n", "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nProc-Type: 4\n", "-----BEGIN ", "Private-Lines: 1\n",
    "Private-Lines: 1\nAAAA1111bbbbCCCC\n", ";base64,", "data:;base64,", "data:image/png;base64,aaaa", 'data:","',
    "Bearer ", "bearer a", "Basic aaaaaaaa", "Basic dXNlcjpwYXNzd29yZA== ", ":AA", "1234567:AA", "Q~", "abc8Q~",
    "/api/webhooks/", "hooks.slack.com/", "hooks.slack.com/services/", "softlayer.com/soap/", "_gitlab_session=",
    "earer ", "login ", "machine a login b ", "machine ", "machine a login b password ",
    "default login a password b1c2 ", '\\', '\\\\"', '\\"password\\":', '\\"password\\": \\"', "\\n", "\\u0040", '"',
    "'", "`", '"\'`', "\u201c", "\u201cpassword: ", "=", "==", ":=", "::", "=>", ":", ",", ";", "|", "\t", "\n", "<",
    "}", "{", "[", "(", "{[(", "a:", "a=", "a,", "a|", "password=a&", "password=a;", "password=a,", "password=(",
    "password=[", "password=<", "password='\\''", 'password="\\""', "key=Abc123Def456 ", "DEPLOY_KEY: ", "my_token=",
    "my_token: a1b2c3d4e5f6 ", "secret", "secret_", "secret.", "pass", "pass word: ", "password ", "password\n",
    "Password\nabc12def\n", "Password:\nabc12def\n", "Password:\n\n",
    "users:\n- name: a\n  user:\n    token: a1b2c3d4e5\n", "client-key-data: aaaa\n", "  password: >\n    ",
    "password: |\n", "password: |\n  a1\n  b2\n", "- name: A_TOKEN\n  value: a1b2c3d4\n", "name: A_TOKEN\n",
    "value: ", "value=", 'value": "', "key: password value: ", "sessionid=", "session_id=", "JSESSIONID=", "pwd=/a",
    "pwd=", "**Password:** ", "**Token:** x", "_password_: ", "password]]]]", "password''''", "password    ",
    "password ! ? ", "a b password: ", "a-b.c password: ", "@", "a@", "@a:b", "${PASSWORD}", "{{password}}: ",
    "$password = ", "password := ", "password => ", "password:: ", "password == ", "password ===", "password !=",
    "password=password", "token:token", "password:password:", "passwordpassword", "Authorization: Basic ", "\r\n",
    "\u2028", "é", "é:", "\u5bc6", "\uff1a", "\uff1d", "\u5bc6\uff1a", "\uff20",
    "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44", "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44\uff1d",
    "password\uff1d", "password\uff1aa1b2c3 ", "eyJhbGciOi.eyJhbGciOi.", "aaaaaaaaaaaaaaa ", "AAAAAAAAAAAAAAA ",
    "a1B2a1B2a1B2a1B2a1B2 ", "a1B2a1B2a1B2a1B2a1B2_", "a_", "a-", "_", "-", "/", "+", "$", "~", ".", "%", "%2F",
    "%40", "a%20", "x-", "xoxb-", "xoxb-1", "ghp_", "ghp_a1", "pk.eyJ", "dp.", "dp.pt.",
    "s.aaaaaaaaaaaaaaaaaaaaaaaa ", "pat.", "key-", "A3-", "1//0", "ya29.", "AIza", "access_token$production$", "us1-",
    "-us12", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-us1", "mmk", "_mmk", "aaaaaa_b1b1b1b1b1b1b1b1b1b1b1b1b1b1b_mmk ",
    "SKaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "api-", "-----", "----- BEGIN", "PRIVATE KEY",
    "access key id,secret access key\n", "a,b,c,d,e,f,password\n", "password,password,password,\n",
    "id;token\n1;a1b2c3d4e5f6g7h8\n", '("', '["password", "', "curl -H 'X-Key: ", "Set-Cookie: a=", "Signature a=b,",
]  # fmt: skip
"""What a text repeats: names, signs, quotes, beginnings of keys, of tables and of blocks."""


def _frames(chars: int) -> Dict[str, str]:
    """Texts of some `chars` characters that are long in another way."""
    nested = "password: a1b2c3"
    while len(nested) < min(chars, 2000):
        nested = json.dumps({"password": nested, "note": "x" * 100})
    return {
        "a long value": "password=" + "a1" * (chars // 2),
        "a quote that nothing closes": "password='" + "x" * chars,
        "quotes that nothing closes": ("password='" + "x" * 30 + "\n") * (chars // 41),
        "quotes within quotes": 'password: " a"b ' * (chars // 16),
        "a row of quotes": "password" + "\"'" * (chars // 2),
        "a block of YAML": "password: |\n" + "  a1b2\n" * (chars // 7),
        "a wide table": ",".join(["password"] * 180) + "\n" + (",".join(["a1b2c3"] * 180) + "\n") * (chars // 1260),
        "a long table": "a,password,b\n" + "x,y1z2w3,b\n" * (chars // 11),
        "a table of Markdown": "| a | password |\n" + "| x | y1z2w3 |\n" * (chars // 15),
        "heads of tables": "a,password,b\n" * (chars // 13),
        "a long key": "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQMIIEvQIBADANBgkq\n" * (chars // 43),
        "line breaks in a key": "-----BEGIN PRIVATE KEY-----" + "\\n" * (chars // 2),
        "headers in a key": "-----BEGIN PRIVATE KEY-----\n" + "Proc-Type: 4,ENCRYPTED\n" * (chars // 23),
        "a manifest": "kind: Secret\ndata:\n" + "  a: YWJjZGVm\n" * (chars // 14),
        "blank lines in a manifest": "kind: Secret\ndata:\n" + " " * 16 + "a" + "\n" * chars,
        "kubeconfigs": ("users:\n- name: a\n  user:\n    client-key-data: " + "LS0t" * 30 + "\n") * (chars // 160),
        "JSON within JSON": (nested + "\n") * max(chars // len(nested), 1),
        "backslashes": ("\\" * 15 + '"') * (chars // 16),
        "one URL": "https://a:" + "b@c." * (chars // 4),
        "URLs": ("https://a:" + "b@" * 190 + " ") * (chars // 391),
        "options of a command": "curl " + "-H a " * (chars // 5),
        "a command over lines": "mysql \\\n" * (chars // 8) + " -p",
        "words behind blanks": "password " + "a " * (chars // 2),
        "an id and secrets": "AKIAIOSFODNN7EXAMPLE " + ("a" * 39 + "Z ") * (chars // 41),
        "a long word": "aB1" * (chars // 3),
        "parts of a word": "ab_cd1_EF_" * (chars // 10),
        "keys in keys": "glpat-" + "a" * 10 + ("-glpat-" + "b" * 10) * (chars // 17),
        "dots of a token": "eyJaaaa." * (chars // 8),
        "an address of data": "data:" + "a" * 300 + ";base64," + "b" * chars,
        "long names": ("a" * 70 + "password=") * (chars // 79),
        "decorated names": ("password" + "*" * 60 + "=") * (chars // 69),
        "names of elements": ("<key>password</key>" + " " * 32 + "<string>") * (chars // 59),
        "tags": ("<secret>" + "a" * 500 + "\n") * (chars // 509),
        "attributes": '<a name="password" b="' * (chars // 22),
    }


def _seconds(text: str) -> float:
    start = time.thread_time()
    scrub(text)
    return time.thread_time() - start


def _check(name: str, short: str, long: str) -> None:
    """The long text, eight times the short one, takes at most three times as long for each character."""
    most = 8 * 3 * min(_seconds(short), _seconds(short)) + 0.02
    assert _seconds(long) < most or _seconds(long) < most, name


@pytest.mark.timeout(60)
def test_a_repeated_text_takes_time_in_proportion_to_its_length() -> None:
    for unit in UNITS:
        _check(unit, unit * (500 // len(unit)), unit * (4000 // len(unit)))


@pytest.mark.timeout(60)
def test_a_long_text_takes_time_in_proportion_to_its_length() -> None:
    for (name, short), long in zip(_frames(2000).items(), _frames(16_000).values()):
        _check(name, short, long)
    assert len(UNITS) + len(_frames(2000)) >= 116
