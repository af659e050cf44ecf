use super::transcript::Transcript;
use super::{Dialect, HASH_LEN, Kdf, KdfLimits, Keys, MAX_NONCE, NONCE_LEN, ScramError, prepare_authid};
use crate::auth::ChannelBinding;
use crate::value::{Dict, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use core::fmt;
use subtle::ConstantTimeEq;

/// The client's side of an exchange, from HELLO to WELCOME.
#[derive(Clone, Debug)]
pub struct ClientExchange {
    dialect: Dialect,
    authid: String,
    nonce: String,
    binding: Option<ChannelBinding>,
}

/// What AUTHENTICATE says, and what WELCOME must say then.
#[derive(Clone, Debug)]
pub struct ScramAnswer {
    /// `Signature` of AUTHENTICATE.
    pub signature: String,
    /// `Extra` of AUTHENTICATE.
    pub extra: Dict,
    /// What the router must prove.
    pub server: ServerProof,
}

/// What only a router that knows the user's keys can say.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerProof {
    dialect: Dialect,
    signature: [u8; HASH_LEN],
}

impl ClientExchange {
    /// Begins an exchange. `nonce` must be drawn for this exchange alone; with `binding` the proof holds on this
    /// connection only, which [`Dialect::Crossbar`] does not know.
    ///
    /// # Errors
    /// [`ScramError::BadAuthid`] or [`ScramError::ChannelBinding`].
    pub fn new(
        dialect: Dialect,
        authid: &str,
        nonce: [u8; NONCE_LEN],
        binding: Option<ChannelBinding>,
    ) -> Result<Self, ScramError> {
        if dialect == Dialect::Crossbar && binding.is_some() {
            return Err(ScramError::ChannelBinding);
        }
        Ok(Self { dialect, authid: prepare_authid(authid)?.into_owned(), nonce: BASE64.encode(nonce), binding })
    }

    /// What `authextra` of HELLO must have.
    pub fn hello_extra(&self) -> Dict {
        let mut extra = Dict::from([("nonce".to_owned(), Value::from(self.nonce.as_str()))]);
        if self.dialect == Dialect::WampScram {
            extra.insert("channel_binding".to_owned(), text_or_null(self.binding.as_ref().map(ChannelBinding::kind)));
        }
        extra
    }

    /// Answers CHALLENGE. As slow as the router demands, within `limits`.
    ///
    /// # Errors
    /// Any [`ScramError`]: the router's challenge is wrong, or not to be trusted.
    pub fn answer(&self, password: &str, challenge: &Dict, limits: &KdfLimits) -> Result<ScramAnswer, ScramError> {
        let text = |key: &str| challenge.get(key).and_then(Value::as_str);
        let number = |key: &str| challenge.get(key).and_then(Value::as_u64);
        let nonce = text("nonce").ok_or(ScramError::NoNonce)?;
        self.check_nonce(nonce)?;
        let salt_text = text("salt").ok_or(ScramError::BadSalt)?;
        let salt = BASE64.decode(salt_text).map_err(|_| ScramError::BadSalt)?;
        let name = text("kdf").ok_or(ScramError::UnknownKdf)?;
        let iterations = number("iterations").ok_or(ScramError::BadCost)?;
        let kdf = Kdf::named(name, iterations, number("memory"))?;
        limits.check(kdf)?;
        let keys = Keys::of(&kdf.salted_password(self.dialect, password, &salt)?);
        let transcript = Transcript {
            dialect: self.dialect,
            authid: self.authid.clone(),
            client_nonce: self.nonce.clone(),
            nonce: nonce.to_owned(),
            salt: salt_text.to_owned(),
            iterations: kdf.iterations(),
            binding: self.binding,
        };
        let extra = match self.dialect {
            Dialect::WampScram => Dict::from([
                ("nonce".to_owned(), Value::from(nonce)),
                ("channel_binding".to_owned(), text_or_null(self.binding.as_ref().map(ChannelBinding::kind))),
                ("cbind_data".to_owned(), self.binding.map_or(Value::Null, |b| BASE64.encode(b.as_bytes()).into())),
            ]),
            Dialect::Crossbar => Dict::new(),
        };
        Ok(ScramAnswer {
            signature: BASE64.encode(transcript.client_proof(&keys)),
            extra,
            server: ServerProof { dialect: self.dialect, signature: transcript.server_signature(&keys.server_key) },
        })
    }

    /// The router's nonce must be the client's and more. It becomes part of what is signed, so it must be made of the
    /// characters of base64 alone.
    fn check_nonce(&self, nonce: &str) -> Result<(), ScramError> {
        if nonce.len() > MAX_NONCE + self.nonce.len() {
            return Err(ScramError::BadNonce);
        }
        let extended = match self.dialect {
            Dialect::WampScram => nonce.strip_prefix(&*self.nonce).map(|added| BASE64.decode(added)),
            Dialect::Crossbar => Some(BASE64.decode(nonce)).filter(|nonce| match (nonce, BASE64.decode(&self.nonce)) {
                (Ok(nonce), Ok(own)) => nonce.len() > own.len() && nonce.starts_with(&own),
                _ => true,
            }),
        };
        match extended {
            None => Err(ScramError::ForeignNonce),
            Some(Err(_)) => Err(ScramError::BadNonce),
            Some(Ok(added)) if added.is_empty() => Err(ScramError::ForeignNonce),
            Some(Ok(_)) => Ok(()),
        }
    }
}

impl ServerProof {
    /// Whether `authextra` of WELCOME has the proof; compares in constant time.
    #[must_use]
    pub fn is_in(&self, authextra: &Dict) -> bool {
        let text = |key: &str| authextra.get(key).and_then(Value::as_str);
        let signature = match self.dialect {
            // The specification's text has the bare signature, its example the attribute.
            Dialect::WampScram => text("verifier").map(|verifier| verifier.strip_prefix("v=").unwrap_or(verifier)),
            Dialect::Crossbar => text("scram_server_signature"),
        };
        let signature = signature.and_then(|signature| BASE64.decode(signature).ok());
        signature.is_some_and(|signature| signature.ct_eq(&self.signature).into())
    }
}

/// The dialect alone.
impl fmt::Debug for ServerProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerProof").field("dialect", &self.dialect).finish_non_exhaustive()
    }
}

fn text_or_null(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::from)
}
