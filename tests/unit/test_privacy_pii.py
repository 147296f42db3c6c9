"""Personal data by name: what is found, what is left alone, and that no text makes the search slow."""

from __future__ import annotations

import importlib
import json
import re
import sys
from typing import Any, Dict, List, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm._privacy import pii
from honeyhive_litellm._privacy.pii import CREDENTIALS, NAMES, kind, named, without
from honeyhive_litellm._privacy.pii_forms import is_card, is_iban

KINDS = [name for name in NAMES if name not in CREDENTIALS]

FOUND: Dict[str, List[str]] = {
    "email": [
        "joe@example.com", "a.b+c@sub.example.co.uk", "josé@bücher.de", "joe%40example.com", "<joe@x.io>",
        "mailto:joe@x.io?", r"\njoe@x.io", "joe\uff20x.io", r"joe\u0040x.io", r"joe\\u0040x.io", "joe&#64;x.io",
        r"CORP\joe@x.io", "o_neil-2@x-y.museum",
    ],
    "card": [
        "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "3782 822463 10005",
        "5555555555554444", "2223003122003222", "6011111111111117", "30569309025904", "3056 930902 5904",
        "3530111333300000", "6304000000000000", "4111.1111.1111.1111", "4111\u00a01111\u00a01111\u00a01111",
        r"\n4111111111111111", "4111%201111%201111%201111", "4111+1111+1111+1111", "4222222222222",
        "4111\t1111\t1111\t1111", "4111\n1111\n1111\n1111", "4111_1111_1111_1111", "4111\u20091111\u20091111\u20091111",
        "4111111111111111".translate({48 + digit: 0xFF10 + digit for digit in range(10)}),
    ],
    "iban": [
        "DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "GB82 WEST 1234 5698 7654 32",
        "fr1420041010050500013m02606", "NO9386011117947", "MT84MALT011000012345MTLCAST001S", r"\tNO9386011117947",
        "LC55HEMM000100010012001200023015", "CH93-0076-2011-6238-5295-7", "BR1800360305000010009795493C1",
    ],
    "ssn": ["078-05-1120", "078 05 1120", "SSN: 078051120", "social security number is 078051120", "SSN 078-05-1120"],
    "ip": [
        "192.168.1.17", "8.8.8.8", "255.255.255.255", "2001:db8::1", "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        "fe80::1ff:fe23:4567:890a", "::ffff:192.0.2.128", "http://10.0.0.5/", "[2001:db8::1]", "10.0.0.5.",
        "2001:db8::1: refused", "2001:db8::/32", r"\n10.0.0.5",
    ],
    "phone": [
        "+1 415 555 0132", "+14155550132", "(415) 555-0132", "415-555-0132", "415.555.0132", "1-800-555-0199",
        "+49 (0)151 2345678", "0049 151 23456789", "030 12345678", "06 12 34 56 78", "06.12.34.56.78", "020 7946 0958",
        "07911 123456", "+44 20 7946 0958", "phone: 4155550132", "Tel. 4155550132", "my phone number is 4155550132",
        r"\n+49 30 123456", "%2B4930123456", "homePhone=4155550132",
        "+49\u200930\u2009123456", "(11) 91234-5678", "11 91234-5678", "+55 (11) 91234-5678", "8 (495) 123-45-67",
        "8-800-555-35-35", "+7 495 123-45-67", "Handy: 1512345678", "Telefon: 4155550132", "celular: 11912345678",
        "\u0422\u0435\u043b.: 4951234567", "\u624b\u673a\uff1a13812345678", "t\u00e9l : 612345678",
    ],
}  # fmt: skip

LEFT_ALONE = [
    "2024-01-02 10:11:12.123456", "2024-01-02T10:11:12+00:00", "01.02.2023 12:30", "1700000000", "1700000000000",
    "chatcmpl-123e4567-e89b-12d3-a456-426614174000", "v1.2.3", "0.123456789012345", "3.14159265358979",
    "a::b std::vector [::2] 12:30:45 ::1", "litellm@1.80.0 user@host @decorator", "hotel: 1234567", "tell 1234567",
    "4111111111111112", "GB82 WEST 1234 5698 7654 33", "aa:bb:cc:dd:ee:ff", "https://x.com/a/0123/b", "666-12-3456",
    "900-12-3456", "000-12-3456", "1,234,567.89", "41111111111111111111111", "300.300.300.300", "1.2.3",
    "4.1111111111111111", "1 2 3 4 5 6 7 8 9 10 11 12 13 14", "token counts: 1024, 2048, 4096",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "file@2x.png", "git@github.com:a/b", "Chrome/120.0.0.0",
    "001 002 003 004", "100 200 300 4000", "1.3.6.1", "OID 2.5.29.15",
    "version 1.2.3.4", "pkg@1.2.3.tgz", "Edg/120.0.2210.91 Safari/537.36",
]  # fmt: skip

