//! By path, model, provider, channel, key and principal; windows, costs and speeds.

use std::sync::{Mutex, Weak};

use super::*;
use crate::context::{Attempt, ChannelId, ExchangeFacts};
use crate::pricing::PriceTable;
use crate::protocol::model::FaultOrigin;
use crate::record::{Begun, Clock, Record, RecordLayer, Sink};

/// One request, of which the layers inside know this much.
pub(super) fn open(
    layer: &StatsLayer,
    path: &str,
    mut inner: impl FnMut(&mut ExchangeFacts) -> Response<Frames>,
) -> Response<Watched> {
    let mut service = layer.layer(Answer(|mut request: Request<_>| {
        Ok(Exchange::of(request.extensions_mut()).update(&mut inner))
    }));
    let request = Request::post(path).body(Empty::<Bytes>::new()).unwrap();
    now(service.call(request)).unwrap()
}

/// The same, read to its end.
pub(super) fn serve(
    layer: &StatsLayer,
    path: &str,
    inner: impl FnMut(&mut ExchangeFacts) -> Response<Frames>,
) {
    steps(open(layer, path, inner).body_mut());
}

pub(super) fn attempt(channel: &str, key: &str, status: u16, fault: Option<FaultKind>) -> Attempt {
    Attempt {
        channel: Some(ChannelId::new(channel)),
        key: Some(format!("sk-{key}***").into()),
        key_id: Some(format!("id-{key}").into()),
        status: StatusCode::from_u16(status).ok(),
        fault: fault.map(|kind| Fault::new(kind, kind.status(), FaultOrigin::Upstream)),
        ..Attempt::default()
    }
}

fn usage(input: u64, output: u64) -> Option<Usage<'static>> {
    Some(Usage { input, output, ..Usage::default() })
}

/// requests, successes, failures, cancelled, output tokens
fn told(group: &GroupStats) -> [u64; 5] {
    [group.requests, group.successes, group.failures, group.cancelled, group.tokens.output]
}

#[test]
fn attempts_are_charged_to_their_channels_and_keys() {
    let layer = StatsLayer::new();
    serve(&layer, "/v1/messages", |facts| {
        facts.usage = usage(1, 7);
        facts.attempts = vec![
            attempt("a", "1", 429, Some(FaultKind::RateLimit)),
            attempt("a", "2", 503, None),
            attempt("b", "3", 200, None),
        ];
        // One that was slower than another, and one that never came to anything.
        let mut outrun = attempt("b", "4", 200, None);
        outrun.outrun = true;
        facts.attempts.extend([outrun, attempt("b", "4", 0, None)]);
        answer(200, ["x"])
    });
    let snapshot = layer.stats().snapshot();
    assert_eq!(told(&snapshot.channels["a"]), [2, 0, 2, 0, 0]);
    assert_eq!(told(&snapshot.channels["b"]), [3, 1, 0, 2, 7]);
    assert_eq!(told(&snapshot.keys["id-1"]), [1, 0, 1, 0, 0]);
    assert_eq!(told(&snapshot.keys["id-2"]), [1, 0, 1, 0, 0]);
    assert_eq!(told(&snapshot.keys["id-3"]), [1, 1, 0, 0, 7]);
    assert_eq!(told(&snapshot.keys["id-4"]), [2, 0, 0, 2, 0]);
    assert_eq!(snapshot.keys["id-3"].key.as_deref(), Some("sk-3***"));
    assert_eq!(snapshot.channels["a"].faults["rate_limit"], 1);
    assert_eq!(snapshot.channels["a"].faults["overloaded"], 1);
    assert_eq!(snapshot.channels["b"].response_bytes, 1);
    assert_eq!((snapshot.totals.requests, snapshot.totals.failures), (1, 0));
}

#[test]
fn the_answer_is_charged_to_who_gave_it() {
    let layer = StatsLayer::new();
    // One that answered 200 too, and said then that it was overloaded.
    let bad = || attempt("b", "2", 200, Some(FaultKind::Overloaded));
    serve(&layer, "/x", |facts| {
        facts.usage = usage(1, 7);
        let winner = Attempt { chosen: true, ..attempt("a", "1", 200, None) };
        facts.attempts = vec![winner, attempt("b", "2", 200, None)];
        answer(200, ["x"])
    });
    // Where nobody chose.
    serve(&layer, "/x", |facts| {
        facts.usage = usage(1, 7);
        facts.attempts = vec![attempt("a", "1", 200, None), bad()];
        answer(200, ["x"])
    });
    serve(&layer, "/x", |facts| {
        facts.usage = usage(1, 1);
        facts.attempts = vec![bad()];
        answer(200, ["x"])
    });
    let channels = layer.stats().snapshot().channels;
    let charged = |name| (channels[name].tokens.output, channels[name].response_bytes);
    assert_eq!((charged("a"), charged("b")), ((14, 2), (1, 1)));
}

