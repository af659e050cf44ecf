//! Who may join the simulated world: the users of the founding scenario, and answerers that fail in every way.

use crate::rng::Pcg;
use crate::sim::Answerer;
use core::time::Duration;
use wampd_core::auth::cryptosign::SecretKey;
use wampd_core::auth::scram::{Dialect, Kdf, KdfLimits};
use wampd_core::auth::{CraSecret, ScramCredential, TicketDigest};
use wampd_core::router::{AuthRequest, AuthStep, AuthVerdict, Challenge, Identity};
use wampd_core::uri::{Uri, error};
use wampd_core::value::Dict;

/// The realm of the founding scenario.
pub const REALM: Uri = Uri::from_static("realm1");

/// An answerer that always gives the same kind of verdict, at once.
pub fn at_once(mut decide: impl FnMut(&AuthRequest) -> AuthVerdict + 'static) -> Answerer {
    Box::new(move |request, _| vec![(Duration::ZERO, decide(request))])
}

/// Everybody may join, as role `role`, under the name they ask for.
pub fn everybody(role: &'static str) -> Answerer {
    at_once(move |request| AuthVerdict::Welcome(identity(request, role, "anonymous")))
}

/// The custom authenticator of the founding scenario.
pub fn founding(request: &AuthRequest) -> AuthVerdict {
    let AuthStep::Hello { authid, .. } = &request.step else {
        return deny(error::AUTHENTICATION_FAILED, "asked twice");
    };
    let plain = |secret: &str| CraSecret::Plain(secret.to_owned());
    let (secret, renamed) = match authid.as_deref() {
        Some("client1") => (plain("secret123"), None),
        Some("joe") => (plain("secret2"), None),
        Some("hans") => (plain("123456"), Some("ID09125")),
        Some("peter") => {
            let (key, salt) = ("prq7+YkJ1/KlW1X0YczMHw==".to_owned(), "salt123".to_owned());
            (CraSecret::Derived { key, salt, iterations: 100, keylen: 16 }, None)
        }
        other => {
            let message = format!("could not authenticate session - no such user {}", other.unwrap_or_default());
            return deny(Uri::from("com.example.no_such_user"), &message);
        }
    };
    let mut grant = identity(request, "frontend", "wampcra");
    if let Some(authid) = renamed {
        grant.authid = authid.to_owned();
    }
    AuthVerdict::Challenge(Challenge::Cra { secret, grant })
}

/// A verdict that sends a peer away.
pub fn deny(reason: Uri, message: &str) -> AuthVerdict {
    AuthVerdict::Deny { reason, message: message.to_owned() }
}

/// Who a peer becomes: under the name it asks for, in the realm it asks for.
pub fn identity(request: &AuthRequest, role: &str, method: &str) -> Identity {
    let authid = match &request.step {
        AuthStep::Hello { authid, .. } | AuthStep::Response { authid, .. } => authid.clone(),
        _ => None,
    };
    Identity {
        realm: request.realm.clone().unwrap_or(REALM),
        authid: authid.unwrap_or_else(|| "nobody".to_owned()),
        authrole: role.to_owned(),
        authmethod: method.to_owned(),
        authprovider: "function".to_owned(),
        authextra: Dict::new(),
    }
}

/// The costs of [`scram_credential`], which no client accepts outside tests.
pub const CHEAP: KdfLimits = KdfLimits {
    min_pbkdf2_iterations: 1,
    max_pbkdf2_iterations: 10,
    max_argon2_memory: 8,
    min_argon2_work: 1,
    max_argon2_work: 100,
};

/// What a router knows of the password `secret`.
pub fn scram_credential(dialect: Dialect) -> ScramCredential {
    let kdf = Kdf::Pbkdf2 { iterations: 2 };
    ScramCredential::derive(dialect, "secret", b"saltsalt".to_vec(), kdf).expect("a plain password")
}

/// The key of users of cryptosign.
pub fn signing_key() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

