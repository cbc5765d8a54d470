//! Which API does a caller speak, and what shape do answers have in it? Looks at the method, the path and
//! the headers only, never at a body. The gateway's half is `gateway/src/path/dialect/`.

mod anthropic;
mod openai;
mod passthrough;
mod refusal;
mod shed;
mod unidentified;

pub use passthrough::passthrough;
pub use refusal::{Reason, Refusal, Source};
pub use shed::{RetryHint, Shed, retry_hint};
pub use unidentified::Unidentified;

/// An API's wire shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// OpenAI's, which most model servers speak.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Whatever a pool behind a prefix of paths speaks; Weir's own errors there have LangServe's shape.
    Passthrough,
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
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/messages/count_tokens`
    CountTokens,
    /// `GET /v1/models`
    Models,
    /// `GET /v1/models/{id}`
    Model,
    /// Anything below a prefix that goes to its pool as it is.
    Passthrough,
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
    /// All, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Passthrough];

    /// Its place in [`Dialect::ALL`], for tables by dialect.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::OpenAi => 0,
            Self::Anthropic => 1,
            Self::Passthrough => 2,
        }
    }

    /// The name in metrics, logs and the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Passthrough => "passthrough",
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
            Self::OpenAi | Self::Passthrough => openai::model_list(names, upstream),
            Self::Anthropic => anthropic::model_list(names, upstream),
        }
    }

    /// One of Weir's own models.
    #[must_use]
    pub fn model(self, name: &str) -> String {
        match self {
            Self::OpenAi | Self::Passthrough => openai::model(name),
            Self::Anthropic => anthropic::model(name),
        }
        .to_string()
    }

    /// The event that ends a stream which cannot be finished: the error in this dialect's shape. `kind` is
    /// OpenAI's `type`.
    #[must_use]
    pub fn error_event(self, message: &str, kind: &str, code: &str) -> String {
        match self {
            Self::OpenAi => openai::error_event(message, kind, code),
            Self::Anthropic => anthropic::error_event(message, code),
            Self::Passthrough => passthrough::error_event(message, kind, code),
        }
    }
}

impl Operation {
    /// The name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Models => "models",
            Self::Model => "model",
            Self::Passthrough => "passthrough",
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
            // What a prefix leads to speaks whatever its callers do.
            Dialect::Passthrough => true,
        }
    }
}

/// Finds the API and operation of a request head.
///
/// # Errors
///
/// [`Reason::UnknownPath`] or [`Reason::MethodNotAllowed`].
pub fn recognise(method: &str, path: &str, has_anthropic_version: bool) -> Result<Intent, Reason> {
    let versioned = if has_anthropic_version { Dialect::Anthropic } else { Dialect::OpenAi };
    let (dialect, operation, wanted) = match path {
        "/v1/chat/completions" => (Dialect::OpenAi, Operation::ChatCompletions, "POST"),
        "/v1/completions" => (Dialect::OpenAi, Operation::Completions, "POST"),
        "/v1/embeddings" => (Dialect::OpenAi, Operation::Embeddings, "POST"),
        "/v1/responses" => (Dialect::OpenAi, Operation::Responses, "POST"),
        "/v1/messages" => (Dialect::Anthropic, Operation::Messages, "POST"),
        "/v1/messages/count_tokens" => (Dialect::Anthropic, Operation::CountTokens, "POST"),
        "/v1/models" => (versioned, Operation::Models, "GET"),
        _ if model_id(path).is_some() => (versioned, Operation::Model, "GET"),
        _ => return Err(Reason::UnknownPath),
    };
    if method == wanted {
        Ok(Intent { dialect, operation })
    } else {
        Err(Reason::MethodNotAllowed { allow: wanted })
    }
}

/// The model that `/v1/models/{id}` names. Ids may have slashes in them, plain or as `%2F`. What an upstream
/// could read as another path (`..`, an empty segment, a second encoding) is no id.
#[must_use]
pub fn model_id(path: &str) -> Option<String> {
    let encoded = path.strip_prefix("/v1/models/").filter(|id| !id.is_empty())?;
    let mut id = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?
        } else {
            byte
        };
        id.push(byte);
    }
    let id = String::from_utf8(id).ok()?;
    // Some file systems pass over white space around a name.
    let odd = |segment: &str| matches!(segment.trim(), "" | "." | "..");
    let sane =
        !id.split('/').any(odd) && !id.contains(['%', '\\', '?', '#', ';']) && !id.contains(char::is_control);
    sane.then_some(id)
}

/// A shape of ours as JSON. Strings, numbers and lists of them cannot fail to be written.
fn json(shape: &impl serde::Serialize) -> String {
    serde_json::to_string(shape).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_an_operation() {
        let found = |method, path| recognise(method, path, false).map(|intent| intent.operation);
        assert_eq!(found("POST", "/v1/responses"), Ok(Operation::Responses));
        assert_eq!(found("POST", "/v1/messages/count_tokens"), Ok(Operation::CountTokens));
        assert_eq!(found("GET", "/v1/models/a/b"), Ok(Operation::Model));
        assert_eq!(found("GET", "/v1/embeddings"), Err(Reason::MethodNotAllowed { allow: "POST" }));
        for path in ["/v1/models/", "/v1/models/%", "/v1/models/%zz", "/v1/models/%ff", "/v1/Models", "/v1/x"]
        {
            assert_eq!(found("GET", path), Err(Reason::UnknownPath), "{path}");
        }
    }

    #[test]
    fn what_an_upstream_could_read_as_another_path_is_no_model() {
        for id in [
            "../../metrics",
            "..%2f..%2Fmetrics",
            "%2e%2e/metrics",
            "%252e%252e%252fmetrics",
            "a/./b",
            "a//b",
            "a%00",
            "a%5c..",
            "a%3fb",
            "a/%20/b",
            "a/..%20/b",
        ] {
            assert_eq!(model_id(&format!("/v1/models/{id}")), None, "{id}");
        }
    }

    #[test]
    fn a_model_id_may_have_slashes() {
        assert_eq!(model_id("/v1/models/org/name").as_deref(), Some("org/name"));
        assert_eq!(model_id("/v1/models/org%2Fn%c3%a9e").as_deref(), Some("org/née"));
    }
}
