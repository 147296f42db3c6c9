"""`honeyhive-litellm doctor` and `config show`: what they find, and that they change nothing."""

from __future__ import annotations

import ast
import asyncio
import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Set, Tuple

import pytest
from click.testing import CliRunner, Result

from honeyhive_litellm._cli.doctor import application, versions
from honeyhive_litellm._cli.doctor.clock import check_clock, check_skew
from honeyhive_litellm._cli.doctor.finding import Level
from honeyhive_litellm._cli.doctor.mounts import file_system_of
from honeyhive_litellm._cli.doctor.spool import check_spool
from honeyhive_litellm._cli.main import main
from honeyhive_litellm._config.paths import IN_MEMORY
from honeyhive_litellm._config.settings import OPTIONS
from honeyhive_litellm._privacy.cipher import id_of, key_of, new_key
from honeyhive_litellm._spool import dead_letters
from honeyhive_litellm._spool.layout import QUARANTINE_NAME, new_owner, segment_path
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm.testing import Collector

from ..matrix import CELLS
from ..spools import event, spool_in
from ..support.broker import Broker

KEY = "hh_key_of_the_test"
TIMEOUT_S = 110


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collector: Collector) -> Path:
    """Nothing but a key, a project, a server, and a folder for the spool that is not there yet."""
    for variable in [name for option in OPTIONS for name in option.variables]:
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "spool"
    values = {"API_KEY": KEY, "PROJECT": "tests", "API_URL": collector.url, "SPOOL_PATH": str(folder)}
    for name, value in values.items():
        monkeypatch.setenv(f"HONEYHIVE_{name}", value)
    return folder


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert KEY not in result.output
    return result


def doctor(*arguments: str) -> Tuple[int, Dict[str, Dict[str, Any]], Dict[str, Any]]:
    """The exit code, the findings by their check, and the whole report."""
    result = run("doctor", "--json", *arguments)
    report: Dict[str, Any] = json.loads(result.stdout)
    assert report["schema"] == 1
    return result.exit_code, {finding["check"]: finding for finding in report["findings"]}, report


def files_in(folder: Path) -> Set[Tuple[str, bytes]]:
    return {(path.name, path.read_bytes()) for path in folder.iterdir() if path.is_file()}


def test_all_is_well_before_the_first_call(environment: Path) -> None:
    code, found, report = doctor()
    assert (code, report["ok"], report["problems"]) == (0, True, 0)
    assert "is not there yet" in found["spool.folder"]["text"]
    settings = {one["setting"]: (one["value"], one["from"]) for one in report["settings"]}
    assert settings["api_key"] == ("hh_...test", "HONEYHIVE_API_KEY")
    assert settings["spool_max_bytes"] == (2**30, "default")
    plain = run("doctor")
    assert plain.exit_code == 0 and "HONEYHIVE_SPOOL_PATH" in plain.output
    assert not environment.exists()


def test_missing_settings_are_problems_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "PROJECT", "SPOOL_PATH"):
        monkeypatch.delenv(f"HONEYHIVE_{name}")
    code, found, report = doctor("--connect")
    assert code == 3 and not report["ok"]
    checks = ("settings.api_key", "settings.project", "spool.folder", "server.settings")
    assert {found[check]["level"] for check in checks} == {"problem"}
    assert "HONEYHIVE_API_KEY" in found["settings.api_key"]["remedy"]
    shown = run("config", "show")
    assert shown.exit_code == 2 and "missing" in shown.output


async def left_in(folder: Path) -> None:
    """One event that has waited since 1970, and one dead letter."""
    folder.mkdir(mode=0o700)
    spool = spool_in(folder)
    await spool.append([event("waits")])
    await dead_letters.add(folder, [Row(1, "refused", 1.0, None, b"{}")], 422, "no inputs")
    await spool.close()


