"""The `anthropic` SDK through the proxy, to an upstream of either protocol."""

import asyncio
import json

import anthropic
import httpx2
import pytest

from samples import ARGUMENTS, JPEG, LONG_PROMPT, MESSAGES_TOOLS, PNG, SCHEMA, TOOLS


def ask(text, model="demo", **more):
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
    return {"model": model, "max_tokens": 4096, "messages": messages, **more}


def check_grammar(events):
    """message_start (block_start delta* block_stop)* message_delta message_stop, indices in order."""
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    open_index, next_index = None, 0
    for event in events:
        if event.type == "content_block_start":
            assert open_index is None and event.index == next_index
            open_index, next_index = event.index, next_index + 1
        elif event.type == "content_block_delta":
            assert event.index == open_index
        elif event.type == "content_block_stop":
            assert event.index == open_index
            open_index = None
    assert open_index is None
    assert kinds.count("message_start") == kinds.count("message_delta") == 1


def streamed(client, **request):
    """The final message, after its events were checked by grammar and by the SDK's accumulator."""
    with client.messages.create(stream=True, **request) as raw:
        events = list(raw)
    check_grammar(events)
    with client.messages.stream(**request) as stream:
        stream.until_done()
        return stream.get_final_message(), events


def test_text(messages):
    answer = messages.messages.create(**ask("ping 123"))
    assert [block.type for block in answer.content] == ["text"]
    assert answer.content[0].text == "Hello from demo! You said: ping 123"
    assert (answer.role, answer.type, answer.stop_reason) == ("assistant", "message", "end_turn")
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens == 7


def test_streamed_text(messages):
    answer, events = streamed(messages, **ask("grüße 😀"))
    assert answer.content[0].text == "Hello from demo! You said: grüße 😀"
    assert sum(event.type == "content_block_delta" for event in events) > 3
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens == 7


@pytest.mark.parametrize("stream", [False, True])
def test_stops(messages, stream):
    def stop(**more):
        request = ask("alpha beta STOP gamma", **more)
        answer = streamed(messages, **request)[0] if stream else messages.messages.create(**request)
        return answer.stop_reason, answer.content[0].text
    reason, text = stop(stop_sequences=["STOP"])
    assert reason in ("stop_sequence", "end_turn") and text.endswith("beta ")
    reason, text = stop(max_tokens=3)
    assert (reason, text) == ("max_tokens", "Hello from demo! ")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model,names", [("demo-tool", TOOLS[:1]), ("demo-parallel", TOOLS)])
def test_tools(messages, stream, model, names):
    request = ask("What is the weather?", model, tools=MESSAGES_TOOLS)
    if stream:
        answer, events = streamed(messages, **request)
        pieces = [e for e in events if e.type == "content_block_delta" and e.delta.type == "input_json_delta"]
        assert len(pieces) > 3 * len(names)
    else:
        answer = messages.messages.create(**request)
    assert answer.stop_reason == "tool_use"
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [call.name for call in calls] == list(names)
    assert all(call.input == ARGUMENTS for call in calls)
    assert len({call.id for call in calls}) == len(names)
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": f"sun for {call.name}"} for call in calls
    ]
    request["messages"] += [
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": results},
    ]
    answer = streamed(messages, **request)[0] if stream else messages.messages.create(**request)
    assert answer.content[-1].text == "The tool said: " + " | ".join(f"sun for {name}" for name in names)
    assert answer.stop_reason == "end_turn"


@pytest.mark.parametrize("choice,called", [("none", []), ("any", TOOLS[:1]), (TOOLS[1], TOOLS[1:])])
def test_tool_choice(messages, choice, called):
    wanted = {"type": choice} if choice in ("none", "any") else {"type": "tool", "name": choice}
    answer = messages.messages.create(**ask("Hi", tools=MESSAGES_TOOLS, tool_choice=wanted))
    assert [block.name for block in answer.content if block.type == "tool_use"] == list(called)


def test_tool_result_with_image_and_error(messages):
    request = ask("weather", "demo-parallel", tools=MESSAGES_TOOLS)
    first = messages.messages.create(**request)
    calls = [block for block in first.content if block.type == "tool_use"]
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    request["messages"] += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": calls[0].id, "content": [{"type": "text", "text": "see"}, picture]},
            {"type": "tool_result", "tool_use_id": calls[1].id, "content": "broken", "is_error": True},
        ]},
    ]
    text = messages.messages.create(**request).content[-1].text
    assert "The tool said: see | broken" in text and "1 image(s): image/png" in text


