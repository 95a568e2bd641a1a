use Effort::{High, Low, Max, Medium, Minimal, XHigh};
use Protocol::{Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};

use super::*;
use crate::protocol::json::{Cursor, Number};
use crate::protocol::model::{Effort, Logprobs, Reasoning, ReasoningMode, Sampling, ToolChoice};
use crate::protocol::report::Severity;
use crate::protocol::{Accepts, ThinkingScale};

fn number(text: &str) -> Number<'_> {
    Cursor::new(text).number().unwrap()
}

fn target(change: impl FnOnce(&mut Target)) -> Target {
    let mut target = Target::DEFAULT;
    change(&mut target);
    target
}

/// What is asked, in short: a mode, an effort, a budget.
fn reasoning<'a>(asked: &str) -> Reasoning<'a> {
    let mut reasoning = Reasoning::default();
    for word in asked.split_whitespace() {
        match word {
            "on" => reasoning.mode = Some(ReasoningMode::On),
            "off" => reasoning.mode = Some(ReasoningMode::Off),
            "adaptive" => reasoning.mode = Some(ReasoningMode::Adaptive),
            word => match word.parse::<u64>() {
                Ok(budget) => reasoning.budget = Some(Number::from(budget)),
                Err(_) => reasoning.effort = Effort::from_word(word),
            },
        }
    }
    reasoning
}