async def test_the_spool_is_described_and_stays_as_it_is(environment: Path) -> None:
    await left_in(environment)
    os.chmod(environment, 0o755)
    before = files_in(environment)
    process = subprocess.run(
        [sys.executable, "-m", "honeyhive_litellm", "doctor", "--json"], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    found = {one["check"]: one for one in json.loads(process.stdout)["findings"]}
    assert "has the mode 0755" in found["spool.permissions"]["text"]
    assert "1 event pending, the oldest for" in found["spool.oldest_pending"]["text"]
    assert "honeyhive-litellm drain" in found["spool.oldest_pending"]["remedy"]
    assert "honeyhive-litellm dead list" in found["spool.dead_letters"]["remedy"]
    assert found["spool.owners"]["text"].startswith("0 living processes, 1 that ended")
    assert {name for name, _ in before} == {name for name, _ in files_in(environment)}


def test_connect_tries_the_key_and_sends_no_event(collector: Collector) -> None:
    code, found, _report = doctor("--connect")
    assert code == 0
    checks = ("server.reachable", "server.key_writes", "server.key_reads", "clock.server")
    assert {found[check]["level"] for check in checks} == {"ok"}
    assert collector.events == []


def test_a_key_that_may_only_write_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONEYHIVE_API_KEY", "hh_ingst_" + KEY)
    code, found, _report = doctor("--connect")
    assert (code, found["server.key_reads"]["level"], found["server.key_writes"]["level"]) == (0, "warning", "ok")


def test_a_key_that_is_refused_is_a_problem(collector: Collector) -> None:
    collector.fail(401)
    code, found, _report = doctor("--connect")
    assert code == 3
    assert "HTTP 401" in found["server.key_writes"]["text"]
    assert "HONEYHIVE_API_KEY" in found["server.key_writes"]["remedy"]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.0.0.1:{free}", "cannot be reached"),
        ("http://no-such-host.invalid", "cannot be resolved"),
        ("https://127.0.0.1:{plain}", "TLS with 127.0.0.1 fails"),
    ],
)
def test_a_server_that_is_not_there_is_a_problem_with_its_reason(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, url: str, text: str
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ports = {"free": unused.getsockname()[1], "plain": collector.url.rpartition(":")[2]}
        monkeypatch.setenv("HONEYHIVE_API_URL", url.format(**ports))
        code, found, _report = doctor("--connect")
    assert code == 3 and text in found["server.reachable"]["text"]
    assert found["server.reachable"]["remedy"]


# ---- the application


SERVICE = """
import honeyhive_litellm, litellm
def start():
    honeyhive_litellm.init(project="of the code")
def twice():
    start()
    litellm.callbacks.append(honeyhive_litellm.HoneyHiveLogger(project="of the code", environment="staging"))
def fails():
    raise ValueError("no database")
"""

# One process for all, because to import LiteLLM takes seconds.
DOCTORS = """
from click.testing import CliRunner
from honeyhive_litellm.cli import main
for app in ("service", "service:start", "service:twice", "service:fails"):
    result = CliRunner().invoke(main, ["doctor", "--json", "--app", app])
    print(repr((result.exit_code, result.output)))
"""


def test_the_application_is_imported_and_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    monkeypatch.chdir(tmp_path)
    process = subprocess.run(
        [sys.executable, "-c", DOCTORS], capture_output=True, text=True, check=True, timeout=TIMEOUT_S
    )
    (silent, recording, twice, failing) = [ast.literal_eval(line) for line in process.stdout.splitlines()]
    reports = [json.loads(output) for _code, output in (silent, recording, twice)]
    of_none, of_one, of_two = [{one["check"]: one for one in report["findings"]} for report in reports]
    assert silent[0] == 3 and "honeyhive_litellm.init()" in of_none["application.registered"]["remedy"]
    assert recording[0] == 0 and "for project of the code" in of_one["application.registered"]["text"]
    origins = {one["setting"]: one["from"] for one in reports[1]["settings"]}
    assert (origins["project"], origins["api_key"]) == ("argument", "HONEYHIVE_API_KEY")
    assert twice[0] == 3 and "each call becomes several events" in of_two["application.double"]["text"]
    assert failing == (1, "Error: --app service:fails: ValueError: no database\n")


def test_another_instrumentation_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    class Instrumentor:
        is_instrumented_by_opentelemetry = True

    module = type(sys)("an_instrumentation")
    module.LiteLLMInstrumentor = Instrumentor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "an_instrumentation", module)
    monkeypatch.setitem(application.OTHERS, "pytest", "an_instrumentation")
    for is_loaded in (False, True):
        (found,) = application.check_others(is_loaded=is_loaded)
        assert found.level is Level.WARNING and "pytest" in found.text
    Instrumentor.is_instrumented_by_opentelemetry = False
    (found,) = application.check_others(is_loaded=True)
    assert found.level is Level.OK


