//! WAMP-Cryptosign (spec: "Cryptosign-based Authentication" in the Advanced Profile): the client signs 32 random bytes
//! with its Ed25519 key. A client can have the router sign as well.
//!
//! What is signed is the challenge, combined by XOR with the channel binding if there is one; an answer is the
//! signature followed by the bytes signed, in hexadecimal.

use super::ChannelBinding;
use crate::value::{Dict, Value};
use core::fmt;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use subtle::ConstantTimeEq;

/// Length of challenges and keys in bytes.
pub const CHALLENGE_LEN: usize = 32;

/// Length of a signature with the bytes signed.
const SIGNED_LEN: usize = 96;

/// A private key. Whoever has it can sign.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(Box<SigningKey>);

impl SecretKey {
    /// The key of a seed of 32 random bytes (RFC 8032 section 5.1.5).
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(Box::new(SigningKey::from_bytes(seed)))
    }

    /// The key of a seed in hexadecimal.
    ///
    /// # Errors
    /// [`KeyError::NotHex`].
    pub fn from_hex(seed: &str) -> Result<Self, KeyError> {
        read_hex(seed).map(|seed| Self::from_bytes(&seed)).ok_or(KeyError::NotHex)
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }
}

/// Names the public key.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public().to_hex())
    }
}

/// A public key, known to be one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// A key of 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`]: not a point of the curve, or one for which signatures can be made by anybody.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAKey)?;
        if key.is_weak() { Err(KeyError::NotAKey) } else { Ok(Self(*bytes)) }
    }

    /// A key in hexadecimal, of either case.
    ///
    /// # Errors
    /// As [`PublicKey::from_bytes`], and [`KeyError::NotHex`].
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&read_hex(text).ok_or(KeyError::NotHex)?)
    }

    /// The key in hexadecimal.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.to_hex())
    }
}

/// Why a text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not 64 hexadecimal digits.
    NotHex,
    /// It is not a key of Ed25519, or one that gives no security.
    NotAKey,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHex => "not 32 bytes in hexadecimal",
            Self::NotAKey => "not a usable Ed25519 key",
        })
    }
}

impl core::error::Error for KeyError {}

/// The answer to a challenge: the signature and what was signed, in hexadecimal.
pub fn sign(key: &SecretKey, challenge: &[u8; CHALLENGE_LEN], binding: Option<&ChannelBinding>) -> String {
    let message = signed_message(challenge, binding);
    HEXLOWER.encode(&[&key.0.sign(&message).to_bytes()[..], &message].concat())
}

/// Whether `answer` is what [`sign`] returns for this challenge and this binding with the key behind `key`.
#[must_use]
pub fn verify(
    key: &PublicKey,
    challenge: &[u8; CHALLENGE_LEN],
    binding: Option<&ChannelBinding>,
    answer: &str,
) -> bool {
    let Some(answer) = read_hex::<SIGNED_LEN>(answer) else { return false };
    let (Some(signature), Some(message)) = (answer.first_chunk::<64>(), answer.last_chunk::<CHALLENGE_LEN>()) else {
        return false;
    };
    let ours: bool = message.ct_eq(&signed_message(challenge, binding)).into();
    let signed = VerifyingKey::from_bytes(&key.0)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok());
    ours & signed
}

/// What is asked for in `authextra` of HELLO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CryptosignRequest {
    /// `pubkey`: the key that the client can sign with.
    pub pubkey: Option<PublicKey>,
    /// `challenge`: what the router is to sign.
    pub challenge: Option<[u8; CHALLENGE_LEN]>,
    /// `channel_binding`: whether the proofs are to be bound to the connection.
    pub bound: bool,
}

impl CryptosignRequest {
    /// The members of `authextra` that are looked at.
    pub const KEYS: [&str; 3] = ["pubkey", "challenge", "channel_binding"];

