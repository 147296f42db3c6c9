"""`honeyhive-litellm drain`: deliver what is in a spool, once or as a sidecar."""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
from contextlib import contextmanager
from typing import Dict, Iterator, List, Mapping, Optional, Sequence

import click

from honeyhive_litellm._config.destinations import MAIN
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._log import fields_of, logger
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._privacy.cipher import cipher_of
from honeyhive_litellm._runtime.channels import channel_settings, without_settings
from honeyhive_litellm._runtime.drain import Drain
from honeyhive_litellm._runtime.pipeline import spool_folder_of
from honeyhive_litellm._stats import Stats

from .common import EXIT_LEFT, counted, errors_reported, print_json
from .folder_metrics import Exposition, FolderReader
from .health_server import Health, serving
from .logs import JSON, log_format_option, set_up_logs
from .spool_folder import destination_option, existing, options_for_removed, settings_of, spool_options


@click.command()
@spool_options
@destination_option
@click.option("--follow", is_flag=True, help="go on until SIGTERM or Ctrl-C, as a sidecar")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="end after so many seconds")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    help="with --follow: serve /metrics, /livez and /readyz on this port; 0 takes a free one",
)
@click.option("--metrics-host", default="", help="address to serve them on; all, if there is none")
@log_format_option
@click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end")
def drain(
    follow: bool,
    timeout: Optional[float],
    metrics_port: Optional[int],
    metrics_host: str,
    log_format: str,
    as_json: bool,
    **options: Optional[str],
) -> None:
    """Deliver what is in a spool: of processes that ended, and of those that only write (`flush=False`).

    What a living process delivers itself is left to that process. The key is taken from HONEYHIVE_API_KEY alone, since
    other users can read command lines. Without --follow and --timeout this ends when everything is delivered, or when
    nothing has changed for a minute. Exit code 0 if everything was delivered, 3 if something stays in the spool.

    --metrics-port needs the extra prometheus. /metrics has the numbers of all processes of the spool; /livez fails if
    this process hangs, and /readyz if the spool cannot be written and read.

    Each destination in HONEYHIVE_DESTINATIONS is delivered with its own key. Events of another one stay: deliver them
    with its key in HONEYHIVE_API_KEY, and --destination, --project and --spool-path.

    Events of another project than --project stay as well, if its processes had the same spool path. Deliver them with
    its name and its key.

    Encrypted files are delivered with the keys in HONEYHIVE_SPOOL_KEY or HONEYHIVE_SPOOL_KEY_FILE. Those whose key is
    missing stay as they are and count as locked.

    \b
    Example:
        honeyhive-litellm drain --project my-project --follow --metrics-port 9464
    """
    if metrics_port is not None and not follow:
        raise click.UsageError("--metrics-port needs --follow: without it this process ends before it is scraped")
    with errors_reported():
        settings = settings_of(options)
        if not follow:
            existing(settings.spool_path)
        named = {} if options["destination"] else channel_settings(settings)
        left_out = [] if options["destination"] else _left_out(settings)
        set_up_logs(log_format)
        logger.info("the drain of %s starts", settings.spool_path, extra=fields_of(LogCode.DRAIN_STARTED))
        label = options["destination"] or (MAIN if named else None)
        each: Dict[Optional[str], Settings] = {label: settings, **dict(named.items())}
        work = Drain(each, follow=follow, timeout_s=timeout)
        with _metrics_served(work, settings, named, metrics_host, metrics_port, log_format):
            stats = asyncio.run(_run(work))
    dropped = sum(stats.dropped.values())
    numbers = {"delivered": stats.delivered, "dead": stats.dead, "dropped": dropped, "pending": stats.pending}
    if stats.locked:
        numbers["locked"] = stats.locked
    logger.info("the drain of %s ends", settings.spool_path, extra=fields_of(LogCode.DRAIN_ENDED, numbers))
    others = sorted(work.other_projects)
    if as_json:
        by_name = {name: _numbers(each) for name, each in stats.destinations.items()}
        further = {"destinations": by_name, "without_settings": left_out} if by_name or left_out else {}
        numbers["locked"] = stats.locked
        print_json(**numbers, other_projects=others, last_error=stats.last_error, **further)
    elif log_format != JSON:
        _print(stats, dropped, settings)
        _print_left_out(left_out, settings)
    if stats.pending or stats.locked or left_out or others:
        sys.exit(EXIT_LEFT)


def _numbers(stats: Stats) -> Dict[str, object]:
    dropped = sum(stats.dropped.values())
    return {
        "delivered": stats.delivered,
        "dead": stats.dead,
        "dropped": dropped,
        "pending": stats.pending,
        "locked": stats.locked,
        "last_error": stats.last_error,
    }


@contextmanager
def _metrics_served(
    work: Drain, settings: Settings, named: Mapping[str, Settings], host: str, port: Optional[int], log_format: str
) -> Iterator[None]:
    if port is None:
        yield
        return

    def reader_of(name: Optional[str], each: Settings) -> FolderReader:
        is_open = functools.partial(work.is_circuit_open, name)
        return FolderReader(spool_folder_of(each), each.spool_max_bytes, is_open, cipher_of(each.spool_key))

    try:
        exposition = Exposition(
            reader_of(None, settings), {name: reader_of(name, each) for name, each in named.items()}
        )
    except ImportError as error:
        raise click.ClickException("--metrics-port needs: pip install 'honeyhive-litellm[prometheus]'") from error
    health = Health(spool_folder_of(settings), lambda: work.turned_at, exposition.text)
    with serving(host, port, health) as bound:
        logger.info("metrics and health are served on port %d", bound, extra=fields_of(LogCode.METRICS_SERVED))
        if log_format != JSON:
            click.echo(f"metrics: http://{host or 'localhost'}:{bound}/metrics", err=True)
        yield


def _print(stats: Stats, dropped: int, settings: Settings) -> None:
    locked = f", locked {stats.locked}" if stats.locked else ""
    left = f"left {stats.pending}{locked}"
    click.echo(f"delivered {stats.delivered}, dead letters {stats.dead}, dropped {dropped}, {left}")
    if stats.pending:
        why = f": {stats.last_error}" if stats.last_error else ""
        click.echo(f"{stats.pending} events stay in {spool_folder_of(settings)} for the next run{why}", err=True)
    by_name: Mapping[str, Stats] = stats.destinations or {"": stats}
    for name, each in by_name.items():
        if each.locked:
            where = f" of {name}" if name else ""
            click.echo(
                f"locked: {counted(each.locked, 'event')}{where}, with those of interrupted calls, encrypted with a "
                "key that neither HONEYHIVE_SPOOL_KEY nor HONEYHIVE_SPOOL_KEY_FILE has",
                err=True,
            )


def _left_out(settings: Settings) -> List[str]:
    """The destinations that this run does not deliver, although nobody else does."""
    found = asyncio.run(without_settings(settings))
    return [name for name, status in found.items() if status.without_deliverer or status.unreadable]


def _print_left_out(names: Sequence[str], settings: Settings) -> None:
    is_listed = settings.broker is None or settings.destination_list
    why = "is not in HONEYHIVE_DESTINATIONS" if is_listed else f"this run publishes to {settings.broker_destination}"
    for name in names:
        click.echo(
            f"the destination {name} has undelivered events and {why}: they are kept. "
            f"Deliver them by {options_for_removed(name, settings)}",
            err=True,
        )


async def _run(drain_: Drain) -> Stats:
    """Run it until it is done or a signal stops it."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, drain_.stop)
        except NotImplementedError:  # on Windows Ctrl-C ends this like any program, and nothing is lost
            break
    return await drain_.run()
