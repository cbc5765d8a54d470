//! Anthropic's `message` from its events: the message as it started, its content blocks by their index, and what the
//! end says.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::fields::{Fields, is_null, items, text};
use super::grown::{Grown, OVERHEAD_BYTES};
use super::{Budget, Unassembled};

/// A message so far.
#[derive(Default)]
pub(super) struct Message {
    /// Everything but content and token counts; `None` before it has started.
    top: Option<Grown>,
    usage: Grown,
    /// By their index.
    blocks: BTreeMap<u64, Block>,
}

/// A content block so far.
#[derive(Default)]
struct Block {
    fields: Grown,
    /// The JSON of a tool's input.
    input: String,
}

impl Message {
    /// Takes an event; its type is the event's name or, where a server leaves that out, `type` in the data. Others
    /// than these, `ping` among them, bring nothing.
    pub(super) fn on_event(
        &mut self,
        name: &[u8],
        data: &str,
        budget: &mut Budget,
    ) -> Result<(), Unassembled> {
        let event = Fields::read(data)?;
        let kind = event.text("type").unwrap_or_else(|| String::from_utf8_lossy(name).into_owned());
        match kind.as_str() {
            "message_start" => self.on_start(&event, budget),
            "content_block_start" => self.on_block(&event, budget),
            "content_block_delta" => self.on_delta(&event, budget),
            "message_delta" => self.on_end(&event, budget),
            "error" => Err(Unassembled::Failed),
            "" if event.has("error") => Err(Unassembled::Failed),
            _ => Ok(()),
        }
    }

    fn on_start(&mut self, event: &Fields<'_>, budget: &mut Budget) -> Result<(), Unassembled> {
        let message = event.get("message").ok_or(Unassembled::Unreadable("a start without a message"))?;
        if self.top.is_some() {
            return Err(Unassembled::Unreadable("a second message"));
        }
        let top = self.top.insert(Grown::default());
        for (name, value) in &Fields::read(message.get())?.0 {
            match name.as_str() {
                "content" if !is_null(value) && !items(value)?.is_empty() => {
                    return Err(Unassembled::Unreadable("a message that starts with content"));
                }
                "usage" if !is_null(value) => merge_usage(&mut self.usage, value, budget)?,
                _ => {}
            }
            // What is put together apart has its place here.
            top.renew(name, value, budget)?;
        }
        Ok(())
    }

    fn on_block(&mut self, event: &Fields<'_>, budget: &mut Budget) -> Result<(), Unassembled> {
        let index = index(event)?;
        let started = event.get("content_block").ok_or(Unassembled::Unreadable("a start without a block"))?;
        if self.blocks.contains_key(&index) {
            return Err(Unassembled::Unreadable("a second block in the same place"));
        }
        budget.take(2 * OVERHEAD_BYTES)?;
        let mut block = Block::default();
        for (name, value) in &Fields::read(started.get())?.0 {
            block.fields.grow(name, value, budget)?;
        }
        self.blocks.insert(index, block);
        Ok(())
    }

    fn on_delta(&mut self, event: &Fields<'_>, budget: &mut Budget) -> Result<(), Unassembled> {
        let block = self.blocks.get_mut(&index(event)?);
        let Block { fields, input } = block.ok_or(Unassembled::Unreadable("a delta without its block"))?;
        let delta = event.get("delta").ok_or(Unassembled::Unreadable("a delta that is none"))?;
        let delta = Fields::read(delta.get())?;
        let kind = delta.text("type").unwrap_or_default();
        for (name, value) in &delta.0 {
            match (kind.as_str(), name.as_str()) {
                (_, "type") => {}
                ("input_json_delta", "partial_json") => {
                    let piece = text(value)?;
                    budget.take(piece.len())?;
                    input.push_str(&piece);
                }
                ("citations_delta", "citation") => fields.push("citations", value, budget)?,
                ("signature_delta", "signature") => fields.renew(name, value, budget)?,
                _ => fields.grow(name, value, budget)?,
            }
        }
        Ok(())
    }

    fn on_end(&mut self, event: &Fields<'_>, budget: &mut Budget) -> Result<(), Unassembled> {
        let top = self.top.as_mut().ok_or(Unassembled::Unreadable("an end without a start"))?;
        for (name, value) in &event.0 {
            match name.as_str() {
                "type" => {}
                "delta" => {
                    for (name, value) in &Fields::read(value.get())?.0 {
                        top.renew(name, value, budget)?;
                    }
                }
                "usage" if is_null(value) => {}
                "usage" => merge_usage(&mut self.usage, value, budget)?,
                _ => top.renew(name, value, budget)?,
            }
        }
        Ok(())
    }

    pub(super) fn document(self) -> Result<String, Unassembled> {
        let mut top = self.top.filter(|top| top.has("stop_reason")).ok_or(Unassembled::Unfinished)?;
        let wants_tool = top.value("stop_reason") == Some("\"tool_use\"");
        let blocks: Result<Vec<Grown>, _> =
            self.blocks.into_values().map(|block| block.whole(wants_tool)).collect();
        top.set_objects("content", blocks?);
        top.set_object("usage", self.usage);
        top.json()
    }
}

impl Block {
    /// The block with the input that was put together, its numbers as they came. One that the output limit cut short
    /// is no JSON; it stays as it started, and the reason for the stop says so.
    fn whole(mut self, wants_tool: bool) -> Result<Grown, Unassembled> {
        if self.input.trim().is_empty() {
            return Ok(self.fields);
        }
        match RawValue::from_string(self.input) {
            Ok(input) => self.fields.set_value("input", input),
            Err(_) if wants_tool => return Err(Unassembled::Unreadable("the input of a tool")),
            Err(_) => {}
        }
        Ok(self.fields)
    }
}

/// Brings token counts up to date. Some servers count the prompt once, and say 0 in later events.
fn merge_usage(usage: &mut Grown, counts: &RawValue, budget: &mut Budget) -> Result<(), Unassembled> {
    for (name, value) in &Fields::read(counts.get())?.0 {
        if value.get() != "0" || name == "output_tokens" || !usage.has(name) {
            usage.renew(name, value, budget)?;
        }
    }
    Ok(())
}

fn index(event: &Fields<'_>) -> Result<u64, Unassembled> {
    let index = event.get("index").and_then(|index| index.get().parse().ok());
    index.ok_or(Unassembled::Unreadable("the index of a block"))
}
