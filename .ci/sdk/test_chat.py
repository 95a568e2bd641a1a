"""What is particular to the `openai` SDK's Chat Completions; `test_pairs.py` has the rest."""

import asyncio
import json

import openai
import pydantic
import pytest

from samples import ARGUMENTS, CHAT_TOOLS, TOOLS


def ask(text, model="demo", **more):
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
    return {"model": model, "messages": messages, **more}


def check_grammar(chunks, usage):
    """Role first, the reason to finish once and after all content, usage alone at the end."""
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    if usage:
        assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens > 0
        chunks = chunks[:-1]
    assert all(chunk.usage is None for chunk in chunks)
    finishes = [chunk.choices[0].finish_reason for chunk in chunks]
    assert finishes[-1] is not None and not any(finishes[:-1])


def streamed(client, **request):
    """The final completion, after its chunks were checked by grammar and by the SDK's accumulator."""
    chunks = list(client.chat.completions.create(stream=True, **request))
    check_grammar(chunks, usage=False)
    wanted = {"stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(stream=True, **wanted, **request))
    check_grammar(chunks, usage=True)
    with client.chat.completions.stream(**wanted, **request) as stream:
        stream.until_done()
        return stream.get_final_completion(), chunks


def test_text(chat):
    answer = chat.chat.completions.create(**ask("ping 123"))
    assert (answer.object, len(answer.choices)) == ("chat.completion", 1)
    choice = answer.choices[0]
    assert choice.message.content == "Hello from demo! You said: ping 123"
    assert (choice.index, choice.message.role, choice.finish_reason) == (0, "assistant", "stop")
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens == 7
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 7


def test_streamed_text(chat):
    answer, chunks = streamed(chat, **ask("grüße 😀"))
    assert answer.choices[0].message.content == "Hello from demo! You said: grüße 😀"
    assert answer.choices[0].finish_reason == "stop"
    assert len(chunks) > 5
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens == 7


def test_ten_streams_at_once(gateway):
    async def one(client, number):
        async with client.chat.completions.stream(**ask(f"number {number}")) as stream:
            return (await stream.get_final_completion()).choices[0].message.content

    async def all_of_them():
        base = gateway.url + "/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="k", max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(10)))

    texts = asyncio.run(all_of_them())
    assert texts == [f"Hello from demo! You said: number {number}" for number in range(10)]


@pytest.mark.parametrize("model,names", [("demo-tool", TOOLS[:1]), ("demo-parallel", TOOLS)])
def test_streamed_tools(gateway, chat, model, names):
    answer, chunks = streamed(chat, **ask("What is the weather?", model, tools=CHAT_TOOLS))
    (choice,) = answer.choices
    assert [call.function.name for call in choice.message.tool_calls] == list(names)
    assert all(json.loads(call.function.arguments) == ARGUMENTS for call in choice.message.tool_calls)
    pieces = [c for c in chunks if c.choices and c.choices[0].delta.tool_calls]
    # Gemini gives a call in one piece.
    assert len(pieces) > (1 if gateway.upstream == "gemini" else 3) * len(names) - 1


def test_thinking_streams(gateway, chat):
    chunks = list(chat.chat.completions.create(stream=True, **ask("why", reasoning_effort="low")))
    check_grammar(chunks, usage=False)
    thoughts = [getattr(chunk.choices[0].delta, "reasoning_content", None) or "" for chunk in chunks]
    # These show it only where they are asked, which Chat has no word for.
    assert "".join(thoughts).startswith("The user said:") or gateway.upstream in ("openai-responses", "gemini")


def test_what_was_thought_comes_back_without_a_seal(chat):
    """Many clients keep the text alone, and Messages wants signed thinking back before a call."""
    request = ask("weather", "demo-tool", reasoning_effort="medium", tools=CHAT_TOOLS, max_completion_tokens=20_000)
    message = chat.chat.completions.create(**request).choices[0].message
    (call,) = message.tool_calls
    request["messages"] += [
        {
            "role": "assistant", "content": None, "reasoning_content": getattr(message, "reasoning_content", None),
            "tool_calls": [{"id": call.id, "type": "function", "function": call.function.to_dict()}],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "sun"},
    ]
    assert chat.chat.completions.create(**request).choices[0].message.content == "The tool said: sun"


class Place(pydantic.BaseModel):
    city: str
    days: int


def test_parse(chat):
    parsed = chat.chat.completions.parse(response_format=Place, **ask("json")).choices[0].message.parsed
    assert parsed == Place(**ARGUMENTS)


def test_json_object(chat):
    answer = chat.chat.completions.create(**ask("Say it in JSON."), response_format={"type": "json_object"})
    if answer.choices[0].message.content.startswith("{"):
        assert json.loads(answer.choices[0].message.content)["said"].startswith("Say it in JSON.")
    else:  # Messages has no such mode.
        assert "Say it in JSON." in answer.choices[0].message.content


def test_how_long_to_wait(gateway, chat):
    if gateway.upstream == "dashscope":
        pytest.skip("DashScope does not say")
    with pytest.raises(openai.RateLimitError) as raised:
        chat.chat.completions.create(**ask("x", "demo-error-429"))
    assert raised.value.response.headers["retry-after"] == "1"


def test_models(gateway, chat):
    if gateway.upstream == "dashscope":
        with pytest.raises(openai.APIStatusError):
            chat.models.list()
        return
    assert "demo" in [model.id for model in chat.models.list()]
    assert chat.models.retrieve("demo").id == "demo"


def test_completions(gateway, chat):
    if gateway.upstream not in ("same", "openai-chat", "openai-responses"):
        with pytest.raises(openai.APIStatusError):
            chat.completions.create(model="demo", prompt="x")
        return
    assert chat.completions.create(model="demo", prompt="ping").choices[0].text.endswith("ping")
    chunks = chat.completions.create(model="demo", prompt="ping", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks).endswith("ping")
