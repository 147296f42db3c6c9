"""What the search for credentials costs on texts that hold none, beside another commit's search in the same process.

    python benchmarks/search.py                     # 3 KB each of several kinds of text, beside the commit HEAD
    python benchmarks/search.py --beside v1.0.0rc1  # beside another one

The searches take turns, and each is timed by the processor time of its thread.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

from _common import PROSE, table
from _internals import search_for_credentials

MOST_CHARS = 3000
FOLDER = "honeyhive_litellm/_privacy"
ANSWER = {
    "id": "chatcmpl-123e4567-e89b-12d3-a456-426614174000",
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": PROSE}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21},
}
GERMAN = """Der Bürgermeister eröffnete die Ausstellung und dankte allen, die daran mitgewirkt hatten.
Die Verwaltungsvorschriften wurden, wie angekündigt, im vergangenen Jahr überarbeitet und vereinfacht.
Wer früh aufsteht, hat mehr vom Tag; wer lange schläft, träumt dafür umso schöner.
Später fanden wir, zu unserer Überraschung, dass es umgekehrt war: Niemand wusste, warum.
"""
ROOT = Path(__file__).parents[1]
TEXTS: Dict[str, str] = {
    "prose": (PROSE + "Later, we found (to our surprise) that it was the other way round: nobody knew why. ") * 20,
    "code": inspect.getsource(argparse)[20_000:],
    "JSON": json.dumps([ANSWER] * 10),
    "Markdown": (ROOT / "docs/explanation/design.md").read_text("utf-8"),
    "German prose": GERMAN * 10,
    "license": (ROOT / "LICENSE").read_text("utf-8"),
    "CSV": "id,name,city,amount,date\n" + "".join(f"{n},Name{n},City{n % 9},{n}.50,2024-03-01\n" for n in range(99)),
}


def search_of(commit: str, folder: Path) -> Callable[[str], str]:
    """`scrub` as it was at `commit`, imported under another name."""
    package = folder / "privacy_of_another_commit"
    package.mkdir()
    names = subprocess.run(
        ["git", "ls-tree", "--name-only", f"{commit}:{FOLDER}"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    for name in names:
        source = subprocess.run(
            ["git", "show", f"{commit}:{FOLDER}/{name}"], capture_output=True, check=True, cwd=ROOT
        ).stdout
        (package / name).write_bytes(source)
    sys.path.insert(0, str(folder))
    module: Any = importlib.import_module("privacy_of_another_commit.credentials")
    function: Callable[[str], str] = module.scrub
    return function


def medians(searches: Sequence[Callable[[str], str]], text: str, rounds: int) -> List[float]:
    """Microseconds of each search, the median of `rounds` turns of 20."""
    times: List[List[float]] = [[] for _ in searches]
    for number in range(rounds):
        turns = list(zip(searches, times))
        for search, taken in turns if number % 2 else reversed(turns):
            start = time.thread_time()
            for _ in range(20):
                search(text)
            taken.append((time.thread_time() - start) / 20 * 1e6)
    return [statistics.median(taken) for taken in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", default="HEAD", help="a commit (HEAD)")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        other = search_of(options.beside, Path(folder))
        rows = []
        for name, text in TEXTS.items():
            before, now = medians((other, search_for_credentials), text[:MOST_CHARS], options.rounds)
            rows.append([name, f"{before:.1f}", f"{now:.1f}", f"{now / before:.2f}"])
    print(table([f"up to {MOST_CHARS} characters", f"{options.beside} us", "now us", "ratio"], rows))


if __name__ == "__main__":
    main()
