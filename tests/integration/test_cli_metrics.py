"""`drain --follow --metrics-port` and `status --check`: what a scraper and a probe get."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest
from click.testing import CliRunner

from honeyhive_litellm._cli.folder_metrics import FolderReader, went_down
from honeyhive_litellm._cli.health_server import STALLED_S, Health, serving
from honeyhive_litellm._cli.main import main
from honeyhive_litellm._privacy.cipher import Cipher
from honeyhive_litellm._runtime.metric_table import METRICS, Reading
from honeyhive_litellm._spool.status import FolderStatus
from honeyhive_litellm._stats import Totals

from ..spools import batches_of, event, spool_in
from ..support.broker import free_ports
from ..waiting import until


def get(url: str) -> Tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def turned_at() -> List[float]:
    return [time.monotonic()]


@pytest.fixture
def url(tmp_path: Path, turned_at: List[float]) -> Iterator[str]:
    health = Health(tmp_path / "spool", lambda: turned_at[0], lambda accept: (b"metrics", "text/plain"))
    with serving("127.0.0.1", 0, health) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_loop_that_turns_is_alive_and_one_that_hangs_is_not(url: str, turned_at: List[float]) -> None:
    assert get(f"{url}/livez") == (200, "the loop turns\n")
    turned_at[0] -= STALLED_S + 1
    status, text = get(f"{url}/livez?verbose")
    assert status == 503 and "has not turned for 31 s" in text


def test_a_spool_that_can_be_written_and_read_is_ready(url: str, tmp_path: Path) -> None:
    ready = (200, "the spool can be written and read\n")
    assert get(f"{url}/readyz") == ready  # it can be made
    assert not (tmp_path / "spool").exists()
    (tmp_path / "spool").mkdir()
    assert get(f"{url}/readyz") == ready
    assert list((tmp_path / "spool").iterdir()) == []
    (tmp_path / "spool").rmdir()
    (tmp_path / "spool").write_text("a file")
    status, text = get(f"{url}/readyz")
    assert status == 503 and "cannot be written and read" in text


def test_other_paths_are_not_there_and_a_port_that_is_taken_is_an_error(url: str, tmp_path: Path) -> None:
    assert get(f"{url}/metrics") == (200, "metrics")
    assert get(f"{url}/")[0] == 404
    arguments = ["drain", "--follow", "--metrics-host", "127.0.0.1", "--metrics-port", url.rpartition(":")[2]]
    environment = {"HONEYHIVE_API_KEY": "hh_key", "HONEYHIVE_PROJECT": "p", "HONEYHIVE_SPOOL_PATH": str(tmp_path)}
    pytest.importorskip("prometheus_client", reason="the extra prometheus")
    result = CliRunner().invoke(main, arguments, env=environment)
    assert result.exit_code == 1 and "cannot be used" in result.output
    result = CliRunner().invoke(main, ["drain", "--metrics-port", "0"], env=environment)
    assert result.exit_code == 2 and "needs --follow" in result.output


@pytest.fixture
def environment(tmp_path: Path) -> Dict[str, str]:
    values = {"API_KEY": "hh_key", "PROJECT": "p", "API_URL": "http://127.0.0.1:9", "SPOOL_PATH": str(tmp_path)}
    return {f"HONEYHIVE_{name}": value for name, value in values.items()}


@pytest.fixture
def _logging_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sets up the logging of a process that it has to itself."""
    for logger in (logging.getLogger(), logging.getLogger("honeyhive_litellm")):
        monkeypatch.setattr(logger, "handlers", [])
        monkeypatch.setattr(logger, "level", logger.level)


@pytest.mark.usefixtures("_logging_is_as_before")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_metrics_are_served_until_a_signal_ends_the_drain(environment: Dict[str, str], log_format: str) -> None:
    pytest.importorskip("prometheus_client", reason="the extra prometheus")
    (port,) = free_ports(1)
    before = signal.getsignal(signal.SIGTERM)
    answers: List[Tuple[int, str]] = []

    def scrape() -> None:
        until(lambda: signal.getsignal(signal.SIGTERM) != before)  # it serves before it takes signals
        try:
            answers.extend(get(f"http://127.0.0.1:{port}/{path}") for path in ("livez", "readyz", "metrics"))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=scrape)
    thread.start()
    arguments = ["drain", "--follow", "--timeout", "60", "--metrics-port", str(port), "--metrics-host", "127.0.0.1"]
    began = time.monotonic()
    result = CliRunner().invoke(main, [*arguments, "--log-format", log_format], env=environment)
    thread.join(30)
    assert (result.exit_code, time.monotonic() - began < 50) == (0, True)
    if log_format == "text":
        assert f"metrics: http://127.0.0.1:{port}/metrics" in result.output
        assert "delivered 0, dead letters 0, dropped 0, left 0" in result.output
    else:
        lines = [json.loads(line) for line in result.output.splitlines()]
        assert f"metrics and health are served on port {port}" in [line["message"] for line in lines]
    assert [status for status, _ in answers] == [200, 200, 200]
    assert "honeyhive_events_accepted_total" in answers[2][1]


