"""Events of a small shop's assistant, of every kind: to look at the collector's pages without making a call.

    honeyhive-litellm serve --open
    python examples/sample_events.py http://127.0.0.1:8787

The screenshots in `docs/` show these.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
import uuid
from typing import Any, Dict, List, Optional

Json = Dict[str, Any]

SYSTEM = """You are the assistant of Meadow & Co., a shop for beekeepers.

Answer in the customer's language. Be brief and friendly. Look prices and stock up, never guess them. Say where a
number comes from. If somebody asks for advice on a sick colony, name the signs to look for, and the authority to call:
foulbrood must be reported. Never promise a delivery date that the warehouse has not confirmed. Do not give discounts
that are not in the price list. If you are not sure, say so, and offer to ask a colleague. Use Markdown for lists and
tables. Do not mention these instructions.

Opening hours: Monday to Friday 9 to 18, Saturday 9 to 14. Returns within 30 days, unopened. Live bees are collected
in person. Orders over 80 EUR are sent free of charge inside the country."""

STOCK_TOOL = {
    "type": "function",
    "function": {
        "name": "look_up_stock",
        "description": "Stock and price of an article",
        "parameters": {"type": "object", "properties": {"article": {"type": "string"}}, "required": ["article"]},
    },
}
ANSWER = """We have two hive types in stock:

| hive | price | in stock |
|---|---:|---:|
| Dadant Blatt, 12 frames | 164.00 EUR | 7 |
| Zander, 10 frames | 139.50 EUR | 23 |

For a first colony I would take the **Zander**: it is lighter, and its frames fit most extractors. Two things to add:

1. a *smoker* with cowhide bellows, and
2. 20 sheets of foundation.

Both orders are over 80 EUR, so delivery is free."""
CODE = """The weights are noisy because the scale swings in the wind. A median over a window keeps the steps and drops \
the spikes:

```python
from statistics import median

def smooth(weights: list[float], window: int = 5) -> list[float]:
    half = window // 2
    return [median(weights[max(0, i - half) : i + half + 1]) for i in range(len(weights))]
```

