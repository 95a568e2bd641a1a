//! From the subset of OpenAPI to JSON Schema.

use bytes::BytesMut;

use crate::protocol::gemini::names::camel;
use crate::protocol::json::{ArrayWriter, JsonStr, Kind, ObjectWriter, Raw};

/// The words of Gemini's `type`, and those of JSON Schema.
const TYPES: [(&str, &str); 7] = [
    ("STRING", "string"),
    ("NUMBER", "number"),
    ("INTEGER", "integer"),
    ("BOOLEAN", "boolean"),
    ("ARRAY", "array"),
    ("OBJECT", "object"),
    ("NULL", "null"),
];

/// The same schema as JSON Schema; `None` where it is that already.
pub(in crate::protocol::gemini) fn standard(schema: &Raw<'_>) -> Option<Raw<'static>> {
    let mut writer = Standard { changed: false };
    let mut out = BytesMut::with_capacity(schema.as_str().len());
    writer.schema(schema, &mut out);
    if !writer.changed {
        return None;
    }
    Raw::parse_owned(String::from_utf8(out.into()).ok()?).ok()
}

struct Standard {
    changed: bool,
}

/// What a keyword of a schema holds.
enum Holds {
    Schema,
    Schemas,
    Named,
    Count,
    Type,
    /// Nothing that JSON Schema knows.
    Nothing,
    Anything,
}

/// The keyword of JSON Schema, and what it holds.
fn keyword(name: &str) -> (&str, Holds) {
    match name {
        "type" => (name, Holds::Type),
        "items"
        | "additionalProperties"
        | "not"
        | "contains"
        | "propertyNames"
        | "if"
        | "then"
        | "else" => (name, Holds::Schema),
        "anyOf" | "oneOf" | "allOf" | "prefixItems" => (name, Holds::Schemas),
        "properties" | "patternProperties" | "$defs" | "definitions" => (name, Holds::Named),
        "defs" => ("$defs", Holds::Named),
        "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength" | "maxLength"
        | "minimum" | "maximum" => (name, Holds::Count),
        "propertyOrdering" | "example" | "nullable" => (name, Holds::Nothing),
        _ => (name, Holds::Anything),
    }
}

impl Standard {
    fn schema(&mut self, schema: &Raw<'_>, out: &mut BytesMut) {
        if schema.kind() != Kind::Object {
            return out.extend_from_slice(schema.as_str().as_bytes());
        }
        let mut members = Vec::new();
        // A raw value is valid.
        let _ = schema.cursor().object(|key, c| {
            members.push((key, c.raw()?));
            Ok(())
        });
        let has = |name: &str| members.iter().any(|(key, _)| camel(key) == name);
        let nullable =
            members.iter().any(|(key, value)| *key == "nullable" && value.as_str() == "true");
        let (typed, choice) = (has("type"), has("anyOf"));
        let mut object = ObjectWriter::begin(out);
        for (key, value) in &members {
            let name = camel(key);
            let (known, holds) = keyword(&name);
            let own = if matches!(holds, Holds::Anything) { key.escaped() } else { known };
            self.changed |= own != key.escaped();
            match holds {
                Holds::Type => self.types(value, nullable, object.key(own)),
                Holds::Schema if value.kind() == Kind::Array => {
                    self.list(value, false, object.key(own));
                }
                Holds::Schema => self.schema(value, object.key(own)),
                Holds::Schemas => {
                    let null = nullable && !typed && own == "anyOf";
                    self.list(value, null, object.key(own));
                }
                Holds::Named => self.named(value, object.key(own)),
                Holds::Count => self.count(value, object.key(own)),
                Holds::Nothing => self.changed = true,
                // Gemini's mark of a string with an `enum`.
                Holds::Anything if *key == "format" && value.as_str() == "\"enum\"" => {
                    self.changed = true;
                }
                Holds::Anything if *key == "enum" && nullable && (typed || !choice) => {
                    self.values(value, object.key(own));
                }
                Holds::Anything => object.raw(own, value),
            }
        }
        object.end();
    }

    fn types(&mut self, value: &Raw<'_>, nullable: bool, out: &mut BytesMut) {
        let word = value.as_json_str();
        let word = word.as_ref().map(JsonStr::decode);
        let known = word.as_ref().and_then(|word| {
            TYPES.iter().find(|(gemini, _)| gemini.eq_ignore_ascii_case(word)).map(|(_, name)| name)
        });
        let Some(name) = known else {
            return out.extend_from_slice(value.as_str().as_bytes());
        };
        self.changed |= nullable || word.as_deref() != Some(name);
        let (open, close) = if nullable { ("[\"", "\",\"null\"]") } else { ("\"", "\"") };
        for piece in [open, name, close] {
            out.extend_from_slice(piece.as_bytes());
        }
    }

    fn list(&mut self, value: &Raw<'_>, null: bool, out: &mut BytesMut) {
        let mut array = ArrayWriter::begin(out);
        let _ = value.cursor().array(|_, c| {
            let item = c.raw()?;
            self.schema(&item, array.item());
            Ok(())
        });
        if null {
            self.changed = true;
            array.object(|object| object.plain("type", "null"));
        }
        array.end();
    }

    fn named(&mut self, value: &Raw<'_>, out: &mut BytesMut) {
        if value.kind() != Kind::Object {
            return out.extend_from_slice(value.as_str().as_bytes());
        }
        let mut object = ObjectWriter::begin(out);
        let _ = value.cursor().object(|key, c| {
            let schema = c.raw()?;
            self.schema(&schema, object.key(key.escaped()));
            Ok(())
        });
        object.end();
    }

    /// 64-bit numbers are strings in the JSON of proto files.
    fn count(&mut self, value: &Raw<'_>, out: &mut BytesMut) {
        let number = value.as_json_str().and_then(|text| {
            let plain = text.decode().into_owned();
            Raw::parse_owned(plain).ok().filter(|raw| raw.kind() == Kind::Number)
        });
        self.changed |= number.is_some();
        let text = number.as_ref().unwrap_or(value).as_str();
        out.extend_from_slice(text.as_bytes());
    }

    /// An `enum` that allows `null` too.
    fn values(&mut self, value: &Raw<'_>, out: &mut BytesMut) {
        if value.kind() != Kind::Array {
            return out.extend_from_slice(value.as_str().as_bytes());
        }
        let mut array = ArrayWriter::begin(out);
        let mut has_null = false;
        let _ = value.cursor().array(|_, c| {
            let item = c.raw()?;
            has_null |= item.kind() == Kind::Null;
            array.item().extend_from_slice(item.as_str().as_bytes());
            Ok(())
        });
        if !has_null {
            array.item().extend_from_slice(b"null");
        }
        array.end();
    }
}
