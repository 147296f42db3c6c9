"""The patches on a LiteLLM that lacks what they wrap, and what they do if a call is not what they expect."""

from __future__ import annotations

import asyncio
import enum
import importlib
import logging
import signal
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from honeyhive_litellm._instrumentation.patches import router, unreported
from honeyhive_litellm._instrumentation.patches.apply import PatchPoint
from honeyhive_litellm._instrumentation.patches.late_modules import on_import
from honeyhive_litellm._instrumentation.patches.module_functions import ModuleView, imported, wrap_function
from honeyhive_litellm._instrumentation.patches.router import strategy_of
from honeyhive_litellm._instrumentation.patches.threads import patch_threads

HANDLED = signal.SIGTERM


def warnings_in(caplog: pytest.LogCaptureFixture) -> List[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("honeyhive_litellm")]


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """Has a signal handler of the application raise, in the midst of what calls this."""

    def handler(*_: object) -> None:
        raise InterruptedError("of the application")

    before = signal.signal(HANDLED, handler)
    yield lambda: signal.raise_signal(HANDLED)
    signal.signal(HANDLED, before)


# ---- functions of modules


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("a_module_of_litellms")
    module.double = lambda value: 2 * value  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_a_view_of_a_module_changes_what_it_reads_and_passes_on_what_is_set(module: ModuleType) -> None:
    view = ModuleView(module, double=lambda double: lambda value: double(value) + 1)
    assert (view.double(2), module.double(2)) == (5, 4)
    view.setting = "of a user"
    assert module.setting == view.setting == "of a user"
    view.double = abs
    assert (view.double(-3), module.double(-3)) == (4, 3)


def test_a_function_or_module_that_a_litellm_lacks_is_not_wrapped(module: ModuleType) -> None:
    before = dict(vars(module))
    wrap_function(module.__name__, "no_such_function", lambda function: function)
    wrap_function("a_module_that_is_not_there", "double", lambda function: function)
    assert imported("a_module_that_is_not_there") is None
    assert vars(module) == before
    wrap_function(module.__name__, "double", lambda double: lambda value: -double(value))
    assert module.double(1) == -2


def test_a_method_that_a_litellm_lacks_is_not_wrapped(module: ModuleType) -> None:
    class Stream:
        def read(self) -> str:
            return "read"

        @staticmethod
        def parse() -> str:
            return "parsed"

    module.Stream = Stream  # type: ignore[attr-defined]

    def wrap(method: Callable[..., str]) -> Callable[..., str]:
        return lambda *arguments: f"wrapped {method(*arguments)}"

    for name, owner, method in (
        (module.__name__, "Stream", "no_such_method"),
        (module.__name__, "NoSuchClass", "read"),
        ("a_module_that_is_not_there", "Stream", "read"),
    ):
        point = PatchPoint(name, owner, method, wrap)
        assert point.find_owner() is None
        point.apply()
    assert (Stream().read(), Stream.parse()) == ("read", "parsed")
    for method in ("read", "parse"):
        PatchPoint(module.__name__, "Stream", method, wrap).apply()
    assert (Stream().read(), Stream().parse()) == ("wrapped read", "wrapped parsed")


# ---- modules that are imported late


class NamespaceFinder(MetaPathFinder):
    """Finds a module without a loader, as a namespace package is before Python 3.11."""

    def find_spec(self, name: str, path: object, target: Optional[ModuleType] = None) -> Optional[ModuleSpec]:
        if name != "late_namespace":
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = []
        return spec


def test_a_module_is_patched_once_it_is_imported_and_others_are_found_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    (tmp_path / "late_module.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [NamespaceFinder(), *sys.meta_path])
    patched: List[str] = []
    names = [module.__name__, "late_module", "late_namespace", "late_and_missing"]
    on_import({name: [lambda name=name: patched.append(name)] for name in names})  # type: ignore[misc]
    assert patched == [module.__name__], "the others are not imported yet"
    try:
        assert importlib.import_module("late_module").value == 1
        importlib.import_module("late_namespace")
        with pytest.raises(ModuleNotFoundError, match="late_and_missing"):
            importlib.import_module("late_and_missing")
    finally:
        for name in names[1:]:
            sys.modules.pop(name, None)
    assert patched == [module.__name__, "late_module"]


# ---- threads and fallbacks


def test_a_litellm_without_threads_and_fallbacks_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "litellm.batch_completion.main",
        "litellm.router_rust.invoke.endpoints",
        "litellm.litellm_core_utils.asyncify",
        "litellm.litellm_core_utils.fallback_utils",
        "litellm.main",
    ):
        monkeypatch.setitem(sys.modules, name, None)
    before = {name: dict(vars(each)) for name, each in sys.modules.items() if name.startswith("litellm") and each}
    patch_threads()
    router.patch_fallbacks()
    assert {name: dict(vars(sys.modules[name])) for name in before} == before