#[test]
fn a_key_without_an_id_is_counted_by_its_mask() {
    let layer = StatsLayer::new();
    serve(&layer, "/x", |facts| {
        let mut alone = attempt("a", "1", 200, None);
        alone.key_id = None;
        facts.attempts = vec![alone];
        answer(200, [])
    });
    assert_eq!(told(&layer.stats().snapshot().keys["sk-1***"]), [1, 1, 0, 0, 0]);
}

#[test]
fn who_leaves_is_the_fault_of_no_channel() {
    let layer = StatsLayer::new();
    let mut left = open(&layer, "/x", |facts| {
        facts.attempts = vec![attempt("a", "1", 200, None)];
        answer(200, ["x", "y"])
    });
    step(left.body_mut());
    drop(left);
    let snapshot = layer.stats().snapshot();
    assert_eq!(told(&snapshot.channels["a"]), [1, 0, 0, 1, 0]);
    assert_eq!(snapshot.channels["a"].response_bytes, 1);
}

#[test]
fn what_we_refuse_is_a_request_at_no_channel() {
    let layer = StatsLayer::new();
    let refused = |name, key| {
        let fault = Some(Fault::gateway(FaultKind::Overloaded));
        Attempt { fault, ..attempt(name, key, 503, None) }
    };
    serve(&layer, "/x", |facts| {
        facts.attempts = vec![refused("a", "1"), attempt("b", "2", 200, None)];
        answer(200, ["x"])
    });
    serve(&layer, "/x", |facts| {
        facts.attempts = vec![refused("a", "1"), refused("b", "2")];
        answer(503, ["x"])
    });
    let snapshot = layer.stats().snapshot();
    assert_eq!((snapshot.totals.requests, snapshot.totals.failures), (2, 1));
    assert_eq!(told(&snapshot.channels["b"]), [1, 1, 0, 0, 0]);
    assert_eq!(told(&snapshot.keys["id-2"]), [1, 1, 0, 0, 0]);
    assert!(!snapshot.channels.contains_key("a") && !snapshot.keys.contains_key("id-1"));
}

#[test]
fn providers_and_principals_have_their_own() {
    let layer = StatsLayer::new();
    for (principal, protocol, status) in [
        ("one", Protocol::Gemini, 200),
        ("one", Protocol::Anthropic, 500),
        ("two", Protocol::Gemini, 200),
        ("never", Protocol::Gemini, 429),
    ] {
        serve(&layer, "/x", |facts| {
            facts.principal = Some(Principal::new(principal));
            facts.upstream_protocol = Some(protocol);
            answer(status, [])
        });
    }
    let snapshot = layer.stats().snapshot();
    assert_eq!(told(&snapshot.providers["gemini"]), [3, 2, 1, 0, 0]);
    assert!(snapshot.providers.values().all(|group| group.requests > 0));
    assert_eq!(told(&snapshot.providers["anthropic"]), [1, 0, 1, 0, 0]);
    assert_eq!(told(&snapshot.principals["one"]), [2, 1, 1, 0, 0]);
    assert_eq!(told(&snapshot.principals["two"]), [1, 1, 0, 0, 0]);
    assert_eq!(told(&snapshot.principals[OTHER]), [1, 0, 1, 0, 0]);
    assert_eq!(told(&snapshot.paths["/x"]), [4, 2, 2, 0, 0]);
}

#[test]
fn a_provider_has_the_name_that_it_was_given() {
    let layer = StatsLayer::new();
    for name in [Some("deepseek"), Some("groq"), Some("deepseek"), None] {
        serve(&layer, "/x", |facts| {
            facts.provider = name.map(Into::into);
            facts.upstream_protocol = Some(Protocol::OpenAiChat);
            answer(200, [])
        });
    }
    let providers = layer.stats().snapshot().providers;
    let counts: Vec<_> = providers.iter().map(|(name, g)| (name.as_str(), g.requests)).collect();
    assert_eq!(counts, [("deepseek", 2), ("groq", 1), ("openai-chat", 1)]);
}

