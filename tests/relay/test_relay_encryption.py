"""Encryption through a real broker: nothing on its disks shows content, and only a relay with the key reads it."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, Set

import pytest
from click.testing import CliRunner

from honeyhive_litellm import _log
from honeyhive_litellm._broker.message import encrypted, headers_of
from honeyhive_litellm._broker.names import subject_of
from honeyhive_litellm._cli.main import main
from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm._privacy.cipher import Cipher, cipher_of, id_of, key_of, new_key
from honeyhive_litellm._relay import locked
from honeyhive_litellm._relay.config import read_config
from honeyhive_litellm._relay.dead_letters import letters, retry
from honeyhive_litellm._relay.relay import Relay
from honeyhive_litellm.testing import Collector

from ..faults.programs import run
from ..support.broker import Broker
from ..waiting import until_on_loop
from .fleet import (
    Balance,
    administering,
    assert_once,
    config_for,
    event,
    make_streams,
    publish,
    relaying,
    table,
    trouble,
    until_balance,
    write_config,
)

OLD, NEW, WRONG = new_key(), new_key(), new_key()
BOTH = f"{NEW},{OLD}"
SESSION = "0e8a3f52-5d0e-4f0a-8a54-0d6a2f6a3a11 the session"

CANARIES = [f"canary{number:02d}sings" for number in range(10)]
CALLS = """
C = iter(CANARIES)
litellm.completion(
    model="gpt-4o", user=next(C), mock_response=next(C),
    messages=[{"role": "system", "content": next(C)}, {"role": "user", "content": next(C)}],
    metadata={"session_id": next(C), "session_name": next(C), "tags": [next(C)], next(C): next(C), "user_id": next(C)})
honeyhive_litellm.flush(30)
stats = honeyhive_litellm.stats()
assert (stats.delivered, stats.pending) == (1, 0), stats
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as started:
        yield started


@pytest.fixture(autouse=True)
def _locked_messages_come_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked, "FIRST_DELAY_S", 0.2)
    monkeypatch.setattr(locked, "LONGEST_DELAY_S", 0.4)
    monkeypatch.setattr(locked, "_ROUNDS", 100)


def found_in(folder: Path, *texts: str) -> Set[str]:
    """Which of these texts are in any file of the folder."""
    content = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    return {text for text in texts if text.encode() in content}


def has_locked(relay: Relay, events: int) -> bool:
    return [state.locked for state in relay.states()] == [events]


def id_in_hex(key: str) -> str:
    return id_of(key_of(key) or b"").hex()


def test_from_a_process_to_the_collector_no_byte_on_the_brokers_disk_shows_a_call(
    broker: Broker, tmp_path: Path
) -> None:
    store = broker.folder / broker.nodes[0].name
    with Collector() as collector:
        url = collector.url
        config = config_for(broker, {"calls": url}, spool_key=BOTH)
        asyncio.run(make_streams(config))
        run(
            f"CANARIES = {CANARIES!r}\n{CALLS}",
            "http://127.0.0.1:9",
            tmp_path / "spool",
            HONEYHIVE_BROKER=broker.address,
            HONEYHIVE_BROKER_DESTINATION="calls",
            HONEYHIVE_SPOOL_KEY=OLD,
        )
        (message,) = asyncio.run(broker.messages("HH_calls"))
        id_ = message.headers["Nats-Msg-Id"]
        assert set(message.headers) == {"Nats-Msg-Id", "HH-Project"}
        assert found_in(store, id_, *CANARIES) == {id_}
        # HoneyHive refuses it with words that quote it: it is a dead letter, and its reason is no more to be read.
        collector.poison(id_, 422, body=f"no such field: {CANARIES[0]}")

        path, key_file = tmp_path / "relay.toml", tmp_path / "keys"
        key_file.write_text(f"{NEW}\n{OLD}\n")
        write_config(path, {**table(broker, {"calls": url}), "key_file": str(key_file)})
        command = [sys.executable, "-m", "honeyhive_litellm", "relay", "run", "--config", str(path)]

        async def retry_refused() -> None:
            async with administering(config) as js:
                await until_balance(config, Balance(1, 0, dead=1))
                assert found_in(store, id_, *CANARIES) == {id_}
                (letter,) = [letter async for letter in letters(js, "calls", config.cipher)]
                assert (letter.status, letter.reason) == (422, f"no such field: {CANARIES[0]}")
                collector.clear()
                await retry(js, [letter])
                await until_balance(config, Balance(1, 1))

        environ = {**os.environ, "KEY_CALLS": "hh_key"}
        with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as relay:
            try:
                asyncio.run(retry_refused())
            finally:
                relay.terminate()
                log = relay.communicate(timeout=20)[1]
        assert [text for text in (OLD, NEW, *CANARIES) if text in log] == []
        assert found_in(store, *CANARIES) == set()
        arrived = json.dumps([collector.events, collector.sessions])
        assert [canary for canary in CANARIES if canary not in arrived] == []
        assert collector.receipts == {id_: 1}
        assert [session["session_name"] for session in collector.sessions] == [CANARIES[5]]


