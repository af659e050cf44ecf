use super::{ClientRoles, Payload, RawDict, RouterRoles};
use crate::id::SessionId;
use crate::uri::Uri;
use crate::value::Dict;
use core::fmt;

/// `[HELLO, Realm|uri, Details|dict]`
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Hello {
    /// The realm to join; `None` (null on the wire) leaves the choice to the authenticator.
    pub realm: Option<Uri>,
    /// Who asks, and how it can prove it.
    pub details: HelloDetails,
}

/// Details of HELLO.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct HelloDetails {
    /// The roles and features of the client; at least one role.
    pub roles: ClientRoles,
    /// Authentication methods in the client's order of preference; empty means anonymous.
    pub authmethods: Vec<String>,
    /// Who the client says it is.
    pub authid: Option<String>,
    /// The role the client asks for.
    pub authrole: Option<String>,
    /// Data for the authentication method.
    pub authextra: Option<RawDict>,
    /// Name and version of the client software.
    pub agent: Option<String>,
}

/// `[WELCOME, Session|id, Details|dict]`
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// The session's id.
    pub session: SessionId,
    /// Who the client is now, and what the router can do.
    pub details: WelcomeDetails,
}

/// Details of WELCOME.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct WelcomeDetails {
    /// The realm joined.
    pub realm: Option<Uri>,
    /// The authenticated id.
    pub authid: Option<String>,
    /// The role granted.
    pub authrole: Option<String>,
    /// The method that authenticated the client.
    pub authmethod: Option<String>,
    /// What decided: `static`, `function`, `dynamic`.
    pub authprovider: Option<String>,
    /// Data from the authenticator for the client.
    pub authextra: Option<Dict>,
    /// Name and version of the router software.
    pub agent: Option<String>,
    /// The roles and features of the router.
    pub roles: RouterRoles,
}

/// `[ABORT, Details|dict, Reason|uri (, Arguments|list (, ArgumentsKw|dict))]`
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Abort {
    /// `message` is a text for people; authentication methods may add more.
    pub details: RawDict,
    /// Why.
    pub reason: Uri,
    /// Optional arguments.
    pub payload: Payload,
}

/// `[CHALLENGE, AuthMethod|string, Extra|dict]`
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ChallengeMessage {
    /// The authentication method chosen by the router.
    pub method: String,
    /// What to prove knowledge for; depends on the method.
    pub extra: Dict,
}

/// `[AUTHENTICATE, Signature|string, Extra|dict]`
#[derive(Clone, PartialEq, Default)]
pub struct Authenticate {
    /// The proof: a signature, or with method `ticket` the secret itself.
    pub signature: String,
    /// Further data of the method.
    pub extra: RawDict,
}

/// The signature may be a secret (a ticket): it is never printed.
impl fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate").field("signature", &"***").field("extra", &self.extra.to_dict().keys()).finish()
    }
}

/// `[GOODBYE, Details|dict, Reason|uri]`
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Goodbye {
    /// `message` is a text for people.
    pub details: RawDict,
    /// Why.
    pub reason: Uri,
}
