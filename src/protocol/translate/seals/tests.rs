use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::protocol::VendorTag;
use crate::protocol::call_id::hashed;
use crate::protocol::fold::Fold;
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    Candidate, Content, Delta, Part, PartStart, Request, Rest, Role, Seal, SealKind, Spelling,
    Stop, StopReason, ToolArguments, ToolCall, ToolCallKind, Turn,
};
use crate::protocol::play::play;
use crate::protocol::report::{Reporter, TranslationReport};
use crate::protocol::seal::Envelope;
use crate::protocol::translate::open_envelopes;

use Protocol::{Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};

/// Those whose answers hold seals.
const MAKERS: [Protocol; 3] = [Anthropic, OpenAiResponses, Gemini];

fn text(text: &str) -> JsonStr<'static> {
    JsonStr::from_plain(text.to_owned())
}

fn vendor(of: Protocol) -> Vendor {
    match of {
        Anthropic => Vendor::Anthropic,
        OpenAiResponses => Vendor::OpenAi,
        Gemini => Vendor::Gemini,
        DashScope => Vendor::DashScope,
        OpenAiChat => Vendor::Unknown,
    }
}

/// Each protocol has one vendor here.
fn home(protocol: Protocol) -> Home {
    Home { protocol, vendor: VendorTag::of(protocol.as_str()) }
}

fn seal(of: Protocol, kind: SealKind, data: &str) -> Seal<'static> {
    Seal { vendor: vendor(of), kind, data: text(data) }
}

