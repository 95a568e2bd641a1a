//! From JSON Schema to the subset of OpenAPI.

use std::collections::{HashMap, HashSet};

use bytes::BytesMut;

use super::flat::{Bound, Flat, PLAIN, Type};
use crate::protocol::json::{ArrayWriter, JsonStr, Kind, ObjectWriter, Raw, push_plain};
use crate::protocol::report::{Reporter, Severity};

/// Deepest nesting that is written; what is deeper becomes an object of any kind.
pub(in crate::protocol::gemini) const MAX_SCHEMA_DEPTH: usize = 48;

/// Most schemas in a row that one schema says by references and `allOf`.
pub(in crate::protocol::gemini) const MAX_SCHEMA_CHAIN: usize = 64;

/// Most bytes by which the schemas of one request may cost more than [`PER_BYTE`] times their
/// size: references can make a small schema as large as they like. What is left then becomes an
/// object of any kind.
pub(in crate::protocol::gemini) const MAX_SCHEMA_WORK: usize = 4 << 20;

/// How often a byte of a schema may be looked at: about once for each level above it.
const PER_BYTE: usize = 16;

/// What it costs to look at the least schema.
const PER_SCHEMA: usize = 64;

/// Formats that Gemini takes, and the types that it takes them for.
const FORMATS: [(&str, &[Type]); 6] = [
    ("date-time", &[Type::String]),
    ("enum", &[Type::String]),
    ("int32", &[Type::Integer]),
    ("int64", &[Type::Integer]),
    ("float", &[Type::Number]),
    ("double", &[Type::Number]),
];

/// Writes the schemas of one request.
pub(in crate::protocol::gemini) struct Adapter {
    /// What is left of [`MAX_SCHEMA_WORK`].
    spare: usize,
}

impl Adapter {
    pub(in crate::protocol::gemini) fn new() -> Self {
        Self { spare: MAX_SCHEMA_WORK }
    }

    /// Writes the schema in Gemini's subset, and reports what the subset cannot say.
    pub(in crate::protocol::gemini) fn write(
        &mut self,
        schema: &Raw<'_>,
        report: &mut Reporter<'_>,
        out: &mut BytesMut,
    ) {
        let root = schema.borrow();
        let mut walk = Walk {
            root: &root,
            definitions: None,
            work: self.spare.saturating_add(root.as_str().len().saturating_mul(PER_BYTE)),
            written: out.len(),
            // The root is open from the start: `#` in it is a recursion.
            open: vec![String::from("#")],
            chain: 0,
            lost: Lost::default(),
        };
        walk.schema(std::slice::from_ref(&root), 0, out);
        self.spare = self.spare.min(walk.work);
        let Lost { hint, rule } = walk.lost;
        for (piece, severity) in [(rule, Severity::Degrade), (hint, Severity::Ignore)] {
            if let Some(piece) = piece {
                report.piece(piece, severity, "Gemini's schemas cannot say this");
            }
        }
    }
}

/// The first of each kind of what was left out.
#[derive(Default)]
struct Lost<'r> {
    /// Words for the reader.
    hint: Option<&'r str>,
    /// What values are allowed.
    rule: Option<&'r str>,
}

/// One way through one schema.
struct Walk<'r> {
    root: &'r Raw<'r>,
    /// What references usually name, by its pointer.
    definitions: Option<HashMap<String, Raw<'r>>>,
    /// How many bytes may still be looked at or written.
    work: usize,
    /// The length of the output when it was last paid for.
    written: usize,
    /// References that are being followed.
    open: Vec<String>,
    /// How many references and `allOf` lead to the schema that is looked at.
    chain: usize,
    lost: Lost<'r>,
}

impl<'r> Walk<'r> {
    fn lose(&mut self, value: &Raw<'r>) {
        self.lost.rule = self.lost.rule.or_else(|| text_of(value));
    }

    fn hint(&mut self, value: &Raw<'r>) {
        self.lost.hint = self.lost.hint.or_else(|| text_of(value));
    }

