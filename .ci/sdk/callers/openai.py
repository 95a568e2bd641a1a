"""The `openai` SDK: Chat Completions and Responses."""

import json

import httpx2
import openai

from callers.conversation import MAX_TOKENS, TIMEOUT, Call, Reply, Results
from samples import SCHEMA, TOOLS


class Chat:
    protocol = "openai-chat"
    errors = {
        400: openai.BadRequestError, 401: openai.AuthenticationError,
        403: openai.PermissionDeniedError, 404: openai.NotFoundError,
        429: openai.RateLimitError, 500: openai.InternalServerError,
        503: openai.InternalServerError, 529: openai.InternalServerError,
    }
    any_error = openai.APIError, httpx2.TransportError

    def __init__(self, url, key="sk-test"):
        self.client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0, timeout=TIMEOUT)

    def request(self, conversation, model, max_tokens=MAX_TOKENS, stop=None, tools=False, choice=None,
                parallel=True, think=False, schema=None):
        messages = [message for item in conversation for message in self.messages(item)]
        request = {"model": model, "max_completion_tokens": max_tokens, "messages": messages}
        if stop:
            request["stop"] = [stop]
        if tools:
            request["tools"] = [
                {"type": "function", "function": {"name": n, "description": n, "parameters": SCHEMA}} for n in TOOLS
            ]
        if choice:
            named = {"type": "function", "function": {"name": choice}}
            request["tool_choice"] = named if choice in TOOLS else choice
        if not parallel:
            request["parallel_tool_calls"] = False
        if think:
            request["reasoning_effort"] = "low"
        if schema:
            wanted = {"name": "place", "strict": True, "schema": schema}
            request["response_format"] = {"type": "json_schema", "json_schema": wanted}
        return request

    def messages(self, item):
        if isinstance(item, Reply):
            yield item.turn
        elif isinstance(item, Results):
            for call, text in zip(item.calls, item.texts):
                yield {"role": "tool", "tool_call_id": call.id, "content": text}
        else:
            yield {"role": "user", "content": item if isinstance(item, str) else [
                {"type": "text", "text": part} if isinstance(part, str) else
                {"type": "image_url", "image_url": {"url": part.url}}
                for part in item
            ]}

    def open(self, conversation, model):
        return self.client.chat.completions.create(stream=True, **self.request(conversation, model))

    def ask(self, conversation, model="demo", stream=False, **options):
        request = self.request(conversation, model, **options)
        if stream:
            usage = {"include_usage": True}
            state = openai.lib.streaming.chat.ChatCompletionStreamState()
            for chunk in self.client.chat.completions.create(stream=True, stream_options=usage, **request):
                state.handle_chunk(chunk)
            answer = state.current_completion_snapshot
        else:
            answer = self.client.chat.completions.create(**request)
        (choice,) = answer.choices
        message = choice.message
        return Reply(
            text=message.content or "", thought=getattr(message, "reasoning_content", None) or "",
            calls=[
                Call(call.id, call.function.name, json.loads(call.function.arguments))
                for call in message.tool_calls or []
            ],
            stop={"stop": "end", "length": "length", "tool_calls": "tools"}[choice.finish_reason],
            turn={name: value for name, value in message.to_dict().items() if name != "parsed"},
            input_tokens=answer.usage.prompt_tokens, output_tokens=answer.usage.completion_tokens,
        )

    @staticmethod
    def message_of(error):
        return error.body["message"]

    @staticmethod
    def status_of(error):
        return error.status_code


class Responses(Chat):
    protocol = "openai-responses"

    def request(self, conversation, model, max_tokens=MAX_TOKENS, stop=None, tools=False, choice=None,
                parallel=True, think=False, schema=None):
        assert not stop, "Responses has no stop sequences"
        items = [item for part in conversation for item in self.messages(part)]
        request = {"model": model, "max_output_tokens": max_tokens, "input": items, "store": False}
        if tools:
            request["tools"] = [
                {"type": "function", "name": n, "description": n, "parameters": SCHEMA, "strict": True} for n in TOOLS
            ]
        if choice:
            request["tool_choice"] = {"type": "function", "name": choice} if choice in TOOLS else choice
        if not parallel:
            request["parallel_tool_calls"] = False
        if think:
            request["reasoning"] = {"effort": "low", "summary": "auto"}
            request["include"] = ["reasoning.encrypted_content"]
        if schema:
            wanted = {"type": "json_schema", "name": "place", "strict": True, "schema": schema}
            request["text"] = {"format": wanted}
        return request

    def messages(self, item):
        if isinstance(item, Reply):
            yield from item.turn
        elif isinstance(item, Results):
            for call, text in zip(item.calls, item.texts):
                yield {"type": "function_call_output", "call_id": call.id, "output": text}
        else:
            yield {"role": "user", "content": item if isinstance(item, str) else [
                {"type": "input_text", "text": part} if isinstance(part, str) else
                {"type": "input_image", "image_url": part.url, "detail": "auto"}
                for part in item
            ]}

    def open(self, conversation, model):
        return self.client.responses.create(stream=True, **self.request(conversation, model))

    def ask(self, conversation, model="demo", stream=False, **options):
        request = self.request(conversation, model, **options)
        if stream:
            with self.client.responses.stream(**request) as running:
                *_, last = running
                short = last.type == "response.incomplete"  # which the SDK's helper does not know
                answer = last.response if short else running.get_final_response()
        else:
            answer = self.client.responses.create(**request)
        calls = [item for item in answer.output if item.type == "function_call"]
        short = answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens"
        assert short or answer.status == "completed"
        return Reply(
            text=answer.output_text,
            thought="".join(s.text for item in answer.output if item.type == "reasoning" for s in item.summary),
            calls=[Call(call.call_id, call.name, json.loads(call.arguments)) for call in calls],
            stop="length" if short else "tools" if calls else "end",
            turn=[item.to_dict(exclude_unset=True) for item in answer.output],
            input_tokens=answer.usage.input_tokens, output_tokens=answer.usage.output_tokens,
        )
