use super::config::{ClientConfig, ClientLimits, Credential};
use crate::auth::scram::{self, ClientExchange, Dialect, ScramError, ServerProof};
use crate::auth::{ChannelBinding, cra, cryptosign};
use crate::message::{Authenticate, ChallengeMessage, Hello, HelloDetails, RawDict, Welcome};
use crate::uri::{Uri, error};
use crate::value::{Dict, Value};
use data_encoding::HEXLOWER;
use rand_core::CryptoRng;

/// Parameters of a salted challenge that does not name them, as other clients assume.
const DEFAULT_ITERATIONS: u32 = 1_000;
const DEFAULT_KEYLEN: usize = 32;

/// What a challenge calls for.
#[derive(Debug)]
pub(super) enum Response {
    Send(Authenticate),
    AskApplication,
}

/// Why a challenge can not be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unanswerable {
    pub(super) reason: Uri,
    pub(super) message: &'static str,
}

/// What a client remembers of a handshake from HELLO to WELCOME.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// Random: the client's part of the nonce of SCRAM.
    nonce: [u8; scram::NONCE_LEN],
    /// Random: what the router has to sign with cryptosign.
    challenge: [u8; cryptosign::CHALLENGE_LEN],
    /// What proofs are bound to.
    binding: Option<ChannelBinding>,
    /// What WELCOME has to prove.
    expected: Option<ServerProof>,
    /// The router has proved who it is.
    proved: bool,
}

impl Opening {
    /// Prepares a handshake over a connection with this channel binding.
    pub(super) fn new(
        config: &ClientConfig,
        channel: Option<ChannelBinding>,
        rng: Option<&mut Box<dyn CryptoRng + Send>>,
    ) -> Result<Self, Unanswerable> {
        let failed = |message| Err(Unanswerable { reason: error::AUTHENTICATION_FAILED, message });
        let mut opening = Self::default();
        if config.channel_binding {
            let Some(binding) = channel else {
                return failed("channel binding is demanded, and the connection has none");
            };
            opening.binding = Some(binding);
        }
        if config.credentials.iter().any(Credential::proves_router) {
            let Some(rng) = rng else { return failed("the credential needs a client with a source of randomness") };
            rng.fill_bytes(&mut opening.nonce);
            rng.fill_bytes(&mut opening.challenge);
        }
        for credential in &config.credentials {
            if let Credential::Scram { dialect, .. } = credential
                && let Err(error) = opening.scram(config, *dialect)
            {
                return failed(error.as_str());
            }
        }
        Ok(opening)
    }

    pub(super) fn hello(&self, config: &ClientConfig) -> Hello {
        let mut extra = Dict::new();
        for credential in &config.credentials {
            match credential {
                Credential::Scram { dialect, .. } => {
                    extra.extend(self.scram(config, *dialect).map(|scram| scram.hello_extra()).unwrap_or_default());
                }
                Credential::Cryptosign { key, router } => {
                    extra.insert("pubkey".to_owned(), Value::from(key.public().to_hex()));
                    if router.is_some() {
                        extra.insert("challenge".to_owned(), Value::from(HEXLOWER.encode(&self.challenge)));
                    }
                    let kind = self.binding.map_or(Value::Null, |binding| Value::from(binding.kind()));
                    extra.insert("channel_binding".to_owned(), kind);
                }
                _ => {}
            }
        }
        let mut authextra = config.authextra.clone();
        if !extra.is_empty() {
            authextra.get_or_insert_default().extend(extra);
        }
        Hello {
            realm: config.realm.clone(),
            details: HelloDetails {
                roles: config.roles,
                authmethods: config.credentials.iter().map(|credential| credential.method().to_owned()).collect(),
                authid: config.authid.clone(),
                authrole: config.authrole.clone(),
                authextra: authextra.map(RawDict::from),
                agent: config.agent.clone(),
            },
        }
    }

