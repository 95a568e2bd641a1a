//! Whatever happens inside, the caller gets one whole answer in its protocol.

use proptest::prelude::*;

use super::kit::{Act, Script, error, fault, post, send, status, text};
use crate::context::Exchange;
use crate::layer::failover::{Backoff, FailoverLayer, HEDGE_MIN_SAMPLES, Hedge, Terminal};
use crate::protocol::model::{FaultKind, FaultOrigin};

const PATHS: [&str; 5] = [
    "/v1/messages",
    "/v1/chat/completions",
    "/v1/responses",
    "/v1beta/models/g:generateContent",
    "/api/v1/services/aigc/text-generation/generation",
];

fn acts() -> impl Strategy<Value = Act> {
    let codes = prop::sample::select(vec![200, 400, 401, 404, 429, 500, 503, 529]);
    let kinds = prop::sample::select(vec![
        FaultKind::Auth,
        FaultKind::Overloaded,
        FaultKind::Transport,
        FaultKind::ContentPolicy,
    ]);
    let origins = prop::sample::select(vec![
        FaultOrigin::Gateway,
        FaultOrigin::Upstream,
        FaultOrigin::Transport,
    ]);
    let act = prop_oneof![
        4 => codes.prop_map(status),
        2 => (kinds, origins).prop_map(|(kind, origin)| fault(kind, origin)),
        1 => Just(error()),
    ];
    let channel = prop::option::of((prop::sample::select(vec!["a", "b"]), any::<bool>()));
    (act, channel, 0_u64..9, prop::option::of(0_u64..20)).prop_map(|(act, channel, after, wait)| {
        let act = act.after(after);
        let act = wait.into_iter().fold(act, Act::retry_after);
        channel.into_iter().fold(act, |act, (name, more)| act.on(name, more))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn one_whole_answer(
        acts in prop::collection::vec(acts(), 6),
        most in 1_usize..6,
        path in prop::sample::select(PATHS.to_vec()),
        hedges: bool,
        generic: bool,
        backs_off: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut layer = FailoverLayer::new().max_attempts(most);
            if hedges { layer = layer.hedge(Hedge::default()); }
            if generic { layer = layer.terminal(Terminal::Generic); }
            if backs_off { layer = layer.backoff(Backoff::default()); }
            for _ in 0..HEDGE_MIN_SAMPLES * u64::from(hedges) {
                send(&layer, &Script::new([status(200)]), post(path, "{}")).await.0.unwrap();
            }
            // What we refuse is no attempt: so there may be more calls, until a good answer comes.
            let script = Script::new(acts.into_iter().chain([status(200), status(200)]));
            let mut request = post(path, "{}");
            let exchange = Exchange::of(request.extensions_mut());
            let (answer, _) = send(&layer, &script, request).await;
            let calls = script.calls().len();
            let origins = exchange.read(|facts| {
                facts.attempts.iter().map(|attempt| Some(attempt.fault?.origin)).collect::<Vec<_>>()
            });
            assert_eq!(origins.len(), calls);
            let refused = origins.iter().filter(|origin| **origin == Some(FaultOrigin::Gateway));
            assert!(calls > 0 && calls - refused.count() <= most);
            assert_eq!(script.flying(), 0);
            match answer {
                Err(_) => assert_eq!((calls, generic), (1, false), "the only attempt, as it was"),
                Ok(answer) => {
                    let own = !answer.headers().contains_key("x-upstream");
                    let failed = answer.status().is_client_error() || answer.status().is_server_error();
                    assert!(!own || failed);
                    assert_eq!(script.bodies(), usize::from(!own));
                    let text = text(answer).await;
                    if own {
                        assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap().is_object());
                    }
                }
            }
            assert_eq!(script.bodies(), 0);
        });
    }
}
