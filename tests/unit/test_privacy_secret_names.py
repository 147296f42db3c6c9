"""The one list of names that credentials go by, and the three places that read it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import List

import pytest

import honeyhive_litellm
from honeyhive_litellm import Settings
from honeyhive_litellm._mapping.mapper import map_request
from honeyhive_litellm._mapping.reading import without_credentials
from honeyhive_litellm._privacy import secret_names
from honeyhive_litellm._privacy.sanitize import clean

LISTED = sorted({*secret_names._ENDINGS, *secret_names._WHOLE} - {"token"})
VALUE = "Zq7Zq7Zq7Zq7Zq7Zq7"


@pytest.mark.parametrize("name", [*LISTED, "api_key", "X-Api-Key", "clientSecret", "session_token"])
def test_a_listed_name_is_secret_in_a_dictionary_a_header_and_a_request(name: str, tmp_path: Path) -> None:
    settings = Settings(api_key="k", project="p", spool_path=tmp_path, capture_raw_request=True)
    call_details = {
        "optional_params": {name: VALUE, "temperature": 1},
        "additional_args": {"complete_input_dict": {name: VALUE, "n": 1}, "headers": {name: VALUE, "accept": "*/*"}},
    }
    request = map_request(call_details, settings)

    assert clean({name: VALUE}, 1000) == {name: "[redacted]"}
    assert without_credentials({name: VALUE, "accept": "*/*"}) == {"accept": "*/*"}
    assert VALUE not in repr(request)
    assert request.config["temperature"] == 1
    assert request.metadata["raw_request"] == {"headers": {"accept": "*/*"}, "body": {"n": 1}}


def test_no_other_module_lists_names_of_credentials() -> None:
    package = Path(honeyhive_litellm.__file__).parent
    lists: List[str] = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
                words = {item.value for item in node.elts if isinstance(item, ast.Constant)}
                if len(words & {"password", "passwd", "api_key", "apikey", "authorization", "secret"}) > 1:
                    lists.append(path.relative_to(package).as_posix())
    assert sorted(set(lists)) == ["_privacy/secret_names.py"]


@pytest.mark.parametrize(
    "name",
    ["prompt_tokens", "max_tokens", "completion_tokens", "token_ids", "cached_tokens", "tokens", "reasoning_tokens",
     "key_alias", "virtual_key_hash", "user_api_key_hash", "author", "api_key_alias"],
)  # fmt: skip
def test_names_of_counts_hashes_and_aliases_are_no_credentials(name: str) -> None:
    assert not secret_names.is_secret_name(name)
    assert clean({name: "value"}, 1000) == {name: "value"}