    /// Answers a challenge with the first credential of its method.
    pub(super) fn respond(
        &mut self,
        config: &ClientConfig,
        challenge: &ChallengeMessage,
    ) -> Result<Response, Unanswerable> {
        let violation = |message| Unanswerable { reason: error::PROTOCOL_VIOLATION, message };
        let failed = |message| Unanswerable { reason: error::AUTHENTICATION_FAILED, message };
        let send = |signature, extra| Ok(Response::Send(Authenticate { signature, extra }));
        let offered = config.credentials.iter().find(|credential| credential.method() == challenge.method);
        (self.expected, self.proved) = (None, false);
        match offered {
            None => Err(violation("CHALLENGE with a method that was not offered")),
            Some(Credential::Anonymous) => Err(violation("CHALLENGE with method anonymous")),
            Some(Credential::Ticket(ticket)) => send(ticket.clone(), RawDict::new()),
            Some(Credential::Cra(secret)) => send(sign(secret, &challenge.extra, &config.limits)?, RawDict::new()),
            Some(Credential::Scram { dialect, password }) => {
                let scram = self.scram(config, *dialect);
                let answer = scram.and_then(|scram| scram.answer(password, &challenge.extra, &config.limits.kdf));
                let answer = answer.map_err(|error| failed(error.as_str()))?;
                self.expected = Some(answer.server);
                send(answer.signature, answer.extra.into())
            }
            Some(Credential::Cryptosign { key, router }) => {
                let asked = router.as_ref().map(|router| (router, &self.challenge));
                let answer = cryptosign::answer(key, &challenge.extra, self.binding.as_ref(), asked);
                let signature = answer.map_err(|error| failed(error.as_str()))?;
                self.proved = router.is_some();
                send(signature, RawDict::new())
            }
            Some(Credential::External { .. }) => Ok(Response::AskApplication),
        }
    }

    /// Checks WELCOME: a router that must prove who it is has to have done so.
    pub(super) fn check(&self, config: &ClientConfig, welcome: &Welcome) -> Result<(), Unanswerable> {
        let failed = |message| Err(Unanswerable { reason: error::AUTHENTICATION_FAILED, message });
        let extra = welcome.details.authextra.as_ref();
        match &self.expected {
            Some(proof) if extra.is_some_and(|extra| proof.is_in(extra)) => Ok(()),
            Some(_) => failed("the router does not know the keys of the password"),
            None if self.proved || config.credentials.is_empty() => Ok(()),
            None if config.credentials.iter().all(Credential::proves_router) => {
                failed("the router let the client in without proving who it is")
            }
            None => Ok(()),
        }
    }

    fn scram(&self, config: &ClientConfig, dialect: Dialect) -> Result<ClientExchange, ScramError> {
        let authid = config.authid.as_deref().ok_or(ScramError::NoAuthid)?;
        ClientExchange::new(dialect, authid, self.nonce, self.binding)
    }
}

fn sign(secret: &str, extra: &Dict, limits: &ClientLimits) -> Result<String, Unanswerable> {
    let failed = |message| Unanswerable { reason: error::AUTHENTICATION_FAILED, message };
    let Some(challenge) = extra.get("challenge").and_then(Value::as_str) else {
        return Err(failed("WAMP-CRA challenge without a text to sign"));
    };
    let salt = match extra.get("salt") {
        None | Some(Value::Null) => "",
        Some(Value::Text(salt)) => salt,
        Some(_) => return Err(failed("WAMP-CRA salt is not a string")),
    };
    if salt.is_empty() {
        return Ok(cra::sign(secret.as_bytes(), challenge));
    }
    let iterations = match positive(extra, "iterations") {
        Ok(iterations) => iterations.map_or(Some(DEFAULT_ITERATIONS), |n| u32::try_from(n).ok()),
        Err(NotPositive) => return Err(failed("WAMP-CRA iterations are not a positive integer")),
    };
    let keylen = match positive(extra, "keylen") {
        Ok(keylen) => keylen.map_or(Some(DEFAULT_KEYLEN), |n| usize::try_from(n).ok()),
        Err(NotPositive) => return Err(failed("WAMP-CRA keylen is not a positive integer")),
    };
    let Some(iterations) = iterations.filter(|n| *n <= limits.max_cra_iterations) else {
        return Err(failed("WAMP-CRA challenge demands too many iterations"));
    };
    let Some(keylen) = keylen.filter(|n| *n <= limits.max_cra_keylen) else {
        return Err(failed("WAMP-CRA challenge demands too long a key"));
    };
    let key = cra::derive_key(secret.as_bytes(), salt.as_bytes(), iterations, keylen);
    Ok(cra::sign(key.as_bytes(), challenge))
}

struct NotPositive;

