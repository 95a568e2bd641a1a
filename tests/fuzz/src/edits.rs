//! Edits where the member stands: nothing else changes, and what was asked for is there.

use http::{HeaderMap, Uri};
use serde_json::Value;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::edit::{
    EditError, Edited, InputItem, Outline, OwnedResponse, ResponseOwner, StatefulRequest,
    SystemEdit,
};

use super::document::assert_json;
use super::input::{Input, shown};

const TEXT: &str = "Say \"no\".\n";

pub fn check(input: &Input<'_>) {
    let protocol = input.protocol;
    let Ok(outline) = Outline::read(protocol, input.body) else { return };
    model(protocol, input, &outline);
    stream(protocol, input, &outline);
    state(input);
    item(input);
    owner(input);
    let text = || TEXT.into();
    for edit in [
        SystemEdit::Replace(text()),
        SystemEdit::Prepend(text()),
        SystemEdit::Append(text()),
        SystemEdit::InsertIfAbsent { keyword: text(), text: text() },
        SystemEdit::Remove,
        SystemEdit::ClaudeCode { text: text(), insert: false },
        SystemEdit::ClaudeCode { text: text(), insert: true },
    ] {
        system(protocol, input, &outline, &edit);
    }
}

/// The body as it is after an edit; `None` where there was none.
fn edited(input: &Input<'_>, edit: Result<Edited, EditError>) -> Option<Vec<u8>> {
    match edit.ok()? {
        Edited::Changed(body) => {
            assert_json(input.protocol, input.protocol, input.body, &body);
            Some(body.to_vec())
        }
        Edited::Unchanged => Some(input.body.to_vec()),
    }
}

fn uri() -> Uri {
    Uri::from_static("/v1beta/models/m:generateContent")
}

fn model(protocol: Protocol, input: &Input<'_>, outline: &Outline<'_>) {
    let mut uri = uri();
    let Some(body) = edited(input, outline.set_model(&mut uri, "other")) else { return };
    let outline = Outline::read(protocol, &body).unwrap();
    let (uri, headers) = (uri, HeaderMap::new());
    if let Ok(facts) = outline.facts(&uri, &headers) {
        let model = facts.model.map(|model| model.decode().into_owned());
        assert_eq!(model.as_deref(), Some("other"), "{protocol}: {}", shown(input.body));
    }
    if protocol != Protocol::Gemini {
        assert_only(input, &body, &["model"]);
    }
}

fn stream(protocol: Protocol, input: &Input<'_>, outline: &Outline<'_>) {
    let (mut uri, mut headers) = (uri(), HeaderMap::new());
    let stream = input.flag(0);
    let edit = outline.set_stream(&mut uri, &mut headers, stream);
    let Some(body) = edited(input, edit) else { return };
    let outline = Outline::read(protocol, &body).unwrap();
    if let Ok(facts) = outline.facts(&uri, &headers) {
        assert_eq!(facts.stream, stream, "{protocol}: {}", shown(input.body));
    }
    assert_only(input, &body, &["stream", "stream_options"]);
}

fn state(input: &Input<'_>) {
    let Ok(request) = StatefulRequest::read(input.body) else { return };
    let history = [(&br#"{"role":"user","content":"Hi"}"#[..]).into()];
    for edit in [
        request.without_state(&[]),
        request.without_state(&history),
        request.with_history(&history),
    ] {
        let Some(body) = edited(input, edit) else { continue };
        let again = StatefulRequest::read(&body).unwrap();
        assert!(again.previous().is_none(), "{}", shown(input.body));
        assert_only(input, &body, &["store", "previous_response_id", "input", "include"]);
    }
}

fn item(input: &Input<'_>) {
    let Ok(item) = InputItem::read(input.body) else { return };
    let Some(body) = edited(input, item.listed("msg_1")) else { return };
    let again = InputItem::read(&body).unwrap();
    assert!(again.id().unwrap().is_some_and(|id| id == *"msg_1"), "{}", shown(input.body));
    assert_eq!(again.listed("msg_1"), Ok(Edited::Unchanged), "{}", shown(input.body));
    assert_only(input, &body, &["id", "type", "status", "content"]);
}

fn owner(input: &Input<'_>) {
    let Ok(response) = OwnedResponse::document(input.body) else { return };
    let owner = ResponseOwner { id: "resp_1", previous: Some("resp_0"), stored: input.flag(0) };
    let Some(body) = edited(input, response.claim(&owner)) else { return };
    assert_only(input, &body, &["id", "previous_response_id", "store"]);
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    assert!(value.is_null() || value["id"] == "resp_1", "{}", shown(input.body));
}

/// No other member of the top level has changed.
fn assert_only(input: &Input<'_>, body: &[u8], names: &[&str]) {
    let (Ok(mut before), Ok(mut after)) =
        (serde_json::from_slice::<Value>(input.body), serde_json::from_slice::<Value>(body))
    else {
        return; // a number too large for a float
    };
    for name in names {
        for value in [&mut before, &mut after] {
            value.as_object_mut().unwrap().remove(*name);
        }
    }
    assert_eq!(before, after, "{}", shown(input.body));
}

fn system(protocol: Protocol, input: &Input<'_>, outline: &Outline<'_>, edit: &SystemEdit) {
    let what = || format!("{protocol} {edit:?}: {}", shown(input.body));
    let Some(body) = edited(input, outline.edit_system(edit)) else { return };
    assert_only(
        input,
        &body,
        &["system", "messages", "instructions", "input", "systemInstruction", "system_instruction"],
    );
    let outline = Outline::read(protocol, &body).unwrap();
    let Ok(texts) = outline.system_texts() else { return };
    let texts: Vec<_> = texts.iter().map(|text| text.decode().into_owned()).collect();
    let (first, last) = (texts.first(), texts.last());
    let has = |text: Option<&String>| text.is_some_and(|text| text.contains(TEXT));
    match edit {
        SystemEdit::Replace(_) => assert_eq!(texts, [TEXT], "{}", what()),
        SystemEdit::Prepend(_) => assert!(has(first), "{}: {texts:?}", what()),
        SystemEdit::Append(_) => assert!(has(last), "{}: {texts:?}", what()),
        SystemEdit::Remove => assert!(texts.is_empty(), "{}: {texts:?}", what()),
        SystemEdit::InsertIfAbsent { .. } => {
            assert!(texts.iter().any(|text| has(Some(text))), "{}: {texts:?}", what());
            let again = outline.edit_system(edit);
            assert_eq!(again, Ok(Edited::Unchanged), "{}", what());
        }
        _ => {}
    }
}
