//! Conversations of five turns with tools and thinking: every caller in front of every vendor,
//! whole and streamed. The callers send back what the clients of their protocol do; the vendors
//! issue new seals in each turn and answer 400 unless all earlier ones come back unaltered, at
//! their places, and no one else's do.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

#[path = "conversation/caller.rs"]
mod caller;
#[path = "conversation/script.rs"]
mod script;
#[path = "conversation/vendor/mod.rs"]
mod vendor;
#[path = "conversation/wire.rs"]
mod wire;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_llm_gateway::ProviderTranslateLayer;
use tower_llm_gateway::body::RewriteBody;
use tower_llm_gateway::context::{Exchange, Principal, Upstream};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::Protocol::{
    Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses,
};
use tower_llm_gateway::store::MemoryVault;

use caller::Caller;
use script::TURNS;
use vendor::Vendor;

/// A vendor's protocol and host.
type Host = (Protocol, &'static str);

/// All vendors, and which of them is asked now.
#[derive(Default)]
struct World {
    vendors: HashMap<Host, Vendor>,
    asked: Option<Host>,
    turn: usize,
}

impl World {
    fn answer(&mut self, path: &str, body: &[u8]) -> Result<(&'static str, String), String> {
        let asked = self.asked.unwrap();
        let text = std::str::from_utf8(body).unwrap();
        for sign in ["llmx1.", "bGxteDEu"] {
            if text.contains(sign) {
                return Err(format!("an envelope of the gateway came: {text}"));
            }
        }
        let others = self.vendors.iter().filter(|(other, _)| **other != asked);
        for seal in others.flat_map(|(_, vendor)| &vendor.seals) {
            if text.contains(seal) {
                return Err(format!("the seal {seal} of another vendor came: {text}"));
            }
        }
        let vendor = self.vendors.get_mut(&asked).unwrap();
        vendor.answer(path, &serde_json::from_str(text).unwrap(), self.turn)
    }
}

/// Leads a conversation in which `vendors` answer turn by turn.
async fn converse(protocol: Protocol, vendors: [Protocol; TURNS], stream: bool) {
    converse_at(protocol, vendors.map(|vendor| (vendor, "vendor")), stream).await;
}

/// The same with hosts.
async fn converse_at(protocol: Protocol, vendors: [Host; TURNS], stream: bool) {
    let layer = [ProviderTranslateLayer::from_context()];
    let name = |turn| format!("{protocol} to {vendors:?}, stream: {stream}, turn {turn}");
    if let Err((turn, reason)) = converse_with(&layer, &["team"], protocol, vendors, stream).await {
        panic!("{}: {reason}", name(turn));
    }
}

/// The same, with `layers` and by `principals` in turn; the error is the turn and the answer that
/// is none.
async fn converse_with(
    layers: &[ProviderTranslateLayer],
    principals: &[&str],
    protocol: Protocol,
    vendors: [Host; TURNS],
    stream: bool,
) -> Result<(), (usize, String)> {
    let name = format!("{protocol} to {vendors:?}, stream: {stream}");
    let mut caller = Caller::new(protocol, stream);
    let world = Arc::new(Mutex::new(World::default()));
    for vendor in vendors {
        let keeps_all = caller.keeps_all() || vendor.0 == protocol;
        world
            .lock()
            .unwrap()
            .vendors
            .entry(vendor)
            .or_insert_with(|| Vendor::new(vendor.0, vendor.1, keeps_all));
    }
    let inner = {
        let world = Arc::clone(&world);
        service_fn(move |request: Request<RewriteBody<Full<Bytes>>>| {
            let world = Arc::clone(&world);
            async move { Ok::<_, Infallible>(serve(&world, request).await) }
        })
    };
    for (turn, vendor) in vendors.into_iter().enumerate() {
        {
            let mut world = world.lock().unwrap();
            (world.asked, world.turn) = (Some(vendor), turn);
        }
        let mut request = caller.request();
        let base = format!("http://{}", vendor.1);
        let upstream = Upstream::new(&base, vendor.0).unwrap().key("key").unwrap();
        request.extensions_mut().insert(upstream);
        let principal = Principal::new(principals[turn % principals.len()]);
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| facts.principal = Some(principal));
        let response =
            layers[turn % layers.len()].layer(inner.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = text(response.into_body()).await;
        if status != 200 {
            return Err((turn, body));
        }
        let said = caller.take(&body);
        script::check(turn, &said, &format!("{name}, turn {turn}: {body}"));
    }
    let world = world.lock().unwrap();
    for vendor in world.vendors.values() {
        assert!(vendor.seals.len() >= vendor.fewest_seals(), "{name}: {:?}", vendor.seals);
        if vendors.iter().all(|other| *other == vendors[0]) {
            assert!(vendor.always_thought, "{name}: the vendor was told not to think");
        }
    }
    Ok(())
}

async fn serve(
    world: &Mutex<World>,
    request: Request<RewriteBody<Full<Bytes>>>,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = text(body).await;
    let answer = world.lock().unwrap().answer(&parts.uri.to_string(), body.as_bytes());
    let (status, kind, body) = match answer {
        Ok((kind, body)) => (200, kind, body),
        Err(reason) => {
            let error = serde_json::json!({"error": {"message": reason, "type": "invalid"}});
            (400, "application/json", error.to_string())
        }
    };
    let response = Response::builder().status(status).header("content-type", kind);
    response.body(Full::new(Bytes::from(body))).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test knows how long its bodies are")]
async fn text<B>(body: B) -> String
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn every_caller_of(vendor: Protocol) {
    for caller in Protocol::ALL {
        for stream in [false, true] {
            converse(caller, [vendor; TURNS], stream).await;
        }
    }
}

#[tokio::test]
async fn anthropic_gets_its_thinking_back() {
    every_caller_of(Anthropic).await;
}

#[tokio::test]
async fn openai_gets_its_reasoning_back() {
    every_caller_of(OpenAiResponses).await;
}

#[tokio::test]
async fn gemini_gets_its_signatures_back() {
    every_caller_of(Gemini).await;
}

#[tokio::test]
async fn chat_has_no_seals() {
    every_caller_of(OpenAiChat).await;
}

#[tokio::test]
async fn dashscope_has_no_seals() {
    every_caller_of(DashScope).await;
}

/// The vendors look closely: what is lost is refused.
#[tokio::test]
async fn without_a_vault_chat_loses_the_thinking() {
    for vendor in [Anthropic, OpenAiResponses, Gemini] {
        for stream in [false, true] {
            let layer = [ProviderTranslateLayer::from_context().without_vault()];
            let lost =
                converse_with(&layer, &["team"], OpenAiChat, [(vendor, "vendor"); TURNS], stream)
                    .await;
            assert_eq!(lost.map_err(|(turn, _)| turn), Err(1), "{vendor}");
        }
    }
}

#[tokio::test]
async fn no_one_gets_the_thinking_of_another_principal() {
    let layer = [ProviderTranslateLayer::from_context()];
    let all = [(Anthropic, "vendor"); TURNS];
    let lost = converse_with(&layer, &["one", "two"], OpenAiChat, all, true).await;
    assert_eq!(lost.map_err(|(turn, _)| turn), Err(1));
    assert_eq!(converse_with(&layer, &["one"], OpenAiChat, all, true).await, Ok(()));
}

#[tokio::test]
async fn layers_share_a_vault() {
    let vault = MemoryVault::new();
    let one = ProviderTranslateLayer::from_context().vault(Arc::new(vault.clone()));
    let two = ProviderTranslateLayer::from_context().vault(Arc::new(vault.clone()));
    let all = [(Gemini, "vendor"); TURNS];
    assert_eq!(converse_with(&[one, two], &["one"], OpenAiChat, all, false).await, Ok(()));
    assert_eq!(vault.len(), 3, "three turns have calls, and the first call of each is signed");
    // Two layers of their own do not.
    let apart = [0, 1].map(|_| ProviderTranslateLayer::from_context());
    let lost = converse_with(&apart, &["one"], OpenAiChat, all, false).await;
    assert_eq!(lost.map_err(|(turn, _)| turn), Err(1));
}

/// In the midst of a tool's loop, behind it, and back again.
async fn every_switch_of(caller: Protocol) {
    for one in Protocol::ALL {
        for two in Protocol::ALL.into_iter().filter(|two| *two != one) {
            for stream in [false, true] {
                converse(caller, [one, two, one, two, one], stream).await;
                converse(caller, [one, one, one, two, two], stream).await;
            }
        }
    }
}

/// Two vendors that speak the same: an envelope or a deposit tells whose it is.
#[tokio::test]
async fn vendors_of_one_protocol_are_told_apart() {
    for protocol in Protocol::ALL {
        let (one, two) = ((protocol, "one"), (protocol, "two"));
        for caller in Protocol::ALL.into_iter().filter(|caller| *caller != protocol) {
            for stream in [false, true] {
                converse_at(caller, [one, two, one, two, one], stream).await;
                converse_at(caller, [one, one, one, two, two], stream).await;
            }
        }
    }
}

#[tokio::test]
async fn anthropic_callers_change_the_vendor() {
    every_switch_of(Anthropic).await;
}

#[tokio::test]
async fn responses_callers_change_the_vendor() {
    every_switch_of(OpenAiResponses).await;
}

#[tokio::test]
async fn gemini_callers_change_the_vendor() {
    every_switch_of(Gemini).await;
}

#[tokio::test]
async fn chat_callers_change_the_vendor() {
    every_switch_of(OpenAiChat).await;
}

#[tokio::test]
async fn dashscope_callers_change_the_vendor() {
    every_switch_of(DashScope).await;
}