# ---- machine


def test_the_tested_versions_are_those_of_the_matrix() -> None:
    pythons = [tuple(map(int, cell.python.split("."))) for cell in CELLS]
    assert (min(pythons), max(pythons)) == versions.PYTHON
    oldest = min(tuple(map(int, cell.litellm.split(".")[:2])) for cell in CELLS if cell.litellm)
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "compatibility.md").read_text(encoding="utf-8")
    assert versions.LITELLM[0] == oldest and "| {}.{}.".format(*versions.LITELLM[1]) in page
    assert "{}.{}".format(*versions.SQLITE) in page


@pytest.mark.parametrize(
    ("version", "level"),
    [(None, Level.PROBLEM), ("1.40.0", Level.PROBLEM), ("1.80.5", Level.OK), ("9.0.0", Level.WARNING)],
)
def test_an_untested_litellm_is_not_ok(version: Optional[str], level: Level) -> None:
    assert versions._litellm(version).level is level


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("/data/spool", "nfs4"), ("/data", "nfs4"), ("/database", "overlay"), ("/with space/x", "tmpfs")],
)
def test_the_file_system_is_that_of_the_longest_mount(tmp_path: Path, folder: str, expected: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 0:20 / / rw,relatime - overlay overlay rw\n"
        "23 22 0:21 / /data rw shared:1 - ext4 /dev/sda1 rw\n"
        "24 22 0:22 / /data rw - nfs4 server:/export rw\n"
        "25 22 0:23 / /with\\040space rw - tmpfs tmpfs rw\n"
    )
    assert file_system_of(Path(folder), table) == expected
    assert file_system_of(Path(folder), tmp_path / "no table") is None


def test_a_clock_that_is_behind_its_own_files_or_far_from_the_server_is_a_warning(tmp_path: Path) -> None:
    now = time.time()
    assert check_clock(tmp_path, now).level is Level.OK
    (tmp_path / "of the future").touch()
    assert check_clock(tmp_path, now - 3600).level is Level.WARNING
    assert [check_skew(now + skew, now).level for skew in (0, 4, -4)] == [Level.OK] * 3
    assert "10 s behind" in check_skew(now + 10, now).text and "10 s ahead of" in check_skew(now - 10, now).text


# ---- the other commands


