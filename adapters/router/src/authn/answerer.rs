//! From the question who a peer is to the verdict: which method, which provider, and what its answer means.

use super::derived::Derivation;
use super::function::Login;
use super::grant::{FunctionError, FunctionGrant};
use super::scram::ScramSecret;
use crate::config::{
    AnonymousPrincipal, AuthConfig, CraUser, CryptosignPrincipals, DynamicAuth, FunctionAuth, Provider, ScramUser,
    Secret, TlsPrincipal, TlsPrincipals,
};
use core::fmt;
use data_encoding::HEXLOWER_PERMISSIVE;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use wampd_core::auth::cryptosign::{CryptosignRequest, PublicKey, SecretKey};
use wampd_core::auth::scram::{Dialect, prepare_authid};
use wampd_core::auth::{ANONYMOUS, COOKIE, CRYPTOSIGN, CraSecret, TICKET, TLS, TicketDigest, WAMPCRA, cra};
use wampd_core::message::RawDict;
use wampd_core::router::{AuthRequest, AuthStep, AuthVerdict, Challenge, Identity};
use wampd_core::uri::{Uri, error};
use wampd_core::value::{Dict, Value};

/// `authprovider` of users in the configuration.
pub const STATIC: &str = "static";
/// `authprovider` of functions.
pub const FUNCTION: &str = "function";
/// `authprovider` of procedures.
pub const DYNAMIC: &str = "dynamic";

/// Users of the configuration that others are made to resemble.
const MAX_LIKENESSES: usize = 64;

/// Length of a public key of cryptosign, in hexadecimal.
const PUBKEY_LEN: usize = 64;

/// The key of a transport's details that names its cookie, as [`CookieId::to_hex`](super::cookie::CookieId::to_hex)
/// writes it. The cookie itself is nobody's business.
pub const COOKIE_DETAIL: &str = "http_cbtid";

/// Keys of the state that a ticket challenge keeps for the answer.
const STATE_EXTRA: &str = "authextra";
const STATE_ROLE: &str = "authrole";

/// Answers the questions of a router.
pub struct Answerer {
    /// What challenges to users that do not exist are made from: the same for the same name, and secret.
    seed: [u8; 32],
    /// A key that nobody can sign for.
    nobodys_key: PublicKey,
    /// What `authextra` of HELLO may take, which is kept for as long as the session.
    max_authextra: usize,
}

impl fmt::Debug for Answerer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answerer")
    }
}

/// What to do about a question.
#[derive(Debug)]
pub enum Answer {
    /// It is decided.
    Verdict(AuthVerdict),
    /// It is refused, since `authextra` of HELLO takes more than
    /// [`max_authextra_bytes`](crate::config::NodeLimits::max_authextra_bytes).
    TooLarge(AuthVerdict),
    /// A function is to be asked.
    Function(FunctionAuth, Login, Pending),
    /// A procedure is to be called.
    Dynamic(DynamicAuth, Login, Pending),
}

/// A question that waits for a function or procedure: what its answer is combined with.
#[derive(Debug)]
pub struct Pending {
    method: Method,
    provider: &'static str,
    default_role: Option<String>,
    realm: Option<Uri>,
    authid: Option<String>,
    /// What the client has shown, with ticket authentication.
    ticket: Option<Secret>,
    /// What the client has said of itself in HELLO.
    extra: Dict,
}

/// The methods that this router has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Anonymous,
    Ticket,
    Cra,
    Scram(Dialect),
    Cryptosign,
    Tls,
    Cookie,
}