#[test]
fn costs_are_known_or_counted_as_unknown() {
    let prices = r#"{"asked": {"input": 1, "output": 2}, "answered": {"input": 10, "output": 10}}"#;
    let layer = StatsLayer::new().prices(PriceTable::empty().with_json(prices).unwrap());
    let spend = |path: &str, asked: &str, answered: &str, usage: Option<Usage<'static>>| {
        serve(&layer, path, |facts| {
            facts.upstream_model = Some(asked.into());
            facts.response_model = Some(answered.into());
            facts.usage.clone_from(&usage);
            answer(200, [])
        });
    };
    spend("/v1/messages", "asked", "answered", usage(1000, 1000));
    spend("/v1/messages", "alias", "answered", usage(1000, 0));
    spend("/v1/messages", "alias", "nobody", usage(1000, 0));
    // A kind of tokens without a price; an answer that says nothing of its tokens.
    let cached = Usage { cache_read: 1, ..Usage::default() };
    spend("/v1/messages", "asked", "answered", Some(cached));
    spend("/v1/messages", "asked", "answered", None);
    // What generates nothing costs nothing.
    spend("/health", "asked", "answered", None);
    let snapshot = layer.stats().snapshot();
    let cost = snapshot.cost;
    assert_eq!((cost.usd, cost.known, cost.unknown), (0.013, 2, 3));
    assert_eq!(snapshot.models["asked"].cost.usd, 0.003);
    assert_eq!(snapshot.models["alias"].cost.unknown, 1);
    assert_eq!(snapshot.windows.quarter.cost, cost);
    let costs: Vec<_> = snapshot.recent_requests.iter().map(|request| request.cost).collect();
    assert_eq!(costs, [Some(0.003), Some(0.01), None, None, None, None]);
}

#[test]
fn prices_may_change() {
    let layer = StatsLayer::new();
    let spend = || {
        serve(&layer, "/v1/messages", |facts| {
            facts.upstream_model = Some("claude-haiku-4-5".into());
            facts.usage = usage(1_000_000, 0);
            answer(200, [])
        });
        layer.stats().snapshot().cost.usd
    };
    assert_eq!(spend(), 1.0);
    let prices = PriceTable::empty().with_json(r#"{"claude-haiku-4-5": {"input": 2}}"#);
    layer.stats().set_prices(prices.unwrap());
    assert_eq!(spend(), 3.0);
}

#[test]
fn windows_show_what_ended_lately() {
    let (layer, hand) = Hand::layer();
    for minutes in [600, 120, 30, 5, 0] {
        serve(&layer, "/v1/messages", |facts| {
            facts.upstream_model = Some("m".into());
            facts.usage =
                Some(Usage { input: 1, cache_read: 3, output: minutes, ..Usage::default() });
            answer(if minutes == 30 { 500 } else { 200 }, [])
        });
        hand.forward(minutes * 60_000);
    }
    let snapshot = layer.stats().snapshot();
    for windows in [&snapshot.windows, &snapshot.models["m"].windows] {
        let of = |window: &WindowCounts| (window.request_count, window.success_rate);
        assert_eq!(of(&windows.quarter), (2, 100.0));
        assert_eq!(of(&windows.hour), (3, 2.0 / 3.0 * 100.0));
        assert_eq!(of(&windows.six_hours), (4, 75.0));
        assert_eq!(of(&windows.day), (5, 80.0));
        assert_eq!((windows.day.tokens.output, windows.day.cache_hit_rate), (755, 75.0));
        assert_eq!((windows.quarter.tokens.output, windows.hour.faults["upstream"]), (5, 1));
    }
    hand.forward(24 * 60 * 60_000);
    let quiet = layer.stats().snapshot();
    assert_eq!((quiet.windows.day.request_count, quiet.windows.day.success_rate), (0, 100.0));
    assert_eq!(quiet.models["m"].requests, 5);
}

#[test]
fn the_speed_of_a_stream_is_that_of_its_writing() {
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":50}}\n\n";
    let speeds = |millis: u64, last: &'static str, whole: bool| {
        let (layer, hand) = Hand::layer();
        let mut stream = open(&layer, "/v1/chat/completions", |facts| {
            hand.forward(700);
            facts.upstream_model = Some("m".into());
            typed("text/event-stream", [event, last, "data: [DONE]\n\n"])
        });
        step(stream.body_mut());
        hand.forward(millis);
        step(stream.body_mut());
        if whole {
            steps(stream.body_mut());
        }
        drop(stream);
        let snapshot = layer.stats().snapshot();
        assert_eq!(snapshot.models["m"].tokens_per_second, Some(snapshot.tokens_per_second));
        snapshot.tokens_per_second
    };
    let half = speeds(500, usage, true);
    assert_eq!((half.count, half.mean), (1, 100.0));
    assert!((100.0..100.8).contains(&half.p50), "{half:?}");
    // One that came at once, that says nothing of its tokens, that was left.
    assert_eq!(speeds(9, usage, true).count, 0);
    assert_eq!(speeds(500, event, true).count, 0);
    assert_eq!(speeds(500, usage, false).count, 0);
}

