//! A request that came from another protocol: under the rules of Messages.

use super::history::{self, Message};
use super::losses;
use super::thinking::{Plan, Thinking};
use super::write::{Writer, output_format, role, show};
use crate::protocol::anthropic::blank::is_blank;
use crate::protocol::anthropic::blocks::BlockWriter;
use crate::protocol::json::{ObjectWriter, Raw};
use crate::protocol::model::{
    Content, OutputFormat, Part, Place, Role, Tool, ToolChoice, ToolKind,
};
use crate::protocol::report::Severity;
use crate::protocol::target::Target;

impl<'x, 'a> Writer<'x, 'a, '_> {
    pub(super) fn foreign(&mut self, target: &Target) {
        let request = self.request;
        losses::report(request, self.blocks.report);
        let mut messages = history::arrange(request, &mut self.blocks);
        let mut system = self.hoisted();
        if messages.is_empty() && !system.is_empty() {
            // Messages demands a message.
            messages.push(Message { role: Role::User, parts: std::mem::take(&mut system) });
        }
        let tools = self.offered_tools();
        let plan = Plan::new(request, target, &messages, self.blocks.report);

        self.object.str("model", &request.model);
        self.tools(&tools, false);
        self.system(&system);
        self.messages(&messages);
        self.object.u64("max_tokens", plan.max_tokens);
        self.sampling(matches!(plan.thinking, Thinking::Budget(_) | Thinking::Adaptive(_)));
        self.foreign_tool_choice(!tools.is_empty());
        self.thinking(plan.thinking);
        self.output_config(plan.thinking);
        self.metadata();
        self.service_tier();
        self.stream();
        self.blocks.mark(&mut self.object, request.cache.as_ref());
    }

    /// The texts of all instructions, in their order.
    fn hoisted(&mut self) -> Vec<&'x Part<'a>> {
        let mut texts = Vec::new();
        for instruction in &self.request.instructions {
            self.blocks.report.rest(&instruction.rest);
            if let Some(name) = &instruction.name {
                self.blocks.lose(name.escaped(), Severity::Degrade, "system texts have no names");
            }
            let before = texts.len();
            for part in &instruction.parts {
                match &part.content {
                    Content::Text { text, .. } | Content::Refusal(text) if is_blank(text) => {}
                    Content::Text { .. } | Content::Refusal(_) => texts.push(part),
                    _ => self.blocks.lose(
                        part.content.piece(),
                        Severity::Degrade,
                        "system takes only text",
                    ),
                }
            }
            let reason = match instruction.place {
                Place::Before(1..) => "moved to the front",
                _ if instruction.developer => "told as system",
                _ => continue,
            };
            let severity = match instruction.place {
                Place::Before(1..) => Severity::Degrade,
                _ => Severity::Ignore,
            };
            for part in texts.iter().skip(before) {
                self.blocks.lose(part.content.piece(), severity, reason);
            }
        }
        texts
    }

    fn system(&mut self, texts: &[&Part<'_>]) {
        if !texts.is_empty() {
            self.contents("system", texts);
        }
    }

    fn messages(&mut self, messages: &[Message<'_, '_>]) {
        let Self { blocks, object, .. } = self;
        object.array("messages", |array| {
            for message in messages {
                array.object(|object| {
                    object.plain("role", role(message.role));
                    contents(blocks, object, "content", &message.parts);
                });
            }
        });
    }

    /// The tools that can be declared and may be called.
    fn offered_tools(&mut self) -> Vec<&'x Tool<'a>> {
        let allowed = match &self.request.tool_choice {
            Some(ToolChoice::Allowed { names, .. }) => Some(names),
            _ => None,
        };
        let mut offered = Vec::new();
        for tool in &self.request.tools {
            match &tool.kind {
                ToolKind::Server { raw, .. } => self.blocks.report.server_tool(raw),
                _ if allowed.is_some_and(|names| !names.contains(&tool.name)) => {}
                _ => offered.push(tool),
            }
        }
        offered
    }

    fn sampling(&mut self, thinks: bool) {
        let sampling = &self.request.sampling;
        if let Some(temperature) = &sampling.temperature {
            let value = temperature.as_f64().unwrap_or(1.0);
            let piece = temperature.as_str();
            if thinks && value != 1.0 {
                self.blocks.lose(piece, Severity::Degrade, "no temperature while it thinks");
            } else if value > 1.0 {
                self.blocks.lose(piece, Severity::Degrade, "the temperature ends at 1");
                self.object.u64("temperature", 1);
            } else {
                self.object.number("temperature", temperature);
            }
        }
        self.number("top_p", sampling.top_p.as_ref());
        match &sampling.top_k {
            Some(top_k) if thinks => {
                self.blocks.lose(top_k.as_str(), Severity::Degrade, "no top_k while it thinks");
            }
            top_k => self.number("top_k", top_k.as_ref()),
        }
        let (blank, stop): (Vec<_>, Vec<_>) =
            sampling.stop.iter().flatten().partition(|stop| is_blank(stop));
        for stop in blank {
            let reason = "a stop sequence of white space";
            self.blocks.lose(stop.escaped(), Severity::Degrade, reason);
        }
        if !stop.is_empty() {
            self.stop_sequences(stop);
        }
    }

    fn foreign_tool_choice(&mut self, has_tools: bool) {
        let parallel = self.request.parallel_tool_calls.filter(|parallel| !parallel);
        let auto = parallel.map(|_| &ToolChoice::Auto);
        let choice = match &self.request.tool_choice {
            Some(ToolChoice::Other(raw)) => {
                self.blocks.lose(raw.as_str(), Severity::Degrade, "unknown tool choice");
                auto
            }
            Some(ToolChoice::Allowed { required: true, .. }) => Some(&ToolChoice::Required),
            Some(ToolChoice::Allowed { required: false, .. }) => Some(&ToolChoice::Auto),
            choice => choice.as_ref().or(auto),
        };
        let Some(choice) = choice else { return };
        if has_tools {
            self.tool_choice(choice, parallel.filter(|_| !matches!(choice, ToolChoice::None)));
        } else if matches!(choice, ToolChoice::Required | ToolChoice::Tool(_)) {
            let reason = "a tool must be called, but none can be declared";
            self.blocks.report.member("tool_choice", Severity::Degrade, reason);
        }
    }

    fn thinking(&mut self, thinking: Thinking) {
        let display = self.request.reasoning.show;
        let (kind, budget) = match thinking {
            Thinking::Unsaid => return,
            Thinking::Off => return self.object.raw("thinking", &DISABLED),
            Thinking::Budget(budget) => ("enabled", Some(budget)),
            Thinking::Adaptive(_) => ("adaptive", None),
        };
        self.object.object("thinking", |object| {
            object.plain("type", kind);
            if let Some(budget) = budget {
                object.u64("budget_tokens", budget);
            }
            show(object, display);
        });
    }

    fn output_config(&mut self, thinking: Thinking) {
        let effort = match thinking {
            Thinking::Adaptive(effort) => effort,
            _ => None,
        };
        let schema = |output: &&OutputFormat<'_>| {
            matches!(output, OutputFormat::JsonSchema { schema: Some(_), .. })
        };
        let format = self.request.output.as_ref().filter(schema);
        if effort.is_none() && format.is_none() {
            return;
        }
        self.object.object("output_config", |object| {
            if let Some(effort) = effort {
                object.plain("effort", effort.as_str());
            }
            if let Some(format) = format {
                output_format(object, "format", format, false);
            }
        });
    }

    fn service_tier(&mut self) {
        match &self.request.service_tier {
            Some(tier) if *tier == "auto" || *tier == "standard_only" => {
                self.object.str("service_tier", tier);
            }
            Some(tier) => {
                let reason = "no such service tier in Messages";
                self.blocks.lose(tier.escaped(), Severity::Ignore, reason);
            }
            None => {}
        }
    }

    fn contents(&mut self, name: &str, parts: &[&Part<'_>]) {
        contents(&mut self.blocks, &mut self.object, name, parts);
    }
}

const DISABLED: Raw<'static> = Raw::literal(r#"{"type":"disabled"}"#);

/// A bare string where the parts are one plain text, else blocks.
fn contents(
    blocks: &mut BlockWriter<'_, '_>,
    object: &mut ObjectWriter<'_>,
    name: &str,
    parts: &[&Part<'_>],
) {
    if let [Part { content: Content::Text { text, citations: None }, cache: None, rest, .. }] =
        parts
    {
        if rest.0.is_empty() {
            return object.str(name, text);
        }
    }
    object.array(name, |array| {
        for part in parts {
            blocks.part(part, array.item());
        }
    });
}