    /// Writes one schema that says what all of these say.
    fn schema(&mut self, all: &[Raw<'r>], depth: usize, out: &mut BytesMut) {
        let mut flat = Flat::default();
        for schema in all {
            self.collect(schema, &mut flat);
        }
        self.flat(flat, depth, out);
    }

    /// Pays for a piece of work; false where the limit is met.
    fn pay(&mut self, bytes: usize) -> bool {
        let left = self.work.checked_sub(bytes);
        self.work = left.unwrap_or_default();
        left.is_some()
    }

    /// Adds what a schema says.
    fn collect(&mut self, schema: &Raw<'r>, flat: &mut Flat<'r>) {
        if self.chain >= MAX_SCHEMA_CHAIN || !self.pay(schema.as_str().len() + PER_SCHEMA) {
            self.lose(schema);
            return flat.restrict(&[Type::Object]);
        }
        self.chain += 1;
        self.collect_members(schema, flat);
        self.chain -= 1;
    }

    fn collect_members(&mut self, schema: &Raw<'r>, flat: &mut Flat<'r>) {
        let Some(mut cursor) = schema.source_cursor() else { return };
        let (mut references, mut parts, mut draft_4) = (Vec::new(), Vec::new(), (false, false));
        // A raw value is valid; what is no object (`true`) says nothing.
        let _ = cursor.object(|key, c| {
            let value = c.raw()?;
            match &*key.decode() {
                "$ref" => references.push(value),
                "allOf" => parts.extend(items(&value)),
                "exclusiveMinimum" if value.kind() == Kind::Bool => draft_4.0 = is_true(&value),
                "exclusiveMaximum" if value.kind() == Kind::Bool => draft_4.1 = is_true(&value),
                name => self.keyword(name, value, flat),
            }
            Ok(())
        });
        for (bound, exclusive) in [(&mut flat.minimum, draft_4.0), (&mut flat.maximum, draft_4.1)] {
            if let Some(bound) = bound.as_mut() {
                bound.exclusive |= exclusive;
            }
        }
        for reference in references {
            self.follow(&reference, flat);
        }
        for part in parts {
            self.collect(&part, flat);
        }
        self.single_branch(flat);
    }

    fn keyword(&mut self, name: &str, value: Raw<'r>, flat: &mut Flat<'r>) {
        if let Some(keyword) = PLAIN.iter().find(|keyword| keyword.name == name) {
            match value.kind() == keyword.kind {
                true => flat.keep(*keyword, value),
                false => self.hint(&value),
            }
            return;
        }
        match name {
            "type" => self.types(&value, flat),
            "nullable" => flat.nullable |= is_true(&value),
            "const" if flat.values.is_none() => flat.values = Some(vec![value]),
            "enum" if flat.values.is_none() => {
                let values = items(&value);
                flat.nullable |= values.iter().any(|value| value.kind() == Kind::Null);
                flat.values = Some(values);
            }
            "const" | "enum" => self.lose(&value),
            "properties" => {
                for (name, schema) in members(&value) {
                    flat.property(name, schema);
                }
            }
            "required" => flat.required.extend(items(&value).iter().filter_map(string)),
            "items" if value.kind() == Kind::Array => flat.tuple = items(&value),
            "items" => flat.items.push(value),
            "prefixItems" => flat.tuple = items(&value),
            "minimum" | "exclusiveMinimum" => {
                bound(&mut flat.minimum, &value, name.starts_with('e'), |new, old| new > old);
            }
            "maximum" | "exclusiveMaximum" => {
                bound(&mut flat.maximum, &value, name.starts_with('e'), |new, old| new < old);
            }
            "anyOf" | "oneOf" => self.branches(&value, flat),
            "$defs" | "definitions" | "$schema" | "$id" | "id" | "$anchor" | "$comment" => {}
            "additionalProperties"
            | "default"
            | "example"
            | "examples"
            | "deprecated"
            | "readOnly"
            | "writeOnly"
                if value.kind() != Kind::Object || name != "additionalProperties" =>
            {
                self.hint(&value);
            }
            name if name.starts_with("x-") => self.hint(&value),
            _ => self.lose(&value),
        }
    }

    fn types(&mut self, value: &Raw<'r>, flat: &mut Flat<'r>) {
        let words = match value.kind() {
            Kind::Array => items(value),
            _ => vec![value.clone()],
        };
        let mut types = Vec::new();
        for word in &words {
            match string(word).and_then(|word| Type::of(&word.decode())) {
                Some(one) if !types.contains(&one) => types.push(one),
                Some(_) => {}
                None => self.lose(word),
            }
        }
        if types.len() > 1 && types.contains(&Type::Null) {
            flat.nullable = true;
            types.retain(|one| *one != Type::Null);
        }
        flat.restrict(&types);
    }

    fn branches(&mut self, value: &Raw<'r>, flat: &mut Flat<'r>) {
        let (null, branches): (Vec<_>, Vec<_>) = items(value).into_iter().partition(is_null);
        flat.nullable |= !null.is_empty();
        if flat.branches.is_empty() {
            flat.branches = branches;
        } else {
            self.lose(value);
        }
    }

    /// One branch alone is no choice.
    fn single_branch(&mut self, flat: &mut Flat<'r>) {
        if flat.branches.len() == 1 {
            if let Some(branch) = flat.branches.pop() {
                self.collect(&branch, flat);
            }
        }
    }

    /// Adds what stands at a place of the same document. A recursion ends as any object.
    fn follow(&mut self, reference: &Raw<'r>, flat: &mut Flat<'r>) {
        let pointer = string(reference).map(|text| text.decode().into_owned());
        let target = pointer.as_deref().and_then(|pointer| self.resolve(pointer));
        match (pointer, target) {
            (Some(pointer), Some(target))
                if !self.open.contains(&pointer) && !flat.refs.contains(&pointer) =>
            {
                flat.refs.push(pointer);
                self.collect(&target, flat);
            }
            _ => {
                self.lose(reference);
                flat.restrict(&[Type::Object]);
            }
        }
    }

    /// The value at a pointer of the form `#/$defs/Name` (RFC 6901), percent-decoded.
    fn resolve(&mut self, reference: &str) -> Option<Raw<'r>> {
        let root = self.root;
        let definitions = self.definitions.get_or_insert_with(|| definitions(root));
        if let Some(schema) = definitions.get(reference) {
            return Some(schema.clone());
        }
        if !self.pay(self.root.as_str().len()) {
            return None;
        }
        let pointer = reference.strip_prefix('#')?;
        let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8().ok()?;
        let mut at = self.root.clone();
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            at = match at.kind() {
                Kind::Array => items(&at).into_iter().nth(step.parse().ok()?)?,
                _ => members(&at).into_iter().rev().find(|(name, _)| *name == *step)?.1,
            };
        }
        Some(at)
    }

    fn flat(&mut self, mut flat: Flat<'r>, depth: usize, out: &mut BytesMut) {
        let written = out.len().saturating_sub(self.written);
        self.written = out.len();
        if depth >= MAX_SCHEMA_DEPTH || !self.pay(written) {
            self.lost.rule = self.lost.rule.or(Some(self.root.as_str()));
            flat = Flat { types: vec![Type::Object], ..Flat::default() };
        }
        let before = self.open.len();
        self.open.append(&mut flat.refs);
        let types = flat.types_or_guess();
        if !flat.branches.is_empty() {
            self.choice(&flat, depth, out);
        } else if types.len() > 1 {
            let mut object = ObjectWriter::begin(out);
            object.array("anyOf", |array| {
                for one in types {
                    self.single(&flat, Some(one), depth + 1, array.item());
                }
            });
            object.end();
        } else {
            self.single(&flat, types.first().copied(), depth, out);
        }
        self.open.truncate(before);
    }

    /// Where there is a choice, Vertex takes nothing beside it: each branch says all.
    fn choice(&mut self, flat: &Flat<'r>, depth: usize, out: &mut BytesMut) {
        let mut object = ObjectWriter::begin(out);
        object.array("anyOf", |array| {
            for branch in &flat.branches {
                let mut one = Flat::default();
                self.collect(branch, &mut one);
                if self.pay(flat.weight()) {
                    one.merge(flat);
                }
                self.flat(one, depth + 1, array.item());
            }
        });
        object.end();
    }

    /// Writes a schema of one type, and of its keywords those that go with the type.
    fn single(&mut self, flat: &Flat<'r>, of: Option<Type>, depth: usize, out: &mut BytesMut) {
        let values = self.values(flat, of);
        // Only strings can be listed.
        let of = if values.is_empty() { of } else { Some(Type::String) };
        let mut object = ObjectWriter::begin(out);
        if let Some(of) = of {
            object.plain("type", of.as_str());
        }
        for (keyword, value) in &flat.plain {
            let fits = match keyword.name {
                "format" => takes_format(of, value),
                _ => keyword.of.is_none() || keyword.of == of,
            };
            match fits {
                true => object.raw(keyword.name, value),
                // Of several types another takes it.
                false if flat.types.len() > 1 => {}
                false => self.hint(value),
            }
        }
        if flat.nullable {
            object.bool("nullable", true);
        }
        if !values.is_empty() {
            object.array("enum", |array| {
                values.iter().for_each(|value| push_plain(array.item(), value));
            });
        }
        match of {
            Some(Type::Object) => self.object(flat, depth, &mut object),
            Some(Type::Array) => self.array(flat, depth, object.key("items")),
            Some(Type::Number | Type::Integer) => self.numbers(flat, of, &mut object),
            _ => {}
        }
        object.end();
    }

    /// The listed values as strings; none where they cannot or need not be said.
    fn values(&mut self, flat: &Flat<'r>, of: Option<Type>) -> Vec<String> {
        let mut values: Vec<String> = Vec::new();
        let mut known = HashSet::new();
        for value in flat.values.iter().flatten() {
            let text = match value.kind() {
                Kind::String => string(value).map(|text| text.decode().into_owned()),
                Kind::Number => {
                    // It will be a string.
                    self.lose(value);
                    Some(value.as_str().to_owned())
                }
                Kind::Null => continue,
                _ => None,
            };
            match text.filter(|text| !text.is_empty()) {
                Some(text) if known.insert(text.clone()) => values.push(text),
                Some(_) => {}
                None => self.lose(value),
            }
        }
        match of {
            None | Some(Type::String | Type::Number | Type::Integer) => values,
            _ => Vec::new(),
        }
    }

    fn object(&mut self, flat: &Flat<'r>, depth: usize, object: &mut ObjectWriter<'_>) {
        if flat.properties.is_empty() {
            return;
        }
        object.object("properties", |object| {
            for (name, schemas) in &flat.properties {
                self.schema(schemas, depth + 1, object.key(name.escaped()));
            }
        });
        // Gemini refuses names that are no properties.
        let mut said = HashSet::new();
        let required: Vec<_> = flat
            .required
            .iter()
            .filter(|name| flat.has_property(name) && said.insert(name.decode()))
            .collect();
        if !required.is_empty() {
            object.array("required", |array| strings(array, &required));
        }
    }

    fn numbers(&mut self, flat: &Flat<'r>, of: Option<Type>, object: &mut ObjectWriter<'_>) {
        for (name, bound, step) in [("minimum", &flat.minimum, 1), ("maximum", &flat.maximum, -1)] {
            let Some(Bound { number, raw, exclusive }) = bound else { continue };
            let next = number.as_str().parse::<i64>().ok().and_then(|n| n.checked_add(step));
            match next.filter(|_| *exclusive && of == Some(Type::Integer)) {
                Some(next) => object.key(name).extend_from_slice(next.to_string().as_bytes()),
                None => object.number(name, number),
            }
            if *exclusive && of == Some(Type::Number) {
                self.lose(raw);
            }
        }
    }

    /// Writes what the items are; Gemini demands that, and that it has a type.
    fn array(&mut self, flat: &Flat<'r>, depth: usize, out: &mut BytesMut) {
        let start = out.len();
        if flat.items.is_empty() && !flat.tuple.is_empty() {
            self.lose(&flat.tuple[0]);
            let mut one = Flat { branches: flat.tuple.clone(), ..Flat::default() };
            self.single_branch(&mut one);
            self.flat(one, depth + 1, out);
        } else {
            self.schema(&flat.items, depth + 1, out);
        }
        if &out[start..] == b"{}" {
            out.truncate(start);
            out.extend_from_slice(br#"{"type":"STRING"}"#);
        }
    }
}

