"""The `dashscope` SDK, its newer client."""

import json

import dashscope
from dashscope.v2 import errors as classes

from callers.conversation import MAX_TOKENS, TIMEOUT, Call, Reply, Results
from samples import SCHEMA, TOOLS


class DashScope:
    protocol = "dashscope"
    errors = {
        400: classes.BadRequestError, 401: classes.AuthenticationError,
        403: classes.PermissionDeniedError, 404: classes.NotFoundError,
        429: classes.RateLimitError, 500: classes.InternalServerError,
        503: classes.ServiceUnavailableError, 529: classes.ServiceUnavailableError,
    }
    any_error = classes.DashScopeError

    def __init__(self, url, key="sk-test"):
        self.client = dashscope.Client(
            api_key=key, base_url=url + "/api/v1", protocol="native", max_retries=0, timeout=TIMEOUT)

    def request(self, conversation, model, max_tokens=MAX_TOKENS, stop=None, tools=False, choice=None,
                parallel=True, think=False, schema=None):
        messages = [message for item in conversation for message in self.messages(item)]
        request = {"model": model, "max_tokens": max_tokens, "messages": messages, "parallel_tool_calls": parallel}
        if stop:
            request["stop"] = [stop]
        if tools:
            request["tools"] = [
                {"type": "function", "function": {"name": n, "description": n, "parameters": SCHEMA}} for n in TOOLS
            ]
        if choice:
            named = {"type": "function", "function": {"name": choice}}
            request["tool_choice"] = named if choice in TOOLS else choice
        if think:
            request |= {"enable_thinking": True, "thinking_budget": 1024}
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
                {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "url": part.url}
                for part in item
            ]}

    def open(self, conversation, model):
        return self.client.chat.completions.create(stream=True, **self.request(conversation, model))

    def ask(self, conversation, model="demo", stream=False, **options):
        request = self.request(conversation, model, **options)
        pictures = any(isinstance(item, list) for item in conversation)
        road = self.client.multimodal.chat if pictures else self.client.chat.completions
        answer = road.create(stream=stream, **request)
        if stream:
            answer = answer.get_final_message()
        (choice,) = answer.choices
        assert choice.finish_reason != "null", "a stream without an end, and no error"
        return self.reply(choice, answer.usage)

    @staticmethod
    def reply(choice, usage):
        message = choice.message
        calls = message.tool_calls or []
        turn = {"role": "assistant", "content": message.content}
        if calls:
            turn["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
                for c in calls
            ]
        return Reply(
            text=message.content or "", thought=message.reasoning_content or "",
            calls=[Call(c.id, c.function.name, json.loads(c.function.arguments)) for c in calls],
            stop={"stop": "end", "length": "length", "tool_calls": "tools"}[choice.finish_reason],
            turn=turn, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens,
        )

    @staticmethod
    def message_of(error):
        return error.message

    @staticmethod
    def status_of(error):
        return error.status_code
