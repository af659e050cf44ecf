//! Payloads that the router passes on without looking inside (spec: "Payload Passthru Mode"; Crossbar.io's "Payload
//! Transparency", whose payload is not even a list of arguments).

use super::output::Violation;
use crate::codec::DecodeError;
use crate::message::{Features, PassThru, Payload};

/// What a subscriber must have announced to receive a payload. Bytes in the place of the arguments are no valid message
/// for others, and neither is what is said of them. Payload passthru mode is valid for all: whether it is understood is the
/// subscriber's matter (as the specification has it).
pub(crate) fn needed_by_subscriber(pass_thru: Option<&PassThru>, payload: &Payload) -> Features {
    let transparent = payload.as_opaque().is_some() || pass_thru.is_some_and(PassThru::is_transparent);
    if transparent { Features::PAYLOAD_TRANSPARENCY } else { Features::NONE }
}

/// What a callee must have announced to be given a call with such a payload, and a caller to be given such a result.
pub(crate) fn needed_in_call(pass_thru: Option<&PassThru>, payload: &Payload) -> Features {
    let passthru = pass_thru.is_some_and(PassThru::is_passthru);
    let mode = if passthru { Features::PAYLOAD_PASSTHRU_MODE } else { Features::NONE };
    mode | needed_by_subscriber(pass_thru, payload)
}

/// What a further part of a call says of its payload. The mode is that of the first part (spec: "Freezing of Options in
/// Progressive Call Invocations"); transparency goes with each payload.
pub(crate) fn of_part(first: Option<&PassThru>, part: Option<Box<PassThru>>) -> Option<Box<PassThru>> {
    let PassThru { ppt_scheme, ppt_serializer, ppt_cipher, ppt_keyid, .. } = first.cloned().unwrap_or_default();
    let PassThru { enc_algo, enc_key, enc_serializer, .. } = *part.unwrap_or_default();
    let of_part = PassThru { ppt_scheme, ppt_serializer, ppt_cipher, ppt_keyid, enc_algo, enc_key, enc_serializer };
    (of_part != PassThru::default()).then(|| Box::new(of_part))
}

/// What is wrong with what a message of a session says of its payload: the session did not announce it for the role in
/// which it sends the message, or receivers could not take it. Messages seldom say anything.
#[cold]
pub(crate) fn violation(
    pass_thru: &PassThru,
    message: &'static str,
    role: &'static str,
    announced: Option<Features>,
) -> Option<Violation> {
    let lacks = |feature| !announced.is_some_and(|features| features.contains(feature));
    let feature = if pass_thru.is_passthru() && lacks(Features::PAYLOAD_PASSTHRU_MODE) {
        "payload_passthru_mode"
    } else if pass_thru.is_transparent() && lacks(Features::PAYLOAD_TRANSPARENCY) {
        "payload_transparency"
    } else {
        return check(message, pass_thru).err().map(Violation::Undecodable);
    };
    Some(Violation::NotAnnounced { message, role, feature })
}

/// Checks that receivers can take the attributes of a payload. Those of payload passthru mode are nobody's but the
/// receiver's, as long as they are text in every serializer. The names of payload transparency were checked when they were
/// read, but for messages of peers inside the process.
pub(crate) fn check(message: &'static str, pass_thru: &PassThru) -> Result<(), DecodeError> {
    for (key, text) in pass_thru.entries() {
        let Some(text) = text else { continue };
        if text.starts_with('\0') {
            return Err(wrong(message, key, "text that does not begin with U+0000"));
        }
        if !PassThru::takes(key, text) {
            return Err(DecodeError::unknown_name(message, key, text));
        }
    }
    match pass_thru {
        PassThru { enc_algo: None, enc_key: Some(_), .. } => Err(wrong(message, "enc_key", WITHOUT_ALGORITHM)),
        PassThru { enc_algo: None, enc_serializer: Some(_), .. } => {
            Err(wrong(message, "enc_serializer", WITHOUT_ALGORITHM))
        }
        _ => Ok(()),
    }
}

const WITHOUT_ALGORITHM: &str = "left out where there is no enc_algo";

fn wrong(message: &'static str, key: &str, expected: &'static str) -> DecodeError {
    DecodeError::Option { message, key: key.to_owned(), expected }
}
