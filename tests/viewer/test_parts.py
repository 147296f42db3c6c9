"""What the pages are made of: filters, conversations, trees, differences, formats. Pure functions."""

from __future__ import annotations

from typing import Any, Dict, List, Optional
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm.collector._filter import Filter, full_text_query, read_filter, words_of
from honeyhive_litellm.collector._queries import Cursor, Row
from honeyhive_litellm.collector._summary import Summary, search_text, summarize
from honeyhive_litellm.collector.viewer import formats
from honeyhive_litellm.collector.viewer.conversation import conversation
from honeyhive_litellm.collector.viewer.differences import differences
from honeyhive_litellm.collector.viewer.export import event_markdown, trace_markdown
from honeyhive_litellm.collector.viewer.trace import totals, trace

TEXT = st.text(min_size=1, max_size=20).map(str.strip).filter(bool)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
PNG = {"url": {"mime_type": "image/png", "bytes": 1234, "sha256": "abc"}}
FIELDS = ("inputs", "outputs", "config", "metadata", "user_properties", "error", "start_time", "end_time", "duration")


@given(
    st.builds(
        Filter,
        status=st.lists(TEXT, unique=True, max_size=3).map(tuple),
        tag=st.lists(TEXT, unique=True, max_size=2).map(tuple),
        session=st.none() | TEXT,
        cost_min=st.none() | st.floats(0, 1e6),
        from_=st.none() | st.integers(0, 2**42).map(float),
        last=st.none() | st.sampled_from(["15m", "24h", "7d"]),
        q=st.just("") | TEXT,
    )
)
def test_a_filter_is_its_url(meant: Filter) -> None:
    read, problems = read_filter(parse_qsl(meant.query(), keep_blank_values=True))
    assert problems == []
    assert read.query() == meant.query()


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("cost_min=abc", "cost_min must be a number"),
        ("duration_max=nan", "duration_max must be a number"),
        ("last=soon", "last must be a span of time such as 15m, 24h or 7d"),
        ("from=yesterday", "from must be a date and time such as 2026-01-31T12:00"),
    ],
)
def test_a_condition_that_makes_no_sense_is_left_out_and_named(query: str, problem: str) -> None:
    assert read_filter(parse_qsl(query)) == (Filter(), [problem])


@pytest.mark.parametrize(
    ("q", "query"),
    [
        ("honey", '("honey"*)'),
        ('"make honey" bee -cat', '("make honey"* AND "bee"*) NOT "cat"'),
        ("東京", '("東 京")'),
        ("-cat", None),
        ("***", None),
    ],
)
def test_a_search_is_words_and_never_the_language_of_the_index(q: str, query: Optional[str]) -> None:
    assert full_text_query(words_of(q)) == query


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_event_can_be_summarized_and_shown(fields: Dict[str, Any]) -> None:
    event = {"event_id": "e", "session_id": "s", "event_type": "model", **fields}
    summary = summarize(event, 1.0, 2)
    assert isinstance(summary, Summary) and isinstance(search_text(event), str)
    talk = conversation(event)
    assert all(isinstance(message.plain(), str) for message in (*talk.messages, *talk.answers))


def row(id_: str, parent: Optional[str], start: float, took: Optional[float], **fields: Any) -> Row:
    event = {
        "event_id": id_,
        "session_id": "s",
        "event_type": "model",
        "start_time": start,
        "parent_id": parent,
        **fields,
    }
    return Row(0, summarize({**event, **({} if took is None else {"duration": took})}, 1.0, 2))


def test_a_tree_has_its_events_below_their_parents_and_marks_what_overlaps() -> None:
    rows = [row("root", None, 0, 100), row("a", "root", 0, 60), row("b", "root", 50, 50), row("leaf", "a", 10, 10)]
    found = trace(rows)
    assert [(span.event.event_id, span.depth, span.overlaps) for span in found.spans] == [
        ("root", 0, False),
        ("a", 1, False),
        ("leaf", 2, False),
        ("b", 1, True),
    ]
    assert [(span.left, span.width) for span in found.spans] == [(0, 100), (0, 60), (10, 10), (50, 50)]