/// A positive integer; `None` if it is missing or zero, which several routers send for "default".
fn positive(extra: &Dict, key: &str) -> Result<Option<u64>, NotPositive> {
    match extra.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(|n| (n > 0).then_some(n)).ok_or(NotPositive),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(method: &str, extra: &[(&str, Value)]) -> ChallengeMessage {
        let extra = extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        ChallengeMessage { method: method.to_owned(), extra }
    }

    fn respond_with(credential: Credential, challenge: &ChallengeMessage) -> Result<Response, Unanswerable> {
        let config = ClientConfig::with_credential(Uri::from("realm1"), "peter", credential);
        Opening::default().respond(&config, challenge)
    }

    fn signature(secret: &str, extra: &[(&str, Value)]) -> Result<String, &'static str> {
        match respond_with(Credential::Cra(secret.to_owned()), &challenge("wampcra", extra)) {
            Ok(Response::Send(authenticate)) => Ok(authenticate.signature),
            Ok(Response::AskApplication) => panic!("the application was asked"),
            Err(why) => {
                assert_eq!(why.reason, error::AUTHENTICATION_FAILED);
                Err(why.message)
            }
        }
    }

    #[test]
    fn a_salted_challenge_is_signed_with_the_derived_key() {
        let text = ("challenge", Value::from("sign me"));
        let salted = [
            text.clone(),
            ("salt", Value::from("salt123")),
            ("iterations", Value::from(100)),
            ("keylen", Value::from(16)),
        ];
        assert_eq!(signature("secret1", &salted), Ok(cra::sign(b"prq7+YkJ1/KlW1X0YczMHw==", "sign me")));
        assert_eq!(signature("secret1", std::slice::from_ref(&text)), Ok(cra::sign(b"secret1", "sign me")));
        assert_eq!(
            signature("secret1", &[text.clone(), ("salt", Value::from(""))]),
            Ok(cra::sign(b"secret1", "sign me"))
        );
        let default = cra::sign(cra::derive_key(b"secret1", b"salt123", 1_000, 32).as_bytes(), "sign me");
        assert_eq!(signature("secret1", &[text.clone(), ("salt", Value::from("salt123"))]), Ok(default.clone()));
        let zero = [text, ("salt", Value::from("salt123")), ("iterations", Value::from(0)), ("keylen", Value::from(0))];
        assert_eq!(signature("secret1", &zero), Ok(default));
    }

    #[test]
    fn a_router_can_not_make_the_client_burn_time() {
        let demand = |iterations: Value, keylen: Value| {
            let extra = [
                ("challenge", Value::from("sign me")),
                ("salt", Value::from("salt123")),
                ("iterations", iterations),
                ("keylen", keylen),
            ];
            signature("secret1", &extra)
        };
        for iterations in [1_000_001, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(
                demand(Value::from(iterations), Value::from(32)),
                Err("WAMP-CRA challenge demands too many iterations")
            );
        }
        for keylen in [65, u64::MAX] {
            assert_eq!(demand(Value::from(1), Value::from(keylen)), Err("WAMP-CRA challenge demands too long a key"));
        }
        for bad in [Value::from(-1), Value::from("1000"), Value::from(1.0)] {
            assert!(demand(bad.clone(), Value::from(32)).is_err(), "{bad:?}");
            assert!(demand(Value::from(1), bad.clone()).is_err(), "{bad:?}");
        }
        assert!(signature("secret1", &[]).is_err());
        assert!(signature("secret1", &[("challenge", Value::from("x")), ("salt", Value::from(1))]).is_err());
    }

    #[test]
    fn each_method_is_answered_in_its_own_way() {
        let sent = |credential: Credential| {
            let challenge = challenge(credential.method(), &[]);
            match respond_with(credential, &challenge) {
                Ok(Response::Send(authenticate)) => Some(authenticate.signature),
                Ok(Response::AskApplication) => None,
                Err(why) => panic!("{why:?}"),
            }
        };
        assert_eq!(sent(Credential::Ticket("open sesame".to_owned())), Some("open sesame".to_owned()));
        assert_eq!(sent(Credential::External { method: "x".to_owned() }), None);
    }

    #[test]
    fn only_offered_methods_are_answered() {
        for (credential, method) in [
            (Credential::Ticket("secret".to_owned()), "wampcra"),
            (Credential::Cra("secret".to_owned()), "ticket"),
            (Credential::Anonymous, "anonymous"),
        ] {
            let why = respond_with(credential, &challenge(method, &[])).unwrap_err();
            assert_eq!(why.reason, error::PROTOCOL_VIOLATION);
        }
    }

    #[test]
    fn credentials_are_not_printed() {
        let config = ClientConfig::with_credential(Uri::from("realm1"), "joe", Credential::Ticket("hidden".to_owned()));
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