async def test_without_the_key_a_message_waits_and_the_others_are_delivered(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "honeyhive_litellm")
    with Collector() as collector:
        config = config_for(broker, {"locked": collector.url})
        await make_streams(config)
        await publish(broker, [event(i) for i in range(100)], "locked", cipher=cipher_of([OLD]))
        await publish(broker, [event(i) for i in range(100, 150)], "locked", cipher=cipher_of([NEW]))
        await publish(broker, [event(i) for i in range(150, 160)], "locked")
        for key, others in (("", 0), (WRONG, 0), (NEW, 50)):
            caplog.clear()
            _log.reset()  # as in a process of its own
            config = config_for(broker, {"locked": collector.url}, spool_key=key)
            async with relaying(config) as relay:
                await until_balance(config, Balance(160, 10 + others, waiting=150 - others))
                await until_on_loop(functools.partial(has_locked, relay, 150 - others), what=relay.states)
                assert "are encrypted with a key that this relay does not have" in trouble(relay)
                (state,) = relay.states()
                assert (state.in_hand, state.dead, state.is_circuit_open) == (0, 0, False)
                async with administering(config) as js:
                    info = await js.consumer_info("HH_locked", "relay-locked")
                    assert info.num_ack_pending == 150 - others
            lines = [record.getMessage() for record in caplog.records]
            missing = [id_in_hex(OLD)] if key == NEW else [id_in_hex(OLD), id_in_hex(NEW)]
            assert [sum(id_ in line for line in lines) for id_ in missing] == [1] * len(missing), lines
            assert not any(secret in line for secret in (OLD, NEW, WRONG) for line in lines)
        config = config_for(broker, {"locked": collector.url}, spool_key=BOTH)
        async with relaying(config) as relay:
            await until_balance(config, Balance(160, 160))
            assert relay.states()[0].locked == 0
        assert_once(collector, range(160))


async def test_a_damaged_or_exchanged_message_is_a_dead_letter_and_no_other(broker: Broker) -> None:
    cipher = cipher_of([OLD])
    with Collector() as collector:
        config = config_for(broker, {"damaged": collector.url}, spool_key=OLD)
        await make_streams(config)
        rows = [encrypted(event(i), cipher) for i in range(4)]
        flipped = rows[0].body[:-1] + bytes([rows[0].body[-1] ^ 1])
        client = await broker.connect()
        for row, body in ((rows[0], flipped), (rows[1], rows[2].body), (rows[3], rows[3].body[:45])):
            headers = headers_of(row, "p", may_be_duplicate=False)
            await client.jetstream().publish(subject_of("damaged"), body, headers=headers)
        await client.close()
        await publish(broker, [event(i) for i in range(4, 20)], "damaged", cipher=cipher)
        async with relaying(config) as relay, administering(config) as js:
            await until_balance(config, Balance(19, 16, dead=3))
            await until_on_loop(lambda: relay.states()[0].dead == 3, what=relay.states)
            assert relay.states()[0].locked == 0
            found = [letter async for letter in letters(js, "damaged", config.cipher)]
            assert {letter.id for letter in found} == {rows[0].id, rows[1].id, rows[3].id}
            assert all("damaged" in letter.reason and not letter.is_locked for letter in found)
        assert_once(collector, range(4, 20))


def test_a_relay_of_an_older_version_makes_dead_letters_which_a_retry_delivers(broker: Broker) -> None:
    async def relay() -> None:
        old = config_for(broker, {"older": collector.url})
        await make_streams(old)
        await publish(broker, [event(i, SESSION if i == 3 else None) for i in range(5)], "older", cipher=cipher)
        await publish(broker, [event(i) for i in range(5, 10)], "older")
        config = config_for(broker, {"older": collector.url}, spool_key=OLD)
        with pytest.MonkeyPatch.context() as patch:
            # What that version does with a message: its body is the event.
            patch.setattr("honeyhive_litellm._relay.stream_source.decrypted", lambda row, _cipher: row)
            patch.setattr("honeyhive_litellm._relay.stream_source.key_id_of", lambda _body: None)
            async with relaying(old):
                await until_balance(old, Balance(10, 5, dead=5))
        async with relaying(config), administering(config) as js:
            found = [letter async for letter in letters(js, "older", config.cipher)]
            assert {letter.status for letter in found} == {400}
            await retry(js, found)
            await until_balance(config, Balance(10, 10))

    cipher = cipher_of([OLD])
    with Collector() as collector:
        asyncio.run(relay())
        assert_once(collector, range(10))
        assert "the session" in [session.get("session_name") for session in collector.sessions]