fn told(reasoning: &Reasoning<'_>) -> String {
    let mode = reasoning.mode.map(|mode| match mode {
        ReasoningMode::On => "on".to_owned(),
        ReasoningMode::Off => "off".to_owned(),
        ReasoningMode::Adaptive => "adaptive".to_owned(),
    });
    let effort = reasoning.effort.map(|effort| effort.as_str().to_owned());
    let budget = reasoning.budget.as_ref().map(|budget| budget.as_str().to_owned());
    [mode, effort, budget].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[test]
fn thinking() {
    let any = Target::DEFAULT;
    let silent = target(|it| it.thinks = false);
    let o3 = target(|it| {
        it.can_stop_thinking = false;
        it.efforts = (Low, High);
    });
    let gpt_5_1 = target(|it| it.efforts = (Effort::None, High));
    let words = target(|it| {
        it.thinking = ThinkingScale::Words;
        it.efforts = (Low, XHigh);
    });
    let pro = target(|it| {
        it.can_stop_thinking = false;
        it.budget_range = (128, 32_768);
    });
    // Asked, toward, of a model: told, and whether that is a loss.
    let rows = [
        ("", OpenAiChat, &o3, "", false),
        // A model that does not think.
        ("high", OpenAiChat, &silent, "", true),
        ("on 5000", Anthropic, &silent, "", true),
        ("off", Gemini, &silent, "", false),
        ("none", OpenAiChat, &silent, "", false),
        // Words for words.
        ("minimal", OpenAiChat, &any, "minimal", false),
        ("minimal", OpenAiChat, &o3, "low", true),
        ("max", OpenAiResponses, &o3, "high", true),
        ("medium", OpenAiResponses, &o3, "medium", false),
        ("minimal", OpenAiChat, &gpt_5_1, "low", true),
        ("adaptive high", Anthropic, &words, "adaptive high", false),
        ("max", Anthropic, &words, "xhigh", true),
        ("high", DashScope, &words, "high", false),
        // Tokens for words.
        ("on 5000", OpenAiChat, &any, "on medium", true),
        ("on 90000", OpenAiChat, &o3, "on high", true),
        ("on 5000", Gemini, &words, "on medium", true),
        ("on", OpenAiChat, &any, "on", false),
        ("adaptive", Anthropic, &words, "adaptive", false),
        // Words for tokens.
        ("high", Anthropic, &any, "24576", false),
        ("max", Gemini, &pro, "32768", false),
        ("medium", DashScope, &any, "8192", false),
        // Tokens for tokens.
        ("on 5000", Gemini, &pro, "on 5000", false),
        ("on 100", Gemini, &pro, "on 128", true),
        ("on 90000", DashScope, &pro, "on 32768", true),
        ("adaptive", Anthropic, &any, "adaptive", false),
        // None at all.
        ("off", Anthropic, &any, "off", false),
        ("none", Anthropic, &any, "off", false),
        ("on 0", DashScope, &any, "off", false),
        ("off", OpenAiChat, &gpt_5_1, "none", false),
        ("none", OpenAiChat, &any, "none", false),
        ("off", OpenAiChat, &any, "off", false),
        ("off high", OpenAiResponses, &o3, "low", true),
        ("off", Gemini, &pro, "128", true),
        (
            "none",
            Gemini,
            &target(|it| {
                it.thinking = ThinkingScale::Words;
                it.can_stop_thinking = false;
            }),
            "minimal",
            true,
        ),
    ];
    for (asked, to, target, expected, lossy) in rows {
        let mut request = history("hi");
        request.reasoning = reasoning(asked);
        let (_, report) = run(&mut request, to, target);
        assert_eq!(told(&request.reasoning), expected, "{asked} to {to}");
        let losses: Vec<_> = report.losses().iter().map(|loss| loss.severity).collect();
        assert_eq!(losses, vec![Severity::Degrade; lossy.into()], "{asked} to {to}: {report}");
    }
    assert!(Minimal < Low && Medium < High && XHigh < Max);
}

#[test]
fn forced_calls() {
    let never = target(|it| it.forced_tools = Accepts::Never);
    let not_thinking = target(|it| it.forced_tools = Accepts::NotThinking);
    let stubborn = target(|it| {
        it.forced_tools = Accepts::NotThinking;
        it.can_stop_thinking = false;
    });
    // Asked to think, of a model: still forced, still thinking, losses.
    let rows = [
        ("", &Target::DEFAULT, true, "", 0),
        ("", &never, false, "", 1),
        ("", &not_thinking, true, "", 0),
        ("on 5000", &not_thinking, true, "off", 1),
        ("on 5000", &stubborn, false, "on 5000", 1),
    ];
    let choices = || {
        let names = vec![text("f")];
        let allowed = |required| ToolChoice::Allowed {
            required,
            names: names.clone(),
            raw: Raw::literal("{}"),
        };
        [ToolChoice::Required, ToolChoice::Tool(text("f")), allowed(true)]
    };
    for (asked, target, forced, thinks, losses) in rows {
        for choice in choices() {
            let mut request = history("hi");
            request.reasoning = reasoning(asked);
            request.tool_choice = Some(choice);
            let (_, report) = run(&mut request, DashScope, target);
            let still = matches!(
                request.tool_choice,
                Some(
                    ToolChoice::Required
                        | ToolChoice::Tool(_)
                        | ToolChoice::Allowed { required: true, .. }
                )
            );
            assert_eq!(still, forced, "{asked}");
            assert_eq!(told(&request.reasoning), thinks, "{asked}");
            assert_eq!(report.losses().len(), losses, "{report}");
        }
    }
    // What is not forced stays.
    for choice in [ToolChoice::Auto, ToolChoice::None] {
        let mut request = history("hi");
        request.tool_choice = Some(choice);
        assert!(run(&mut request, DashScope, &never).1.is_empty());
    }
}

fn all_settings<'a>() -> Sampling<'a> {
    Sampling {
        temperature: Some(number("0.5")),
        top_p: Some(number("0.9")),
        top_k: Some(number("3")),
        seed: Some(number("7")),
        frequency_penalty: Some(number("0")),
        presence_penalty: Some(number("0.1")),
        repetition_penalty: Some(number("1")),
        candidates: None,
        logit_bias: Some(Raw::literal(r#"{"1":2}"#)),
        stop: Some(vec![text("END")]),
    }
}

#[test]
fn sampling() {
    let never = target(|it| it.sampling = Accepts::Never);
    let not_thinking = target(|it| it.sampling = Accepts::NotThinking);
    for (asked, target, losses) in [
        ("high", &Target::DEFAULT, 0),
        ("", &not_thinking, 0),
        ("off", &not_thinking, 0),
        // Temperature, top-p, top-k, one penalty, the bias, the probabilities.
        ("high", &not_thinking, 6),
        ("", &never, 6),
    ] {
        let mut request = history("hi");
        request.reasoning = reasoning(asked);
        request.sampling = all_settings();
        request.logprobs = Logprobs { enabled: Some(true), ..Logprobs::default() };
        let (_, report) = run(&mut request, Anthropic, target);
        assert_eq!(report.losses().len(), losses, "{asked}: {report}");
        let sampling = &request.sampling;
        assert_eq!(sampling.temperature.is_none(), losses > 0);
        assert_eq!(sampling.repetition_penalty.is_none(), losses > 0);
        // These are no settings of sampling.
        assert!(sampling.seed.is_some() && sampling.stop.is_some());
    }
}

#[test]
fn what_is_usual_is_no_loss() {
    let never = target(|it| it.sampling = Accepts::Never);
    let mut request = history("hi");
    request.sampling.temperature = Some(number("1.0"));
    request.sampling.top_p = Some(number("1"));
    request.logprobs.enabled = Some(false);
    let (_, report) = run(&mut request, OpenAiChat, &never);
    assert!(report.is_empty(), "{report}");
    assert!(request.sampling.temperature.is_none() && request.logprobs.enabled.is_none());
}

#[test]
fn temperature_or_top_p() {
    let one = target(|it| it.temperature_or_top_p = true);
    let rows = [
        (Some("0.5"), Some("0.9"), Some("0.5"), None, 1),
        (Some("0.5"), Some("1"), Some("0.5"), None, 0),
        (Some("1"), Some("0.9"), None, Some("0.9"), 0),
        (None, Some("0.9"), None, Some("0.9"), 0),
        (Some("0.5"), None, Some("0.5"), None, 0),
    ];
    for (temperature, top_p, left, right, losses) in rows {
        let mut request = history("hi");
        request.sampling.temperature = temperature.map(number);
        request.sampling.top_p = top_p.map(number);
        let (_, report) = run(&mut request, Anthropic, &one);
        assert_eq!(request.sampling.temperature, left.map(number));
        assert_eq!(request.sampling.top_p, right.map(number));
        assert_eq!(report.losses().len(), losses, "{report}");
    }
}

#[test]
fn limits_stops_and_streams() {
    let small = target(|it| {
        it.max_output_tokens = Some(8192);
        it.stop_sequences = false;
    });
    for (asked, told, losses) in [("8192", "8192", 1), ("32000", "8192", 2)] {
        let mut request = history("hi");
        request.max_output_tokens = Some(number(asked));
        request.sampling.stop = Some(vec![text("END")]);
        let (_, report) = run(&mut request, OpenAiChat, &small);
        assert_eq!(request.max_output_tokens, Some(number(told)));
        assert!(request.sampling.stop.is_none());
        assert_eq!(report.losses().len(), losses);
    }
    let streaming = target(|it| it.thinks_only_streaming = true);
    for (asked, stream) in [("", Some(true)), ("high", Some(true)), ("off", Some(false))] {
        let mut request = history("hi");
        request.stream = Some(false);
        request.reasoning = reasoning(asked);
        run(&mut request, DashScope, &streaming);
        assert_eq!(request.stream, stream, "{asked}");
    }
}
