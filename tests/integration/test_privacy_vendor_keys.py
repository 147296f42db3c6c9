"""A vendor's key gets neither to the disk nor to the wire nor into a log, wherever in a call it stands.

The forms are those of the property test, which draws many keys of each and tries the search alone. Here each form is
drawn once for each place, and all places are in few calls, through LiteLLM and the spool.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Dict, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..property.test_privacy_vendor_keys import FORMS, drawn
from ..waiting import until_committed
from .test_privacy_credentials import Tap, on_disk, tap

__all__ = ["tap"]

SAMPLE = 60
PLACES = ("message", "tool arguments", "tool result", "metadata", "header", "URL", "answer", "error")


def test_no_vendors_key_gets_out(
    collector: Collector, tap: Tap, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rand = random.Random(60)
    sample = rand.sample(FORMS, SAMPLE)
    keys: Dict[str, List[str]] = {place: [drawn(form, rand) for _, form in sample] for place in PLACES}
    lines = {place: "\n".join(f"note {key} end" for key in drawn_keys) for place, drawn_keys in keys.items()}
    call = {
        "type": "function",
        "id": "call_1",
        "function": {"name": "keep", "arguments": json.dumps({"notes": keys["tool arguments"]})},
    }
    urls = "\n".join(f"https://example.com/i.png?note={key}&x=1" for key in keys["URL"])
    arguments = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": text} for text in (lines["message"], urls)]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": lines["tool result"]},
        ],
        "metadata": {f"note_{number}": key for number, key in enumerate(keys["metadata"])},
        "extra_headers": {f"X-Note-{number}": key for number, key in enumerate(keys["header"])},
    }
    caplog.set_level(logging.DEBUG, "honeyhive_litellm")
    collector.down()
    honeyhive_litellm.init(
        api_key="k",
        project="p",
        api_url=tap.url,
        spool_path=tmp_path,
        lookup_delay=0,
        capture_headers=True,
        capture_raw_request=True,
    )
    with ModelServer() as models:
        litellm.completion(model="openai/gpt-4o", api_base=models.url, api_key="sk-x", **arguments)
    litellm.completion(model="gpt-4o", mock_response=lines["answer"], **arguments)
    with pytest.raises(Exception, match="note"):
        litellm.completion(model="gpt-4o", mock_response=RuntimeError(lines["error"]), num_retries=0, **arguments)
    honeyhive_litellm.flush(1)
    until_committed(honeyhive_litellm.stats().accepted)
    spool = on_disk(tmp_path)
    collector.up()
    assert honeyhive_litellm.flush(30) == 0
    honeyhive_litellm.shutdown(5)
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("honeyhive"))

    assert len(collector.events) == 3
    assert spool.count("[redacted") > SAMPLE * len(PLACES)
    seen = {"spool": spool, "wire": tap.seen, "log": logged}
    leaks = {
        (vendor, place, where)
        for place, of_place in keys.items()
        for (vendor, _), key in zip(sample, of_place)
        for where, text in seen.items()
        if key in text or key[-10:] in text
    }
    assert leaks == set()