    /// Reads `authextra`.
    ///
    /// # Errors
    /// A member that is not what it should be.
    pub fn read(extra: &Dict) -> Result<Self, CryptosignError> {
        let text = |key: &str, error| match extra.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(error),
        };
        let pubkey = text("pubkey", CryptosignError::PublicKey)?;
        let challenge = text("challenge", CryptosignError::Challenge)?;
        let bound = match text("channel_binding", CryptosignError::ChannelBinding)? {
            None => false,
            Some(kind) if kind == super::TLS_EXPORTER => true,
            Some(_) => return Err(CryptosignError::ChannelBinding),
        };
        Ok(Self {
            pubkey: pubkey.map(|key| PublicKey::from_hex(key).map_err(|_| CryptosignError::PublicKey)).transpose()?,
            challenge: challenge.map(|text| read_hex(text).ok_or(CryptosignError::Challenge)).transpose()?,
            bound,
        })
    }

    /// The binding to use on a connection that has `binding`.
    ///
    /// # Errors
    /// [`CryptosignError::ChannelBinding`]: one is wanted and there is none. Nobody is let in without it then.
    pub fn binding(&self, binding: Option<ChannelBinding>) -> Result<Option<ChannelBinding>, CryptosignError> {
        match (self.bound, binding) {
            (false, _) => Ok(None),
            (true, Some(binding)) => Ok(Some(binding)),
            (true, None) => Err(CryptosignError::ChannelBinding),
        }
    }
}

/// Why an exchange cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CryptosignError {
    /// `pubkey` is not a key.
    PublicKey,
    /// `challenge` is not 32 bytes in hexadecimal.
    Challenge,
    /// Channel binding is wanted of another type than `tls-exporter`, or on a connection that has none.
    ChannelBinding,
    /// The router did not sign the client's challenge with the key that the client knows it by.
    WrongRouter,
}

impl CryptosignError {
    /// The error in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublicKey => "cryptosign pubkey is not an Ed25519 key in hexadecimal",
            Self::Challenge => "cryptosign challenge is not 32 bytes in hexadecimal",
            Self::ChannelBinding => "channel binding of this type is not possible on this connection",
            Self::WrongRouter => "the router does not have the key that it is known by",
        }
    }
}

impl fmt::Display for CryptosignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for CryptosignError {}

/// `Extra` of CHALLENGE; with `router`, the answer to the client's own challenge is in it.
pub fn challenge_extra(
    challenge: &[u8; CHALLENGE_LEN],
    binding: Option<&ChannelBinding>,
    router: Option<(&SecretKey, &[u8; CHALLENGE_LEN])>,
) -> Dict {
    let kind = binding.map_or(Value::Null, |binding| Value::from(binding.kind()));
    let mut extra = Dict::from([
        ("challenge".to_owned(), Value::from(HEXLOWER.encode(challenge))),
        ("channel_binding".to_owned(), kind),
    ]);
    if let Some((key, asked)) = router {
        extra.insert("pubkey".to_owned(), Value::from(key.public().to_hex()));
        extra.insert("signature".to_owned(), Value::from(sign(key, asked, binding)));
    }
    extra
}

/// Answers CHALLENGE. With `router`, checks first that the router has signed that challenge with that key.
///
/// # Errors
/// [`CryptosignError::Challenge`], [`CryptosignError::ChannelBinding`] if the router did not agree to `binding`, or
/// [`CryptosignError::WrongRouter`].
pub fn answer(
    key: &SecretKey,
    extra: &Dict,
    binding: Option<&ChannelBinding>,
    router: Option<(&PublicKey, &[u8; CHALLENGE_LEN])>,
) -> Result<String, CryptosignError> {
    let text = |name: &str| extra.get(name).and_then(Value::as_str);
    if text("channel_binding") != binding.map(ChannelBinding::kind) {
        return Err(CryptosignError::ChannelBinding);
    }
    if let Some((known, asked)) = router
        && !text("signature").is_some_and(|signature| verify(known, asked, binding, signature))
    {
        return Err(CryptosignError::WrongRouter);
    }
    let challenge = text("challenge").and_then(read_hex).ok_or(CryptosignError::Challenge)?;
    Ok(sign(key, &challenge, binding))
}

fn signed_message(challenge: &[u8; CHALLENGE_LEN], binding: Option<&ChannelBinding>) -> [u8; CHALLENGE_LEN] {
    match binding {
        None => *challenge,
        Some(binding) => core::array::from_fn(|i| challenge[i] ^ binding.as_bytes()[i]),
    }
}

