"""What is particular to Gemini and the `google-genai` SDK; `test_pairs.py` has the rest."""

import json
import urllib.request

import pytest
from google import genai
from google.genai import errors, types

from samples import ARGUMENTS, SCHEMA


def post(url, body, **headers):
    """One plain exchange: content type, body."""
    headers = {"content-type": "application/json", "x-goog-api-key": "k", **headers}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["content-type"], answer.read().decode()


def said(chunks):
    return "".join(
        part.get("text", "") for chunk in chunks for part in chunk["candidates"][0]["content"].get("parts", [])
    )


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_both_forms_of_a_stream(gateway, version):
    url = f"{gateway.url}/{version}/models/demo:streamGenerateContent"
    body = {"contents": [{"parts": [{"text": "grüße"}]}]}
    kind, text = post(url + "?alt=sse", body)
    assert kind.startswith("text/event-stream")
    lines = [line for line in text.splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert said(chunks) == "Hello from demo! You said: grüße"
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    assert chunks[-1]["usageMetadata"]["totalTokenCount"] > 0
    kind, text = post(url, body)
    assert kind.startswith("application/json")
    assert said(json.loads(text)) == "Hello from demo! You said: grüße"


def test_a_key_in_the_query(gateway):
    _, text = post(
        f"{gateway.url}/v1beta/models/demo:generateContent?key=k", {"contents": [{"parts": [{"text": "x"}]}]})
    assert said([json.loads(text)]).endswith("x")


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_versions_and_snake_case(gateway, version):
    options = {"base_url": gateway.url, "api_version": version}
    client = genai.Client(api_key="k", http_options=options)
    assert client.models.generate_content(model="demo", contents="x").text.endswith("x")
    body = {
        "contents": [{"parts": [{"text": "x"}]}],
        "system_instruction": {"parts": [{"text": "Be kind."}]},
        "generation_config": {"max_output_tokens": 100, "response_mime_type": "application/json",
                              "response_json_schema": SCHEMA},
    }
    _, text = post(f"{gateway.url}/{version}/models/demo:generateContent", body)
    assert json.loads(said([json.loads(text)])) == ARGUMENTS


@pytest.mark.parametrize("stream", [False, True])
def test_functions_that_the_sdk_calls_by_itself(gemini, stream):
    asked = []

    def get_weather(city: str) -> str:
        """Tells the weather."""
        asked.append(city)
        return "sun"

    request = {"model": "demo-tool", "contents": "weather", "config": {"tools": [get_weather]}}
    if stream:
        chunks = list(gemini.models.generate_content_stream(**request))
        text = "".join(chunk.text or "" for chunk in chunks)
    else:
        text = gemini.models.generate_content(**request).text
    assert (text, asked) == ("The tool said: sun", [ARGUMENTS["city"]])


def test_chats_keep_their_history(gemini):
    """The SDK's own history, with thoughts and signatures as they came."""
    config = types.GenerateContentConfig(
        thinking_config={"include_thoughts": True, "thinking_budget": 1024},
        tools=[{"function_declarations": [{"name": "get_weather", "parameters": SCHEMA_OF_GEMINI}]}],
    )
    chat = gemini.chats.create(model="demo-tool", config=config)
    answer = chat.send_message("weather")
    (call,) = answer.function_calls
    response = types.Part.from_function_response(name=call.name, response={"result": "sun"})
    assert chat.send_message(response).text == "The tool said: sun"


SCHEMA_OF_GEMINI = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}


def test_a_schema_of_its_own(gemini):
    config = {"response_mime_type": "application/json", "response_schema": SCHEMA_OF_GEMINI}
    answer = gemini.models.generate_content(model="demo", contents="json", config=config)
    assert answer.parsed == {"city": ARGUMENTS["city"]}


def test_errors_have_a_status(gemini):
    for code, status in [(429, "RESOURCE_EXHAUSTED"), (404, "NOT_FOUND"), (503, "UNAVAILABLE")]:
        with pytest.raises(errors.APIError) as raised:
            gemini.models.generate_content(model=f"demo-error-{code}", contents="x")
        assert (raised.value.code, raised.value.status) == (code, status)


def test_models_and_counts(gateway, gemini):
    assert gemini.models.count_tokens(model="demo", contents="What is the weather?").total_tokens > 5
    if gateway.upstream == "dashscope":
        with pytest.raises(errors.APIError):
            list(gemini.models.list())
        return
    assert "models/demo" in [model.name for model in gemini.models.list()]
    assert gemini.models.get(model="demo").name == "models/demo"