def test_a_circle_of_parents_and_a_parent_that_is_missing_lose_no_event() -> None:
    rows = [row("a", "b", 0, 1), row("b", "a", 1, 1), row("self", "self", 2, 1), row("orphan", "gone", 3, None)]
    assert sorted(span.event.event_id for span in trace(rows).spans) == ["a", "b", "orphan", "self"]
    assert trace([]).spans == []


@given(st.lists(st.tuples(st.floats(-1e15, 1e15), st.none() | st.floats(-1e9, 1e9)), min_size=1, max_size=8))
def test_every_bar_lies_on_the_axis(times: List[Any]) -> None:
    rows = [row(str(at), None, start, took) for at, (start, took) in enumerate(times)]
    for span in trace(rows).spans:
        assert 0 <= span.left <= 100 and span.width > 0 and span.left + span.width <= 100.001


def test_a_chain_is_not_counted_beside_its_attempts() -> None:
    chain = row("c", None, 0, 1, event_type="chain", metadata={"cost": 5})
    summaries = [chain.summary, row("m", "c", 0, 1, metadata={"cost": 2, "status": "failure"}).summary]
    assert totals(summaries)[:2] == (1, 1) and totals(summaries).cost == 2


def test_differences_pair_lines_and_leave_out_what_is_equal() -> None:
    same = [f"line {number}" for number in range(20)]
    lines = differences("\n".join([*same, "old"]), "\n".join([*same, "new", "more"]))
    assert [(line.kind, line.left, line.right) for line in lines[-2:]] == [
        ("changed", "old", "new"),
        ("added", "", "more"),
    ]
    assert lines[0].kind == "gap" and lines[0].skipped == 17
    assert [line.kind for line in differences("a", "a")] == ["same"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2013"),
        (0, "$0"),
        (0.00002, "$0.00002"),
        (0.0031, "$0.0031"),
        (0.25, "$0.25"),
        (12.5, "$12.50"),
        (4321.0, "$4,321"),
    ],
)
def test_a_cost_shows_what_counts(value: Optional[float], text: str) -> None:
    assert formats.dollars(value) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (3.4, "3.4 ms"),
        (340, "340 ms"),
        (2100, "2.1 s"),
        (185_000, "3 m 05 s"),
        (7_800_000, "2 h 10 m"),
        (-5, "-5.0 ms"),
    ],
)
def test_a_duration_is_read_at_a_glance(ms: float, text: str) -> None:
    assert formats.duration(ms) == text


@given(st.none() | st.floats())
def test_no_number_breaks_a_format(value: Optional[float]) -> None:
    for show in (formats.dollars, formats.duration, formats.clock, formats.full_time, formats.iso, formats.field_time):
        assert isinstance(show(value), str)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**62))
def test_a_cursor_is_read_as_it_was_written(start: float, seq: int) -> None:
    assert Cursor.read(str(Cursor(start, seq))) == Cursor(start, seq)
    assert Cursor.read("x") is None and Cursor.read("1_") is None


CHAT: Dict[str, Any] = {
    "event_id": "e1",
    "session_id": "s",
    "event_type": "model",
    "event_name": "chat",
    "duration": 1500.0,
    "config": {"model": "gpt-4o", "provider": "openai"},
    "inputs": {
        "chat_history": [
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": PNG}],
            },
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": '{"snow": true}'},
        ],
        "functions": [{"type": "function", "function": {"name": "weather"}}],
        "suffix": "?",
    },
    "outputs": {"role": "assistant", "content": "```\nsnow\n```", "reasoning_content": "white\nand cold"},
    "metadata": {"status": "success", "total_tokens": 12, "prompt_tokens": 9, "completion_tokens": 3, "cost": 0.5},
}


def test_an_event_is_markdown_that_shows_all_of_its_conversation() -> None:
    found = event_markdown(summarize(CHAT, 1.0, 2), CHAT)
    assert found.splitlines()[0] == "# chat: success"
    for part in (
        "model, gpt-4o, openai, 1.5 s, 9 + 3 tokens, $0.50, id e1",
        "## system\n\nbe brief",
        "what is this?\n\n[image/png, 1.2 KiB, sha256 abc]",
        'Calls `weather`:\n\n```json\n{\n  "city": "Oslo"\n}\n```',
        "Result:",
        '"snow": true',
        "> white\n> and cold",
        "## Other inputs",
        '"suffix": "?"',
        "Tools offered: weather",
    ):
        assert part in found, found


