"""`honeyhive-litellm relay`: the group, and its commands `init`, `run` and `status`."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, Optional, Tuple

import click

from honeyhive_litellm._cli.common import EXIT_LEFT, json_option, print_json, table
from honeyhive_litellm._cli.health_server import serving
from honeyhive_litellm._cli.logs import JSON, log_format_option, set_up_logs
from honeyhive_litellm._log import fields_of, logger
from honeyhive_litellm._log_codes import LogCode

from .common import administer, config_option, configuration
from .dead import dead

if TYPE_CHECKING:
    from nats.js import JetStreamContext

    from honeyhive_litellm._relay.delivery import DestinationState
    from honeyhive_litellm._relay.relay import Relay
    from honeyhive_litellm._relay.streams import Locked, Numbers


@click.group()
def relay() -> None:
    """The relay: takes events from the streams of a NATS broker and delivers them to HoneyHive.

    Applications publish with `init(broker=...)` and need no key of HoneyHive; the relays have the keys.

    \b
    Example:
        honeyhive-litellm relay run --config relay.toml
    """


relay.add_command(dead)


@relay.command()
@config_option
@json_option
def init(path: Path, as_json: bool) -> None:
    """Make the streams and consumers of all destinations and of the dead letters, or bring them up to date.

    Can be run again at any time: nothing is deleted. The user of the broker needs $JS.API.>, and the answers come on
    _INBOX.hhrelay.>.

    \b
    Example:
        honeyhive-litellm relay init --config relay.toml
    """
    with configuration(path) as config:
        from honeyhive_litellm._relay import streams

        made = administer(config, lambda js: streams.init(js, config))
    if as_json:
        print_json(made=[each._asdict() for each in made])
    else:
        table("Streams and consumers", ("name", "what", "change", "replicas"), [tuple(each) for each in made])


@relay.command()
@config_option
@click.option(
    "--metrics-port", type=click.IntRange(0, 65_535), help="serve /metrics, /livez and /readyz here; 0 takes a free one"
)
@click.option("--metrics-host", default="", help="address to serve them on; all, if there is none")
@log_format_option
@click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end")
def run(path: Path, metrics_port: Optional[int], metrics_host: str, log_format: str, as_json: bool) -> None:
    """Deliver until SIGTERM or Ctrl-C. Any number of relays may run with the same configuration.

    The keys are taken from the variables and the file that the configuration names. At the end, what is being sent is
    finished, for at most `shutdown_timeout` seconds, and the rest is given back, so that other relays have it at once.

    \b
    Example:
        honeyhive-litellm relay run --config relay.toml --metrics-port 9464
    """
    with configuration(path, with_keys=True) as config:
        from honeyhive_litellm._relay.relay import Relay

        set_up_logs(log_format)
        work = Relay(config)
        names = ", ".join(destination.name for destination in config.destinations)
        logger.info("the relay of %s starts", names, extra=fields_of(LogCode.RELAY_STARTED))
        with _metrics_served(work, metrics_host, metrics_port, log_format):
            states = asyncio.run(_run(work))
    delivered, letters = sum(state.delivered for state in states), sum(state.dead for state in states)
    numbers = {"delivered": delivered, "dead": letters}
    logger.info("the relay of %s ends", names, extra=fields_of(LogCode.RELAY_ENDED, numbers))
    if as_json:
        print_json(**numbers)
    elif log_format != JSON:
        click.echo(f"delivered {delivered}, dead letters {letters}")


@relay.command()
@config_option
@json_option
def status(path: Path, as_json: bool) -> None:
    """Show the numbers of every destination: accepted = delivered + waiting + dead + purged.

    They are the broker's, of all relays together. What is still in the spools of the applications is not in them.
    "locked" counts those of the oldest 100 waiting events that are encrypted with a key that this command does not
    have. Exit code 3 if something waits or is a dead letter.

    \b
    Example:
        honeyhive-litellm relay status --json
    """
    with configuration(path) as config:
        from honeyhive_litellm._relay.streams import locked_in, numbers_of

        async def all_numbers(js: JetStreamContext) -> List[Tuple[Numbers, Locked]]:
            return [
                (await numbers_of(js, destination), await locked_in(js, destination, config.cipher))
                for destination in config.destinations
            ]

        found = administer(config, all_numbers)
    if as_json:
        print_json(destinations=[{**numbers._asdict(), **locked._asdict()} for numbers, locked in found])
    else:
        table("Destinations", _HEADS, [_line(numbers, locked) for numbers, locked in found])
        for numbers, locked in found:
            if locked.locked:
                ids = ", ".join(locked.missing_keys)
                click.echo(f"{numbers.destination}: the key {ids} is not here: key_env or key_file in {path} names it")
    if any(numbers.waiting or numbers.dead for numbers, _ in found):
        sys.exit(EXIT_LEFT)


_HEADS = ("destination", "accepted", "delivered", "waiting", "in hand", "locked", "dead", "purged", "full", "replicas")


def _line(numbers: Numbers, locked: Locked) -> List[object]:
    full = f"{numbers.bytes / numbers.max_bytes:.0%}" if numbers.max_bytes > 0 else None
    before = (numbers.destination, numbers.accepted, numbers.delivered, numbers.waiting, numbers.in_hand)
    return [*before, locked.locked, numbers.dead, numbers.purged, full, numbers.replicas]


@contextmanager
def _metrics_served(work: Relay, host: str, port: Optional[int], log_format: str) -> Iterator[None]:
    if port is None:
        yield
        return
    from .metrics import RelayHealth

    try:
        health = RelayHealth(work)
    except ImportError as error:
        raise click.ClickException("--metrics-port needs: pip install 'honeyhive-litellm[prometheus]'") from error
    with serving(host, port, health) as bound:
        logger.info("metrics and health are served on port %d", bound, extra=fields_of(LogCode.METRICS_SERVED))
        if log_format != JSON:
            click.echo(f"metrics: http://{host or 'localhost'}:{bound}/metrics", err=True)
        yield


async def _run(work: Relay) -> List[DestinationState]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, work.stop)
        except NotImplementedError:  # on Windows Ctrl-C ends this like any program, and nothing is lost
            break
    return await work.run()
