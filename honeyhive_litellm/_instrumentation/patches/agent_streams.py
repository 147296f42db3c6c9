"""Streams of messages to A2A agents.

LiteLLM reports neither that one begins nor that it fails, and one that its reader leaves as a success.
"""

from __future__ import annotations

import functools
import uuid
from typing import Any, Callable

from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._mapping.reading import ARGUMENTS_KEY, CALL_ID_KEY

from .notify import call_details_of, guarded, notify, notify_active


def on_init(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap the constructor of the stream's class."""

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        guarded(_begin, self)

    return wrapped


def _begin(stream: Any) -> None:
    call_details = call_details_of(stream)
    call_details.setdefault(ARGUMENTS_KEY, {"request": stream.request})
    if call_details.get("litellm_call_id") == str(getattr(stream.request, "id", None)):
        # An id of the client's, such as "1", which it may use again: two calls must not get the id of one event.
        call_details[CALL_ID_KEY] = str(uuid.uuid4())
    notify_active(Recorder.on_unstarted_stream, call_details, stream)
    notify(Recorder.on_stream_start, call_details, stream)  # for a call whose start LiteLLM has reported
