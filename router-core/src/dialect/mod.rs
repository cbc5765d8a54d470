//! Which API does a caller speak, and what shape do answers have in it? Looks at the method, the path and
//! the headers only, never at a body. The gateway's half is `gateway/src/path/dialect/`.

mod anthropic;
mod openai;
mod refusal;

pub use refusal::{Reason, Refusal, Source};

/// An API's wire shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// OpenAI's, which most model servers speak.
    OpenAi,
    /// Anthropic's.
    Anthropic,
}

/// The dialects that a pool's endpoints speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialectSet {
    /// Speaks [`Dialect::OpenAi`].
    pub openai: bool,
    /// Speaks [`Dialect::Anthropic`].
    pub anthropic: bool,
}

/// What a caller wants of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/messages`
    Messages,
    /// `GET /v1/models`
    Models,
}

/// The API and the operation that a request head asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Which API.
    pub dialect: Dialect,
    /// What of it.
    pub operation: Operation,
}

impl Dialect {
    /// Both, in the order of their declaration.
    pub const ALL: [Self; 2] = [Self::OpenAi, Self::Anthropic];

    /// Its place in [`Dialect::ALL`], for tables by dialect.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::OpenAi => 0,
            Self::Anthropic => 1,
        }
    }

    /// The name in metrics, logs and the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// The dialect that a request most likely speaks when its path does not tell: for answers to requests
    /// that are wrong before that.
    #[must_use]
    pub fn guess(path: &str, has_anthropic_version: bool) -> Self {
        if has_anthropic_version || path.starts_with("/v1/messages") { Self::Anthropic } else { Self::OpenAi }
    }

    /// The list of models: Weir's own by their names, then those of upstreams as they came.
    #[must_use]
    pub fn model_list(self, names: &[String], upstream: Vec<serde_json::Value>) -> String {
        match self {
            Self::OpenAi => openai::model_list(names, upstream),
            Self::Anthropic => anthropic::model_list(names, upstream),
        }
    }

    /// The event that ends a stream which cannot be finished: the error in this dialect's shape. `kind` is
    /// OpenAI's `type`.
    #[must_use]
    pub fn error_event(self, message: &str, kind: &str, code: &str) -> String {
        match self {
            Self::OpenAi => openai::error_event(message, kind, code),
            Self::Anthropic => anthropic::error_event(message),
        }
    }
}

impl Operation {
    /// The name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Messages => "messages",
            Self::Models => "models",
        }
    }
}

impl DialectSet {
    /// Both.
    pub const ALL: Self = Self { openai: true, anthropic: true };

    /// Whether `dialect` is one of them.
    #[must_use]
    pub const fn contains(self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::OpenAi => self.openai,
            Dialect::Anthropic => self.anthropic,
        }
    }
}

/// Finds the API and operation of a request head.
///
/// # Errors
///
/// [`Reason::UnknownPath`] or [`Reason::MethodNotAllowed`].
pub fn recognise(method: &str, path: &str, has_anthropic_version: bool) -> Result<Intent, Reason> {
    let (dialect, operation, wanted) = match path {
        "/v1/chat/completions" => (Dialect::OpenAi, Operation::ChatCompletions, "POST"),
        "/v1/messages" => (Dialect::Anthropic, Operation::Messages, "POST"),
        "/v1/models" if has_anthropic_version => (Dialect::Anthropic, Operation::Models, "GET"),
        "/v1/models" => (Dialect::OpenAi, Operation::Models, "GET"),
        _ => return Err(Reason::UnknownPath),
    };
    if method == wanted {
        Ok(Intent { dialect, operation })
    } else {
        Err(Reason::MethodNotAllowed { allow: wanted })
    }
}

/// A shape of ours as JSON. Strings, numbers and lists of them cannot fail to be written.
fn json(shape: &impl serde::Serialize) -> String {
    serde_json::to_string(shape).unwrap_or_default()
}
