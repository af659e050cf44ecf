//! Testaments: events that a session leaves with the router, to be published when it is over, however it ends (spec:
//! "Session Testament").
//!
//! Whether the session may publish an event, and is disclosed with it, is decided when the event is left, by the rules
//! that hold then. Sessions are not resumed here, so each end is both the session's detachment and its destruction; the
//! two scopes differ in order, and in what a flush removes.
//!
//! Testaments are published when everything else that the end of the session caused is on its way, one after the other
//! as outputs are taken, as many as fit into a slice of work. What many sessions leave that end at once thus reaches
//! those who stay, and never fills the queue of outputs. When the router shuts down, everybody leaves, and nothing is published.

use super::output::{Identity, Output};
use super::publication::Publication;
use super::realm::{RealmKey, Role};
use super::session::Session;
use super::{PeerKey, Router};
use crate::message::{Audience, Disclosed, PassThru, Payload, PublishOptions};
use crate::time::{Instant, UnixTime};
use crate::uri::Uri;
use std::sync::Arc;

/// When a testament is published, and which are removed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Detached,
    Destroyed,
}

/// The testaments of a session, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Testaments {
    detached: Vec<Testament>,
    destroyed: Vec<Testament>,
    bytes: usize,
}

/// An event that its session may publish.
#[derive(Debug)]
pub(crate) struct Testament {
    pub(crate) topic: Uri,
    pub(crate) payload: Payload,
    pub(crate) options: PublishOptions,
    /// Who leaves it, if it is disclosed.
    pub(crate) publisher: Option<Arc<Disclosed>>,
}

/// A testament whose session is over.
#[derive(Debug)]
pub(crate) struct Due {
    realm: RealmKey,
    time: UnixTime,
    trustlevel: Option<u64>,
    owner: (Role, Arc<Identity>),
    testament: Testament,
}

/// What a testament costs beside its texts and payload, roughly.
const TESTAMENT_BYTES: usize = 240;

impl Testament {
    fn weight(&self) -> usize {
        let Self { topic, payload, options, .. } = self;
        TESTAMENT_BYTES
            + topic.as_str().len()
            + payload.weight()
            + options.rkey.as_ref().map_or(0, String::len)
            + options.audience.as_deref().map_or(0, Audience::weight)
            + options.pass_thru.as_deref().map_or(0, PassThru::weight)
    }
}

impl Testaments {
    pub(crate) fn len(&self) -> usize {
        self.detached.len() + self.destroyed.len()
    }

    fn scope(&mut self, scope: Scope) -> &mut Vec<Testament> {
        match scope {
            Scope::Detached => &mut self.detached,
            Scope::Destroyed => &mut self.destroyed,
        }
    }

    /// # Panics
    /// When the count of bytes is wrong.
    pub(crate) fn check_invariants(&self) {
        let bytes = self.detached.iter().chain(&self.destroyed).map(Testament::weight).sum::<usize>();
        assert_eq!(self.bytes, bytes, "bytes of testaments");
    }
}

impl Router {
    /// Whether the session has room for one more testament; otherwise why not, as a text.
    pub(crate) fn check_testament(&self, session: &Session, testament: &Testament) -> Result<(), String> {
        let (count, bytes) = session.testaments.as_ref().map_or((0, 0), |left| (left.len(), left.bytes));
        let limits = &self.config.limits;
        if count >= limits.max_testaments_per_session {
            return Err(format!("session has left {count} testaments, as many as it may"));
        }
        if bytes + testament.weight() > limits.max_testament_bytes {
            let limit = limits.max_testament_bytes;
            return Err(format!("the session's testaments would take more than {limit} bytes"));
        }
        Ok(())
    }

    pub(crate) fn add_testament(&mut self, key: PeerKey, scope: Scope, testament: Testament) {
        let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) else { return };
        let testaments = session.testaments.get_or_insert_default();
        testaments.bytes += testament.weight();
        testaments.scope(scope).push(testament);
        self.stats.testaments += 1;
    }

    pub(crate) fn flush_testaments(&mut self, key: PeerKey, scope: Scope) {
        let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) else { return };
        let Some(testaments) = &mut session.testaments else { return };
        let flushed = core::mem::take(testaments.scope(scope));
        testaments.bytes -= flushed.iter().map(Testament::weight).sum::<usize>();
        self.stats.testaments -= flushed.len();
        if testaments.len() == 0 {
            session.testaments = None;
        }
    }

    /// Forgets what an ended session has left: it is not published.
    pub(crate) fn drop_testaments(&mut self, session: &mut Session) {
        self.stats.testaments -= session.testaments.take().map_or(0, |testaments| testaments.len());
    }

    /// Takes what an ended session has left: it is due.
    pub(crate) fn take_testaments(&mut self, now: Instant, session: &mut Session) {
        let Some(testaments) = session.testaments.take() else { return };
        self.stats.testaments -= testaments.len();
        if self.shutting_down {
            return;
        }
        let (time, realm, trustlevel) = (self.wall_clock(now), session.realm, session.trustlevel);
        let owner = (session.role, session.identity.clone());
        let Testaments { detached, destroyed, .. } = *testaments;
        let due = detached.into_iter().chain(destroyed);
        self.testaments_due.extend(due.map(|testament| Due {
            realm,
            time,
            trustlevel,
            owner: owner.clone(),
            testament,
        }));
    }

    /// When there are no other outputs: puts out that of the next call in line or testament that is due, else that a
    /// caller is read from again.
    pub(crate) fn put_out_due(&mut self) {
        while self.outputs.is_empty() {
            if self.serve_due_line() {
                continue;
            }
            let due = if self.work.is_spent() { None } else { self.testaments_due.pop_front() };
            if let Some(due) = due {
                self.publish_testament(due);
            } else if let Some(caller) = self.next_unstalled() {
                self.outputs.push_back(Output::InputReady(caller));
            } else {
                return;
            }
        }
    }

    fn publish_testament(&mut self, due: Due) {
        let Due { realm, time, trustlevel, owner, testament } = due;
        let Testament { topic, payload, options, publisher } = testament;
        let id = self.draw_publication_id();
        self.stats.publications += 1;
        self.stats.testaments_published += 1;
        let (time, excluded, owner) = (Some(time), None, options.retain.then_some(owner));
        self.disseminate(
            realm,
            &Publication { id, topic, payload, options, publisher, trustlevel, excluded, owner, time },
        );
    }
}
