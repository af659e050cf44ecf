//! Doing what the router wants done.

use std::sync::Arc;

use wampd_core::{
    client::{ClientEvent, ClientOutput},
    message::{Message, Welcome},
    router::{CloseReason, LinkInfo, Output, PeerKey, Recipients, Undeliverable},
    value::{Dict, Value},
};
use wampd_wire::{CloseCode, MessageTooLong};

use crate::{
    frames::Audience,
    host::{CloseCause, Context, Holder, Host, LeaveCause, Observation, Verdict},
    locals::LocalId,
    reactor::{Owner, Server},
};

/// A queue is written to the socket within a turn when it is longer than this or than half of what may wait, lest a burst of a
/// turn make a peer look slow.
const FLUSH_FROM: usize = 256 << 10;

impl Server {
    /// Drains the router and everything that feeds it, until nothing is left or in-process peers have used up their turn.
    pub(crate) fn drive<H: Host + ?Sized>(&mut self, host: &mut H) {
        loop {
            while let Some(output) = self.router.poll_output() {
                self.perform(output, host);
            }
            if let Some((id, verdict)) = self.verdicts.pop_front() {
                // An answer that came too late has no effect, which is what it should have.
                let _ = match verdict {
                    Verdict::Auth(verdict) => self.router.decide_auth(self.now, id, verdict),
                    Verdict::Action(verdict) => self.router.decide_action(self.now, id, verdict),
                };
            } else if let Some(token) = self.congested.pop() {
                if let Some((peer, level)) = self.conns.get(token).and_then(|conn| Some((conn.peer?, conn.congestion)))
                {
                    self.router.set_congestion(self.now, peer, level);
                }
            } else if let Some((token, id, error)) = self.lost.pop() {
                if self.conns.get(token).is_some_and(|conn| conn.id == id) {
                    self.detach(token, host);
                    self.remove(token, CloseCause::Io(error), host);
                }
            } else if !self.step_local(host) {
                return;
            }
        }
    }

    fn perform<H: Host + ?Sized>(&mut self, output: Output, host: &mut H) {
        match output {
            Output::Send { to: Recipients::One(peer), message } => {
                self.note(peer, &message, host);
                self.frames.begin();
                if let Err(why) = self.send(peer, &message, Audience::One, host) {
                    self.router.undeliverable(self.now, peer, message, &why);
                }
            }
            Output::Send { to: Recipients::Many(peers), message } => {
                self.frames.begin();
                for &peer in &peers {
                    if let Err(why) = self.send(peer, &message, Audience::Many, host) {
                        self.router.undeliverable(self.now, peer, message.clone(), &why);
                    }
                }
            }
            Output::Authenticate(request) => {
                let (handle, now) = (&self.handle, self.now);
                let mut cx = Context { now, locals: &mut self.locals, verdicts: &mut self.verdicts, handle };
                if let Some(verdict) = host.authenticate(&request, &mut cx) {
                    let _ = self.router.decide_auth(now, request.id, verdict);
                }
            }
            Output::Authorize(request) => {
                let (handle, now) = (&self.handle, self.now);
                let mut cx = Context { now, locals: &mut self.locals, verdicts: &mut self.verdicts, handle };
                if let Some(verdict) = host.authorize(&request, &mut cx) {
                    let _ = self.router.decide_action(now, request.id, verdict);
                }
            }
            Output::Close { peer, reason } => self.close_peer(peer, reason, host),
            Output::InputReady(peer) => match self.owner(peer) {
                Some(Owner::Connection(token)) => self.enqueue(token),
                Some(Owner::Local(id)) => self.locals.wake(id),
                None => {}
            },
            // The core's outputs are closed only to other crates.
            other => debug_assert!(false, "unknown output {other:?}"),
        }
    }

    fn owner(&self, peer: PeerKey) -> Option<Owner> {
        match self.owners.get(peer.index()) {
            Some(Some((key, owner))) if *key == peer => Some(*owner),
            _ => None,
        }
    }

    pub(crate) fn set_owner(&mut self, peer: PeerKey, owner: Owner) {
        if self.owners.len() <= peer.index() {
            self.owners.resize(peer.index() + 1, None);
        }
        self.owners[peer.index()] = Some((peer, owner));
    }

