use proptest::prelude::*;

use super::*;
use crate::protocol::model::Usage;

const TABLE: &str = r#"{
    "_note": "a comment",
    "m": {
        "input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75, "cache_write_1h": 6,
        "above": {"input_tokens": 200000, "input": 6, "output": 22.5}
    },
    "plain": {"_": 1, "input": 1, "output": 2, "cache_read": null},
    "thinker": {"input": 1, "output": 2, "reasoning": 4},
    "free": {"input": 0, "output": 0},
    "unknown": {},
    "m-2025-01-02": {"input": 7, "output": 7},
    "family-*": {"input": 1, "output": 1},
    "family-big-*": {"input": 2, "output": 2},
    "häuser*": {"input": 3, "output": 3}
}"#;

fn table() -> PriceTable {
    PriceTable::empty().with_json(TABLE).unwrap()
}

fn usage(input: u64, output: u64) -> Usage<'static> {
    Usage { input, output, ..Usage::default() }
}

fn nanos(model: &str, usage: &Usage<'_>) -> Option<u64> {
    table().cost(model, usage).map(Cost::nanos)
}

#[test]
fn each_kind_of_token_has_its_price() {
    let million = 1_000_000;
    let cost = |usage: Usage<'_>| table().cost("m", &usage).unwrap().to_string();
    let none = Usage::default();
    assert_eq!(cost(Usage { input: 100_000, ..none }), "$0.300000");
    let none = Usage::default();
    assert_eq!(cost(Usage { output: million, ..none }), "$15.000000");
    let none = Usage::default();
    assert_eq!(cost(Usage { cache_read: 100_000, ..none }), "$0.030000");
    let none = Usage::default();
    assert_eq!(cost(Usage { cache_write: 100_000, ..none }), "$0.375000");
    let hour = Usage { cache_write: 100_000, cache_write_1h: 40_000, ..Usage::default() };
    assert_eq!(cost(hour), "$0.465000");
    let absurd = Usage { cache_write: 100_000, cache_write_1h: u64::MAX, ..Usage::default() };
    assert_eq!(cost(absurd), "$0.600000");
    assert_eq!(cost(Usage { reasoning: million, ..Usage::default() }), "$15.000000");
    assert_eq!(nanos("thinker", &Usage { reasoning: 1, ..Usage::default() }), Some(4_000));
    assert_eq!(nanos("free", &usage(5, 5)), Some(0));
    assert_eq!(nanos("m", &Usage::default()), Some(0));
}

#[test]
fn a_long_request_costs_more_as_a_whole() {
    assert_eq!(nanos("m", &usage(200_000, 10)), Some(600_000_000 + 150_000));
    assert_eq!(nanos("m", &usage(200_001, 10)), Some(1_200_006_000 + 225_000));
    // Caches count for the length, and cost as below where the tier does not say.
    let cached = Usage { input: 1, cache_read: 200_000, ..Usage::default() };
    assert_eq!(nanos("m", &cached), Some(6_000 + 60_000_000));
}

#[test]
fn what_has_no_price_is_unknown() {
    for (model, usage) in [
        ("nobody", usage(1, 1)),
        ("", usage(1, 1)),
        ("unknown", usage(1, 0)),
        ("plain", Usage { cache_read: 1, ..usage(1, 1) }),
        ("plain", Usage { cache_write: 1, ..usage(1, 1) }),
        ("plain", Usage { cache_write: 1, cache_write_1h: 1, ..usage(1, 1) }),
    ] {
        assert_eq!(nanos(model, &usage), None, "{model}");
    }
    assert_eq!(PriceTable::empty().cost("m", &usage(1, 1)), None);
    assert!(PriceTable::empty().is_empty());
}

#[test]
fn names_are_found_by_their_rules() {
    // What an input token costs, in thousandths of a millionth of a USD.
    for (name, found) in [
        ("m", Some(3000)),
        ("anthropic/m", Some(3000)),
        ("models/m", Some(3000)),
        ("publishers/anthropic/models/m", Some(3000)),
        ("m-latest", Some(3000)),
        ("m-20250929", Some(3000)),
        ("m@20250929", Some(3000)),
        ("m-2025-09-29", Some(3000)),
        ("vendor/m-2025-09-29", Some(3000)),
        ("m-2025-01-02", Some(7000)),
        ("m-19990929", None),
        ("m-2025-9-29", None),
        ("m-mini", None),
        ("M", None),
        ("m/", None),
        ("-latest", None),
        ("family-x", Some(1000)),
        ("family-big-x", Some(2000)),
        ("vendor/family-big-x", Some(2000)),
        ("family-bi", Some(1000)),
        ("family", None),
        ("häuser", Some(3000)),
        ("häuserzeile", Some(3000)),
        ("hätte", None),
        ("é", None),
    ] {
        assert_eq!(nanos(name, &usage(1, 0)), found, "{name}");
    }
}