# ---- the Router


class Strategy(enum.Enum):
    LATENCY = "latency-based-routing"


def broken_registry() -> Any:
    raise RuntimeError("of an unknown LiteLLM")


GROUP = SimpleNamespace(group_name="chat", models=["main"], routing_strategy=Strategy.LATENCY)


@pytest.mark.parametrize(
    ("found", "arguments", "expected"),
    [
        (None, {"routing_strategy": "least-busy"}, None),
        ({"routing_strategy": "simple-shuffle"}, {}, "simple-shuffle"),
        ({"routing_strategy": "simple-shuffle"}, {"routing_strategy": Strategy.LATENCY}, "latency-based-routing"),
        ({"routing_strategy": None}, {}, None),
        ({"settings": lambda: SimpleNamespace(routing_strategy="least-busy")}, {}, "least-busy"),
        ({"routing_strategy": "simple-shuffle", "registry": broken_registry}, {}, "simple-shuffle"),
        (
            {
                "routing_strategy": "simple-shuffle",
                "registry": lambda: SimpleNamespace(routing_groups=lambda: {"chat": GROUP}),
            },
            {},
            "latency-based-routing",
        ),
    ],
)
def test_the_strategy_is_found_in_the_routers_of_all_releases(
    found: Optional[Dict[str, Any]], arguments: Dict[str, Any], expected: Optional[str]
) -> None:
    present = None if found is None else SimpleNamespace(**found)
    assert strategy_of(present, arguments, "main") == expected


PLAN = SimpleNamespace(endpoint="acompletion")


def test_a_request_in_an_unknown_form_is_answered_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "honeyhive_litellm")
    ask = router.on_request(lambda _router, *arguments: ("answer", arguments))
    assert ask(None, PLAN, 7) == ("answer", (PLAN, 7))
    assert warnings_in(caplog) == ["honeyhive: a request to a Router could not be recorded: TypeError"]


def test_what_a_signal_handler_raises_while_a_request_begins_reaches_the_application(
    interrupt: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    class Request:
        def keys(self) -> List[str]:
            interrupt()
            return []

    ask = router.on_request(lambda *_: pytest.fail("it has been called"))
    with pytest.raises(InterruptedError, match="of the application"):
        ask(None, PLAN, Request())
    assert warnings_in(caplog) == []


# ---- functions that call no callback


class Odd:
    """Metadata that cannot be looked at."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def __bool__(self) -> bool:
        self._act()
        raise ValueError("neither")


def test_an_unreported_call_that_cannot_be_recorded_is_answered_and_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def moderation(text: object = None, **kwargs: Any) -> object:
        if text is None:
            raise LookupError("of the provider")
        return text

    async def amoderation(text: object = None, **kwargs: Any) -> object:
        return moderation(text, **kwargs)

    caplog.set_level(logging.WARNING, "honeyhive_litellm")
    call = unreported._wrap(moderation, "moderation")
    acall = unreported._wrap_async(amoderation, "amoderation")
    odd = {"metadata": Odd(lambda: None)}
    assert call("hello", **odd) == "hello"
    assert asyncio.run(acall("hello", **odd)) == "hello"
    with pytest.raises(LookupError, match="of the provider"):
        call(**odd)
    with pytest.raises(LookupError, match="of the provider"):
        asyncio.run(acall(**odd))
    assert "honeyhive: a call of moderation could not be recorded: ValueError" in warnings_in(caplog)


def test_what_a_signal_handler_raises_while_an_unreported_call_begins_reaches_the_application(
    interrupt: Callable[[], None],
) -> None:
    call = unreported._wrap(lambda **kwargs: pytest.fail("it has been called"), "moderation")
    with pytest.raises(InterruptedError, match="of the application"):
        call(metadata=Odd(interrupt))