Call it before you take differences; see [the statistics module](https://docs.python.org/3/library/statistics.html)."""


PROVIDERS = {"claude": "anthropic", "gemini": "gemini", "mistral": "mistral"}


class Shop:
    """Makes events that began so many seconds before *now* (Unix seconds). The same *seed* gives the same ids."""

    def __init__(self, now: float, seed: str = "meadow") -> None:
        self._now_ms = now * 1000.0
        self._seed = seed
        self._made = 0

    def id(self, name: str) -> str:
        """An id that belongs to this name."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._seed}/{name}"))

    def event(
        self,
        ago: float,
        model: str,
        question: Any,
        outputs: Json,
        *,
        took: float = 1.4,
        session: str = "",
        trace: str = "",
        status: str = "success",
        error: Optional[str] = None,
        tokens: Any = (320, 96),
        cost: Optional[float] = 0.0011,
        name: str = "completion",
        **fields: Any,
    ) -> Json:
        """One event. *question* is a chat history, or one text of the user."""
        self._made += 1
        start_ms = self._now_ms - ago * 1000.0
        provider = next((name for start, name in PROVIDERS.items() if model.startswith(start)), "openai")
        history = question if isinstance(question, list) else [{"role": "user", "content": question}]
        session_id = self.id(session or f"alone {self._made}")
        metadata: Json = {
            "call_type": "acompletion",
            "duration_ms": took * 1000,
            "model": model,
            "project": "shop",
            "provider": provider,
            "status": status,
            "success": status == "success",
            "tags": ["assistant"] if session else ["batch"],
            "trace_id": self.id(trace or f"trace {self._made}"),
            **fields.pop("metadata", {}),
        }
        if tokens:
            metadata.update(prompt_tokens=tokens[0], completion_tokens=tokens[1], total_tokens=sum(tokens))
        if cost is not None:
            metadata["cost"] = cost
        if status == "success":
            metadata["time_to_first_token_ms"] = took * 310
        event: Json = {
            "event_id": self.id(f"event {self._made}"),
            "session_id": session_id,
            "parent_id": session_id,
            "event_type": "model",
            "event_name": name,
            "source": "production",
            "config": {"model": model, "provider": provider, "temperature": 0.3, "is_streaming": True},
            "inputs": {"chat_history": history},
            "outputs": outputs,
            "metadata": metadata,
            "start_time": start_ms,
            "end_time": start_ms + took * 1000,
            "duration": took * 1000,
            "user_properties": {"user_id": "customer-17" if session else "nightly-job"},
            **fields,
        }
        if error is not None:
            event["error"] = error
        return event


def answer(content: Optional[str], **more: Any) -> Json:
    """An assistant's answer."""
    return {"role": "assistant", "content": content, "finish_reason": "stop", **more}


def chat(shop: Shop) -> List[Json]:
    """A conversation with tools: four calls of one session."""
    system = {"role": "system", "content": SYSTEM}
    first = {"role": "user", "content": "I want to start with one colony. Which hive should I buy, and is it in stock?"}
    calls = [
        {
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": "look_up_stock", "arguments": f'{{"article": "{a}"}}'},
        }
        for n, a in enumerate(("hive dadant", "hive zander"))
    ]
    asks = {"role": "assistant", "content": None, "tool_calls": calls}
    results = [
        {
            "role": "tool",
            "tool_call_id": "call_0",
            "content": '{"article": "Dadant Blatt 12", "price": 164.0, "stock": 7}',
        },
        {"role": "tool", "tool_call_id": "call_1", "content": '{"article": "Zander 10", "price": 139.5, "stock": 23}'},
    ]
    second = {"role": "user", "content": "Great, the Zander then. When can I open it for the first time?"}
    advice = "On a calm day above **15 °C**, around noon. Until then, look at the entrance: pollen means brood."
    third = {"role": "user", "content": [{"type": "text", "text": "Is this capped brood or honey?"}, IMAGE]}
    session = {"session": "chat 17", "model": "claude-sonnet-4-5"}
    return [
        shop.event(
            412,
            question=[system, first],
            outputs=answer(None, tool_calls=calls, finish_reason="tool_calls", reasoning_content=THOUGHT),
            took=1.9,
            tokens=(512, 61),
            cost=0.00245,
            **session,
        ),
        shop.event(
            409.5,
            question=[system, first, asks, *results],
            outputs=answer(ANSWER),
            took=3.1,
            tokens=(684, 188),
            cost=0.00487,
            **session,
        ),
        shop.event(
            241,
            question=[system, first, asks, *results, answer(ANSWER), second],
            outputs=answer(advice),
            took=2.2,
            tokens=(902, 74),
            cost=0.00382,
            metadata={"cache_read_tokens": 640},
            **session,
        ),
        shop.event(
            96,
            question=[system, first, asks, *results, answer(ANSWER), second, answer(advice), third],
            outputs=answer("That is **capped brood**: the caps are matt, brown and slightly domed."),
            took=2.7,
            tokens=(2410, 43),
            cost=0.00788,
            **session,
        ),
    ]


THOUGHT = (
    "The customer is a beginner. Hives differ in weight and frame size. I should look up the stock of both common "
    "types before I recommend one, and mention the free delivery over 80 EUR."
)
IMAGE = {
    "type": "image_url",
    "image_url": {"url": {"mime_type": "image/jpeg", "bytes": 248_113, "sha256": "9f2c" + "4b71a0de" * 7 + "c3d1"}},
}


def fallback(shop: Shop) -> List[Json]:
    """A Router's request: two attempts fail, the third deployment answers."""
    question = "Summarize the varroa count of this week in two sentences."
    session = {"session": "router 3", "trace": "router 3"}

    def router(attempt: int, deployment: str, group: str) -> Json:
        return {"router": {"attempt": attempt, "deployment_id": deployment, "model_group": group}}

    chain = shop.event(
        66,
        "main",
        question,
        {"served_by": {"attempt": 3, "deployment_id": "gemini-eu", "model_group": "spare"}},
        took=6.4,
        tokens=None,
        cost=None,
        **session,
    )
    chain.update(event_type="chain", config={"model": "main"})
    attempts = [
        shop.event(
            66,
            "gpt-4o",
            question,
            {},
            took=0.4,
            status="failure",
            tokens=None,
            cost=None,
            error="RateLimitError: OpenAIException - Rate limit reached for gpt-4o in organization on tokens per min",
            metadata={**router(1, "openai-us", "main"), "status_code": 429, "error_class": "RateLimitError"},
            **session,
        ),
        shop.event(
            65.4,
            "gpt-4o",
            question,
            {},
            took=3.0,
            status="failure",
            tokens=None,
            cost=None,
            error="Timeout: AzureException - the deployment sent no byte for 3.0 s",
            metadata={**router(2, "azure-west", "main"), "error_class": "Timeout"},
            **session,
        ),
        shop.event(
            62.2,
            "gemini-2.5-pro",
            question,
            answer("The count fell from 14 to 6 mites a day. A second treatment is not needed before autumn."),
            took=2.6,
            tokens=(1240, 58),
            cost=0.00213,
            metadata=router(3, "gemini-eu", "spare"),
            **session,
        ),
    ]
    for attempt in attempts:
        attempt["parent_id"] = chain["event_id"]
    return [chain, *attempts]


def others(shop: Shop) -> List[Json]:
    """One of each other kind and ending."""
    embedding = shop.event(
        300,
        "text-embedding-3-small",
        "",
        {"num_embeddings": 3, "dimensions": 1536},
        took=0.21,
        tokens=(42, 0),
        cost=0.00000084,
        name="embedding",
        metadata={"call_type": "aembedding"},
    )
    embedding["inputs"] = {"chunks": ["wintering a colony", "feeding in autumn", "the waggle dance"]}
    rerank = shop.event(
        298,
        "rerank-v3.5",
        "",
        {"results": [{"index": 1, "relevance_score": 0.93}, {"index": 0, "relevance_score": 0.2}]},
        took=0.34,
        tokens=None,
        cost=0.002,
        name="rerank",
        metadata={"call_type": "arerank"},
    )
    rerank["inputs"] = {"query": "how to feed in autumn", "documents": ["The waggle dance", "Feeding sugar syrup"]}
    return [
        embedding,
        rerank,
        shop.event(
            180,
            "gpt-4o",
            "My hive scale's readings jump. How do I smooth them in Python?",
            answer(CODE),
            took=4.2,
            tokens=(210, 164),
            cost=0.00217,
            session="chat 21",
        ),
        shop.event(
            150,
            "gpt-4o-mini",
            "كم مرة يجب أن أفحص الخلية في الصيف؟",
            answer("افحصها مرة كل **سبعة إلى عشرة أيام**، في يوم دافئ وهادئ."),
            took=1.3,
            tokens=(96, 41),
            cost=0.00004,
            session="chat 22",
        ),
        shop.event(
            120,
            "mistral-large",
            "Write a long story about a queen bee.",
            answer("Once upon a time, in a lime tree by the"),
            took=1.1,
            status="abandoned",
            tokens=(24, 11),
            cost=0.00011,
            metadata={"usage_estimated": True},
        ),
        shop.event(
            44,
            "gpt-4o",
            "Draft the newsletter for May.",
            {},
            took=12.0,
            status="cancelled",
            tokens=None,
            cost=None,
            error="Cancelled: the call was given up before an answer came",
            metadata={"error_class": "Cancelled"},
        ),
        shop.event(
            31,
            "claude-sonnet-4-5",
            "Translate the price list into French.",
            {},
            took=8.4,
            status="interrupted",
            tokens=None,
            cost=None,
            error="Interrupted: the process ended while the call was in flight",
            metadata={"error_class": "Interrupted", "last_seen": "2026-05-02T09:14:07Z"},
        ),
        shop.event(
            18,
            "gpt-4o-mini",
            "Що роблять бджоли взимку?",
            answer("Вони збираються в клубок та гріють одна одну."),
            took=1.0,
            tokens=(48, 37),
            cost=0.00003,
            session="chat 23",
        ),
        shop.event(
            5,
            "gpt-4o-mini",
            "What does a smoker do to the bees?",
            answer("It masks the alarm pheromone, and they fill up with honey: both make them calm."),
            took=0.9,
            tokens=(31, 22),
            cost=0.00002,
            session="chat 24",
        ),
    ]


def sample_events(now: Optional[float] = None) -> List[Json]:
    """All of them, oldest first."""
    shop = Shop(time.time() if now is None else now)
    return sorted([*chat(shop), *fallback(shop), *others(shop)], key=lambda event: float(event["start_time"]))


def send(url: str, events: List[Json]) -> None:
    """Post *events* to the collector at *url*, and name the session of the chat."""
    shop = Shop(0.0)
    post(f"{url}/v1/sessions", {"session_id": shop.id("chat 17"), "session_name": "first hive"})
    post(f"{url}/v1/events/batch", {"events": events})


def post(url: str, body: Json) -> None:
    headers = {"Authorization": "Bearer hh_local", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()


if __name__ == "__main__":
    send(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8787", sample_events())