    fn send<H: Host + ?Sized>(
        &mut self,
        peer: PeerKey,
        message: &Message,
        audience: Audience,
        host: &mut H,
    ) -> Result<(), Undeliverable> {
        match self.owner(peer) {
            Some(Owner::Connection(token)) => {
                let sent = self.send_to_connection(token, message, audience);
                if let (Err(why), Some(conn)) = (&sent, self.conns.get(token)) {
                    let (connection, message) = (conn.id, message.name());
                    host.observe(&Observation::Undeliverable { connection, message, why });
                }
                sent
            }
            Some(Owner::Local(id)) => {
                self.locals.receive(id, message.clone());
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn send_to_connection(&mut self, token: usize, message: &Message, audience: Audience) -> Result<(), Undeliverable> {
        let Some(conn) = self.conns.get_mut(token) else { return Ok(()) };
        // What the router sends to a peer that is closing its transport has nowhere to go.
        let Some(encoding) = conn.wire.encoding().filter(|_| conn.wire.is_open()) else { return Ok(()) };
        let frame = self.frames.make(message, encoding, audience)?;
        let too_large = |error: MessageTooLong| Undeliverable::TooLarge { size: error.len, limit: error.limit };
        conn.wire.admits(frame.len()).map_err(too_large)?;
        if conn.out.len() > self.limits.max_pending {
            conn.overrun = true;
            self.check_level(token);
            return Ok(());
        }
        frame.push(&mut conn.out, &mut self.pool);
        self.stats.frames_queued += 1;
        self.stats.peak_pending = self.stats.peak_pending.max(conn.out.len());
        let flush_now = conn.out.len() > FLUSH_FROM.min(self.limits.max_pending / 2);
        self.mark_dirty(token);
        if flush_now {
            self.flush_one(token);
        }
        Ok(())
    }

    /// Tells the host of what a message means for a session.
    fn note<H: Host + ?Sized>(&mut self, peer: PeerKey, message: &Message, host: &mut H) {
        if !matches!(message, Message::Welcome(_) | Message::Abort(_) | Message::Goodbye(_)) {
            return;
        }
        let (holder, session) = match self.owner(peer) {
            Some(Owner::Connection(token)) => match self.conns.get_mut(token) {
                Some(conn) => {
                    if matches!(message, Message::Welcome(_)) {
                        self.opening.remove(&conn.id);
                    }
                    (Holder::Connection(conn.id), &mut conn.session)
                }
                None => return,
            },
            Some(Owner::Local(id)) => match self.locals.peer_mut(id) {
                Some(local) => (Holder::Local(id), &mut local.session),
                None => return,
            },
            None => return,
        };
        let cause = match message {
            Message::Welcome(welcome) => {
                *session = Some(welcome.session);
                return host.observe(&joined(holder, welcome));
            }
            Message::Abort(abort) => {
                let text = abort.details.get("message").and_then(Value::as_str).unwrap_or_default();
                host.observe(&Observation::Aborted { holder, reason: &abort.reason, message: text });
                LeaveCause::Aborted
            }
            Message::Goodbye(goodbye) => LeaveCause::Goodbye(&goodbye.reason),
            _ => return,
        };
        if let Some(session) = session.take() {
            host.observe(&Observation::Left { holder, session, cause });
        }
    }

    fn close_peer<H: Host + ?Sized>(&mut self, peer: PeerKey, reason: CloseReason, host: &mut H) {
        let Some(owner) = self.owner(peer) else { return };
        self.owners[peer.index()] = None;
        let cause = if reason == CloseReason::AbortedByPeer { LeaveCause::Aborted } else { LeaveCause::Lost };
        match owner {
            Owner::Connection(token) => {
                let Some(conn) = self.conns.get_mut(token) else { return };
                conn.peer = None;
                if let Some(session) = conn.session.take() {
                    let holder = Holder::Connection(conn.id);
                    host.observe(&Observation::Left { holder, session, cause });
                }
                if reason == CloseReason::SlowConsumer {
                    // It would not read a farewell either.
                    return self.remove(token, CloseCause::Router(reason), host);
                }
                let (code, text) = farewell(&reason);
                self.close(token, code, text, CloseCause::Router(reason));
            }
            Owner::Local(id) => {
                let Some(local) = self.locals.peer_mut(id) else { return };
                local.key = None;
                if let Some(session) = local.session.take() {
                    host.observe(&Observation::Left { holder: Holder::Local(id), session, cause });
                }
                local.client.connection_lost(self.now);
                self.locals.wake(id);
            }
        }
    }

    /// Lets one in-process peer do one thing. False: there is nothing to do, or no time left in this turn.
    fn step_local<H: Host + ?Sized>(&mut self, host: &mut H) -> bool {
        if self.local_steps == 0 {
            return false;
        }
        let Some(id) = self.locals.next_pending() else { return false };
        self.local_steps -= 1;
        let Some(local) = self.locals.peer_mut(id) else { return true };
        if let Some(identity) = local.identity.take() {
            let transport = Dict::from([("channel_type".to_owned(), Value::from("memory"))]);
            let link = LinkInfo { transport: Arc::new(transport), privileged: Some(identity), ..LinkInfo::default() };
            match self.router.open(self.now, link) {
                Ok(key) => {
                    local.key = Some(key);
                    local.client.connected(self.now);
                    self.set_owner(key, Owner::Local(id));
                }
                Err(_) => self.local_event(id, ClientEvent::Lost, host),
            }
            return true;
        }
        if local.key.is_some_and(|key| !self.router.wants_input(key)) {
            self.locals.sleep(id); // until InputReady
            return true;
        }
        match local.client.poll_output() {
            Some(ClientOutput::Send(message)) => {
                if let Some(key) = local.key {
                    self.router.receive(self.now, key, message);
                }
            }
            Some(ClientOutput::Event(event)) => self.local_event(id, event, host),
            Some(ClientOutput::Close) => self.lose_local(id, host),
            None => {
                if local.client.is_closed() {
                    self.lose_local(id, host);
                    self.locals.remove(id);
                }
                self.locals.sleep(id);
            }
        }
        true
    }

    fn local_event<H: Host + ?Sized>(&mut self, id: LocalId, event: ClientEvent, host: &mut H) {
        let (handle, now) = (&self.handle, self.now);
        let mut cx = Context { now, locals: &mut self.locals, verdicts: &mut self.verdicts, handle };
        host.local_event(id, event, &mut cx);
    }

    /// The link to an in-process peer ends from its side.
    fn lose_local<H: Host + ?Sized>(&mut self, id: LocalId, host: &mut H) {
        let Some(local) = self.locals.peer_mut(id) else { return };
        let Some(key) = local.key.take() else { return };
        if let Some(session) = local.session.take() {
            host.observe(&Observation::Left { holder: Holder::Local(id), session, cause: LeaveCause::Lost });
        }
        if let Some(owner) = self.owners.get_mut(key.index()) {
            *owner = None;
        }
        self.router.connection_lost(self.now, key);
    }
}

fn joined(holder: Holder, welcome: &Welcome) -> Observation<'_> {
    let details = &welcome.details;
    Observation::Joined {
        holder,
        session: welcome.session,
        realm: details.realm.as_ref().map_or("", |realm| realm.as_str()),
        authid: details.authid.as_deref().unwrap_or_default(),
        authrole: details.authrole.as_deref().unwrap_or_default(),
        authmethod: details.authmethod.as_deref().unwrap_or_default(),
        authprovider: details.authprovider.as_deref().unwrap_or_default(),
        authextra: details.authextra.as_ref(),
    }
}

/// The code and reason of the close frame of a WebSocket.
///
/// A peer that was not let in is told so by ABORT; its transport then ends in good order, so that clients do not take it for a
/// failure and connect again at once.
const fn farewell(reason: &CloseReason) -> (CloseCode, &'static str) {
    match reason {
        CloseReason::Goodbye | CloseReason::AbortedByPeer | CloseReason::Refused(_) => (CloseCode::NORMAL, ""),
        CloseReason::Violation(_) => (CloseCode::PROTOCOL_ERROR, "WAMP protocol violation"),
        CloseReason::SlowConsumer => (CloseCode::POLICY_VIOLATION, "slow consumer"),
        CloseReason::Timeout => (CloseCode::POLICY_VIOLATION, "timeout"),
        CloseReason::Shutdown => (CloseCode::GOING_AWAY, "the router shuts down"),
        CloseReason::Overload => (CloseCode::TRY_AGAIN_LATER, "too many connections"),
        _ => (CloseCode::NORMAL, ""),
    }
}
