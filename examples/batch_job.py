"""A batch job: many prompts, a few at a time, and at the end an account of what became of their events.

    export HONEYHIVE_API_KEY=… HONEYHIVE_PROJECT=… OPENAI_API_KEY=…
    python examples/batch_job.py prompts.txt        # one prompt a line; without a file it makes up some

An event that cannot be delivered now stays on disk; the next run of this job sends it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import List, Sequence

import litellm

import honeyhive_litellm

MODEL = os.environ.get("MODEL", "gpt-4o-mini")
AT_ONCE = 10
FLUSH_TIMEOUT_S = float(os.environ.get("FLUSH_TIMEOUT", "30"))


async def answer(prompt: str, gate: asyncio.Semaphore) -> str:
    async with gate:
        response = await litellm.acompletion(
            model=MODEL,
            messages=[{"role": "user", "content": prompt}],
            metadata={"session_id": "nightly-batch", "event_name": "batch prompt"},
        )
    return str(response.choices[0].message.content)


async def run(prompts: Sequence[str]) -> int:
    """Answer every prompt and deliver the events; how many prompts failed."""
    gate = asyncio.Semaphore(AT_ONCE)
    results = await asyncio.gather(*(answer(prompt, gate) for prompt in prompts), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    print(f"{len(results) - len(failures)} prompts answered, {len(failures)} failed")

    undelivered = await honeyhive_litellm.aflush(FLUSH_TIMEOUT_S)
    stats = honeyhive_litellm.stats()
    print(f"events: {stats.accepted} accepted, {stats.delivered} delivered, {stats.dead} refused, {undelivered} left")
    if undelivered:
        print(f"they are on disk and go out with the next run (last trouble: {stats.last_error})")
    return len(failures)


def read_prompts() -> List[str]:
    if len(sys.argv) > 1:
        lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.strip()]
    return [f"Write a headline about the number {number}." for number in range(40)]


def main() -> int:
    honeyhive_litellm.init()
    return 1 if asyncio.run(run(read_prompts())) else 0


if __name__ == "__main__":
    sys.exit(main())
