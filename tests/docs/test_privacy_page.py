"""The page on privacy lists every vendor whose keys are found, and each name on it is one that is redacted."""

from __future__ import annotations

from pathlib import Path

from honeyhive_litellm._privacy.secret_names import name_kind
from honeyhive_litellm._privacy.vendor_keys import KEYS

PAGE = (Path(__file__).parents[2] / "docs/explanation/privacy.md").read_text(encoding="utf-8")


def test_every_vendors_prefix_is_on_the_page() -> None:
    rows = {line.split("|")[1].strip(): line for line in PAGE.splitlines() if line.startswith("| ")}
    for key in KEYS:
        assert all(f"`{prefix}`" in rows[key.vendor] for prefix in key.prefixes.split()), key.vendor


def test_the_names_on_the_page_are_credentials_and_the_others_are_none() -> None:
    for name in ("password", "pwd", "DB_PASS", "Passwort", "contraseña", "mot de passe", "пароль", "密码", "パスワード",
                 "api_key", "secret", "client_secret", "cookie", "dsn", "sessionid", "DEPLOY_KEY",
                 "GITHUB_PAT",
    ):  # fmt: skip
        assert name_kind(name) is not None, name
    for name in ("max_tokens", "key_alias", "user_api_key_hash", "eos_token", "decoded_token", "session_id"):
        assert name_kind(name) is None, name
