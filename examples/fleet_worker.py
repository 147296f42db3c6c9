"""An application of the fleet: an ordinary process that makes LiteLLM calls, until its standard input ends.

`fleet.py` starts it, with a name, and may kill it at any time. It prints the name of each call that has returned: by
then the start of the call is on disk. It knows a broker and no key of HoneyHive.
"""

from __future__ import annotations

import sys
import threading

import litellm

import honeyhive_litellm

PAUSE_S = 0.05
ANSWER = "It depends. " * 200


def main(name: str) -> None:
    litellm.suppress_debug_info = True
    honeyhive_litellm.init()  # settings come from HONEYHIVE_* variables
    end = threading.Event()

    def await_end_of_input() -> None:
        sys.stdin.read()
        end.set()

    threading.Thread(target=await_end_of_input, daemon=True).start()
    number = 0
    while not end.wait(PAUSE_S):
        call = f"{name}-{number}"
        litellm.completion(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "What is a fleet?"}],
            mock_response=ANSWER,
            metadata={"event_name": call},
        )
        print(call, flush=True)
        number += 1
    honeyhive_litellm.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
