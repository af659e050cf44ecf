//! From HELLO to WELCOME or ABORT (spec: "Sessions", "Authentication Methods").

use super::output::{
    AuthRequest, AuthStep, AuthVerdict, Challenge, CloseReason, Identity, Output, StaleDecision, Violation,
};
use super::peer::{Handshake, Question, State};
use super::proof::{Answered, Proof, Refusal, Surroundings};
use super::realm::{RealmKey, Role, TRUSTED};
use super::session::Session;
use super::throttle::Attempt;
use super::{DecisionId, Farewell, Limits, PeerKey, Router, features};
use crate::auth;
use crate::id::SessionId;
use crate::message::{Authenticate, Hello, RawDict, Welcome, WelcomeDetails};
use crate::rng::draw_id;
use crate::time::Instant;
use crate::uri::{MatchPolicy, Uri, UriRule, error};
use std::collections::hash_map::Entry;

impl Router {
    /// HELLO from a peer without a session.
    pub(crate) fn receive_hello(&mut self, now: Instant, key: PeerKey, mut hello: Hello) {
        if hello.details.roles.is_empty() {
            return self.violate(now, key, Violation::NoRoles);
        }
        if let Some(refusal) = self.exceeded(&hello) {
            self.stats.hellos_too_long += 1;
            self.stats.refused += 1;
            let (reason, message) = refusal;
            self.send_abort(key, reason.clone(), &message);
            return self.close(key, CloseReason::Refused(reason));
        }
        if let Some(Err(why)) = hello.realm.as_ref().map(|realm| realm.check(UriRule::Loose, MatchPolicy::Exact)) {
            self.stats.refused += 1;
            self.send_abort(key, error::INVALID_URI, &format!("the realm of HELLO is no URI: {why}"));
            return self.close(key, CloseReason::Refused(error::INVALID_URI));
        }
        // What is kept of HELLO must not keep the frame it came in.
        hello.realm.as_mut().map(Uri::detach);
        hello.details.authextra.as_mut().map(RawDict::detach);
        let session = self.draw_session_id(key);
        let handshake = Box::new(Handshake::new(session, &mut hello));
        let Some(peer) = self.peers.get_mut(key) else { return };
        if let Some(identity) = peer.link.privileged.as_deref().cloned() {
            return self.welcome(key, &handshake, identity);
        }
        if handshake.proves && self.must_wait(now, key, &handshake) {
            return self.refuse_for_now(key, handshake.session, throttled());
        }
        let details = hello.details;
        let methods =
            if details.authmethods.is_empty() { vec![auth::ANONYMOUS.to_owned()] } else { details.authmethods };
        let step = AuthStep::Hello {
            methods,
            authid: details.authid,
            authrole: details.authrole,
            extra: details.authextra.unwrap_or_default(),
        };
        self.ask(now, key, handshake, step);
    }

    /// The limit that a HELLO exceeds, if any. What is longer would be copied to authenticators, logs and other sessions.
    fn exceeded(&self, hello: &Hello) -> Option<Refusal> {
        let Limits { max_authid_length: limit, max_authmethods, .. } = self.config.limits;
        let details = &hello.details;
        if details.authmethods.len() > max_authmethods {
            let message = format!(
                "HELLO names {} authentication methods: limit max_authmethods ({max_authmethods}) exceeded",
                details.authmethods.len()
            );
            return Some((error::INVALID_ARGUMENT, message));
        }
        let methods = details.authmethods.iter().map(|method| ("an authentication method", method.as_str()));
        let names = [
            ("realm", hello.realm.as_ref().map(Uri::as_str)),
            ("authid", details.authid.as_deref()),
            ("authrole", details.authrole.as_deref()),
        ];
        let names = names.into_iter().filter_map(|(what, text)| Some((what, text?)));
        let (what, text) = names.chain(methods).find(|(_, text)| text.len() > limit)?;
        let message = format!("{what} of HELLO has {} bytes: limit max_authid_length ({limit}) exceeded", text.len());
        Some((error::INVALID_ARGUMENT, message))
    }

