//! Wishes in the model name, for callers behind a proxy that drops unknown headers:
//! `MODEL+tokens-50+fault-cut=10` is model `MODEL`.

use crate::modelsim::fault::{Fault, FaultError};

/// A model name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::modelsim) struct Suffix<'a> {
    /// The name without wishes.
    pub(in crate::modelsim) model: &'a str,
    /// After `+fault-`.
    pub(in crate::modelsim) fault: Option<Fault>,
    /// After `+tokens-`, as written.
    pub(in crate::modelsim) tokens: Option<&'a str>,
}

impl<'a> Suffix<'a> {
    /// Takes wishes off the end of `name`; any other `+` is part of the name.
    ///
    /// # Errors
    ///
    /// Refuses a fault that does not exist.
    pub(in crate::modelsim) fn parse(name: &'a str) -> Result<Self, FaultError> {
        let mut parsed = Self { model: name, fault: None, tokens: None };
        while let Some((model, wish)) = parsed.model.rsplit_once('+') {
            if let Some(fault) = wish.strip_prefix("fault-") {
                parsed.fault = Some(fault.parse()?);
            } else if let Some(tokens) = wish.strip_prefix("tokens-") {
                parsed.tokens = Some(tokens);
            } else {
                break;
            }
            parsed.model = model;
        }
        Ok(parsed)
    }
}
