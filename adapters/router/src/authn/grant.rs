//! What a function authenticator answers, whether a script or a Rust closure gave the answer.

use super::credentials::CraMembers;
use super::derived::Derived;
use super::scram::{ScramMembers, ScramSecret};
use core::fmt;
use std::collections::BTreeMap;
use wampd_core::auth::cryptosign::PublicKey;
use wampd_core::auth::{CraSecret, TicketDigest};
use wampd_core::uri::{Uri, UriRule};
use wampd_core::value::{Dict, Value};

/// What a function authenticator grants.
///
/// What is `None` is decided elsewhere: the role by `default-role`, realm and authid by what the client asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunctionGrant {
    /// Key `role`: the role to join with.
    pub role: Option<String>,
    /// Key `realm`: the realm to join, whatever HELLO asked for.
    pub realm: Option<Uri>,
    /// Key `authid`: the authid to join with, whatever HELLO asked for.
    pub authid: Option<String>,
    /// Key `extra`: `authextra` of WELCOME, over what the client said in HELLO.
    pub extra: Dict,
    /// Keys `secret` or `password`, and `salt`, `iterations`, `keylen`: what the client must prove with WAMP-CRA.
    pub cra: Option<CraSecret>,
    /// Key `ticket`: what the client must show with ticket authentication. Without it the function has checked
    /// `details.ticket` itself.
    pub ticket: Option<TicketDigest>,
    /// Keys `kdf`, `iterations`, `memory`, `salt`, and `stored-key` and `server-key` or `password`: what the client must
    /// prove with SCRAM.
    pub scram: Option<ScramSecret>,
    /// Key `pubkey`: what the client must sign with, with cryptosign.
    pub pubkey: Option<PublicKey>,
}

/// Why a function authenticator did not grant anything.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FunctionError {
    /// The authenticator said no; ABORT carries its reason and its words.
    Denied {
        /// Reason of the ABORT.
        uri: Uri,
        /// Message of the ABORT.
        message: String,
    },
    /// The authenticator does not work: ABORT `wamp.error.authentication_failed`.
    Failed {
        /// Message of the ABORT: tells nothing of the inside.
        message: &'static str,
        /// What happened, for the log; without secrets.
        detail: String,
    },
    /// The authenticator is not there, and may be later: the same, or the client is cut off without ABORT
    /// ([`Farewell`](wampd_core::router::Farewell)).
    Unavailable {
        /// Message of the ABORT: tells nothing of the inside.
        message: &'static str,
        /// What happened, for the log; without secrets.
        detail: String,
    },
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { uri, message } => write!(f, "denied with {}: {message}", uri.as_str()),
            Self::Failed { message, detail } | Self::Unavailable { message, detail } => {
                write!(f, "{message}: {detail}")
            }
        }
    }
}

impl core::error::Error for FunctionError {}

/// Message when a function returns something that is neither a role nor a dictionary.
const INVALID_RETURN_TYPE: &str = "got invalid return type";
/// Message when a function returns a dictionary that cannot be used.
const INVALID_RETURN_VALUE: &str = "got invalid return value";

/// Members of an answer beside those that describe a secret.
const MEMBERS: [&str; 6] = ["role", "realm", "authid", "extra", "ticket", "pubkey"];

impl FunctionGrant {
    /// The same grant with the key that was derived from its password.
    pub(crate) fn with_derived(mut self, derived: Derived) -> Self {
        match derived {
            Derived::Cra(secret) => self.cra = Some(secret),
            Derived::Scram(Ok(credential)) => self.scram = Some(ScramSecret::Keys(credential)),
            // That it cannot be derived is found again at once.
            Derived::Scram(Err(_)) => {}
        }
        self
    }

    /// As [`from_value`](Self::from_value), from code that was written for Crossbar.io: it may return its whole record of a user,
    /// and what is not known, or `None`, is passed over, as there.
    ///
    /// # Errors
    /// [`FunctionError::Failed`] naming the key that is of the wrong type or contradictory.
    pub fn from_record(value: Value) -> Result<Self, FunctionError> {
        match value {
            Value::Dict(mut dict) => {
                let is_known = |key: &str| MEMBERS.contains(&key) || Members::is_known(key);
                dict.retain(|key, value| is_known(key) && *value != Value::Null);
                Self::from_dict(dict)
            }
            other => Self::from_value(other),
        }
    }

    /// Reads what a function returned: a string is the role, a dictionary has the keys named at the fields.
    ///
    /// # Errors
    /// [`FunctionError::Failed`] naming the key that is unknown, of the wrong type or contradictory.
    pub fn from_value(value: Value) -> Result<Self, FunctionError> {
        match value {
            Value::Text(role) => Ok(Self { role: Some(role), ..Self::default() }),
            Value::Dict(dict) => Self::from_dict(dict),
            other => {
                let detail = format!("expected a role or a dictionary, got {}", other.kind());
                Err(FunctionError::Failed { message: INVALID_RETURN_TYPE, detail })
            }
        }
    }

