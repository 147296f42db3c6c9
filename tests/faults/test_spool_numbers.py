"""The numbers of a whole spool, over kills and restarts of processes that deliver themselves."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Set

from honeyhive_litellm._spool import dead_letters
from honeyhive_litellm.testing import Collector

from . import emitter
from .programs import drain, signal_ready
from .test_runtime_sidecar import status, writes


def test_the_numbers_of_the_folder_add_up_after_every_kill_and_tell_the_truth_in_the_end(tmp_path: Path) -> None:
    draw = random.Random(11)
    acknowledged: Set[str] = set()
    poison = set()
    with Collector() as collector:
        for number in range(8):
            run = str(number)
            poison.add(emitter.event_id(run, 60))
            collector.poison(emitter.event_id(run, 60))
            if number % 3 == 0:
                collector.drop(after=True, times=2, path="/v1/events/batch")
            with writes(run, 0, collector.url, tmp_path, 0.001, flush="yes") as application:
                signal_ready(application)
                time.sleep(draw.random() * 1.2)  # the moment of the kill is what is tried
                os.kill(application.pid, signal.SIGKILL)
                committed = int(["0", *application.communicate()[0].split()][-1])
            acknowledged.update(emitter.event_id(run, n) for n in range(committed))
            status(collector.url, tmp_path)
        drain(collector.url, tmp_path)
        numbers = status(collector.url, tmp_path)
        arrived = {event["event_id"] for event in collector.events}
        dead = {letter.id for letter in dead_letters.letters(tmp_path)}
        assert acknowledged <= arrived | dead
        # A connection that is dropped after the batch was stored never gets as far as the poison.
        assert dead
        assert dead <= poison
        assert acknowledged & poison <= dead | arrived
        assert not dead & arrived
        assert set(collector.receipts.values()) == {1}
        assert (numbers["delivered"], numbers["dead"], numbers["pending"]) == (len(arrived), len(dead), 0)
        assert numbers["accepted"] == len(arrived) + len(dead)
        # Whoever is killed between removing its last segment and its lease leaves that, empty, for 10 s at least.
        left = sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lease" or path.stat().st_size)
        assert left == ["dead.db", "ledger.db"]
