"""The proxy as its settings make it: keys, prompts, models, errors, shutdown."""

import http.client
import json
import os
import signal
import subprocess
import threading
import time
import urllib.parse

import anthropic
import openai
import pytest

from gateway import BINARY, ROOT, Gateway

PROTOCOLS = ["anthropic", "openai-chat"]
KEYS = {"PROXY_ACCESS_KEY": "open-sesame", "UPSTREAM_API_KEY": "sk-upstream"}

pytestmark = pytest.mark.skipif("GATEWAY_URL" in os.environ, reason="these start proxies of their own")


def messages_client(gateway, key="sk-caller"):
    return anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0)


def chat_client(gateway, key="sk-caller"):
    return openai.OpenAI(base_url=gateway.url + "/v1", api_key=key, max_retries=0)


def say(client, text="hi", model="demo", **more):
    """The text of an answer, whichever the client."""
    asked = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    if isinstance(client, anthropic.Anthropic):
        return client.messages.create(max_tokens=8192, **asked).content[-1].text
    return client.chat.completions.create(**asked).choices[0].message.content


CLIENTS = pytest.mark.parametrize("client", [messages_client, chat_client], ids=["messages", "chat"])
UPSTREAMS = pytest.mark.parametrize("upstream", PROTOCOLS)


def raw(gateway, method, target, headers=(), body=None):
    """One plain HTTP exchange: status, headers, body."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(gateway.url).netloc, timeout=10)
    connection.request(method, target, body=body, headers=dict(headers))
    answer = connection.getresponse()
    result = answer.status, answer.msg, answer.read()
    connection.close()
    return result


@CLIENTS
@UPSTREAMS
def test_the_callers_credential_takes_the_upstreams_form(start, client, upstream):
    seen = json.loads(say(client(start(UPSTREAM_PROTOCOL=upstream)), model="demo-echo"))
    headers = dict(seen["headers"])
    credential = headers.get("x-api-key") or headers["authorization"].removeprefix("Bearer ")
    assert credential == "sk-caller"
    path = {"anthropic": "/v1/messages", "openai-chat": "/v1/chat/completions"}[upstream]
    assert (seen["method"], seen["path"]) == ("POST", path)
    assert ("anthropic-version" in headers) == (upstream == "anthropic")
    assert headers["content-type"] == "application/json"
    assert int(headers["content-length"]) == seen["body"]["bytes"]


@CLIENTS
@UPSTREAMS
def test_an_access_key_is_wanted_and_never_passed_on(start, client, upstream):
    gateway = start(UPSTREAM_PROTOCOL=upstream, **KEYS)
    expected = (anthropic.AuthenticationError, openai.AuthenticationError)
    with pytest.raises(expected) as raised:
        say(client(gateway, "wrong"))
    assert raised.value.response.headers["www-authenticate"]
    text = say(client(gateway, "open-sesame"), model="demo-echo")
    assert "sk-upstream" in text and "open-sesame" not in text


def test_an_access_key_in_the_query_is_taken_out(start):
    gateway = start(**KEYS)
    status, _, body = raw(gateway, "GET", "/demo/echo/x?a=1&key=open-sesame&b=%2F")
    assert status == 200
    assert json.loads(body)["query"] == "a=1&b=%2F"
    assert b"open-sesame" not in body
    assert raw(gateway, "GET", "/demo/echo/x?key=wrong")[0] == 401
    assert "open-sesame" not in "".join(gateway.log)


@UPSTREAMS
def test_the_system_prompt_is_set(start, upstream):
    gateway = start(
        UPSTREAM_PROTOCOL=upstream,
        SYSTEM_PROMPT_REPLACEMENT="Speak like a pirate.",
        SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST="true",
    )
    client = messages_client(gateway)
    for theirs, stays in (("You are Claude Code.", False), ("Be kind.", True)):
        blocks = [{"type": "text", "text": theirs}]
        seen = json.loads(say(client, model="demo-echo", system=blocks))["body"]["text"]
        assert "Speak like a pirate." in seen
        assert (theirs in seen) == stays


@CLIENTS
@UPSTREAMS
def test_models_are_mapped(start, client, upstream):
    gateway = start(UPSTREAM_PROTOCOL=upstream, MODEL_MAP="my-model=demo-echo")
    seen = json.loads(say(client(gateway), model="my-model"))
    assert json.loads(seen["body"]["text"])["model"] == "demo-echo"


@CLIENTS
@UPSTREAMS
def test_a_missing_upstream_is_a_502(start, client, upstream):
    gateway = start(UPSTREAM_URL="http://127.0.0.1:9", UPSTREAM_PROTOCOL=upstream)
    expected = (anthropic.InternalServerError, openai.InternalServerError)
    with pytest.raises(expected) as raised:
        say(client(gateway))
    assert raised.value.status_code == 502
    assert raised.value.body["error"]["message"] if client is messages_client else raised.value.body["message"]
    assert "127.0.0.1" not in json.dumps(raised.value.body)


def test_an_encoded_answer_is_read_or_refused(start):
    assert say(messages_client(start()), model="demo-gzip").startswith("Hello")
    gateway = start(UPSTREAM_PROTOCOL="openai-chat")
    try:
        assert say(messages_client(gateway), model="demo-gzip").startswith("Hello")
    except anthropic.InternalServerError as error:
        assert error.status_code == 502


def test_every_method_and_raw_query_passes(start):
    gateway = start()
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        status, _, body = raw(gateway, method, "/demo/echo/a%20b?x=%2F&y&x=2", body=b"{}")
        seen = json.loads(body)
        assert (status, seen["method"], seen["path"]) == (200, method, "/demo/echo/a%20b")
        assert (seen["query"], seen["body"]["text"]) == ("x=%2F&y&x=2", "{}")
    assert raw(gateway, "HEAD", "/demo/echo")[::2] == (200, b"")
    assert raw(gateway, "GET", "/demo/status/204")[::2] == (204, b"")
    status, headers, _ = raw(gateway, "GET", "/demo/redirect")
    assert (status, headers["location"]) == (302, "/demo/echo")
    assert len(raw(gateway, "GET", "/demo/cookies")[1].get_all("set-cookie")) == 2


def test_headers_of_the_connection_stay_here(start):
    sent = {"connection": "x-mine, keep-alive", "x-mine": "1", "keep-alive": "1", "x-forwarded-for": "10.0.0.1"}
    _, _, body = raw(start(), "GET", "/demo/echo", sent)
    headers = dict(json.loads(body)["headers"])
    assert "x-mine" not in headers and "keep-alive" not in headers
    assert headers["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"


def test_health_and_stats(start):
    gateway = start(UPSTREAM_PROTOCOL="openai-chat")
    status, headers, body = raw(gateway, "GET", "/health")
    assert (status, headers["cache-control"]) == (200, "no-store")
    assert set(json.loads(body)) == {"status", "service", "boot_id", "started_at"}
    say(messages_client(gateway))
    with pytest.raises(anthropic.RateLimitError):
        say(messages_client(gateway), model="demo-error-429")
    for path in ("/api/stats", "/api/admin/stats"):
        stats = gateway.get(path)
        assert set(stats) >= {"summary", "performance", "time_series", "top_paths", "recent_requests"}
        summary = stats["summary"]
        assert (summary["total_requests"], summary["failed_requests"]) == (2, 1)


def test_stats_want_the_key_where_there_is_one(start):
    gateway = start(**KEYS)
    assert raw(gateway, "GET", "/api/stats")[0] == 401
    assert raw(gateway, "GET", "/api/stats", {"x-api-key": "open-sesame"})[0] == 200
    assert raw(gateway, "GET", "/health")[0] == 200


@UPSTREAMS
def test_a_stream_finishes_after_a_signal_to_stop(upstream):
    gateway = Gateway(UPSTREAM_PROTOCOL=upstream, DEMO_PACE_MS="150")
    asked = {"model": "demo", "max_tokens": 100, "messages": [{"role": "user", "content": "one two three"}]}
    with messages_client(gateway).messages.stream(**asked) as stream:
        words = []
        for word in stream.text_stream:
            if not words:
                gateway.process.send_signal(signal.SIGTERM)
            words.append(word)
    assert "".join(words) == "Hello from demo! You said: one two three"
    assert gateway.process.wait(10) == 0


def test_an_endless_stream_is_cut_after_ten_seconds():
    gateway = Gateway()
    asked = {"model": "demo-slow", "max_tokens": 100, "messages": [{"role": "user", "content": "x"}]}
    stopped = time.monotonic()
    with pytest.raises(Exception):
        with messages_client(gateway).messages.stream(**asked) as stream:
            threading.Timer(0.2, gateway.process.terminate).start()
            stream.until_done()
    assert 9 < time.monotonic() - stopped < 13
    assert gateway.process.wait(5) == 0


@pytest.mark.parametrize("name,value", [("UPSTREAM_PROTOCOL", "smtp"), ("PORT", "x"), ("HOST", "0.0.0.0 ")])
def test_a_bad_setting_is_named(name, value):
    env = {name: value, "UPSTREAM_API_KEY": "sk-secret"}
    done = subprocess.run([BINARY], env=env, cwd=ROOT / "target", text=True, capture_output=True, timeout=10)
    assert done.returncode == 2
    assert name in done.stderr and "sk-secret" not in done.stderr + done.stdout
    assert name != "UPSTREAM_PROTOCOL" or "anthropic, openai-chat" in done.stderr
