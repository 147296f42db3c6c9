"""The application: whether it records calls, and whether something else records them as well.

LiteLLM is looked at only if the application has imported it: importing it takes seconds.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from importlib import metadata
from typing import Any, Iterator, List, Tuple

import click

from honeyhive_litellm._config.settings import Settings

from .finding import Finding, ok, problem, warning

OTHERS = {
    "openinference-instrumentation-litellm": "openinference.instrumentation.litellm",
    "openlit": "openlit.instrumentation.litellm",
    "traceloop-sdk": "opentelemetry.instrumentation.litellm",
}
"""Packages that record LiteLLM's calls, too, with the module of their instrumentor."""


def load(name: str) -> None:
    """Import "module", or "module:function" and call the function if it needs no argument. Raises ClickException."""
    module_name, _, attribute = name.partition(":")
    # LiteLLM asks the network for its list of prices otherwise.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in filter(None, attribute.split(".")):
            found = getattr(found, part)
        if inspect.isfunction(found) and not _needs_arguments(found):
            found()
    except Exception as error:
        raise click.ClickException(f"--app {name}: {type(error).__name__}: {error}") from error


def _needs_arguments(function: Any) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def installed_loggers() -> List[Any]:
    """Our loggers in LiteLLM's lists of callbacks, each once."""
    litellm = sys.modules.get("litellm")
    ours = getattr(sys.modules.get("honeyhive_litellm._instrumentation.logger"), "HoneyHiveLogger", None)
    if litellm is None or ours is None:
        return []
    lists = ("callbacks", "input_callback", "success_callback", "failure_callback", "_async_success_callback")
    found = [callback for name in lists for callback in getattr(litellm, name, None) or ()]
    return list({id(callback): callback for callback in found if isinstance(callback, ours)}.values())


def check_application(app: str) -> List[Finding]:
    """What the loaded application `app` has registered."""
    settings = [logger.settings for logger in installed_loggers()]
    if not settings:
        return [
            problem(
                "application.registered",
                f"{app} registers no HoneyHive logger: no call is recorded",
                "Call honeyhive_litellm.init() where the application starts, or name that function: "
                "--app module:function.",
            ),
            *check_others(is_loaded=True),
        ]
    findings = [
        ok("application.registered", f"{app} records calls for project {one.project} at {one.target}")
        for one in settings
    ]
    return [*findings, *_doubles(settings), *check_others(is_loaded=True)]


def _doubles(settings: List[Settings]) -> Iterator[Finding]:
    targets: List[Tuple[str, str]] = [(one.project, one.target) for one in settings]
    for project, url in sorted({target for target in targets if targets.count(target) > 1}):
        yield problem(
            "application.double",
            f"{targets.count((project, url))} loggers record for project {project} at {url}: "
            "each call becomes several events",
            "Keep one of init(), HoneyHiveLogger() and the Proxy's callback.",
        )


def check_others(*, is_loaded: bool) -> List[Finding]:
    """Other packages that record LiteLLM's calls: active ones if the application is loaded, else installed ones."""
    installed = [name for name in OTHERS if _is_installed(name)]
    active = [name for name in installed if is_loaded and _is_active(OTHERS[name])]
    remedy = "Let one of the two record the calls: docs/how-to has a page on migrating."
    if active:
        text = f"{', '.join(active)} records the calls as well"
        return [warning("application.other_instrumentation", text, remedy)]
    if installed and not is_loaded:
        text = f"{', '.join(installed)} is installed; if it is active, it records the calls as well"
        return [warning("application.other_instrumentation", text, f"Look with --app module:function. {remedy}")]
    return [ok("application.other_instrumentation", "No other package records the calls")]


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _is_active(module: str) -> bool:
    """Whether the instrumentor of this module, a singleton, has wrapped LiteLLM."""
    instrumentor = getattr(sys.modules.get(module), "LiteLLMInstrumentor", None)
    return instrumentor is not None and bool(instrumentor().is_instrumented_by_opentelemetry)
