"""What the proxy tells Prometheus, read by the parsers of Prometheus' own client."""

import json
import os
import urllib.error
import urllib.request

import pytest
from prometheus_client import parser as classic
from prometheus_client.openmetrics import parser as openmetrics

pytestmark = pytest.mark.skipif("GATEWAY_URL" in os.environ, reason="these count what they ask")

ODD_MODEL = 'demo "quoted", back\\slash\nand line {é}'
# Control characters are replaced: a page with some of them is refused whole.
SHOWN_MODEL = ODD_MODEL.replace("\n", "\ufffd")


def ask(gateway, model):
    """Asks once by Messages; the status."""
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    headers = {
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
        "x-api-key": "sk-caller-secret-0123456789",
    }
    request = urllib.request.Request(gateway.url + "/v1/messages", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def scrape(gateway):
    with urllib.request.urlopen(gateway.url + "/metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        return answer.read().decode()


def samples(text):
    """Each series once: its name and labels, and its value."""
    found = {}
    for family in openmetrics.text_string_to_metric_families(text):
        assert family.name.startswith("llm_gateway_") and family.type != "unknown", family.name
        for sample in family.samples:
            series = (sample.name, frozenset(sample.labels.items()))
            assert series not in found, series
            found[series] = sample.value
    return found


def value(found, name, **labels):
    return found["llm_gateway_" + name, frozenset(labels.items())]


def test_metrics(start):
    gateway = start()
    before = samples(scrape(gateway))
    assert [ask(gateway, "demo"), ask(gateway, ODD_MODEL), ask(gateway, "demo-error-400")] == [200, 200, 400]
    text = scrape(gateway)
    after = samples(text)
    assert value(after, "protocol_requests_total", protocol="anthropic") == 3
    assert value(after, "protocol_failures_total", protocol="anthropic") == 1
    assert value(after, "model_requests_total", model="demo") == 1
    assert value(after, "model_requests_total", model=SHOWN_MODEL) == 1
    assert value(after, "model_tokens_total", model="demo", type="output") > 0
    assert value(after, "faults_total", fault="bad_request") == 1
    assert value(after, "model_request_duration_seconds_count", model="demo") == 1
    for series, count in before.items():
        if not series[0].endswith(("_in_flight", "_stale")):
            assert after[series] >= count, series
    # The older format has fewer rules, and the same series.
    older = [sample for family in classic.text_string_to_metric_families(text) for sample in family.samples]
    assert len(older) == len(after)
    assert "sk-caller" not in text
