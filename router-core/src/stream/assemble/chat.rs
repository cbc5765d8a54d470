//! OpenAI's `chat.completion` from its chunks: one choice, since calls for several are not sent as streams.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::fields::{Fields, is_null, items};
use super::grown::{Grown, OVERHEAD_BYTES};
use super::{Budget, Unassembled};

/// The fields that stand before everything else, in the order of the API's documentation.
const HEAD: [&str; 5] = ["id", "object", "created", "model", "choices"];
/// Random text that hides how long tokens are; only streams have it.
const PADDING: &str = "obfuscation";

/// A chat completion so far.
pub(super) struct Chat {
    /// Everything but the choice.
    top: Grown,
    /// The choice without its message.
    choice: Grown,
    message: Grown,
    /// By their index.
    calls: BTreeMap<u64, Grown>,
}

impl Chat {
    pub(super) fn new() -> Self {
        let (top, choice, message) = (Grown::default(), Grown::default(), Grown::default());
        Self { top, choice, message, calls: BTreeMap::new() }
    }

    pub(super) fn on_chunk(&mut self, data: &str, budget: &mut Budget) -> Result<(), Unassembled> {
        let chunk = Fields::read(data)?;
        if chunk.has("error") || chunk.text("object").is_some_and(|object| object == "error") {
            return Err(Unassembled::Failed);
        }
        for (name, value) in &chunk.0 {
            match name.as_str() {
                "choices" if is_null(value) => {}
                "choices" => {
                    items(value)?.into_iter().try_for_each(|choice| self.on_choice(choice, budget))?;
                }
                "object" | PADDING => {}
                _ => self.top.renew(name, value, budget)?,
            }
        }
        Ok(())
    }

    fn on_choice(&mut self, choice: &RawValue, budget: &mut Budget) -> Result<(), Unassembled> {
        let choice = Fields::read(choice.get())?;
        if choice.get("index").is_some_and(|index| !matches!(index.get(), "0" | "null")) {
            return Err(Unassembled::Unreadable("a second choice"));
        }
        // Some servers repeat all that was said in a `message` beside the `delta`; without one it cannot be told apart.
        if !choice.has("delta") && (choice.has("message") || choice.has("text")) {
            return Err(Unassembled::Unreadable("a choice without a delta"));
        }
        for (name, value) in &choice.0 {
            match name.as_str() {
                "index" | "message" => {}
                "delta" if is_null(value) => {}
                "delta" => self.on_delta(&Fields::read(value.get())?, budget)?,
                _ => self.choice.renew(name, value, budget)?,
            }
        }
        Ok(())
    }

    fn on_delta(&mut self, delta: &Fields<'_>, budget: &mut Budget) -> Result<(), Unassembled> {
        for (name, value) in &delta.0 {
            match name.as_str() {
                "role" => self.message.renew(name, value, budget)?,
                "tool_calls" if is_null(value) => {}
                "tool_calls" => items(value)?.into_iter().try_for_each(|call| self.on_call(call, budget))?,
                "function_call" if is_null(value) => {}
                "function_call" => on_function(self.message.object(name, budget)?, value, budget)?,
                _ => self.message.grow(name, value, budget)?,
            }
        }
        Ok(())
    }

    fn on_call(&mut self, piece: &RawValue, budget: &mut Budget) -> Result<(), Unassembled> {
        let piece = Fields::read(piece.get())?;
        let index = self.index_of(&piece)?;
        let call = match self.calls.get_mut(&index) {
            Some(call) => call,
            None => {
                budget.take(OVERHEAD_BYTES)?;
                self.calls.entry(index).or_default()
            }
        };
        for (name, value) in &piece.0 {
            match name.as_str() {
                "index" => {}
                "function" | "custom" if is_null(value) => {}
                "function" | "custom" => on_function(call.object(name, budget)?, value, budget)?,
                _ => call.grow_once(name, value, budget)?,
            }
        }
        Ok(())
    }

    /// Servers that send every call whole leave the index out.
    fn index_of(&self, piece: &Fields<'_>) -> Result<u64, Unassembled> {
        if let Some(index) = piece.get("index").filter(|index| !is_null(index)) {
            return index.get().parse().map_err(|_| Unassembled::Unreadable("the index of a tool call"));
        }
        let last = self.calls.last_key_value().map(|(index, _)| *index);
        Ok(match last {
            Some(last) if !piece.has("id") => last,
            Some(last) => last.saturating_add(1),
            None => 0,
        })
    }

    pub(super) fn document(mut self) -> Result<String, Unassembled> {
        if !self.choice.has("finish_reason") {
            return Err(Unassembled::Unfinished);
        }
        let mut message = Grown::default();
        message.set_text("role", "assistant");
        message.set_null("content");
        let called = !self.calls.is_empty() || self.message.has("function_call");
        if called && !self.message.has("content") {
            // Streams begin with an empty text; whole answers that call tools have none.
            self.message.set_null("content");
        }
        message.take_over(self.message);
        if !self.calls.is_empty() {
            message.set_objects("tool_calls", self.calls.into_values().collect());
        }
        let mut choice = Grown::default();
        choice.set_number("index", 0);
        choice.set_object("message", message);
        choice.take_over(self.choice);
        self.top.drop_null("usage");
        self.top.set_text("object", "chat.completion");
        self.top.set_objects("choices", vec![choice]);
        self.top.order(&HEAD);
        self.top.json()
    }
}

/// A piece of what is to be called: its name, and its arguments as text.
fn on_function(function: &mut Grown, piece: &RawValue, budget: &mut Budget) -> Result<(), Unassembled> {
    for (name, value) in &Fields::read(piece.get())?.0 {
        if name == "name" {
            function.grow_once(name, value, budget)?;
        } else {
            function.grow(name, value, budget)?;
        }
    }
    Ok(())
}
