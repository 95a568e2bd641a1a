//! What the demo answers, in no protocol's words: the model's name and the last message decide.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// Deepest schema that sample arguments are made for.
const MAX_DEPTH: usize = 8;
/// Most KiB that `demo-large-<KiB>` gives.
const MAX_LARGE_KIB: usize = 1 << 20;
const DEFAULT_LARGE_KIB: usize = 1024;
const SLOW_PAUSE: Duration = Duration::from_millis(100);
/// Words of `demo-slow` without a stream.
const SLOW_WORDS: usize = 50;
/// What tools are called with that take text, not JSON.
const FREE_TEXT: &str = "*** Begin Patch\n\"demo\"\n*** End Patch";

/// What a request asks, read from any protocol.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) stream: bool,
    /// The texts of the user since the last answer.
    pub(super) said: Vec<String>,
    /// Tool results since the last answer; when there are any, they are answered.
    pub(super) results: Vec<String>,
    /// Media types of all images in the conversation, in order.
    pub(super) images: Vec<String>,
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Choice,
    pub(super) one_call: bool,
    pub(super) thinking: bool,
    /// The answer must be JSON of this schema; an empty one allows any.
    pub(super) schema: Option<Value>,
    pub(super) max_tokens: Option<u64>,
    pub(super) stop: Vec<String>,
    /// Chat: a chunk with the usage ends the stream.
    pub(super) include_usage: bool,
    pub(super) input_tokens: u64,
    pub(super) cached_tokens: u64,
}

#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: String,
    /// `null` for a tool whose input is free text.
    pub(super) schema: Value,
    pub(super) free_text: bool,
}

#[derive(Debug, Default, PartialEq)]
pub(super) enum Choice {
    #[default]
    Auto,
    None,
    Any,
    One(String),
}

/// What the model's name asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scenario {
    Friendly,
    Status(u16),
    ErrorInStream,
    Cut,
    Slow,
    Echo,
    Tool,
    Parallel,
    Thinking,
    Gzip,
    Large {
        kib: usize,
    },
    /// No stream, though one was asked for.
    Whole,
    /// A stream, though none was asked for.
    Streamed,
}

impl Scenario {
    pub(super) fn of(model: &str) -> Self {
        let Some(name) = model.strip_prefix("demo-") else { return Self::Friendly };
        let (word, number) = name.split_once('-').unwrap_or((name, ""));
        match (word, number) {
            ("error", "stream") => Self::ErrorInStream,
            ("error", code) => match code.parse() {
                Ok(status @ 400..=599) => Self::Status(status),
                _ => Self::Friendly,
            },
            ("large", kib) => Self::Large {
                kib: kib.parse().unwrap_or(DEFAULT_LARGE_KIB).clamp(1, MAX_LARGE_KIB),
            },
            ("cut", _) => Self::Cut,
            ("slow", _) => Self::Slow,
            ("echo", _) => Self::Echo,
            ("tool", _) => Self::Tool,
            ("parallel", _) => Self::Parallel,
            ("thinking", _) => Self::Thinking,
            ("gzip", _) => Self::Gzip,
            ("whole", _) => Self::Whole,
            ("streamed", _) => Self::Streamed,
            _ => Self::Friendly,
        }
    }

    /// Whether the answer is a stream, given what was asked for.
    pub(super) fn streams(self, asked: bool) -> bool {
        self == Self::Streamed || (asked && self != Self::Whole)
    }

    /// How long to wait before each fragment of a stream, given the usual wait.
    pub(super) fn pause(self, usual: Duration) -> Duration {
        if self == Self::Slow { SLOW_PAUSE } else { usual }
    }

