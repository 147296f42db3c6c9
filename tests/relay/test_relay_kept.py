"""A broker loses what it has acknowledged, and the applications publish what they have kept."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from honeyhive_litellm._broker.names import stream_of
from honeyhive_litellm._cli.main import main
from honeyhive_litellm._spool.layout import destination_folder
from honeyhive_litellm.testing import Collector

from ..rig import event, running
from ..support.broker import Broker
from .fleet import Balance, administering, assert_once, config_for, make_streams, relaying, until_balance


async def test_events_that_a_broker_has_lost_are_published_again_and_no_event_is_doubled(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    with Broker(tmp_path) as broker, Collector() as collector:
        config = config_for(broker, {"kept": collector.url})
        await make_streams(config)
        async with running(
            folder, collector.url, broker=broker.address, broker_destination="kept", broker_keep=3600
        ) as rig:
            await rig.take([event(number) for number in range(150)])
            await rig.settled()
        async with relaying(config):
            await until_balance(config, Balance(150, 150))
        async with running(
            folder, collector.url, broker=broker.address, broker_destination="kept", broker_keep=3600
        ) as rig:
            await rig.take([event(number) for number in range(150, 250)])
            await rig.settled()
        async with administering(config) as js:
            await js.delete_stream(stream_of("kept"))  # a hundred acknowledged events are gone
        await make_streams(config)

        published = CliRunner().invoke(
            main, ["kept", "publish", "--all", "--spool-path", str(destination_folder(folder, "kept"))]
        )
        assert published.output == "250 events are in the spool again\n"
        async with running(folder, collector.url, broker=broker.address, broker_destination="kept") as rig:
            await rig.settled()
            assert rig.stats.delivered == 250
        async with relaying(config):
            await until_balance(config, Balance(250, 250))
        assert_once(collector, range(250))
