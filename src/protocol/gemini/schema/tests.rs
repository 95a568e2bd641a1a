use std::fmt::Write as _;

use bytes::BytesMut;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;
use serde_json::{Map, Value, json};

use super::adapter::{MAX_SCHEMA_DEPTH, MAX_SCHEMA_WORK};
use super::walk::MAX_SCHEMA_CHAIN;
use super::{Adapter, is_empty_object, standard};
use crate::protocol::json::Raw;
use crate::protocol::report::{Reporter, Severity};

/// The adapted schema, and the severities of what was lost.
fn adapt(schema: &str) -> (Value, Vec<Severity>) {
    let mut report = Reporter::new(schema);
    let mut out = BytesMut::new();
    Adapter::new().write(&Raw::parse(schema).unwrap(), &mut report, &mut out);
    let value = serde_json::from_slice(&out)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)));
    (value, report.finish().losses().iter().map(|loss| loss.severity).collect())
}

#[test]
fn adapted() {
    use Severity::{Degrade, Ignore};
    let rows: &[(Value, Value, &[Severity])] = &[
        (
            json!({"type": "string", "title": "T", "description": "d"}),
            json!({"type": "STRING", "title": "T", "description": "d"}),
            &[],
        ),
        (
            json!({"type": ["string", "null"], "description": "d"}),
            json!({"type": "STRING", "description": "d", "nullable": true}),
            &[],
        ),
        (
            json!({"type": ["string", "integer"], "description": "d", "minLength": 1}),
            json!({"anyOf": [{"type": "STRING", "description": "d", "minLength": 1},
                          {"type": "INTEGER", "description": "d"}]}),
            &[],
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "null"}], "description": "d"}),
            json!({"type": "STRING", "description": "d", "nullable": true}),
            &[],
        ),
        (
            json!({"oneOf": [{"type": "string"}, {"type": "integer", "description": "n"}],
                "description": "d"}),
            json!({"anyOf": [{"type": "STRING", "description": "d"},
                          {"type": "INTEGER", "description": "n"}]}),
            &[],
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}, {"const": null}]}),
            json!({"anyOf": [{"type": "STRING", "nullable": true},
                          {"type": "INTEGER", "nullable": true}]}),
            &[],
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}], "oneOf": [{}, {"type": "null"}]}),
            json!({"anyOf": [{"type": "STRING", "nullable": true},
                          {"type": "INTEGER", "nullable": true}]}),
            &[Degrade],
        ),
        (
            json!({"allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "integer"}, "a": {"minLength": 2}}, "required": ["b"]}]}),
            json!({"type": "OBJECT", "required": ["a", "b"], "properties": {
            "a": {"type": "STRING", "minLength": 2}, "b": {"type": "INTEGER"}}}),
            &[],
        ),
        (
            json!({"allOf": [{"type": "number"}, {"type": "integer"}]}),
            json!({"type": "INTEGER"}),
            &[],
        ),
        (json!({"const": "x"}), json!({"type": "STRING", "enum": ["x"]}), &[]),
        (
            json!({"type": "string", "enum": ["a", "", "a", null]}),
            json!({"type": "STRING", "enum": ["a"], "nullable": true}),
            &[Degrade],
        ),
        (json!({"enum": [1, 2.5]}), json!({"type": "STRING", "enum": ["1", "2.5"]}), &[Degrade]),
        (json!({"type": "boolean", "const": true}), json!({"type": "BOOLEAN"}), &[Degrade]),
        (
            json!({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10}),
            json!({"type": "INTEGER", "minimum": 1, "maximum": 9}),
            &[],
        ),
        (
            json!({"type": "integer", "minimum": 0, "exclusiveMinimum": true}),
            json!({"type": "INTEGER", "minimum": 1}),
            &[],
        ),
        (
            json!({"type": "integer", "minimum": 5, "exclusiveMinimum": 2}),
            json!({"type": "INTEGER", "minimum": 5}),
            &[],
        ),
        (
            json!({"type": "number", "exclusiveMinimum": 0.5, "maximum": 2}),
            json!({"type": "NUMBER", "minimum": 0.5, "maximum": 2}),
            &[Degrade],
        ),
        (json!({"type": "string", "format": "uri"}), json!({"type": "STRING"}), &[Ignore]),
        (
            json!({"type": "string", "format": "date-time", "pattern": "^2"}),
            json!({"type": "STRING", "format": "date-time", "pattern": "^2"}),
            &[],
        ),
        (
            json!({"type": "integer", "format": "int64"}),
            json!({"type": "INTEGER", "format": "int64"}),
            &[],
        ),
        (json!({"type": "array"}), json!({"type": "ARRAY", "items": {"type": "STRING"}}), &[]),
        (
            json!({"type": "array", "items": {}, "minItems": 1}),
            json!({"type": "ARRAY", "items": {"type": "STRING"}, "minItems": 1}),
            &[],
        ),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}),
            json!({"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}}),
            &[Degrade],
        ),
        (
            json!({"type": "object", "properties": {"any": true}, "required": ["any", "gone", "any"]}),
            json!({"type": "OBJECT", "properties": {"any": {}}, "required": ["any"]}),
            &[],
        ),
        (
            json!({"type": "object", "patternProperties": {"^a": {}}, "not": {}}),
            json!({"type": "OBJECT"}),
            &[Degrade],
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"type": "OBJECT"}),
            &[Degrade],
        ),
        (
            json!({"type": "object", "additionalProperties": false, "default": {}, "examples": [1],
                "$schema": "s", "$id": "i", "$comment": "c", "x-own": 1}),
            json!({"type": "OBJECT"}),
            &[Ignore],
        ),
        (
            json!({"type": "STRING", "nullable": true}),
            json!({"type": "STRING", "nullable": true}),
            &[],
        ),
        (json!({"description": 5, "type": "object"}), json!({"type": "OBJECT"}), &[Ignore]),
        (json!({"type": "thing"}), json!({}), &[Degrade]),
        (json!(true), json!({}), &[]),
    ];
    for (schema, adapted, losses) in rows {
        let (value, lost) = adapt(&schema.to_string());
        assert_eq!(&value, adapted, "{schema}");
        assert_eq!(&lost, losses, "{schema}");
    }
}

