use super::transcript::Transcript;
use super::{Dialect, HASH_LEN, MAX_NONCE, NONCE_LEN, ScramCredential, ScramError, prepare_authid};
use crate::auth::ChannelBinding;
use crate::value::{Dict, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::sync::Arc;

/// What a client asks for in `authextra` of HELLO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramRequest {
    nonce: String,
    channel_binding: Option<String>,
}

impl ScramRequest {
    /// Reads `authextra`.
    ///
    /// # Errors
    /// [`ScramError::NoNonce`], [`ScramError::BadNonce`], or [`ScramError::ChannelBinding`] if that is no string.
    pub fn read(extra: &Dict) -> Result<Self, ScramError> {
        let nonce = match extra.get("nonce") {
            None | Some(Value::Null) => return Err(ScramError::NoNonce),
            Some(Value::Text(nonce)) => nonce.clone(),
            Some(_) => return Err(ScramError::BadNonce),
        };
        if nonce.len() > MAX_NONCE || BASE64.decode(&nonce).map_or(true, |nonce| nonce.is_empty()) {
            return Err(ScramError::BadNonce);
        }
        let channel_binding = match extra.get("channel_binding") {
            None | Some(Value::Null) => None,
            Some(Value::Text(kind)) if kind.len() <= 64 => Some(kind.clone()),
            Some(_) => return Err(ScramError::ChannelBinding),
        };
        Ok(Self { nonce, channel_binding })
    }
}

/// The router's side of an exchange, from CHALLENGE to AUTHENTICATE.
#[derive(Clone, Debug)]
pub struct ServerExchange {
    transcript: Transcript,
    credential: Arc<ScramCredential>,
}

impl ServerExchange {
    /// Begins an exchange with a client that says it is `authid`. `nonce` must be drawn for this exchange alone;
    /// `binding` is that of the connection, if it has one.
    ///
    /// # Errors
    /// [`ScramError::BadAuthid`], or [`ScramError::ChannelBinding`] if the client wants one that is not to be had:
    /// it is never let in without it.
    pub fn new(
        dialect: Dialect,
        authid: &str,
        request: ScramRequest,
        credential: Arc<ScramCredential>,
        nonce: [u8; NONCE_LEN],
        binding: Option<ChannelBinding>,
    ) -> Result<Self, ScramError> {
        let binding = match (dialect, &request.channel_binding) {
            (_, None) => None,
            (Dialect::WampScram, Some(kind)) => {
                Some(binding.filter(|binding| binding.kind() == kind).ok_or(ScramError::ChannelBinding)?)
            }
            (Dialect::Crossbar, Some(_)) => return Err(ScramError::ChannelBinding),
        };
        let nonce = match dialect {
            Dialect::WampScram => format!("{}{}", request.nonce, BASE64.encode(nonce)),
            Dialect::Crossbar => {
                let client = BASE64.decode(&request.nonce).map_err(|_| ScramError::BadNonce)?;
                BASE64.encode([&*client, &nonce].concat())
            }
        };
        let transcript = Transcript {
            dialect,
            authid: prepare_authid(authid)?.into_owned(),
            client_nonce: request.nonce,
            nonce,
            salt: BASE64.encode(credential.salt()),
            iterations: credential.kdf().iterations(),
            binding,
        };
        Ok(Self { transcript, credential })
    }

    /// The dialect spoken.
    pub const fn dialect(&self) -> Dialect {
        self.transcript.dialect
    }

    /// `Extra` of CHALLENGE.
    pub fn challenge_extra(&self) -> Dict {
        let Transcript { dialect, nonce, salt, iterations, .. } = &self.transcript;
        let kdf = self.credential.kdf();
        let mut extra = Dict::from([
            ("nonce".to_owned(), Value::from(nonce.as_str())),
            ("salt".to_owned(), Value::from(salt.as_str())),
            ("kdf".to_owned(), Value::from(kdf.name(*dialect))),
            ("iterations".to_owned(), Value::from(*iterations)),
        ]);
        // Clients of Crossbar.io make an integer of it if it is there at all.
        match (kdf.memory(), dialect) {
            (Some(memory), _) => extra.insert("memory".to_owned(), Value::from(memory)),
            (None, Dialect::WampScram) => extra.insert("memory".to_owned(), Value::Null),
            (None, Dialect::Crossbar) => None,
        };
        extra
    }

    /// Checks AUTHENTICATE. If it is right, returns what `authextra` of WELCOME must have: the router's own proof.
    #[must_use]
    pub fn verify(&self, signature: &str, extra: &Dict) -> Option<(&'static str, String)> {
        let Transcript { dialect, nonce, binding, .. } = &self.transcript;
        if *dialect == Dialect::WampScram {
            let text = |key: &str| extra.get(key).and_then(Value::as_str);
            let data = binding.as_ref().map(|binding| BASE64.encode(binding.as_bytes()));
            let bound = binding.as_ref().map(ChannelBinding::kind);
            if text("nonce") != Some(nonce) || text("channel_binding") != bound || text("cbind_data") != data.as_deref()
            {
                return None;
            }
        }
        let proof: [u8; HASH_LEN] = BASE64.decode(signature).ok()?.try_into().ok()?;
        if !self.transcript.is_proof(self.credential.stored_key(), &proof) {
            return None;
        }
        let signature = BASE64.encode(self.transcript.server_signature(self.credential.server_key()));
        Some(match dialect {
            Dialect::WampScram => ("verifier", format!("v={signature}")),
            Dialect::Crossbar => ("scram_server_signature", signature),
        })
    }
}
