"""What is particular to the `anthropic` SDK; `test_pairs.py` has the rest."""

import asyncio

import anthropic
import pytest

from samples import ARGUMENTS, MESSAGES_TOOLS, PNG, TOOLS


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


def test_ten_streams_at_once(gateway):
    async def one(client, number):
        async with client.messages.stream(**ask(f"number {number}")) as stream:
            return await stream.get_final_text()

    async def all_of_them():
        async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="k", max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(10)))

    texts = asyncio.run(all_of_them())
    assert texts == [f"Hello from demo! You said: number {number}" for number in range(10)]


@pytest.mark.parametrize("model,names", [("demo-tool", TOOLS[:1]), ("demo-parallel", TOOLS)])
def test_streamed_tools(gateway, messages, model, names):
    answer, events = streamed(messages, **ask("What is the weather?", model, tools=MESSAGES_TOOLS))
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [call.name for call in calls] == list(names)
    assert all(call.input == ARGUMENTS for call in calls)
    pieces = [e for e in events if e.type == "content_block_delta" and e.delta.type == "input_json_delta"]
    # Gemini gives a call in one piece.
    assert len(pieces) > (1 if gateway.upstream == "gemini" else 3) * len(names) - 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wanted", [
    {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
], ids=["budget", "adaptive"])
def test_thinking(messages, stream, wanted):
    request = ask("why", tools=MESSAGES_TOOLS, **wanted)
    answer = streamed(messages, **request)[0] if stream else messages.messages.create(**request)
    kinds = [block.type for block in answer.content if block.type != "redacted_thinking"]
    assert kinds == ["thinking", "text"]
    assert all(isinstance(block.signature, str) for block in answer.content if block.type == "thinking")


def test_how_long_to_wait(gateway, messages):
    if gateway.upstream == "dashscope":
        pytest.skip("DashScope does not say")
    with pytest.raises(anthropic.RateLimitError) as raised:
        messages.messages.create(**ask("x", "demo-error-429"))
    assert raised.value.response.headers["retry-after"] == "1"
    assert raised.value.body["type"] == "error"


def test_models(gateway, messages):
    if gateway.upstream == "dashscope":
        with pytest.raises(anthropic.APIStatusError):
            messages.models.list()
        return
    assert "demo" in [model.id for model in messages.models.list()]
    assert messages.models.retrieve("demo").id == "demo"


def test_counts(messages):
    asked = [{"role": "user", "content": "What is the weather?"}]
    assert messages.messages.count_tokens(model="demo", messages=asked).input_tokens > 5