#[test]
fn names_are_bounded_everywhere() {
    let layer = StatsLayer::new();
    let most = MAX_KEYS.max(MAX_PRINCIPALS).max(MAX_CHANNELS) as u64 + 10;
    for i in 0..most {
        serve(&layer, &format!("/ok/{i}"), |facts| {
            facts.provider = Some(format!("v{i}").into());
            facts.principal = Some(Principal::new(format!("p{i}")));
            facts.upstream_model = Some(format!("m{i}").into());
            facts.attempts = vec![attempt(&format!("c{i}"), &i.to_string(), 200, None)];
            answer(200, [])
        });
    }
    let snapshot = layer.stats().snapshot();
    for (groups, limit) in [
        (&snapshot.paths, MAX_PATHS),
        (&snapshot.models, MAX_MODELS),
        (&snapshot.providers, MAX_PROVIDERS),
        (&snapshot.principals, MAX_PRINCIPALS),
        (&snapshot.channels, MAX_CHANNELS),
        (&snapshot.keys, MAX_KEYS),
    ] {
        assert_eq!(groups.len(), limit + 1);
        assert_eq!(groups.values().map(|group| group.requests).sum::<u64>(), most);
        assert_eq!(groups[OTHER].requests, most - limit as u64);
    }
    assert_eq!(snapshot.keys[OTHER].key, None);
}

/// Sees whether anybody else keeps records.
#[derive(Default)]
struct Spy(Mutex<Weak<Record>>);

impl Sink for Spy {
    type Open = ();

    fn begun(&self, _: &Arc<Begun>, _: &mut http::HeaderMap) {}

    fn ended(&self, (): (), record: &Arc<Record>) {
        *self.0.lock().unwrap() = Arc::downgrade(record);
    }
}

#[test]
fn bodies_are_not_kept_for_others() {
    let spy = Arc::new(Spy::default());
    let stats = Stats::new();
    let layer = RecordLayer::new((stats.clone(), spy.clone())).bodies(1000);
    let mut service = layer.layer(Answer(|_: Request<_>| Ok(answer(400, ["no"]))));
    let request = Request::post("/x").body(Empty::<Bytes>::new()).unwrap();
    steps(now(service.call(request)).unwrap().body_mut());
    assert_eq!(stats.snapshot().totals.failures, 1);
    assert_eq!(stats.snapshot().recent_requests[0].response_content, None);
    assert!(spy.0.lock().unwrap().upgrade().is_none());
}

#[test]
fn two_layers_may_tell_the_same_books() {
    let stats = Stats::with_clock(Clock::new(|| Duration::from_secs(1_700_000_000)));
    let one = RecordLayer::new(stats.clone());
    let two = RecordLayer::new(stats.clone());
    let call = |layer: &RecordLayer<Stats>| {
        let mut service = layer.layer(Answer(|_: Request<_>| Ok(answer(200, ["x"]))));
        now(service.call(Request::new(Empty::<Bytes>::new()))).unwrap()
    };
    let (first, second) = (call(&one), call(&two));
    assert_eq!(stats.snapshot().in_flight, 2);
    drop(first);
    assert_eq!(stats.snapshot().in_flight, 1);
    drop(second);
    let snapshot = stats.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.totals.cancelled), (0, 2));
}
