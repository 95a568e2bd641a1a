"""The `google-genai` SDK."""

import httpx
import httpx2
from google import genai
from google.genai import errors as classes

from callers.conversation import MAX_TOKENS, TIMEOUT, Call, Reply, Results
from samples import SCHEMA, TOOLS


class Gemini:
    protocol = "gemini"
    errors = {
        **dict.fromkeys((400, 401, 403, 404, 429), classes.ClientError),
        **dict.fromkeys((500, 503, 529), classes.ServerError),
    }
    any_error = classes.APIError, httpx.TransportError, httpx2.TransportError

    def __init__(self, url, key="sk-test"):
        self.client = genai.Client(api_key=key, http_options={"base_url": url, "timeout": TIMEOUT * 1000})

    def request(self, conversation, model, max_tokens=MAX_TOKENS, stop=None, tools=False, choice=None,
                parallel=True, think=False, schema=None):
        assert parallel, "Gemini always calls as many tools as it likes"
        config = {"max_output_tokens": max_tokens}
        if stop:
            config["stop_sequences"] = [stop]
        if tools:
            config["tools"] = [{"function_declarations": [
                {"name": n, "description": n, "parameters_json_schema": SCHEMA} for n in TOOLS
            ]}]
            config["automatic_function_calling"] = {"disable": True}
        if choice:
            wanted = {"mode": {"none": "NONE"}.get(choice, "ANY")}
            if choice in TOOLS:
                wanted["allowed_function_names"] = [choice]
            config["tool_config"] = {"function_calling_config": wanted}
        if think:
            config["thinking_config"] = {"include_thoughts": True, "thinking_budget": 1024}
        if schema:
            config |= {"response_mime_type": "application/json", "response_json_schema": schema}
        return {"model": model, "contents": [self.content(item) for item in conversation], "config": config}

    def content(self, item):
        if isinstance(item, Reply):
            return {"role": "model", "parts": item.turn}
        if isinstance(item, Results):
            return {"role": "user", "parts": [
                {"function_response": {"id": call.id, "name": call.name, "response": {"output": text}}}
                for call, text in zip(item.calls, item.texts)
            ]}
        return {"role": "user", "parts": [
            {"text": part} if isinstance(part, str) else
            {"inline_data": {"mime_type": part.kind, "data": part.data}}
            for part in ([item] if isinstance(item, str) else item)
        ]}

    def open(self, conversation, model):
        return self.client.models.generate_content_stream(**self.request(conversation, model))

    def ask(self, conversation, model="demo", stream=False, **options):
        request = self.request(conversation, model, **options)
        if stream:
            chunks = list(self.client.models.generate_content_stream(**request))
        else:
            chunks = [self.client.models.generate_content(**request)]
        candidates = [candidate for chunk in chunks for candidate in chunk.candidates or []]
        parts = [part for c in candidates if c.content for part in c.content.parts or []]
        finish = candidates[-1].finish_reason  # This SDK does not look whether the answer is whole.
        assert finish, "a stream without an end, and no error"
        calls = [part.function_call for part in parts if part.function_call]
        usage = chunks[-1].usage_metadata
        return Reply(
            text="".join(part.text for part in parts if part.text and not part.thought),
            thought="".join(part.text for part in parts if part.text and part.thought),
            calls=[Call(call.id, call.name, call.args) for call in calls],
            stop="length" if finish == "MAX_TOKENS" else "tools" if calls else {"STOP": "end"}[finish],
            turn=parts, input_tokens=usage.prompt_token_count,
            output_tokens=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        )

    @staticmethod
    def message_of(error):
        return error.message

    @staticmethod
    def status_of(error):
        return error.code