#[test]
fn properties_may_be_called_like_keywords() {
    let names = [
        "title",
        "default",
        "examples",
        "example",
        "$ref",
        "const",
        "enum",
        "type",
        "format",
        "anyOf",
        "allOf",
        "not",
        "if",
        "properties",
        "required",
        "items",
        "nullable",
        "$defs",
        "$schema",
        "additionalProperties",
        "pattern",
        "description",
        "exclusiveMinimum",
        "a\"b",
    ];
    let properties: Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    let schema = json!({"type": "object", "properties": properties, "required": names});
    let wanted: Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), json!({"type": "STRING"}))).collect();
    let (value, losses) = adapt(&schema.to_string());
    let back = standard(&Raw::parse(&value.to_string()).unwrap()).unwrap();
    assert_eq!(value, json!({"type": "OBJECT", "properties": wanted, "required": names}));
    assert!(losses.is_empty());
    assert_eq!(serde_json::from_str::<Value>(back.as_str()).unwrap(), schema);
}

#[test]
fn references_are_put_in_place() {
    let (value, losses) = adapt(
        &json!({
            "type": "object",
            "properties": {
                "n": {"$ref": "#/$defs/Node", "description": "own"},
                "m": {"$ref": "#/properties/n/description/none"},
                "o": {"$ref": "#/definitions/a~1b"},
                "p": {"$ref": "other.json#/x"},
                "self": {"$ref": "#"}
            },
            "$defs": {"Node": {
                "type": "object", "description": "theirs",
                "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/Node"}}}},
            "definitions": {"a/b": {"type": "string"}}
        })
        .to_string(),
    );
    assert_eq!(
        value,
        json!({"type": "OBJECT", "properties": {
            "n": {"type": "OBJECT", "description": "own", "properties": {
                "v": {"type": "INTEGER"}, "next": {"type": "OBJECT"}}},
            "m": {"type": "OBJECT"},
            "o": {"type": "STRING"},
            "p": {"type": "OBJECT"},
            "self": {"type": "OBJECT"}
        }})
    );
    assert_eq!(losses, [Severity::Degrade]);
}

/// Definitions of which each names the next one as often as `times` says.
fn chain(length: usize, times: usize, link: fn(&str) -> Value) -> String {
    let mut definitions = Map::new();
    for at in 0..length {
        let next = link(&format!("#/$defs/d{}", at + 1));
        let properties: Map<_, _> = (0..times).map(|n| (n.to_string(), next.clone())).collect();
        let schema = if times == 0 { next } else { json!({"properties": properties}) };
        definitions.insert(format!("d{at}"), schema);
    }
    definitions.insert(format!("d{length}"), json!({"type": "string", "description": "d"}));
    json!({"$ref": "#/$defs/d0", "$defs": definitions}).to_string()
}

