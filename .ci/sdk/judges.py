"""What the official SDKs make of an answer: their clients read it, their types hold it.

A judge answers "answer" or "error", whichever the SDK shows its user, and fails with whatever the
SDK fails with that is no error of the API.
"""

import json

import anthropic
import dashscope
import openai
from anthropic.types import Message, RawMessageStreamEvent
from google import genai
from google.genai import types
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

ASKED = [{"role": "user", "content": "x"}]


def datas(body: bytes) -> list[str]:
    """The data of each event; our writers give it one line."""
    return [line.removeprefix("data:").strip() for line in body.decode().split("\n") if line.startswith("data:")]


def without_custom_calls(chunk):
    """OpenAI streams calls of free-text tools, which the type of a chunk does not have."""
    for choice in chunk["choices"]:
        calls = choice["delta"].get("tool_calls", [])
        choice["delta"]["tool_calls"] = [call for call in calls if "custom" not in call]
    return chunk


def with_known_code(event):
    """OpenAI sends, and Codex acts on, codes of a failed answer that the type does not have."""
    error = (event.get("response") or {}).get("error")
    if error and error["code"] in ("server_is_overloaded", "context_length_exceeded", "insufficient_quota"):
        error["code"] = "server_error"
    return event


class Messages:
    EVENT = TypeAdapter(RawMessageStreamEvent)
    ERROR = anthropic.APIStatusError

    def __init__(self, url):
        self.sdk = anthropic.Anthropic(base_url=url, api_key="x", max_retries=0)

    def refused(self):
        self.sdk.messages.create(model="m", max_tokens=9, messages=ASKED)

    def whole(self, body):
        Message.model_validate_json(body)
        message = self.sdk.messages.create(model="m", max_tokens=9, messages=ASKED)
        assert message.stop_reason and message.role == "assistant"

    def stream(self, body):
        for data in datas(body):
            if json.loads(data)["type"] not in ("ping", "error"):  # neither is of the type
                self.EVENT.validate_json(data)
        with self.sdk.messages.stream(model="m", max_tokens=9, messages=ASKED) as stream:
            events = [event.type for event in stream]
            message = stream.get_final_message()
        assert events[-1] == "message_stop" and message.stop_reason
        Message.model_validate(message.to_dict())


class Chat:
    ERROR = openai.APIError

    def __init__(self, url):
        self.sdk = openai.OpenAI(base_url=url, api_key="x", max_retries=0)

    def refused(self):
        self.sdk.chat.completions.create(model="m", messages=ASKED)

    def whole(self, body):
        ChatCompletion.model_validate_json(body)
        completion = self.sdk.chat.completions.create(model="m", messages=ASKED)
        assert completion.choices[0].finish_reason

    def stream(self, body):
        *chunks, end = datas(body)
        assert end == "[DONE]"
        for chunk in chunks:
            if "error" not in json.loads(chunk):
                ChatCompletionChunk.model_validate(without_custom_calls(json.loads(chunk)))
        # The parser of the helper refuses an answer that was cut or filtered; the state does not.
        state = openai.lib.streaming.chat.ChatCompletionStreamState()
        for chunk in self.sdk.chat.completions.create(model="m", messages=ASKED, stream=True):
            state.handle_chunk(chunk)
        completion = state.current_completion_snapshot
        assert all(choice.finish_reason for choice in completion.choices) and completion.choices
        ChatCompletion.model_validate(completion.to_dict())


class Responses:
    EVENT = TypeAdapter(ResponseStreamEvent)
    ERROR = openai.APIError

    def __init__(self, url):
        self.sdk = openai.OpenAI(base_url=url, api_key="x", max_retries=0)

    def refused(self):
        self.sdk.responses.create(model="m", input="x")

    def whole(self, body):
        Response.model_validate_json(body)
        response = self.sdk.responses.create(model="m", input="x")
        assert response.status in ("completed", "incomplete")

    def stream(self, body):
        for data in datas(body):
            self.EVENT.validate_python(with_known_code(json.loads(data)))
        with self.sdk.responses.stream(model="m", input="x") as stream:
            last = [event for event in stream][-1]
        assert last.type in ("response.completed", "response.incomplete"), last.type
        Response.model_validate(last.response.to_dict())


class Gemini:
    ERROR = genai.errors.APIError

    def __init__(self, url):
        self.sdk = genai.Client(api_key="x", http_options={"base_url": url})

    def refused(self):
        self.sdk.models.generate_content(model="m", contents="x")

    def whole(self, body):
        types.GenerateContentResponse.model_validate_json(body)
        self.ends([self.sdk.models.generate_content(model="m", contents="x")])

    def stream(self, body):
        array = body.lstrip().startswith(b"[")
        for chunk in json.loads(body) if array else map(json.loads, datas(body)):
            if "error" not in chunk:
                types.GenerateContentResponse.model_validate(chunk)
            elif array:
                raise self.ERROR(chunk["error"]["code"], chunk)
        if array:
            return  # The SDK never asks for this form.
        self.ends(list(self.sdk.models.generate_content_stream(model="m", contents="x")))

    def ends(self, chunks):
        finished = any(each.finish_reason for chunk in chunks for each in chunk.candidates or [])
        assert finished or any(chunk.prompt_feedback for chunk in chunks)
        assert chunks[-1].usage_metadata


class DashScope:
    """Its types are dictionaries that check nothing, so what they promise is checked here."""

    class ERROR(Exception):
        pass

    def __init__(self, url):
        dashscope.base_http_api_url = url
        self.service = dashscope.Generation

    def call(self, **more):
        return self.service.call(model="m", api_key="x", messages=ASKED, **more)

    def refused(self):
        self.holds(self.call())

    def whole(self, body):
        self.holds(self.call())

    def stream(self, body):
        answers = list(self.call(stream=True))
        finishes = [self.holds(answer) for answer in answers]
        assert any(finishes[-1])

    def holds(self, answer):
        if answer.status_code != 200:
            assert answer.code and answer.message
            raise self.ERROR(answer.message)
        assert answer.request_id
        assert type(answer.usage.input_tokens) is int and type(answer.usage.output_tokens) is int
        output = answer.output
        if output.get("choices") is None:
            assert isinstance(output.text, str)
            return [output.finish_reason not in (None, "", "null")]
        for choice in output.choices:
            message = choice.message
            assert message.role == "assistant"
            self.content(message.content)
            for call in message.get("tool_calls") or []:
                assert call["type"] == "function"
                assert isinstance(call["function"].get("arguments", ""), str)
        return [choice.finish_reason not in (None, "", "null") for choice in output.choices]

    def content(self, content):
        assert isinstance(content, str)


class DashScopeList(DashScope):
    def __init__(self, url):
        super().__init__(url)
        self.service = dashscope.MultiModalConversation

    def content(self, content):
        assert isinstance(content, list) and all(isinstance(item, dict) for item in content)


JUDGES = {
    "anthropic": Messages,
    "openai-chat": Chat,
    "openai-responses": Responses,
    "gemini": Gemini,
    "dashscope": DashScope,
}
