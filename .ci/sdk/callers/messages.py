"""The `anthropic` SDK."""

import anthropic
import httpx2

from callers.conversation import MAX_TOKENS, TIMEOUT, Call, Reply, Results
from samples import SCHEMA, TOOLS


class Messages:
    protocol = "anthropic"
    errors = {
        400: anthropic.BadRequestError, 401: anthropic.AuthenticationError,
        403: anthropic.PermissionDeniedError, 404: anthropic.NotFoundError,
        429: anthropic.RateLimitError, 500: anthropic.InternalServerError,
        503: anthropic.APIStatusError, 529: anthropic._exceptions.OverloadedError,
    }
    any_error = anthropic.APIError, httpx2.TransportError

    def __init__(self, url, key="sk-test"):
        self.client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=TIMEOUT)

    def request(self, conversation, model, max_tokens=MAX_TOKENS, stop=None, tools=False, choice=None,
                parallel=True, think=False, schema=None):
        request = {"model": model, "max_tokens": max_tokens, "messages": [self.message(m) for m in conversation]}
        if stop:
            request["stop_sequences"] = [stop]
        if tools:
            request["tools"] = [{"name": n, "description": n, "input_schema": SCHEMA} for n in TOOLS]
        if choice or not parallel:
            kind = {None: "auto", "none": "none", "required": "any"}.get(choice, "tool")
            request["tool_choice"] = {"type": kind, **({"name": choice} if kind == "tool" else {})}
            if kind != "none":
                request["tool_choice"]["disable_parallel_tool_use"] = not parallel
        if think:
            request["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        if schema:
            request["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        return request

    def message(self, item):
        if isinstance(item, Reply):
            return {"role": "assistant", "content": item.turn}
        if isinstance(item, Results):
            content = [
                {"type": "tool_result", "tool_use_id": call.id, "content": text}
                for call, text in zip(item.calls, item.texts)
            ]
        else:
            content = item if isinstance(item, str) else [
                {"type": "text", "text": part} if isinstance(part, str) else
                {"type": "image", "source": {"type": "base64", "media_type": part.kind, "data": part.data}}
                for part in item
            ]
        return {"role": "user", "content": content}

    def open(self, conversation, model):
        return self.client.messages.create(stream=True, **self.request(conversation, model))

    def ask(self, conversation, model="demo", stream=False, **options):
        request = self.request(conversation, model, **options)
        if stream:
            with self.client.messages.stream(**request) as running:
                running.until_done()
                answer = running.get_final_message()
        else:
            answer = self.client.messages.create(**request)
        blocks = answer.content
        stops = {"end_turn": "end", "stop_sequence": "end", "max_tokens": "length", "tool_use": "tools"}
        return Reply(
            text="".join(block.text for block in blocks if block.type == "text"),
            thought="".join(block.thinking for block in blocks if block.type == "thinking"),
            calls=[Call(b.id, b.name, b.input) for b in blocks if b.type == "tool_use"],
            stop=stops[answer.stop_reason], turn=blocks,
            input_tokens=answer.usage.input_tokens, output_tokens=answer.usage.output_tokens,
        )

    @staticmethod
    def message_of(error):
        return error.body["error"]["message"]

    @staticmethod
    def status_of(error):
        return error.status_code