    fn from_dict(dict: Dict) -> Result<Self, FunctionError> {
        let (mut grant, mut secret) = (Self::default(), Members::default());
        for (key, value) in dict {
            match key.as_str() {
                "role" => grant.role = Some(text(&key, value)?),
                "realm" => {
                    let uri = Uri::parse(&text(&key, value)?, UriRule::Loose);
                    grant.realm = Some(uri.map_err(|error| invalid(format!("realm: {error}")))?);
                }
                "authid" => grant.authid = Some(text(&key, value)?),
                "extra" => grant.extra = dictionary(&key, value)?,
                "ticket" => grant.ticket = Some(TicketDigest::of(&secret_text(&key, value)?)),
                "pubkey" => {
                    let key = PublicKey::from_hex(&text(&key, value)?);
                    grant.pubkey = Some(key.map_err(|error| invalid(format!("pubkey: {error}")))?);
                }
                _ => secret.take(&key, value)?,
            }
        }
        if secret.is_scram() {
            grant.scram = Some(secret.scram().secret().map_err(|error| invalid(error.to_string()))?);
        } else if !secret.cra().is_empty() {
            let (cra, _) = secret.cra().secret_or_password().map_err(|error| invalid(error.to_string()))?;
            grant.cra = Some(cra);
        }
        Ok(grant)
    }
}

/// The members that describe a secret; what they mean together depends on which are there.
#[derive(Default)]
struct Members {
    texts: BTreeMap<&'static str, String>,
    numbers: BTreeMap<&'static str, u64>,
}

impl Members {
    const TEXTS: [&'static str; 6] = ["secret", "password", "salt", "kdf", "stored-key", "server-key"];
    const NUMBERS: [&'static str; 3] = ["iterations", "keylen", "memory"];

    fn is_known(key: &str) -> bool {
        Self::TEXTS.contains(&key) || Self::NUMBERS.contains(&key)
    }

    fn take(&mut self, key: &str, value: Value) -> Result<(), FunctionError> {
        let known = |names: &[&'static str]| names.iter().find(|name| **name == key).copied();
        match (known(&Self::TEXTS), known(&Self::NUMBERS)) {
            (Some(name @ ("secret" | "password")), _) => drop(self.texts.insert(name, secret_text(key, value)?)),
            (Some(name), _) => drop(self.texts.insert(name, text(key, value)?)),
            // The memory of a function that takes none.
            (None, Some("memory")) if value == Value::Null => {}
            (None, Some(name)) => drop(self.numbers.insert(name, count(key, &value)?)),
            (None, None) => return Err(invalid(format!("unknown key {key:?}"))),
        }
        Ok(())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.numbers.get(name).copied()
    }

    fn is_scram(&self) -> bool {
        let keys = ["kdf", "stored-key", "server-key"];
        keys.iter().any(|key| self.texts.contains_key(key)) || self.numbers.contains_key("memory")
    }

    fn cra(&self) -> CraMembers<'_> {
        CraMembers {
            secret: self.text("secret"),
            password: self.text("password"),
            salt: self.text("salt"),
            iterations: self.number("iterations"),
            keylen: self.number("keylen"),
        }
    }

    fn scram(&self) -> ScramMembers<'_> {
        ScramMembers {
            kdf: self.text("kdf"),
            iterations: self.number("iterations"),
            memory: self.number("memory"),
            salt: self.text("salt"),
            stored_key: self.text("stored-key"),
            server_key: self.text("server-key"),
            password: self.text("password"),
        }
    }
}

fn text(key: &str, value: Value) -> Result<String, FunctionError> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(invalid(format!("{key} must be a string, got {}", other.kind()))),
    }
}

/// A secret. What is empty everybody knows.
fn secret_text(key: &str, value: Value) -> Result<String, FunctionError> {
    let text = text(key, value)?;
    if text.is_empty() { Err(invalid(format!("{key} is empty"))) } else { Ok(text) }
}

fn dictionary(key: &str, value: Value) -> Result<Dict, FunctionError> {
    match value {
        Value::Dict(dict) => Ok(dict),
        other => Err(invalid(format!("{key} must be a dictionary, got {}", other.kind()))),
    }
}

fn count(key: &str, value: &Value) -> Result<u64, FunctionError> {
    value.as_u64().ok_or_else(|| invalid(format!("{key} must be a positive integer, got {}", value.kind())))
}

const fn invalid(detail: String) -> FunctionError {
    FunctionError::Failed { message: INVALID_RETURN_VALUE, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_secrets_are_refused() {
        for key in ["secret", "password", "ticket"] {
            let record = Dict::from([(key.to_owned(), Value::from(""))]);
            let refused = FunctionGrant::from_value(Value::Dict(record.clone())).expect_err("refused");
            assert!(refused.to_string().ends_with(&format!("{key} is empty")), "{refused}");
            assert!(FunctionGrant::from_record(Value::Dict(record)).is_err());
        }
    }

    #[test]
    fn the_whole_record_of_a_user_is_an_answer() {
        let record = [("secret", "x"), ("role", "user"), ("shoe_size", "43"), ("cache", "true")];
        let mut record: Dict = record.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
        record.insert("authid".to_owned(), Value::Null);
        let grant = FunctionGrant::from_record(Value::Dict(record)).expect("granted");
        assert_eq!((grant.role.as_deref(), grant.authid), (Some("user"), None));
        assert_eq!(grant.cra, Some(CraSecret::Plain("x".to_owned())));
    }
}
