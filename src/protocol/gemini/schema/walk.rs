//! The way through a schema: what it says by itself, by its references and by its `allOf`.

use std::collections::HashMap;

use super::flat::{Bound, Flat, PLAIN, Type};
use crate::protocol::json::{JsonStr, Kind, Raw};

/// Most schemas in a row that one schema says by references and `allOf`.
pub(in crate::protocol::gemini) const MAX_SCHEMA_CHAIN: usize = 64;

/// What it costs to look at the least schema.
const PER_SCHEMA: usize = 64;

/// The first of each kind of what was left out.
#[derive(Default)]
pub(super) struct Lost<'r> {
    /// Words for the reader.
    pub(super) hint: Option<&'r str>,
    /// What values are allowed.
    pub(super) rule: Option<&'r str>,
}

/// One way through one schema.
pub(super) struct Walk<'r> {
    pub(super) root: &'r Raw<'r>,
    /// What references usually name, by its pointer.
    pub(super) definitions: Option<HashMap<String, Raw<'r>>>,
    /// How many bytes may still be looked at or written.
    pub(super) work: usize,
    /// The length of the output when it was last paid for.
    pub(super) written: usize,
    /// References that are being followed.
    pub(super) open: Vec<String>,
    /// How many references and `allOf` lead to the schema that is looked at.
    pub(super) chain: usize,
    pub(super) lost: Lost<'r>,
}

impl<'r> Walk<'r> {
    pub(super) fn lose(&mut self, value: &Raw<'r>) {
        self.lost.rule = self.lost.rule.or_else(|| text_of(value));
    }

    pub(super) fn hint(&mut self, value: &Raw<'r>) {
        self.lost.hint = self.lost.hint.or_else(|| text_of(value));
    }

    /// Pays for a piece of work; false where the limit is met.
    pub(super) fn pay(&mut self, bytes: usize) -> bool {
        let left = self.work.checked_sub(bytes);
        self.work = left.unwrap_or_default();
        left.is_some()
    }

    /// Adds what a schema says.
    pub(super) fn collect(&mut self, schema: &Raw<'r>, flat: &mut Flat<'r>) {
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
    pub(super) fn single_branch(&mut self, flat: &mut Flat<'r>) {
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
}

fn text_of<'r>(value: &Raw<'r>) -> Option<&'r str> {
    value.source_cursor()?.raw_str().ok()
}

pub(super) fn string<'r>(value: &Raw<'r>) -> Option<JsonStr<'r>> {
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
