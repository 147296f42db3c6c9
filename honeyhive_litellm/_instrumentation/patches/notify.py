"""How the patches report to the recorders: which recorders hear of a call, and calls that never raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, NamedTuple, Optional, Tuple

from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._foreign import class_name, is_interrupt
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._mapping.reading import or_default
from honeyhive_litellm._runtime.runtime import QueuedStart, Runtime

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")


class Subscriber(NamedTuple):
    """A runtime that hears of what the patches see.

    `is_registered` returns whether one of its loggers is among LiteLLM's callbacks: a call that only our patches see
    is recorded only then, like any other call.
    """

    runtime: Runtime
    is_registered: Callable[[], bool]


_subscribers: Tuple[Subscriber, ...] = ()


def subscribers() -> Tuple[Subscriber, ...]:
    """All of the process: a tuple, since some thread may be iterating over them when they change."""
    return _subscribers


def subscribe(subscriber: Subscriber) -> None:
    """Add `subscriber`, and forget those whose runtime is closed and has no call that may still end."""
    global _subscribers
    kept = [other for other in _subscribers if not other.runtime.is_closed or other.runtime.recorder.in_flight]
    _subscribers = (*kept, subscriber)


def unsubscribe(runtime: Runtime) -> None:
    """Report nothing more to `runtime`."""
    global _subscribers
    _subscribers = tuple(other for other in _subscribers if other.runtime is not runtime)


def active_runtimes() -> Iterator[Runtime]:
    """The runtimes that are to record a call that LiteLLM itself does not report."""
    for subscriber in _subscribers:
        if not subscriber.runtime.is_closed and or_default(False, subscriber.is_registered):
            yield subscriber.runtime


def guarded(hook: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call `hook`. A fault of ours goes to the log, without the call's content, and never to the caller."""
    try:
        hook(*args, **kwargs)
    except BaseException as error:
        if is_interrupt(error):
            raise
        warn(
            LogCode.CALL_NOT_RECORDED,
            "honeyhive: a call could not be recorded: %s in %s",
            class_name(error),
            hook.__qualname__,
        )


def notify(hook: Callable[Concatenate[Recorder, P], None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a method of every recorder: `notify(Recorder.on_chunk, call_details, chunk)`.

    A recorder that has not seen the start of this call ignores it.
    """
    for subscriber in _subscribers:
        guarded(hook, subscriber.runtime.recorder, *args, **kwargs)


def notify_active(hook: Callable[Concatenate[Recorder, P], None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a method of the recorders of `active_runtimes`."""
    for runtime in active_runtimes():
        guarded(hook, runtime.recorder, *args, **kwargs)


async def checkpoint(call_details: Mapping[str, Any], error: Optional[BaseException] = None) -> None:
    """Strict mode: return when the outcome, as far as it was seen, is on disk."""
    for subscriber in _subscribers:
        if subscriber.runtime.settings.strict:
            await checkpoint_in(subscriber.runtime, call_details, error)


async def checkpoint_in(
    runtime: Runtime, call_details: Mapping[str, Any], error: Optional[BaseException] = None
) -> None:
    """`checkpoint` for one runtime, which is strict."""
    commits = start_in(runtime, call_details).commits
    guarded(runtime.recorder.checkpoint, call_details, error)
    await commits.all_committed()


def start_in(runtime: Runtime, call_details: Mapping[str, Any]) -> QueuedStart:
    """Where the start of this call is queued; at 0, for which nobody waits, if it is nowhere."""
    # It raises for details that cannot be read: the hook that records the outcome logs that.
    return or_default(QueuedStart(runtime.channels.main.commits, 0), runtime.start_of, call_details)


async def start_committed(call_details: Mapping[str, Any]) -> None:
    """Return when the start of this call is on disk: no call returns before, and no stream hands out a chunk."""
    for subscriber in _subscribers:
        await start_committed_in(subscriber.runtime, call_details)


async def start_committed_in(runtime: Runtime, call_details: Mapping[str, Any]) -> None:
    """`start_committed` for one runtime."""
    start = start_in(runtime, call_details)
    await start.commits.start_committed(start.position)


def wait_for_start(call_details: Mapping[str, Any]) -> None:
    """`start_committed` for sync calls: blocks the calling thread."""
    for subscriber in _subscribers:
        start = start_in(subscriber.runtime, call_details)
        start.commits.wait_for_start(start.position)


def call_details_of(stream: Any) -> Any:
    """LiteLLM's `model_call_details` of the call whose stream this is."""
    logging_object = _logging_object_of(stream)
    for name in _INNER_STREAMS if logging_object is None else ():
        logging_object = logging_object or _logging_object_of(getattr(stream, name, None))
    return getattr(logging_object, "model_call_details", None) or {}


_INNER_STREAMS = ("_anthropic_wrapper", "_wrapper")
"""Where LiteLLM's streams of Anthropic's bytes keep the stream that they encode."""


def _logging_object_of(stream: Any) -> Any:
    return (
        getattr(stream, "logging_obj", None)
        or getattr(stream, "litellm_logging_obj", None)
        or getattr(stream, "_litellm_logging_obj", None)
    )