#[test]
fn a_later_table_replaces_entries() {
    let table = table().with_json(r#"{"m": {"output": 1}, "new": {"input": 5}}"#).unwrap();
    assert_eq!(table.cost("m", &usage(1, 0)), None);
    assert_eq!(table.cost("new", &usage(1, 0)), Some(Cost::from_nanos(5000)));
    assert_eq!(table.cost("plain", &usage(1, 0)), Some(Cost::from_nanos(1000)));
    let rates = Rates { input: Rate::from_usd(9.0), ..Rates::default() };
    let table = table.with("m", rates).unwrap();
    assert_eq!(table.cost("m", &usage(1, 0)), Some(Cost::from_nanos(9000)));
}

#[test]
fn errors_name_the_model_and_the_member() {
    for (json, message) in [
        ("[]", "the prices are no JSON object: line 1, column 0"),
        ("{\"m\":", "the prices are no JSON object: line 1, column 5"),
        (r#"{"m": 3}"#, r#"the price of "m" is no object"#),
        (
            r#"{"m": {"input": "3"}}"#,
            r#"the price of "m": input is no number of USD between 0 and a million"#,
        ),
        (
            r#"{"m": {"output": -1}}"#,
            r#"the price of "m": output is no number of USD between 0 and a million"#,
        ),
        (
            r#"{"m": {"output": 1000001}}"#,
            r#"the price of "m": output is no number of USD between 0 and a million"#,
        ),
        (r#"{"m": {"inptu": 3}}"#, r#"the price of "m": inptu is no known member"#),
        (r#"{"m": {"above": 3}}"#, r#"the price of "m": above is no object"#),
        (
            r#"{"m": {"above": {"input": 3}}}"#,
            r#"the price of "m": above.input_tokens is no whole number of tokens"#,
        ),
        (
            r#"{"m": {"above": {"input_tokens": 1, "x": 3}}}"#,
            r#"the price of "m": above.x is no known member"#,
        ),
        (
            r#"{"a*b": {}}"#,
            r#"the model "a*b" is no name of at most 256 bytes with a * at most at its end"#,
        ),
    ] {
        let error = PriceTable::empty().with_json(json).unwrap_err();
        assert_eq!(error.to_string(), message, "{json}");
    }
}

#[test]
fn a_table_is_bounded() {
    let many = |count: usize| {
        let models = (0..count).map(|n| format!("\"m{n}\": {{}}")).collect::<Vec<_>>();
        PriceTable::empty().with_json(&format!("{{{}}}", models.join(",")))
    };
    assert_eq!(many(MAX_PRICES).unwrap().len(), MAX_PRICES);
    assert_eq!(many(MAX_PRICES + 1).unwrap_err(), PriceError::TooMany);
    let name = "x".repeat(MAX_NAME);
    assert!(PriceTable::empty().with(&name, Rates::default()).is_ok());
    let error = PriceTable::empty().with(&format!("{name}x"), Rates::default()).unwrap_err();
    assert_eq!(error, PriceError::Name { model: "x".repeat(64) });
}

#[test]
fn the_embedded_table_is_read_whole() {
    let json = include_str!("default.json");
    let read = PriceTable::empty().with_json(json).unwrap();
    assert_eq!(PriceTable::default().len(), read.len());
    assert!(read.len() > 30);
    let cost = |model, usage| PriceTable::default().cost(model, &usage).map(|c| c.to_string());
    let million = 1_000_000;
    let sonnet = Some("$18.000000".to_owned());
    assert_eq!(cost("claude-sonnet-4-5-20250929", usage(million, million)), sonnet);
    assert_eq!(cost("anthropic/claude-sonnet-4@20250514", usage(million, million)), sonnet);
    assert_eq!(cost("claude-haiku-5-5", usage(100_000, 0)).unwrap(), "$0.010000");
    assert_eq!(cost("claude-haiku-5-5", usage(100_001, 0)).unwrap(), "$0.050001");
    assert_eq!(cost("models/gemini-2.5-pro", usage(200_001, 0)).unwrap(), "$0.500003");
    assert_eq!(cost("gpt-4o-2024-05-13", usage(million, 0)).unwrap(), "$5.000000");
    assert_eq!(cost("gpt-4o-2024-08-06", usage(million, 0)).unwrap(), "$2.500000");
    assert_eq!(cost("gpt-4o-audio-preview", usage(million, 0)), None);
    // Every model of it has at least a price for plain text.
    let models: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
    for model in models.keys().filter(|name| !name.starts_with('_')) {
        assert!(cost(model, usage(1, 1)).is_some(), "{model}");
    }
}

#[test]
fn amounts_are_shown_to_the_millionth() {
    for (nanos, text) in [
        (0, "$0.000000"),
        (499, "$0.000000"),
        (500, "$0.000001"),
        (1_234_000, "$0.001234"),
        (12_345_678_900, "$12.345679"),
        (u64::MAX, "$18446744073.709551"),
    ] {
        assert_eq!(Cost::from_nanos(nanos).to_string(), text);
    }
    let most = Cost::from_nanos(u64::MAX);
    assert_eq!([most, most].into_iter().sum::<Cost>(), most);
    assert_eq!(Cost::from_nanos(1_500_000_000).usd(), 1.5);
}

#[test]
fn rates_are_between_nothing_and_a_million() {
    assert_eq!(Rate::from_usd(1e6), Some(Rate::MAX));
    assert_eq!(Rate::from_usd(0.0375).unwrap().nanos(), 37_500_000);
    for usd in [-0.1, 1e6 + 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(Rate::from_usd(usd), None, "{usd}");
    }
}

/// Tokens from none to absurd.
fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![0..1_000_000u64, any::<u64>()]
}

fn any_usage() -> impl Strategy<Value = Usage<'static>> {
    (tokens(), tokens(), tokens(), tokens(), tokens(), tokens()).prop_map(
        |(input, cache_read, cache_write, cache_write_1h, output, reasoning)| Usage {
            input,
            cache_read,
            cache_write,
            cache_write_1h: cache_write_1h.min(cache_write),
            output,
            reasoning,
            raw: None,
        },
    )
}

fn any_price() -> impl Strategy<Value = Price> {
    let rate = || (0..=Rate::MAX.nanos()).prop_map(|nanos| Rate::from_usd(nanos as f64 / 1e9));
    (rate(), rate(), rate(), rate(), tokens()).prop_map(|(a, b, c, d, input_tokens)| {
        let rates = Rates {
            input: a,
            output: b,
            cache_read: c,
            cache_write: d.min(Rate::from_usd(1e5)),
            cache_write_1h: d.max(Rate::from_usd(1e5)),
            reasoning: None,
        };
        let most = Some(Rate::MAX);
        let dear = Rates { input: most, output: most, cache_read: most, ..Rates::default() };
        Price { rates, above: Some(Above::new(input_tokens, dear)) }
    })
}

proptest! {
    #[test]
    fn more_tokens_never_cost_less(
        price in any_price(), usage in any_usage(), more in tokens(), kind in 0usize..6,
    ) {
        let mut larger = usage.counts();
        let counts = [
            &mut larger.input, &mut larger.cache_read, &mut larger.cache_write,
            &mut larger.cache_write_1h, &mut larger.output, &mut larger.reasoning,
        ];
        for (n, count) in counts.into_iter().enumerate() {
            if n == kind {
                *count = count.saturating_add(more);
            }
        }
        prop_assert!(price.cost(&usage) <= price.cost(&larger));
        prop_assert!(price.cost(&usage).is_some());
    }

    #[test]
    fn names_never_panic(name in "\\PC{0,40}") {
        let _ = table().price(&name);
    }

    #[test]
    fn the_longest_family_wins(
        families in proptest::collection::vec("[ab]{0,5}", 1..8), name in "[abc]{0,7}",
    ) {
        let mut table = PriceTable::empty();
        for family in &families {
            let input = Rate::from_usd(family.len() as f64);
            table = table.with(&format!("{family}*"), Rates { input, ..Rates::default() }).unwrap();
        }
        let longest = families.iter().filter(|f| name.starts_with(f.as_str())).map(String::len);
        let found = table.cost(&name, &usage(1, 0)).map(Cost::nanos);
        prop_assert_eq!(found, longest.max().map(|length| 1000 * length as u64));
    }
}
