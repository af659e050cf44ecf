use crate::auth::cryptosign::{PublicKey, SecretKey};
use crate::auth::scram::{Dialect, KdfLimits};
use crate::message::{ClientRoles, Features};
use crate::uri::Uri;
use crate::value::Dict;
use core::fmt;
use core::time::Duration;

/// What a client joins, as whom, and within which limits.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The realm to join; `None` leaves the choice to the router's authenticator.
    pub realm: Option<Uri>,
    /// Who the client says it is.
    pub authid: Option<String>,
    /// The role to ask for.
    pub authrole: Option<String>,
    /// Data for the authentication method.
    pub authextra: Option<Dict>,
    /// Ways to authenticate, in order of preference; the router chooses. None at all means anonymous.
    ///
    /// A router can choose any of them: a ticket offered beside WAMP-CRA can be asked for in clear.
    pub credentials: Vec<Credential>,
    /// Whether proofs must be bound to the TLS connection ([`Credential::Scram`] of the specification's dialect and
    /// [`Credential::Cryptosign`] can be): without a connection and a router that can do it, nothing is proved to
    /// anybody and the session is not opened. Default false.
    pub channel_binding: bool,
    /// Roles and features to announce; as default all that this client can do.
    pub roles: ClientRoles,
    /// Name and version of the software, if the router may know.
    pub agent: Option<String>,
    /// Bounds on time and memory.
    pub limits: ClientLimits,
}

impl ClientConfig {
    /// Joins `realm` anonymously, with all roles and the default limits.
    pub fn anonymous(realm: Uri) -> Self {
        Self {
            realm: Some(realm),
            authid: None,
            authrole: None,
            authextra: None,
            credentials: Vec::new(),
            channel_binding: false,
            roles: supported_roles(),
            agent: None,
            limits: ClientLimits::default(),
        }
    }

    /// Joins `realm` as `authid` with one credential, all roles and the default limits.
    pub fn with_credential(realm: Uri, authid: impl Into<String>, credential: Credential) -> Self {
        Self { authid: Some(authid.into()), credentials: vec![credential], ..Self::anonymous(realm) }
    }
}

/// All four roles with the advanced features that [`Client`](super::Client) takes part in.
pub const fn supported_roles() -> ClientRoles {
    // What the application does with payloads that are not arguments is its own matter.
    let payloads = Features::PAYLOAD_PASSTHRU_MODE.union(Features::PAYLOAD_TRANSPARENCY);
    ClientRoles {
        publisher: Some(
            payloads
                .union(Features::PUBLISHER_IDENTIFICATION)
                .union(Features::SUBSCRIBER_BLACKWHITE_LISTING)
                .union(Features::PUBLISHER_EXCLUSION)
                .union(Features::SHARDED_SUBSCRIPTION),
        ),
        subscriber: Some(
            payloads
                .union(Features::PUBLISHER_IDENTIFICATION)
                .union(Features::PUBLICATION_TRUSTLEVELS)
                .union(Features::SHARDED_SUBSCRIPTION)
                .union(Features::PATTERN_BASED_SUBSCRIPTION)
                .union(Features::SUBSCRIPTION_REVOCATION),
        ),
        caller: Some(
            payloads
                .union(Features::CALLER_IDENTIFICATION)
                .union(Features::CALL_CANCELING)
                .union(Features::CALL_TIMEOUT)
                .union(Features::PROGRESSIVE_CALL_RESULTS)
                .union(Features::PROGRESSIVE_CALL_INVOCATIONS)
                .union(Features::SHARDED_REGISTRATION),
        ),
        callee: Some(
            payloads
                .union(Features::CALLER_IDENTIFICATION)
                .union(Features::CALL_CANCELING)
                .union(Features::CALL_TIMEOUT)
                .union(Features::CALL_TRUSTLEVELS)
                .union(Features::CALL_REROUTE)
                .union(Features::PATTERN_BASED_REGISTRATION)
                .union(Features::PROGRESSIVE_CALL_RESULTS)
                .union(Features::PROGRESSIVE_CALL_INVOCATIONS)
                .union(Features::REGISTRATION_REVOCATION)
                .union(Features::SHARED_REGISTRATION)
                .union(Features::SHARDED_REGISTRATION),
        ),
    }
}

/// One way to authenticate.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// No proof.
    Anonymous,
    /// A ticket, sent in clear: for transports that are encrypted, or local.
    Ticket(String),
    /// The secret or password of WAMP-CRA; a key is derived from it when the challenge is salted.
    Cra(String),
    /// A password for SCRAM. It never leaves the client, and the router must prove that it knows the password's keys.
    Scram {
        /// Which SCRAM.
        dialect: Dialect,
        /// The password.
        password: String,
    },
    /// A private key for cryptosign.
    Cryptosign {
        /// The key.
        key: SecretKey,
        /// The router's key, if the router must prove that it is the one.
        router: Option<PublicKey>,
    },
    /// A method that the application answers: see [`ClientEvent::Challenged`](super::ClientEvent::Challenged).
    External {
        /// The name of the method.
        method: String,
    },
}

impl Credential {
    /// The name of the authentication method.
    pub fn method(&self) -> &str {
        match self {
            Self::Anonymous => crate::auth::ANONYMOUS,
            Self::Ticket(_) => crate::auth::TICKET,
            Self::Cra(_) => crate::auth::WAMPCRA,
            Self::Scram { dialect, .. } => dialect.method(),
            Self::Cryptosign { .. } => crate::auth::CRYPTOSIGN,
            Self::External { method } => method,
        }
    }

    /// Whether a router that accepts it has proved who it is.
    pub const fn proves_router(&self) -> bool {
        matches!(self, Self::Scram { .. } | Self::Cryptosign { router: Some(_), .. })
    }
}

/// The method alone.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.method())
    }
}

/// Bounds on what a router can make a client spend, and on what the application can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Time from [`Client::connected`](super::Client::connected) to WELCOME or ABORT. Default 10 s.
    pub handshake_timeout: Duration,
    /// CHALLENGEs in one handshake; more ends it. Default 4.
    pub max_challenges: u32,
    /// Time from GOODBYE to its reply. Default 5 s.
    pub goodbye_timeout: Duration,
    /// Time from a request to its answer, or between two progressive results; `None`, the default, is no limit.
    pub request_timeout: Option<Duration>,
    /// Requests that may wait for an answer at a time; one more is
    /// [`RequestError::TooManyPending`](super::RequestError::TooManyPending). Default 65,536.
    pub max_pending: usize,
    /// Invocations that may wait for the application at a time; further ones are answered with
    /// `wamp.error.unavailable`. Default 65,536.
    pub max_invocations: usize,
    /// PBKDF2 iterations that a WAMP-CRA challenge may demand; more ends the handshake. Default 1,000,000.
    pub max_cra_iterations: u32,
    /// Length in bytes of the derived key that a WAMP-CRA challenge may demand; more ends the handshake. Default 64.
    pub max_cra_keylen: usize,
    /// Costs that a SCRAM challenge may demand; others end the handshake. What is demanded is spent inside
    /// [`Client::receive`](super::Client::receive).
    pub kdf: KdfLimits,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            max_challenges: 4,
            goodbye_timeout: Duration::from_secs(5),
            request_timeout: None,
            max_pending: 65_536,
            max_invocations: 65_536,
            max_cra_iterations: 1_000_000,
            max_cra_keylen: 64,
            kdf: KdfLimits::default(),
        }
    }
}
