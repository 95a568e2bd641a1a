//! What is known of the usual families of models.
//!
//! Data: a row changes the target of the models that one of its patterns matches, rows are
//! taken in their order, and the later ones win. So a family begins with its newest models, of
//! which tomorrow's will be, and its older ones follow as exceptions.

use crate::protocol::Protocol::{self, Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};
use crate::protocol::model::Effort::{High, Low, Max, Medium, Minimal, None as No, XHigh};
use crate::protocol::{Accepts, Target, ThinkingScale};

/// One row.
pub(super) struct Family {
    pub(super) protocols: &'static [Protocol],
    pub(super) models: &'static [&'static str],
    pub(super) change: fn(&mut Target),
}

const OPENAI: &[Protocol] = &[OpenAiChat, OpenAiResponses];

const fn row(
    protocols: &'static [Protocol],
    models: &'static [&'static str],
    change: fn(&mut Target),
) -> Family {
    Family { protocols, models, change }
}

pub(super) static FAMILIES: &[Family] = &[
    // ---- OpenAI: models that do not think.
    row(OPENAI, &["gpt-3.5*", "gpt-4*", "chatgpt-4o*"], |it| it.thinks = false),
    row(OPENAI, &["gpt-4o*", "chatgpt-4o*"], |it| it.max_output_tokens = Some(16_384)),
    row(OPENAI, &["gpt-4.1*"], |it| it.max_output_tokens = Some(32_768)),
    row(OPENAI, &["gpt-3.5*", "gpt-4-turbo*", "gpt-4-0125*", "gpt-4-1106*"], |it| {
        it.max_output_tokens = Some(4096);
    }),
    // ---- OpenAI: models that think. None takes settings of sampling meanwhile.
    row(OPENAI, &["o1*", "o3*", "o4*"], |it| {
        always_thinks(it);
        it.efforts = (Low, High);
        it.max_output_tokens = Some(100_000);
    }),
    row(OPENAI, &["o1-mini*", "o1-preview*"], |it| {
        // Nothing can be said about how much.
        it.thinks = false;
        it.max_output_tokens = Some(65_536);
    }),
    row(OPENAI, &["gpt-5*"], |it| {
        always_thinks(it);
        it.efforts = (Minimal, High);
        it.max_output_tokens = Some(128_000);
    }),
    row(OPENAI, &["gpt-5-codex*"], |it| it.efforts = (Low, High)),
    row(OPENAI, &["gpt-5-pro*"], |it| it.efforts = (High, High)),
    row(OPENAI, &["gpt-5.*", "gpt-6*"], |it| {
        // From here on they think only when asked to, and know `none`, but no `minimal`.
        always_thinks(it);
        it.can_stop_thinking = true;
        it.sampling = Accepts::NotThinking;
        it.efforts = (No, XHigh);
        it.max_output_tokens = Some(128_000);
    }),
    row(OPENAI, &["gpt-5.1*"], |it| it.efforts = (No, High)),
    row(OPENAI, &["gpt-5.*-codex*"], |it| {
        always_thinks(it);
        it.efforts = (Low, XHigh);
    }),
    row(OPENAI, &["gpt-5.1-codex", "gpt-5.1-codex-mini*"], |it| it.efforts = (Low, High)),
    row(OPENAI, &["gpt-5.*-pro*"], |it| {
        always_thinks(it);
        it.efforts = (Medium, XHigh);
    }),
    row(OPENAI, &["gpt-5*-chat*"], |it| {
        it.thinks = false;
        it.sampling = Accepts::Always;
        it.stop_sequences = true;
        it.max_output_tokens = Some(16_384);
    }),
    row(OPENAI, &["gpt-oss*"], |it| {
        clone(it);
        it.can_stop_thinking = false;
        it.efforts = (Low, High);
    }),
    // ---- Clones of Chat: the old name of the limit, functions only.
    row(
        &[OpenAiChat],
        &[
            "deepseek*",
            "qwen*",
            "qwq*",
            "qvq*",
            "glm*",
            "kimi*",
            "moonshot*",
            "llama*",
            "meta-llama*",
            "grok*",
            "gemma*",
            "minimax*",
            "yi-*",
            "ernie*",
            "hunyuan*",
            "doubao*",
            "command*",
            "phi-*",
            "nova*",
            "sonar*",
            "step-*",
            "baichuan*",
        ],
        clone,
    ),
    row(&[OpenAiChat], &["glm*", "kimi*", "moonshot*", "deepseek-reasoner*"], |it| {
        it.forced_tools = Accepts::Never;
    }),
    row(&[OpenAiChat], &["grok-4*"], |it| it.thinks = false),
    row(
        &[OpenAiChat],
        &[
            "mistral*",
            "ministral*",
            "magistral*",
            "mixtral*",
            "codestral*",
            "devstral*",
            "pixtral*",
            "open-mi*",
        ],
        |it| {
            clone(it);
            // A member that it does not know is an error there.
            it.thinks = false;
            it.short_call_ids = true;
        },
    ),
    // ---- Anthropic: from Opus 4.7 and Sonnet 5 on they think by words, and take no sampling.
    row(&[Anthropic], &["claude*"], |it| {
        it.thinking = ThinkingScale::Words;
        it.efforts = (Low, Max);
        it.sampling = Accepts::Never;
        it.default_max_tokens = 32_000;
    }),
    row(
        &[Anthropic],
        &[
            "claude-3*",
            "claude-4-*",
            "claude-*-4",
            "claude-*-4@*",
            "claude-*-4?20*",
            "claude-*-4?0*",
            "claude-*-4?1*",
            "claude-*-4?5*",
            "claude-*-4?6*",
        ],
        |it| {
            it.thinking = ThinkingScale::Tokens;
            it.sampling = Accepts::Always;
            it.budget_range = (1024, u64::MAX);
            it.max_output_tokens = Some(64_000);
        },
    ),
    row(
        &[Anthropic],
        &[
            "claude-opus-4",
            "claude-opus-4@*",
            "claude-opus-4?20*",
            "claude-opus-4?0*",
            "claude-opus-4?1*",
            "claude-4-opus*",
        ],
        |it| {
            it.max_output_tokens = Some(32_000);
        },
    ),
    row(&[Anthropic], &["claude-*-4?1*", "claude-*-4?5*", "claude-*-4?6*"], |it| {
        it.temperature_or_top_p = true;
    }),
    row(&[Anthropic], &["claude-1*", "claude-2*", "claude-instant*", "claude-3*"], |it| {
        before_thinking(it, 4096);
    }),
    row(&[Anthropic], &["claude-3?5*"], |it| before_thinking(it, 8192)),
    row(&[Anthropic], &["claude-3?7*"], |it| {
        it.thinks = true;
        it.default_max_tokens = 32_000;
        it.max_output_tokens = Some(64_000);
    }),
    // ---- Gemini: from version 3 on.
    row(&[Gemini], &["gemini*"], |it| {
        it.thinking = ThinkingScale::Words;
        it.efforts = (Low, High);
        it.can_stop_thinking = false;
        it.stand_in_signatures = true;
        it.media_in_results = true;
        it.max_output_tokens = Some(65_536);
    }),
    row(&[Gemini], &["gemini-*flash*"], |it| it.efforts = (Minimal, High)),
    row(&[Gemini], &["gemini-2.5*", "gemini-robotics*"], |it| {
        before_version_3(it);
        it.budget_range = (128, 32_768);
    }),
    row(&[Gemini], &["gemini-2.5-flash*"], |it| {
        it.can_stop_thinking = true;
        it.budget_range = (1, 24_576);
    }),
    row(&[Gemini], &["gemini-2.5-flash-lite*"], |it| it.budget_range = (512, 24_576)),
    row(
        &[Gemini],
        &["gemini-2.0*", "gemini-1*", "gemini-2.5-flash-image*", "learnlm*", "gemma*"],
        |it| {
            before_version_3(it);
            it.thinks = false;
            it.max_output_tokens = Some(8192);
        },
    ),
    row(&[Gemini], &["gemini-1*", "gemini-2.0*"], |it| it.json_schema = false),
    row(&[Gemini], &["gemini-2.5-flash-image*"], |it| it.max_output_tokens = Some(32_768)),
    // ---- DashScope: thinking and a forced call exclude each other.
    row(&[DashScope], &["*"], |it| it.forced_tools = Accepts::NotThinking),
    row(&[DashScope], &["qwen*", "qwq*", "qvq*"], |it| it.budget_range = (1, 38_912)),
    row(&[DashScope], &["qwen3*", "qwen4*", "qwq*", "qvq*", "*-thinking*"], |it| {
        it.thinks_only_streaming = true;
    }),
    row(&[DashScope], &["qwq*", "qvq*", "*-thinking*"], |it| it.can_stop_thinking = false),
    row(
        &[DashScope],
        &["qwen3.?*", "qwen4*", "qwen*-vl*", "qwen-omni*", "qwen*-omni*", "qvq*", "qwen*-ocr*"],
        |it| it.multimodal_endpoint = true,
    ),
];

fn always_thinks(it: &mut Target) {
    it.thinks = true;
    it.can_stop_thinking = false;
    it.sampling = Accepts::Never;
    it.stop_sequences = false;
}

fn clone(it: &mut Target) {
    it.legacy_max_tokens = true;
    it.custom_tools = false;
    // The words that all of them know.
    it.efforts = (Low, High);
}

fn before_thinking(it: &mut Target, longest: u64) {
    it.thinks = false;
    it.default_max_tokens = longest;
    it.max_output_tokens = Some(longest);
}

fn before_version_3(it: &mut Target) {
    it.thinking = ThinkingScale::Tokens;
    it.stand_in_signatures = false;
    it.media_in_results = false;
}
