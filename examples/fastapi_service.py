"""A FastAPI service: one endpoint that answers, one that streams, and an orderly end.

    pip install fastapi uvicorn
    export HONEYHIVE_API_KEY=… HONEYHIVE_PROJECT=… OPENAI_API_KEY=…
    python examples/fastapi_service.py
    curl -H 'content-type: application/json' -d '{"question": "Why is the sky blue?"}' localhost:8000/chat

`PORT` and `MODEL` choose another port and another model.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import Any, AsyncIterator, Dict, Optional

import litellm
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

import honeyhive_litellm

MODEL = os.environ.get("MODEL", "gpt-4o-mini")


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    honeyhive_litellm.init()
    yield
    # Takes `shutdown_timeout` at most. What is left stays on disk, and the next start of the service sends it.
    left = await honeyhive_litellm.ashutdown()
    print(f"HoneyHive events left on disk: {left}", flush=True)


app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    question: str
    session_id: Optional[str] = None
    user_id: Optional[str] = None


def call(question: Question, event_name: str) -> Dict[str, Any]:
    """What both endpoints ask of LiteLLM. Metadata that is None is as good as not given."""
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": question.question}],
        "metadata": {"session_id": question.session_id, "user_id": question.user_id, "event_name": event_name},
    }


@app.post("/chat")
async def chat(question: Question) -> Dict[str, str]:
    response = await litellm.acompletion(**call(question, "chat"))
    return {"answer": str(response.choices[0].message.content)}


@app.post("/stream")
async def stream(question: Question) -> StreamingResponse:
    chunks = await litellm.acompletion(stream=True, **call(question, "chat stream"))

    async def text() -> AsyncIterator[str]:
        try:
            async for chunk in chunks:
                yield chunk.choices[0].delta.content or ""
        finally:
            if hasattr(chunks, "aclose"):  # LiteLLM 1.80 has none
                await chunks.aclose()  # a client that leaves early must not keep the provider's connection open

    return StreamingResponse(text(), media_type="text/plain")


@app.get("/stats")
async def stats() -> Dict[str, Any]:
    """What became of this process's events, for your monitoring."""
    return dataclasses.asdict(honeyhive_litellm.stats())


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