class Commands:
    """The commands of one configuration, in this process, with or without the key."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def run(self, *arguments: str, code: int = 0, key: str = "") -> str:
        environ = {"HONEYHIVE_SPOOL_KEY": key, "KEY_LETTERS": "hh_key"}
        result = CliRunner().invoke(main, ["relay", *arguments, "--config", str(self._path)], env=environ)
        assert result.exit_code == code, result.output
        assert not any(secret in result.output for secret in (OLD, NEW, WRONG))
        return result.output

    def json(self, *arguments: str, code: int = 0, key: str = "") -> Dict[str, Any]:
        found: Dict[str, Any] = json.loads(self.run(*arguments, "--json", code=code, key=key))
        return found


def test_the_commands_show_with_the_key_what_is_encrypted_and_say_what_they_lack_without(
    broker: Broker, tmp_path: Path
) -> None:
    commands = Commands(tmp_path / "relay.toml")
    with Collector() as collector:
        config = config_for(broker, {"letters": collector.url}, spool_key=OLD)
        write_config(commands._path, table(broker, {"letters": collector.url}))
        asyncio.run(make_streams(config))
        id_ = event(1).id
        collector.poison(id_, 422, body="a canary sings")

        async def refuse() -> None:
            await publish(broker, [event(1)], "letters", cipher=cipher_of([OLD]))
            async with relaying(config):
                await until_balance(config, Balance(1, 0, dead=1))
            await publish(broker, [event(2)], "letters", cipher=cipher_of([NEW]))

        asyncio.run(refuse())
        (letter,) = commands.json("dead", "list", key=OLD)["letters"]
        assert (letter["reason"], letter["locked"]) == ("a canary sings", False)
        assert commands.json("dead", "show", id_, key=f"{NEW} {OLD}")["event"]["inputs"]["n"] == 1
        (letter,) = commands.json("dead", "list")["letters"]
        assert (letter["reason"], letter["locked"], letter["status"]) == ("", True, 422)
        assert "its key is not here" in commands.run("dead", "list", key=WRONG)
        shown = commands.run("dead", "show", id_, code=1)
        assert id_in_hex(OLD) in shown and "key_env or key_file" in shown
        (numbers,) = commands.json("status", code=3, key=OLD)["destinations"]
        assert (numbers["waiting"], numbers["locked"], numbers["missing_keys"]) == (1, 1, [id_in_hex(NEW)])
        assert f"the key {id_in_hex(NEW)} is not here" in commands.run("status", code=3)
        assert "is not here" not in commands.run("status", code=3, key=NEW)
        assert "a relay needs it" in commands.run("dead", "retry", "--all")
        collector.clear()

        async def deliver() -> None:
            both = config_for(broker, {"letters": collector.url}, spool_key=BOTH)
            async with relaying(both):
                await until_balance(both, Balance(2, 2))

        asyncio.run(deliver())
        assert_once(collector, [1, 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('key_env = "NO_SUCH_KEY"', "key_env is the environment variable NO_SUCH_KEY, which is not set"),
        ('key_env = "BAD"', "key_env: the variable BAD has no key in place 1 of 1"),
        ('key_file = "missing.key"', "key_file: missing.key cannot be read"),
        ('key = "hunter2"', "key is not an option of a relay; remove it"),
    ],
)
def test_keys_that_cannot_be_read_are_refused_and_never_shown(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(f'broker = "nats://n1"\n{text}\n[destinations.a]\n')
    with pytest.raises(ConfigError, match=message) as refused:
        read_config(path, {"HONEYHIVE_API_KEY": "hh_key", "BAD": "hunter2"}, with_keys=True)
    assert "hunter2" not in str(refused.value)


def test_keys_come_from_a_variable_and_then_from_a_file_and_are_in_no_repr(tmp_path: Path) -> None:
    path, key_file = tmp_path / "relay.toml", tmp_path / "keys"
    key_file.write_text(f"# the old one\n{OLD}\n")
    path.write_text(f'broker = "nats://n1"\nkey_env = "K"\nkey_file = "{key_file}"\n[destinations.a]\n')
    config = read_config(path, {"HONEYHIVE_API_KEY": "hh_key", "K": NEW}, with_keys=True)
    assert [id_.hex() for id_ in config.cipher.key_ids] == [id_in_hex(NEW), id_in_hex(OLD)]
    assert NEW not in repr(config) and OLD not in repr(config)
    key_file.unlink()
    assert read_config(path, {}, with_keys=False).cipher.key_ids == Cipher().key_ids
