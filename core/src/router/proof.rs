//! Challenges: what is asked of a peer that wants to join, and whether its answer is right.

use super::output::{AuthStep, Challenge, Identity};
use super::peer::Handshake;
use crate::auth::cryptosign::{self, CHALLENGE_LEN, CryptosignError, CryptosignRequest, PublicKey, SecretKey};
use crate::auth::scram::{self, ScramError, ScramRequest, ServerExchange};
use crate::auth::{self, ChannelBinding, CraChallenge, CraSecret, TicketDigest, cra};
use crate::message::{Authenticate, ChallengeMessage, RawDict};
use crate::time::UnixTime;
use crate::uri::{Uri, error};
use crate::value::{Dict, Value};
use rand_core::CryptoRng;

/// Why a peer is not let in: reason and text of the ABORT.
pub(crate) type Refusal = (Uri, String);

/// A challenge sent, and what proves it.
#[derive(Debug)]
pub(crate) enum Proof {
    Cra { secret: CraSecret, text: String, grant: Identity },
    Ticket { digest: TicketDigest, grant: Identity },
    Scram { exchange: Box<ServerExchange>, grant: Identity },
    Cryptosign { key: PublicKey, challenge: [u8; CHALLENGE_LEN], binding: Option<ChannelBinding>, grant: Identity },
    Custom { method: String, state: RawDict },
}

/// What a challenge is made with.
pub(crate) struct Surroundings<'a> {
    pub(crate) rng: &'a mut dyn CryptoRng,
    pub(crate) wall: UnixTime,
    pub(crate) handshake: &'a Handshake,
    pub(crate) binding: Option<ChannelBinding>,
    /// The router's own key.
    pub(crate) key: Option<&'a SecretKey>,
}

/// What an answer to a challenge leads to.
pub(crate) enum Answered {
    Welcome(Identity),
    Refuse(Refusal),
    /// The answerer decides.
    Ask(AuthStep),
}

impl Proof {
    /// Makes a challenge: the message, and what is needed to check the answer.
    pub(crate) fn demand(
        challenge: Challenge,
        mut around: Surroundings<'_>,
    ) -> Result<(ChallengeMessage, Self), Refusal> {
        let message = |method: &str, extra| ChallengeMessage { method: method.to_owned(), extra };
        Ok(match challenge {
            Challenge::Cra { secret, grant } => {
                let text = around.cra_text(&grant);
                let mut extra = secret.challenge_extra();
                extra.insert("challenge".to_owned(), text.as_str().into());
                (message(auth::WAMPCRA, extra), Self::Cra { secret, text, grant })
            }
            Challenge::Ticket { digest, grant } => (message(auth::TICKET, Dict::new()), Self::Ticket { digest, grant }),
            Challenge::Scram { dialect, credential, grant } => {
                let mut nonce = [0; scram::NONCE_LEN];
                around.rng.fill_bytes(&mut nonce);
                let authid = around.handshake.authid.as_deref().ok_or(ScramError::NoAuthid);
                let request = ScramRequest::read(&around.handshake.extra);
                let exchange = authid
                    .and_then(|authid| {
                        ServerExchange::new(dialect, authid, request?, credential, nonce, around.binding)
                    })
                    .map_err(|error| failed(error.as_str()))?;
                (
                    message(dialect.method(), exchange.challenge_extra()),
                    Self::Scram { exchange: exchange.into(), grant },
                )
            }
            Challenge::Cryptosign { key, grant } => {
                let mut challenge = [0; CHALLENGE_LEN];
                around.rng.fill_bytes(&mut challenge);
                let (request, binding) = around.cryptosign().map_err(|error| failed(error.as_str()))?;
                let router = around.key.zip(request.challenge.as_ref());
                let extra = cryptosign::challenge_extra(&challenge, binding.as_ref(), router);
                (message(auth::CRYPTOSIGN, extra), Self::Cryptosign { key, challenge, binding, grant })
            }
            Challenge::Custom { method, extra, state } => {
                (message(&method, extra), Self::Custom { method, state: RawDict::packed(state) })
            }
        })
    }

    /// Takes the answer. The proof is used up: one challenge is good for one answer.
    pub(crate) fn check(self, answer: Authenticate, handshake: &Handshake) -> Answered {
        let Authenticate { signature, mut extra } = answer;
        let (right, grant, message) = match self {
            Self::Cra { secret, text, grant } => {
                (cra::verify(&secret.key(), &text, &signature), grant, "WAMP-CRA client signature is invalid")
            }
            Self::Ticket { digest, grant } => {
                (digest.matches(&signature), grant, "ticket in WAMP-Ticket authentication is invalid")
            }
            Self::Scram { exchange, mut grant } => {
                let verifier = exchange.verify(&signature, &extra.pick(&scram::ANSWER_KEYS));
                let right = verifier.is_some();
                grant.authextra.extend(verifier.map(|(key, value)| (key.to_owned(), Value::from(value))));
                (right, grant, "SCRAM authentication failed")
            }
            Self::Cryptosign { key, challenge, binding, grant } => {
                let right = cryptosign::verify(&key, &challenge, binding.as_ref(), &signature);
                (right, grant, "signed message has invalid signature")
            }
            Self::Custom { method, state } => {
                let authid = handshake.authid.clone();
                extra.detach();
                return Answered::Ask(AuthStep::Response { method, authid, signature, extra, state: state.to_dict() });
            }
        };
        if right { Answered::Welcome(grant) } else { Answered::Refuse((error::NOT_AUTHORIZED, message.to_owned())) }
    }
}

impl Surroundings<'_> {
    fn cra_text(&mut self, grant: &Identity) -> String {
        let mut nonce = [0; cra::NONCE_LEN];
        self.rng.fill_bytes(&mut nonce);
        CraChallenge {
            authid: &grant.authid,
            authrole: &grant.authrole,
            authprovider: &grant.authprovider,
            session: self.handshake.session,
            nonce,
            timestamp: self.wall,
        }
        .to_string()
    }

    fn cryptosign(&self) -> Result<(CryptosignRequest, Option<ChannelBinding>), CryptosignError> {
        let request = CryptosignRequest::read(&self.handshake.extra)?;
        let binding = request.binding(self.binding)?;
        Ok((request, binding))
    }
}

/// The peer's fault, whoever it is.
fn failed(message: &str) -> Refusal {
    (error::AUTHENTICATION_FAILED, message.to_owned())
}