def test_images(messages):
    def image(kind, data):
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
    content = [image("image/png", PNG), {"type": "text", "text": "look"}, image("image/jpeg", JPEG)]
    answer = messages.messages.create(**ask([{"role": "user", "content": content}]))
    assert answer.content[0].text.endswith("I saw 2 image(s): image/png, image/jpeg")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wanted", [
    {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
], ids=["budget", "adaptive"])
def test_thinking(messages, stream, wanted):
    request = ask("why", tools=MESSAGES_TOOLS, **wanted)
    answer = streamed(messages, **request)[0] if stream else messages.messages.create(**request)
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[0].thinking.startswith("The user said:")
    assert isinstance(answer.content[0].signature, str)
    # What was thought is played back, and an upstream that signs accepts only its own signature.
    request["messages"] += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": "and?"}]
    assert messages.messages.create(**request).content[-1].text.endswith("and?")


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_with_tools(messages, stream):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    request = ask("weather", thinking=thinking, tools=MESSAGES_TOOLS)
    answer = streamed(messages, **request)[0] if stream else messages.messages.create(**request)
    assert [block.type for block in answer.content] == ["thinking", "tool_use"]
    result = {"type": "tool_result", "tool_use_id": answer.content[1].id, "content": "sun"}
    request["messages"] += [
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result]},
    ]
    answer = streamed(messages, **request)[0] if stream else messages.messages.create(**request)
    assert answer.content[-1].text == "The tool said: sun"


def test_structured_output(messages):
    wanted = {"format": {"type": "json_schema", "schema": SCHEMA}}
    answer = messages.messages.create(**ask("json", output_config=wanted))
    assert json.loads(answer.content[0].text) == ARGUMENTS


ERRORS = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    429: anthropic.RateLimitError,
    500: anthropic.InternalServerError,
    503: anthropic.APIStatusError,
    529: anthropic._exceptions.OverloadedError,
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", ERRORS)
def test_errors(messages, status, stream):
    with pytest.raises(ERRORS[status]) as raised:
        messages.messages.create(**ask("x", f"demo-error-{status}"), stream=stream)
    assert raised.value.body["type"] == "error"
    assert raised.value.body["error"]["message"] == "the demo fails as it was asked to"
    assert status == 503 or raised.value.status_code == status
    if status == 429:
        assert raised.value.response.headers["retry-after"] == "1"


def test_an_error_in_a_stream_is_raised(messages):
    with pytest.raises(anthropic.APIStatusError) as raised:
        with messages.messages.stream(**ask("x", "demo-error-stream")) as stream:
            stream.until_done()
    assert raised.value.body["error"]["message"] == "the demo fails as it was asked to"


def test_a_cut_stream_is_no_clean_end(messages):
    with pytest.raises((anthropic.APIError, httpx2.TransportError)):
        with messages.messages.stream(**ask("x", "demo-cut")) as stream:
            stream.until_done()


def test_long_prompt(messages):
    answer = messages.messages.create(**ask(LONG_PROMPT))
    assert answer.content[0].text.endswith("the-very-end")
    assert answer.usage.input_tokens > 200_000


def test_long_answer(messages):
    assert len(messages.messages.create(**ask("x", "demo-large-512")).content[0].text) == 512 * 1024
    answer, _ = streamed(messages, **ask("x", "demo-large-512"))
    assert len(answer.content[0].text) == 512 * 1024


def test_ten_streams_at_once(gateway):
    async def one(client, number):
        async with client.messages.stream(**ask(f"number {number}")) as stream:
            return await stream.get_final_text()

    async def all_of_them():
        async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="k", max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(10)))

    texts = asyncio.run(all_of_them())
    assert texts == [f"Hello from demo! You said: number {number}" for number in range(10)]


def test_cancel_closes_the_upstream(gateway, messages):
    before = gateway.upstream_state()["cancelled"]
    with messages.messages.create(stream=True, **ask("x", "demo-slow")) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break
        assert gateway.upstream_state()["live"] == 1
    gateway.wait_for_state(lambda state: state["live"] == 0 and state["cancelled"] == before + 1)


def test_models_and_counts(gateway, messages):
    if gateway.upstream == "openai-chat":
        pytest.skip("Chat has no count of tokens")
    assert messages.models.list().data[0].id == "demo"
    assert messages.messages.count_tokens(model="demo", messages=[{"role": "user", "content": "x"}]).input_tokens > 0
