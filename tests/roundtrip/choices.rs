//! What a generated request decides by: bytes that shrink towards "nothing more".

use serde_json::{Value, json};

/// Decisions, and marks for what they bring.
///
/// A word (`Wd7k`) must arrive at every upstream. A detail (`Dt7k`) arrives or is reported.
pub(crate) struct Choices {
    bytes: std::vec::IntoIter<u8>,
    marks: usize,
}

impl Choices {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into_iter(), marks: 0 }
    }

    /// One of `count`; the first where nothing is left to decide by.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        usize::from(self.bytes.next().unwrap_or_default()) % count
    }

    pub(crate) fn yes(&mut self) -> bool {
        self.pick(2) == 1
    }

    fn next(&mut self) -> usize {
        self.marks += 1;
        self.marks
    }

    pub(crate) fn word(&mut self) -> String {
        let around = ["", "\u{e9}\u{1f600} ", "\"\\\n ", "<b>&amp; "][self.pick(4)];
        format!("{around}Wd{}k", self.next())
    }

    pub(crate) fn detail(&mut self) -> String {
        format!("Dt{}k", self.next())
    }

    /// A number like no other.
    pub(crate) fn count(&mut self) -> u64 {
        70_000 + self.next() as u64
    }

    /// A part of one, like no other.
    pub(crate) fn part(&mut self) -> f64 {
        0.5 + self.next() as f64 / 10_000.0
    }

    /// Sets the member, or does not.
    pub(crate) fn maybe(
        &mut self,
        object: &mut Value,
        name: &str,
        value: impl FnOnce(&mut Self) -> Value,
    ) {
        if self.yes() {
            object[name] = value(self);
        }
    }

    /// A schema with a property that has a name of its own.
    pub(crate) fn schema(&mut self) -> Value {
        let name = format!("p_{}", self.word().rsplit(' ').next().unwrap());
        let mut property = json!({"type": (["string", "integer"][self.pick(2)])});
        self.maybe(&mut property, "description", |it| json!(it.word()));
        let mut schema = json!({"type": "object", "properties": {name.as_str(): property}});
        self.maybe(&mut schema, "required", |_| json!([name]));
        schema
    }

    /// The name of a tool, legal everywhere.
    pub(crate) fn name(&mut self) -> String {
        format!("tool_Wd{}k", self.next())
    }

    pub(crate) fn arguments(&mut self) -> Value {
        let mut arguments = json!({});
        self.maybe(&mut arguments, "a", |it| json!(it.word()));
        self.maybe(&mut arguments, "b", |it| json!([it.word(), null, {"c": false}]));
        arguments
    }
}
