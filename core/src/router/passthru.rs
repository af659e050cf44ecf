//! Payloads that the router passes on without looking inside (spec: "Payload Passthru Mode"; Crossbar.io's "Payload
//! Transparency", whose payload is not even a list of arguments).

use super::output::Violation;
use super::session::Session;
use crate::message::{Features, Message, PassThru, Payload};

/// What a subscriber must have announced to receive a payload. Bytes in the place of the arguments are no valid message
/// for others. Payload passthru mode is valid for all: whether it is understood is the subscriber's matter (as the
/// specification has it).
pub(crate) fn needed_by_subscriber(payload: &Payload) -> Features {
    if payload.as_opaque().is_some() { Features::PAYLOAD_TRANSPARENCY } else { Features::NONE }
}

/// What a callee must have announced to be given a call with such a payload, and a caller to be given such a result.
pub(crate) fn needed_in_call(pass_thru: Option<&PassThru>, payload: &Payload) -> Features {
    let passthru = pass_thru.is_some_and(PassThru::is_passthru);
    let mode = if passthru { Features::PAYLOAD_PASSTHRU_MODE } else { Features::NONE };
    mode | needed_by_subscriber(payload)
}

/// What a further part of a call says of its payload. The mode is that of the first part (spec: "Freezing of Options in
/// Progressive Call Invocations"); transparency goes with each payload.
pub(crate) fn of_part(first: Option<&PassThru>, part: Option<Box<PassThru>>) -> Option<Box<PassThru>> {
    let PassThru { ppt_scheme, ppt_serializer, ppt_cipher, ppt_keyid, .. } = first.cloned().unwrap_or_default();
    let PassThru { enc_algo, enc_key, enc_serializer, .. } = *part.unwrap_or_default();
    let of_part = PassThru { ppt_scheme, ppt_serializer, ppt_cipher, ppt_keyid, enc_algo, enc_key, enc_serializer };
    (of_part != PassThru::default()).then(|| Box::new(of_part))
}

/// Payload passthru mode in a message of a session that did not announce it for the role in which it sends the message.
pub(crate) fn violation(session: &Session, message: &Message) -> Option<Violation> {
    let roles = &session.roles;
    let (pass_thru, role, announced) = match message {
        Message::Publish(publish) => (&publish.options.pass_thru, "publisher", roles.publisher),
        Message::Call(call) => (&call.options.pass_thru, "caller", roles.caller),
        Message::Yield(answer) => (&answer.options.pass_thru, "callee", roles.callee),
        Message::Error(answer) => (&answer.pass_thru, "callee", roles.callee),
        _ => return None,
    };
    let used = pass_thru.as_deref().is_some_and(PassThru::is_passthru);
    let violated = used && !announced.is_some_and(|features| features.contains(Features::PAYLOAD_PASSTHRU_MODE));
    violated.then_some(Violation::NotAnnounced { message: message.name(), role, feature: "payload_passthru_mode" })
}
