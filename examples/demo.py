"""Show the main promise at work: no LiteLLM call is lost, whatever happens to HoneyHive or to the process.

Everything runs on this machine: a HoneyHive-compatible collector, an OpenAI-compatible model server, and a
worker process that makes real LiteLLM calls. No account, no key, no network. Exit code 0 if every call has
arrived as exactly one event, 1 otherwise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, List, Mapping, Optional, Type

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from honeyhive_litellm.testing import Collector, ModelServer

WORKER = Path(__file__).with_name("demo_worker.py")
REQUESTS_A_ROUND = 13
ROUNDS = {"quiet": 2, "collector down": 2, "after the restart": 2, "collector back": 1}
STEP_TIMEOUT_S = 180.0
DELIVERY_TIMEOUT_S = 45.0
WORKER_LOG = "worker.log"
TAIL_CHARACTERS = 3000

Json = Dict[str, Any]


class Worker:
    """The application, a real child process: commands go in, a line of JSON comes out for each call."""

    def __init__(self, environment: Mapping[str, str], errors: Path) -> None:
        self.errors = errors
        self.calls: List[Json] = []
        self._done = 0
        self._ready = False
        with errors.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(WORKER)],
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = json.loads(text)
            if "call" in line:
                self.calls.append(line)
            self._done += "done" in line
            self._ready = self._ready or "ready" in line

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_ready(self) -> bool:
        self._must_live()
        return self._ready

    def tell(self, command: str, times: int = 1) -> Callable[[], bool]:
        """Send a command, and return the question whether it has been carried out."""
        assert self._process.stdin is not None
        goal = self._done + times
        self._process.stdin.write(f"{command}\n" * times)
        self._process.stdin.flush()

        def is_done() -> bool:
            self._must_live()
            return self._done >= goal

        return is_done

    def kill(self) -> None:
        """End the process at once (SIGKILL): it has no chance to save or send anything."""
        self._process.kill()
        self._wait()

    def finish(self) -> int:
        """Let the process end by itself, and return its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._wait()

    def _wait(self) -> int:
        code = self._process.wait(STEP_TIMEOUT_S)
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def _must_live(self) -> None:
        if self._process.poll() is not None:
            tail = self.errors.read_text(encoding="utf-8", errors="replace")[-TAIL_CHARACTERS:]
            raise RuntimeError(f"the worker ended by itself ({self._process.returncode}):\n{tail}")


class Screen:
    """The story in sentences, above three bars; without a terminal, sentences and numbers only."""

    def __init__(self, console: Console, collector: Collector, models: ModelServer) -> None:
        self._console, self._collector, self._models = console, collector, models
        self._shown = (0, 0)
        columns = [TextColumn("{task.description:<32}"), BarColumn(40), MofNCompleteColumn()]
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        planned = sum(ROUNDS.values()) * REQUESTS_A_ROUND + 1
        self._requests = self._progress.add_task("model requests made", total=planned)
        self._waiting = self._progress.add_task("events waiting on disk", total=planned)
        self._delivered = self._progress.add_task("events delivered to HoneyHive", total=planned)

    def __enter__(self) -> Screen:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._refresh()
        self._progress.stop()

    def say(self, sentence: str) -> None:
        self._progress.console.print(f"[bold]>[/bold] {sentence}", highlight=False)

    def wait(self, what: str, is_done: Callable[[], bool], timeout_s: Optional[float] = None) -> None:
        """Keep the bars moving until *is_done*; then print the numbers if nobody could see the bars."""
        timeout_s = timeout_s or STEP_TIMEOUT_S
        deadline = time.monotonic() + timeout_s
        while not is_done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_s:.0f} s for this: {what}")
            self._refresh()
            time.sleep(0.05)
        self._refresh()
        made, delivered = self._numbers()
        if not self._console.is_terminal and (made, delivered) != self._shown:
            self._shown = (made, delivered)
            print(f"  {made} model requests made, {delivered} events delivered, {made - delivered} waiting")

    def _numbers(self) -> tuple[int, int]:
        attempts = [event for event in self._collector.events if event["event_type"] != "chain"]
        return len(self._models.requests), len(attempts)

    def _refresh(self) -> None:
        made, delivered = self._numbers()
        self._progress.update(self._requests, completed=made)
        self._progress.update(self._delivered, completed=delivered)
        self._progress.update(self._waiting, completed=max(0, made - delivered))


