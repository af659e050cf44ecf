//! `wamp.registration.*` (spec: "Registration Meta API"), and Crossbar.io's `remove_callee`.

use super::arguments::Arguments;
use super::list::{Kind, Source};
use super::{Answer, Caller, Effect, Refusal, match_option, revocation_reason};
use crate::id::{RegistrationId, SessionId};
use crate::router::Router;
use crate::router::registration::Registration;
use crate::uri::{Uri, error};
use crate::value::{Dict, Value};

/// What is told of a registration to whoever asks, and when it is created.
pub(super) fn details(id: RegistrationId, registration: &Registration) -> Dict {
    Dict::from([
        ("id".to_owned(), id.get().into()),
        ("created".to_owned(), registration.created.to_iso8601().into()),
        ("uri".to_owned(), registration.uri.as_str().into()),
        ("match".to_owned(), registration.matching.as_str().into()),
        ("invoke".to_owned(), registration.invoke.as_str().into()),
    ])
}

/// An id, or null.
fn nullable(id: Option<RegistrationId>) -> Answer {
    Answer::value(id.map_or(Value::Null, |id| id.get().into()))
}

fn not_registered(session: SessionId, id: RegistrationId) -> Refusal {
    (error::NO_SUCH_REGISTRATION, format!("session {session} does not hold registration {id}"))
}

impl Router {
    /// Of the whole realm, or (as with Crossbar.io) of one session.
    pub(super) fn registration_list(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let session: Option<SessionId> = args.optional("session")?;
        let after = args.keyword("after")?;
        args.finish()?;
        let source = match session {
            None => Source::Registrations { after },
            Some(session) => {
                self.session_of(caller, session)?;
                Source::RegistrationsOf { session, after }
            }
        };
        Ok(Answer::listing(caller, source, Kind::ListByPolicy))
    }

    pub(super) fn registration_lookup(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let procedure: String = args.required("procedure")?;
        let matching = match_option(&mut args)?;
        args.finish()?;
        Ok(nullable(self.realms.get(caller.realm).dealer.by_uri.get(matching, &procedure)))
    }

    pub(super) fn registration_match(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let procedure: String = args.required("procedure")?;
        args.finish()?;
        // Calls of reserved URIs are never routed to registrations, whatever patterns match them.
        let is_routed = !Uri::from(procedure.clone()).is_reserved();
        Ok(nullable(is_routed.then(|| self.realms.get(caller.realm).dealer.by_uri.best(&procedure)).flatten()))
    }

    pub(super) fn registration_get(&self, caller: Caller, args: Arguments) -> Result<Answer, Refusal> {
        let (id, registration) = self.registration_of(caller, args)?;
        Ok(Answer::value(details(id, registration)))
    }

    pub(super) fn registration_list_callees(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let after: Option<SessionId> = args.keyword("after")?;
        let (id, _) = self.registration_of(caller, args)?;
        let place = |session| {
            let place = self.session_of(caller, session)?.1.registrations.get(&id).copied();
            place.ok_or_else(|| not_registered(session, id))
        };
        let source = Source::Callees { registration: id, after: after.map(place).transpose()? };
        Ok(Answer::listing(caller, source, Kind::List))
    }

    pub(super) fn registration_count_callees(&self, caller: Caller, args: Arguments) -> Result<Answer, Refusal> {
        let (id, registration) = self.registration_of(caller, args)?;
        if self.leaving.is_empty() {
            return Ok(Answer::value(registration.callees.len() as u64));
        }
        Ok(Answer::listing(caller, Source::Callees { registration: id, after: None }, Kind::Count))
    }

    pub(super) fn registration_remove_callee(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let registration: RegistrationId = args.required("registration")?;
        let callee: SessionId = args.required("callee")?;
        let reason = revocation_reason(&mut args)?;
        args.finish()?;
        self.registration_with(caller, registration)?;
        let (session, found) = self.session_of(caller, callee)?;
        if !found.registrations.contains_key(&registration) {
            return Err(not_registered(callee, registration));
        }
        Ok(Answer::effect(Effect::RemoveCallee { session, registration, reason }))
    }

    /// The registration that is the only argument.
    fn registration_of(&self, caller: Caller, mut args: Arguments) -> Result<(RegistrationId, &Registration), Refusal> {
        let id = args.required("registration")?;
        args.finish()?;
        Ok((id, self.registration_with(caller, id)?))
    }

    fn registration_with(&self, caller: Caller, id: RegistrationId) -> Result<&Registration, Refusal> {
        let found = self.realms.get(caller.realm).dealer.registrations.get(id);
        found.ok_or_else(|| (error::NO_SUCH_REGISTRATION, format!("no registration with ID {id} exists on this realm")))
    }
}
