//! `${NAME}` and `${NAME:-default}` in a value: replaced by what a look-up function knows. What comes out is
//! plain text, never read as YAML again, so no variable can add a key.

use std::borrow::Cow;

use super::problem::Complaint;

/// Why a value cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExpandError {
    /// A variable without a default is not set; its name.
    Unset(String),
    /// `${` without `}`.
    Unterminated,
    /// What stands between the braces is no name of a variable.
    Name,
}

/// Replaces every variable of `text`. `$${` stands for a literal `${`.
pub(super) fn expand<'t>(
    text: &'t str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'t, str>, ExpandError> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(literal) = before.strip_suffix('$') {
            out.push_str(literal);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let (inside, behind) = after.split_once('}').ok_or(ExpandError::Unterminated)?;
        out.push_str(&variable(inside, env)?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn variable(inside: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_variable_name(name) {
        return Err(ExpandError::Name);
    }
    // As in a shell, `:-` also stands in for a variable that is set to nothing.
    let found = env(name).filter(|value| default.is_none() || !value.is_empty());
    found.or_else(|| default.map(str::to_owned)).ok_or_else(|| ExpandError::Unset(name.to_owned()))
}

/// `text` as it must be written for [`expand`] to give it back.
pub(super) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

/// Letters, digits and underscores, no digit first: what every shell can set.
pub(super) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl ExpandError {
    /// What to tell; `secret` leaves out whatever the value held.
    pub(super) fn complaint(&self, secret: bool) -> Complaint {
        match self {
            Self::Unset(_) if secret => Complaint::new("an environment variable of this value is not set"),
            Self::Unset(name) => Complaint::new(format!("environment variable `{name}` is not set"))
                .help(format!("set it, or give a default: `${{{name}:-default}}`")),
            Self::Unterminated => Complaint::new("`${` without its `}`").help(LITERAL),
            Self::Name => Complaint::new("what stands in `${…}` is no name of an environment variable")
                .help(format!("names are letters, digits and underscores; {LITERAL}")),
        }
    }
}

const LITERAL: &str = "a literal `${` is written `$${`";

#[cfg(test)]
mod tests {
    use super::{ExpandError, escape, expand};

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.com".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_defaults_and_literals() {
        let cases = [
            ("plain $ text", "plain $ text"),
            ("http://${HOST}:${PORT:-80}/", "http://example.com:80/"),
            ("${PORT:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NESTED}", "${HOST}"),
            ("$${HOST}", "${HOST}"),
            ("$$${HOST}", "$${HOST}"),
            ("${HOST}$${HOST}${HOST}", "example.com${HOST}example.com"),
            ("$", "$"),
            ("}{", "}{"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &env).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded() {
        assert_eq!(expand("a${NOPE}", &env), Err(ExpandError::Unset("NOPE".to_owned())));
        assert_eq!(expand("a${HOST", &env), Err(ExpandError::Unterminated));
        assert_eq!(expand("${}", &env), Err(ExpandError::Name));
        assert_eq!(expand("${1X}", &env), Err(ExpandError::Name));
        assert_eq!(expand("${A B:-x}", &env), Err(ExpandError::Name));
    }

    #[test]
    fn escaped_text_comes_back() {
        for text in ["", "$", "${", "$${", "a${HOST}b", "$$$${${", "}$"] {
            assert_eq!(expand(&escape(text), &env).as_deref(), Ok(text), "{text}");
        }
    }
}