PLACES = ["{}", "call {} now", '"{}"', "({})", "first\n{}\nlast", "{}, {}", "<{}>"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FOUND.items() for text in texts])
def test_each_form_is_found_wherever_it_stands(name: str, text: str, place: str) -> None:
    for names in ((name,), NAMES):
        redacted = without(place.replace("{}", text), names)
        assert redacted.count(f"[redacted: {name}]") == place.count("{}")
        assert re.search(r"[0-9]{4}|@|%40|([0-9].?){7}", redacted) is None


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_only_looks_alike_is_left_alone(text: str) -> None:
    assert without(text, NAMES) == text
    assert without(f"see {text} there", NAMES) == f"see {text} there"


def test_the_text_before_and_after_stays() -> None:
    text = "12 4111 1111 1111 1111 123, DE89 3704 0044 0532 0130 00 BIC at joe@x.io; "
    assert without(text * 2, NAMES) == ("12 [redacted: card] 123, [redacted: iban] BIC at [redacted: email]; " * 2)
    assert without("http://10.0.0.5:8000/v1", ["ip"]) == "http://[redacted: ip]:8000/v1"
    assert without("joe@x.io +49 30 123456", ["phone"]) == "joe@x.io [redacted: phone]"


def test_a_number_is_judged_by_its_name_and_by_its_digits() -> None:
    value = {"phone": 4155550132, "ssn": "078051120", "card": 4111111111111111, "created": 1700000000, "n": 5, "x": 1.5}
    assert without(value, NAMES) == {
        **value,
        "phone": "[redacted: phone]",
        "ssn": "[redacted: ssn]",
        "card": "[redacted: card]",
    }
    assert without({"joe@x.io": [None, True, 4111111111111111]}, NAMES) == {
        "[redacted: email]": [None, True, "[redacted: card]"]
    }


@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_in_a_string_stays_json(ascii_only: bool) -> None:
    inner = {"phone": 4155550132, "text": 'a\n"joe@x.io"\té+49 30 123456', "cards": [4111111111111111], "é@x.io": 1}
    text = json.dumps({"arguments": json.dumps(inner, ensure_ascii=ascii_only)}, ensure_ascii=ascii_only)
    redacted = json.loads(json.loads(without(text, NAMES))["arguments"])
    assert redacted == {
        "phone": "[redacted: phone]",
        "text": 'a\n"[redacted: email]"\té[redacted: phone]',
        "cards": ["[redacted: card]"],
        "[redacted: email]": 1,
    }
    assert json.loads(without(r'{"to": "joe\u0040x.io"}', ["email"])) == {"to": "[redacted: email]"}
    assert without('{"cut": "by\\nthe limit joe@x.io", "an', ["email"]).endswith('limit [redacted: email]", "an')
    assert without("[" * 100_000 + "joe@x.io", ["email"]).endswith("[redacted: email]")


def test_what_holds_nothing_comes_back_as_it_is() -> None:
    value = {"a": ["text", {"b": '{"c": "d\\n"}'}], "n": 5}
    assert without(value, NAMES) is value
    dirty = {"a": ["joe@x.io"]}
    assert without(dirty, ["email"]) == {"a": ["[redacted: email]"]}
    assert dirty == {"a": ["joe@x.io"]}
    assert without(dirty, ["ip", "jwt"]) is dirty


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_a_spelling_of_itself(name: str) -> None:
    assert named(name) == (name,)


def test_names_may_be_spelled_in_several_ways() -> None:
    assert named("E-Mail") == named("email address") == named("EMAIL") == ("email",)
    assert named("credit_card") == named("Cards") == ("card",)
    assert named("US SSN") == ("ssn",)
    assert named("all") == NAMES
    assert set(named("PII")) == set(KINDS)
    assert named("") == named("everything") == ()


