//! From JSON Schema to the subset of OpenAPI.

use std::collections::HashSet;

use bytes::BytesMut;

use super::flat::{Bound, Flat, Type};
use super::walk::{Lost, Walk, string};
use crate::protocol::json::{ArrayWriter, JsonStr, Kind, ObjectWriter, Raw, push_plain};
use crate::protocol::report::{Reporter, Severity};

/// Deepest nesting that is written; what is deeper becomes an object of any kind.
pub(in crate::protocol::gemini) const MAX_SCHEMA_DEPTH: usize = 48;

/// Most bytes by which the schemas of one request may cost more than [`PER_BYTE`] times their
/// size: references can make a small schema as large as they like. What is left then becomes an
/// object of any kind.
pub(in crate::protocol::gemini) const MAX_SCHEMA_WORK: usize = 4 << 20;

/// How often a byte of a schema may be looked at: about once for each level above it.
const PER_BYTE: usize = 16;

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

impl<'r> Walk<'r> {
    /// Writes one schema that says what all of these say.
    fn schema(&mut self, all: &[Raw<'r>], depth: usize, out: &mut BytesMut) {
        let mut flat = Flat::default();
        for schema in all {
            self.collect(schema, &mut flat);
        }
        self.flat(flat, depth, out);
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

fn takes_format(of: Option<Type>, format: &Raw<'_>) -> bool {
    let Some(word) = format.as_json_str() else { return false };
    let known = FORMATS.iter().find(|(name, _)| word == *name);
    known.is_some_and(|(_, types)| of.is_some_and(|of| types.contains(&of)))
}
