//! SQL that both databases understand, and its values beside it.

use std::borrow::Cow;
use std::fmt::Write;

/// A statement in the making. Its text is pieces of this source only, its values are bound: what a
/// caller sent can never become SQL.
#[derive(Debug, Default)]
pub(super) struct Statement<'a> {
    pieces: Vec<Piece>,
    pub(super) values: Vec<Value<'a>>,
    /// Whether its text differs from call to call: then it is not worth keeping it prepared.
    pub(super) varies: bool,
}

#[derive(Debug, Clone, Copy)]
enum Piece {
    Sql(&'static str),
    /// The next of the values.
    Value,
}

#[derive(Debug)]
pub(super) enum Value<'a> {
    Int(Option<i64>),
    Text(Option<Cow<'a, str>>),
    Flag(bool),
}

impl<'a> Statement<'a> {
    pub(super) fn new(sql: &'static str) -> Self {
        Self::default().sql(sql)
    }

    pub(super) fn varying(sql: &'static str) -> Self {
        Self { varies: true, ..Self::new(sql) }
    }

    pub(super) fn sql(mut self, sql: &'static str) -> Self {
        self.pieces.push(Piece::Sql(sql));
        self
    }

    /// Its text, with `$1`, `$2`, … for values, or with `?`: SQLite knows both, but searches its
    /// list of numbers again for each of them, which takes long in a statement of thousands.
    pub(super) fn to_sql(&self, numbered: bool) -> String {
        let mut text = String::new();
        let mut number = 0;
        let mut before = Piece::Sql("");
        for piece in &self.pieces {
            if let (Piece::Value, Piece::Value) = (before, piece) {
                text.push_str(", ");
            }
            match piece {
                Piece::Sql(sql) => text.push_str(sql),
                Piece::Value if numbered => {
                    number += 1;
                    // Writing to a string does not fail.
                    let _ = write!(text, "${number}");
                }
                Piece::Value => text.push('?'),
            }
            before = *piece;
        }
        text
    }

    /// A number; those that no column holds count as the greatest that it does.
    pub(super) fn int(self, value: impl Into<Option<u64>>) -> Self {
        let value = value.into().map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        self.value(Value::Int(value))
    }

    /// A text. PostgreSQL takes no NUL, and one in the name of a model is no reason to lose the
    /// rows of others.
    pub(super) fn text(self, value: impl Into<Option<&'a str>>) -> Self {
        let clean = |text: &'a str| match text.contains('\0') {
            true => Cow::Owned(text.replace('\0', "\u{FFFD}")),
            false => Cow::Borrowed(text),
        };
        self.value(Value::Text(value.into().map(clean)))
    }

    pub(super) fn flag(self, value: bool) -> Self {
        self.value(Value::Flag(value))
    }

    /// `values` of each row in parentheses, with commas.
    pub(super) fn rows<R>(mut self, rows: &'a [R], values: impl Fn(Self, &'a R) -> Self) -> Self {
        for (at, row) in rows.iter().enumerate() {
            self = values(self.sql(if at == 0 { "(" } else { ", (" }), row).sql(")");
        }
        self
    }

    fn value(mut self, value: Value<'a>) -> Self {
        self.values.push(value);
        self.pieces.push(Piece::Value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bound() {
        let rows = [("a'; DROP TABLE x; --", 1), ("b\0", u64::MAX)];
        let statement = Statement::new("INSERT INTO t (a, b) VALUES ")
            .rows(&rows, |statement, (a, b)| statement.text(*a).int(*b));
        let text = |numbered| statement.to_sql(numbered);
        assert_eq!(text(true), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)");
        assert_eq!(text(false), "INSERT INTO t (a, b) VALUES (?, ?), (?, ?)");
        let Value::Text(Some(text)) = &statement.values[2] else { panic!("a text") };
        assert_eq!(text, "b\u{FFFD}");
        assert!(matches!(statement.values[3], Value::Int(Some(i64::MAX))));
    }
}
