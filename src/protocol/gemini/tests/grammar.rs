//! The grammar of a Gemini stream as Google's SDKs read it, held strictly over bytes, and what the
//! stream says in sum. Independent of reader and writer.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A stream in sum.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Folded {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) candidates: BTreeMap<u64, Candidate>,
    pub(crate) usage: Option<Value>,
    pub(crate) feedback: Option<Value>,
    pub(crate) error: Option<Value>,
}

/// One of its answers.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Candidate {
    /// Parts: words that follow each other are one, unless a signature is between them.
    pub(crate) parts: Vec<Value>,
    pub(crate) finish: Option<String>,
    /// Whatever else it says.
    pub(crate) beside: Map<String, Value>,
}

impl Folded {
    /// What events of any form say, of recordings too.
    pub(crate) fn of_events(bytes: &[u8]) -> Self {
        let mut folded = Self::default();
        let text = std::str::from_utf8(bytes).unwrap();
        for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
            folded.item(&serde_json::from_str(data).unwrap());
        }
        folded
    }

    pub(crate) fn item(&mut self, item: &Value) {
        if let Some(error) = item.get("error") {
            self.error = Some(error.clone());
        }
        for (slot, name) in [(&mut self.id, "responseId"), (&mut self.model, "modelVersion")] {
            if slot.is_empty() {
                *slot = item[name].as_str().unwrap_or_default().to_owned();
            }
        }
        if let Some(usage) = item.get("usageMetadata") {
            self.usage = Some(usage.clone());
        }
        if let Some(feedback) = item.get("promptFeedback") {
            self.feedback = Some(feedback.clone());
        }
        for (position, candidate) in item["candidates"].as_array().into_iter().flatten().enumerate()
        {
            let index = candidate["index"].as_u64().unwrap_or(position as u64);
            self.candidates.entry(index).or_default().add(candidate);
        }
    }
}

impl Candidate {
    fn add(&mut self, candidate: &Value) {
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            self.part(part);
        }
        for (name, value) in candidate.as_object().into_iter().flatten() {
            match name.as_str() {
                "content" | "index" => {}
                "finishReason" => self.finish = value.as_str().map(str::to_owned),
                _ if *value != json!({}) => {
                    self.beside.insert(name.clone(), value.clone());
                }
                _ => {}
            }
        }
    }

    fn part(&mut self, part: &Value) {
        let is_words = |part: &Value| {
            let names = ["text", "thought"];
            part.as_object().is_some_and(|it| it.keys().all(|name| names.contains(&name.as_str())))
        };
        if *part == json!({"text": ""}) {
            return;
        }
        if let (Some(last), true) = (self.parts.last_mut(), is_words(part)) {
            if is_words(last) && last.get("thought") == part.get("thought") {
                let joined =
                    format!("{}{}", last["text"].as_str().unwrap(), part["text"].as_str().unwrap());
                last["text"] = joined.into();
                return;
            }
        }
        if let Some(call) = part.get("functionCall") {
            if self.fragment(part, call) {
                return;
            }
        }
        let words = part["text"].as_str().unwrap_or_default();
        if !words.is_empty() && part.get("thoughtSignature").is_some() {
            // The signature comes behind the words when these are written already.
            let mut before = part.clone();
            before.as_object_mut().unwrap().remove("thoughtSignature");
            self.part(&before);
            let mut behind = part.clone();
            behind["text"] = "".into();
            return self.parts.push(behind);
        }
        let mut part = part.clone();
        if part.get("functionCall").is_some() && part["functionCall"].get("args").is_none() {
            part["functionCall"]["args"] = json!({});
        }
        self.parts.push(part);
    }

    /// A piece of a call; false where it is whole.
    fn fragment(&mut self, part: &Value, call: &Value) -> bool {
        let pieces = call["partialArgs"].as_array();
        if call.get("name").is_some() && call.get("willContinue").is_none() && pieces.is_none() {
            return false;
        }
        if call.get("name").is_some() {
            let mut begun = part.clone();
            begun["functionCall"] = json!({"name": call["name"], "args": {}});
            self.parts.push(begun);
        }
        for piece in pieces.into_iter().flatten() {
            let args = &mut self.parts.last_mut().unwrap()["functionCall"]["args"];
            let path = piece["jsonPath"].as_str().unwrap().replace(']', "");
            let mut place = args;
            for step in path.split(['.', '[']).skip(1) {
                place = match step.parse::<usize>() {
                    Ok(at) => {
                        if place.is_null() {
                            *place = json!([]);
                        }
                        let items = place.as_array_mut().unwrap();
                        items.resize(items.len().max(at + 1), Value::Null);
                        &mut items[at]
                    }
                    Err(_) => &mut place[step],
                };
            }
            match (&piece["stringValue"], place.as_str()) {
                (Value::String(more), Some(text)) => *place = format!("{text}{more}").into(),
                (Value::String(more), None) => *place = more.clone().into(),
                _ => *place = piece["numberValue"].clone(),
            }
        }
        true
    }
}

