from __future__ import annotations

import ast
import collections
import contextlib
import gc
import importlib
import os
import runpy
import signal
import sys
import sysconfig
from pathlib import Path
from typing import Any, Iterator, List

import pytest
from hypothesis import HealthCheck, settings, strategies

# Before anything imports LiteLLM: its price map comes with it and is not to be fetched.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["HF_HUB_OFFLINE"] = "1"  # nor are tokenizers of models that an older one does not know
if sys.version_info < (3, 9):  # there it looks for the tokenizer that comes with it in another folder
    _bundled = Path(sysconfig.get_path("purelib"), "litellm", "litellm_core_utils", "tokenizers")
    os.environ.setdefault("CUSTOM_TIKTOKEN_CACHE_DIR", str(_bundled))
    _startup = Path(__file__).parent / "python38"
    runpy.run_path(str(_startup / "sitecustomize.py"))
    os.environ["PYTHONPATH"] = str(_startup)

# A shell ignores SIGINT in what it starts in the background, and every child of this process would do the same.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import honeyhive_litellm
from honeyhive_litellm import _log
from honeyhive_litellm.testing import Collector

from .versions import has_litellm

# No property here is a matter of time: the machines are shared, and the first run of a checkout fills caches.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


_TAKE_MINUTES = ("packaging", "proxy")
"""Folders of tests with processes that install or import much."""

# A Router starts it on the loop that it is made on, which may end before its first turn.
_ROUTERS = "coroutine object BaseRoutingStrategy.periodic_sync_in_memory_spend_with_redis"
_CONNECTIONS = "function (Connection|ClientSession|TCPConnector).__del__"


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # the order is ours, see below; an old pytest-xdist has no such option
    # Before 1.110 LiteLLM leaves connections open, and coroutines unawaited.
    older = () if has_litellm("1.110") else (_CONNECTIONS, "coroutine object acompletion")
    for leaked in (_ROUTERS, *older):
        line = f"ignore:Exception ignored in. <{leaked}:pytest.PytestUnraisableExceptionWarning"
        config.addinivalue_line("filterwarnings", line)


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Begin with the files that take minutes, then those with the most tests: several processes share the files.

    At the end, no process is to wait for another that has begun such a file last.
    """
    tests = collections.Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path.parent.name not in _TAKE_MINUTES, -tests[item.path], item.path))


@pytest.fixture(autouse=True, scope="session")
def _no_garbage_collection_while_python_parses() -> Iterator[None]:
    """Before Python 3.11.8 `ast.parse` fails if a garbage collection meanwhile has something parsed, too.

    That is https://github.com/python/cpython/issues/106905. A finalizer that raises or warns is enough: what prints
    its traceback parses. Hypothesis and pytest parse in the midst of tests.
    """
    parse = ast.parse

    def parse_without_collection(*args: Any, **kwargs: Any) -> Any:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return parse(*args, **kwargs)
        finally:
            if was_enabled:
                gc.enable()

    with pytest.MonkeyPatch.context() as patch:
        if sys.version_info[:2] == (3, 11):
            patch.setattr(ast, "parse", parse_without_collection)
        strategies.randoms().validate()  # else Hypothesis imports a part of it in the midst of a test
        # OpenAI's client imports it in the midst of a call. Before Python 3.12 that fails if a garbage collection comes
        # then and warns (https://github.com/python/cpython/issues/91351), and half of it stays imported.
        with contextlib.suppress(ImportError):
            importlib.import_module("numpy")
        yield


_has_frozen = False


@pytest.fixture(autouse=True)
def _what_litellm_imports_is_no_garbage() -> None:
    """A garbage collection looks at some 400,000 objects of LiteLLM, which takes 0.3 s; frozen, at none of them."""
    global _has_frozen
    if not _has_frozen and "litellm" in sys.modules:
        gc.collect()
        gc.freeze()
        _has_frozen = True


@pytest.fixture(autouse=True)
def _log_starts_a_new_minute() -> None:
    """The log writes a message once a minute; each test starts a new minute."""
    _log.reset()


@pytest.fixture(autouse=True)
def _litellm_connects_anew() -> Iterator[None]:
    """Before 1.80 it keeps the connections to an address for the loops of later tests, and a port may come again."""
    yield
    if not has_litellm("1.80") and "litellm" in sys.modules:
        sys.modules["litellm"].in_memory_llm_clients_cache.flush_cache()


@pytest.fixture(autouse=True)
def _litellms_callbacks_are_those_of_before() -> Iterator[None]:
    """A Router stays in LiteLLM's lists for ever, and one that holds 30 (newer ones: 100) takes no more."""
    litellm = sys.modules.get("litellm")
    lists = {name: value for name, value in vars(litellm).items() if "callback" in name} if litellm else {}
    before = {name: list(value) for name, value in lists.items() if type(value) is list}
    yield
    for name, callbacks in before.items():
        getattr(litellm, name)[:] = callbacks


@pytest.fixture(autouse=True)
def _no_runtime_outlives_its_test() -> Iterator[None]:
    """One with calls in flight goes on after `shutdown`, and `flush` in later tests would wait for it."""
    yield
    lifecycle: Any = sys.modules.get("honeyhive_litellm._runtime.lifecycle")
    for runtime in list(lifecycle._runtimes) if lifecycle else []:
        if runtime.recorder.tenure.has_ended:
            runtime.shutdown(0, lifecycle.ShutdownReason.ATEXIT)
            lifecycle._runtimes.remove(runtime)


@pytest.fixture(autouse=True)
def _litellm_forgets_the_calls_of_earlier_tests() -> None:
    """Its worker moves what a closed loop left in its queue to the next loop: one test's calls, reported in another."""
    module = sys.modules.get("litellm.litellm_core_utils.logging_worker")
    worker: Any = getattr(module, "GLOBAL_LOGGING_WORKER", None)
    loop = getattr(worker, "_bound_loop", None)  # LiteLLM 1.80 has no such attribute
    if loop is None or not loop.is_closed():
        return
    left = list(worker._unstarted_dequeued_tasks())
    worker._dequeued_tasks.clear()
    while not worker._queue.empty():
        left.append(worker._queue.get_nowait())
    for task in left:
        task["coroutine"].close()


@pytest.fixture(autouse=True)
def _the_loop_of_a_test_is_its_first() -> None:
    """On Python 3.8 LiteLLM 1.80 reports calls on the first loop of a process, and those on a later one never."""
    module = sys.modules.get("litellm.litellm_core_utils.logging_worker")
    if sys.version_info < (3, 9) and module is not None:
        module.GLOBAL_LOGGING_WORKER._queue = module.GLOBAL_LOGGING_WORKER._worker_task = None


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
def traced(collector: Collector, tmp_path: Path) -> Iterator[Collector]:
    """The package at work in this very process."""
    honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=collector.url, spool_path=tmp_path)
    yield collector
    honeyhive_litellm.shutdown(5)