fn strings(array: &mut ArrayWriter<'_>, names: &[&JsonStr<'_>]) {
    for name in names {
        crate::protocol::json::push_str(array.item(), name);
    }
}

fn text_of<'r>(value: &Raw<'r>) -> Option<&'r str> {
    value.source_cursor()?.raw_str().ok()
}

fn string<'r>(value: &Raw<'r>) -> Option<JsonStr<'r>> {
    value.source_cursor()?.string().ok()
}

fn items<'r>(value: &Raw<'r>) -> Vec<Raw<'r>> {
    let mut items = Vec::new();
    if let Some(mut cursor) = value.source_cursor() {
        // What is no list has no items.
        let _ = cursor.array(|_, c| {
            items.push(c.raw()?);
            Ok(())
        });
    }
    items
}

fn members<'r>(value: &Raw<'r>) -> Vec<(JsonStr<'r>, Raw<'r>)> {
    let mut members = Vec::new();
    if let Some(mut cursor) = value.source_cursor() {
        // What is no object has no members.
        let _ = cursor.object(|key, c| {
            members.push((key, c.raw()?));
            Ok(())
        });
    }
    members
}

fn is_true(value: &Raw<'_>) -> bool {
    value.as_str() == "true"
}

/// Whether a schema allows `null` alone.
fn is_null(schema: &Raw<'_>) -> bool {
    let says = |name: &str, text: &str| schema.member(name).is_some_and(|v| v.as_str() == text);
    says("type", "\"null\"") || says("const", "null") || says("enum", "[null]")
}