impl Method {
    const ALL: [Self; 8] = [
        Self::Anonymous,
        Self::Ticket,
        Self::Cra,
        Self::Scram(Dialect::WampScram),
        Self::Scram(Dialect::Crossbar),
        Self::Cryptosign,
        Self::Tls,
        Self::Cookie,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => ANONYMOUS,
            Self::Ticket => TICKET,
            Self::Cra => WAMPCRA,
            Self::Scram(dialect) => dialect.method(),
            Self::Cryptosign => CRYPTOSIGN,
            Self::Tls => TLS,
            Self::Cookie => COOKIE,
        }
    }

    const fn is_offered(self, auth: &AuthConfig) -> bool {
        match self {
            Self::Anonymous => auth.anonymous.is_some(),
            Self::Ticket => auth.ticket.is_some(),
            Self::Cra => auth.wampcra.is_some(),
            Self::Scram(Dialect::WampScram) => auth.wamp_scram.is_some(),
            Self::Scram(Dialect::Crossbar) => auth.scram.is_some(),
            Self::Cryptosign => auth.cryptosign.is_some(),
            Self::Tls => auth.tls.is_some(),
            Self::Cookie => auth.cookie,
        }
    }
}

impl Answerer {
    /// An answerer with random bytes that nobody else knows. `authextra` of HELLO, which is kept as long as its session, may
    /// take `max_authextra` bytes of memory.
    pub fn new(seed: [u8; 32], max_authextra: usize) -> Self {
        let nobody = Sha256::new().chain_update(b"nobody").chain_update(seed).finalize();
        Self { seed, nobodys_key: SecretKey::from_bytes(&nobody.into()).public(), max_authextra }
    }

    /// What to do about a question of a peer on a transport with this `auth`. `known` is who has logged in with its cookie
    /// before.
    pub fn answer(&self, auth: &AuthConfig, request: &AuthRequest, known: Option<Identity>) -> Answer {
        let answer = self.decide(auth, request, known);
        // Until a ticket is there nothing is kept but bytes.
        let keeps = !matches!(
            &answer,
            Answer::Verdict(AuthVerdict::Deny { .. } | AuthVerdict::Challenge(Challenge::Custom { .. }))
        );
        if keeps && dict_weight(&said(request)) > self.max_authextra {
            let limit = self.max_authextra;
            let message = format!("authextra of HELLO is too large: limit max_authextra_bytes ({limit}) exceeded");
            return Answer::TooLarge(denied(error::INVALID_ARGUMENT, &message));
        }
        answer
    }

    fn decide(&self, auth: &AuthConfig, request: &AuthRequest, known: Option<Identity>) -> Answer {
        let known = known.filter(|known| auth.cookie && auth.still_has(known));
        match &request.step {
            AuthStep::Hello { methods, authid, authrole, extra } => {
                let offered = |name: &String| {
                    let mut methods = Method::ALL.into_iter().filter(|method| method.is_offered(auth));
                    // A cookie that nobody has logged in with is no way to join: the next method is.
                    methods.find(|method| method.name() == name && (*method != Method::Cookie || known.is_some()))
                };
                // The client's first method that is offered decides; that it fails is no reason to try another.
                let Some(method) = methods.iter().find_map(offered) else { return no_method(auth, methods) };
                let hello = Hello { method, authid, authrole, extra };
                match method {
                    Method::Anonymous => hello.ask(request, auth.anonymous.as_ref(), anonymous),
                    Method::Ticket => match &auth.ticket {
                        Some(Provider::Static(principals)) => self.static_user(&request.realm, &hello, principals),
                        _ => hello.ask_for_ticket(),
                    },
                    Method::Cra => hello.ask(request, auth.wampcra.as_ref(), |_, users| {
                        self.static_user(&request.realm, &hello, users)
                    }),
                    Method::Scram(dialect) => {
                        let provider = match dialect {
                            Dialect::WampScram => auth.wamp_scram.as_ref(),
                            Dialect::Crossbar => auth.scram.as_ref(),
                        };
                        hello.ask(request, provider, |_, users| self.static_user(&request.realm, &hello, users))
                    }
                    Method::Cryptosign => hello.ask(request, auth.cryptosign.as_ref(), |_, principals| {
                        self.principal(&request.realm, &hello, principals)
                    }),
                    Method::Tls if certificate(request).is_none() => {
                        deny(error::NOT_AUTHORIZED, "client did not send a TLS client certificate")
                    }
                    Method::Tls => hello.ask(request, auth.tls.as_ref(), certified),
                    Method::Cookie => match known {
                        Some(known) => {
                            let authprovider = COOKIE.to_owned();
                            let mut authextra = said(request);
                            authextra.extend(known.authextra);
                            Answer::Verdict(AuthVerdict::Welcome(Identity { authprovider, authextra, ..known }))
                        }
                        None => deny(error::AUTHENTICATION_FAILED, "nobody has logged in with this cookie"),
                    },
                }
            }
            AuthStep::Response { method, authid, signature, state, .. } if method == TICKET => {
                let extra = state.get(STATE_EXTRA).and_then(Value::as_dict).cloned().unwrap_or_default().into();
                let authrole = state.get(STATE_ROLE).and_then(Value::as_str).map(str::to_owned);
                let hello = Hello { method: Method::Ticket, authid, authrole: &authrole, extra: &extra };
                hello.ask_with_ticket(request, auth.ticket.as_ref(), signature)
            }
            _ => deny(error::AUTHENTICATION_FAILED, "this challenge was never made"),
        }
    }

