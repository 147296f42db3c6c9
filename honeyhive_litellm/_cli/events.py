"""`honeyhive-litellm events`: what a local collector has, for people, scripts and coding agents."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, TypeVar, Union
from urllib.parse import quote, urlencode

import click

from .common import JSON_SCHEMA, errors_reported, json_option, print_json

if TYPE_CHECKING:
    from honeyhive_litellm.collector.archive import Archive

DEFAULT_URL = "http://127.0.0.1:8787"
_TIMEOUT_S = 30.0
_F = TypeVar("_F", bound=Callable[..., Any])
Query = List[Tuple[str, str]]

_VALUES = ("status", "model", "provider", "kind", "project", "source", "user", "tag")
_SINGLE = {
    "session": "id of a session",
    "trace": "id of a trace",
    "last": "a span of time before now: 15m, 24h, 7d",
    "from": "not before this time, ISO 8601",
    "to": "not after this time",
    "cost_min": "cost in $, at least",
    "cost_max": "cost in $, at most",
    "duration_min": "duration in ms, at least",
    "duration_max": "duration in ms, at most",
    "q": 'words that occur; "side by side", -not',
}


def source_options(command: _F) -> _F:
    """Which collector is meant."""
    url = click.option("--url", help=f"a running collector  [default: {DEFAULT_URL}; key: HONEYHIVE_API_KEY]")
    db = click.option("--db", type=click.Path(exists=True, dir_okay=False), help="a collector's file instead")
    return db(url(command))


def filter_options(command: _F) -> _F:
    """The filter of the pages; see the help page there."""
    for name, text in reversed(list(_SINGLE.items())):
        command = click.option(f"--{name.replace('_', '-')}", f"filter_{name}", help=text)(command)
    for name in reversed(_VALUES):
        command = click.option(f"--{name}", f"filter_{name}", multiple=True, help="may be repeated")(command)
    return command


@click.group()
def events() -> None:
    """The events of a local collector: of a running one, or of its --db file.

    \b
    Example:
        honeyhive-litellm events list --status failure
    """


@events.command("list")
@source_options
@filter_options
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="so many, the newest")
@json_option
def list_(url: Optional[str], db: Optional[str], limit: int, as_json: bool, **options: Any) -> None:
    """List events, newest first: time, id, status, model, tokens, cost, duration, first words.

    \b
    Example:
        honeyhive-litellm events list --last 15m --model gpt-4o
    """
    with opened(url, db) as source:
        text = b"".join(source.events(_query(options), "rows" if as_json else "txt", limit)).decode("utf-8", "replace")
    if as_json:
        print_json(events=[json.loads(line) for line in text.splitlines()])
    else:
        click.echo(text or "no events", nl=not text)


@events.command()
@source_options
@click.option("--json", "as_json", is_flag=True, help="print the event as JSON")
@click.argument("event_id", metavar="ID")
def show(url: Optional[str], db: Optional[str], as_json: bool, event_id: str) -> None:
    """Show one event as compact Markdown.

    \b
    Example:
        honeyhive-litellm events show 3f2a9c0e-5d1b-4c62-9a57-0b8f6e2d4c11
    """
    with opened(url, db) as source:
        found = source.event(event_id, "json" if as_json else "md")
    if found is None:
        raise click.ClickException(f"there is no event {event_id}; see `honeyhive-litellm events list`")
    if as_json:
        print_json(event=json.loads(found))
    else:
        click.echo(found.decode("utf-8", "replace").rstrip("\n"))


@events.command()
@source_options
@filter_options
@click.option("--json", "as_json", is_flag=True, help="print each as one line of JSON")
def tail(url: Optional[str], db: Optional[str], as_json: bool, **options: Any) -> None:
    """Print events as they arrive, until Ctrl-C.

    \b
    Example:
        honeyhive-litellm events tail --status failure
    """
    with opened(url, db) as source:
        for line in source.follow(_query(options), "rows" if as_json else "txt"):
            click.echo(json.dumps({"schema": JSON_SCHEMA, **json.loads(line)}) if as_json else line)
            sys.stdout.flush()


@events.command()
@source_options
@filter_options
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
def export(url: Optional[str], db: Optional[str], form: str, **options: Any) -> None:
    """Write all events of a filter to standard output, newest first.

    \b
    Example:
        honeyhive-litellm events export --last 24h --format csv
    """
    with opened(url, db) as source:
        for chunk in source.events(_query(options), form, None):
            click.echo(chunk, nl=False)


def _query(options: Dict[str, Any]) -> Query:
    """The filter as a URL has it."""
    query: Query = []
    for option, value in options.items():
        values: Sequence[str] = value if isinstance(value, tuple) else () if value is None else (value,)
        query.extend((option[len("filter_") :], item) for item in values)
    return query


@contextmanager
def opened(url: Optional[str], db: Optional[str]) -> Iterator[Union[Archive, Running]]:
    """The collector that is meant; its failures in words."""
    if url is not None and db is not None:
        raise click.UsageError("give --url or --db, not both")
    try:
        with errors_reported():
            if db is None:
                yield Running(url or DEFAULT_URL)
                return
            from honeyhive_litellm.collector.archive import Archive

            with Archive(db) as archive:
                yield archive
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        pass  # the way to end `tail`


class Running:
    """A collector that is reached at a URL, with the same methods as an `Archive`."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise click.ClickException("the collector's address must begin with http:// or https://")
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {os.environ.get('HONEYHIVE_API_KEY', '').strip() or 'hh_local'}"}
        # A proxy of the environment cannot reach this machine's loopback.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def events(self, query: Query, form: str, limit: Optional[int] = None) -> Iterator[bytes]:
        """The events of a filter."""
        more = [] if limit is None else [("limit", str(limit))]
        with self._get(f"/export.{form}?{urlencode([*query, *more])}") as answer:
            while True:
                chunk = answer.read(65_536)
                if not chunk:
                    return
                yield chunk

    def event(self, event_id: str, form: str) -> Optional[bytes]:
        """One event; None if there is none."""
        try:
            with self._get(f"/events/{quote(event_id, safe='')}.{form}") as answer:
                body: bytes = answer.read()
                return body
        except _MissingError:
            return None

    def follow(self, query: Query, form: str) -> Iterator[str]:
        """The events that arrive from now on."""
        with self._get(f"/live?{urlencode([*query, ('as', form), ('since', 'now')])}", timeout_s=None) as answer:
            for line in answer:
                if line.startswith(b"data: "):
                    yield from (row["html"] for row in json.loads(line[6:]).get("rows", ()))

    @contextmanager
    def _get(self, path: str, timeout_s: Optional[float] = _TIMEOUT_S) -> Iterator[Any]:
        request = urllib.request.Request(self._url + path, headers=self._headers)  # noqa: S310 - http, see above
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise _MissingError from error
            words = error.read(500).decode("utf-8", "replace") if error.code == 400 else error.reason
            hint = ": set HONEYHIVE_API_KEY to the key that `serve` printed" if error.code == 401 else f": {words}"
            raise click.ClickException(f"{self._url} answered {error.code}{hint}") from error
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise click.ClickException(
                f"no collector answers at {self._url} ({reason}): start one with `honeyhive-litellm serve`, "
                "or name its --url or --db"
            ) from error


class _MissingError(Exception):
    pass
