use Accepts::{Always, Never, NotThinking};
use Protocol::{Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};

use super::*;
use crate::protocol::ThinkingScale::{Tokens, Words};
use crate::protocol::model::Effort::{self, High, Low, Max, Medium, Minimal, XHigh};
use crate::protocol::{Accepts, DEFAULT_MAX_TOKENS};

fn known(protocol: Protocol, model: &str) -> Target {
    Profiles::default().target(protocol, model)
}

#[test]
fn openai() {
    let rows = [
        // Model, thinks, can stop, efforts, sampling.
        ("gpt-4o", false, true, (Minimal, Max), Always),
        ("gpt-4.1-mini", false, true, (Minimal, Max), Always),
        ("o3-mini", true, false, (Low, High), Never),
        ("o1-mini", false, false, (Low, High), Never),
        ("openai/o4-mini", true, false, (Low, High), Never),
        ("gpt-5", true, false, (Minimal, High), Never),
        ("gpt-5-mini-2025-08-07", true, false, (Minimal, High), Never),
        ("gpt-5-codex", true, false, (Low, High), Never),
        ("gpt-5-pro", true, false, (High, High), Never),
        ("gpt-5-chat-latest", false, false, (Minimal, High), Always),
        ("gpt-5.1", true, true, (Effort::None, High), NotThinking),
        ("gpt-5.1-codex", true, false, (Low, High), Never),
        ("gpt-5.1-codex-max", true, false, (Low, XHigh), Never),
        ("gpt-5.2", true, true, (Effort::None, XHigh), NotThinking),
        ("gpt-5.2-pro", true, false, (Medium, XHigh), Never),
    ];
    for (model, thinks, can_stop, efforts, sampling) in rows {
        for protocol in [OpenAiChat, OpenAiResponses] {
            let target = known(protocol, model);
            assert_eq!(target.thinks, thinks, "{model}");
            assert_eq!(target.can_stop_thinking, can_stop, "{model}");
            assert_eq!(target.efforts, efforts, "{model}");
            assert_eq!(target.sampling, sampling, "{model}");
            assert!(target.custom_tools && !target.legacy_max_tokens, "{model}");
        }
    }
    assert_eq!(known(OpenAiChat, "gpt-4o").max_output_tokens, Some(16_384));
    // The same name elsewhere says nothing.
    assert_eq!(known(Anthropic, "gpt-4o"), Target::DEFAULT);
}

#[test]
fn clones_of_chat() {
    for model in ["deepseek-chat", "Qwen/Qwen3-32B", "z-ai/glm-4.6", "kimi-k2", "grok-4", "llama3"]
    {
        let target = known(OpenAiChat, model);
        assert!(target.legacy_max_tokens && !target.custom_tools, "{model}");
        assert!(!target.short_call_ids);
    }
    assert!(known(OpenAiChat, "mistral-large-latest").short_call_ids);
    assert_eq!(known(OpenAiChat, "glm-4.6").forced_tools, Never);
    assert_eq!(known(OpenAiChat, "something-new"), Target::DEFAULT);
}

#[test]
fn anthropic() {
    let rows = [
        // Model, scale, thinks, sampling, default and highest limit, one of two.
        ("claude-opus-4-7", Words, true, Never, 32_000, None, false),
        ("claude-opus-4.7", Words, true, Never, 32_000, None, false),
        ("claude-sonnet-5", Words, true, Never, 32_000, None, false),
        ("claude-opus-4-8-20260401", Words, true, Never, 32_000, None, false),
        ("claude-sonnet-4-6", Tokens, true, Always, 32_000, Some(64_000), true),
        ("claude-haiku-4-5-20251001", Tokens, true, Always, 32_000, Some(64_000), true),
        ("anthropic/claude-sonnet-4.5", Tokens, true, Always, 32_000, Some(64_000), true),
        ("claude-opus-4-1-20250805", Tokens, true, Always, 32_000, Some(32_000), true),
        ("claude-opus-4-20250514", Tokens, true, Always, 32_000, Some(32_000), false),
        ("claude-sonnet-4@20250514", Tokens, true, Always, 32_000, Some(64_000), false),
        ("claude-sonnet-4", Tokens, true, Always, 32_000, Some(64_000), false),
        ("claude-3-7-sonnet-latest", Tokens, true, Always, 32_000, Some(64_000), false),
        ("claude-3.7-sonnet", Tokens, true, Always, 32_000, Some(64_000), false),
        ("claude-3-5-sonnet-20241022", Tokens, false, Always, 8192, Some(8192), false),
        (
            "us.anthropic.claude-3-haiku-20240307-v1:0",
            Tokens,
            false,
            Always,
            4096,
            Some(4096),
            false,
        ),
        ("my-own", Tokens, true, Always, DEFAULT_MAX_TOKENS, None, false),
    ];
    for (model, scale, thinks, sampling, usual, longest, one) in rows {
        let target = known(Anthropic, model);
        assert_eq!(target.thinking, scale, "{model}");
        assert_eq!(target.thinks, thinks, "{model}");
        assert_eq!(target.sampling, sampling, "{model}");
        assert_eq!(target.default_max_tokens, usual, "{model}");
        assert_eq!(target.max_output_tokens, longest, "{model}");
        assert_eq!(target.temperature_or_top_p, one, "{model}");
    }
}

