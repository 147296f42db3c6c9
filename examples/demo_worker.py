"""The application in the demo: an ordinary process that makes LiteLLM calls, with HoneyHive logging on.

`demo.py` starts it, tells it on stdin what to do ("round", "hang"; end of input means: finish) and may kill
it at any time. For every finished call it prints one line of JSON, and only after its events are committed
to the spool on disk; whether they were delivered yet does not matter here.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
import threading
import time
from typing import Any, Dict, List, Optional

import litellm

import honeyhive_litellm

COMMIT_TIMEOUT_S = 15.0
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell tomorrow's weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}

Json = Dict[str, Any]


def to(model: str) -> Json:
    """Say where a model lives: at the demo's own server. The client must not repeat a request by itself."""
    return {
        "model": f"openai/{model}",
        "api_base": os.environ["DEMO_MODELS_URL"],
        "api_key": "sk-local",
        "max_retries": 0,
    }


def user(text: str) -> List[Json]:
    return [{"role": "user", "content": text}]


def named(event_name: str) -> Json:
    """Name the event, so that one kind of call is easily found in HoneyHive."""
    return {"metadata": {"event_name": event_name, "user_id": "demo-user"}}


class Committed:
    """Count the events this process caused, and wait until as many are committed to the spool."""

    def __init__(self) -> None:
        self._before = honeyhive_litellm.stats().committed
        self._caused = 0

    def _are_on_disk(self) -> bool:
        return honeyhive_litellm.stats().committed - self._before >= self._caused

    def report(self, call: str, answer: Optional[str], events: int = 1) -> None:
        """Print the call's line once its events are on disk (from plain code)."""
        self._caused += events
        deadline = time.monotonic() + COMMIT_TIMEOUT_S
        while not self._are_on_disk():
            self._check(deadline, call)
            time.sleep(0.005)
        say(call=call, answer=answer, events=events)

    async def areport(self, call: str, answer: Optional[str], events: int = 1) -> None:
        """Do the same on an event loop, which goes on turning."""
        self._caused += events
        deadline = time.monotonic() + COMMIT_TIMEOUT_S
        while not self._are_on_disk():
            self._check(deadline, call)
            await asyncio.sleep(0.005)
        say(call=call, answer=answer, events=events)

    def _check(self, deadline: float, call: str) -> None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{call}: not committed within {COMMIT_TIMEOUT_S} s")


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


def with_tool_result(question: List[Json], answer: Any) -> List[Json]:
    message = answer.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "snow, -2 degrees"}
    return [*question, message.model_dump(), result]


def plain_calls(committed: Committed, router: Any) -> None:
    """Make one call of each kind from plain, synchronous code."""
    answer = litellm.completion(messages=user("Why is the sky blue?"), **to("gpt-4o-mini"), **named("chat"))
    committed.report("chat", answer.id)

    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(
        litellm.completion(messages=user("Tell me a story"), **options, **to("gpt-4o-mini"), **named("stream"))
    )
    committed.report("stream", chunks[0].id)

    question, tools = user("Bern"), {"tools": [WEATHER], **to("gpt-4o"), **named("tools")}
    answer = litellm.completion(messages=question, **tools)
    committed.report("tools", answer.id)
    answer = litellm.completion(messages=with_tool_result(question, answer), **tools)
    committed.report("tools", answer.id)

    litellm.embedding(input=["bees", "honey"], **to("text-embedding-3-small"), **named("embed"))
    committed.report("embed", None)

    try:
        litellm.completion(messages=user("One too many"), **to("gpt-4.1-nano"), **named("rate limited"))
    except litellm.RateLimitError:
        committed.report("rate limited", None)

    answer = router.completion(model="main", messages=user("Who answers?"), **named("router"))
    committed.report("router", answer.id, events=3)  # the main deployment failed first; both attempts have a parent


async def async_calls(committed: Committed) -> None:
    """Make calls on an event loop: a few at once, a stream, tools."""
    answers = await asyncio.gather(
        *(
            litellm.acompletion(messages=user(text), **to("gpt-4o-mini"), **named("async chat"))
            for text in ("What is a spool?", "What is a flusher?")
        )
    )
    for answer in answers:
        await committed.areport("async chat", answer.id)

    options = {"stream": True, **to("gpt-4o-mini"), **named("async stream")}
    stream = await litellm.acompletion(messages=user("Tell me more"), **options)
    chunks = [chunk async for chunk in stream]
    await committed.areport("async stream", chunks[0].id)

    if importlib.util.find_spec("mcp") is None:
        return  # LiteLLM needs it for async calls with tools, and does not bring it
    question, tools = user("Oslo"), {"tools": [WEATHER], **to("gpt-4o"), **named("async tools")}
    answer = await litellm.acompletion(messages=question, **tools)
    await committed.areport("async tools", answer.id)
    answer = await litellm.acompletion(messages=with_tool_result(question, answer), **tools)
    await committed.areport("async tools", answer.id)


def start_a_call_that_hangs() -> None:
    """Leave a call in flight, as any process does that is killed at a bad moment."""
    arguments = {"messages": user("Think for ever"), **to("gpt-4.1"), **named("in flight")}
    threading.Thread(target=litellm.completion, kwargs=arguments, daemon=True).start()


def make_router() -> Any:
    return litellm.Router(
        model_list=[
            {"model_name": "main", "litellm_params": to("gpt-4.1-mini")},
            {"model_name": "spare", "litellm_params": to("gpt-4o")},
        ],
        fallbacks=[{"main": ["spare"]}],
        num_retries=0,
        cooldown_time=0,
    )


def main() -> None:
    litellm.suppress_debug_info = True
    honeyhive_litellm.init()  # settings come from HONEYHIVE_* variables
    committed, router = Committed(), make_router()
    say(ready=True)
    for command in sys.stdin:
        if command.strip() == "hang":
            start_a_call_that_hangs()
        else:
            plain_calls(committed, router)
            asyncio.run(async_calls(committed))
        say(done=command.strip())
    honeyhive_litellm.shutdown()


if __name__ == "__main__":
    main()