def test_config_show_is_a_table_or_json() -> None:
    plain = run("config", "show", "--project", "of the option")
    assert plain.exit_code == 0
    rows = [line.split() for line in plain.output.splitlines()]
    assert ["api_key", "hh_...test", "HONEYHIVE_API_KEY"] in rows
    assert ["project", "of", "the", "option", "argument"] in rows
    found = json.loads(run("config", "show", "--json").stdout)
    assert found["schema"] == 1
    assert {"setting": "debug", "value": False, "from": "default", "problem": None} in found["settings"]


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def test_each_shell_has_its_completion(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0 and "_HONEYHIVE_LITELLM_COMPLETE" in result.output


def test_bash_completes_commands() -> None:
    words = {"COMP_WORDS": "honeyhive-litellm do", "COMP_CWORD": "1", "_HONEYHIVE_LITELLM_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", "from honeyhive_litellm.cli import main; main(prog_name='honeyhive-litellm')"],
        env={**os.environ, **words},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["plain,doctor"]


def at_a_terminal(columns: int, *arguments: str, **variables: str) -> str:
    """What a command writes to a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "honeyhive_litellm", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", **variables},
    )
    os.close(theirs)
    written = b""
    try:
        while True:
            piece = os.read(ours, 65_536)
            if not piece:
                break
            written += piece
    except OSError:
        pass  # how Linux says that the other end is closed
    os.close(ours)
    assert process.wait(30) in (0, 3)
    return written.decode().replace("\r", "")


async def test_at_a_terminal_the_lines_fit_its_width_and_color_is_an_option(environment: Path) -> None:
    await left_in(environment)
    for command in ("status", "doctor"):
        shown = at_a_terminal(80, command, HONEYHIVE_SPOOL_PATH=str(environment))
        lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
        assert [line for line in lines if len(line) > 80 and str(environment) not in line] == []
    assert re.search(r"\x1b\[3[0-9]m", shown)
    assert re.search(r"\x1b\[3[0-9]m", at_a_terminal(80, "doctor", NO_COLOR="1")) is None


def test_a_broker_is_tried_without_storing_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = """accounts {{ A {{ jetstream: enabled, users: [ {{ user: admin, password: admin }}
      {{ user: app, password: secret,
         permissions: {{ publish: ["honeyhive.events.{publish}"], subscribe: ["{inbox}.>"] }} }}
    ] }} }}"""
    right = {"publish": "default", "inbox": "_INBOX.hhapp"}
    key = new_key()
    monkeypatch.delenv("HONEYHIVE_API_KEY")

    def tried() -> Tuple[str, str]:
        code, found, _ = doctor("--connect")
        (finding,) = [found[check] for check in ("broker.publishes", "broker.reachable") if check in found][:1]
        assert code == (3 if finding["level"] == "problem" else 0)
        assert "secret" not in json.dumps(found)
        return finding["level"], finding["text"]

    with Broker(tmp_path, extra=users.format(**right), login="admin:admin") as broker:
        monkeypatch.setenv("HONEYHIVE_BROKER", broker.address_of("app:secret@"))
        assert tried() == ("problem", "No stream takes honeyhive.events.default now")
        asyncio.run(broker.add_stream("default"))
        assert tried() == ("ok", "The stream HH_default answers; events will be acknowledged")
        assert "broker.encrypted" not in doctor("--connect")[1]
        monkeypatch.setenv("HONEYHIVE_SPOOL_KEY", key)
        finding = doctor("--connect")[1]["broker.encrypted"]
        assert finding["level"] == "ok" and id_of(key_of(key) or b"").hex() in finding["text"]
        for wrong, denied in (
            ({"inbox": "_INBOX.other"}, "denies subscription to"),
            ({"publish": "other"}, 'denies publish to "honeyhive.events.default"'),
        ):
            broker.configure(users.format(**{**right, **wrong}))
            broker.nodes[0].reload()
            level, text = tried()
            assert level == "problem" and denied in text
        assert asyncio.run(broker.messages("HH_default")) == []
        monkeypatch.setenv("HONEYHIVE_BROKER", broker.address_of("app:secret2@"))
        assert tried()[1].endswith("the broker refuses the login")


def test_each_trouble_of_a_spool_is_a_finding_with_a_remedy(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill() -> None:
        spool = spool_in(environment, max_bytes=2**17)
        for number in range(20):
            await spool.append([event(f"{number}", size=20_000)])
        await spool.close()

    environment.mkdir(mode=0o700)
    asyncio.run(fill())
    segment_path(environment, new_owner(), 1).write_bytes(b"no database, but as long as a page of one" * 100)
    (environment / QUARANTINE_NAME).mkdir()
    (environment / QUARANTINE_NAME / "damaged.db").touch()
    monkeypatch.setenv("HONEYHIVE_SPOOL_MAX_BYTES", "100000")
    monkeypatch.setenv("HONEYHIVE_SPOOL_MIN_FREE_BYTES", str(2**49))
    found = doctor()[1]
    for check, level, text, remedy in (
        ("free_space", "problem", "less than spool_min_free_bytes", "Free disk space."),
        ("capacity", "warning", "used", "raise HONEYHIVE_SPOOL_MAX_BYTES"),
        ("dropped", "warning", "dropped", "reasons"),
        ("unreadable", "problem", "cannot be read", "check the disk"),
        ("quarantine", "warning", "has damaged files", "Check the disk"),
    ):
        finding = found[f"spool.{check}"]
        assert finding["level"] == level
        assert text in finding["text"]
        assert remedy in finding["remedy"]


def test_a_spool_in_memory_says_what_a_kill_loses() -> None:
    (finding,) = check_spool(IN_MEMORY, None)
    assert finding.level is Level.OK
    assert "a kill loses" in finding.text


@pytest.mark.parametrize(
    ("version", "level"), [((3, 20), Level.PROBLEM), ((3, 30), Level.WARNING), ((3, 45), Level.OK)]
)
def test_a_sqlite_that_is_too_old_is_a_problem(version: Tuple[int, int], level: Level) -> None:
    assert versions._sqlite(version).level is level
