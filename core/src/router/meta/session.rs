//! `wamp.session.*` (spec: "Session Meta API").

use super::arguments::Arguments;
use super::{Answer, Caller, Effect, Farewell, Refusal, reason};
use crate::id::SessionId;
use crate::router::session::Session;
use crate::router::{PeerKey, Router};
use crate::uri::{close, error};
use crate::value::{Dict, Value};

/// What is told of a transport. The rest, HTTP headers for example, may hold secrets of the session.
const TOLD_OF_TRANSPORT: [&str; 6] =
    ["channel_type", "channel_framing", "channel_serializer", "is_secure", "peer", "websocket_protocol"];

/// What is told of a session to whoever asks, and when it joins. Its transport is told only to those who ask,
/// who must be allowed to call for it.
pub(super) fn details(session: &Session) -> Dict {
    let identity = &session.identity;
    Dict::from([
        ("session".to_owned(), session.id.get().into()),
        ("authid".to_owned(), identity.authid.as_str().into()),
        ("authrole".to_owned(), identity.authrole.as_str().into()),
        ("authmethod".to_owned(), identity.authmethod.as_str().into()),
        ("authprovider".to_owned(), identity.authprovider.as_str().into()),
    ])
}

/// `filter_authroles`: whether a session is meant.
fn authrole_filter(mut args: Arguments) -> Result<impl Fn(&Session) -> bool, Refusal> {
    let authroles: Option<Vec<String>> = args.optional("filter_authroles")?;
    args.finish()?;
    Ok(move |session: &Session| authroles.as_ref().is_none_or(|list| list.contains(&session.identity.authrole)))
}

/// `reason` and `message`, which all procedures that end sessions take.
fn farewell(args: &mut Arguments) -> Result<Farewell, Refusal> {
    Ok(Farewell { reason: reason(args)?.unwrap_or(close::KILLED), message: args.keyword("message")? })
}

fn no_such_session(id: SessionId) -> Refusal {
    (error::NO_SUCH_SESSION, format!("no session with ID {id} exists on this realm"))
}

impl Router {
    pub(super) fn session_count(&self, caller: Caller, args: Arguments) -> Result<Answer, Refusal> {
        let is_meant = authrole_filter(args)?;
        let count = self.sessions_of(caller).filter(|(_, session)| is_meant(session)).count();
        Ok(Answer::value(count as u64))
    }

    pub(super) fn session_list(&self, caller: Caller, args: Arguments) -> Result<Answer, Refusal> {
        let is_meant = authrole_filter(args)?;
        let meant = self.sessions_of(caller).filter(|(_, session)| is_meant(session));
        Ok(Answer::value(meant.map(|(_, session)| session.id.get().into()).collect::<Vec<Value>>()))
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
        Ok(Answer::effect(Effect::End { sessions: vec![key], farewell, silently: false }))
    }

    pub(super) fn session_kill_by_authid(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let authid: String = args.required("authid")?;
        let farewell = farewell(&mut args)?;
        args.finish()?;
        let others = self.others(caller).filter(|(_, session)| session.identity.authid == authid);
        let (sessions, ids): (_, Vec<Value>) = others.map(|(key, session)| (key, session.id.get().into())).unzip();
        Ok(Answer::value(ids).and(Effect::End { sessions, farewell, silently: false }))
    }

    pub(super) fn session_kill_by_authrole(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let authrole: String = args.required("authrole")?;
        let farewell = farewell(&mut args)?;
        args.finish()?;
        let others = self.others(caller).filter(|(_, session)| session.identity.authrole == authrole);
        let sessions: Vec<PeerKey> = others.map(|(key, _)| key).collect();
        Ok(Answer::value(sessions.len() as u64).and(Effect::End { sessions, farewell, silently: false }))
    }

    pub(super) fn session_kill_all(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let farewell = farewell(&mut args)?;
        args.finish()?;
        let sessions: Vec<PeerKey> = self.others(caller).map(|(key, _)| key).collect();
        Ok(Answer::value(sessions.len() as u64).and(Effect::End { sessions, farewell, silently: true }))
    }

    /// The sessions of the caller's realm, in the order of their ids.
    fn sessions_of(&self, caller: Caller) -> impl Iterator<Item = (PeerKey, &Session)> {
        let keys = self.realms.get(caller.realm).sessions.values();
        keys.filter_map(|&key| Some((key, self.session(key)?)))
    }

    fn others(&self, caller: Caller) -> impl Iterator<Item = (PeerKey, &Session)> {
        self.sessions_of(caller).filter(move |(key, _)| *key != caller.key)
    }

    pub(super) fn session_of(&self, caller: Caller, id: SessionId) -> Result<(PeerKey, &Session), Refusal> {
        let key = self.realms.get(caller.realm).sessions.get(&id).copied();
        key.and_then(|key| Some((key, self.session(key)?))).ok_or_else(|| no_such_session(id))
    }
}