def test_a_failed_event_is_markdown_with_its_error() -> None:
    event = {**CHAT, "error": "Timeout: after 3 s", "metadata": {"status": "failure"}, "outputs": {}}
    found = event_markdown(summarize(event, 1.0, 2), event)
    assert found.startswith("# chat: failure\n") and "**Error:** Timeout: after 3 s" in found


def test_a_trace_is_markdown_with_an_indented_line_an_event() -> None:
    rows = [
        row("root", None, 0, 100, event_name="chat", metadata={"status": "success"}),
        row("try", "root", 10, 60, error="Timeout:\n3 s", metadata={"status": "failure", "attempt": 1}),
        row("open", "root", 80, None, metadata={"status": "interrupted", "last_seen": "2026-03-01T12:00:00Z"}),
    ]
    first, second, *lines = trace_markdown("the trace", trace(rows)).splitlines()
    assert (first, second) == ("# the trace", "")
    assert lines[0].startswith("- +0 ms **success** ")
    assert lines[1].startswith("  - +10 ms **failure** ") and lines[1].endswith(": Timeout: 3 s")
    assert lines[2].startswith("  - +80 ms **interrupted** ")


# What people see of rare events


def shown(inputs: Any = None, outputs: Any = None) -> List[Any]:
    """Of each message its role, and of each of its parts the kind, the text and the label."""
    talk = conversation({"inputs": inputs, "outputs": outputs})
    return [
        (message.role, [(part.kind, part.text, part.label) for part in message.parts])
        for message in (*talk.messages, *talk.answers)
    ]


@pytest.mark.parametrize(
    ("inputs", "messages"),
    [
        ({"input": ["a", "b"]}, [("input", [("text", "a", "1"), ("text", "b", "2")])]),
        ({"query": "q", "documents": ["a"]}, [("query", [("text", "q", "")]), ("documents", [("text", "a", "1")])]),
        ({"documents": ["a", 7]}, []),
        ({"documents": []}, []),
        ({"chat_history": "hello"}, []),
        ({"chat_history": ["hello"]}, [("user", [("text", "hello", "")])]),
        ({"chat_history": [{"content": ["a", 7]}]}, [("user", [("text", "a", ""), ("json", "7", "")])]),
        ({"chat_history": [{"content": 7}]}, [("user", [("json", "7", "")])]),
        ({"chat_history": [{"content": {"text": "a"}}]}, [("user", [("text", "a", "")])]),
        (
            {"chat_history": [{"content": [{"type": "thinking", "thinking": "hm"}]}]},
            [("user", [("text", "hm", "thinking")])],
        ),
        (
            {"chat_history": [{"content": [{"type": "image_url", "image_url": "https://a.example/b.png"}]}]},
            [("user", [("address", "https://a.example/b.png", "image, not loaded")])],
        ),
        ({"chat_history": [{"role": "user", "kind": "x"}]}, [("user", [("json", '{\n  "kind": "x"\n}', "")])]),
        ({"chat_history": [{"role": "tool", "content": "{cut"}]}, [("tool", [("text", "{cut", "")])]),
    ],
)
def test_inputs_of_every_form_are_messages(inputs: Dict[str, Any], messages: List[Any]) -> None:
    assert shown(inputs=inputs) == messages


@pytest.mark.parametrize(
    ("outputs", "answers", "rest"),
    [
        ({"text": "because", "finish_reason": "stop"}, [("answer", [("text", "because", "")])], ""),
        ({"text": 7}, [], '{\n  "text": 7\n}'),
        ({"role": "assistant", "refusal": "no"}, [("assistant", [("text", "no", "refusal")])], ""),
        (
            {"content": "a", "choices": [{"content": "b"}]},
            [("assistant", [("text", "a", "")]), ("assistant", [("text", "b", "")])],
            "",
        ),
    ],
)
def test_outputs_of_every_form_are_answers(outputs: Dict[str, Any], answers: List[Any], rest: str) -> None:
    assert shown(outputs=outputs) == answers
    assert conversation({"outputs": outputs}).other_outputs == rest


