//! A request that came from Messages: back as it stood.

use super::write::{Writer, output_format, role, show};
use crate::protocol::anthropic::blocks::BlockWriter;
use crate::protocol::json::ObjectWriter;
use crate::protocol::model::{
    Content, Instruction, Part, Place, ReasoningMode, Spelling, ToolChoice, Turn,
};
use crate::protocol::wire::write_opt_str;

impl Writer<'_, '_, '_> {
    pub(super) fn native(&mut self) {
        let request = self.request;
        let sampling = &request.sampling;
        if !request.model.is_empty() {
            self.object.str("model", &request.model);
        }
        let tools: Vec<_> = request.tools.iter().collect();
        self.tools(&tools, request.spelling.has(Spelling::EMPTY_LIST));
        self.native_system();
        if request.rest.get("messages").is_none() {
            self.native_messages();
        }
        self.number("max_tokens", request.max_output_tokens.as_ref());
        self.number("temperature", sampling.temperature.as_ref());
        self.number("top_p", sampling.top_p.as_ref());
        self.number("top_k", sampling.top_k.as_ref());
        if let Some(stop) = &sampling.stop {
            self.stop_sequences(stop.iter());
        }
        self.native_tool_choice();
        self.native_thinking();
        self.native_output();
        self.metadata();
        write_opt_str(&mut self.object, "service_tier", request.service_tier.as_ref());
        self.stream();
        self.blocks.mark(&mut self.object, request.cache.as_ref());
        request.rest.write(&mut self.object);
    }

    fn native_system(&mut self) {
        let top = |i: &&Instruction<'_>| i.place == Place::Top;
        let mut instructions = self.request.instructions.iter().filter(top).peekable();
        let Some(first) = instructions.peek() else { return };
        if let (true, [Part { content: Content::Text { text, .. }, .. }]) =
            (first.plain, first.parts.as_slice())
        {
            return self.object.str("system", text);
        }
        let blocks = &mut self.blocks;
        self.object.array("system", |array| {
            for instruction in instructions {
                blocks.parts(&instruction.parts, array);
            }
        });
    }

    fn native_messages(&mut self) {
        let Self { request, blocks, object } = self;
        let mut among = request.instructions.iter().filter(|i| i.place != Place::Top).peekable();
        object.array("messages", |array| {
            for index in 0..=request.turns.len() {
                while let Some(i) = among.next_if(|i| i.place <= Place::Before(index)) {
                    let (parts, plain, rest) = (&i.parts, i.plain, &i.rest);
                    array.object(|object| {
                        object.plain("role", "system");
                        if rest.get("content").is_none() {
                            blocks.contents(object, parts, plain);
                        }
                        rest.write(object);
                    });
                }
                if let Some(turn) = request.turns.get(index) {
                    array.object(|object| native_turn(blocks, turn, object));
                }
            }
        });
    }

    fn native_tool_choice(&mut self) {
        let parallel = self.request.parallel_tool_calls;
        match &self.request.tool_choice {
            Some(ToolChoice::Other(raw) | ToolChoice::Allowed { raw, .. }) => {
                self.object.raw("tool_choice", raw);
            }
            Some(choice) => self.tool_choice(choice, parallel),
            None => {}
        }
    }

    fn native_thinking(&mut self) {
        let reasoning = &self.request.reasoning;
        let unsaid = reasoning.mode.is_none()
            && reasoning.budget.is_none()
            && reasoning.show.is_none()
            && reasoning.rest.0.is_empty();
        if unsaid {
            return;
        }
        self.object.object("thinking", |object| {
            match reasoning.mode {
                Some(ReasoningMode::On) => object.plain("type", "enabled"),
                Some(ReasoningMode::Adaptive) => object.plain("type", "adaptive"),
                Some(ReasoningMode::Off) => object.plain("type", "disabled"),
                None => {}
            }
            if let Some(budget) = &reasoning.budget {
                object.number("budget_tokens", budget);
            }
            show(object, reasoning.show);
            reasoning.rest.write(object);
        });
    }

    fn native_output(&mut self) {
        let request = self.request;
        let beta = request.spelling.has(Spelling::BETA_FORMAT);
        if let Some(format) = request.output.as_ref().filter(|_| beta) {
            output_format(&mut self.object, "output_format", format, true);
        }
        let format = request.output.as_ref().filter(|_| !beta);
        let effort = request.reasoning.effort;
        if format.is_none() && effort.is_none() && request.settings_rest.0.is_empty() {
            return;
        }
        self.object.object("output_config", |object| {
            if let Some(effort) = effort {
                object.plain("effort", effort.as_str());
            }
            if let Some(format) = format {
                output_format(object, "format", format, true);
            }
            request.settings_rest.write(object);
        });
    }
}

fn native_turn(blocks: &mut BlockWriter<'_, '_>, turn: &Turn<'_>, object: &mut ObjectWriter<'_>) {
    object.plain("role", role(turn.role));
    if turn.rest.get("content").is_none() {
        blocks.contents(object, &turn.parts, turn.plain);
    }
    turn.rest.write(object);
}
