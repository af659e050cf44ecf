//! Payloads that the router passes on without looking inside (spec: "Payload Passthru Mode"; Crossbar.io's "Payload
//! Transparency", whose payload is not even a list of arguments).

use super::output::Violation;
use super::session::Session;
use crate::message::{Features, Message, PassThru};

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