    /// AUTHENTICATE from a peer that was challenged.
    pub(crate) fn receive_authenticate(&mut self, now: Instant, key: PeerKey, answer: Authenticate) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        // The proof is taken out: one challenge is good for one answer.
        let State::AwaitAuthenticate(proof, handshake) = core::mem::replace(&mut peer.state, State::AwaitHello) else {
            return;
        };
        // Others may have failed since HELLO.
        if self.must_wait(now, key, &handshake) {
            return self.refuse_for_now(key, handshake.session, throttled());
        }
        match proof.check(answer, &handshake) {
            Answered::Welcome(identity) => self.proved(now, key, &handshake, identity),
            Answered::Refuse(refusal) => self.login_failed(now, key, &handshake, refusal),
            Answered::Ask(step) => self.ask(now, key, handshake, step),
        }
    }

    /// Takes the answer to a question, now or later.
    pub(crate) fn take_verdict(
        &mut self,
        now: Instant,
        id: DecisionId,
        verdict: AuthVerdict,
    ) -> Result<(), StaleDecision> {
        let waits = |key| matches!(self.peers.get(key).map(|peer| &peer.state), Some(State::AwaitVerdict(asked, _)) if *asked == id);
        // What is asked may be whether somebody may act: then the question stays.
        let Some(key) = self.decisions.get(id).map(|question| question.peer).filter(|key| waits(*key)) else {
            self.stats.stale_decisions += 1;
            return Err(StaleDecision);
        };
        self.decisions.remove(id);
        // A question lives exactly as long as its peer waits for the verdict: see `forget_handshake`.
        let Some(peer) = self.peers.get_mut(key) else { return Err(StaleDecision) };
        let State::AwaitVerdict(_, handshake) = core::mem::replace(&mut peer.state, State::AwaitHello) else {
            return Err(StaleDecision);
        };
        match checked(verdict) {
            AuthVerdict::Welcome(identity) if handshake.challenges > 0 => self.proved(now, key, &handshake, identity),
            AuthVerdict::Welcome(identity) => self.welcome(key, &handshake, identity),
            AuthVerdict::Challenge(challenge) => self.challenge(now, key, handshake, challenge),
            AuthVerdict::Deny { reason, message } if handshake.proves && !is_technical(&reason) => {
                self.login_failed(now, key, &handshake, (reason, message));
            }
            AuthVerdict::Deny { reason, message } => self.refuse(key, handshake.session, (reason, message)),
            AuthVerdict::Unavailable { reason, message } => {
                self.refuse_for_now(key, handshake.session, (reason, message));
            }
        }
        if self.wants_input(key) {
            self.outputs.push_back(Output::InputReady(key));
        }
        Ok(())
    }

    /// Nobody answered a question in time: silence is a denial.
    pub(crate) fn verdict_overdue(&mut self, key: PeerKey, session: SessionId) {
        let message = "the authenticator did not answer in time".to_owned();
        self.refuse_for_now(key, session, (error::AUTHENTICATION_FAILED, message));
    }

    /// Forgets what a handshake holds outside its peer. The state is left at `AwaitHello`.
    pub(crate) fn forget_handshake(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        match &peer.state {
            State::AwaitVerdict(decision, handshake) => {
                let decision = *decision;
                self.sessions.remove(&handshake.session);
                self.withdraw(decision);
            }
            State::AwaitAuthenticate(_, handshake) => {
                self.sessions.remove(&handshake.session);
            }
            State::AwaitHello | State::AwaitGoodbye | State::Joined(_) => return,
        }
        if let Some(peer) = self.peers.get_mut(key) {
            peer.state = State::AwaitHello;
        }
    }

    fn ask(&mut self, now: Instant, key: PeerKey, handshake: Box<Handshake>, step: AuthStep) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let expires = now.after(self.config.limits.auth_timeout);
        let id = self.decisions.insert(Question { peer: key });
        self.outputs.push_back(Output::Authenticate(Box::new(AuthRequest {
            id,
            peer: key,
            tag: peer.link.tag,
            session: handshake.session,
            realm: handshake.realm.clone(),
            step,
            transport: peer.link.transport(),
            origin: peer.link.origin,
            expires,
        })));
        peer.state = State::AwaitVerdict(id, handshake);
        self.set_deadline(key, expires);
    }

    fn challenge(&mut self, now: Instant, key: PeerKey, mut handshake: Box<Handshake>, challenge: Challenge) {
        if handshake.challenges >= self.config.limits.max_challenges {
            let message = format!("no decision after {} challenges", handshake.challenges);
            return self.refuse(key, handshake.session, (error::AUTHENTICATION_FAILED, message));
        }
        handshake.challenges += 1;
        if let Some(grant) = challenge.grant()
            && let Err(refusal) = self.check_realm(grant, &handshake)
        {
            return self.refuse(key, handshake.session, refusal);
        }
        let around = Surroundings {
            wall: self.wall_clock(now),
            rng: &mut *self.rng,
            handshake: &handshake,
            binding: self.peers.get(key).and_then(|peer| peer.link.channel_binding.as_deref().copied()),
            key: self.config.cryptosign_key.as_ref(),
        };
        let (message, proof) = match Proof::demand(challenge, around) {
            Ok(made) => made,
            Err(refusal) => return self.refuse(key, handshake.session, refusal),
        };
        self.send(key, message);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.state = State::AwaitAuthenticate(Box::new(proof), handshake);
        }
        self.set_deadline(key, now.after(self.config.limits.handshake_timeout));
    }

    /// Whether a login has to wait because others have failed.
    fn must_wait(&mut self, now: Instant, key: PeerKey, handshake: &Handshake) -> bool {
        let waits = self.throttle.must_wait(now, self.attempt(key, handshake));
        self.stats.logins_throttled += u64::from(waits);
        waits
    }

    /// A peer that was asked for a proof has given it.
    fn proved(&mut self, now: Instant, key: PeerKey, handshake: &Handshake, identity: Identity) {
        self.throttle.succeeded(now, self.attempt(key, handshake), &self.config.limits);
        self.welcome(key, handshake, identity);
    }

    /// A peer is not who it says it is.
    fn login_failed(&mut self, now: Instant, key: PeerKey, handshake: &Handshake, refusal: Refusal) {
        self.stats.logins_failed += 1;
        self.throttle.failed(now, self.attempt(key, handshake), &self.config.limits);
        self.refuse(key, handshake.session, refusal);
    }

    fn attempt(&self, key: PeerKey, handshake: &Handshake) -> Attempt {
        Attempt::new(self.peers.get(key).and_then(|peer| peer.link.origin), handshake.authid.as_deref())
    }

    /// Opens the session, if realm and role exist. The peer's state is replaced.
    fn welcome(&mut self, key: PeerKey, handshake: &Handshake, identity: Identity) {
        let privileged = self.peers.get(key).is_some_and(|peer| peer.link.privileged.is_some());
        let (realm, role) = match self.check_grant(&identity, privileged) {
            Ok(found) => found,
            Err(refusal) => return self.refuse(key, handshake.session, refusal),
        };
        let details = WelcomeDetails {
            realm: Some(identity.realm.clone()),
            authid: Some(identity.authid.clone()),
            authrole: Some(identity.authrole.clone()),
            authmethod: Some(identity.authmethod.clone()),
            authprovider: Some(identity.authprovider.clone()),
            authextra: Some(identity.authextra.clone()),
            agent: self.config.agent.clone(),
            roles: features::announced(self.realms.get(realm), role),
        };
        let trustlevel = self.realms.get(realm).trustlevel(role);
        let session = Box::new(Session::new(handshake, identity, realm, role, trustlevel, &self.seed));
        self.clear_deadline(key);
        self.leave_joining(key);
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.state = State::Joined(session);
        peer.link.pack();
        if role != Role::Trusted {
            self.realms.get_mut(realm).sessions.insert(handshake.session, key);
        }
        self.stats.sessions += 1;
        self.stats.joined += 1;
        self.send(key, Welcome { session: handshake.session, details });
        self.note_joined(key);
    }

    /// Whether a peer is worth a challenge: only what it knows itself is looked at, and all else once it has given its proof.
    /// Otherwise it could learn who exists from how it is refused.
    fn check_realm(&self, identity: &Identity, handshake: &Handshake) -> Result<(), Refusal> {
        let asked = handshake.realm.as_ref().is_none_or(|realm| *realm == identity.realm);
        match self.check_grant(identity, false) {
            Err(refusal) if asked && refusal.0 == error::NO_SUCH_REALM => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Realm and role of an identity, or why it can not be had.
    fn check_grant(&self, identity: &Identity, privileged: bool) -> Result<(RealmKey, Role), Refusal> {
        if identity.realm.as_str().is_empty() {
            return Err((error::NO_SUCH_REALM, "no realm requested, and none assigned".to_owned()));
        }
        let Some(realm) = self.realms.find(&identity.realm) else {
            return Err((error::NO_SUCH_REALM, format!("no realm \"{}\" exists on this router", identity.realm)));
        };
        if identity.authid.is_empty() {
            return Err((error::NO_SUCH_PRINCIPAL, "no authid assigned".to_owned()));
        }
        if identity.authid.starts_with('\0') {
            return Err((error::NO_SUCH_PRINCIPAL, "an authid can not begin with U+0000".to_owned()));
        }
        let configured = self.realms.get(realm).role(&identity.authrole);
        let trusted = (privileged && identity.authrole == TRUSTED).then_some(Role::Trusted);
        let Some(role) = configured.or(trusted) else {
            let message = format!("realm \"{}\" has no role \"{}\"", identity.realm, identity.authrole);
            return Err((error::NO_SUCH_ROLE, message));
        };
        Ok((realm, role))
    }

    /// Sends a peer away that was not let in.
    pub(crate) fn refuse(&mut self, key: PeerKey, session: SessionId, (reason, message): Refusal) {
        self.sessions.remove(&session);
        self.stats.refused += 1;
        self.send_abort(key, reason.clone(), &message);
        self.close(key, CloseReason::Refused(reason));
    }

    /// Sends a peer away that might be let in later.
    pub(crate) fn refuse_for_now(&mut self, key: PeerKey, session: SessionId, (reason, message): Refusal) {
        self.stats.refused_for_now += 1;
        let cuttable = self.peers.get(key).is_some_and(|peer| peer.link.cuttable);
        if self.config.farewell == Farewell::Told || !cuttable {
            return self.refuse(key, session, (reason, message));
        }
        self.sessions.remove(&session);
        self.stats.refused += 1;
        self.close(key, CloseReason::Unavailable { reason, message });
    }

    /// Draws the id of a session to be, and reserves it.
    fn draw_session_id(&mut self, key: PeerKey) -> SessionId {
        loop {
            let Some(id) = SessionId::new(draw_id(&mut *self.rng)) else { continue };
            if let Entry::Vacant(vacant) = self.sessions.entry(id) {
                vacant.insert(key);
                return id;
            }
        }
    }
}

/// A verdict that the peer can be told: what an authenticator gives as its reason may be no URI.
fn checked(verdict: AuthVerdict) -> AuthVerdict {
    match verdict {
        AuthVerdict::Deny { reason, message } if reason.check(UriRule::Loose, MatchPolicy::Exact).is_err() => {
            AuthVerdict::Deny { reason: error::AUTHENTICATION_FAILED, message }
        }
        verdict => verdict,
    }
}

/// The answer to a login that has to wait: it does not tell whether it would have been right.
fn throttled() -> Refusal {
    (error::AUTHENTICATION_FAILED, "too many logins have failed: wait before the next".to_owned())
}

/// Whether a reason says that nobody could be let in, rather than that this peer is not.
fn is_technical(reason: &Uri) -> bool {
    [
        error::AUTHENTICATION_FAILED,
        error::AUTHENTICATION_REQUIRED,
        error::NO_MATCHING_AUTH_METHOD,
        error::NO_SUCH_REALM,
        error::NO_SUCH_ROLE,
        error::NO_SUCH_PROCEDURE,
    ]
    .contains(reason)
}
