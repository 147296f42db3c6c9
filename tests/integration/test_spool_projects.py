"""Two projects that were given the same spool folder: no event of one goes out with the key of the other."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any, Dict, Set

import pytest

from honeyhive_litellm._config.paths import file_name_of
from honeyhive_litellm._spool import dead_letters
from honeyhive_litellm._spool.late_writer import LateWriter
from honeyhive_litellm._spool.layout import new_owner, owners_in, project_of
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm.testing import Collector

from ..rig import Rig, event, running
from ..spools import dies, spool_in
from ..support.commands import run_command

NOWHERE = "http://127.0.0.1:9"


async def leave(folder: Path, project: str, numbers: range) -> None:
    """What a killed process of this project leaves."""
    rig = Rig(folder, NOWHERE, project=project)
    await rig.take([event(number) for number in numbers])
    await dies(rig.spool)


def ids_of(numbers: range) -> Set[str]:
    return {event(number).id for number in numbers}


async def test_what_one_project_left_is_never_delivered_by_another_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "honeyhive_litellm")
    await leave(tmp_path, "search", range(3))
    await leave(tmp_path, "chat", range(3, 5))
    older = spool_in(tmp_path)  # its files name no project
    await older.append([event(20)])
    await dies(older)
    with Collector() as collector:
        async with running(tmp_path, collector.url, project="chat") as rig:
            await rig.take([event(9)])
            await rig.spool.adopt()
            await rig.settled()
            assert set(collector.receipts) == {*ids_of(range(3, 5)), event(9).id, event(20).id}
            assert rig.spool.other_projects == {file_name_of("search")}
    (line,) = [record.getMessage() for record in caplog.records if "another project" in record.getMessage()]
    assert file_name_of("search") in line and str(tmp_path) in line
    with Collector() as collector:
        async with running(tmp_path, collector.url, project="search") as rig:
            await rig.settled()
            assert set(collector.receipts) == ids_of(range(3))
            assert rig.spool.other_projects == set()
    assert owners_in(tmp_path) == {}


async def test_files_that_are_handed_off_or_written_late_stay_the_projects(tmp_path: Path) -> None:
    rig = Rig(tmp_path, NOWHERE, project="search")
    await rig.take([event(1)])
    await rig.spool.seal_active()
    await rig.spool.hand_off()
    await rig.spool.close()
    late = LateWriter(tmp_path, new_owner(file_name_of("search")))
    late.append(event(2))
    assert late._db is not None and late._lease is not None
    late._db.close()
    late._lease.release(remove=False)
    owners = owners_in(tmp_path)
    assert len(owners) == 2 and {project_of(owner) for owner in owners} == {file_name_of("search")}


async def test_with_a_broker_the_stream_decides_and_files_belong_to_no_project(tmp_path: Path) -> None:
    rig = Rig(tmp_path, NOWHERE, project="search", broker="nats://127.0.0.1:9")
    assert project_of(rig.spool.owner) == ""
    await rig.pipeline.aclose()


def run(*arguments: str, code: int) -> Dict[str, Any]:
    result = run_command(*arguments, "--json")
    assert result.exit_code == code, result.output
    found: Dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_commands_leave_another_projects_events_and_letters_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(leave(tmp_path, "search", range(3)))
    body = {**json.loads(event(7).body), "metadata": {"project": "search"}}
    row = Row(1, event(7).id, 1.0, None, json.dumps(body).encode())
    asyncio.run(dead_letters.add(tmp_path, [row], 400, "no"))
    with Collector() as collector:
        options = {"API_KEY": "hh_key", "API_URL": collector.url, "SPOOL_PATH": str(tmp_path), "LOOKUP_DELAY": "0"}
        for name, value in options.items():
            monkeypatch.setenv(f"HONEYHIVE_{name}", value)
        found = run("drain", "--project", "chat", code=3)
        assert (found["delivered"], found["other_projects"]) == (0, [file_name_of("search")])
        tried = run("dead", "retry", "--all", "--project", "chat", code=3)
        assert (tried["accepted"], tried["not_tried"]) == (0, 1)
        assert not collector.events
        found = run("drain", "--project", "search", code=0)
        assert (found["delivered"], found["other_projects"]) == (3, [])
        assert run("dead", "retry", "--all", "--project", "search", code=0)["accepted"] == 1
        assert len(collector.events) == 4
