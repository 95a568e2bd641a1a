"""What is particular to the `openai` SDK's Responses; `test_pairs.py` has the rest."""

import json

import openai
import pydantic
import pytest

from samples import ARGUMENTS, SCHEMA, TOOLS

FUNCTIONS = [{"type": "function", "name": name, "parameters": SCHEMA, "strict": True} for name in TOOLS]
PATCH = {"type": "custom", "name": "apply_patch", "description": "Takes a patch, not JSON."}


def ask(text, model="demo", **more):
    return {"model": model, "input": text, "store": False, **more}


def streamed(client, **request):
    """The final response, after its events were checked by grammar and by the SDK's accumulator."""
    events = list(client.responses.create(stream=True, **request))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].response.output == [] and events[0].response.usage is None
    final = events[-1].response
    assert {event.response.id for event in events if hasattr(event, "response")} == {final.id}
    added = [event for event in events if event.type == "response.output_item.added"]
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.output_index for event in added] == list(range(len(final.output)))
    assert [event.item.id for event in added] == [item.id for item in final.output]
    assert [event.item for event in done] == final.output
    with client.responses.stream(**request) as stream:
        stream.until_done()
        assert stream.get_final_response().output_text == final.output_text
    return final, events


@pytest.mark.parametrize("stream", [False, True])
def test_the_request_is_repeated(chat, stream):
    request = ask("x", instructions="Be kind.", metadata={"a": "b"}, tools=FUNCTIONS, temperature=0.5, user="me")
    del request["user"]
    answer = streamed(chat, **request)[0] if stream else chat.responses.create(**request)
    assert (answer.object, answer.status, answer.error) == ("response", "completed", None)
    assert (answer.instructions, answer.metadata, answer.temperature) == ("Be kind.", {"a": "b"}, 0.5)
    assert [tool.name for tool in answer.tools] == list(TOOLS)
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.output_tokens_details.reasoning_tokens == 0


@pytest.mark.parametrize("model,names", [("demo-tool", TOOLS[:1]), ("demo-parallel", TOOLS)])
def test_streamed_tools(chat, model, names):
    answer, _ = streamed(chat, **ask("weather", model, tools=FUNCTIONS))
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [call.name for call in calls] == list(names)
    assert all(json.loads(call.arguments) == ARGUMENTS for call in calls)


@pytest.mark.parametrize("stream", [False, True])
def test_tools_that_take_no_json(gateway, chat, stream):
    request = ask([{"role": "user", "content": "patch it"}], "demo-tool", tools=[PATCH])
    answer = streamed(chat, **request)[0] if stream else chat.responses.create(**request)
    (call,) = [item for item in answer.output if item.type == "custom_tool_call"]
    assert call.name == "apply_patch" and call.input
    request["input"] += [
        *(item.to_dict() for item in answer.output),
        {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"},
    ]
    assert chat.responses.create(**request).output_text == "The tool said: done"


@pytest.mark.parametrize("stream", [False, True])
def test_thinking(chat, stream):
    request = ask("why", reasoning={"effort": "low", "summary": "auto"})
    answer = streamed(chat, **request)[0] if stream else chat.responses.create(**request)
    # What Gemini signs at the end of its text stays there.
    assert [item.type for item in answer.output[:2]] == ["reasoning", "message"]
    assert answer.output[0].summary[0].text.startswith("The user said:")


class Place(pydantic.BaseModel):
    city: str
    days: int


def test_parse(chat):
    assert chat.responses.parse(text_format=Place, **ask("json")).output_parsed == Place(**ARGUMENTS)


@pytest.mark.parametrize("stream", [False, True])
def test_incomplete(chat, stream):
    request = ask("alpha " * 40, max_output_tokens=16)
    if stream:
        *_, last = chat.responses.create(stream=True, **request)
        assert last.type == "response.incomplete"
        answer = last.response
    else:
        answer = chat.responses.create(**request)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_what_was_stored_nowhere_is_not_found(chat):
    with pytest.raises(openai.BadRequestError):
        chat.responses.create(model="demo", input="x", previous_response_id="resp_1")


def test_what_was_asked_is_listed_page_by_page(chat):
    said = [{"role": "user", "content": f"{n}"} for n in range(7)]
    said[3] = {"type": "message", "id": "msg_mine", **said[3]}
    answer = chat.responses.create(model="demo", input=said)
    list_items = chat.responses.input_items.list
    page = list_items(answer.id, limit=3, include=["message.input_image.image_url"])
    assert len(page.data) == 3 and page.has_more and page.to_dict()["last_id"] == page.data[-1].id
    items = list(list_items(answer.id, limit=3))
    assert [item.content[0].text for item in items] == [f"{n}" for n in reversed(range(7))]
    assert len({item.id for item in items}) == 7 and items[3].id == "msg_mine"
    assert {(item.type, item.role, item.status) for item in items} == {("message", "user", "completed")}
    assert list(list_items(answer.id, order="asc")) == items[::-1]
    assert list(list_items(answer.id, after=items[4].id)) == items[5:]
    for bad in [{"limit": 101}, {"order": "up"}, {"after": "msg_theirs"}]:
        with pytest.raises(openai.BadRequestError) as error:
            list_items(answer.id, **bad)
        assert error.value.param == list(bad)[0]


def test_counts(chat):
    assert chat.responses.input_tokens.count(model="demo", input="What is the weather?").input_tokens > 5
