"""An agent that uses tools until it has an answer; all its calls are one HoneyHive session.

    export HONEYHIVE_API_KEY=… HONEYHIVE_PROJECT=… OPENAI_API_KEY=…
    python examples/agent_loop.py "What is the weather in Bern?"

`MODEL` chooses another model that can use tools, such as "anthropic/claude-sonnet-4-5".
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from typing import Any, Callable, Dict, List

import litellm

import honeyhive_litellm

MODEL = os.environ.get("MODEL", "gpt-4o-mini")
MOST_TURNS = 8


def weather(city: str) -> str:
    """Stands for a call of some service."""
    return f"{city}: snow, -2 degrees"


TOOLS: Dict[str, Callable[..., str]] = {"weather": weather}
TOOL_SCHEMAS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell tomorrow's weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


def use_tool(name: str, arguments: str) -> str:
    """Run a tool. A mistake of the model's goes back to the model."""
    try:
        return TOOLS[name](**json.loads(arguments))
    except (KeyError, TypeError, ValueError) as error:
        return f"error: {type(error).__name__}: {error}"


def run(question: str, session_id: str) -> str:
    """Ask the model, run the tools it wants, and ask again, until it answers or the turns are used up."""
    messages: List[Any] = [{"role": "user", "content": question}]
    for turn in range(1, MOST_TURNS + 1):
        response = litellm.completion(
            model=MODEL,
            messages=messages,
            tools=TOOL_SCHEMAS,
            metadata={"session_id": session_id, "event_name": "agent turn", "turn": turn},
        )
        message = response.choices[0].message
        if not message.tool_calls:
            return str(message.content)
        messages.append(message.model_dump())
        for call in message.tool_calls:
            result = use_tool(call.function.name, call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return f"no answer within {MOST_TURNS} turns"


def main() -> None:
    question = " ".join(sys.argv[1:]) or "What is the weather in Bern?"
    honeyhive_litellm.init()
    print(run(question, session_id=f"agent-{uuid.uuid4()}"))
    # Nothing to close: at exit the package delivers for up to `shutdown_timeout`, and the rest waits on disk.


if __name__ == "__main__":
    main()
