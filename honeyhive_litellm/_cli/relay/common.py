"""What the commands of the relay share: the configuration, and a connection that administers the streams."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Iterator, Optional, TypeVar

import click

from honeyhive_litellm._cli.common import errors_reported

if TYPE_CHECKING:
    from nats.js import JetStreamContext

    from honeyhive_litellm._relay.config import Destination, RelayConfig

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

_EXTRA = "the relay needs: pip install 'honeyhive-litellm[nats]'"


def config_option(command: _F) -> _F:
    """The option, whose value `configuration` takes."""
    return click.option(
        "--config",
        "path",
        type=click.Path(dir_okay=False, path_type=Path),
        default=Path("relay.toml"),
        show_default=True,
        help="the relay's configuration",
    )(command)


def destination_option(command: _F) -> _F:
    """The option, whose value `chosen` takes."""
    return click.option("--destination", "name", help="name of a destination; not needed if there is only one")(command)


@contextmanager
def configuration(path: Path, *, with_keys: bool = False) -> Iterator[RelayConfig]:
    """The configuration in this file. Errors of ours inside are printed without a traceback."""
    with errors_reported():
        try:
            import nats as _nats  # noqa: F401  is it installed?

            from honeyhive_litellm._relay.config import read_config

            config = read_config(path, os.environ, with_keys=with_keys)
        except ImportError as error:
            raise click.ClickException(_EXTRA) from error
        yield config


def chosen(config: RelayConfig, name: Optional[str]) -> Destination:
    """The destination of this name, or the only one. Raises ClickException."""
    names = [destination.name for destination in config.destinations]
    if name is None and len(names) == 1:
        return config.destinations[0]
    if name not in names:
        raise click.UsageError(f"--destination must be one of {', '.join(names)}")
    return config.destinations[names.index(name)]


def administer(config: RelayConfig, work: Callable[[JetStreamContext], Awaitable[_T]]) -> _T:
    """Do `work` with JetStream, on a loop of its own. Raises BrokerError."""
    from honeyhive_litellm._broker.connection import Connection
    from honeyhive_litellm._broker.names import RELAY_INBOX
    from honeyhive_litellm._relay.streams import jetstream

    async def do() -> _T:
        connection = Connection(config.broker, name="honeyhive-litellm relay command", inbox_prefix=RELAY_INBOX)
        try:
            return await work(await jetstream(connection))
        finally:
            await connection.aclose()

    return asyncio.run(do())
