//! One schema with everything that it refers to, in the words of Gemini's subset.

use std::collections::HashMap;

use crate::protocol::json::{JsonStr, Kind, Number, Raw};

/// Types of Gemini's subset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    String,
    Number,
    Integer,
    Boolean,
    Array,
    Object,
    Null,
}

impl Type {
    /// The type of a word of JSON Schema, or of Gemini's.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "string" => Self::String,
            "number" => Self::Number,
            "integer" => Self::Integer,
            "boolean" => Self::Boolean,
            "array" => Self::Array,
            "object" => Self::Object,
            "null" => Self::Null,
            _ => return None,
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::String => "STRING",
            Self::Number => "NUMBER",
            Self::Integer => "INTEGER",
            Self::Boolean => "BOOLEAN",
            Self::Array => "ARRAY",
            Self::Object => "OBJECT",
            Self::Null => "NULL",
        }
    }
}

/// A property and all schemas that its value must meet.
pub(super) type Property<'r> = (JsonStr<'r>, Vec<Raw<'r>>);

/// What one schema says by itself, by its references and by its `allOf`; what is said first
/// counts.
#[derive(Debug, Default)]
pub(super) struct Flat<'r> {
    /// Types but `null`; empty where any will do.
    pub(super) types: Vec<Type>,
    pub(super) nullable: bool,
    /// `enum` or `const`.
    pub(super) values: Option<Vec<Raw<'r>>>,
    pub(super) properties: Vec<Property<'r>>,
    /// Where each property stands.
    pub(super) index: HashMap<String, usize>,
    pub(super) required: Vec<JsonStr<'r>>,
    /// All schemas that an item must meet.
    pub(super) items: Vec<Raw<'r>>,
    /// Schemas of which an item must meet one, where a tuple was described.
    pub(super) tuple: Vec<Raw<'r>>,
    pub(super) minimum: Option<Bound<'r>>,
    pub(super) maximum: Option<Bound<'r>>,
    /// Schemas of which one must be met.
    pub(super) branches: Vec<Raw<'r>>,
    /// Keywords that stay as they are.
    pub(super) plain: Vec<(Keyword, Raw<'r>)>,
    /// References that led here.
    pub(super) refs: Vec<String>,
}

/// Keywords that Gemini knows by the name and meaning of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keyword {
    pub(super) name: &'static str,
    /// What kind of value it takes.
    pub(super) kind: Kind,
    /// The type that it is said of; `None`: any.
    pub(super) of: Option<Type>,
}

const fn any(name: &'static str, kind: Kind) -> Keyword {
    Keyword { name, kind, of: None }
}

const fn of(name: &'static str, of: Type) -> Keyword {
    Keyword { name, kind: Kind::Number, of: Some(of) }
}

pub(super) const PLAIN: [Keyword; 11] = [
    any("title", Kind::String),
    any("description", Kind::String),
    any("format", Kind::String),
    of("minItems", Type::Array),
    of("maxItems", Type::Array),
    of("minProperties", Type::Object),
    of("maxProperties", Type::Object),
    of("minLength", Type::String),
    of("maxLength", Type::String),
    Keyword { name: "pattern", kind: Kind::String, of: Some(Type::String) },
    Keyword { name: "propertyOrdering", kind: Kind::Array, of: Some(Type::Object) },
];

/// The least or the highest number.
#[derive(Debug, Clone)]
pub(super) struct Bound<'r> {
    pub(super) number: Number<'r>,
    /// The number as it stood.
    pub(super) raw: Raw<'r>,
    /// The number itself is out.
    pub(super) exclusive: bool,
}

impl<'r> Flat<'r> {
    /// Adds what another says where this one says nothing.
    pub(super) fn merge(&mut self, other: &Flat<'r>) {
        self.restrict(&other.types);
        self.nullable |= other.nullable;
        if self.values.is_none() {
            self.values.clone_from(&other.values);
        }
        for (name, schemas) in &other.properties {
            for schema in schemas {
                self.property(name.clone(), schema.clone());
            }
        }
        self.required.extend(other.required.iter().cloned());
        self.items.extend(other.items.iter().cloned());
        if self.tuple.is_empty() {
            self.tuple.clone_from(&other.tuple);
        }
        self.minimum = self.minimum.take().or_else(|| other.minimum.clone());
        self.maximum = self.maximum.take().or_else(|| other.maximum.clone());
        for (keyword, value) in &other.plain {
            self.keep(*keyword, value.clone());
        }
        self.refs.extend(other.refs.iter().cloned());
    }

    /// Allows only these types too.
    pub(super) fn restrict(&mut self, types: &[Type]) {
        if self.types.is_empty() {
            self.types.extend_from_slice(types);
        } else if !types.is_empty() {
            let both = |one: &Type| {
                types.contains(one) || (*one == Type::Integer && types.contains(&Type::Number))
            };
            if self.types.iter().any(both) {
                self.types.retain(both);
            } else if self.types.contains(&Type::Number) && types.contains(&Type::Integer) {
                self.types = vec![Type::Integer];
            }
        }
    }

    pub(super) fn property(&mut self, name: JsonStr<'r>, schema: Raw<'r>) {
        let at = *self.index.entry(name.decode().into_owned()).or_insert(self.properties.len());
        match self.properties.get_mut(at) {
            Some((_, schemas)) => schemas.push(schema),
            None => self.properties.push((name, vec![schema])),
        }
    }

    pub(super) fn has_property(&self, name: &JsonStr<'_>) -> bool {
        self.index.contains_key(&*name.decode())
    }

    /// About how many bytes it costs to merge this into another.
    pub(super) fn weight(&self) -> usize {
        let values = self.values.as_ref().map_or(0, Vec::len);
        64 * (1 + self.properties.len() + self.required.len() + self.items.len() + values)
    }

    pub(super) fn keep(&mut self, keyword: Keyword, value: Raw<'r>) {
        if !self.plain.iter().any(|(known, _)| known.name == keyword.name) {
            self.plain.push((keyword, value));
        }
    }

    /// The types, said or to be seen by the other keywords.
    pub(super) fn types_or_guess(&self) -> Vec<Type> {
        let said = |of: Type| self.plain.iter().any(|(keyword, _)| keyword.of == Some(of));
        if !self.types.is_empty() {
            return self.types.clone();
        }
        let guess = if !self.properties.is_empty() || said(Type::Object) {
            Type::Object
        } else if !self.items.is_empty() || !self.tuple.is_empty() || said(Type::Array) {
            Type::Array
        } else if let Some(kind) = self.values.iter().flatten().map(Raw::kind).next() {
            match kind {
                Kind::Number => Type::Number,
                Kind::Bool => Type::Boolean,
                _ => Type::String,
            }
        } else if said(Type::String) {
            Type::String
        } else if self.minimum.is_some() || self.maximum.is_some() {
            Type::Number
        } else {
            return Vec::new();
        };
        vec![guess]
    }
}
