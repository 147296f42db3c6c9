"""The commands on an encrypted spool: with its key, from a variable or a file, and without."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any, Dict, List

import pytest

from honeyhive_litellm._cli.folder_metrics import FolderReader
from honeyhive_litellm._cli.serve import _read_spool
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher, id_of, key_of, new_key
from honeyhive_litellm._spool.record import EVENT, Record
from honeyhive_litellm.testing import Collector
from tests.spools import spool_in
from tests.support.commands import Ran, run_command

KEY, OTHER_KEY = new_key(), new_key()
SESSION = str(uuid.UUID(int=7))
ID = id_of(key_of(KEY) or b"").hex()
CIPHER = Cipher([key_of(KEY) or b""])


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collector: Collector) -> Path:
    """An encrypted spool that a dead process left: two events, of which the first is a dead letter, and a plain one."""
    variables = {"API_KEY": "hh_key", "PROJECT": "tests", "API_URL": collector.url, "LOOKUP_DELAY": "0"}
    folder = tmp_path / "spool"
    for name, value in {**variables, "SPOOL_PATH": str(folder)}.items():
        monkeypatch.setenv(f"HONEYHIVE_{name}", value)

    async def leave() -> None:
        encrypted, plain = spool_in(folder, cipher=CIPHER), spool_in(folder)
        await encrypted.append([event(1)])
        batch = await encrypted.next_batch()
        assert batch is not None
        assert await encrypted.add_dead_letter(batch, 400, "no inputs")
        await encrypted.append([event(2)])
        await encrypted.close()
        await plain.append([event(3)])
        await plain.close()

    asyncio.run(leave())
    return folder


def event(number: int) -> Record:
    id_ = str(uuid.UUID(int=number))
    body = {"event_id": id_, "event_type": "model", "event_name": "e", "inputs": {"n": number}, "session_id": SESSION}
    return Record(EVENT, id_, 1.0, f"{SESSION} the session", json.dumps(body).encode())


def run(*arguments: str) -> Ran:
    result = run_command(*arguments)
    assert KEY not in result.output and OTHER_KEY not in result.output
    return result


def letters() -> List[Dict[str, Any]]:
    found: List[Dict[str, Any]] = json.loads(run("dead", "list", "--json").stdout)["letters"]
    return found


@pytest.mark.parametrize("keys", [None, OTHER_KEY], ids=["no key", "another key"])
def test_without_the_key_every_command_says_so_and_leaves_what_is_locked(
    spool: Path, keys: Any, monkeypatch: pytest.MonkeyPatch, collector: Collector
) -> None:
    if keys is not None:
        monkeypatch.setenv("HONEYHIVE_SPOOL_KEY", keys)
    id_ = event(1).id
    drained = run("drain", "--json")
    numbers = json.loads(drained.stdout)
    assert (drained.exit_code, numbers["delivered"], numbers["locked"]) == (3, 1, 1)
    drained = run("drain")
    assert drained.stdout == "delivered 0, dead letters 0, dropped 0, left 0, locked 1\n"
    assert "locked: 1 event, with those of interrupted calls, encrypted with a key that neither" in drained.stderr
    status = run("status")
    assert (
        status.exit_code == 3 and f"1 event and 1 dead letter encrypted with a missing key (id {ID})" in status.output
    )
    found = json.loads(run("status", "--json").stdout)
    assert (found["locked"], found["locked_letters"], found["pending"], found["adds_up"]) == (1, 1, 1, True)
    assert "encrypted with a missing key" in run("status", "--check").output
    checks = {one["check"]: one for one in json.loads(run("doctor", "--json").stdout)["findings"]}
    assert checks["spool.locked"]["level"] == "problem" and "HONEYHIVE_SPOOL_KEY" in checks["spool.locked"]["remedy"]
    (letter,) = letters()
    assert (letter["id"], letter["reason"], letter["locked"]) == (id_, "", True)
    assert "(encrypted, and its key is not here)" in run("dead", "list").output
    shown = run("dead", "show", id_)
    assert shown.exit_code == 1 and ID in shown.output
    retried = run("dead", "retry", "--all")
    assert retried.exit_code == 3 and "not tried 1" in retried.output and "1 are left alone" in retried.output
    purged = run("dead", "purge", "--all")
    assert "purged 0" in purged.output and "1 are left alone" in purged.output
    assert [letter["id"] for letter in letters()] == [id_]
    reading = FolderReader(spool, 1, lambda: False, NO_CIPHER).read()
    assert (reading.locked, reading.pending) == (1, 1)
    view = _read_spool(spool, NO_CIPHER)
    assert (view.locked, view.letters[0].reason) == (1, "(encrypted, and its key is not here)")
    assert [each["inputs"]["n"] for each in collector.events] == [3]
    assert "purged 1" in run("dead", "purge", id_).output


@pytest.mark.parametrize("place", ["variable", "file"])
def test_with_the_key_the_commands_are_as_on_a_plain_spool(
    spool: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collector: Collector
) -> None:
    if place == "file":
        (tmp_path / "keys").write_text(f"{OTHER_KEY}\n{KEY}\n")
        monkeypatch.setenv("HONEYHIVE_SPOOL_KEY_FILE", str(tmp_path / "keys"))
    else:
        monkeypatch.setenv("HONEYHIVE_SPOOL_KEY", f"{OTHER_KEY},{KEY}")
    id_ = event(1).id
    assert run("status").exit_code == 0
    checks = {one["check"]: one for one in json.loads(run("doctor", "--json").stdout)["findings"]}
    assert "spool.locked" not in checks
    assert id_of(key_of(OTHER_KEY) or b"").hex() in checks["spool.encryption"]["text"]
    (letter,) = letters()
    assert (letter["reason"], letter["locked"]) == ("no inputs", False)
    assert json.loads(run("dead", "show", id_, "--json").stdout)["event"]["inputs"] == {"n": 1}
    assert _read_spool(spool, CIPHER).letters[0].reason == "no inputs"
    collector.poison(id_, status=422)
    refused = run("dead", "retry", "--all")
    assert refused.output == "accepted 0, refused again 1, not tried 0\n"
    assert "scripted failure 422" in letters()[0]["reason"]
    assert b"scripted failure" not in (spool / "dead.db").read_bytes()
    collector.clear()
    assert run("dead", "retry", "--all").output == "accepted 1, refused again 0, not tried 0\n"
    assert run("drain").output == "delivered 2, dead letters 0, dropped 0, left 0\n"
    assert sorted(each["inputs"]["n"] for each in collector.events) == [1, 2, 3]
    assert {each["session_name"] for each in collector.sessions} == {"the session"}
    assert (collector.orphans, letters()) == ([], [])


def test_a_wrong_key_is_refused_by_every_command_without_being_shown(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HONEYHIVE_SPOOL_KEY", KEY[:-4])
    for arguments in (("status",), ("drain",), ("dead", "list"), ("dead", "purge", "--all")):
        result = run(*arguments)
        assert result.exit_code == 2, arguments
        assert "HONEYHIVE_SPOOL_KEY" in result.output and KEY[:-4] not in result.output
    shown = run("config", "show")
    assert shown.exit_code == 2 and KEY[:-4] not in shown.output
    checked = run("doctor")
    assert "settings.spool_key" in run("doctor", "--json").output and KEY[:-4] not in checked.output


def test_config_show_masks_the_keys(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONEYHIVE_SPOOL_KEY", f"{KEY},{OTHER_KEY}")
    for arguments in ((), ("--json",)):
        shown = run("config", "show", *arguments)
        assert shown.exit_code == 0
        assert all(id_of(key_of(key) or b"").hex() in shown.output for key in (KEY, OTHER_KEY))


def test_key_new_prints_a_key_that_the_option_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = [run("key", "new").output.strip() for _ in range(2)]
    assert printed[0] != printed[1]
    assert all(key_of(key) for key in printed)
