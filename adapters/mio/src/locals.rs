//! In-process peers: WAMP clients of this server without a socket.

use std::collections::{BTreeMap, BTreeSet};

use wampd_core::{
    client::{AnswerError, Client, ClientConfig, RequestError},
    id::{RegistrationId, RequestId, SessionId, SubscriptionId},
    message::{
        CallOptions, CancelMode, Message, Payload, PublishOptions, RegisterOptions, SubscribeOptions, YieldOptions,
    },
    router::{Identity, PeerKey},
    time::Instant,
    uri::Uri,
};

/// Names an in-process peer; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalId(u64);

/// The in-process peers of a server. They are attached without authentication and may hold the role `trusted`.
///
/// What is requested here is done within the same turn of the server; answers come as
/// [`Host::local_event`](crate::Host::local_event).
#[derive(Debug, Default)]
pub struct Locals {
    peers: BTreeMap<LocalId, Local>,
    last: u64,
    now: Instant,
    /// Those that may have outputs, or are not attached yet.
    pending: BTreeSet<LocalId>,
}

/// One in-process peer.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) client: Client,
    /// Whom it joins as; taken when it is attached.
    pub(crate) identity: Option<Identity>,
    pub(crate) key: Option<PeerKey>,
    pub(crate) session: Option<SessionId>,
}

impl Locals {
    /// Adds a peer that joins as `identity`; [`ClientEvent::Joined`](wampd_core::client::ClientEvent::Joined) follows, or an event
    /// of its end, after which it is gone.
    pub fn add(&mut self, identity: Identity) -> LocalId {
        self.last += 1;
        let id = LocalId(self.last);
        let client = Client::new(ClientConfig::anonymous(identity.realm.clone()));
        self.peers.insert(id, Local { client, identity: Some(identity), key: None, session: None });
        self.pending.insert(id);
        id
    }

    /// A peer, to make requests with; `None` if it is gone.
    pub fn get(&mut self, id: LocalId) -> Option<LocalPeer<'_>> {
        let Self { peers, now, pending, .. } = self;
        let client = &mut peers.get_mut(&id)?.client;
        Some(LocalPeer { id, client, now: *now, pending })
    }

    pub(crate) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    pub(crate) fn peer_mut(&mut self, id: LocalId) -> Option<&mut Local> {
        self.peers.get_mut(&id)
    }

    pub(crate) fn receive(&mut self, id: LocalId, message: Message) {
        if let Some(local) = self.peers.get_mut(&id) {
            local.client.receive(self.now, message);
            self.pending.insert(id);
        }
    }

    pub(crate) fn wake(&mut self, id: LocalId) {
        self.pending.insert(id);
    }

    pub(crate) fn sleep(&mut self, id: LocalId) {
        self.pending.remove(&id);
    }

    pub(crate) fn next_pending(&mut self) -> Option<LocalId> {
        let id = *self.pending.first()?;
        if !self.peers.contains_key(&id) {
            self.pending.remove(&id);
        }
        Some(id)
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    pub(crate) fn remove(&mut self, id: LocalId) {
        self.peers.remove(&id);
        self.pending.remove(&id);
    }

    /// The earliest deadline of all peers; they are few.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.peers.values().filter_map(|local| local.client.next_deadline()).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for (id, local) in &mut self.peers {
            if local.client.next_deadline().is_some_and(|deadline| deadline <= now) {
                local.client.handle_timeout(now);
                self.pending.insert(*id);
            }
        }
    }
}

/// An in-process peer, as it is seen by the host. The methods are those of [`Client`].
#[derive(Debug)]
pub struct LocalPeer<'a> {
    id: LocalId,
    client: &'a mut Client,
    now: Instant,
    pending: &'a mut BTreeSet<LocalId>,
}

impl LocalPeer<'_> {
    /// See [`Client::is_joined`].
    pub fn is_joined(&self) -> bool {
        self.client.is_joined()
    }

    /// See [`Client::subscribe`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn subscribe(&mut self, topic: Uri, options: SubscribeOptions) -> Result<RequestId, RequestError> {
        self.pending.insert(self.id);
        self.client.subscribe(self.now, topic, options)
    }

    /// See [`Client::unsubscribe`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn unsubscribe(&mut self, subscription: SubscriptionId) -> Result<RequestId, RequestError> {
        self.pending.insert(self.id);
        self.client.unsubscribe(self.now, subscription)
    }

    /// See [`Client::publish`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn publish(
        &mut self,
        topic: Uri,
        options: PublishOptions,
        payload: Payload,
    ) -> Result<RequestId, RequestError> {
        self.pending.insert(self.id);
        self.client.publish(self.now, topic, options, payload)
    }

    /// See [`Client::register`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn register(&mut self, procedure: Uri, options: RegisterOptions) -> Result<RequestId, RequestError> {
        self.pending.insert(self.id);
        self.client.register(self.now, procedure, options)
    }

    /// See [`Client::unregister`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn unregister(&mut self, registration: RegistrationId) -> Result<RequestId, RequestError> {
        self.pending.insert(self.id);
        self.client.unregister(self.now, registration)
    }

    /// See [`Client::call`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn call(&mut self, procedure: Uri, options: CallOptions, payload: Payload) -> Result<RequestId, RequestError> {
        self.pending.insert(self.id);
        self.client.call(self.now, procedure, options, payload)
    }

    /// See [`Client::cancel`].
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn cancel(&mut self, call: RequestId, mode: Option<CancelMode>) -> Result<(), AnswerError> {
        self.pending.insert(self.id);
        self.client.cancel(call, mode)
    }

    /// See [`Client::yield_result`].
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn yield_result(
        &mut self,
        invocation: RequestId,
        options: YieldOptions,
        payload: Payload,
    ) -> Result<(), AnswerError> {
        self.pending.insert(self.id);
        self.client.yield_result(invocation, options, payload)
    }

    /// See [`Client::yield_error`].
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn yield_error(&mut self, invocation: RequestId, error: Uri, payload: Payload) -> Result<(), AnswerError> {
        self.pending.insert(self.id);
        self.client.yield_error(invocation, error, payload)
    }

    /// See [`Client::leave`]: the peer is gone when
    /// [`ClientEvent::Left`](wampd_core::client::ClientEvent::Left) has come.
    pub fn leave(&mut self, reason: Uri) {
        self.pending.insert(self.id);
        self.client.leave(self.now, reason);
    }
}