#[test]
fn gemini() {
    let rows = [
        // Model, scale, thinks, can stop, range of budgets, version 3.
        ("models/gemini-3-pro-preview", Words, true, false, None, true),
        ("gemini-flash-latest", Words, true, false, None, true),
        ("gemini-2.5-pro", Tokens, true, false, Some((128, 32_768)), false),
        ("gemini-2.5-flash", Tokens, true, true, Some((1, 24_576)), false),
        ("gemini-2.5-flash-lite-preview-06-17", Tokens, true, true, Some((512, 24_576)), false),
        ("gemini-2.0-flash", Tokens, false, false, None, false),
        ("gemini-1.5-pro", Tokens, false, false, None, false),
    ];
    for (model, scale, thinks, can_stop, range, third) in rows {
        let target = known(Gemini, model);
        assert_eq!(target.thinking, scale, "{model}");
        assert_eq!((target.thinks, target.can_stop_thinking), (thinks, can_stop), "{model}");
        assert_eq!(target.budget_range, range.unwrap_or((1, u64::MAX)), "{model}");
        assert_eq!(
            (target.stand_in_signatures, target.media_in_results),
            (third, third),
            "{model}"
        );
    }
    assert_eq!(known(Gemini, "gemini-3-pro").efforts, (Low, High));
    assert_eq!(known(Gemini, "gemini-3-flash").efforts, (Minimal, High));
    assert!(
        !known(Gemini, "gemini-2.0-flash").json_schema
            && known(Gemini, "gemini-2.5-pro").json_schema
    );
}

#[test]
fn dashscope() {
    let rows = [
        // Model, multimodal endpoint, thinks only streaming, can stop.
        ("qwen-plus", false, false, true),
        ("qwen-max", false, false, true),
        ("qwen3-32b", false, true, true),
        ("qwen3-235b-a22b-thinking-2507", false, true, false),
        ("qwen3.5-plus", true, true, true),
        ("qwen-vl-max", true, false, true),
        ("qwen3-vl-plus", true, true, true),
        ("qwq-plus", false, true, false),
        ("deepseek-v3", false, false, true),
    ];
    for (model, multimodal, streaming, can_stop) in rows {
        let target = known(DashScope, model);
        assert_eq!(target.multimodal_endpoint, multimodal, "{model}");
        assert_eq!(target.thinks_only_streaming, streaming, "{model}");
        assert_eq!(target.can_stop_thinking, can_stop, "{model}");
        assert_eq!(target.forced_tools, NotThinking, "{model}");
    }
}

#[test]
fn ones_own_rules_win() {
    let profiles = Profiles::default()
        .set(OpenAiChat, "gpt-5*", |target| target.sampling = Always)
        .set(OpenAiChat, "gpt-5-mini", |target| target.thinks = false);
    assert_eq!(profiles.target(OpenAiChat, "gpt-5").sampling, Always);
    assert_eq!(profiles.target(OpenAiResponses, "gpt-5").sampling, Never);
    assert!(!profiles.target(OpenAiChat, "gpt-5-mini").thinks);
    // A clone goes on alone.
    let more = profiles.clone().every(|target| target.default_max_tokens = 1);
    assert_eq!(more.target(Gemini, "x").default_max_tokens, 1);
    assert_eq!(profiles.target(Gemini, "x"), Target::DEFAULT);
    assert_eq!(Profiles::none().target(OpenAiChat, "o3"), Target::DEFAULT);
    let mut mine = Target::DEFAULT;
    mine.legacy_max_tokens = true;
    let always = Profiles::always(mine.clone());
    assert!(Protocol::ALL.iter().all(|protocol| always.target(*protocol, "gpt-5") == mine));
    assert!(format!("{profiles:?}").contains("gpt-5-mini"));
}

/// Every pattern of the list is a pattern of some name, and none is there twice in a row.
#[test]
fn the_list_is_in_order() {
    for family in FAMILIES {
        assert!(!family.protocols.is_empty() && !family.models.is_empty());
        let mut models = family.models.to_vec();
        models.sort_unstable();
        models.dedup();
        assert_eq!(models.len(), family.models.len(), "{models:?}");
        assert!(models.iter().all(|model| *model == model.to_ascii_lowercase()));
    }
}
