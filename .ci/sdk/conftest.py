import anthropic
import openai
import pytest

from gateway import Gateway

# Without UPSTREAM_PROTOCOL the proxy asks the demo in the caller's own protocol.
UPSTREAMS = {"same": {}, "anthropic": {"UPSTREAM_PROTOCOL": "anthropic"}, "openai-chat": {"UPSTREAM_PROTOCOL": "openai-chat"}}


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
def start():
    """Starts proxies with settings of a test's own."""
    running = []

    def start_one(**settings):
        running.append(Gateway(**settings))
        return running[-1]

    yield start_one
    for each in running:
        each.stop()
