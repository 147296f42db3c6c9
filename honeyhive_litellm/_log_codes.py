"""The codes of the log messages: one row for each thing that is logged.

A code never changes its meaning, so that alerts and searches can rely on it. A new message gets a row of its own here;
`docs/reference/log-messages.md` is made from this table and from the calls that use it.
"""

from __future__ import annotations

from enum import Enum


class LogCode(Enum):
    """The code, which every log record carries as `event_code`, and what an operator does about the message."""

    def __init__(self, code: str, action: str) -> None:
        self.code = code
        self.action = action

    # ---- capture: a call becomes records

    CALL_NOT_RECORDED = ("capture.call_not_recorded", "Report it: this is an error in this package.")
    CALLBACKS_REPLACED = (
        "capture.callbacks_replaced",
        "Append to LiteLLM's lists of callbacks instead of replacing them, or call `init` afterwards.",
    )
    ENCODING_FAILED = ("capture.encoding_failed", "Report it: this is an error in this package.")
    REDACT_FAILED = ("capture.redact_failed", "Correct the function that the option `redact` names.")
    REDACT_OVERDUE = ("capture.redact_overdue", "Correct the function: it must return, and soon.")
    ROUTER_REQUEST_NOT_RECORDED = ("capture.router_request_not_recorded", "Report it with LiteLLM's version.")
    UNKNOWN_LITELLM = ("capture.unknown_litellm", "Report LiteLLM's version, or use a tested one.")
    UNREPORTED_CALL_NOT_RECORDED = ("capture.unreported_call_not_recorded", "Report it with LiteLLM's version.")

    # ---- delivery: batches go to the server

    BATCH_FAILED = ("delivery.batch_failed", "Report it: this is an error in this package.")
    BATCH_NOT_HANDLED = ("delivery.batch_not_handled", "Report it: this is an error in this package.")
    BATCH_NOT_TAKEN = ("delivery.batch_not_taken", "Check the spool folder, then report it.")
    DEAD_LETTERS_UNWRITABLE = ("delivery.dead_letters_unwritable", "Free disk space, or make the folder writable.")
    EVENT_REFUSED = ("delivery.event_refused", "Read the reason with `honeyhive-litellm dead list`.")
    PROGRESS_UNWRITABLE = ("delivery.progress_unwritable", "Free disk space, or make the folder writable.")
    SERVER_RECOVERED = ("delivery.server_recovered", "Nothing.")
    SERVER_REFUSES = (
        "delivery.server_refuses",
        "Correct the API key or the address; with a broker, its login or permissions.",
    )
    SERVER_UNAVAILABLE = ("delivery.server_unavailable", "Check the network and the server, if it lasts.")
    SESSION_REFUSED = ("delivery.session_refused", "Nothing: the server creates the session itself.")

    # ---- spool: records on disk

    ADOPTION_FAILED = ("spool.adoption_failed", "Check the folder's permissions, if it lasts.")
    DISK_UNWRITABLE = ("spool.disk_unwritable", "Free disk space, make the folder writable, or set `spool_path`.")
    DISK_WRITABLE = ("spool.disk_writable", "Nothing.")
    EVENTS_DAMAGED = ("spool.events_damaged", "Check the disk.")
    EVENTS_EXPIRED = ("spool.events_expired", "Mend the delivery, or raise `spool_max_age`.")
    FILE_DELETED = ("spool.file_deleted", "Find out who deletes files in the spool folder.")
    FILE_END_DAMAGED = ("spool.file_end_damaged", "Check the disk.")
    FILE_QUARANTINED = ("spool.file_quarantined", "Check the disk.")
    FILES_LOCKED = ("spool.files_locked", "Add the missing key to `spool_key`, after the newest one.")
    FILE_UNSAFE = ("spool.file_unsafe", "Do what the message says, and find out who changed the file.")
    HAND_OFF_FAILED = ("spool.hand_off_failed", "Check the folder's permissions, if it lasts.")
    INTERRUPTED_NOT_REPORTED = ("spool.interrupted_not_reported", "Free disk space, or make the folder writable.")
    LEDGER_DAMAGED = ("spool.ledger_damaged", "Check the disk.")
    LEDGER_UNWRITABLE = ("spool.ledger_unwritable", "Free disk space, or make the folder writable.")
    MEMORY_LOST = ("spool.memory_lost", "Raise `shutdown_timeout`, or use a disk.")
    NEWER_FORMAT = ("spool.newer_format", "Run `honeyhive-litellm drain` with the newer version.")
    NOTHING_TAKES_EVENTS = ("spool.nothing_takes_events", "Free disk space and memory.")
    OTHER_PROJECT = ("spool.other_project", "Run the command of the message; give each project a `spool_path`.")
    REFUSED_IN_MEMORY = ("spool.refused_in_memory", "Use a disk if refused events must be kept.")
    SEAL_FAILED = ("spool.seal_failed", "Check the disk, if it lasts.")
    SPOOL_FULL = ("spool.full", "Mend the delivery, raise `spool_max_bytes`, or free disk space.")
    WRITE_FAILED = ("spool.write_failed", "Check the disk, if it lasts.")

    # ---- runtime: the background thread

    DESTINATION_REMOVED = (
        "runtime.destination_removed",
        "Put the destination back into the settings, or run the command of the message.",
    )
    EVENT_AFTER_SHUTDOWN_LOST = ("runtime.event_after_shutdown_lost", "Free disk space, or make the folder writable.")
    LOOP_INTERRUPTED = ("runtime.loop_interrupted", "Find out what raises exceptions in threads of other code.")
    MAINTENANCE_FAILED = ("runtime.maintenance_failed", "Check the spool folder, then report it.")
    OUTCOME_NOT_COMMITTED = ("runtime.outcome_not_committed", "Use a faster disk for the spool.")
    QUEUE_FULL = ("runtime.queue_full", "Use a faster disk for the spool.")
    START_NOT_COMMITTED = ("runtime.start_not_committed", "Use a faster disk for the spool.")
    TASK_RESTARTED = ("runtime.task_restarted", "Report it: this is an error in this package.")
    THREAD_ENDED = ("runtime.thread_ended", "Restart the process, then report it.")

    # ---- forks and the Proxy

    FORK_HANDLER_FAILED = ("fork.handler_failed", "Report it: this is an error in this package.")
    FORK_WHILE_BUSY = ("fork.while_busy", "Fork before the first call.")
    PROXY_NOT_RECORDING = ("proxy.not_recording", "Correct the option that the message names, and restart the Proxy.")

    # ---- the relay

    EVENTS_LOCKED = ("relay.events_locked", "Add the missing key to `key_env` or `key_file` and restart the relays.")
    LETTERS_UNWRITABLE = ("relay.dead_letters_unwritable", "Run `honeyhive-litellm relay init`, or mend the broker.")
    MESSAGE_UNUSABLE = ("relay.message_unusable", "Find out who else may publish to the stream.")
    STREAM_AVAILABLE = ("relay.stream_available", "Nothing.")
    STREAM_UNAVAILABLE = ("relay.stream_unavailable", "Mend the broker, or run `honeyhive-litellm relay init`.")
    RELAY_STARTED = ("relay.started", "Nothing.")
    RELAY_ENDED = ("relay.ended", "Nothing. What is left in the streams waits for other relays.")

    # ---- the commands, with `--log-format json`

    DRAIN_STARTED = ("drain.started", "Nothing.")
    METRICS_SERVED = ("drain.metrics_served", "Nothing.")
    DRAIN_ENDED = ("drain.ended", "Nothing. `pending` events stay for the next run.")

    # ---- the local server

    COLLECTOR_EVENT = ("collector.event", "Nothing.")
    COLLECTOR_HOST_REFUSED = ("collector.host_refused", "If the name is this machine's, pass it to `--allow-host`.")
    COLLECTOR_INDEX_STALLED = ("collector.index_stalled", "Free disk space.")
    COLLECTOR_LINK = ("collector.link", "Open it in a browser.")
    COLLECTOR_PAGE_FAILED = ("collector.page_failed", "Report it: this is an error in this package.")
    COLLECTOR_REQUEST_FAILED = ("collector.request_failed", "Report it: this is an error in this package.")
    COLLECTOR_SERVING = ("collector.serving", "Nothing.")
