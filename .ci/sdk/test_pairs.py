"""Every SDK before an upstream of every protocol: what each caller may expect, whatever the pair."""

import json

import pytest

from callers import CALLERS, Image, Results
from samples import ARGUMENTS, JPEG, LONG_PROMPT, PNG, SCHEMA, TOOLS

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
FAILS = "the demo fails as it was asked to"


@pytest.fixture(scope="session", params=CALLERS)
def caller(request, gateway):
    """One SDK; `upstream` is the protocol that answers it."""
    caller = CALLERS[request.param](gateway.url)
    caller.upstream = caller.protocol if gateway.upstream == "same" else gateway.upstream
    return caller


@STREAM
def test_text(caller, stream):
    reply = caller.ask(["grüße \"123\" 😀"], stream=stream)
    assert reply.text == "Hello from demo! You said: grüße \"123\" 😀"
    assert (reply.stop, reply.calls, reply.thought) == ("end", [], "")
    assert (reply.input_tokens > 10, reply.output_tokens) == (True, 8)


@STREAM
def test_the_limit_of_tokens(caller, stream):
    reply = caller.ask(["alpha " * 40], max_tokens=16, stream=stream)
    assert (reply.stop, len(reply.text.split())) == ("length", 16)


@STREAM
def test_stop_sequences(caller, stream):
    if "openai-responses" in (caller.protocol, caller.upstream):
        pytest.skip("Responses has no stop sequences")
    reply = caller.ask(["alpha beta STOP gamma"], stop="STOP", stream=stream)
    assert (reply.stop, reply.text) == ("end", "Hello from demo! You said: alpha beta ")


@STREAM
@pytest.mark.parametrize("model,names", [("demo-tool", TOOLS[:1]), ("demo-parallel", TOOLS)])
def test_tools(caller, model, names, stream):
    conversation = ["What is the weather?"]
    for number in range(2):  # A second round: the history holds calls and their results.
        reply = caller.ask(conversation, model, tools=True, stream=stream)
        assert reply.stop == "tools"
        assert [call.name for call in reply.calls] == list(names)
        assert all(call.arguments == ARGUMENTS for call in reply.calls)
        results = [f"sun {number} for {name}" for name in names]
        conversation += [reply, Results(reply.calls, results)]
        reply = caller.ask(conversation, model, tools=True, stream=stream)
        assert (reply.stop, reply.text) == ("end", "The tool said: " + " | ".join(results))
        conversation += [reply, "And tomorrow?"]


@pytest.mark.parametrize("choice,called", [("none", []), ("required", TOOLS[:1]), (TOOLS[1], TOOLS[1:])])
def test_tool_choice(caller, choice, called):
    if choice == "required" and "dashscope" in (caller.protocol, caller.upstream):
        pytest.skip("DashScope cannot be told to call any tool")
    reply = caller.ask(["Hi"], tools=True, choice=choice)
    assert [call.name for call in reply.calls] == list(called)


def test_one_call_at_a_time(caller):
    if "gemini" in (caller.protocol, caller.upstream):
        pytest.skip("Gemini cannot be told")
    assert len(caller.ask(["weather"], "demo-parallel", tools=True, parallel=False).calls) == 1


def test_images(caller):
    content = [Image("image/png", PNG), "look", Image("image/jpeg", JPEG)]
    assert caller.ask([content]).text.endswith("look I saw 2 image(s): image/png, image/jpeg")


def is_shown(caller):
    """Chat cannot ask to see what was thought, and these show it only where they are asked."""
    return caller.protocol != "openai-chat" or caller.upstream not in ("openai-responses", "gemini")


@STREAM
def test_thinking(caller, stream):
    reply = caller.ask(["why"], think=True, stream=stream)
    assert reply.text.endswith("why")
    assert reply.thought.startswith("The user said:") or not is_shown(caller)
    assert caller.ask(["why", reply, "and?"], think=True, stream=stream).text.endswith("and?")


@STREAM
@pytest.mark.parametrize("model", ["demo-tool", "demo-parallel"])
def test_thinking_with_tools(caller, model, stream):
    """What was thought before a call is played back: vendors that sign it refuse anything else."""
    conversation = ["weather"]
    for _ in range(2):
        reply = caller.ask(conversation, model, tools=True, think=True, stream=stream)
        assert reply.stop == "tools"
        assert reply.thought.startswith("The user said:") or not is_shown(caller)
        conversation += [reply, Results(reply.calls, ["sun"] * len(reply.calls))]
        reply = caller.ask(conversation, model, tools=True, think=True, stream=stream)
        assert reply.text == "The tool said: " + " | ".join(["sun"] * len(reply.calls or conversation[-2].calls))
        conversation += [reply, "and tomorrow?"]


@STREAM
def test_structured_output(caller, stream):
    assert json.loads(caller.ask(["json"], schema=SCHEMA, stream=stream).text) == ARGUMENTS


@STREAM
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 529])
def test_errors(caller, status, stream):
    with pytest.raises(caller.errors[status]) as raised:
        caller.ask(["x"], f"demo-error-{status}", stream=stream)
    assert caller.message_of(raised.value) == FAILS


def test_an_error_in_a_stream_is_raised(caller):
    with pytest.raises(caller.any_error) as raised:
        caller.ask(["x"], "demo-error-stream", stream=True)
    assert FAILS in str(raised.value)


def test_a_cut_stream_is_no_clean_end(caller):
    with pytest.raises(caller.any_error):
        caller.ask(["x"], "demo-cut", stream=True)


@STREAM
@pytest.mark.parametrize("model", ["demo-whole", "demo-streamed"])
def test_an_upstream_that_does_not_heed_the_wish_for_a_stream(caller, model, stream):
    if caller.protocol == caller.upstream:
        pytest.skip("the same protocol passes as it is")
    assert caller.ask(["x"], model, stream=stream).text == f"Hello from {model}! You said: x"


@STREAM
def test_long_answers(caller, stream):
    assert len(caller.ask(["x"], "demo-large-256", stream=stream).text) == 256 * 1024


def test_long_prompts(caller):
    reply = caller.ask([LONG_PROMPT])
    assert reply.text.endswith("the-very-end") and reply.input_tokens > 200_000


def test_a_caller_who_leaves_closes_the_upstream(caller, gateway):
    before = gateway.upstream_state()["cancelled"]
    stream = caller.open(["x"], "demo-slow")
    for _ in zip(range(6), stream):
        assert gateway.upstream_state()["live"] == 1
    stream.close()
    gateway.wait_for_state(lambda state: state["live"] == 0 and state["cancelled"] == before + 1)