    /// A user of the configuration, or the likeness of one: whether a name exists is told to nobody.
    fn static_user<U: User>(&self, realm: &Option<Uri>, hello: &Hello<'_>, users: &BTreeMap<String, U>) -> Answer {
        let Some(authid) = hello.authid.as_deref().filter(|authid| !authid.is_empty()) else {
            return deny(error::NO_SUCH_PRINCIPAL, &format!("{} needs an authid", hello.method.name()));
        };
        let identity = |role: &str| Identity {
            realm: realm.clone().unwrap_or_default(),
            authid: authid.to_owned(),
            authrole: role.to_owned(),
            authmethod: hello.method.name().to_owned(),
            authprovider: STATIC.to_owned(),
            authextra: hello.extra.to_dict(),
        };
        let name = match hello.method {
            // A name with forbidden characters is found by nobody, and the challenge fails.
            Method::Scram(_) => prepare_authid(authid).unwrap_or(Cow::Borrowed(authid)),
            _ => Cow::Borrowed(authid),
        };
        // Resembles the same user each time; looking for it takes no longer with more users.
        let which = cra::sign(&self.seed, &format!("likeness {authid}"));
        let which = which.bytes().fold(0, |sum, byte| sum + usize::from(byte)) % users.len().clamp(1, MAX_LIKENESSES);
        let Some(like) = users.values().nth(which) else {
            return deny(error::NO_SUCH_PRINCIPAL, "there are no users");
        };
        let salt = cra::sign(&self.seed, &format!("salt {authid}"));
        let secret = cra::sign(&self.seed, &format!("secret {authid}"));
        // Made for those who exist as well, so that it takes the same time.
        let likeness = like.imitate(identity(like.role()), secret, salt);
        let challenge = users.get(&*name).map_or(likeness, |user| user.challenge(identity(user.role())));
        Answer::Verdict(AuthVerdict::Challenge(challenge))
    }

