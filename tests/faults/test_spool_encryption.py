"""No byte on disk shows what was in the calls: with the application alive, with it killed, and while it is drained.

Nor does a byte in the memory of a process that has no key and reads these files.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import List, Set

from honeyhive_litellm._privacy.cipher import new_key
from honeyhive_litellm.testing import Collector, ModelServer

from ..support.forked_programs import run_python
from .programs import environment, signal_ready, start

CANARIES = [f"canary{number:02d}sings" for number in range(40)]

CALLS = """
import litellm, asyncio, itertools
litellm.suppress_debug_info = True  # else it prints advice among our lines
C = iter(CANARIES)
TOOL = {"type": "function", "function": {"name": next(C), "description": next(C),
        "parameters": {"type": "object", "properties": {next(C): {"type": "string", "enum": [next(C)]}}}}}
def options(**more):
    return dict(model="gpt-4o", user=next(C), metadata={
        "session_id": next(C), "session_name": next(C), "tags": [next(C)], next(C): next(C), "user_id": next(C),
        "event_name": next(C)}, **more)
def asked():
    return [{"role": "system", "content": next(C)}, {"role": "user", "content": next(C)}]
litellm.completion(messages=asked(), mock_response=next(C), tools=[TOOL], stop=[next(C)], **options())
list(litellm.completion(messages=asked(), mock_response=next(C), stream=True, **options()))
try:
    litellm.completion(messages=asked(), mock_response=Exception(next(C)), model="gpt-4o", user=next(C))
except Exception:
    pass
litellm.embedding(model="text-embedding-3-small", input=[next(C)], mock_response=[0.1])
threading.Thread(target=lambda: litellm.completion(
    model="openai/hang", messages=asked(), api_base=MODELS, api_key="sk-x", max_retries=0), daemon=True).start()
left = list(C)
litellm.completion(model="gpt-4o", messages=[{"role": "user", "content": " ".join(left)}], mock_response="ok")
committed(5)
print("committed", flush=True)
sys.stdin.readline()
honeyhive_litellm.flush(0.1)
print("flushed", flush=True)
sys.stdin.read()
"""


def found_in(folder: Path) -> Set[str]:
    """The canaries in any file of the folder."""
    content = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    assert content
    return {canary for canary in CANARIES if canary.encode() in content}


def found_in_memory(pid: int) -> Set[str]:
    """The canaries in the memory of that process, all that a core file of it would hold."""
    found: Set[str] = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            addresses, permissions = line.split()[:2]
            if not permissions.startswith("rw"):
                continue
            start_at, end_at = (int(address, 16) for address in addresses.split("-"))
            memory.seek(start_at)
            found.update(match.decode() for match in re.findall(rb"canary\d\dsings", memory.read(end_at - start_at)))
    return found


def memory_of_a_drain_without_the_key(url: str, spool: Path) -> Set[str]:
    """The canaries in the memory of a `drain --follow` that has read the files and found that it lacks the key."""
    arguments = [sys.executable, "-m", "honeyhive_litellm", "drain", "--follow"]
    with subprocess.Popen(arguments, env=environment(url, spool), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert any("their files are left alone" in line for line in process.stderr)
            return found_in_memory(process.pid)
        finally:
            process.terminate()


def command(url: str, spool: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    variables = environment(url, spool, HONEYHIVE_LOOKUP_DELAY="1", **variables)
    return run_python("-m", "honeyhive_litellm", *arguments, env=variables, timeout=90)


def test_forty_canaries_are_on_no_disk_and_in_no_memory_without_the_key_and_arrive(tmp_path: Path) -> None:
    spool, key, key_file = tmp_path / "spool", new_key(), tmp_path / "spool.key"
    key_file.write_text(f"{new_key()}\n{key}\n")
    options = {"HONEYHIVE_CAPTURE_RAW": "1", "HONEYHIVE_CAPTURE_HEADERS": "1", "HONEYHIVE_SPOOL_KEY": key}
    outputs: List[str] = []
    with Collector() as collector, ModelServer() as models:
        collector.fail(503)
        code = f"CANARIES = {CANARIES!r}\nMODELS = {models.url!r}\n{CALLS}"
        with start(code, collector.url, spool, **options) as process:
            assert signal_ready(process) == "committed"
            models.wait_for(1, 30)
            assert found_in(spool) == set()
            assert found_in_memory(process.pid) == set(CANARIES)  # the search finds what is there
            print("go", file=process.stdin, flush=True)
            assert signal_ready(process) == "flushed"
            assert found_in(spool) == set()
            os.kill(process.pid, signal.SIGKILL)
            outputs += process.communicate()
        assert found_in(spool) == set()
        collector.clear()

        without = command(collector.url, spool, "drain", "--json")
        assert (without.returncode, json.loads(without.stdout)["locked"]) == (3, 6), without.stderr
        outputs.append(without.stderr)
        assert (collector.events, found_in(spool)) == ([], set())
        assert memory_of_a_drain_without_the_key(collector.url, spool) == set()
        assert (collector.events, found_in(spool)) == ([], set())
        drained = command(collector.url, spool, "drain", HONEYHIVE_SPOOL_KEY_FILE=str(key_file))
        assert drained.returncode == 0, drained.stdout + drained.stderr
        arrived = json.dumps(collector.events) + json.dumps(collector.sessions)
        assert {canary for canary in CANARIES if canary in arrived} == set(CANARIES)
        assert len(collector.events) == 6
        assert found_in(spool) == set()
    assert not any(word in "".join(outputs) for word in (key, *CANARIES))