#[test]
fn hostile_schemas_stay_small() {
    let reference = |to: &str| json!({"$ref": to});
    // Twice as many in each of 40 steps.
    let schema = chain(40, 2, reference);
    let mut report = Reporter::new(&schema);
    let mut out = BytesMut::new();
    let mut adapter = Adapter::new();
    // The limit is for all schemas of a request.
    for _ in 0..50 {
        adapter.write(&Raw::parse(&schema).unwrap(), &mut report, &mut out);
        out.extend_from_slice(b"\n");
    }
    assert!(out.len() < 4 * MAX_SCHEMA_WORK, "{}", out.len());
    let first = out[..].split(|byte| *byte == b'\n').next().unwrap();
    assert!(serde_json::from_slice::<Value>(first).unwrap()["properties"].is_object());
    assert_eq!(report.finish().losses()[0].severity, Severity::Degrade);

    // One schema that says nothing but what the next one says.
    let (value, losses) = adapt(&chain(MAX_SCHEMA_CHAIN - 2, 0, reference));
    assert_eq!((value, losses.len()), (json!({"type": "STRING", "description": "d"}), 0));
    for length in [MAX_SCHEMA_CHAIN, 10_000] {
        let (value, losses) = adapt(&chain(length, 0, reference));
        assert_eq!((value, losses), (json!({"type": "OBJECT"}), vec![Severity::Degrade]));
    }
    let (_, losses) = adapt(&chain(10_000, 0, |to| json!({"allOf": [{"allOf": [{"$ref": to}]}]})));
    assert_eq!(losses, [Severity::Degrade]);

    // Deeper than is written.
    for (depth, lost) in [(MAX_SCHEMA_DEPTH - 1, 0), (MAX_SCHEMA_DEPTH, 1), (2000, 1)] {
        let (_, losses) = adapt(&chain(depth, 1, reference));
        assert_eq!(losses.len(), lost, "{depth}");
    }

    // Many branches, each of which says all that is said beside them.
    let mut schema = String::from(r#"{"properties":{"p":{}"#);
    (0..5_000).for_each(|n| write!(schema, r#","{n}":{{}}"#).unwrap());
    schema.push_str(r#"},"anyOf":[{}"#);
    (0..5_000).for_each(|_| schema.push_str(",{}"));
    schema.push_str("]}");
    let mut out = BytesMut::new();
    Adapter::new().write(&Raw::parse(&schema).unwrap(), &mut Reporter::new(&schema), &mut out);
    assert!(out.len() < 4 * MAX_SCHEMA_WORK, "{}", out.len());
}

#[test]
fn empty_objects() {
    for (schema, empty) in [
        (r#"{"type":"object"}"#, true),
        (r#"{"type":"object","properties":{},"required":[],"additionalProperties":false}"#, true),
        (r#"{"type":"object","properties":{"a":{}}}"#, false),
        (r##"{"$ref":"#/$defs/a"}"##, false),
        ("true", false),
    ] {
        assert_eq!(is_empty_object(&Raw::parse(schema).unwrap()), empty, "{schema}");
    }
}

#[test]
fn standardised() {
    let rows = [
        (
            json!({"type": "OBJECT", "properties": {
            "a": {"type": "STRING", "nullable": true, "enum": ["x"], "format": "enum"},
            "b": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int64"}, "minItems": "2"},
            "nullable": {"type": "BOOLEAN"}}, "propertyOrdering": ["b", "a"], "required": ["a"]}),
            Some(json!({"type": "object", "properties": {
            "a": {"type": ["string", "null"], "enum": ["x", null]},
            "b": {"type": "array", "items": {"type": "integer", "format": "int64"}, "minItems": 2},
            "nullable": {"type": "boolean"}}, "required": ["a"]})),
        ),
        (
            json!({"any_of": [{"type": "STRING"}], "nullable": true}),
            Some(json!({"anyOf": [{"type": "string"}, {"type": "null"}]})),
        ),
        (
            json!({"anyOf": [{"type": "STRING"}], "nullable": true}),
            Some(json!({"anyOf": [{"type": "string"}, {"type": "null"}]})),
        ),
        (json!({"type": "String", "nullable": false}), Some(json!({"type": "string"}))),
        (json!({"type": ["string", "null"], "title": "T", "default": 1}), None),
        (json!({"type": "object", "properties": {"type": {"type": "string"}}}), None),
        (
            json!({"type": "object", "defs": {"A": {"type": "STRING"}}}),
            Some(json!({"type": "object", "$defs": {"A": {"type": "string"}}})),
        ),
        (json!(true), None),
    ];
    for (schema, wanted) in rows {
        let text = schema.to_string();
        let made = standard(&Raw::parse(&text).unwrap());
        let made = made.map(|raw| serde_json::from_str::<Value>(raw.as_str()).unwrap());
        assert_eq!(made, wanted, "{schema}");
    }
}

/// All that Gemini's subset knows.
const ALLOWED: [&str; 19] = [
    "type",
    "title",
    "description",
    "format",
    "nullable",
    "enum",
    "properties",
    "required",
    "items",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "anyOf",
];

fn assert_allowed(schema: &Value) {
    let object = schema.as_object().unwrap();
    for (name, value) in object {
        assert!(ALLOWED.contains(&name.as_str()) || name == "propertyOrdering", "{name}: {schema}");
        match name.as_str() {
            "properties" => value.as_object().unwrap().values().for_each(assert_allowed),
            "items" => {
                assert_allowed(value);
                assert_ne!(value, &json!({}));
            }
            "anyOf" => {
                assert_eq!(object.len(), 1, "{schema}");
                value.as_array().unwrap().iter().for_each(assert_allowed);
            }
            "type" => {
                let types = ["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];
                assert!(types.contains(&value.as_str().unwrap()));
            }
            "enum" => {
                assert_eq!(object["type"], "STRING");
                assert!(
                    value
                        .as_array()
                        .unwrap()
                        .iter()
                        .all(|v| v.as_str().is_some_and(|v| !v.is_empty()))
                );
            }
            "required" => {
                let properties = &object["properties"];
                assert!(
                    value
                        .as_array()
                        .unwrap()
                        .iter()
                        .all(|v| properties.get(v.as_str().unwrap()).is_some())
                );
            }
            _ => {}
        }
    }
    if object.get("type") == Some(&json!("ARRAY")) {
        assert!(object.contains_key("items"), "{schema}");
    }
}

/// Any schema, right or wrong, with names that are keywords too.
fn schemas() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just(json!("string")),
        Just(json!("object")),
        Just(json!("array")),
        Just(json!("integer")),
        Just(json!(["string", "null"])),
        Just(json!(["object", "array", "number"])),
        Just(json!("a")),
        Just(json!("#/$defs/a")),
        Just(json!("#")),
        Just(json!(null)),
        Just(json!([])),
        any::<bool>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        Just(json!(["a", 1, null, ""])),
        Just(json!({})),
    ];
    let name = || {
        prop_oneof![
            Just("type"),
            Just("$ref"),
            Just("properties"),
            Just("items"),
            Just("anyOf"),
            Just("oneOf"),
            Just("allOf"),
            Just("enum"),
            Just("const"),
            Just("required"),
            Just("title"),
            Just("default"),
            Just("format"),
            Just("minimum"),
            Just("exclusiveMaximum"),
            Just("minItems"),
            Just("$defs"),
            Just("not"),
            Just("prefixItems"),
            Just("nullable"),
            Just("additionalProperties"),
            Just("a"),
        ]
    };
    word.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            4 => proptest::collection::vec((name(), inner.clone()), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, v)| (name.to_owned(), v)).collect())
            }),
            1 => proptest::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

proptest! {
    #![proptest_config(Config { cases: 64, ..Config::default() })]

    #[test]
    fn whatever_comes_only_known_keywords_are_written(schema in schemas()) {
        let (value, _) = adapt(&schema.to_string());
        assert_allowed(&value);
    }

    #[test]
    fn what_was_adapted_can_be_standardised(schema in schemas()) {
        let (value, _) = adapt(&schema.to_string());
        let text = value.to_string();
        if let Some(standard) = standard(&Raw::parse(&text).unwrap()) {
            let again = super::standard(&standard);
            assert!(again.is_none(), "{standard:?} {again:?}");
        }
    }
}