    /// A principal of the configuration; who is none, or shows a key that is not the principal's, is challenged all the
    /// same, and in vain.
    fn principal(&self, realm: &Option<Uri>, hello: &Hello<'_>, principals: &CryptosignPrincipals) -> Answer {
        let shown = match CryptosignRequest::read(&hello.extra.pick(&CryptosignRequest::KEYS)) {
            Ok(asked) => asked.pubkey,
            Err(error) => return deny(error::AUTHENTICATION_FAILED, error.as_str()),
        };
        let named = hello.authid.as_deref().filter(|authid| !authid.is_empty());
        let authid = match (named, shown) {
            (Some(authid), _) => authid.to_owned(),
            (None, Some(key)) => match principals.by_key.get(key.as_bytes()) {
                Some(Some(owner)) => owner.clone(),
                Some(None) => return deny(error::NO_SUCH_PRINCIPAL, "several principals have this key: say which one"),
                None => key.to_hex(),
            },
            (None, None) => return deny(error::NO_SUCH_PRINCIPAL, "cryptosign needs an authid or a pubkey"),
        };
        let known = principals.by_authid.get(&authid);
        let key = known.and_then(|known| match (shown, known.authorized_keys.as_slice()) {
            (Some(shown), keys) => keys.contains(&shown).then_some(shown),
            (None, [only]) => Some(*only),
            (None, _) => None,
        });
        let Some(like) = known.or_else(|| principals.by_authid.values().next()) else {
            return deny(error::NO_SUCH_PRINCIPAL, "there are no principals");
        };
        let grant = Identity {
            realm: like.realm.clone().or_else(|| realm.clone()).unwrap_or_default(),
            authid,
            authrole: like.role.clone(),
            authmethod: CRYPTOSIGN.to_owned(),
            authprovider: STATIC.to_owned(),
            authextra: hello.extra.to_dict(),
        };
        let key = key.unwrap_or(self.nobodys_key);
        Answer::Verdict(AuthVerdict::Challenge(Challenge::Cryptosign { key, grant }))
    }
}

/// Static users of some method.
trait User {
    fn role(&self) -> &str;
    fn challenge(&self, grant: Identity) -> Challenge;
    /// A challenge as to this user, that nobody can meet.
    fn imitate(&self, grant: Identity, secret: String, salt: String) -> Challenge;
}

impl User for CraUser {
    fn role(&self) -> &str {
        &self.role
    }

    fn challenge(&self, grant: Identity) -> Challenge {
        Challenge::Cra { secret: self.secret.clone(), grant }
    }

    fn imitate(&self, grant: Identity, secret: String, text: String) -> Challenge {
        let secret = match &self.secret {
            CraSecret::Plain(_) => CraSecret::Plain(secret),
            CraSecret::Derived { salt, iterations, keylen, .. }
            | CraSecret::Password { salt, iterations, keylen, .. } => {
                let (salt, iterations, keylen) = (imitation(salt, &text), *iterations, *keylen);
                CraSecret::Derived { key: secret, salt, iterations, keylen }
            }
        };
        Challenge::Cra { secret, grant }
    }
}

impl User for ScramUser {
    fn role(&self) -> &str {
        &self.role
    }

    fn challenge(&self, grant: Identity) -> Challenge {
        Challenge::Scram { dialect: self.dialect, credential: self.credential.clone(), grant }
    }

    fn imitate(&self, grant: Identity, secret: String, _: String) -> Challenge {
        let credential = Arc::new(self.credential.imitate(secret.as_bytes(), &grant.authid));
        Challenge::Scram { dialect: self.dialect, credential, grant }
    }
}

impl User for crate::config::TicketPrincipal {
    fn role(&self) -> &str {
        &self.role
    }

    fn challenge(&self, grant: Identity) -> Challenge {
        Challenge::Ticket { digest: self.ticket, grant }
    }

    fn imitate(&self, grant: Identity, secret: String, _: String) -> Challenge {
        Challenge::Ticket { digest: TicketDigest::of(&secret), grant }
    }
}

