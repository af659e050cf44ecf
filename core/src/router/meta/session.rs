//! `wamp.session.*` (spec: "Session Meta API").

use super::arguments::{Arguments, invalid};
use super::list::{Kind, Source, Wanted};
use super::{Answer, Caller, Effect, Farewell, Refusal, reason};
use crate::auth;
use crate::id::SessionId;
use crate::router::session::Session;
use crate::router::{PeerKey, Router};
use crate::uri::{close, error};
use crate::value::Dict;

/// What is told of a transport. The rest, HTTP headers for example, may hold secrets of the session.
const TOLD_OF_TRANSPORT: [&str; 6] =
    ["channel_type", "channel_framing", "channel_serializer", "is_secure", "peer", "websocket_protocol"];

/// What is told of a session to whoever asks, and when it joins. Its transport is told only to those who ask,
/// who must be allowed to call for it.
pub(super) fn details(session: &Session) -> Dict {
    let identity = &session.identity;
    let mut authextra = identity.authextra.clone();
    authextra.retain(|key, _| !auth::is_proof(key));
    let mut details = Dict::from([
        ("session".to_owned(), session.id.get().into()),
        ("authid".to_owned(), identity.authid.as_str().into()),
        ("authrole".to_owned(), identity.authrole.as_str().into()),
        ("authmethod".to_owned(), identity.authmethod.as_str().into()),
        ("authprovider".to_owned(), identity.authprovider.as_str().into()),
    ]);
    if !authextra.is_empty() {
        details.insert("authextra".to_owned(), authextra.into());
    }
    details
}

/// `filter_authroles`: which sessions are meant.
fn authrole_filter(args: &mut Arguments) -> Result<Wanted, Refusal> {
    let authroles: Option<Vec<String>> = args.optional("filter_authroles")?;
    Ok(authroles.map_or(Wanted::All, |roles| Wanted::Roles(roles.into_iter().collect())))
}

/// `reason` and `message`, which all procedures that end sessions take.
fn farewell(args: &mut Arguments) -> Result<Farewell, Refusal> {
    let reason = reason(args)?.unwrap_or(close::KILLED);
    let message: Option<String> = args.keyword("message")?;
    if message.as_ref().is_some_and(|message| message.starts_with('\0')) {
        return Err(invalid("message can not begin with U+0000, because JSON has no such text".to_owned()));
    }
    Ok(Farewell { reason, message })
}

fn no_such_session(id: SessionId) -> Refusal {
    (error::NO_SUCH_SESSION, format!("no session with ID {id} exists on this realm"))
}

impl Router {
    pub(super) fn session_count(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let wanted = authrole_filter(&mut args)?;
        args.finish()?;
        if let Wanted::All = wanted {
            return Ok(Answer::value(self.realms.get(caller.realm).sessions.len() as u64));
        }
        Ok(Answer::listing(caller, Source::Sessions { after: None, wanted }, Kind::Count))
    }

    pub(super) fn session_list(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let wanted = authrole_filter(&mut args)?;
        let after = args.keyword("after")?;
        args.finish()?;
        Ok(Answer::listing(caller, Source::Sessions { after, wanted }, Kind::List))
    }

    pub(super) fn session_get(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let id = args.required("session")?;
        args.finish()?;
        let (key, session) = self.session_of(caller, id)?;
        let mut details = details(session);
        if let Some(peer) = self.peers.get(key) {
            let transport = peer.link.transport();
            let told = transport.iter().filter(|(name, _)| TOLD_OF_TRANSPORT.contains(&name.as_str()));
            let transport: Dict = told.map(|(name, value)| (name.clone(), value.clone())).collect();
            details.insert("transport".to_owned(), transport.into());
        }
        Ok(Answer::value(details))
    }

    pub(super) fn session_kill(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let id = args.required("session")?;
        let farewell = farewell(&mut args)?;
        args.finish()?;
        if id == caller.session {
            return Err((error::NO_SUCH_SESSION, format!("no session but the caller's own has ID {id}")));
        }
        let (key, _) = self.session_of(caller, id)?;
        Ok(Answer::effect(Effect::End { session: key, farewell }))
    }

    pub(super) fn session_kill_by_authid(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let authid: String = args.required("authid")?;
        let farewell = farewell(&mut args)?;
        args.finish()?;
        let source = Source::Sessions { after: None, wanted: Wanted::OthersNamed(authid) };
        Ok(Answer::listing(caller, source, Kind::End { farewell, silently: false, ids: true }))
    }

    pub(super) fn session_kill_by_authrole(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let authrole: String = args.required("authrole")?;
        let farewell = farewell(&mut args)?;
        args.finish()?;
        let source = Source::Sessions { after: None, wanted: Wanted::OthersWith(authrole) };
        Ok(Answer::listing(caller, source, Kind::End { farewell, silently: false, ids: false }))
    }

    pub(super) fn session_kill_all(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let farewell = farewell(&mut args)?;
        args.finish()?;
        let source = Source::Sessions { after: None, wanted: Wanted::Others };
        Ok(Answer::listing(caller, source, Kind::End { farewell, silently: true, ids: false }))
    }

    pub(super) fn session_of(&self, caller: Caller, id: SessionId) -> Result<(PeerKey, &Session), Refusal> {
        let key = self.realms.get(caller.realm).sessions.get(&id).copied();
        key.and_then(|key| Some((key, self.session(key)?))).ok_or_else(|| no_such_session(id))
    }
}