    /// How long a whole answer takes.
    pub(super) fn delay(self) -> Duration {
        if self == Self::Slow { SLOW_PAUSE * SLOW_WORDS as u32 } else { Duration::ZERO }
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) thinking: Option<String>,
    pub(super) text: Option<Text>,
    pub(super) calls: Vec<Call>,
    pub(super) stop: Stop,
    pub(super) ending: Ending,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON; free text for a tool that takes no JSON.
    pub(super) arguments: String,
    pub(super) free_text: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Stop {
    End,
    MaxTokens,
    Sequence(String),
    Calls,
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ending {
    Clean,
    Error,
    Cut,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Text {
    Written(String),
    Large { kib: usize },
    Endless,
}

impl Text {
    pub(super) fn fragments(self) -> Box<dyn Iterator<Item = String> + Send> {
        match self {
            Self::Written(text) => {
                let words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
                Box::new(words.into_iter())
            }
            Self::Large { kib } => Box::new((0..kib).map(|_| "0123456789abcde ".repeat(64))),
            Self::Endless => Box::new((1..).map(|n: u64| format!("word{n} "))),
        }
    }

    pub(super) fn whole(self) -> String {
        let most = if self == Self::Endless { SLOW_WORDS } else { usize::MAX };
        self.fragments().take(most).collect()
    }

    /// One token is a word, or 4 bytes of the large text.
    fn tokens(&self) -> u64 {
        match self {
            Self::Written(text) => text.split_whitespace().count() as u64,
            Self::Large { kib } => *kib as u64 * 256,
            Self::Endless => SLOW_WORDS as u64,
        }
    }
}

impl Answer {
    /// Decides. `number` makes the ids of calls unique; `seen` is what `demo-echo` tells.
    pub(super) fn to(asked: &Asked, number: u64, seen: impl FnOnce() -> Value) -> Self {
        let scenario = Scenario::of(&asked.model);
        let think = asked.thinking || scenario == Scenario::Thinking;
        let mut answer = Self {
            thinking: think.then(|| format!("The user said: {:?}. I answer.", last_words(asked))),
            text: None,
            calls: calls(asked, scenario, number),
            stop: Stop::End,
            ending: match scenario {
                Scenario::ErrorInStream => Ending::Error,
                Scenario::Cut => Ending::Cut,
                _ => Ending::Clean,
            },
        };
        if answer.calls.is_empty() {
            let (text, stop) = match scenario {
                Scenario::Slow => (Text::Endless, Stop::End),
                Scenario::Large { kib } => (Text::Large { kib }, Stop::End),
                Scenario::Echo => (Text::Written(seen().to_string()), Stop::End),
                _ => limit(words(asked), asked),
            };
            answer.text = Some(text);
            answer.stop = stop;
        } else {
            answer.stop = Stop::Calls;
        }
        answer
    }

    /// Nothing, and an error.
    pub(super) fn failed() -> Self {
        Self {
            thinking: None,
            text: None,
            calls: Vec::new(),
            stop: Stop::End,
            ending: Ending::Error,
        }
    }

    pub(super) fn thinking_tokens(&self) -> u64 {
        self.thinking.as_ref().map_or(0, |text| text.split_whitespace().count() as u64)
    }

    pub(super) fn output_tokens(&self) -> u64 {
        let text = self.text.as_ref().map_or(0, Text::tokens);
        let calls: u64 = self.calls.iter().map(|call| call.arguments.len() as u64 / 4 + 5).sum();
        self.thinking_tokens() + text + calls
    }
}

fn words(asked: &Asked) -> String {
    if let Some(schema) = &asked.schema {
        let free = schema.as_object().is_none_or(Map::is_empty);
        let value = if free { json!({"said": last_words(asked)}) } else { sample("", schema, 0) };
        return value.to_string();
    }
    let mut text = if asked.results.is_empty() {
        format!("Hello from {}! You said: {}", asked.model, last_words(asked))
    } else {
        format!("The tool said: {}", asked.results.join(" | "))
    };
    if !asked.images.is_empty() {
        let (count, kinds) = (asked.images.len(), asked.images.join(", "));
        text.push_str(&format!(" I saw {count} image(s): {kinds}"));
    }
    text
}

/// The end of what the user said last.
fn last_words(asked: &Asked) -> &str {
    const MOST: usize = 200;
    let text = asked.said.last().map_or("", String::as_str);
    let mut start = text.len().saturating_sub(MOST);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Ends the text at the first stop sequence, then at the limit of tokens.
fn limit(mut text: String, asked: &Asked) -> (Text, Stop) {
    let mut stop = Stop::End;
    let found = asked.stop.iter().filter_map(|s| Some((text.find(s.as_str())?, s))).min();
    if let Some((at, sequence)) = found {
        text.truncate(at);
        stop = Stop::Sequence(sequence.clone());
    }
    let most = asked.max_tokens.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    if text.split_whitespace().count() > most {
        text = text.split_inclusive(' ').take(most).collect();
        stop = Stop::MaxTokens;
    }
    (Text::Written(text), stop)
}

fn calls(asked: &Asked, scenario: Scenario, number: u64) -> Vec<Call> {
    let named = |tool: &&Tool| {
        let said = asked.said.join(" ").to_lowercase();
        said.contains("tool") || tool.name.split('_').any(|w| w.len() > 3 && said.contains(w))
    };
    let ready = asked.results.is_empty() && asked.choice != Choice::None;
    let tools: Vec<&Tool> = match (&asked.choice, scenario) {
        _ if !ready => Vec::new(),
        (Choice::One(name), _) => asked.tools.iter().filter(|tool| tool.name == *name).collect(),
        (_, Scenario::Parallel) if !asked.one_call => match asked.tools.as_slice() {
            [only] => vec![only, only],
            all => all.iter().collect(),
        },
        (_, Scenario::Tool | Scenario::Parallel) | (Choice::Any, _) => {
            asked.tools.iter().take(1).collect()
        }
        _ => asked.tools.iter().find(named).into_iter().collect(),
    };
    let call = |(index, tool): (usize, &Tool)| Call {
        id: format!("call_demo{number}_{index}"),
        name: tool.name.clone(),
        arguments: match &tool.schema {
            _ if tool.free_text => FREE_TEXT.to_owned(),
            // A tool without parameters.
            Value::Null => "{}".to_owned(),
            schema => sample("", schema, 0).to_string(),
        },
        free_text: tool.free_text,
    };
    tools.into_iter().enumerate().map(call).collect()
}

/// A value that fits a JSON schema; the name of a property makes strings sensible.
fn sample(name: &str, schema: &Value, depth: usize) -> Value {
    if let Some(fixed) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return fixed.clone();
    }
    // Gemini's own schemas shout.
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    let kind = kind.map(str::to_ascii_lowercase);
    let guess = if schema["properties"].is_object() { "object" } else { "string" };
    match kind.as_deref().unwrap_or(guess) {
        _ if depth > MAX_DEPTH => Value::Null,
        "object" => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let member =
                |(name, schema): (&String, &Value)| (name.clone(), sample(name, schema, depth + 1));
            Value::Object(properties.map(member).collect::<Map<_, _>>())
        }
        "array" => json!([sample(name, &schema["items"], depth + 1)]),
        "integer" => json!(3),
        "number" => json!(1.5),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!(match name {
            "city" | "location" | "place" => "Zürich \"Old Town\"",
            "path" | "file" | "file_path" | "filename" => "README.md",
            "command" | "cmd" => "ls -l",
            "url" | "uri" => "https://example.com/",
            "date" => "2026-11-21",
            _ => "demo",
        }),
    }
}

/// JSON text in pieces, as models stream arguments.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(7).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_scenarios() {
        for (model, scenario) in [
            ("demo", Scenario::Friendly),
            ("gpt-5", Scenario::Friendly),
            ("demo-unheard", Scenario::Friendly),
            ("demo-error-529", Scenario::Status(529)),
            ("demo-error-200", Scenario::Friendly),
            ("demo-error-stream", Scenario::ErrorInStream),
            ("demo-large", Scenario::Large { kib: 1024 }),
            ("demo-large-2", Scenario::Large { kib: 2 }),
            ("demo-slow", Scenario::Slow),
            ("demo-whole", Scenario::Whole),
        ] {
            assert_eq!(Scenario::of(model), scenario, "{model}");
        }
    }

    #[test]
    fn arguments_fit_the_schema() {
        let schema = json!({"type": "object", "properties": {
            "city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "days": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": ["string", "null"]}}, "deep": {"properties": {}},
        }});
        let expected = json!({"city": "Zürich \"Old Town\"", "unit": "c", "days": 3, "tags": ["demo"], "deep": {}});
        assert_eq!(sample("", &schema, 0), expected);
    }

    #[test]
    fn text_ends_where_it_must() {
        let asked = Asked { stop: vec!["c".into(), "b".into()], ..Asked::default() };
        let (text, stop) = limit("a b c".into(), &asked);
        assert_eq!((text.whole().as_str(), stop), ("a ", Stop::Sequence("b".into())));
        let asked = Asked { max_tokens: Some(2), ..Asked::default() };
        let (text, stop) = limit("a b c".into(), &asked);
        assert_eq!((text.whole().as_str(), stop), ("a b ", Stop::MaxTokens));
    }
}