/// A salt that looks like `salt`: as long, and with characters of the same kinds in the same places.
fn imitation(salt: &str, random: &str) -> String {
    let kinds: [&[u8]; 3] = [b"0123456789", b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
    let random = random.bytes().cycle();
    let imitate =
        |(c, random): (char, u8)| match kinds.iter().find(|kind| u8::try_from(c).is_ok_and(|c| kind.contains(&c))) {
            Some(kind) => char::from(kind[usize::from(random) % kind.len()]),
            None => c,
        };
    salt.chars().zip(random).map(imitate).collect()
}

/// What a peer said of itself in HELLO.
fn said(request: &AuthRequest) -> Dict {
    match &request.step {
        AuthStep::Hello { extra, .. } => extra.to_dict(),
        AuthStep::Response { state, .. } => {
            state.get(STATE_EXTRA).and_then(Value::as_dict).cloned().unwrap_or_default()
        }
        _ => Dict::new(),
    }
}

/// About how much memory a value takes.
fn weight(value: &Value) -> usize {
    const EACH: usize = core::mem::size_of::<Value>();
    EACH + match value {
        Value::Text(text) => text.len(),
        Value::Binary(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(weight).sum(),
        Value::Dict(dict) => dict_weight(dict),
        _ => 0,
    }
}

fn dict_weight(dict: &Dict) -> usize {
    dict.iter().map(|(key, value)| core::mem::size_of::<String>() + key.len() + weight(value)).sum()
}

/// The certificate that a peer has shown, verified by TLS.
fn certificate(request: &AuthRequest) -> Option<&Dict> {
    request.transport.get("peer_cert").and_then(Value::as_dict)
}

/// A principal of the configuration, known by its certificate, whatever it says it is.
fn certified(request: &AuthRequest, principals: &TlsPrincipals) -> Answer {
    let fingerprint = |name: &str| {
        let text = certificate(request)?.get(name)?.as_str()?.replace(':', "");
        HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
    };
    let known = ["sha256", "sha1"].into_iter().find_map(|name| principals.get(&fingerprint(name)?));
    let Some(TlsPrincipal { authid, role }) = known else {
        return deny(error::NOT_AUTHORIZED, "no principal has this TLS client certificate");
    };
    Answer::Verdict(AuthVerdict::Welcome(Identity {
        realm: request.realm.clone().unwrap_or_default(),
        authid: authid.clone(),
        authrole: role.clone(),
        authmethod: TLS.to_owned(),
        authprovider: STATIC.to_owned(),
        authextra: said(request),
    }))
}

fn anonymous(request: &AuthRequest, principal: &AnonymousPrincipal) -> Answer {
    Answer::Verdict(AuthVerdict::Welcome(Identity {
        realm: principal.realm.clone().or_else(|| request.realm.clone()).unwrap_or_default(),
        authid: principal.authid.clone().unwrap_or_else(|| anonymous_authid(request)),
        authrole: principal.role.clone(),
        authmethod: ANONYMOUS.to_owned(),
        authprovider: STATIC.to_owned(),
        authextra: said(request),
    }))
}

/// A name that is random and unique, as the session id is that it is made from.
fn anonymous_authid(request: &AuthRequest) -> String {
    format!("anonymous-{:014x}", request.session.get())
}

/// What a client has said, and by which method it wants to join.
struct Hello<'a> {
    method: Method,
    authid: &'a Option<String>,
    authrole: &'a Option<String>,
    extra: &'a RawDict,
}

impl Hello<'_> {
    fn ask<T>(
        &self,
        request: &AuthRequest,
        provider: Option<&Provider<T>>,
        decide: impl FnOnce(&AuthRequest, &T) -> Answer,
    ) -> Answer {
        match provider {
            Some(Provider::Static(users)) => decide(request, users),
            Some(Provider::Function(function)) => {
                let pending = self.pending(request, FUNCTION, function.default_role.clone(), None);
                Answer::Function(function.clone(), self.login(request, None), pending)
            }
            Some(Provider::Dynamic(dynamic)) => {
                let pending = self.pending(request, DYNAMIC, dynamic.default_role.clone(), None);
                Answer::Dynamic(dynamic.clone(), self.login(request, None), pending)
            }
            None => deny(error::AUTHENTICATION_FAILED, "the method is not offered"),
        }
    }

    /// Functions and procedures are asked when the ticket is there.
    fn ask_for_ticket(&self) -> Answer {
        let mut state = Dict::from([(STATE_EXTRA.to_owned(), Value::from(self.extra.to_dict()))]);
        if let Some(role) = self.authrole {
            state.insert(STATE_ROLE.to_owned(), Value::from(role.as_str()));
        }
        let method = TICKET.to_owned();
        Answer::Verdict(AuthVerdict::Challenge(Challenge::Custom { method, extra: Dict::new(), state }))
    }

    fn ask_with_ticket<T>(&self, request: &AuthRequest, provider: Option<&Provider<T>>, ticket: &str) -> Answer {
        match provider {
            Some(Provider::Function(function)) => {
                let pending = self.pending(request, FUNCTION, function.default_role.clone(), Some(ticket));
                Answer::Function(function.clone(), self.login(request, Some(ticket)), pending)
            }
            Some(Provider::Dynamic(dynamic)) => {
                let pending = self.pending(request, DYNAMIC, dynamic.default_role.clone(), Some(ticket));
                Answer::Dynamic(dynamic.clone(), self.login(request, Some(ticket)), pending)
            }
            _ => deny(error::AUTHENTICATION_FAILED, "this challenge was never made"),
        }
    }

    fn login(&self, request: &AuthRequest, ticket: Option<&str>) -> Login {
        let optional = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
        let mut details = Dict::from([
            ("session".to_owned(), Value::from(request.session.get())),
            ("authmethod".to_owned(), Value::from(self.method.name())),
            ("authid".to_owned(), optional(self.authid)),
            ("authrole".to_owned(), optional(self.authrole)),
            ("authextra".to_owned(), Value::from(self.extra.to_dict())),
            ("transport".to_owned(), Value::from(Dict::clone(&request.transport))),
        ]);
        if let Some(ticket) = ticket {
            details.insert("ticket".to_owned(), Value::from(ticket));
        }
        Login { realm: request.realm.clone(), authid: self.authid.clone(), details }
    }

    fn pending(
        &self,
        request: &AuthRequest,
        provider: &'static str,
        default_role: Option<String>,
        ticket: Option<&str>,
    ) -> Pending {
        // Nobody has proved to be who an anonymous client says it is.
        let authid = match self.method {
            Method::Anonymous => Some(anonymous_authid(request)),
            Method::Cryptosign if self.authid.is_none() => {
                let key = self.extra.get("pubkey");
                key.as_ref().and_then(Value::as_str).filter(|key| key.len() <= PUBKEY_LEN).map(str::to_owned)
            }
            // What is proved is whose certificate it is.
            Method::Tls => {
                let subject = certificate(request).and_then(|certificate| certificate.get("subject")?.as_dict());
                subject.and_then(|subject| subject.get("cn")?.as_str()).map(str::to_owned)
            }
            Method::Ticket | Method::Cra | Method::Scram(_) | Method::Cryptosign | Method::Cookie => {
                self.authid.clone()
            }
        };
        let (method, realm, ticket) = (self.method, request.realm.clone(), ticket.map(Secret::new));
        Pending { method, provider, default_role, realm, authid, ticket, extra: self.extra.to_dict() }
    }
}