/// The named schemas of a document by the pointers to them, where those need no escape.
fn definitions<'r>(root: &Raw<'r>) -> HashMap<String, Raw<'r>> {
    let mut definitions = HashMap::new();
    for (place, schemas) in members(root) {
        if place == "$defs" || place == "definitions" {
            for (name, schema) in members(&schemas) {
                let plain = name.decode();
                if !plain.contains(['/', '~', '%']) {
                    definitions.insert(format!("#/{}/{plain}", place.decode()), schema);
                }
            }
        }
    }
    definitions
}

/// Keeps a bound if it is tighter than the one that there is.
fn bound<'r>(
    kept: &mut Option<Bound<'r>>,
    value: &Raw<'r>,
    exclusive: bool,
    tighter: fn(f64, f64) -> bool,
) {
    let Some(number) = value.source_cursor().and_then(|mut c| c.number().ok()) else { return };
    let wins = match kept.as_ref().and_then(|kept| kept.number.as_f64()) {
        Some(old) => number.as_f64().is_some_and(|new| tighter(new, old)),
        None => true,
    };
    if wins {
        *kept = Some(Bound { number, raw: value.clone(), exclusive });
    }
}

fn takes_format(of: Option<Type>, format: &Raw<'_>) -> bool {
    let Some(word) = format.as_json_str() else { return false };
    let known = FORMATS.iter().find(|(name, _)| word == *name);
    known.is_some_and(|(_, types)| of.is_some_and(|of| types.contains(&of)))
}