/// What a verdict can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Let in.
    Welcome,
    /// Let in, but to a realm that does not exist.
    WrongRealm,
    /// Let in with a role that does not exist.
    WrongRole,
    /// Refused.
    Deny,
    /// Challenged by WAMP-CRA, with the secret `secret`.
    Cra,
    /// Challenged by WAMP-CRA, with the password `secret` and salt.
    SaltedCra,
    /// Asked for the ticket `secret`.
    Ticket,
    /// Challenged by SCRAM in this dialect, with the password `secret`.
    Scram(Dialect),
    /// Challenged by cryptosign, with the key of [`signing_key`].
    Cryptosign,
    /// Challenged by the method `riddle`; the answer is asked about again.
    Riddle,
}

impl Ruling {
    /// Every ruling.
    pub const ALL: [Self; 11] = [
        Self::Welcome,
        Self::WrongRealm,
        Self::WrongRole,
        Self::Deny,
        Self::Cra,
        Self::SaltedCra,
        Self::Ticket,
        Self::Scram(Dialect::WampScram),
        Self::Scram(Dialect::Crossbar),
        Self::Cryptosign,
        Self::Riddle,
    ];

    /// The verdict on a request; whoever joins gets the role `role`.
    pub fn verdict(self, request: &AuthRequest, role: &str) -> AuthVerdict {
        let grant = |method| identity(request, role, method);
        let secret = || "secret".to_owned();
        AuthVerdict::Challenge(match self {
            Self::Welcome => return AuthVerdict::Welcome(grant("anonymous")),
            Self::WrongRealm => {
                return AuthVerdict::Welcome(Identity { realm: Uri::from("nowhere"), ..grant("anonymous") });
            }
            Self::WrongRole => return AuthVerdict::Welcome(identity(request, "nothing", "anonymous")),
            Self::Deny => return deny(error::NOT_AUTHORIZED, "go away"),
            Self::Cra => Challenge::Cra { secret: CraSecret::Plain(secret()), grant: grant("wampcra") },
            Self::SaltedCra => Challenge::Cra {
                secret: CraSecret::Password { password: secret(), salt: "salt".to_owned(), iterations: 2, keylen: 32 },
                grant: grant("wampcra"),
            },
            Self::Ticket => Challenge::Ticket { digest: TicketDigest::of(&secret()), grant: grant("ticket") },
            Self::Scram(dialect) => Challenge::Scram {
                dialect,
                credential: scram_credential(dialect).into(),
                grant: grant(dialect.method()),
            },
            Self::Cryptosign => Challenge::Cryptosign { key: signing_key().public(), grant: grant("cryptosign") },
            Self::Riddle => Challenge::Custom { method: "riddle".to_owned(), extra: Dict::new(), state: Dict::new() },
        })
    }
}

/// When and how often a verdict comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// At once.
    Now,
    /// After so many milliseconds.
    Late(u64),
    /// Twice, so many milliseconds apart.
    Twice(u64),
    /// Never.
    Never,
}

/// An answerer that takes its rulings from a list, one for each question, and goes back to the beginning.
pub fn scripted(rulings: Vec<(Ruling, Timing)>, role: &'static str) -> Answerer {
    let mut asked = 0;
    Box::new(move |request, _| {
        let (ruling, timing) = rulings[asked % rulings.len()];
        asked += 1;
        timing.times().into_iter().map(|after| (after, ruling.verdict(request, role))).collect()
    })
}

/// An answerer that draws its rulings: any of `rulings`, at any time.
pub fn moody(rulings: Vec<Ruling>, role: &'static str) -> Answerer {
    Box::new(move |request, rng: &mut Pcg| {
        let ruling = rulings[rng.index(rulings.len())];
        let timing = match rng.below(8) {
            0 => Timing::Never,
            1 => Timing::Twice(rng.below(20_000)),
            2 => Timing::Late(rng.below(20_000)),
            3 | 4 => Timing::Late(rng.below(100)),
            _ => Timing::Now,
        };
        timing.times().into_iter().map(|after| (after, ruling.verdict(request, role))).collect()
    })
}

impl Timing {
    fn times(self) -> Vec<Duration> {
        match self {
            Self::Now => vec![Duration::ZERO],
            Self::Late(ms) => vec![Duration::from_millis(ms)],
            Self::Twice(ms) => vec![Duration::ZERO, Duration::from_millis(ms)],
            Self::Never => Vec::new(),
        }
    }
}
