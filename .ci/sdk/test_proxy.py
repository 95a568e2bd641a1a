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
import pytest

from callers import CALLERS
from conftest import PROTOCOLS
from gateway import BINARY, ROOT, Gateway

KEYS = {"PROXY_ACCESS_KEY": "open-sesame", "UPSTREAM_API_KEY": "sk-upstream"}
PATHS = {
    "anthropic": "/v1/messages",
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "gemini": "/v1beta/models/demo-echo:generateContent",
    "dashscope": "/api/v1/services/aigc/text-generation/generation",
}
CREDENTIALS = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}

pytestmark = pytest.mark.skipif("GATEWAY_URL" in os.environ, reason="these start proxies of their own")

EACH_CALLER = pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
UPSTREAMS = pytest.mark.parametrize("upstream", PROTOCOLS)


def messages_client(gateway, key="sk-caller"):
    return anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0)


def seen(caller, model="demo-echo", text="hi", **more):
    """The request as it arrived at the demo."""
    return json.loads(caller.ask([text], model, **more).text)


def raw(gateway, method, target, headers=(), body=None):
    """One plain HTTP exchange: status, headers, body."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(gateway.url).netloc, timeout=10)
    connection.request(method, target, body=body, headers=dict(headers))
    answer = connection.getresponse()
    result = answer.status, answer.msg, answer.read()
    connection.close()
    return result


@EACH_CALLER
@UPSTREAMS
def test_the_callers_credential_takes_the_upstreams_form(start, caller, upstream):
    arrived = seen(caller(start(UPSTREAM_PROTOCOL=upstream).url, "sk-caller"))
    headers = dict(arrived["headers"])
    name = CREDENTIALS.get(upstream, "authorization")
    shown = headers.keys() & {"x-api-key", "x-goog-api-key", "authorization"}
    if caller.protocol != upstream:
        assert shown == {name}
        assert arrived["method"] == "POST" and arrived["path"] == PATHS[upstream]
    assert all(headers[name].removeprefix("Bearer ") == "sk-caller" for name in shown)
    assert ("anthropic-version" in headers) == (upstream == "anthropic")
    assert headers["content-type"].startswith("application/json")
    assert int(headers["content-length"]) == arrived["body"]["bytes"]


@EACH_CALLER
@UPSTREAMS
def test_an_access_key_is_wanted_and_never_passed_on(start, caller, upstream):
    gateway = start(UPSTREAM_PROTOCOL=upstream, **KEYS)
    with pytest.raises(caller.errors[401]):
        caller(gateway.url, "wrong").ask(["hi"])
    arrived = json.dumps(seen(caller(gateway.url, "open-sesame")))
    assert "sk-upstream" in arrived and "open-sesame" not in arrived


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
        asked = {"max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
        answer = client.messages.create(model="demo-echo", system=blocks, **asked)
        arrived = json.loads(answer.content[-1].text)["body"]["text"]
        assert "Speak like a pirate." in arrived
        assert (theirs in arrived) == stays


@EACH_CALLER
@UPSTREAMS
def test_models_are_mapped(start, caller, upstream):
    gateway = start(UPSTREAM_PROTOCOL=upstream, MODEL_MAP="my-model=demo-echo")
    arrived = seen(caller(gateway.url), "my-model")
    if upstream == "gemini":
        assert "/models/demo-echo:" in arrived["path"]
    else:
        assert json.loads(arrived["body"]["text"])["model"] == "demo-echo"


@EACH_CALLER
@UPSTREAMS
def test_a_missing_upstream_is_a_502(start, caller, upstream):
    gateway = start(UPSTREAM_URL="http://127.0.0.1:9", UPSTREAM_PROTOCOL=upstream)
    with pytest.raises(caller.any_error) as raised:
        caller(gateway.url).ask(["hi"])
    assert caller.status_of(raised.value) == 502
    assert caller.message_of(raised.value) and "127.0.0.1:9" not in str(raised.value)


def test_an_encoded_answer_is_read_or_refused(start):
    messages = CALLERS["anthropic"]
    assert messages(start().url).ask(["hi"], "demo-gzip").text.startswith("Hello")
    gateway = start(UPSTREAM_PROTOCOL="openai-chat")
    try:
        assert messages(gateway.url).ask(["hi"], "demo-gzip").text.startswith("Hello")
    except anthropic.InternalServerError as error:
        assert error.status_code == 502


def test_every_method_and_raw_query_passes(start):
    gateway = start()
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        status, _, body = raw(gateway, method, "/demo/echo/a%20b?x=%2F&y&x=2", body=b"{}")
        arrived = json.loads(body)
        assert (status, arrived["method"], arrived["path"]) == (200, method, "/demo/echo/a%20b")
        assert (arrived["query"], arrived["body"]["text"]) == ("x=%2F&y&x=2", "{}")
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
    messages = CALLERS["anthropic"](gateway.url)
    messages.ask(["hi"])
    with pytest.raises(anthropic.RateLimitError):
        messages.ask(["hi"], "demo-error-429")
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