/// Exactly `N` bytes in hexadecimal; longer texts are not decoded.
fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: &str = "62e935ae755f3d48f80d4d59f6121358c435722a67e859cc0caa8b539027f2ff";

    /// The test vectors of the specification: channel id, private key, challenge, answer.
    const VECTORS: [(Option<&str>, &str, &str, &str); 6] = [
        (
            None,
            "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "b32675b221f08593213737bef8240e7c15228b07028e19595294678c90d11c0cae80a357331bfc5cc9fb71081464e6e75013517c2cf067ad566a6b7b728e5d03ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ),
        (
            None,
            "d511fe78e23934b3dadb52fcd022974b80bd92bccc7c5cf404e46cc0a8a2f5cd",
            "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
            "d4209ad10d5aff6bfbc009d7e924795de138a63515efc7afc6b01b7fe5201372190374886a70207b042294af5bd64ce725cd8dceb344e6d11c09d1aaaf4d660fb26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
        ),
        (
            None,
            "6e1fde9cf9e2359a87420b65a87dc0c66136e66945196ba2475990d8a0c3a25b",
            "b05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
            "7beb282184baadd08f166f16dd683b39cab53816ed81e6955def951cb2ddad1ec184e206746fd82bda075af03711d3d5658fc84a76196b0fa8d1ebc92ef9f30bb05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
        ),
        (
            Some(CHANNEL),
            "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "9b6f41540c9b95b4b7b281c3042fa9c54cef43c842d62ea3fd6030fcb66e70b3e80d49d44c29d1635da9348d02ec93f3ed1ef227dfb59a07b580095c2b82f80f9d16ca518aa0c2b707f2b2a609edeca73bca8dd59817a633f35574ac6fd80d00",
        ),
        (
            Some(CHANNEL),
            "d511fe78e23934b3dadb52fcd022974b80bd92bccc7c5cf404e46cc0a8a2f5cd",
            "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
            "305aaa3ac25e98f651427688b3fc43fe7d8a68a7ec1d7d61c61517c519bd4a427c3015599d83ca28b4c652333920223844ef0725eb5dc2febfd6af7677b73f01d0852a29b460fc92ec943242ac638a053bbacc200512b18b30d15083cbdc9282",
        ),
        (
            Some(CHANNEL),
            "6e1fde9cf9e2359a87420b65a87dc0c66136e66945196ba2475990d8a0c3a25b",
            "b05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
            "ee3c7644fd8070532bc1fde3d70d742267da545d8c8f03e63bda63f1ad4214f4d2c4bfdb4eb9526def42deeb7e31602a6ff99eba893e0a4ad4d45892ca75e608d2b75e24a189a7f78ca776ba36fc53f6c3e31c32f251f2c524f0a44202f2902d",
        ),
    ];

    fn bytes(text: &str) -> [u8; 32] {
        read_hex(text).unwrap()
    }

    fn binding(text: Option<&str>) -> Option<ChannelBinding> {
        text.map(|text| ChannelBinding::tls_exporter(bytes(text)))
    }

    #[test]
    fn signs_and_verifies_the_vectors_of_the_specification() {
        for (channel, key, challenge, signed) in VECTORS {
            let (key, challenge, binding) = (SecretKey::from_hex(key).unwrap(), bytes(challenge), binding(channel));
            assert_eq!(sign(&key, &challenge, binding.as_ref()), signed);
            assert!(verify(&key.public(), &challenge, binding.as_ref(), signed));
            assert!(verify(&key.public(), &challenge, binding.as_ref(), &signed.to_uppercase()));
        }
    }

    #[test]
    fn an_answer_is_good_for_its_challenge_key_and_channel_only() {
        let (channel, key, challenge, signed) = VECTORS[4];
        let (key, challenge, binding) =
            (SecretKey::from_hex(key).unwrap().public(), bytes(challenge), binding(channel));
        let other_key = SecretKey::from_bytes(&[7; 32]).public();
        assert!(!verify(&other_key, &challenge, binding.as_ref(), signed));
        assert!(!verify(&key, &bytes(VECTORS[5].2), binding.as_ref(), signed));
        assert!(!verify(&key, &challenge, None, signed));
        assert!(!verify(&key, &challenge, Some(&ChannelBinding::tls_exporter([7; 32])), signed));
        let flipped = |at: usize| {
            let digit = if &signed[at..=at] == "0" { "1" } else { "0" };
            format!("{}{digit}{}", &signed[..at], &signed[at + 1..])
        };
        for at in 0..signed.len() {
            assert!(!verify(&key, &challenge, binding.as_ref(), &flipped(at)), "digit {at}");
        }
        let doubled = format!("{signed}{signed}");
        for wrong in ["", "zz", &signed[..128], &signed[1..], &doubled, &format!("{}zz", &signed[..190])] {
            assert!(!verify(&key, &challenge, binding.as_ref(), wrong), "{wrong:?}");
        }
    }

    #[test]
    fn keys_that_anybody_can_sign_for_are_no_keys() {
        // The neutral element, and a point of order 8 (RFC 7748 section 6.1, as points of Edwards25519).
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey::from_bytes(&neutral), Err(KeyError::NotAKey));
        let order_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
        assert_eq!(PublicKey::from_hex(order_8), Err(KeyError::NotAKey));
        assert_eq!(PublicKey::from_hex(&"ab".repeat(31)), Err(KeyError::NotHex));
        assert_eq!(PublicKey::from_hex(&"xy".repeat(32)), Err(KeyError::NotHex));
    }

    fn dict(members: &[(&str, Value)]) -> Dict {
        members.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    #[test]
    fn requests_are_read_strictly() {
        let key = SecretKey::from_bytes(&[1; 32]).public();
        let request = CryptosignRequest::read(&dict(&[
            ("pubkey", Value::from(key.to_hex())),
            ("challenge", Value::from(CHANNEL)),
            ("channel_binding", Value::from("tls-exporter")),
            ("trustroot", Value::from("0x00")),
        ]));
        let expected = CryptosignRequest { pubkey: Some(key), challenge: Some(bytes(CHANNEL)), bound: true };
        assert_eq!(request, Ok(expected.clone()));
        assert_eq!(CryptosignRequest::read(&Dict::new()), Ok(CryptosignRequest::default()));
        assert_eq!(expected.binding(None), Err(CryptosignError::ChannelBinding));
        for (member, value, error) in [
            ("pubkey", Value::from("00"), CryptosignError::PublicKey),
            ("pubkey", Value::from(1), CryptosignError::PublicKey),
            ("challenge", Value::from("00"), CryptosignError::Challenge),
            ("channel_binding", Value::from("tls-unique"), CryptosignError::ChannelBinding),
            ("channel_binding", Value::from(true), CryptosignError::ChannelBinding),
        ] {
            assert_eq!(CryptosignRequest::read(&dict(&[(member, value)])), Err(error), "{member}");
        }
    }

    #[test]
    fn the_client_checks_the_router() {
        let (client, router) = (SecretKey::from_bytes(&[1; 32]), SecretKey::from_bytes(&[2; 32]));
        let (asked, challenge) = ([3; 32], [4; 32]);
        let channel = ChannelBinding::tls_exporter([5; 32]);
        for binding in [None, Some(&channel)] {
            let extra = challenge_extra(&challenge, binding, Some((&router, &asked)));
            let known = router.public();
            let answered = answer(&client, &extra, binding, Some((&known, &asked))).unwrap();
            assert!(verify(&client.public(), &challenge, binding, &answered));
            // Another key, another challenge, no signature at all.
            let wrong = Err(CryptosignError::WrongRouter);
            assert_eq!(answer(&client, &extra, binding, Some((&client.public(), &asked))), wrong);
            assert_eq!(answer(&client, &extra, binding, Some((&known, &[9; 32]))), wrong);
            let unsigned = challenge_extra(&challenge, binding, None);
            assert_eq!(answer(&client, &unsigned, binding, Some((&known, &asked))), wrong);
            assert!(answer(&client, &unsigned, binding, None).is_ok());
        }
        // A router that drops the binding is not answered.
        let unbound = challenge_extra(&challenge, None, None);
        assert_eq!(answer(&client, &unbound, Some(&channel), None), Err(CryptosignError::ChannelBinding));
        assert_eq!(answer(&client, &Dict::new(), None, None), Err(CryptosignError::Challenge));
    }

    #[test]
    fn private_keys_are_not_printed() {
        let seed = "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510";
        assert!(!format!("{:?}", SecretKey::from_hex(seed).unwrap()).contains(&seed[..8]));
    }
}
