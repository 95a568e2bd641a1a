import anthropic
import openai
import pytest
from google import genai

from gateway import Gateway

# Without UPSTREAM_PROTOCOL the proxy asks the demo in the caller's own protocol.
PROTOCOLS = ("anthropic", "openai-chat", "openai-responses", "gemini", "dashscope")
UPSTREAMS = {"same": {}, **{name: {"UPSTREAM_PROTOCOL": name} for name in PROTOCOLS}}


@pytest.fixture(scope="session", params=UPSTREAMS)
def gateway(request):
    """The proxy before the demo, which speaks each of the protocols in turn."""
    running = Gateway(**UPSTREAMS[request.param])
    running.upstream = request.param
    yield running
    running.stop()


@pytest.fixture
def messages(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def chat(gateway):
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def gemini(gateway):
    return genai.Client(api_key="sk-test", http_options={"base_url": gateway.url})


@pytest.fixture
def start():
    """Starts proxies with settings of a test's own."""
    running = []

    def start_one(**settings):
        running.append(Gateway(**settings))
        return running[-1]

    yield start_one
    for each in running:
        each.stop()
