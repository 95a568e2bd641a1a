"""What is particular to DashScope and the `dashscope` SDK of old; `test_pairs.py` has the rest."""

import json

import dashscope
import pytest

from samples import ARGUMENTS, CHAT_TOOLS, PNG, TOOLS

ASKED = [{"role": "user", "content": "ping 123"}]
SAID = "Hello from demo! You said: ping 123"


@pytest.fixture
def generate(gateway):
    dashscope.base_http_api_url = gateway.url + "/api/v1"

    def generate(model="demo", service=dashscope.Generation, **more):
        answer = service.call(model=model, api_key="sk-test", **more)
        return list(answer) if more.get("stream") else answer

    return generate


@pytest.mark.parametrize("asked,told", [
    ({"prompt": "ping 123"}, "text"),
    ({"messages": ASKED, "result_format": "text"}, "text"),
    ({"messages": ASKED, "result_format": "message"}, "message"),
])
@pytest.mark.parametrize("kind", ["whole", "increments", "snapshots"])
def test_each_form_of_an_answer(generate, asked, told, kind):
    stream = {} if kind == "whole" else {"stream": True, "incremental_output": kind == "increments"}
    answers = generate(**asked, **stream)
    answers = answers if stream else [answers]
    assert all(answer.status_code == 200 for answer in answers)
    texts, finishes = [], []
    for answer in answers:
        place = answer.output if told == "text" else answer.output.choices[0]
        texts.append(place.text if told == "text" else place.message.content)
        finishes.append(place.finish_reason)
    assert finishes == ["null"] * (len(answers) - 1) + ["stop"]
    if kind == "snapshots":
        assert all(later.startswith(sooner) for sooner, later in zip(texts, texts[1:]))
        texts = texts[-1:]
    assert "".join(texts) == SAID
    usage = answers[-1].usage
    assert usage.input_tokens > 5 and usage.output_tokens == 7


@pytest.mark.parametrize("kind", ["whole", "increments", "snapshots"])
def test_tools(generate, kind):
    stream = {} if kind == "whole" else {"stream": True, "incremental_output": kind == "increments"}
    more = {"tools": CHAT_TOOLS, "parallel_tool_calls": True, "result_format": "message"}
    answers = generate("demo-parallel", messages=ASKED, **more, **stream)
    answers = answers if stream else [answers]
    calls = {}
    for answer in answers:
        message = answer.output.choices[0].message
        for call in message.get("tool_calls") or []:
            if kind == "snapshots":
                calls[call["index"]] = dict(call["function"])
                continue
            known = calls.setdefault(call.get("index", len(calls)), {"name": "", "arguments": ""})
            for name in known:
                known[name] += call["function"].get(name) or ""
    assert [call["name"] for call in calls.values()] == list(TOOLS)
    assert all(json.loads(call["arguments"]) == ARGUMENTS for call in calls.values())
    assert answers[-1].output.choices[0].finish_reason == "tool_calls"


def test_pictures(generate):
    content = [{"image": f"data:image/png;base64,{PNG}"}, {"text": "look"}]
    answer = generate(
        service=dashscope.MultiModalConversation, messages=[{"role": "user", "content": content}])
    assert answer.output.choices[0].message.content == [
        {"text": "Hello from demo! You said: look I saw 1 image(s): image/png"}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status,code", [
    (400, "InvalidParameter"), (401, "InvalidApiKey"), (429, "Throttling"), (500, "InternalError"),
])
def test_errors(generate, status, code, stream):
    answer = generate(f"demo-error-{status}", messages=ASKED, stream=stream)
    answer = answer[0] if stream else answer
    assert (answer.status_code, answer.message) == (status, "the demo fails as it was asked to")
    assert answer.code.startswith(code)


@pytest.mark.parametrize("model", ["demo-error-stream", "demo-cut"])
def test_a_broken_stream_ends_in_an_error(generate, model):
    answers = generate(model, messages=ASKED, result_format="message", stream=True, incremental_output=True)
    assert [answer.status_code for answer in answers[:-1]] == [200] * (len(answers) - 1)
    assert answers[-1].status_code != 200 and answers[-1].message
