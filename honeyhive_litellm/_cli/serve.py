"""`honeyhive-litellm serve`: the local collector with its pages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import threading
import webbrowser
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple

import click

from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._spool import dead_letters
from honeyhive_litellm._spool.status import status_of
from honeyhive_litellm.collector.spool_view import SpoolView

from .common import errors_reported, one_line
from .logs import JSON, log_format_option, set_up_logs
from .spool_folder import cipher_to_read, existing
from .spool_view import view_of

_log = logging.getLogger("honeyhive_litellm.collector")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on")
@click.option("--port", default=8787, show_default=True, help="port to listen on; 0 takes a free one")
@click.option("--db", type=click.Path(dir_okay=False), help="file to keep the events in; without it they go at exit")
@click.option("--open", "opens", is_flag=True, help="open the pages in a browser")
@click.option("--spool", type=click.Path(file_okay=False), help="folder of a spool to show beside, without changing it")
@click.option("--allow-host", "hosts", multiple=True, help="a further name of this machine, as clients call it")
@click.option("--quiet", is_flag=True, help="print no line for each event")
@log_format_option
def serve(
    host: str,
    port: int,
    db: Optional[str],
    opens: bool,
    spool: Optional[str],
    hosts: Tuple[str, ...],
    quiet: bool,
    log_format: str,
) -> None:
    """Run a local HoneyHive-compatible server with pages to look at what arrives.

    Prints the line to paste into a program, a link that opens the pages in one browser, and then a line for each event
    that arrives: time, kind, model, status, tokens, milliseconds. On an address that other
    machines reach, programs need the key that is printed, too: HONEYHIVE_API_KEY if it is set, else a new one.

    \b
    Example:
        honeyhive-litellm serve --db events.db --open
    """
    from honeyhive_litellm.collector import PageOptions, Rules, run
    from honeyhive_litellm.collector._hosts import is_loopback

    set_up_logs(log_format)
    logs_json = log_format == JSON
    own_key = os.environ.get("HONEYHIVE_API_KEY", "").strip()
    is_local = is_loopback(host)
    key = "hh_local" if is_local else own_key or f"hh_local_{secrets.token_urlsafe(24)}"
    folder = None if spool is None else existing(Path(os.path.abspath(os.path.expanduser(spool))))
    cipher = NO_CIPHER if folder is None else cipher_to_read()
    pages = PageOptions(
        key=key,
        read_spool=None if folder is None else lambda: _read_spool(folder, cipher),
        on_link=_link_shower(opens, _log_link if logs_json else click.echo),
    )
    with errors_reported():
        run(
            host,
            port,
            db,
            _log_serving if logs_json else click.echo,
            rules=Rules(keys=None if is_local else [key]),
            pages=pages,
            allow_hosts=hosts,
            on_events=_ignore if quiet else _log_events if logs_json else _print_events,
        )


def _print_events(events: Sequence[Mapping[str, Any]]) -> None:
    # In one write, so that the lines of a batch stay together.
    click.echo("\n".join(line_of(event) for event in events), nl=bool(events))


def _log_events(events: Sequence[Mapping[str, Any]]) -> None:
    for event in events:
        metadata = _object(event, "metadata")
        fields = {
            "event_id": event.get("event_id"),
            "event_type": event.get("event_type"),
            "model": metadata.get("model"),
            "status": metadata.get("status"),
            "total_tokens": metadata.get("total_tokens"),
            "duration_ms": event.get("duration"),
        }
        _log.info("an event arrived", extra={"event_code": LogCode.COLLECTOR_EVENT.code, **fields})


def _log_serving(line: str) -> None:
    _log.info("the collector listens; to use it: %s", line, extra={"event_code": LogCode.COLLECTOR_SERVING.code})


def _log_link(line: str) -> None:
    _log.info("%s", line, extra={"event_code": LogCode.COLLECTOR_LINK.code})


def _ignore(_events: Sequence[Mapping[str, Any]]) -> None:
    pass


def line_of(event: Mapping[str, Any]) -> str:
    """An event in one line: the time it began, kind, model, status, tokens, milliseconds; "-" for what it lacks."""
    metadata, config = _object(event, "metadata"), _object(event, "config")
    start_ms, duration_ms = event.get("start_time"), event.get("duration")
    began = "-"
    if isinstance(start_ms, (int, float)):
        with contextlib.suppress(OverflowError, OSError, ValueError):  # a year beyond the calendar
            began = datetime.fromtimestamp(start_ms / 1000).astimezone().strftime("%H:%M:%S")
    status = metadata.get("status") or ("failure" if event.get("error") else "success")
    tokens = metadata.get("total_tokens")
    cells = (
        began,
        _cell(event.get("event_type"), 6),
        _cell(metadata.get("model") or config.get("model") or event.get("event_name"), 28),
        _cell(status, 11),
        f"{'-' if tokens is None else one_line(str(tokens), 10):>7} tokens",
        f"{duration_ms:8.0f} ms" if isinstance(duration_ms, (int, float)) else "       - ms",
    )
    return "  ".join(cells)


def _object(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def _cell(value: object, width: int) -> str:
    # One line: what arrives may contain terminal escapes.
    return one_line("-" if value is None else str(value), 40).ljust(width)


def _link_shower(opens: bool, show_line: Callable[[str], None]) -> Callable[[str], None]:
    """A function that prints each link, and opens the first one if `opens`."""
    shown: List[str] = []

    def show(link: str) -> None:
        is_first = not shown
        shown.append(link)
        show_line(f"{'pages:' if is_first else 'for another browser:'} {link}")
        if is_first and opens:  # some browsers keep `open` from returning
            threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()

    return show


def _read_spool(folder: Path, cipher: Cipher) -> SpoolView:
    return view_of(asyncio.run(status_of(folder, cipher)), dead_letters.letters(folder, cipher))