def luhn(digits: str) -> str:
    return next(digits + str(last) for last in range(10) if is_card(digits + str(last)))


@given(st.sampled_from(["4", "51", "34", "6011"]), st.text("0123456789", min_size=14, max_size=14))
def test_a_cards_check_digit_is_the_only_right_one(start: str, rest: str) -> None:
    digits = (start + rest)[:15]
    card = luhn(digits)
    assert [digits + str(last) for last in range(10) if is_card(digits + str(last))] == [card]
    for text in (card, " ".join(card[n : n + 4] for n in range(0, 16, 4))):
        assert without(f"pay {text}.", ["card"]) == "pay [redacted: card]."


@given(st.sampled_from(["DE", "GB", "NO"]), st.text("0123456789", min_size=18, max_size=18))
def test_an_ibans_check_digits_are_nearly_the_only_right_ones(country: str, rest: str) -> None:
    length = {"DE": 18, "GB": 18, "NO": 11}[country]
    right = [
        f"{country}{check:02}{rest[:length]}"
        for check in range(2, 99)
        if is_iban(f"{country}{check:02}{rest[:length]}")
    ]
    assert len(right) == 1
    assert without(f"to {right[0]}.", ["iban"]) == "to [redacted: iban]."


# ---- how long it takes, in steps


HOSTILE = [
    "a", "a.", "a@", "a@b.", "a@b.c", "@", "%40", "a%40", "1", "1 ", "12 ", "1234 ", "1-", "+1", "+1 ", "0", "01 ",
    "00", "(415) ", "DE89", "DE89 ", "de", "a:", ":", "::", "1:", "1.", "1.1.", r"\n", r"\n1", r"\u0041", "%41", "%20",
    "phone", "phone ", "phone: 1", "ssn ", "[", '{"a":', "4111 ", "4111111111111111 ", "078-05-", "(", "+", "-",
    "é", " ",
]  # fmt: skip


def parsed(pattern: str) -> Any:
    name = "re._parser" if sys.version_info >= (3, 11) else "sre_parse"
    return importlib.import_module(name).parse(pattern)


def unbounded(tree: Any) -> List[Any]:
    """What repeats without a bound, anywhere in a parsed pattern."""
    found = []
    for operation, argument in tree:
        parts: Sequence[Any] = argument if isinstance(argument, (list, tuple)) else [argument]
        if str(operation) in ("MAX_REPEAT", "MIN_REPEAT"):
            if str(argument[1]) == "MAXREPEAT":
                found.append(argument[2])
            parts = [argument[2]]
        for part in parts:
            for inner in part if isinstance(part, list) else [part]:
                if hasattr(inner, "getwidth"):
                    found += unbounded(inner)
    return found


@pytest.mark.parametrize("name", KINDS)
def test_only_the_addresses_patterns_repeat_without_a_bound_and_never_what_can_split_in_two_ways(name: str) -> None:
    one = kind(name)
    labelled = [one.labelled] if one.labelled is not None else []
    for pattern in [*one.patterns, *labelled]:
        repeated = unbounded(parsed(pattern.pattern))
        assert len(repeated) == (4 if name == "email" else 0)
        # A repetition in a repetition ends in a character that the inner one cannot match: the dot of "(?:[\w-]+\.)+".
        nested = [tree for tree in repeated if unbounded(tree)]
        assert [str(tree[-1]) for tree in nested] == ["(LITERAL, 46)"] * len(nested)


class Counted:
    """A pattern that counts how many characters its searches have gone over."""

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern
        self.searches = 0

    def search(self, text: str, at: int = 0) -> Any:
        self.searches += 1
        return self._pattern.search(text, at)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.timeout(60)
def test_hostile_text_is_searched_once_for_each_candidate(name: str, unit: str) -> None:
    """Each search begins behind the last candidate, so that there are no more of them than characters."""
    one = kind(name)
    for size in (1000, 200_000):
        text = unit * (size // len(unit))
        for pattern in one.patterns:
            counted: Any = Counted(pattern)
            pii._replaced(text, counted, one)
            assert counted.searches <= len(text) + 1
