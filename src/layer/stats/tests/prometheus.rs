//! What Prometheus reads, by a reader that takes nothing but what OpenMetrics 1.0 allows.

use std::collections::{BTreeMap, BTreeSet};

use prometheus_client::registry::Registry;
use proptest::prelude::*;

use super::golden::day;
use super::groups::{attempt, serve};
use super::*;
use crate::layer::stats::prometheus::{CONTENT_TYPE, StatsCollector, TIME_BUCKETS};
use crate::test_helpers::golden;

type Labels = BTreeMap<String, String>;

/// The value of each series, by its name and labels.
type Series = BTreeMap<(String, Labels), f64>;

fn is_name(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    first && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Reads labels behind `{`; returns the rest behind `}`.
fn labels(mut text: &str) -> (Labels, &str) {
    let mut labels = Labels::new();
    loop {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(is_name(name), "{name}");
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    c => panic!("\\{c}"),
                }),
                // Prometheus' own reader knows no NUL, and drops the whole page.
                (_, c) if c.is_control() => panic!("{c:?} within a value"),
                (_, c) => value.push(c),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{name} twice");
        text = &rest[end + 1..];
        match text.split_at(1) {
            (",", rest) => text = rest,
            ("}", rest) => return (labels, rest),
            other => panic!("{other:?}"),
        }
    }
}

/// One metric: its help, type and unit, then its series.
fn family<'t>(lines: &mut std::iter::Peekable<std::str::Lines<'t>>, found: &mut Series) -> &'t str {
    let (name, help) =
        lines.next().unwrap().strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
    assert!(
        is_name(name) && name.starts_with("llm_gateway_") && help.ends_with('.'),
        "{name} {help}"
    );
    let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
    if let Some(unit) = lines.next_if(|line| line.starts_with("# UNIT ")) {
        let unit = unit.strip_prefix(&format!("# UNIT {name} ")).unwrap();
        assert!(name.ends_with(&format!("_{unit}")), "{name} {unit}");
    }
    let mut any = false;
    while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
        any = true;
        let end = line.find(['{', ' ']).unwrap();
        let (sample, rest) = line.split_at(end);
        let (labels, value) = rest.strip_prefix('{').map_or((Labels::new(), rest), labels);
        let value: f64 = value.strip_prefix(' ').unwrap().parse().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let suffix = sample.strip_prefix(name).unwrap();
        let (suffixes, le): (&[_], _) = match kind {
            "counter" => (&["_total"], false),
            "gauge" => (&[""], false),
            "histogram" => (&["_bucket", "_sum", "_count"], suffix == "_bucket"),
            other => panic!("{other}"),
        };
        assert!(suffixes.contains(&suffix) && labels.contains_key("le") == le, "{line}");
        let key = (sample.to_owned(), labels);
        assert!(found.insert(key, value).is_none(), "{line} twice");
    }
    assert!(any, "{name} has no series");
    name
}

/// Reads a whole page.
fn read(text: &str) -> Series {
    let text = text.strip_suffix("# EOF\n").unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let (mut found, mut names) = (Series::new(), BTreeSet::new());
    let mut lines = text.lines().peekable();
    while lines.peek().is_some() {
        let name = family(&mut lines, &mut found);
        assert!(names.insert(name), "{name} twice");
    }
    buckets_add_up(&found);
    found
}

/// Each bucket holds those below it too, and the last one all.
fn buckets_add_up(series: &Series) {
    let mut histograms: BTreeMap<_, Vec<(f64, f64)>> = BTreeMap::new();
    for ((name, labels), count) in series {
        let Some(name) = name.strip_suffix("_bucket") else { continue };
        let mut labels = labels.clone();
        let le = labels.remove("le").unwrap().replace("+Inf", "inf").parse().unwrap();
        histograms.entry((name, labels)).or_default().push((le, *count));
    }
    for ((name, labels), mut buckets) in histograms {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by_key(|(_, count)| *count), "{name}");
        let (le, all) = *buckets.last().unwrap();
        assert_eq!(le, f64::INFINITY);
        assert_eq!(all, series[&(format!("{name}_count"), labels)], "{name}");
    }
}

fn of(series: &Series, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    series.get(&(format!("llm_gateway_{name}"), labels)).copied()
}

#[test]
fn metrics() {
    let (layer, _, _open) = day();
    let text = layer.stats().openmetrics();
    read(&text);
    golden("metrics", &text.lines().collect::<Vec<_>>());
    assert!(CONTENT_TYPE.starts_with("application/openmetrics-text"));
}

#[test]
fn metrics_of_nothing() {
    let series = read(&Hand::layer().0.stats().openmetrics());
    assert_eq!(of(&series, "requests_total", &[]), Some(0.0));
    assert_eq!(of(&series, "start_time_seconds", &[]), Some(1_700_000_000.0));
    assert!(series.keys().all(|(_, labels)| !labels.contains_key("model")));
}

#[test]
fn principals_and_counters_are_shown_on_request() {
    let (layer, _, _open) = day();
    let plain = layer.stats().openmetrics();
    assert!(!plain.contains("team") && !plain.contains("sk-1"));
    let collector = StatsCollector::new(layer.stats()).principals(true).counter(
        "log_rows_dropped",
        "Rows that were not kept.",
        || 7,
    );
    let series = read(&collector.openmetrics());
    assert_eq!(of(&series, "principal_requests_total", &[("principal", "team")]), Some(2.0));
    assert_eq!(of(&series, "log_rows_dropped_total", &[]), Some(7.0));
    assert_eq!(of(&series, "key_attempts_total", &[("key", "id-1")]), Some(1.0));
    let spent = of(&series, "principal_tokens_total", &[("principal", "team"), ("type", "input")]);
    assert_eq!(spent, Some(12.0));
}