def test_without_the_extra_it_says_what_to_install(
    environment: Dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "prometheus_client"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    result = CliRunner().invoke(main, ["drain", "--follow", "--metrics-port", "0"], env=environment)
    assert result.exit_code == 1
    assert "Error: --metrics-port needs: pip install 'honeyhive-litellm[prometheus]'" in result.output


async def test_a_folder_is_read_with_all_its_numbers(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    await spool.append([event(name)._replace(started_ms=time.time() * 1000 - 60_000) for name in ("a", "b", "c")])
    batch = (await batches_of(spool))[0]
    assert await spool.add_dead_letter(batch._replace(rows=batch.rows[:1]), 422, "no")
    await spool.append([event("d")._replace(started_ms=time.time() * 1000 - 60_000)])
    await spool.close()
    found: List[Reading] = []
    reader = FolderReader(tmp_path, 1000, lambda: True)
    thread = threading.Thread(target=lambda: found.append(reader.read()))  # it runs a loop of its own
    thread.start()
    thread.join()
    (reading,) = found
    assert (reading.accepted, reading.pending) == (4, 1)
    assert reading.accepted == reading.delivered + reading.pending + reading.dead + sum(reading.dropped.values())
    assert reading.oldest_pending_age_s is not None and 60 <= reading.oldest_pending_age_s < 600
    assert (reading.spool_capacity, reading.is_circuit_open) == (1000, True)
    assert reading.spool_bytes and reading.spool_free


def test_a_counter_that_went_down_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    totals = iter([Totals(5, 5), Totals(3, 3), Totals(3, 3), Totals(3, 3), Totals(6, 5)])

    async def status_of(folder: Path, cipher: Cipher) -> FolderStatus:
        return FolderStatus(folder, totals=next(totals))

    monkeypatch.setattr("honeyhive_litellm._cli.folder_metrics.status_of", status_of)
    monkeypatch.setattr("honeyhive_litellm._cli.folder_metrics.FRESH_S", -1.0)
    reader = FolderReader(tmp_path, 1, lambda: False)
    assert [reader.read().accepted for _ in range(3)] == [5, 5, 6]
    assert went_down(Reading(dropped={"age": 2}), Reading(dropped={"age": 1}))
    assert not went_down(Reading(dropped={"age": 2}, pending=9), Reading(dropped={"age": 2, "disk": 1}))


def test_a_reading_is_kept_for_a_moment_and_a_counter_that_stays_down_is_shown_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = 5
    reads = 0

    async def status_of(folder: Path, cipher: Cipher) -> FolderStatus:
        nonlocal reads
        reads += 1
        return FolderStatus(folder, totals=Totals(accepted, accepted))

    monkeypatch.setattr("honeyhive_litellm._cli.folder_metrics.status_of", status_of)
    monkeypatch.setattr("honeyhive_litellm._cli.folder_metrics.FRESH_S", 3600.0)
    reader = FolderReader(tmp_path, 1, lambda: False)
    assert [reader.read().accepted for _ in range(3)] == [5, 5, 5]
    assert reads == 1
    accepted = 3  # somebody deleted the ledger
    monkeypatch.setattr("honeyhive_litellm._cli.folder_metrics.FRESH_S", -1.0)
    assert reader.read().accepted == 5
    monkeypatch.setattr("honeyhive_litellm._cli.folder_metrics.HOLD_S", -1.0)
    assert [reader.read().accepted for _ in range(2)] == [3, 3]


def test_the_exposition_has_every_metric_of_the_table(tmp_path: Path) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="the extra prometheus")
    from honeyhive_litellm._cli.folder_metrics import Exposition
    from honeyhive_litellm._runtime.batch_durations import note_batch

    exposition = Exposition(FolderReader(tmp_path, 1000, lambda: False))
    note_batch(0.3, "delivered")
    text, content_type = exposition.text("text/plain")
    assert content_type.startswith("text/plain")
    families = {family.name: family for family in parser.text_string_to_metric_families(text.decode())}
    names = {metric.prometheus_name for metric in METRICS}
    found = {f"{name}_total" if family.type == "counter" else name for name, family in families.items()}
    assert {name for name in found if not name.endswith("_created")} == names
    assert all(family.documentation for family in families.values())
    samples = families["honeyhive_delivery_batch_duration_seconds"].samples
    counts: Dict[str, Any] = {sample.labels["le"]: sample.value for sample in samples if "le" in sample.labels}
    assert (counts["0.25"], counts["0.5"], counts["+Inf"]) == (0, 1, 1)


# ---- a probe without a port


async def test_a_check_is_one_line_and_an_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONEYHIVE_SPOOL_PATH", str(tmp_path / "spool"))
    loop = asyncio.get_running_loop()

    async def check(*arguments: str) -> Tuple[int, str]:
        invoke = CliRunner().invoke
        result = await loop.run_in_executor(None, lambda: invoke(main, ["status", "--check", *arguments]))
        return result.exit_code, result.output

    assert await check("--max-age", "5m") == (0, f"ok: 0 events pending in {tmp_path}/spool\n")
    spool = spool_in(tmp_path / "spool")
    await spool.append([event("a")._replace(started_ms=time.time() * 1000 - 600_000)])
    await spool.close()
    assert await check() == (0, f"ok: 1 event pending in {tmp_path}/spool\n")
    assert await check("--max-age", "1h") == (0, f"ok: 1 event pending in {tmp_path}/spool\n")
    code, text = await check("--max-age", "5m")
    assert code == 3 and text.startswith("the oldest event has waited for 10 min, more than 5.0 min: 1 event pending")
    code, text = await check("--max-age", "soon")
    assert code == 2 and "30s, 5m, 2h or 1d" in text
    assert os.listdir(tmp_path) == ["spool"]
