//! What a vendor's answer says of tokens: by a plain reading of its JSON, none of it ours.

use std::io::Read;
use std::ops::AddAssign;

use serde_json::Value;
use tower_llm_gateway::protocol::Protocol;

/// Tokens, none in two members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) input: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
        self.output += other.output;
        self.reasoning += other.reasoning;
    }
}

/// What an answer says, as far as it was written.
pub(crate) fn of(protocol: Protocol, encoded: bool, bytes: &[u8]) -> Option<Tokens> {
    let mut plain = Vec::new();
    if encoded {
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).ok()?;
    } else {
        plain.extend_from_slice(bytes);
    }
    let text = String::from_utf8(plain).ok()?;
    let mut usage = serde_json::Map::new();
    for document in documents(&text) {
        let found = match protocol {
            Protocol::Anthropic if document["message"]["usage"].is_object() => {
                &document["message"]["usage"]
            }
            Protocol::OpenAiResponses if document["response"].is_object() => {
                &document["response"]["usage"]
            }
            Protocol::Gemini => &document["usageMetadata"],
            _ => &document["usage"],
        };
        // Later counts stand for earlier ones; what is not counted again stays.
        for (name, count) in found.as_object().into_iter().flatten() {
            usage.insert(name.clone(), count.clone());
        }
    }
    (!usage.is_empty()).then(|| read(protocol, &Value::Object(usage)))
}

/// The documents of a stream of events, or the one that there is, or those in a list.
fn documents(text: &str) -> Vec<Value> {
    match serde_json::from_str(text) {
        Ok(Value::Array(list)) => return list,
        Ok(document) => return vec![document],
        Err(_) => {}
    }
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

fn read(protocol: Protocol, usage: &Value) -> Tokens {
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    match protocol {
        Protocol::Anthropic => Tokens {
            input: count(&usage["input_tokens"]),
            cache_read: count(&usage["cache_read_input_tokens"]),
            cache_write: count(&usage["cache_creation_input_tokens"]),
            output: count(&usage["output_tokens"]),
            reasoning: 0,
        },
        Protocol::OpenAiChat => {
            let cached = count(&usage["prompt_tokens_details"]["cached_tokens"]);
            let reasoning = count(&usage["completion_tokens_details"]["reasoning_tokens"]);
            split(
                count(&usage["prompt_tokens"]),
                cached,
                count(&usage["completion_tokens"]),
                reasoning,
            )
        }
        Protocol::OpenAiResponses => {
            let cached = count(&usage["input_tokens_details"]["cached_tokens"]);
            let reasoning = count(&usage["output_tokens_details"]["reasoning_tokens"]);
            split(count(&usage["input_tokens"]), cached, count(&usage["output_tokens"]), reasoning)
        }
        Protocol::Gemini => {
            let cached = count(&usage["cachedContentTokenCount"]);
            let reasoning = count(&usage["thoughtsTokenCount"]);
            let output = count(&usage["candidatesTokenCount"]) + reasoning;
            split(count(&usage["promptTokenCount"]), cached, output, reasoning)
        }
        Protocol::DashScope => {
            let cached = count(&usage["prompt_tokens_details"]["cached_tokens"]);
            let reasoning = count(&usage["output_tokens_details"]["reasoning_tokens"]);
            split(count(&usage["input_tokens"]), cached, count(&usage["output_tokens"]), reasoning)
        }
        _ => unreachable!("there are five"),
    }
}

fn split(input: u64, cached: u64, output: u64, reasoning: u64) -> Tokens {
    Tokens {
        input: input - cached,
        cache_read: cached,
        cache_write: 0,
        output: output - reasoning,
        reasoning,
    }
}