impl Pending {
    /// What is to be derived before [`verdict`](Self::verdict) can answer at once.
    pub(crate) fn derivation(&self, grant: &FunctionGrant) -> Option<Derivation> {
        match (self.method, &grant.cra, &grant.scram) {
            (Method::Cra, Some(CraSecret::Password { password, salt, iterations, keylen }), _) => {
                let (password, salt) = (password.clone(), salt.clone());
                Some(Derivation::Cra { password, salt, iterations: *iterations, keylen: *keylen })
            }
            (Method::Scram(dialect), _, Some(ScramSecret::Password { password, salt, kdf })) => {
                Some(Derivation::Scram { dialect, password: password.clone(), salt: salt.clone(), kdf: *kdf })
            }
            _ => None,
        }
    }

    /// What the answer of a function or procedure means. May take long: a key may have to be derived.
    pub fn verdict(self, answer: Result<FunctionGrant, FunctionError>) -> AuthVerdict {
        let grant = match answer {
            Ok(grant) => grant,
            Err(FunctionError::Denied { uri, message }) => return AuthVerdict::Deny { reason: uri, message },
            Err(FunctionError::Failed { message, .. }) => return denied(error::AUTHENTICATION_FAILED, message),
            Err(FunctionError::Unavailable { message, .. }) => {
                return AuthVerdict::Unavailable { reason: error::AUTHENTICATION_FAILED, message: message.to_owned() };
            }
        };
        let Some(realm) = grant.realm.or(self.realm).filter(|realm| !realm.as_str().is_empty()) else {
            return denied(error::NO_SUCH_REALM, "no realm requested, and none assigned");
        };
        let Some(authid) = grant.authid.or(self.authid).filter(|authid| !authid.is_empty()) else {
            return denied(error::NO_SUCH_PRINCIPAL, "no authid requested, and none assigned");
        };
        let Some(authrole) = grant.role.or(self.default_role).filter(|role| !role.is_empty()) else {
            return denied(error::NO_SUCH_ROLE, "no role assigned");
        };
        let (authmethod, authprovider) = (self.method.name().to_owned(), self.provider.to_owned());
        let mut authextra = self.extra;
        authextra.extend(grant.extra);
        let identity = Identity { realm, authid, authrole, authmethod, authprovider, authextra };
        let failed = |message| denied(error::AUTHENTICATION_FAILED, message);
        match self.method {
            Method::Anonymous | Method::Tls | Method::Cookie => AuthVerdict::Welcome(identity),
            Method::Ticket => match (grant.ticket, self.ticket) {
                (Some(wanted), shown) if !shown.as_ref().is_some_and(|shown| wanted.matches(shown.reveal())) => {
                    denied(error::NOT_AUTHORIZED, "ticket in WAMP-Ticket authentication is invalid")
                }
                _ => AuthVerdict::Welcome(identity),
            },
            Method::Cra => match grant.cra {
                Some(CraSecret::Plain(secret)) if secret.is_empty() => failed("the authenticator gave no secret"),
                Some(secret) => {
                    AuthVerdict::Challenge(Challenge::Cra { secret: secret.into_derived(), grant: identity })
                }
                None => failed("the authenticator gave no secret"),
            },
            Method::Scram(dialect) => match grant.scram.map(|secret| secret.credential(dialect)) {
                Some(Ok(credential)) => AuthVerdict::Challenge(Challenge::Scram {
                    dialect,
                    credential: Arc::new(credential),
                    grant: identity,
                }),
                Some(Err(_)) => failed("the authenticator gave keys that can not be used"),
                None => failed("the authenticator gave no keys"),
            },
            Method::Cryptosign => match grant.pubkey {
                Some(key) => AuthVerdict::Challenge(Challenge::Cryptosign { key, grant: identity }),
                None => failed("the authenticator gave no pubkey"),
            },
        }
    }

    /// The name of the method.
    pub const fn method(&self) -> &'static str {
        self.method.name()
    }
}

fn no_method(auth: &AuthConfig, methods: &[String]) -> Answer {
    let offered: Vec<&str> =
        Method::ALL.into_iter().filter(|method| method.is_offered(auth)).map(Method::name).collect();
    let message =
        format!("none of the client's authentication methods is offered here; offered: {}", offered.join(", "));
    // A client that offers nothing offers to be anonymous.
    if methods.iter().all(|method| method == Method::Anonymous.name()) {
        let message = format!("authentication is required here; offered: {}", offered.join(", "));
        return deny(error::AUTHENTICATION_REQUIRED, &message);
    }
    deny(error::NO_MATCHING_AUTH_METHOD, &message)
}

fn deny(reason: Uri, message: &str) -> Answer {
    Answer::Verdict(denied(reason, message))
}

fn denied(reason: Uri, message: &str) -> AuthVerdict {
    AuthVerdict::Deny { reason, message: message.to_owned() }
}

#[cfg(test)]
#[path = "answerer_tests.rs"]
mod tests;