fn thinking(words: Option<&str>, seal: Option<Seal<'static>>) -> Part<'static> {
    Part::new(Content::Reasoning { text: words.map(text), seal, id: None, raw: None })
}

fn call(id: &str, seal: Option<Seal<'static>>) -> Part<'static> {
    Part::new(Content::ToolCall(ToolCall {
        id: text(id),
        name: text("look"),
        arguments: ToolArguments::Text(text("{\"a\":1}")),
        kind: ToolCallKind::Function,
        seal,
        item_id: None,
        spelling: Spelling::default(),
    }))
}

fn said(words: &str, seal: Option<Seal<'static>>) -> Part<'static> {
    Part { seal, ..Part::text(text(words)) }
}

fn response(origin: Protocol, parts: Vec<Part<'static>>) -> Response<'static> {
    Response {
        origin,
        id: text("id"),
        model: text("model"),
        created: None,
        candidates: vec![Candidate {
            index: 0,
            parts,
            stop: Some(Stop::new(StopReason::ToolUse)),
            logprobs: None,
            spelling: Spelling::default(),
            message_rest: Rest::default(),
            rest: Rest::default(),
        }],
        usage: None,
        rest: Rest::default(),
    }
}

/// What a caller of `to` gets of an answer with these parts, and what is deposited.
fn whole(
    from: Protocol,
    to: Protocol,
    parts: &[Part<'static>],
) -> (Vec<Part<'static>>, Vec<Deposit>) {
    let mut sealer = Sealer::new(home(from), to);
    let mut response = response(from, parts.to_vec());
    sealer.response(&mut response);
    (response.candidates.remove(0).parts, sealer.take_deposits())
}

/// The same by way of a stream. Indices must count up, parts must be closed once.
fn streamed(
    from: Protocol,
    to: Protocol,
    parts: &[Part<'static>],
) -> (Vec<Part<'static>>, Vec<Deposit>) {
    let mut sealer = Sealer::new(home(from), to);
    let mut fold = Fold::new(from, 1 << 22);
    let (mut last, mut open) = (None, Vec::new());
    let mut deposits = Vec::new();
    play(&response(from, parts.to_vec()), &mut |event| {
        sealer.event(event, &mut |event| {
            match &event {
                StreamEvent::PartStart { index, .. } => {
                    assert!(last.is_none_or(|last| last < *index), "indices count up");
                    last = Some(*index);
                    open.push(*index);
                }
                StreamEvent::Delta { index, .. } => assert!(open.contains(index), "an open part"),
                StreamEvent::PartStop { index } => {
                    let at = open.iter().position(|open| open == index).expect("an open part");
                    open.remove(at);
                }
                StreamEvent::Stop { .. } => assert!(open.is_empty(), "all parts are closed"),
                _ => {}
            }
            fold.event(event);
        });
        deposits.extend(sealer.take_deposits());
    });
    (fold.finish().unwrap().candidates.remove(0).parts, deposits)
}

/// A request of `origin` whose only turn of the model has these parts, opened for `to`.
fn opened(
    origin: Protocol,
    to: Protocol,
    parts: Vec<Part<'static>>,
    deposits: &[Deposit],
) -> (Vec<Part<'static>>, TranslationReport) {
    opened_for(origin, home(to), parts, deposits)
}

fn opened_for(
    origin: Protocol,
    to: Home,
    parts: Vec<Part<'static>>,
    deposits: &[Deposit],
) -> (Vec<Part<'static>>, TranslationReport) {
    let mut request = Request::new(origin);
    request.turns = vec![Turn::new(Role::User), Turn { parts, ..Turn::new(Role::Assistant) }];
    let kept: HashMap<&str, Bytes> =
        deposits.iter().map(|it| (it.call_id.as_str(), it.value.clone())).collect();
    let mut report = Reporter::new("{}");
    open(&mut request, to, &|id| kept.get(id).cloned(), &mut report);
    let parts = request.turns.remove(1).parts;
    (parts.into_iter().map(Part::into_owned).collect(), report.finish())
}

/// What a client that keeps everything sends back: envelopes look like its vendor's own seals.
fn replayed(caller: Protocol, mut parts: Vec<Part<'static>>) -> Vec<Part<'static>> {
    let own = |seal: &mut Option<Seal<'_>>| {
        if let Some(seal) = seal {
            assert_eq!(seal.vendor, Vendor::Gateway, "only envelopes go to a caller");
            seal.vendor = vendor(caller);
        }
    };
    for part in &mut parts {
        own(&mut part.seal);
        match &mut part.content {
            Content::Reasoning { seal, .. } => {
                own(seal);
                assert!(
                    caller != Gemini
                        || !seal.as_ref().is_some_and(|it| it.data.escaped().contains(':'))
                );
            }
            Content::ToolCall(call) => own(&mut call.seal),
            _ => {}
        }
        let in_place = caller == Gemini || part.seal.is_none();
        assert!(in_place, "only Gemini has seals on words");
    }
    parts
}

/// What a client of Chat sends back: words in one, calls, no thinking.
fn forgotten(parts: &[Part<'static>]) -> Vec<Part<'static>> {
    let words: String = parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::Text { text, .. } => Some(text.decode().into_owned()),
            _ => None,
        })
        .collect();
    let calls = parts.iter().filter_map(|part| match &part.content {
        Content::ToolCall(made) => Some(call(&made.id.decode(), None)),
        _ => None,
    });
    let words = (!words.is_empty()).then(|| said(&words, None));
    words.into_iter().chain(calls).collect()
}

/// Neighbours without seals as one text; empty ones are nothing.
fn joined(parts: Vec<Part<'static>>) -> Vec<Part<'static>> {
    let mut out: Vec<Part<'static>> = Vec::new();
    for part in parts {
        if let (Content::Text { text: words, .. }, None) = (&part.content, &part.seal) {
            if words.is_empty() {
                continue;
            }
            if let Some(Part { content: Content::Text { text: before, .. }, seal: None, .. }) =
                out.last_mut()
            {
                *before = text(&format!("{}{}", before.decode(), words.decode()));
                continue;
            }
        }
        out.push(part);
    }
    out
}

fn assert_no_seals(parts: &[Part<'_>]) {
    for part in parts {
        assert_eq!(part.seal, None);
        match &part.content {
            Content::Reasoning { seal, .. } => assert_eq!(*seal, None),
            Content::ToolCall(call) => assert_eq!(call.seal, None),
            _ => {}
        }
    }
}

/// Parts as a vendor makes them; words stand before calls, as Chat has it.
fn turns(of: Protocol) -> impl Strategy<Value = Vec<Part<'static>>> {
    let words = || "[a-z\u{e9}\u{1f600}\"\\\\\n:]{1,6}";
    let thought = (words(), any::<u32>(), any::<bool>()).prop_map(move |(words, n, bare)| {
        let data = format!("seal+/{n}=");
        match of {
            Anthropic if bare => thinking(None, Some(seal(of, SealKind::Redacted, &data))),
            Anthropic => thinking(Some(&words), Some(seal(of, SealKind::Signature, &data))),
            OpenAiResponses => {
                thinking((!bare).then_some(&*words), Some(seal(of, SealKind::Encrypted, &data)))
            }
            _ => thinking(Some(&words), None),
        }
    });
    let signed = move |sealed: bool, n: u32| {
        let data = format!("c2VhbA{n}==");
        (sealed && of == Gemini).then(|| seal(of, SealKind::ThoughtSignature, &data))
    };
    let words_part =
        (words(), any::<(bool, bool, u32)>()).prop_map(move |(words, (sealed, silent, n))| {
            let seal = signed(sealed, n);
            said(if silent && seal.is_some() { "" } else { &words }, seal)
        });
    let call_part = any::<(bool, u32)>().prop_map(move |(sealed, n)| call("", signed(sealed, n)));
    let head = prop_oneof![thought.clone(), words_part];
    let tail = prop_oneof![thought, call_part.clone()];
    let tail = prop::collection::vec(tail, 0..4);
    (prop::collection::vec(head, 0..5), call_part, tail).prop_map(|(mut parts, first, tail)| {
        parts.push(first);
        parts.extend(tail);
        let mut calls = 0;
        for part in &mut parts {
            if let Content::ToolCall(call) = &mut part.content {
                calls += 1;
                call.id = text(&format!("call_{calls}"));
            }
        }
        parts
    })
}

fn is_sealed_thinking_or_no_thinking(part: &Part<'_>) -> bool {
    !matches!(part.content, Content::Reasoning { seal: None, .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn units_are_those_of_the_decoded_text(text in "[a\\\\\"é\u{1f600}\n\u{1}]{0,9}") {
        let escaped = JsonStr::from_plain(text.as_str());
        prop_assert_eq!(entry::units_of(&escaped), text.encode_utf16().count());
        let pairs = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
        prop_assert_eq!(entry::units_of(&JsonStr::from_escaped(pairs)), text.encode_utf16().count());
    }

    #[test]
    fn seals_come_back_to_their_places(
        (from, parts) in prop::sample::select(&MAKERS[..]).prop_flat_map(|from| (Just(from), turns(from))),
    ) {
        for to in Protocol::ALL.into_iter().filter(|to| *to != from) {
            for way in [whole, streamed] {
                let (got, deposits) = way(from, to, &parts);
                if MAKERS.contains(&to) {
                    prop_assert!(deposits.is_empty());
                    let (back, report) = opened(to, from, replayed(to, got), &[]);
                    prop_assert_eq!(back, &parts[..], "{} {}", from, to);
                    prop_assert!(report.is_empty(), "{}", report);
                } else {
                    let (back, report) = opened(to, from, forgotten(&got), &deposits);
                    let mut expected = parts.clone();
                    expected.retain(is_sealed_thinking_or_no_thinking);
                    prop_assert_eq!(joined(back), joined(expected), "{} {}", from, to);
                    prop_assert!(report.is_empty(), "{}", report);
                }
            }
        }
    }

    #[test]
    fn no_seal_reaches_another_vendor(
        (from, parts) in prop::sample::select(&MAKERS[..]).prop_flat_map(|from| (Just(from), turns(from))),
    ) {
        for to in Protocol::ALL.into_iter().filter(|to| *to != from) {
            let (got, deposits) = whole(from, to, &parts);
            for other in Protocol::ALL.into_iter().filter(|other| *other != from) {
                let got = if MAKERS.contains(&to) { replayed(to, got.clone()) } else { forgotten(&got) };
                // A key holds the upstream, so deposits of another are never found; not even then.
                let (back, _) = opened(to, other, got, &deposits);
                if other != to || MAKERS.contains(&to) {
                    assert_no_seals(&back);
                }
            }
        }
    }

    #[test]
    fn any_garbage_is_survived(data in "(llmx1\\.)?[a-z:0-9]{0,40}", kept in "\\PC{0,60}") {
        let parts = vec![
            thinking(None, Some(seal(Anthropic, SealKind::Redacted, &data))),
            thinking(Some("x"), Some(seal(Anthropic, SealKind::Signature, &data))),
            said("", Some(seal(Anthropic, SealKind::Signature, &data))),
            call("call_1", Some(seal(Anthropic, SealKind::Signature, &data))),
        ];
        let (back, _) = opened(Anthropic, Gemini, parts, &[]);
        assert_no_seals(&back);
        let deposit = Deposit { call_id: "call_1".into(), value: Bytes::from(kept) };
        let (back, _) = opened(OpenAiChat, Gemini, vec![call("call_1", None)], &[deposit]);
        prop_assert_eq!(back, vec![call("call_1", None)]);
    }
}

#[test]
fn altered_thinking_loses_its_signature() {
    let signature = seal(Anthropic, SealKind::Signature, "sig");
    let (got, _) = whole(Anthropic, OpenAiResponses, &[thinking(Some("I think"), Some(signature))]);
    let mut parts = replayed(OpenAiResponses, got);
    if let Content::Reasoning { text: words, .. } = &mut parts[0].content {
        *words = Some(text("I thought"));
    }
    let (back, report) = opened(OpenAiResponses, Anthropic, parts, &[]);
    assert_eq!(back, []);
    assert_eq!(report.losses()[0].reason, "thinking that was altered behind its signature");
}

#[test]
fn what_belongs_nowhere_is_reported() {
    let sealed = seal(Gemini, SealKind::ThoughtSignature, "c2ln");
    let parts = [said("words", Some(sealed.clone())), call("call_1", Some(sealed))];
    let (got, _) = whole(Gemini, Anthropic, &parts);
    // The client kept the carriers alone.
    let mut parts = replayed(Anthropic, got);
    parts.retain(|part| matches!(part.content, Content::Reasoning { .. }));
    assert_eq!(parts.len(), 2);
    let (back, report) = opened(Anthropic, Gemini, parts, &[]);
    assert_eq!(back, []);
    let reasons: Vec<_> = report.losses().iter().map(|loss| loss.reason).collect();
    assert_eq!(reasons, ["a seal whose words are gone", "a seal whose call is gone"]);
}

#[test]
fn an_envelope_is_moved_by_no_one() {
    let sealed = seal(Gemini, SealKind::ThoughtSignature, "c2ln");
    let (got, _) = whole(Gemini, Anthropic, &[call("call_1", Some(sealed))]);
    let Content::Reasoning { seal: Some(carried), .. } = &got[0].content else { panic!("{got:?}") };
    let moved = Seal { vendor: Vendor::Gemini, ..carried.clone() };
    let (back, report) = opened(Gemini, Gemini, vec![call("call_2", Some(moved))], &[]);
    assert_eq!(back, [call("call_2", None)]);
    assert_eq!(report.losses()[0].reason, "a seal in a place that is not its own");
}

#[test]
fn within_one_protocol_only_envelopes_are_opened() {
    let own = thinking(Some("mine"), Some(seal(Anthropic, SealKind::Signature, "sig")));
    let unsigned = thinking(Some("nobody's"), None);
    let sealed = seal(Gemini, SealKind::ThoughtSignature, "c2ln");
    let (got, _) = whole(Gemini, Anthropic, &[call("call_1", Some(sealed))]);
    let carrier = replayed(Anthropic, got).remove(0);
    let parts = vec![own.clone(), unsigned.clone(), carrier, call("call_1", None)];
    let (back, report) = opened(Anthropic, Anthropic, parts, &[]);
    assert_eq!(back, [own, unsigned, call("call_1", None)]);
    assert_eq!(report.losses().len(), 1);
}

#[test]
fn a_client_that_sends_its_reasoning_back_gets_no_second_one() {
    let signed = thinking(Some("I think"), Some(seal(Anthropic, SealKind::Signature, "sig")));
    let parts = [signed.clone(), call("call_1", None)];
    let (_, deposits) = whole(Anthropic, OpenAiChat, &parts);
    let sent = vec![thinking(Some("I think"), None), call("call_1", None)];
    let (back, report) = opened(OpenAiChat, Anthropic, sent.clone(), &deposits);
    assert_eq!(back, parts);
    assert!(report.is_empty());
    // Without a deposit it is worth nothing to Messages, and something to DashScope.
    let (back, report) = opened(OpenAiChat, Anthropic, sent.clone(), &[]);
    assert_eq!(back, [call("call_1", None)]);
    assert_eq!(report.losses().len(), 1);
    let (back, _) = opened(OpenAiChat, DashScope, sent.clone(), &[]);
    assert_eq!(back, sent);
}

#[test]
fn changed_words_keep_the_thinking_before_the_call() {
    let sealed = |n: &str| thinking(Some(n), Some(seal(Anthropic, SealKind::Signature, n)));
    let parts = [sealed("1"), said("some words", None), sealed("2"), call("call_1", None)];
    let (_, deposits) = whole(Anthropic, OpenAiChat, &parts);
    let sent = vec![said("other", None), call("call_1", None)];
    let (back, _) = opened(OpenAiChat, Anthropic, sent, &deposits);
    assert_eq!(back, [sealed("1"), said("other", None), sealed("2"), call("call_1", None)]);
}

#[test]
fn another_vendor_of_the_same_protocol_gets_no_seal() {
    for from in [Anthropic, OpenAiResponses, Gemini, OpenAiChat] {
        let kind = SealKind::ThoughtSignature;
        let maker = if from == OpenAiChat { Gemini } else { from };
        let parts = [thinking(Some("t"), None), call("call_1", Some(seal(maker, kind, "c2ln")))];
        let other = Home { protocol: from, vendor: VendorTag::of("another") };
        for caller in Protocol::ALL.into_iter().filter(|caller| *caller != from) {
            let (got, deposits) = whole(from, caller, &parts);
            let sent = match deposits.is_empty() {
                true => replayed(caller, got),
                false => vec![call("call_1", None)],
            };
            let (back, report) = opened_for(caller, other, sent.clone(), &deposits);
            let called = back.last().map(|part| &part.content);
            let Some(Content::ToolCall(ToolCall { seal, .. })) = called else { panic!("{back:?}") };
            assert_eq!(*seal, None, "{caller} to {from}");
            assert_eq!(report.is_empty(), !deposits.is_empty(), "{caller} to {from}");
            let (back, _) = opened(caller, from, sent, &deposits);
            assert_eq!(back.last(), parts.last(), "{caller} to {from}");
        }
    }
}

#[test]
fn many_cuts_come_back_and_are_bounded() {
    let signed = |count: usize| -> Vec<_> {
        let seal = |n: usize| seal(Gemini, SealKind::ThoughtSignature, &format!("c{n}"));
        let words = (0..count).map(|n| said("\u{1f600}\"x", Some(seal(n))));
        words.chain([call("call_1", None)]).collect()
    };
    let joined =
        |count: usize| vec![said(&"\u{1f600}\"x".repeat(count), None), call("call_1", None)];
    for way in [whole, streamed] {
        let (_, deposits) = way(Gemini, OpenAiChat, &signed(1000));
        let (back, report) = opened(OpenAiChat, Gemini, joined(1000), &deposits);
        assert_eq!(back, signed(1000));
        assert!(report.is_empty());
        assert_eq!(way(Gemini, OpenAiChat, &signed(10_000)).1, []);
    }
}

#[test]
fn deposits_are_bounded() {
    for way in [whole, streamed] {
        let large = "x".repeat(MAX_DEPOSIT + 1);
        let signed = thinking(Some(&large), Some(seal(Anthropic, SealKind::Signature, "sig")));
        let (got, deposits) = way(Anthropic, OpenAiChat, &[signed.clone(), call("call_1", None)]);
        assert_eq!(deposits, []);
        assert_eq!(got[0], signed, "the answer itself stays");
    }
}

#[test]
fn nothing_is_deposited_without_a_call_or_a_seal() {
    let signed = thinking(Some("t"), Some(seal(Anthropic, SealKind::Signature, "sig")));
    for parts in [vec![signed], vec![thinking(Some("t"), None), call("call_1", None)]] {
        assert_eq!(whole(Anthropic, OpenAiChat, &parts).1, []);
        assert_eq!(streamed(Anthropic, DashScope, &parts).1, []);
    }
}

#[test]
fn thinking_in_pieces_is_put_together() {
    let signed = thinking(Some("I think so"), Some(seal(Anthropic, SealKind::Signature, "sig")));
    let hidden = thinking(None, Some(seal(Anthropic, SealKind::Redacted, "data")));
    let parts = [signed, hidden, call("call_1", None)];
    let (got, _) = whole(Anthropic, Gemini, &parts);
    let mut sent = replayed(Gemini, got);
    // As the pieces of a stream: the words, and behind them an empty thought with the seal.
    let Content::Reasoning { seal: envelope, .. } = &mut sent[0].content else {
        panic!("{sent:?}")
    };
    let last = thinking(Some(""), envelope.take());
    sent.splice(0..1, [thinking(Some("I think"), None), thinking(Some(" so"), None), last]);
    let turn = |part| Turn { parts: vec![part], ..Turn::new(Role::Assistant) };
    let mut request = Request::new(Gemini);
    request.turns = sent.into_iter().map(turn).collect();
    let mut report = Reporter::new("{}");
    open(&mut request, home(Anthropic), &|_| None, &mut report);
    assert!(report.finish().is_empty());
    assert_eq!(request.turns[0].parts, parts);
    assert!(request.turns[1..].iter().all(|turn| turn.parts.is_empty()));
}

#[test]
fn an_id_that_messages_does_not_take_is_told_by_what_its_caller_sees() {
    let sealed = seal(Gemini, SealKind::ThoughtSignature, "c2ln");
    let (got, _) = whole(Gemini, Anthropic, &[call("functions.get:0", Some(sealed.clone()))]);
    let mut sent = replayed(Anthropic, got);
    sent[1] = call(&hashed("functions.get:0"), None);
    let (back, report) = opened(Anthropic, Gemini, sent, &[]);
    assert_eq!(back, [call(&hashed("functions.get:0"), Some(sealed))]);
    assert!(report.is_empty());
}

#[test]
fn a_chat_dialect_gets_its_own_seals_back() {
    // Gemini's own Chat endpoint signs calls too.
    let sealed = seal(Gemini, SealKind::ThoughtSignature, "c2ln");
    let parts = [call("call_1", Some(sealed))];
    for to in MAKERS {
        let (got, _) = whole(OpenAiChat, to, &parts);
        let (back, report) = opened(to, OpenAiChat, replayed(to, got), &[]);
        assert_eq!(back, parts, "{to}");
        assert!(report.is_empty());
    }
    let (_, deposits) = whole(OpenAiChat, DashScope, &parts);
    assert_eq!(opened(DashScope, OpenAiChat, vec![call("call_1", None)], &deposits).0, parts);
}

#[test]
fn many_open_parts_end_the_stream() {
    let mut sealer = Sealer::new(home(OpenAiChat), Anthropic);
    let (mut started, mut failed) = (0, false);
    for index in 0..2000 {
        let part = PartStart::Other { kind: text("x"), raw: Raw::literal("{}") };
        let event = StreamEvent::PartStart { index, candidate: 0, part, rest: Rest::default() };
        sealer.event(event, &mut |event| match event {
            StreamEvent::PartStart { .. } => started += 1,
            StreamEvent::Error(_) => failed = true,
            _ => {}
        });
    }
    assert_eq!((started, failed), (1024, true));
}

#[test]
fn a_thought_that_says_nothing_is_nothing() {
    let mut sealer = Sealer::new(home(OpenAiChat), Anthropic);
    let start = StreamEvent::PartStart {
        index: 0,
        candidate: 0,
        part: PartStart::Reasoning { seal: None },
        rest: Rest::default(),
    };
    let delta = StreamEvent::Delta { index: 0, delta: Delta::Reasoning(JsonStr::default()) };
    for event in [start, delta, StreamEvent::PartStop { index: 0 }] {
        sealer.event(event, &mut |event| panic!("{event:?}"));
    }
}

#[test]
fn debug_shows_no_seal() {
    let sealed = seal(Gemini, SealKind::ThoughtSignature, "c2VjcmV0");
    let (got, deposits) = whole(Gemini, OpenAiChat, &[call("call_1", Some(sealed.clone()))]);
    assert!(!format!("{sealed:?} {got:?} {deposits:?}").contains("c2VjcmV0"));
    let (got, _) = whole(Gemini, Anthropic, &[call("call_1", Some(sealed))]);
    let Content::Reasoning { seal: Some(carried), .. } = &got[0].content else { panic!("{got:?}") };
    assert!(matches!(Envelope::decode(&carried.data), Some(Ok(_))));
    assert!(!format!("{got:?} {:?}", Envelope::decode(&carried.data)).contains("c2VjcmV0"));
}

#[test]
fn a_request_within_one_protocol_is_cleaned() {
    let sealed = seal(Gemini, SealKind::ThoughtSignature, "c2ln");
    let parts = [thinking(Some("hm"), None), call("call_1", Some(sealed))];
    let (got, _) = whole(Gemini, Anthropic, &parts);
    let data = |part: &Part<'_>| match &part.content {
        Content::Reasoning { seal: Some(seal), .. } => seal.data.escaped().to_owned(),
        other => panic!("{other:?}"),
    };
    let (unsealed, carrier) = (data(&got[0]), data(&got[1]));
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"assistant","content":[
            {{"type":"thinking","thinking":"hm","signature":"{unsealed}"}},
            {{"type":"redacted_thinking","data":"{carrier}"}},
            {{"type":"tool_use","id":"call_1","name":"look","input":{{}}}}]}},
            {{"role":"user","content":[{{"type":"tool_result","tool_use_id":"call_1"}}]}}],
            "thinking":{{"type":"enabled","budget_tokens":1024}},"x":1}}"#
    );
    let opened =
        open_envelopes(Anthropic, home(Anthropic).vendor, body.as_bytes()).unwrap().unwrap();
    let lost: Vec<_> = opened.report.losses().iter().map(|loss| &*loss.pointer).collect();
    assert_eq!(lost, ["/messages/0/content/1/data", "/thinking"]);
    // Thinking is off for once: Messages refuses to think on where its own thinking is missing.
    assert_eq!(
        opened.body,
        concat!(
            r#"{"model":"m","messages":[{"role":"assistant","content":["#,
            r#"{"type":"tool_use","id":"call_1","name":"look","input":{}}]},"#,
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1"}]}],"x":1}"#
        )
    );
    for body in [
        r#"{"messages":[{"role":"user","content":"What is llmx1.?"}]}"#,
        r#"{"messages":[{"role":"user","content":"Hi"}]}"#,
    ] {
        assert_eq!(
            open_envelopes(Anthropic, home(Anthropic).vendor, body.as_bytes()).unwrap(),
            None
        );
    }
}
