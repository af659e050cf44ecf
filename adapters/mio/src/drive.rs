//! Doing what the router wants done.

use std::sync::Arc;

use wampd_core::{
    client::{ClientEvent, ClientOutput},
    codec::{DecodeError, Format, Problem},
    id::SessionId,
    message::{Message, Welcome},
    router::{CloseReason, Congestion, DecisionId, LinkInfo, Output, PeerKey, Recipients, Undeliverable, Violation},
    value::{Dict, Value},
};
use wampd_wire::{CloseCode, MessageTooLong};

use crate::{
    config::PeerAddress,
    connection::Behind,
    frames::Audience,
    host::{CloseCause, Context, GiveUpCause, Holder, Host, LeaveCause, Observation, Verdict},
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
                self.tell_congestion(host);
            }
            if let Some((id, verdict)) = self.verdicts.pop_front() {
                self.settled(id, host);
                // An answer that came too late has no effect, which is what it should have.
                let _ = match verdict {
                    Verdict::Auth(verdict) => self.router.decide_auth(self.now, id, verdict),
                    Verdict::Action(verdict) => self.router.decide_action(self.now, id, verdict),
                };
            } else if !self.congested.is_empty() {
                self.tell_congestion(host);
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

    /// Tells the router of queues that have filled or emptied. That is done after each output, so that what can wait in the router
    /// does.
    fn tell_congestion<H: Host + ?Sized>(&mut self, host: &mut H) {
        while let Some(token) = self.congested.pop() {
            let limit = self.max_pending(token);
            let Some(conn) = self.conns.get_mut(token) else { continue };
            let Some(peer) = conn.peer else { continue };
            let (connection, session) = (conn.id, conn.session);
            if conn.congestion == Congestion::Clear {
                if let Some(Behind { since, left_out }) = conn.behind.take().map(|behind| *behind) {
                    let lasted = self.now.since(since);
                    host.observe(&Observation::CaughtUp { connection, session, lasted, left_out });
                }
            } else if conn.behind.is_none() {
                conn.behind = Some(Box::new(Behind { since: self.now, left_out: 0 }));
                let waiting = conn.out.len();
                host.observe(&Observation::FallsBehind { connection, session, waiting, limit });
            }
            let level = conn.congestion;
            self.router.set_congestion(self.now, peer, level);
        }
    }

    fn perform<H: Host + ?Sized>(&mut self, output: Output, host: &mut H) {
        match output {
            Output::Send { to: Recipients::One(peer), message } => {
                self.note(peer, &message, host);
                self.frames.begin();
                if let Err(why) = self.send(peer, &message, Audience::One) {
                    self.tell_undeliverable(peer, &message, &why, host);
                    self.router.undeliverable(self.now, peer, message, &why);
                }
            }
            Output::Send { to: Recipients::Many(peers), message } => {
                self.frames.begin();
                let mut told = false;
                for &peer in &peers {
                    if let Err(why) = self.send(peer, &message, Audience::Many) {
                        if !told {
                            told = self.tell_undeliverable(peer, &message, &why, host);
                        }
                        self.router.undeliverable(self.now, peer, message.clone(), &why);
                    }
                }
            }
            Output::Authenticate(request) => {
                if let Some(verdict) = host.authenticate(&request, &mut self.context()) {
                    let _ = self.router.decide_auth(self.now, request.id, verdict);
                }
            }
            Output::Authorize(request) => {
                if let Some(verdict) = host.authorize(&request, &mut self.context()) {
                    let _ = self.router.decide_action(self.now, request.id, verdict);
                }
            }
            Output::Close { peer, reason } => self.close_peer(peer, reason, host),
            Output::InputReady(peer) => match self.owner(peer) {
                Some(Owner::Connection(token)) => self.enqueue(token),
                Some(Owner::Local(id)) => self.locals.wake(id),
                None => {}
            },
            Output::ProgressUnannounced(peer) => {
                if let Some((holder, Some(session))) = self.session_of(peer) {
                    host.observe(&Observation::ProgressUnannounced { holder, session });
                }
            }
            Output::Withdrawn(id) => self.settled(id, host),
            Output::ProcedureRegistered { realm, procedure } => {
                host.procedure_registered(&realm, &procedure, &mut self.context());
            }
            // The core's outputs are closed only to other crates.
            other => debug_assert!(false, "unknown output {other:?}"),
        }
    }

    /// What the host can do while it is called.
    const fn context(&mut self) -> Context<'_> {
        let Self { now, locals, verdicts, handle, router, .. } = self;
        Context { now: *now, locals, verdicts, handle, router }
    }

    /// Tells the host that a question is over.
    fn settled<H: Host + ?Sized>(&mut self, id: DecisionId, host: &mut H) {
        host.settled(id, &mut self.context());
    }

    /// Who holds a peer, and its session.
    fn session_of(&mut self, peer: PeerKey) -> Option<(Holder, Option<SessionId>)> {
        match self.owner(peer)? {
            Owner::Connection(token) => self.conns.get(token).map(|conn| (Holder::Connection(conn.id), conn.session)),
            Owner::Local(id) => self.locals.peer_mut(id).map(|local| (Holder::Local(id), local.session)),
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

    /// Tells the host of a message that could not be written for this receiver, or, if too much waits for it, counts it:
    /// the host is told how many there were once that is over. Whether the host was told.
    #[cold]
    fn tell_undeliverable<H: Host + ?Sized>(
        &mut self,
        peer: PeerKey,
        message: &Message,
        why: &Undeliverable,
        host: &mut H,
    ) -> bool {
        let Some(Owner::Connection(token)) = self.owner(peer) else { return false };
        let Some(conn) = self.conns.get_mut(token) else { return false };
        if matches!(why, Undeliverable::Congested { .. }) {
            conn.behind.iter_mut().for_each(|behind| behind.left_out += 1);
            return false;
        }
        let (connection, uri) = (conn.id, self.router.uri_of(peer, message));
        host.observe(&Observation::Undeliverable { connection, message: message.name(), uri, why });
        true
    }

    fn send(&mut self, peer: PeerKey, message: &Message, audience: Audience) -> Result<(), Undeliverable> {
        match self.owner(peer) {
            Some(Owner::Connection(token)) => self.send_to_connection(token, message, audience),
            Some(Owner::Local(id)) => {
                self.locals.receive(id, message.clone());
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn send_to_connection(&mut self, token: usize, message: &Message, audience: Audience) -> Result<(), Undeliverable> {
        let max = self.max_pending(token);
        let Some(conn) = self.conns.get_mut(token) else { return Ok(()) };
        // What the router sends to a peer that is closing its transport has nowhere to go.
        let Some(encoding) = conn.wire.encoding().filter(|_| conn.wire.is_open()) else { return Ok(()) };
        let waiting = conn.out.len();
        if waiting > room_for_others(max) && (message.may_be_left_out() || waiting > max) {
            let limit = if message.may_be_left_out() { room_for_others(max) } else { max };
            return Err(Undeliverable::Congested { waiting, limit });
        }
        let frame = self.frames.make(message, encoding, audience)?;
        let too_large = |error: MessageTooLong| Undeliverable::TooLarge { size: error.len, limit: error.limit };
        conn.wire.admits(frame.len()).map_err(too_large)?;
        #[cfg(debug_assertions)]
        self.recording.iter_mut().for_each(|recording| recording.sent(conn.id, encoding, &frame));
        frame.push(&mut conn.out, &mut self.pool);
        self.stats.frames_queued += 1;
        self.stats.peak_pending = self.stats.peak_pending.max(conn.out.len());
        let flush_now = conn.out.len() > FLUSH_FROM.min(max / 2);
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
        let (holder, peer, session) = match self.owner(peer) {
            Some(Owner::Connection(token)) => match self.conns.get_mut(token) {
                Some(conn) => {
                    if matches!(message, Message::Welcome(_)) {
                        self.opening.remove(&conn.id);
                        conn.joined = true;
                        conn.kept = 0;
                        conn.wire.limit_messages(None);
                        conn.stream.joined();
                    }
                    (Holder::Connection(conn.id), Some(conn.address), &mut conn.session)
                }
                None => return,
            },
            Some(Owner::Local(id)) => match self.locals.peer_mut(id) {
                Some(local) => (Holder::Local(id), None, &mut local.session),
                None => return,
            },
            None => return,
        };
        let cause = match message {
            Message::Welcome(welcome) => {
                *session = Some(welcome.session);
                return host.observe(&joined(holder, peer, welcome));
            }
            Message::Abort(abort) => {
                let text = abort.details.get("message");
                let text = text.as_ref().and_then(Value::as_str).unwrap_or_default();
                host.observe(&Observation::Aborted { holder, peer, reason: &abort.reason, message: text });
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
        let cause = match reason {
            CloseReason::AbortedByPeer => LeaveCause::Aborted,
            CloseReason::Shutdown => LeaveCause::ShutDown,
            _ => LeaveCause::Lost,
        };
        match owner {
            Owner::Connection(token) => {
                let limit = self.max_pending(token);
                let Some(conn) = self.conns.get_mut(token) else { return };
                if reason == CloseReason::SlowConsumer {
                    host.observe(&conn.given_up(self.now, limit, GiveUpCause::NoRoom));
                }
                conn.peer = None;
                if let Some(session) = conn.session.take() {
                    let holder = Holder::Connection(conn.id);
                    host.observe(&Observation::Left { holder, session, cause });
                }
                if reason == CloseReason::SlowConsumer {
                    // It would not read a farewell either.
                    return self.remove(token, CloseCause::Router(reason), host);
                }
                if matches!(reason, CloseReason::Overload | CloseReason::Unavailable { .. }) {
                    // Without a closing handshake: to the peer its connection is lost, and worth another try.
                    return self.finish(token, CloseCause::Router(reason));
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
        host.local_event(id, event, &mut self.context());
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

/// How much of `max` bytes may wait when the event or call of another peer comes: the rest is for the answers to the peer itself.
const fn room_for_others(max: usize) -> usize {
    max - max / 8
}

fn joined(holder: Holder, peer: Option<PeerAddress>, welcome: &Welcome) -> Observation<'_> {
    let details = &welcome.details;
    Observation::Joined {
        holder,
        session: welcome.session,
        peer,
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
        // Text that is not UTF-8 is a matter of WebSocket too (RFC 6455, section 8.1).
        CloseReason::Violation(Violation::Undecodable(DecodeError::Malformed {
            format: Format::Json,
            problem: Problem::InvalidUtf8,
            ..
        })) => (CloseCode::INVALID_DATA, "text is not UTF-8"),
        CloseReason::Violation(_) => (CloseCode::PROTOCOL_ERROR, "WAMP protocol violation"),
        CloseReason::SlowConsumer => (CloseCode::POLICY_VIOLATION, "slow consumer"),
        CloseReason::Timeout => (CloseCode::POLICY_VIOLATION, "timeout"),
        CloseReason::Shutdown => (CloseCode::GOING_AWAY, "the router shuts down"),
        _ => (CloseCode::NORMAL, ""),
    }
}
