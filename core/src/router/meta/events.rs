//! Meta events: what is published when sessions, registrations and subscriptions come and go.
//!
//! They are noted while an input is acted upon, and published at its end, those of the end of a session one by one: after
//! the answer to the request that caused them, and never to a session that has ended. Nothing is noted of what nobody is subscribed to.

use super::{registration, session, subscription};
use crate::id::{RegistrationId, SessionId, SubscriptionId};
use crate::message::Payload;
use crate::router::publication::Publication;
use crate::router::realm::{RealmKey, Role};
use crate::router::session::Session;
use crate::router::{PeerKey, Router};
use crate::uri::{MatchPolicy, Uri, matches};
use crate::value::Value;

/// Declares the topics with their URIs.
macro_rules! topics {
    ($($name:ident = $uri:literal,)*) => {
        /// A topic that the router itself publishes to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Topic {
            $($name,)*
        }

        impl Topic {
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn uri(self) -> Uri {
                Uri::from_static(match self {
                    $(Self::$name => $uri,)*
                })
            }
        }
    };
}

topics! {
    SessionOnJoin = "wamp.session.on_join",
    SessionOnLeave = "wamp.session.on_leave",
    RegistrationOnCreate = "wamp.registration.on_create",
    RegistrationOnRegister = "wamp.registration.on_register",
    RegistrationOnUnregister = "wamp.registration.on_unregister",
    RegistrationOnDelete = "wamp.registration.on_delete",
    SubscriptionOnCreate = "wamp.subscription.on_create",
    SubscriptionOnSubscribe = "wamp.subscription.on_subscribe",
    SubscriptionOnUnsubscribe = "wamp.subscription.on_unsubscribe",
    SubscriptionOnDelete = "wamp.subscription.on_delete",
}

/// An event to be published at the end of the input.
#[derive(Debug)]
pub(crate) struct MetaEvent {
    realm: RealmKey,
    topic: Topic,
    args: Vec<Value>,
}

/// How many subscriptions of a realm match each topic, so that an event without subscribers costs one comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched([usize; Topic::ALL.len()]);

impl Watched {
    /// A subscription was created.
    pub(crate) fn add(&mut self, pattern: &str, matching: MatchPolicy) {
        for (topic, count) in Topic::ALL.iter().zip(&mut self.0) {
            *count += usize::from(matches(pattern, matching, topic.uri().as_str()));
        }
    }

    /// A subscription was deleted.
    pub(crate) fn remove(&mut self, pattern: &str, matching: MatchPolicy) {
        for (topic, count) in Topic::ALL.iter().zip(&mut self.0) {
            *count -= usize::from(matches(pattern, matching, topic.uri().as_str()));
        }
    }

    fn is_watched(&self, topic: Topic) -> bool {
        self.0.get(topic as usize).is_some_and(|&count| count > 0)
    }
}

impl Router {
    /// The session is open.
    pub(crate) fn note_joined(&mut self, key: PeerKey) {
        let Some(session) = self.session(key).filter(|session| session.role != Role::Trusted) else { return };
        self.note(session.realm, Topic::SessionOnJoin, |router| {
            router.session(key).map(|session| session::details(session).into()).into_iter().collect()
        });
    }

    /// The session is over.
    pub(crate) fn note_left(&mut self, session: &Session) {
        if session.role != Role::Trusted {
            let identity = &session.identity;
            self.note(session.realm, Topic::SessionOnLeave, |router| {
                let mut args = vec![session.id.get().into()];
                if router.realms.get(session.realm).leave_event_details {
                    args.extend([identity.authid.as_str().into(), identity.authrole.as_str().into()]);
                }
                args
            });
        }
    }

    /// The session has become a callee of a registration, which was `created` for it.
    pub(crate) fn note_registered(&mut self, realm: RealmKey, session: SessionId, id: RegistrationId, created: bool) {
        if created {
            self.note(realm, Topic::RegistrationOnCreate, |router| {
                let created = router.realms.get(realm).dealer.registrations.get(id);
                let details = created.map_or(Value::Null, |created| registration::details(id, created).into());
                vec![session.get().into(), details]
            });
        }
        self.note(realm, Topic::RegistrationOnRegister, |_| vec![session.get().into(), id.get().into()]);
    }

    /// The session is no longer a callee of a registration, which was `deleted` if it was the last.
    pub(crate) fn note_unregistered(&mut self, realm: RealmKey, session: SessionId, id: RegistrationId, deleted: bool) {
        self.note(realm, Topic::RegistrationOnUnregister, |_| vec![session.get().into(), id.get().into()]);
        if deleted {
            self.note(realm, Topic::RegistrationOnDelete, |_| vec![session.get().into(), id.get().into()]);
        }
    }

    /// The session has become a subscriber of a subscription, which was `created` for it.
    pub(crate) fn note_subscribed(&mut self, realm: RealmKey, session: SessionId, id: SubscriptionId, created: bool) {
        if self.is_of_router(realm, id) {
            return;
        }
        if created {
            self.note(realm, Topic::SubscriptionOnCreate, |router| {
                let created = router.realms.get(realm).broker.subscriptions.get(id);
                let details = created.map_or(Value::Null, |created| subscription::details(id, created).into());
                vec![session.get().into(), details]
            });
        }
        self.note(realm, Topic::SubscriptionOnSubscribe, |_| vec![session.get().into(), id.get().into()]);
    }

    /// Whether a subscription is for the router's own topics: of those no events are told.
    fn is_of_router(&self, realm: RealmKey, id: SubscriptionId) -> bool {
        self.realms.get(realm).broker.subscriptions.get(id).is_some_and(|found| found.uri.is_reserved())
    }

    /// The session is no longer a subscriber of a subscription, which was `deleted` if it was the last. Not to be
    /// called for the router's own topics.
    pub(crate) fn note_unsubscribed(&mut self, realm: RealmKey, session: SessionId, id: SubscriptionId, deleted: bool) {
        self.note(realm, Topic::SubscriptionOnUnsubscribe, |_| vec![session.get().into(), id.get().into()]);
        if deleted {
            self.note(realm, Topic::SubscriptionOnDelete, |_| vec![session.get().into(), id.get().into()]);
        }
    }

    fn note(&mut self, realm: RealmKey, topic: Topic, args: impl FnOnce(&Self) -> Vec<Value>) {
        let entry = self.realms.get(realm);
        // When the router shuts down, everybody who could hear of it leaves too.
        if entry.meta_api && entry.broker.watched.is_watched(topic) && !self.shutting_down {
            let args = args(self);
            self.meta_events.push_back(MetaEvent { realm, topic, args });
        }
    }

    /// Publishes what was noted.
    #[inline]
    pub(crate) fn publish_meta_events(&mut self) {
        if !self.meta_events.is_empty() {
            self.publish_noted();
        }
    }

    fn publish_noted(&mut self) {
        while let Some(MetaEvent { realm, topic, args }) = self.meta_events.pop_front() {
            let payload = Payload::from_values(args, Default::default());
            let id = self.draw_publication_id();
            self.disseminate(realm, &Publication::of_router(id, topic.uri(), payload));
        }
    }
}
