use super::transcript::Transcript;
use super::*;
use crate::auth::ChannelBinding;
use crate::value::{Dict, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use data_encoding::HEXLOWER;

const CHEAP: Kdf = Kdf::Pbkdf2 { iterations: 2 };
const NO_LIMITS: KdfLimits = KdfLimits { min_pbkdf2_iterations: 0, min_argon2_work: 0, ..DEFAULT_LIMITS };
const DEFAULT_LIMITS: KdfLimits = KdfLimits {
    min_pbkdf2_iterations: 4_096,
    max_pbkdf2_iterations: 1_000_000,
    max_argon2_memory: 262_144,
    min_argon2_work: 16_384,
    max_argon2_work: 4_194_304,
};
const BOTH: [Dialect; 2] = [Dialect::WampScram, Dialect::Crossbar];

fn key(hex: &str) -> [u8; 32] {
    HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

/// The example of RFC 7677 section 3. Its nonces are not base64, so that no whole exchange can be made of it.
#[test]
fn proofs_are_those_of_rfc_7677() {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let kdf = Kdf::Pbkdf2 { iterations: 4_096 };
    let keys = Keys::of(&kdf.salted_password(Dialect::WampScram, "pencil", &salt).unwrap());
    let transcript = Transcript {
        dialect: Dialect::WampScram,
        authid: "user".to_owned(),
        client_nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
        nonce: "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned(),
        salt: "W22ZaJ0SNY7soEsUEjb6gQ==".to_owned(),
        iterations: 4_096,
        binding: None,
    };
    let proof = transcript.client_proof(&keys);
    assert_eq!(BASE64.encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert!(transcript.is_proof(&keys.stored_key, &proof));
    let signature = transcript.server_signature(&keys.server_key);
    assert_eq!(BASE64.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

/// The user of Crossbar.io's SCRAM example, whose keys Autobahn derived from `secret123`.
#[test]
fn keys_are_those_that_autobahn_derives() {
    let salt = HEXLOWER.decode(b"3bc3ca01dd1d501ca1c22e1c5d7d16fe").unwrap();
    let kdf = Kdf::Argon2id13 { iterations: 4_096, memory: 512 };
    let derived = ScramCredential::derive(Dialect::Crossbar, "secret123", salt, kdf).unwrap();
    assert_eq!(derived.stored_key, key("e796c2f0a51770303ee4616bc630a66774d51a55003154aff2a54ec7c4ac0e38"));
    assert_eq!(derived.server_key, key("8de7864c316f3c2356fd76cfdab696db55bc70e680fe5180e2f731e2345acca2"));
}

/// An exchange computed with Autobahn|Python 26.10.
#[test]
fn the_older_dialect_is_that_of_autobahn() {
    let counting: [u8; 16] = core::array::from_fn(|i| i as u8);
    let client = ClientExchange::new(Dialect::Crossbar, "joe", counting, None).unwrap();
    assert_eq!(client.hello_extra(), Dict::from([("nonce".to_owned(), "AAECAwQFBgcICQoLDA0ODw==".into())]));
    let challenge = Dict::from([
        ("nonce".to_owned(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into()),
        ("kdf".to_owned(), "argon2id-13".into()),
        ("salt".to_owned(), "O8PKAd0dUByhwi4cXX0W/g==".into()),
        ("iterations".to_owned(), 32.into()),
        ("memory".to_owned(), 512.into()),
    ]);
    let answer = client.answer("p4ssw0rd", &challenge, &DEFAULT_LIMITS).unwrap();
    assert_eq!(answer.signature, "8hMAlB4T33gBLR7/iuVIg2F4gcSve5QRWT8qPWzdBgQ=");
    assert_eq!(answer.extra, Dict::new());

    let credential = ScramCredential::new(
        HEXLOWER.decode(b"3bc3ca01dd1d501ca1c22e1c5d7d16fe").unwrap(),
        Kdf::Argon2id13 { iterations: 32, memory: 512 },
        key("97163cd952c1e0c55c1666c8b5323340d647c76c372aa1828e753847fef98e3b"),
        key("67c8fb6a19bf6f2b19005bbc1a5ff9013149aeccc8ea599556ca3e1b2aa7d716"),
    );
    let request = ScramRequest::read(&client.hello_extra()).unwrap();
    let added = core::array::from_fn(|i| 16 + i as u8);
    let server = ServerExchange::new(Dialect::Crossbar, "joe", request, credential.into(), added, None).unwrap();
    assert_eq!(server.challenge_extra(), challenge);
    let welcome = server.verify(&answer.signature, &Dict::new()).unwrap();
    assert_eq!(welcome, ("scram_server_signature", "C9Xi/IKJNcAT15hIQ/hbFa9IvwHCfs+XipCos4cMWO4=".to_owned()));
    assert!(answer.server.is_in(&Dict::from([(welcome.0.to_owned(), welcome.1.into())])));
}

/// Both ends of an exchange, and the answer of the client.
fn exchange(
    dialect: Dialect,
    password: &str,
    credential: ScramCredential,
    binding: Option<ChannelBinding>,
) -> (ServerExchange, ScramAnswer) {
    let client = ClientExchange::new(dialect, "joe", [1; 16], binding).unwrap();
    let request = ScramRequest::read(&client.hello_extra()).unwrap();
    let server = ServerExchange::new(dialect, "joe", request, credential.into(), [2; 16], binding).unwrap();
    let answer = client.answer(password, &server.challenge_extra(), &NO_LIMITS).unwrap();
    (server, answer)
}

fn credential(dialect: Dialect, kdf: Kdf) -> ScramCredential {
    ScramCredential::derive(dialect, "secret", b"saltsalt".to_vec(), kdf).unwrap()
}

fn is_proved(server: &ServerExchange, answer: &ScramAnswer) -> bool {
    let Some((key, value)) = server.verify(&answer.signature, &answer.extra) else { return false };
    assert!(answer.server.is_in(&Dict::from([(key.to_owned(), value.into())])));
    true
}

#[test]
fn the_right_password_and_no_other_is_proved() {
    for dialect in BOTH {
        for kdf in [CHEAP, Kdf::Argon2id13 { iterations: 1, memory: 8 }] {
            let (server, answer) = exchange(dialect, "secret", credential(dialect, kdf), None);
            assert!(is_proved(&server, &answer), "{dialect:?} {kdf:?}");
            for wrong in ["Secret", "secret ", ""] {
                let (server, answer) = exchange(dialect, wrong, credential(dialect, kdf), None);
                assert!(!is_proved(&server, &answer), "{dialect:?} {kdf:?} {wrong:?}");
            }
        }
    }
}

#[test]
fn a_mock_is_always_the_same_and_has_no_password() {
    let like = ScramCredential::new(vec![0; 24], CHEAP, [0; 32], [0; 32]);
    let mock = |secret: u8, authid: &str| like.imitate(&[secret; 32], authid);
    assert_eq!(mock(1, "joe").salt(), mock(1, "joe").salt());
    assert_eq!((mock(1, "joe").salt().len(), mock(1, "joe").kdf()), (24, CHEAP));
    assert_ne!(mock(1, "joe").salt(), mock(1, "jim").salt());
    assert_ne!(mock(1, "joe").salt(), mock(2, "joe").salt());
    for dialect in BOTH {
        let (server, answer) = exchange(dialect, "secret", mock(1, "joe"), None);
        assert!(!is_proved(&server, &answer));
    }
}

#[test]
fn a_proof_holds_on_its_channel_only() {
    let channel = ChannelBinding::tls_exporter([9; 32]);
    let known = || credential(Dialect::WampScram, CHEAP);
    let (server, answer) = exchange(Dialect::WampScram, "secret", known(), Some(channel));
    assert!(is_proved(&server, &answer));
    // The same proof, relayed over a connection with another value, with none, or with the value lied about.
    let other = ChannelBinding::tls_exporter([8; 32]);
    let (relayed, honest) = exchange(Dialect::WampScram, "secret", known(), Some(other));
    assert!(relayed.verify(&answer.signature, &answer.extra).is_none());
    assert!(relayed.verify(&answer.signature, &honest.extra).is_none());
    let (unbound, _) = exchange(Dialect::WampScram, "secret", known(), None);
    assert!(unbound.verify(&answer.signature, &answer.extra).is_none());
    for missing in ["nonce", "channel_binding", "cbind_data"] {
        let mut extra = answer.extra.clone();
        extra.remove(missing);
        assert!(server.verify(&answer.signature, &extra).is_none(), "{missing}");
    }
}

#[test]
fn channel_binding_is_had_as_it_is_asked_for_or_not_at_all() {
    let channel = ChannelBinding::tls_exporter([9; 32]);
    let begin = |dialect, kind: &str, binding| {
        let extra = Dict::from([("nonce".to_owned(), "AAAA".into()), ("channel_binding".to_owned(), kind.into())]);
        let request = ScramRequest::read(&extra).unwrap();
        ServerExchange::new(dialect, "joe", request, credential(dialect, CHEAP).into(), [2; 16], binding).err()
    };
    let refused = Some(ScramError::ChannelBinding);
    assert_eq!(begin(Dialect::WampScram, "tls-exporter", Some(channel)), None);
    assert_eq!(begin(Dialect::WampScram, "tls-exporter", None), refused);
    assert_eq!(begin(Dialect::WampScram, "tls-unique", Some(channel)), refused);
    assert_eq!(begin(Dialect::Crossbar, "tls-exporter", Some(channel)), refused);
    assert_eq!(ClientExchange::new(Dialect::Crossbar, "joe", [1; 16], Some(channel)).err(), refused);
}

#[test]
fn requests_are_read_strictly() {
    let read = |nonce: Value| ScramRequest::read(&Dict::from([("nonce".to_owned(), nonce)])).err();
    assert_eq!(read("AAAA".into()), None);
    assert_eq!(read(Value::Null), Some(ScramError::NoNonce));
    assert_eq!(ScramRequest::read(&Dict::new()).err(), Some(ScramError::NoNonce));
    for bad in [Value::from(1), "".into(), "A,=B".into(), "AAA".into(), "A".repeat(1_028).into()] {
        assert_eq!(read(bad.clone()), Some(ScramError::BadNonce), "{bad:?}");
    }
    let kind = Dict::from([("nonce".to_owned(), "AAAA".into()), ("channel_binding".to_owned(), 1.into())]);
    assert_eq!(ScramRequest::read(&kind).err(), Some(ScramError::ChannelBinding));
}

#[test]
fn proofs_that_are_not_proofs_are_refused() {
    for dialect in BOTH {
        let (server, answer) = exchange(dialect, "secret", credential(dialect, CHEAP), None);
        let longer = BASE64.encode([0; 33]);
        for wrong in ["", "=", "****", "AAAA", &answer.signature[1..], &answer.signature[..40], &longer] {
            assert!(server.verify(wrong, &answer.extra).is_none(), "{wrong:?}");
        }
        let request = ScramRequest::read(&Dict::from([("nonce".to_owned(), "AAAA".into())])).unwrap();
        let again =
            ServerExchange::new(dialect, "joe", request, credential(dialect, CHEAP).into(), [3; 16], None).unwrap();
        assert!(again.verify(&answer.signature, &answer.extra).is_none(), "replayed");
    }
}

fn challenged(dialect: Dialect, changes: &[(&str, Value)], limits: &KdfLimits) -> Result<ScramAnswer, ScramError> {
    let client = ClientExchange::new(dialect, "joe", [1; 16], None).unwrap();
    let request = ScramRequest::read(&client.hello_extra()).unwrap();
    let credential = credential(dialect, CHEAP);
    let server = ServerExchange::new(dialect, "joe", request, credential.into(), [2; 16], None).unwrap();
    let mut challenge = server.challenge_extra();
    challenge.insert("iterations".to_owned(), 4_096.into());
    for (key, value) in changes {
        challenge.insert((*key).to_owned(), value.clone());
    }
    client.answer("secret", &challenge, limits)
}

#[test]
fn the_client_answers_no_foreign_nonce() {
    for dialect in BOTH {
        let own = BASE64.encode([1; 16]);
        let foreign = BASE64.encode([7; 32]);
        for (nonce, error) in [
            (Value::Null, ScramError::NoNonce),
            (Value::from(own.as_str()), ScramError::ForeignNonce),
            (Value::from(foreign), ScramError::ForeignNonce),
            (Value::from(format!("{own}{}", "A".repeat(2_000))), ScramError::BadNonce),
        ] {
            assert_eq!(challenged(dialect, &[("nonce", nonce)], &DEFAULT_LIMITS).err(), Some(error), "{dialect:?}");
        }
    }
    let injected = format!("{},s=AAAA", BASE64.encode([1; 16]));
    let error = challenged(Dialect::WampScram, &[("nonce", injected.into())], &DEFAULT_LIMITS).err();
    assert_eq!(error, Some(ScramError::BadNonce));
}

#[test]
fn a_router_can_neither_burn_the_clients_time_nor_get_a_cheap_hash() {
    let argon2 = |iterations: u64, memory: u64| {
        let changes: [(&str, Value); 3] =
            [("kdf", "argon2id13".into()), ("iterations", iterations.into()), ("memory", memory.into())];
        challenged(Dialect::WampScram, &changes, &DEFAULT_LIMITS).err()
    };
    assert_eq!(argon2(1, 262_145), Some(ScramError::CostTooHigh));
    assert_eq!(argon2(4_194_305, 8), Some(ScramError::CostTooHigh));
    assert_eq!(argon2(1, 8), Some(ScramError::CostTooLow));
    assert_eq!(argon2(1, 7), Some(ScramError::BadCost));
    assert_eq!(argon2(0, 512), Some(ScramError::BadCost));
    assert_eq!(argon2(u64::MAX, 512), Some(ScramError::BadCost));
    assert_eq!(argon2(32, 512), None);
    let pbkdf2 =
        |iterations: Value| challenged(Dialect::WampScram, &[("iterations", iterations)], &DEFAULT_LIMITS).err();
    assert_eq!(pbkdf2(4_095.into()), Some(ScramError::CostTooLow));
    assert_eq!(pbkdf2(1_000_001.into()), Some(ScramError::CostTooHigh));
    for impossible in [Value::Null, 0.into(), (-1).into(), "4096".into(), u64::MAX.into()] {
        assert_eq!(pbkdf2(impossible.clone()), Some(ScramError::BadCost), "{impossible:?}");
    }
    let changed = |key, value: Value| challenged(Dialect::WampScram, &[(key, value)], &DEFAULT_LIMITS).err();
    assert_eq!(changed("kdf", "scrypt".into()), Some(ScramError::UnknownKdf));
    assert_eq!(changed("kdf", Value::Null), Some(ScramError::UnknownKdf));
    assert_eq!(changed("salt", Value::Null), Some(ScramError::BadSalt));
    assert_eq!(changed("salt", "AA,=".into()), Some(ScramError::BadSalt));
}

#[test]
fn the_client_knows_a_router_that_does_not_know_it() {
    for dialect in BOTH {
        let (_, answer) = exchange(dialect, "secret", credential(dialect, CHEAP), None);
        assert!(!answer.server.is_in(&Dict::new()));
        for wrong in ["", "v=", &BASE64.encode([0; 32])] {
            for key in ["verifier", "scram_server_signature"] {
                assert!(!answer.server.is_in(&Dict::from([(key.to_owned(), wrong.into())])));
            }
        }
    }
}

/// RFC 4013 section 3.
#[test]
fn names_and_passwords_are_normalised_where_the_dialect_says_so() {
    let salted = |dialect, password: &str| CHEAP.salted_password(dialect, password, b"saltsalt");
    for (given, prepared) in [("I\u{ad}X", "IX"), ("\u{aa}", "a"), ("\u{2168}", "IX"), ("user", "user")] {
        assert_eq!(prepare_authid(given).unwrap(), prepared);
        assert_eq!(salted(Dialect::WampScram, given), salted(Dialect::WampScram, prepared));
        let same = salted(Dialect::Crossbar, given) == salted(Dialect::Crossbar, prepared);
        assert_eq!(same, given == prepared);
    }
    for forbidden in ["\u{7}", "\u{627}1"] {
        assert_eq!(prepare_authid(forbidden), Err(ScramError::BadAuthid));
        assert_eq!(salted(Dialect::WampScram, forbidden), Err(ScramError::BadPassword));
    }
}

#[test]
fn separators_in_a_name_cannot_change_what_is_signed() {
    let transcript = |dialect, authid: &str| Transcript {
        dialect,
        authid: authid.to_owned(),
        client_nonce: "AAAA".to_owned(),
        nonce: "AAAABBBB".to_owned(),
        salt: "CCCC".to_owned(),
        iterations: 2,
        binding: None,
    };
    let message = transcript(Dialect::WampScram, "a,r=b=").auth_message();
    assert_eq!(message, "n=a=2Cr=3Db=3D,r=AAAA,r=AAAABBBB,s=CCCC,i=2,c=biws,r=AAAABBBB");
    let message = transcript(Dialect::Crossbar, "a").auth_message();
    assert_eq!(message, "n=a,r=AAAA,r=AAAABBBB,s=CCCC,i=2,c=,r=AAAABBBB");
    let bound =
        Transcript { binding: Some(ChannelBinding::tls_exporter([0; 32])), ..transcript(Dialect::WampScram, "a") };
    let channel = BASE64.encode([&b"p=tls-exporter,,"[..], &[0; 32]].concat());
    assert!(bound.auth_message().contains(&format!(",c={channel},")));
}

#[test]
fn functions_have_the_names_of_both_dialects() {
    let argon2 = Kdf::Argon2id13 { iterations: 3, memory: 64 };
    assert_eq!(Kdf::named("argon2id13", 3, Some(64)), Ok(argon2));
    assert_eq!(Kdf::named("argon2id-13", 3, Some(64)), Ok(argon2));
    assert_eq!(Kdf::named("argon2id13", 3, None), Err(ScramError::BadCost));
    assert_eq!(Kdf::named("pbkdf2", 3, None), Ok(Kdf::Pbkdf2 { iterations: 3 }));
    assert_eq!(BOTH.map(|dialect| argon2.name(dialect)), ["argon2id13", "argon2id-13"]);
    let short = ScramCredential::derive(Dialect::WampScram, "secret", b"salt".to_vec(), argon2);
    assert_eq!(short, Err(ScramError::BadSalt));
}

#[test]
fn keys_are_not_printed() {
    let (server, answer) = exchange(Dialect::WampScram, "secret", credential(Dialect::WampScram, CHEAP), None);
    let shown = format!("{server:?} {:?} {:?}", answer.server, credential(Dialect::WampScram, CHEAP));
    let stored = format!("{:?}", credential(Dialect::WampScram, CHEAP).stored_key());
    assert!(!shown.contains(&stored) && !shown.contains("stored_key"), "{shown}");
}