/// Checks a whole stream, as events or as an array.
pub(crate) fn check(bytes: &[u8], array: bool) -> Result<Folded, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    let mut folded = Folded::default();
    let items = if array { items_of_array(text)? } else { items_of_events(text)? };
    let last = items.len().checked_sub(1).ok_or("an empty stream")?;
    for (at, item) in items.iter().enumerate() {
        piece(item, at == last, &folded).map_err(|e| format!("{e}: {item}"))?;
        folded.item(item);
    }
    if folded.error.is_none() {
        let blocked = folded.candidates.is_empty() && folded.feedback.is_some();
        must(blocked || !folded.candidates.is_empty(), "no candidate")?;
        must(folded.candidates.values().all(|it| it.finish.is_some()), "no reason to finish")?;
    }
    Ok(folded)
}

/// Only lines of data, each with a space behind the colon, and empty ones: google-genai reads any
/// other as JSON.
fn items_of_events(text: &str) -> Result<Vec<Value>, String> {
    must(text.ends_with("\r\n\r\n"), "the last event is cut off")?;
    let mut items = Vec::new();
    for event in text.split("\r\n\r\n").filter(|event| !event.is_empty()) {
        let data = event.strip_prefix("data: ").ok_or_else(|| format!("no data: {event}"))?;
        must(!data.contains(['\n', '\r']), "more than one line")?;
        items.push(serde_json::from_str(data).map_err(|e| format!("{e}: {data}"))?);
    }
    Ok(items)
}

/// One JSON document, in the pieces in which Google sends it.
fn items_of_array(text: &str) -> Result<Vec<Value>, String> {
    let without_pings = text.replace("\r\n\r\n", "");
    let whole: Vec<Value> = serde_json::from_str(text).map_err(|e| format!("{e}: {text}"))?;
    let inner = without_pings.strip_prefix('[').and_then(|text| text.strip_suffix("\n]"));
    let pieces: Vec<_> = inner.ok_or("bad brackets")?.split("\n,\r\n").collect();
    must(pieces.len() == whole.len(), "bad commas")?;
    Ok(whole)
}

type Verdict = Result<(), String>;

fn must(holds: bool, otherwise: &str) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn piece(item: &Value, last: bool, before: &Folded) -> Verdict {
    must(before.error.is_none(), "behind an error")?;
    if let Some(error) = item.get("error") {
        let members: Vec<_> =
            item.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        must(members == ["error"], "an error stands alone")?;
        let code = error["code"].as_u64().is_some_and(|code| (400..600).contains(&code));
        must(code, "SDKs raise by the code")?;
        return must(error["message"].is_string() && error["status"].is_string(), "a bad error");
    }
    for (name, known) in [("responseId", &before.id), ("modelVersion", &before.model)] {
        let value = item[name].as_str().ok_or_else(|| format!("no {name}"))?;
        must(known.is_empty() || value == known, "id or model changed")?;
    }
    must(item.get("usageMetadata").is_some() == last, "counts in the last piece only")?;
    if last {
        must(item["usageMetadata"].is_object(), "no counts")?;
    }
    let Some(candidates) = item["candidates"].as_array() else {
        return must(item.get("promptFeedback").is_some(), "no candidates");
    };
    must(!candidates.is_empty(), "no candidates")?;
    candidates.iter().try_for_each(|it| candidate(it, last))
}

