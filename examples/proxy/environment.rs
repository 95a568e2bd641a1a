//! Where settings come from: the environment and a `.env` file.

use std::collections::HashMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use tower_llm_gateway::redact;
use tower_llm_gateway::upstream::BadProxy;

/// A setting that cannot be used. Shows its name and what was expected; never a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadSetting(String);

impl BadSetting {
    pub(crate) fn new(name: &str, problem: impl fmt::Display) -> Self {
        Self(format!("{name}: {problem}"))
    }
}

impl From<BadProxy> for BadSetting {
    fn from(error: BadProxy) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadSetting {}

/// Values by name. The environment wins over the file, unless `ENV_OVERRIDE` is true.
#[derive(Default)]
pub(crate) struct Environment {
    values: HashMap<String, String>,
    /// The names that a value was asked for.
    #[cfg(test)]
    asked: std::cell::RefCell<std::collections::BTreeSet<String>>,
}

impl Environment {
    /// The environment of the process and the file at `path`, which may be absent.
    ///
    /// Nothing is written into the process' environment: that is unsound once there are threads.
    pub(crate) fn load(path: &Path) -> Result<Self, BadSetting> {
        let process = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let file = match std::fs::read_to_string(path) {
            Ok(text) => parse_file(&text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => HashMap::new(),
            Err(error) => return Err(BadSetting::new(".env", error)),
        };
        Ok(Self::merge(process, file))
    }

    fn merge(process: HashMap<String, String>, file: HashMap<String, String>) -> Self {
        let find = |values: &HashMap<String, String>| values.get("ENV_OVERRIDE").cloned();
        let file_wins = find(&process).or_else(|| find(&file)).is_some_and(|value| is_true(&value));
        let (mut values, winner) = if file_wins { (process, file) } else { (file, process) };
        values.extend(winner);
        values.into()
    }

    /// A value without the white space around it; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        #[cfg(test)]
        self.asked.borrow_mut().insert(name.to_owned());
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    #[cfg(test)]
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().cloned().collect()
    }

    /// A value that `read` understands, and `expected` describes. The error quotes the value, unless
    /// it looks like a secret at the wrong place.
    pub(crate) fn parse<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, BadSetting> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let bad = || BadSetting::new(name, format!("{:?} is not {expected}", redact::text(text)));
        read(text).map(Some).ok_or_else(bad)
    }

    /// `true`, `1`, `yes`, `on` or their opposites, in any case.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, BadSetting> {
        let read = |text: &str| match text.to_ascii_lowercase().as_str() {
            "false" | "0" | "no" | "off" => Some(false),
            _ => is_true(text).then_some(true),
        };
        Ok(self.parse(name, "true or false", read)?.unwrap_or(default))
    }
}

impl From<HashMap<String, String>> for Environment {
    fn from(values: HashMap<String, String>) -> Self {
        Self {
            values,
            #[cfg(test)]
            asked: Default::default(),
        }
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Environment {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        pairs.collect::<HashMap<_, _>>().into()
    }
}

fn is_true(text: &str) -> bool {
    ["true", "1", "yes", "on"].iter().any(|yes| text.trim().eq_ignore_ascii_case(yes))
}

fn parse_file(text: &str) -> Result<HashMap<String, String>, BadSetting> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut values = HashMap::new();
    let mut last = None;
    for entry in dotenvy::from_read_iter(text.as_bytes()) {
        // The error quotes the line, which may hold a key.
        let (name, value) = entry.map_err(|_| {
            let place = last
                .take()
                .map_or("its first line".into(), |name| format!("the line after {name}"));
            BadSetting::new(".env", format!("cannot read {place}; values with spaces need quotes"))
        })?;
        last = Some(name.clone());
        values.insert(name, value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn the_environment_wins_unless_told_otherwise() {
        let file = [("A", "file"), ("B", "file")];
        let both = Environment::merge(map(&[("A", "process")]), map(&file));
        assert_eq!((both.text("A"), both.text("B")), (Some("process"), Some("file")));
        for (process, file) in [
            (&[("A", "process"), ("ENV_OVERRIDE", "TRUE")][..], &file[..]),
            (&[("A", "process")], &[("A", "file"), ("ENV_OVERRIDE", "yes")]),
        ] {
            assert_eq!(Environment::merge(map(process), map(file)).text("A"), Some("file"));
        }
    }

    #[test]
    fn a_file_is_read_with_quotes_comments_and_a_mark() {
        let text = "\u{feff}# comment\nA=plain\nexport B='a b # c'\nC=\"x\\ny\" # d\n\nEMPTY=\n";
        let values = parse_file(text).unwrap();
        assert_eq!(values, map(&[("A", "plain"), ("B", "a b # c"), ("C", "x\ny"), ("EMPTY", "")]));
        assert_eq!(Environment::from(values).text("EMPTY"), None);
    }

    #[test]
    fn a_bad_line_is_placed_but_not_quoted() {
        let error = parse_file("A=1\nKEY=sk secret words\n").unwrap_err().to_string();
        assert_eq!(error, ".env: cannot read the line after A; values with spaces need quotes");
    }

    #[test]
    fn flags() {
        for (text, expected) in
            [("Yes", true), (" on ", true), ("0", false), ("OFF", false), ("", true)]
        {
            assert_eq!(
                [("F", text)].into_iter().collect::<Environment>().flag("F", true),
                Ok(expected)
            );
        }
        let error =
            [("F", "maybe")].into_iter().collect::<Environment>().flag("F", true).unwrap_err();
        assert_eq!(error.to_string(), "F: \"maybe\" is not true or false");
    }
}