def worker_environment(collector: Collector, models: ModelServer, spool: Path) -> Dict[str, str]:
    """Build the worker's settings; whatever real keys this shell holds are kept out of the demo."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("HONEYHIVE_", "HH_"))}
    return {
        **{name: value for name, value in ours.items() if not name.endswith("_API_KEY")},
        "HONEYHIVE_API_KEY": "hh_demo",
        "HONEYHIVE_PROJECT": "demo",
        "HONEYHIVE_ENVIRONMENT": "demo",
        "HONEYHIVE_API_URL": collector.url,
        "HONEYHIVE_SPOOL_PATH": str(spool),
        "DEMO_MODELS_URL": models.url,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
    }


def prepare(models: ModelServer) -> None:
    """Give the models their roles: two work, one is overloaded, one is broken, one never answers."""
    models.behave("gpt-4o-mini", "slow-30")
    models.behave("gpt-4o", "slow-60")
    models.behave("gpt-4.1-nano", "fail-429")
    models.behave("gpt-4.1-mini", "fail-500")
    models.behave("gpt-4.1", "hang")


def before_the_kill(worker: Worker, collector: Collector, models: ModelServer, screen: Screen) -> None:
    screen.wait("the worker's start", worker.is_ready)
    screen.say("The worker makes LiteLLM calls: chat, streams, tools, embeddings, errors, a Router with a fallback.")
    screen.wait("the first calls", worker.tell("round", ROUNDS["quiet"]))
    collector.down()
    screen.say("[red]The collector goes down.[/red] The worker does not notice: its calls go on, events go to disk.")
    screen.wait("the calls during the outage", worker.tell("round", ROUNDS["collector down"]))
    requests = len(models.requests)
    screen.wait("one more call", worker.tell("hang"))
    screen.wait("the call in flight", lambda: len(models.requests) > requests)
    time.sleep(0.3)  # its start is on disk long before this, but nobody reports that of a call in flight
    worker.kill()
    screen.say(f"[red]The worker (pid {worker.pid}) is killed with SIGKILL[/red], in the middle of a call.")


def after_the_kill(worker: Worker, collector: Collector, models: ModelServer, screen: Screen) -> None:
    screen.say(f"The worker is started again (pid {worker.pid}); the collector is still down.")
    screen.wait("the worker's restart", worker.is_ready)
    screen.wait("the calls after the restart", worker.tell("round", ROUNDS["after the restart"]))
    collector.up()
    screen.say("[green]The collector is back.[/green] The calls go on, and what waited on disk goes out.")
    screen.wait("the last calls", worker.tell("round", ROUNDS["collector back"]))
    try:
        screen.wait(
            "the delivery of every event",
            lambda: len(collector.receipts) >= len(models.requests),
            DELIVERY_TIMEOUT_S,
        )
    except TimeoutError as error:
        screen.say(f"[red]{error}[/red]")
    code = worker.finish()
    screen.say(f"The worker ends by itself (exit code {code}).")


def run_story(console: Console, collector: Collector, models: ModelServer, folder: Path) -> List[Json]:
    """Play the whole story, and return what the workers reported: a line for each call."""
    environment = worker_environment(collector, models, folder / "spool")
    errors = folder / WORKER_LOG
    with Screen(console, collector, models) as screen:
        screen.say(f"A HoneyHive-compatible collector listens on {collector.url}, the models on {models.url}.")
        with Worker(environment, errors) as first:
            screen.say(f"The worker (pid {first.pid}) starts; its spool is a folder on this disk.")
            before_the_kill(first, collector, models, screen)
        with Worker(environment, errors) as second:
            after_the_kill(second, collector, models, screen)
    return [*first.calls, *second.calls, {"call": "in flight", "answer": None, "events": 1}]


def shorten(text: str, length: int = 44) -> str:
    line = " ".join(text.split()).replace("litellm.", "")
    return line if len(line) <= length else line[: length - 3] + "..."


def outcome(event: Json) -> str:
    """Tell the first words of what a call gave: its error, its tool call, its vectors or its text."""
    outputs = event.get("outputs") or {}
    if event.get("error"):
        return shorten(str(event["error"]))
    if outputs.get("tool_calls"):
        function = outputs["tool_calls"][0]["function"]
        return shorten(f"{function['name']}({function['arguments']})")
    if outputs.get("num_embeddings"):
        return f"{outputs['num_embeddings']} vectors of {outputs.get('dimensions')}"
    if outputs.get("served_by"):
        served = outputs["served_by"]
        return f"served by {served['model_group']!r}, attempt {served['attempt']}"
    return shorten(str(outputs.get("content") or ""))


def kinds_table(events: List[Json]) -> Table:
    """Show one event of each kind: the first with its name, model, status and kind of answer."""
    table = Table(title="What arrived, one of each kind", box=box.SIMPLE_HEAD, padding=0)
    for column in ("event", "model", "status"):
        table.add_column(column, no_wrap=True)
    for column in ("n", "tokens", "cost $", "ms"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("outcome")  # the one column that gives way on a narrow screen
    groups: Dict[tuple[object, ...], List[Json]] = {}
    for event in events:
        config, metadata = event.get("config") or {}, event.get("metadata") or {}
        has_tools = bool((event.get("outputs") or {}).get("tool_calls"))
        key = (event.get("event_name"), config.get("model"), metadata.get("status"), has_tools)
        groups.setdefault(key, []).append(event)
    for (name, model, status, _), members in sorted(groups.items(), key=lambda item: str(item[0])):
        metadata = members[0].get("metadata") or {}
        tokens, cost, duration = (
            metadata.get("total_tokens"),
            metadata.get("cost"),
            members[0].get("duration"),
        )
        table.add_row(
            str(name),
            shorten(str(model), 16),
            f"[{'green' if status == 'success' else 'yellow'}]{status}[/]",
            str(len(members)),
            "" if tokens is None else str(tokens),
            "" if cost is None else f"{cost:.6f}",
            "" if duration is None else f"{duration:.0f}",
            Text(outcome(members[0]), no_wrap=True, overflow="ellipsis"),
        )
    return table


def count_arrived(events: List[Json]) -> Counter[str]:
    """Count the events by name, each event id once."""
    unique = {event["event_id"]: str(event.get("event_name")) for event in events}
    return Counter(unique.values())


def verdict(console: Console, calls: List[Json], collector: Collector, requests: int) -> bool:
    """Print the balance and return whether it is even: one event for each request, none lost, none twice.

    A Router's request of several attempts has one event more, their parent.
    """
    expected: Counter[str] = Counter()
    for call in calls:
        expected[call["call"]] += call["events"]
    arrived = count_arrived(collector.events)
    lost, unasked = expected - arrived, arrived - expected
    answers = {call["answer"] for call in calls if call["answer"]}
    unrecorded = answers - {(event.get("metadata") or {}).get("response_id") for event in collector.events}
    duplicates = sum(times - 1 for times in collector.receipts.values())
    table = Table(title="The balance", show_header=False, box=box.ROUNDED)
    table.add_row("LiteLLM calls made (one was cut off by the kill)", str(len(calls)))
    table.add_row("model requests these needed (failed Router attempts count)", str(requests))
    table.add_row("events arrived (with a parent for each request of several attempts)", str(sum(arrived.values())))
    table.add_row("duplicates", str(duplicates))
    table.add_row("lost", str(sum(lost.values())))
    console.print(table)
    parents = sum(event["event_type"] == "chain" for event in collector.events)
    reported = sum(expected.values()) - parents
    if reported != requests:
        console.print(f"[red]The worker reported {reported} requests, the models saw {requests}.[/red]")
    for what, names in (
        ("lost", dict(lost)),
        ("unasked", dict(unasked)),
        ("answers in no event", unrecorded),
    ):
        if names:
            console.print(f"[red]{what}: {names}[/red]")
    return not (lost or unasked or unrecorded or duplicates) and reported == requests


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 120)
    keeps_serving = "--view" in sys.argv[1:]
    started = time.monotonic()
    scratch = tempfile.TemporaryDirectory(prefix="honeyhive-demo-")
    with scratch as folder, Collector(pages=True) as collector, ModelServer() as models:
        prepare(models)
        try:
            calls = run_story(console, collector, models, Path(folder))
        except TimeoutError as error:
            tail = (Path(folder) / WORKER_LOG).read_text(encoding="utf-8", errors="replace")[-TAIL_CHARACTERS:]
            console.print(f"{error}\nThe end of the worker's log:\n{tail}", style="red", markup=False, highlight=False)
            return 1
        console.print(kinds_table(list(collector.events)))
        is_even = verdict(console, calls, collector, len(models.requests))
        took = time.monotonic() - started
        if is_even:
            console.print(f"[bold green]Every call arrived as exactly one event[/bold green], in {took:.0f} s.")
        else:
            console.print("[bold red]The balance is not even: see above.[/bold red]")
        console.print(f"The events in a browser: {collector.page_link}", soft_wrap=True, highlight=False)
        if keeps_serving:
            keep_serving(console)
        else:
            console.print("That link ends with this demo. `make view` plays it again and keeps serving.")
    return 0 if is_even else 1


def keep_serving(console: Console) -> None:
    console.print("Ctrl-C ends it.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    sys.exit(main())
