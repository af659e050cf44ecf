//! What an authorizer answers, whether a procedure, a script or a Rust closure gave the answer.

use core::fmt;
use core::time::Duration;
use wampd_core::router::ActionVerdict;
use wampd_core::value::Value;

/// How long an answer with `cache: true` holds: 60 s.
pub const CACHE_TIME: Duration = Duration::from_secs(60);

/// Longest time that an answer may hold: a day.
const MAX_CACHE_SECS: u64 = 86_400;

/// Whether a session may act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permit {
    /// Key `allow`: whether it may.
    pub allow: bool,
    /// Key `disclose`: whether the receivers are told who it is.
    pub disclose: bool,
    /// Key `cache`: how long the answer holds for the same session, action, URI and options; `None`: this once. `true`
    /// is [`CACHE_TIME`], a number is seconds.
    pub cache: Option<Duration>,
}

impl Permit {
    /// It may, this once.
    pub const ALLOW: Self = Self { allow: true, disclose: false, cache: None };
    /// It may not, this once.
    pub const DENY: Self = Self { allow: false, disclose: false, cache: None };

    /// Reads what an authorizer returned: a boolean, or a dictionary with `allow` and, if wanted, `disclose` and `cache`.
    ///
    /// # Errors
    /// [`AuthorizerFailed`] naming the key that is unknown, missing or of the wrong type.
    pub fn from_value(value: &Value) -> Result<Self, AuthorizerFailed> {
        let dict = match value {
            Value::Bool(allow) => return Ok(Self { allow: *allow, ..Self::DENY }),
            Value::Dict(dict) => dict,
            other => {
                let found = other.kind();
                return Err(AuthorizerFailed::new(format!("expected a boolean or a dictionary, got {found}")));
            }
        };
        let mut allow = None;
        let mut permit = Self::DENY;
        for (key, value) in dict {
            match key.as_str() {
                "allow" => allow = Some(boolean(key, value)?),
                "disclose" => permit.disclose = boolean(key, value)?,
                "cache" => permit.cache = cache(value)?,
                // Crossbar.io's, which validates payloads.
                "validate" if *value == Value::Null => {}
                "validate" => return Err(AuthorizerFailed::new("validate is not supported")),
                _ => return Err(AuthorizerFailed::new(format!("unknown key {key:?}"))),
            }
        }
        permit.allow = allow.ok_or_else(|| AuthorizerFailed::new("the key \"allow\" is missing"))?;
        Ok(permit)
    }
}

impl From<Permit> for ActionVerdict {
    fn from(Permit { allow, disclose, cache }: Permit) -> Self {
        if allow { Self::Allow { disclose, cache } } else { Self::Deny { cache } }
    }
}

fn boolean(key: &str, value: &Value) -> Result<bool, AuthorizerFailed> {
    let wrong = || AuthorizerFailed::new(format!("{key} must be a boolean, got {}", value.kind()));
    value.as_bool().ok_or_else(wrong)
}

fn cache(value: &Value) -> Result<Option<Duration>, AuthorizerFailed> {
    match value {
        Value::Null | Value::Bool(false) => Ok(None),
        Value::Bool(true) => Ok(Some(CACHE_TIME)),
        other => match other.as_u64() {
            Some(seconds @ 0..=MAX_CACHE_SECS) => Ok(Some(Duration::from_secs(seconds))),
            _ => {
                let text = format!("cache must be a boolean or a number of seconds up to {MAX_CACHE_SECS}");
                Err(AuthorizerFailed::new(text))
            }
        },
    }
}

/// An authorizer did not decide: what happened, for the log. The client is told that it failed, and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizerFailed(String);

impl AuthorizerFailed {
    /// A failure with this description, which should hold no secrets.
    pub fn new(detail: impl Into<String>) -> Self {
        Self(detail.into())
    }
}

impl fmt::Display for AuthorizerFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for AuthorizerFailed {}

/// The verdict on an action: an authorizer that fails denies.
pub fn verdict(answer: Result<Permit, AuthorizerFailed>) -> ActionVerdict {
    match answer {
        Ok(permit) => permit.into(),
        Err(_) => ActionVerdict::Failed { message: "the authorizer failed".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wampd_core::value::Dict;

    fn dict<const N: usize>(entries: [(&str, Value); N]) -> Value {
        Value::from(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Dict>())
    }

    #[test]
    fn booleans_and_dictionaries_are_answers() {
        let cached = |secs| Some(Duration::from_secs(secs));
        for (value, permit) in [
            (true.into(), Permit::ALLOW),
            (false.into(), Permit::DENY),
            (dict([("allow", true.into())]), Permit::ALLOW),
            (dict([("allow", false.into()), ("cache", true.into())]), Permit { cache: cached(60), ..Permit::DENY }),
            (
                dict([("allow", true.into()), ("disclose", true.into()), ("cache", 5.into())]),
                Permit { allow: true, disclose: true, cache: cached(5) },
            ),
            (dict([("allow", true.into()), ("cache", false.into()), ("validate", Value::Null)]), Permit::ALLOW),
        ] {
            assert_eq!(Permit::from_value(&value), Ok(permit), "{value:?}");
        }
    }

    #[test]
    fn anything_else_is_a_failure_that_says_what_is_wrong() {
        for (value, text) in [
            (Value::Null, "got null"),
            ("yes".into(), "got string"),
            (1.into(), "got integer"),
            (dict([]), "\"allow\" is missing"),
            (dict([("allow", 1.into())]), "allow must be a boolean"),
            (dict([("allow", true.into()), ("disclose", "x".into())]), "disclose must be a boolean"),
            (dict([("allow", true.into()), ("cache", (-1).into())]), "cache must be"),
            (dict([("allow", true.into()), ("cache", 86_401.into())]), "cache must be"),
            (dict([("allow", true.into()), ("validate", dict([]))]), "validate is not supported"),
            (dict([("allow", true.into()), ("allowed", true.into())]), "unknown key \"allowed\""),
        ] {
            let failed = Permit::from_value(&value).expect_err("refused");
            assert!(failed.to_string().contains(text), "{value:?}: {failed}");
        }
    }

    #[test]
    fn verdicts_follow() {
        let cache = Some(CACHE_TIME);
        let allow = Permit { disclose: true, cache, ..Permit::ALLOW };
        assert_eq!(verdict(Ok(allow)), ActionVerdict::Allow { disclose: true, cache });
        assert_eq!(verdict(Ok(Permit { cache, ..Permit::DENY })), ActionVerdict::Deny { cache });
        let ActionVerdict::Failed { message } = verdict(Err(AuthorizerFailed::new("secret123"))) else { panic!() };
        assert!(!message.contains("secret123"));
    }
}
