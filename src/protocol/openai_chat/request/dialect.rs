//! How much to think, in the words that vendors added to Chat.
//!
//! `enable_thinking` and `thinking_budget` (Qwen), `thinking` as Messages has it (DeepSeek, GLM,
//! Kimi), `reasoning` as an object (OpenRouter), `chat_template_kwargs` (servers of open models).
//! They are read beside `reasoning_effort`, and go back to Chat as they stood.

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Number, ObjectWriter, Raw};
use crate::protocol::model::{Effort, Reasoning, ReasoningMode, Show};

/// The members of a request that say how much to think.
#[derive(Debug, Default)]
pub(super) struct Thinking<'a> {
    /// As they stood.
    members: Vec<(JsonStr<'a>, Raw<'a>)>,
    /// One of them is a vendor's.
    dialect: bool,
    effort: Option<Effort>,
    mode: Option<ReasoningMode>,
    budget: Option<Number<'a>>,
    show: Option<Show>,
}

impl<'a> Thinking<'a> {
    /// Reads a member if it is one of these and of a form that is known; else gives it back.
    pub(super) fn member(
        &mut self,
        key: &JsonStr<'a>,
        c: &mut Cursor<'a>,
    ) -> Result<Option<Raw<'a>>, JsonError> {
        let raw = c.raw()?;
        let Some(mut value) = raw.source_cursor() else { return Ok(Some(raw)) };
        let name = key.decode();
        let known = match (&*name, raw.kind()) {
            ("reasoning_effort", Kind::String) => self.effort(&mut value)?,
            ("enable_thinking", Kind::Bool) => self.switch(&mut value)?,
            ("thinking_budget", Kind::Number) => self.tokens(&mut value)?,
            ("thinking", Kind::Object) => self.thinking(&mut value)?,
            ("reasoning", Kind::Object) => self.reasoning(&mut value)?,
            ("chat_template_kwargs", Kind::Object) => self.template(&mut value)?,
            _ => false,
        };
        if !known {
            return Ok(Some(raw));
        }
        self.dialect |= name != "reasoning_effort";
        self.members.push((key.clone(), raw));
        Ok(None)
    }

    /// What they say together.
    pub(super) fn into_reasoning(self) -> Reasoning<'a> {
        let Self { members, dialect, effort, mode, budget, show } = self;
        let mut reasoning = Reasoning { mode, effort, budget, show, ..Reasoning::default() };
        if dialect {
            let text: Vec<_> = members
                .iter()
                .map(|(key, raw)| format!("\"{}\":{}", key.escaped(), raw.as_str()))
                .collect();
            // Members of a document that was read.
            if let Ok(source) = Raw::parse_owned(format!("{{{}}}", text.join(","))) {
                reasoning.rest.keep_source(source);
            }
        }
        reasoning
    }

    fn effort(&mut self, c: &mut Cursor<'a>) -> Result<bool, JsonError> {
        let Some(effort) = Effort::from_word(&c.string()?.decode()) else { return Ok(false) };
        self.effort = Some(effort);
        Ok(true)
    }

    fn switch(&mut self, c: &mut Cursor<'a>) -> Result<bool, JsonError> {
        self.mode = Some(if c.bool()? { ReasoningMode::On } else { ReasoningMode::Off });
        Ok(true)
    }

    fn tokens(&mut self, c: &mut Cursor<'a>) -> Result<bool, JsonError> {
        self.budget = Some(c.number()?);
        Ok(true)
    }

    /// `{"type":"enabled","budget_tokens":1024}`.
    fn thinking(&mut self, c: &mut Cursor<'a>) -> Result<bool, JsonError> {
        let (mut known, mut budget) = (false, None);
        c.object(|key, c| {
            match (&*key.decode(), c.kind()?) {
                ("type", Kind::String) => {
                    let mode = match &*c.string()?.decode() {
                        "enabled" => ReasoningMode::On,
                        "disabled" => ReasoningMode::Off,
                        "adaptive" | "auto" => ReasoningMode::Adaptive,
                        _ => return Ok(()),
                    };
                    self.mode = Some(mode);
                    known = true;
                }
                ("budget_tokens", Kind::Number) => budget = Some(c.number()?),
                _ => drop(c.raw()?),
            }
            Ok(())
        })?;
        if known && budget.is_some() {
            self.budget = budget;
        }
        Ok(known)
    }

    /// `{"effort":"high"}`, `{"max_tokens":1024}`, `{"enabled":true,"exclude":true}`.
    fn reasoning(&mut self, c: &mut Cursor<'a>) -> Result<bool, JsonError> {
        let mut known = false;
        c.object(|key, c| {
            known |= match (&*key.decode(), c.kind()?) {
                ("effort", Kind::String) => self.effort(c)?,
                ("max_tokens", Kind::Number) => self.tokens(c)?,
                ("enabled", Kind::Bool) => self.switch(c)?,
                ("exclude", Kind::Bool) => {
                    if c.bool()? {
                        self.show = Some(Show::Hidden);
                    }
                    true
                }
                _ => {
                    c.raw()?;
                    false
                }
            };
            Ok(())
        })?;
        Ok(known)
    }

    /// Arguments of a template, of which only the switch is known.
    fn template(&mut self, c: &mut Cursor<'a>) -> Result<bool, JsonError> {
        let mut known = false;
        c.object(|key, c| {
            known |= match (&*key.decode(), c.kind()?) {
                ("enable_thinking" | "thinking", Kind::Bool) => self.switch(c)?,
                _ => {
                    c.raw()?;
                    false
                }
            };
            Ok(())
        })?;
        Ok(known)
    }
}

/// Writes the members as they stood; false where there was no vendor's among them.
pub(super) fn write(reasoning: &Reasoning<'_>, object: &mut ObjectWriter<'_>) -> bool {
    let Some(source) = reasoning.rest.source() else { return false };
    // The reader made an object.
    let _ = source.cursor().object(|key, c| {
        object.raw(key.escaped(), &c.raw()?);
        Ok(())
    });
    true
}
