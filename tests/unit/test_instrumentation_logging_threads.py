"""The threads that take the place of LiteLLM's in a forked child."""

from __future__ import annotations

import threading

from honeyhive_litellm._instrumentation.logging_threads import DaemonThreads


def test_the_daemon_threads_of_a_forked_child_run_what_is_submitted_and_drop_what_is_too_much() -> None:
    started, release = threading.Barrier(3), threading.Event()

    def work(number: int) -> int:
        started.wait(30)
        assert release.wait(30)
        return number

    threads = DaemonThreads(2, max_pending=1)
    running = [threads.submit(work, number) for number in range(2)]
    started.wait(30)  # both threads are at work
    waiting, dropped = threads.submit(len, "abc"), threads.submit(len, "abcd")
    assert dropped.cancelled() and not waiting.done()
    release.set()
    assert [future.result(30) for future in running] == [0, 1]
    assert waiting.result(30) == 3
    assert isinstance(threads.submit(int, "no number").exception(30), ValueError)