/// The books stand in a host's own registry, under its own prefix and labels.
#[test]
fn a_registry_of_the_host() {
    let (layer, _, _open) = day();
    let mut registry =
        Registry::with_prefix_and_labels("host", [("zone".into(), "a".into())].into_iter());
    registry.register_collector(Box::new(layer.stats()));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    // Our prefix is what the reader knows.
    let series = read(&text.replace("host_llm_gateway", "llm_gateway"));
    assert_eq!(of(&series, "requests_total", &[("zone", "a")]), Some(6.0));
}

#[test]
fn names_from_outside_are_escaped() {
    let names = ["a\"b", "a\\b", "a\\nb", "é{}=,", "a\\", " "];
    let controls = ["a\0b", "a\nb", "a\r\u{1b}"];
    let layer = StatsLayer::new();
    for name in names.into_iter().chain(controls) {
        serve(&layer, "/v1/messages", |facts| {
            facts.upstream_model = Some(name.into());
            answer(200, ["x"])
        });
    }
    let series = read(&layer.stats().openmetrics());
    let requests = |name| of(&series, "model_requests_total", &[("model", name)]);
    for name in names {
        assert_eq!(requests(name), Some(1.0), "{name:?}");
    }
    assert_eq!(requests("a\u{fffd}b"), Some(2.0), "NUL and the end of a line");
    assert_eq!(requests("a\u{fffd}\u{fffd}"), Some(1.0));
}

#[test]
fn what_is_beyond_the_limits_is_one_series() {
    let layer = StatsLayer::new();
    for number in 0..MAX_MODELS + 10 {
        serve(&layer, "/v1/messages", |facts| {
            facts.upstream_model = Some(format!("m{number}").into());
            answer(200, ["x"])
        });
    }
    let series = read(&layer.stats().openmetrics());
    let models = series.keys().filter(|(name, _)| name == "llm_gateway_model_requests_total");
    assert_eq!(models.count(), MAX_MODELS + 1);
    assert_eq!(of(&series, "model_requests_total", &[("model", OTHER)]), Some(10.0));
}

#[test]
fn times_are_in_their_buckets() {
    let (layer, hand) = Hand::layer();
    for millis in [1, 5, 600, 3_000, 700_000, 7_200_000] {
        let clock = hand.clone();
        serve(&layer, "/v1/messages", |_| {
            clock.forward(millis);
            answer(200, ["x"])
        });
    }
    let series = read(&layer.stats().openmetrics());
    let bucket = |le: &str| of(&series, "request_duration_seconds_bucket", &[("le", le)]).unwrap();
    let expected = [("0.005", 2.0), ("0.5", 2.0), ("1.0", 3.0), ("5.0", 4.0), ("600.0", 4.0)];
    for (le, count) in expected {
        assert_eq!(bucket(le), count, "{le}");
    }
    assert_eq!(bucket("+Inf"), 6.0);
    assert_eq!(of(&series, "request_duration_seconds_sum", &[]), Some(7903.606));
    let buckets =
        series.keys().filter(|(name, _)| name.ends_with("request_duration_seconds_bucket"));
    assert_eq!(buckets.count(), TIME_BUCKETS.len() + 1);
}

/// A request that a test makes up: its model, status, fault, tokens, time, and whether it is read.
type Made = (u8, u16, Option<u8>, Option<(u64, u64)>, u64, bool);

fn made() -> impl Strategy<Value = Made> {
    let status = prop_oneof![Just(200), Just(204), Just(404), Just(429), Just(503)];
    let tokens = prop_oneof![Just(0), 0..100_000u64, Just(u64::MAX)];
    let usage = proptest::option::of((tokens.clone(), tokens));
    (0..4u8, status, proptest::option::of(0..15u8), usage, 0..10_000_000u64, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens: the page can be read, no series vanishes, and but for gauges none falls.
    #[test]
    fn counters_never_go_back(requests in proptest::collection::vec(made(), 1..12)) {
        let (layer, hand) = Hand::layer();
        let stats = StatsCollector::new(layer.stats()).principals(true);
        let mut before = Series::new();
        for (model, status, fault, usage, millis, whole) in requests {
            let clock = hand.clone();
            let mut response = super::groups::open(&layer, "/v1/messages", |facts| {
                clock.forward(millis);
                facts.upstream_model = Some(format!("m{model}").into());
                facts.upstream_protocol = Some(Protocol::Gemini);
                facts.principal = Some(Principal::new(format!("p{model}")));
                let kind = fault.and_then(|place| FaultKind::ALL.get(usize::from(place)).copied());
                facts.attempts = vec![attempt("c", "1", status, kind)];
                facts.fault = facts.attempts[0].fault;
                facts.usage = usage.map(|(input, output)| Usage { input, output, ..Usage::default() });
                answer(status, ["x", "y"])
            });
            if whole {
                steps(response.body_mut());
            }
            drop(response);
            let after = read(&stats.openmetrics());
            for (series, value) in &before {
                let now = after.get(series).copied();
                let gauge = series.0.contains("_in_flight") || series.0.contains("_stale");
                prop_assert!(now.is_some_and(|now| gauge || now >= *value), "{series:?} {now:?}");
            }
            before = after;
        }
    }
}
