use super::{Dialect, HASH_LEN, Keys, mac, xor};
use crate::auth::ChannelBinding;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// All that both sides have said before the proof, in their own words: what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transcript {
    pub(super) dialect: Dialect,
    /// The authid, prepared.
    pub(super) authid: String,
    /// The client's nonce as it was sent.
    pub(super) client_nonce: String,
    /// The common nonce as the router sent it.
    pub(super) nonce: String,
    /// The salt as the router sent it.
    pub(super) salt: String,
    pub(super) iterations: u32,
    pub(super) binding: Option<ChannelBinding>,
}

impl Transcript {
    /// `AuthMessage` of RFC 5802 section 3.
    pub(super) fn auth_message(&self) -> String {
        let Self { dialect, authid, client_nonce, nonce, salt, iterations, binding } = self;
        let (name, channel) = match dialect {
            Dialect::WampScram => (authid.replace('=', "=3D").replace(',', "=2C"), channel(binding.as_ref())),
            Dialect::Crossbar => (authid.clone(), String::new()),
        };
        format!("n={name},r={client_nonce},r={nonce},s={salt},i={iterations},c={channel},r={nonce}")
    }

    /// The client's proof that it knows the password.
    pub(super) fn client_proof(&self, keys: &Keys) -> [u8; HASH_LEN] {
        xor(&keys.client_key, &mac(&keys.stored_key, &[self.auth_message().as_bytes()]))
    }

    /// Whether a proof shows the client key behind `stored_key`; compares in constant time.
    pub(super) fn is_proof(&self, stored_key: &[u8; HASH_LEN], proof: &[u8; HASH_LEN]) -> bool {
        let client_key = xor(proof, &mac(stored_key, &[self.auth_message().as_bytes()]));
        Sha256::digest(client_key).as_slice().ct_eq(stored_key).into()
    }

    /// The router's proof that it knows the password's keys.
    pub(super) fn server_signature(&self, server_key: &[u8; HASH_LEN]) -> [u8; HASH_LEN] {
        mac(server_key, &[self.auth_message().as_bytes()])
    }
}

/// The attribute `c`: how the exchange is bound to its channel (RFC 5802 section 7).
fn channel(binding: Option<&ChannelBinding>) -> String {
    match binding {
        None => BASE64.encode("n,,"),
        Some(binding) => BASE64.encode([format!("p={},,", binding.kind()).as_bytes(), binding.as_bytes()].concat()),
    }
}
