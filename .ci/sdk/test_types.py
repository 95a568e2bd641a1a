"""Every recorded answer, translated for every other protocol, is valid by the SDK of that protocol."""

import collections

import pytest

from answers import DIR, Upstream, groups
from judges import JUDGES, DashScopeList

GROUPS = groups()
if not GROUPS:
    pytest.skip(f"no translated answers in {DIR}: the corpus is not here", allow_module_level=True)

# Kind of answer, from, to: what the SDK showed its user.
SHOWN: dict[tuple[str, str, str], collections.Counter] = {}


@pytest.fixture(scope="module")
def upstream():
    upstream = Upstream()
    yield upstream
    upstream.stop()


def judge(kind, protocol, url):
    return DashScopeList(url) if kind.endswith("-list") else JUDGES[protocol](url)


def shown(judge, upstream, kind, body):
    refused = kind == "error" or kind.startswith("refused/")
    stream = kind.startswith(("stream", "played"))
    upstream.answers(body, 400 if refused else 200, stream)
    try:
        (judge.stream if stream else judge.whole)(body) if not refused else judge.refused()
    except judge.ERROR as error:
        assert str(error)
        return "error"
    return "answer"


def expected(group, name):
    """What an answer turns out to be: a stream what the same stream is when it is folded."""
    kind, *pair = group
    if kind == "error" or kind.startswith("refused/"):
        return {"error"}
    whole = "folded" if kind.startswith("stream") else "response"
    refused = GROUPS.get(("refused/" + whole, *pair), [])
    streams = kind.startswith(("stream", "played"))
    return {"error"} if streams and any(name == path.name for path in refused) else {"answer"}


@pytest.mark.parametrize("group", GROUPS, ids="-".join)
def test_types(upstream, group):
    kind, _, to = group
    by = judge(kind, to, upstream.url)
    failed, counts = {}, SHOWN.setdefault(group, collections.Counter())
    for path in GROUPS[group]:
        body = path.read_bytes()
        try:
            what = shown(by, upstream, kind, body)
            assert what in expected(group, path.name), f"the SDK shows an {what}"
            counts[what] += 1
        except Exception as error:
            counts["failed"] += 1
            failed[path.name] = f"{type(error).__name__}: {error}"
    assert sum(counts.values()) > 0
    assert not failed, "\n".join(f"{name}: {error}" for name, error in failed.items())


def test_all_pairs_were_judged(capsys):
    pairs = {pair[1:] for pair in SHOWN if pair[0] in ("response", "stream")}
    with capsys.disabled():
        print(f"\n{'kind':<26} {'pair':<36} {'answers':>8} {'errors':>7} {'failed':>7}")
        for (kind, source, target), counts in SHOWN.items():
            print(f"{kind:<26} {source + ' -> ' + target:<36} "
                  f"{counts['answer']:>8} {counts['error']:>7} {counts['failed']:>7}")
        print(f"{sum(sum(counts.values()) for counts in SHOWN.values())} answers judged")
    assert len(pairs) == len(JUDGES) * (len(JUDGES) - 1)