def test_media_far_down_in_a_message_are_json() -> None:
    def below(levels: int) -> Any:
        value: Any = PNG["url"]
        for _ in range(levels):
            value = [value]
        return {"chat_history": [{"content": [{"deep": value}]}]}

    assert [kind for _, parts in shown(inputs=below(3)) for kind, *_ in parts] == ["media"]
    assert [kind for _, parts in shown(inputs=below(30)) for kind, *_ in parts] == ["json"]


def test_a_result_without_a_call_and_a_second_result_of_one_stay_messages() -> None:
    call = {"role": "assistant", "tool_calls": [CALL, {"function": {"arguments": '{"cut'}}, 7]}
    results = [{"role": "tool", "tool_call_id": id_, "content": id_} for id_ in ("c1", "c1", "gone")]
    talk = conversation({"inputs": {"chat_history": [call, *results]}})
    assert [message.plain() for message in talk.messages] == ["", "c1", "gone"]
    assert [(found.name, found.arguments) for found in talk.messages[0].calls] == [
        ("weather", '{\n  "city": "Oslo"\n}'),
        ("tool", '{"cut'),
        ("tool", ""),
    ]


def test_markdown_says_what_it_leaves_out_and_its_fences_hold() -> None:
    history = [{"role": "user", "content": f"number {number}"} for number in range(403)]
    event = {**CHAT, "inputs": {"chat_history": history, "suffix": "```\n# not a heading"}}
    lines = event_markdown(summarize(event, 1.0, 2), event).splitlines()
    assert "(3 earlier messages left out)" in lines and "number 2" not in lines and "number 3" in lines
    start = lines.index("````json")
    assert "````" in lines[start + 1 :]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\u2013"), (0, "0"), (950, "950"), (1200, "1.2k"), (34_000, "34k"), (1_100_000, "1.1M"), (2e9, "2.0B")],
)
def test_a_number_in_little_room_has_a_unit(value: Optional[float], text: str) -> None:
    assert formats.short_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "\u2013"), ("", "\u2013"), ("call-1", "call-1"), ("a" * 36, "a" * 8)]
)
def test_an_id_is_its_beginning(value: Optional[str], text: str) -> None:
    assert formats.short_id(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\u2013"), (True, "\u2013"), (float("inf"), "\u2013"), (5, "5 bytes"), (2**21, "2.0 MiB")],
)
def test_a_size_is_a_number_of_bytes(value: Any, text: str) -> None:
    assert formats.size(value) == text


@pytest.mark.parametrize(
    ("inputs", "question"),
    [
        ({"chat_history": [{"role": "user", "content": "why?"}, {"role": "user", "content": [PNG]}]}, "why?"),
        ({"chat_history": [{"role": "system", "content": "be brief"}, 7]}, "be brief"),
        ({"chat_history": [{"role": "user", "content": [PNG]}], "prompt": "unseen"}, None),
        ({"prompt": "a **b**\n  c"}, "a b c"),
        ({"other": {"text": "words"}}, "words"),
        ({"other": {"n": 1}}, None),
    ],
)
def test_a_question_is_the_first_words_of_what_was_sent(inputs: Dict[str, Any], question: Optional[str]) -> None:
    assert summarize({**CHAT, "inputs": inputs}, 1.0, 2).question == question


@pytest.mark.parametrize(
    ("outputs", "answer"),
    [
        ({"content": None, "tool_calls": [7, {"function": {}}, CALL]}, 'weather({"city": "Oslo"})'),
        ({"tool_calls": []}, None),
        ({"served_by": {"model_group": "fast"}}, "served by fast"),
        ({"results": [{"text": "first"}, {"text": "second"}]}, "first"),
        ({"results": 7}, None),
    ],
)
def test_an_answer_is_the_first_words_of_what_came_back(outputs: Dict[str, Any], answer: Optional[str]) -> None:
    assert summarize({**CHAT, "outputs": outputs}, 1.0, 2).answer == answer


def test_a_duration_that_is_not_sent_lies_between_start_and_end() -> None:
    times = {"duration": None, "start_time": 1000.0, "end_time": 1750.0}
    assert summarize({**CHAT, **times}, 1.0, 2).duration_ms == 750.0
    assert summarize({**CHAT, **times, "start_time": None}, 1.0, 2).duration_ms is None
