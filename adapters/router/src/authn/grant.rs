//! What a function authenticator answers, whether a script or a Rust closure gave the answer.

use super::credentials::CraMembers;
use core::fmt;
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
    /// Key `extra`: `authextra` of WELCOME.
    pub extra: Dict,
    /// Keys `secret` or `password`, and `salt`, `iterations`, `keylen`: what the client must prove with WAMP-CRA.
    pub cra: Option<CraSecret>,
    /// Key `ticket`: what the client must show with ticket authentication. Without it the function has checked
    /// `details.ticket` itself.
    pub ticket: Option<TicketDigest>,
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
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { uri, message } => write!(f, "denied with {}: {message}", uri.as_str()),
            Self::Failed { message, detail } => write!(f, "{message}: {detail}"),
        }
    }
}

impl core::error::Error for FunctionError {}

/// Message when a function returns something that is neither a role nor a dictionary.
const INVALID_RETURN_TYPE: &str = "got invalid return type";
/// Message when a function returns a dictionary that cannot be used.
const INVALID_RETURN_VALUE: &str = "got invalid return value";

impl FunctionGrant {
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
        let mut grant = Self::default();
        let (mut secret, mut password, mut salt, mut iterations, mut keylen) = (None, None, None, None, None);
        for (key, value) in dict {
            match key.as_str() {
                "role" => grant.role = Some(text(&key, value)?),
                "realm" => {
                    let uri = Uri::parse(&text(&key, value)?, UriRule::Loose);
                    grant.realm = Some(uri.map_err(|error| invalid(format!("realm: {error}")))?);
                }
                "authid" => grant.authid = Some(text(&key, value)?),
                "extra" => grant.extra = dictionary(&key, value)?,
                "ticket" => grant.ticket = Some(TicketDigest::of(&text(&key, value)?)),
                "secret" => secret = Some(text(&key, value)?),
                "password" => password = Some(text(&key, value)?),
                "salt" => salt = Some(text(&key, value)?),
                "iterations" => iterations = Some(count(&key, &value)?),
                "keylen" => keylen = Some(count(&key, &value)?),
                _ => return Err(invalid(format!("unknown key {key:?}"))),
            }
        }
        let members = CraMembers {
            secret: secret.as_deref(),
            password: password.as_deref(),
            salt: salt.as_deref(),
            iterations,
            keylen,
        };
        if !members.is_empty() {
            grant.cra = Some(members.secret().map_err(|error| invalid(error.to_string()))?);
        }
        Ok(grant)
    }
}

fn text(key: &str, value: Value) -> Result<String, FunctionError> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(invalid(format!("{key} must be a string, got {}", other.kind()))),
    }
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