fn candidate(candidate: &Value, last: bool) -> Verdict {
    must(candidate["index"].is_u64(), "no index")?;
    must(candidate["content"]["role"] == "model", "no role")?;
    let parts = candidate["content"]["parts"].as_array().ok_or("no parts")?;
    must(!parts.is_empty(), "clients look into the first part")?;
    must(candidate.get("finishReason").is_some() == last, "a reason in the last piece only")?;
    if last {
        must(candidate["finishReason"].is_string(), "a bad reason")?;
        return must(*parts == [json!({"text": ""})], "words in the last piece");
    }
    parts.iter().try_for_each(|part| {
        let kinds = ["text", "functionCall", "inlineData", "fileData", "executableCode"];
        let more = ["codeExecutionResult", "toolCall", "toolResponse"];
        let kind = kinds.iter().chain(&more).filter(|name| part.get(**name).is_some());
        must(kind.count() == 1, "a part is one thing")?;
        if let Some(call) = part.get("functionCall") {
            must(call["name"].is_string() && call["args"].is_object(), "a bad call")?;
            must(call.get("willContinue").is_none(), "a call in pieces")?;
        }
        let signature = part.get("thoughtSignature");
        let signed = signature.is_none_or(|it| it.as_str().is_some_and(|it| !it.is_empty()));
        must(signed, "an empty signature")?;
        let shown =
            part["text"] != "" || signature.is_some() || candidate.get("logprobsResult").is_some();
        must(shown, "an empty piece")
    })
}

#[test]
fn the_checker_is_strict() {
    let tail = r#""modelVersion":"m","responseId":"i""#;
    let chunk = |parts: &str, more: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{parts}],\"role\":\"model\"}},\
             \"index\":0{more}}}],{tail}}}\r\n\r\n"
        )
    };
    let text = chunk(r#"{"text":"a"}"#, "");
    let call = chunk(r#"{"functionCall":{"name":"f","args":{}}}"#, "");
    let end = chunk(r#"{"text":""}"#, r#","finishReason":"STOP""#)
        .replace(r#""modelVersion""#, r#""usageMetadata":{},"modelVersion""#);
    let error =
        "data: {\"error\":{\"code\":500,\"message\":\"m\",\"status\":\"INTERNAL\"}}\r\n\r\n";
    let good = [
        format!("{text}{call}{end}"),
        end.clone(),
        format!("\r\n\r\n{text}\r\n\r\n{end}"),
        format!("{text}{error}"),
        error.to_owned(),
    ];
    for stream in good {
        check(stream.as_bytes(), false).unwrap();
    }
    let bad = [
        String::new(),
        text.clone(),
        format!("{text}{end}{text}"),
        format!("{error}{end}"),
        format!("{text}: ping\r\n\r\n{end}"),
        format!("{text}{end}").replace("data: ", "data:"),
        format!("{text}{end}").replace("\r\n", "\n"),
        format!("{}{end}", chunk(r#"{"text":""}"#, "")),
        format!("{}{end}", chunk("", "")),
        format!("{}{end}", chunk(r#"{"functionCall":{"name":"f"}}"#, "")),
        format!("{text}{}", end.replace("\"i\"", "\"j\"")),
        error.replace("500", "0"),
    ];
    for stream in bad {
        assert!(check(stream.as_bytes(), false).is_err(), "{stream}");
    }
    let item = |stream: &str| stream.trim().trim_start_matches("data: ").to_owned();
    let array = format!("[{}\n,\r\n{}\n]", item(&text), item(&end));
    check(array.as_bytes(), true).unwrap();
    assert!(check(array.replace("\n,\r\n", ",").as_bytes(), true).is_err());
    assert!(check(array.trim_end_matches(']').as_bytes(), true).is_err());
}
