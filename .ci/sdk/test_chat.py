"""The `openai` SDK's Chat Completions through the proxy, to an upstream of either protocol."""

import asyncio
import json

import httpx2
import openai
import pytest

from samples import ARGUMENTS, CHAT_TOOLS, JPEG, LONG_PROMPT, PNG, SCHEMA, TOOLS


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


def completion(client, stream, **request):
    answer = streamed(client, **request)[0] if stream else client.chat.completions.create(**request)
    return answer.choices[0]


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


@pytest.mark.parametrize("stream", [False, True])
def test_stops(chat, stream):
    choice = completion(chat, stream, **ask("alpha beta STOP gamma", stop=["STOP"]))
    assert choice.finish_reason == "stop" and choice.message.content.endswith("beta ")
    request = ask("alpha", max_completion_tokens=3)
    if stream:  # The SDK's accumulator raises where an answer was cut short.
        with pytest.raises(openai.LengthFinishReasonError), chat.chat.completions.stream(**request) as broken:
            broken.until_done()
            broken.get_final_completion()
    else:
        choice = completion(chat, stream, **request)
        assert (choice.finish_reason, choice.message.content) == ("length", "Hello from demo! ")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model,names", [("demo-tool", TOOLS[:1]), ("demo-parallel", TOOLS)])
def test_tools(chat, stream, model, names):
    request = ask("What is the weather?", model, tools=CHAT_TOOLS)
    if stream:
        _, chunks = streamed(chat, **request)
        pieces = [c for c in chunks if c.choices and c.choices[0].delta.tool_calls]
        assert len(pieces) > 3 * len(names)
    choice = completion(chat, stream, **request)
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls
    assert [call.function.name for call in calls] == list(names)
    assert all(json.loads(call.function.arguments) == ARGUMENTS for call in calls)
    assert len({call.id for call in calls}) == len(names)
    request["messages"] += [
        choice.message.to_dict(),
        *({"role": "tool", "tool_call_id": c.id, "content": f"sun for {c.function.name}"} for c in calls),
    ]
    choice = completion(chat, stream, **request)
    assert choice.message.content == "The tool said: " + " | ".join(f"sun for {name}" for name in names)
    assert choice.finish_reason == "stop"


@pytest.mark.parametrize("choice,called", [("none", []), ("required", TOOLS[:1]), (TOOLS[1], TOOLS[1:])])
def test_tool_choice(chat, choice, called):
    wanted = choice if choice in ("none", "required") else {"type": "function", "function": {"name": choice}}
    answer = completion(chat, False, **ask("Hi", tools=CHAT_TOOLS, tool_choice=wanted))
    assert [call.function.name for call in answer.message.tool_calls or []] == list(called)


def test_one_call_at_a_time(chat):
    request = ask("weather", "demo-parallel", tools=CHAT_TOOLS, parallel_tool_calls=False)
    assert len(completion(chat, False, **request).message.tool_calls) == 1


def test_images(chat):
    def image(kind, data):
        return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
    content = [image("image/png", PNG), {"type": "text", "text": "look"}, image("image/jpeg", JPEG)]
    choice = completion(chat, False, **ask([{"role": "user", "content": content}]))
    assert choice.message.content.endswith("I saw 2 image(s): image/png, image/jpeg")


@pytest.mark.parametrize("stream", [False, True])
def test_thinking(chat, stream):
    request = ask("why", reasoning_effort="low", max_completion_tokens=8192)
    if stream:
        chunks = list(chat.chat.completions.create(stream=True, **request))
        check_grammar(chunks, usage=False)
        deltas = [chunk.choices[0].delta for chunk in chunks]
        thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        text = "".join(delta.content or "" for delta in deltas)
    else:
        message = chat.chat.completions.create(**request).choices[0].message
        thought, text = message.reasoning_content, message.content
    assert thought.startswith("The user said:") and text.endswith("why")
    request["messages"] += [
        {"role": "assistant", "content": text, "reasoning_content": thought},
        {"role": "user", "content": "and?"},
    ]
    assert completion(chat, False, **request).message.content.endswith("and?")


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_with_tools(chat, stream):
    """Chat carries no signatures, and Messages wants signed thinking back before a call."""
    request = ask("weather", reasoning_effort="medium", tools=CHAT_TOOLS, max_completion_tokens=20_000)
    choice = completion(chat, stream, **request)
    (call,) = choice.message.tool_calls
    request["messages"] += [
        choice.message.to_dict(),
        {"role": "tool", "tool_call_id": call.id, "content": "sun"},
    ]
    assert completion(chat, stream, **request).message.content == "The tool said: sun"


def test_structured_output(chat):
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": SCHEMA}}
    choice = completion(chat, False, **ask("json", response_format=wanted))
    assert json.loads(choice.message.content) == ARGUMENTS


ERRORS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
    529: openai.InternalServerError,
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", ERRORS)
def test_errors(chat, status, stream):
    with pytest.raises(ERRORS[status]) as raised:
        chat.chat.completions.create(**ask("x", f"demo-error-{status}"), stream=stream)
    assert raised.value.body["message"] == "the demo fails as it was asked to"
    # 529 is a word of Messages only; Chat says 503.
    assert raised.value.status_code in ((status, 503) if status == 529 else (status,))
    if status == 429:
        assert raised.value.response.headers["retry-after"] == "1"


def test_an_error_in_a_stream_is_raised(chat):
    with pytest.raises(openai.APIError) as raised:
        list(chat.chat.completions.create(stream=True, **ask("x", "demo-error-stream")))
    assert raised.value.body["message"] == "the demo fails as it was asked to"


def test_a_cut_stream_is_no_clean_end(chat):
    with pytest.raises((openai.APIError, httpx2.TransportError)):
        list(chat.chat.completions.create(stream=True, **ask("x", "demo-cut")))


def test_long_prompt(chat):
    answer = chat.chat.completions.create(**ask(LONG_PROMPT))
    assert answer.choices[0].message.content.endswith("the-very-end")
    assert answer.usage.prompt_tokens > 200_000


def test_long_answer(chat):
    for stream in (False, True):
        choice = completion(chat, stream, **ask("x", "demo-large-512"))
        assert len(choice.message.content) == 512 * 1024


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


def test_cancel_closes_the_upstream(gateway, chat):
    before = gateway.upstream_state()["cancelled"]
    with chat.chat.completions.create(stream=True, **ask("x", "demo-slow")) as stream:
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        assert gateway.upstream_state()["live"] == 1
    gateway.wait_for_state(lambda state: state["live"] == 0 and state["cancelled"] == before + 1)


def test_models(gateway, chat):
    if gateway.upstream == "anthropic":
        pytest.skip("lists of models are not translated")
    assert chat.models.list().data[0].id == "demo"
