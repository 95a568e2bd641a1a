//! Names of tools that stand in a namespace.
//!
//! Other protocols know such a tool as `namespace__name`; in an answer the two stand apart again.

use std::collections::{HashMap, HashSet};

use crate::protocol::json::{Cursor, JsonStr, Kind};
use crate::protocol::wire::{Result, skip};

/// Name and namespace in one, which is how a tool of a namespace is known to other protocols.
pub(super) fn qualified(namespace: &JsonStr<'_>, name: &JsonStr<'_>) -> JsonStr<'static> {
    JsonStr::from_escaped(format!("{}__{}", namespace.escaped(), name.escaped()))
}

/// The tools of a request that stand in a namespace, by the name that other protocols know.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Namespaces(HashMap<String, (JsonStr<'static>, JsonStr<'static>)>);

impl Namespaces {
    /// Those of what an answer repeats of its request; see
    /// [`request::echo`](super::request::echo).
    pub(super) fn of(echo: &str) -> Self {
        let mut found = Self::default();
        if memchr::memmem::find(echo.as_bytes(), b"\"namespace\"").is_none() {
            return found;
        }
        let mut alone = HashSet::new();
        // What is no object says nothing; what was read before a fault stands.
        let _ = Cursor::new(echo).object(|key, c| match &*key.decode() {
            "tools" if c.kind()? == Kind::Array => found.tools(None, &mut alone, c),
            "additional_tools" if c.kind()? == Kind::Array => c.array(|_, group| {
                members(group, |key, c| {
                    if key == "tools" && c.kind()? == Kind::Array {
                        return found.tools(None, &mut alone, c);
                    }
                    skip(c)
                })
            }),
            _ => skip(c),
        });
        // A tool that stands alone keeps its name.
        found.0.retain(|name, _| !alone.contains(name));
        found
    }

    fn tools(
        &mut self,
        namespace: Option<&JsonStr<'_>>,
        alone: &mut HashSet<String>,
        c: &mut Cursor<'_>,
    ) -> Result<()> {
        c.array(|_, c| {
            let name = c.peek_str("name");
            let group = c.peek_str("type").is_some_and(|kind| kind == "namespace");
            match (namespace, name) {
                (None, Some(name)) if group => {
                    return members(c, |key, c| {
                        if key == "tools" && c.kind()? == Kind::Array {
                            return self.tools(Some(&name), alone, c);
                        }
                        skip(c)
                    });
                }
                (None, Some(name)) => {
                    alone.insert(name.decode().into_owned());
                }
                (Some(namespace), Some(name)) => {
                    let known = qualified(namespace, &name).decode().into_owned();
                    let apart = (namespace.clone().into_owned(), name.into_owned());
                    self.0.entry(known).or_insert(apart);
                }
                (_, None) => {}
            }
            skip(c)
        })
    }

    /// Namespace and name of a tool; `None` for one that stands in none.
    pub(super) fn split(
        &self,
        name: &JsonStr<'_>,
    ) -> Option<(&JsonStr<'static>, &JsonStr<'static>)> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&*name.decode()).map(|(namespace, name)| (namespace, name))
    }
}

/// Walks an object; steps over anything else.
fn members<'a>(
    c: &mut Cursor<'a>,
    member: impl FnMut(JsonStr<'a>, &mut Cursor<'a>) -> Result<()>,
) -> Result<()> {
    if c.kind()? == Kind::Object { c.object(member) } else { skip(c) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_apart_again() {
        let echo = r#"{"tools":[
                {"type":"function","name":"a__b"},
                {"type":"namespace","name":"a","tools":[{"name":"b"},{"name":"c"},{"x":1},7]},
                {"type":"namespace"}, 7],
            "additional_tools":[
                {"type":"additional_tools","tools":[
                    {"type":"namespace","name":"d","tools":[{"type":"custom","name":"e"}]}]},
                {"type":"additional_tools"}]}"#;
        let namespaces = Namespaces::of(echo);
        let split = |name: &'static str| {
            let name = JsonStr::from_plain(name);
            namespaces.split(&name).map(|(namespace, name)| {
                (namespace.decode().into_owned(), name.decode().into_owned())
            })
        };
        let apart = |namespace: &str, name: &str| Some((namespace.to_owned(), name.to_owned()));
        assert_eq!(split("a__c"), apart("a", "c"));
        assert_eq!(split("d__e"), apart("d", "e"));
        for alone in ["a__b", "a", "c", "", "x__y"] {
            assert_eq!(split(alone), None, "{alone}");
        }
        for nothing in ["", "[]", "{}", r#"{"tools":{},"additional_tools":[1]}"#, r#"{"tools":["#] {
            assert_eq!(Namespaces::of(nothing), Namespaces::default(), "{nothing}");
        }
    }
}
