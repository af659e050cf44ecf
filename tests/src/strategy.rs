//! Proptest strategies for everything that goes over the wire.
//!
//! What they make can be written in every serializer and reads back equal, unless a name says otherwise.

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::Arc;
use wampd_core::codec::Format;
use wampd_core::id::{MAX_ID, PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId};
use wampd_core::message::*;
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::{Dict, Value};

/// A serializer.
pub fn format() -> impl Strategy<Value = Format> {
    prop::sample::select(&Format::ALL[..])
}

/// A value that every serializer has.
pub fn value() -> impl Strategy<Value = Value> {
    nested(any::<f64>().prop_filter("JSON has no others", |n| n.is_finite()).boxed())
}

/// A value with any float, which JSON may be unable to hold.
pub fn value_with_any_float() -> impl Strategy<Value = Value> {
    nested(any::<f64>().boxed())
}

fn nested(float: BoxedStrategy<f64>) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        integer(),
        float.prop_map(Value::Float),
        text().prop_map(Value::Text),
        vec(any::<u8>(), 0..40).prop_map(Value::Binary),
    ];
    leaf.prop_recursive(4, 48, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::List),
            btree_map(any::<String>(), inner, 0..20).prop_map(Value::Dict),
        ]
    })
    .boxed()
}

/// An integer, as often near a power of two as not.
pub fn integer() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::from),
        (0..64u32, -1..2i64).prop_map(|(bits, offset)| Value::from((1u64 << bits).wrapping_add_signed(offset))),
        (0..63u32, -1..2i64).prop_map(|(bits, offset)| Value::Int(offset - (1i64 << bits))),
    ]
}

/// Text with escapes, control characters and characters of any length, that does not stand for binary in JSON.
pub fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.trim_start_matches('\0').to_owned())
}

/// A dictionary.
pub fn dict() -> impl Strategy<Value = Dict> {
    btree_map(any::<String>(), value(), 0..4)
}

/// Arguments, or none.
pub fn payload() -> BoxedStrategy<Payload> {
    (vec(value(), 0..4), dict()).prop_map(|(args, kwargs)| Payload::from_values(args, kwargs)).boxed()
}

/// A URI of a few components; also patterns, and text that no rule for URIs accepts.
pub fn uri() -> impl Strategy<Value = Uri> {
    prop_oneof![
        4 => "[a-z0-9_]{1,6}(\\.[a-z0-9_]{1,6}){0,4}",
        1 => "[a-z]{0,2}(\\.[a-z]{0,2}){0,3}",
        1 => any::<String>(),
    ]
    .prop_map(Uri::from)
}

macro_rules! ids {
    ($($name:ident -> $id:ident;)*) => {$(
        #[doc = concat!("A [`", stringify!($id), "`].")]
        pub fn $name() -> impl Strategy<Value = $id> {
            prop_oneof![1..100u64, 1..=MAX_ID, Just(MAX_ID)].prop_map(|n| $id::new(n).expect("in range"))
        }
    )*};
}

ids! {
    session_id -> SessionId;
    publication_id -> PublicationId;
    subscription_id -> SubscriptionId;
    registration_id -> RegistrationId;
    request_id -> RequestId;
}

/// A match policy.
pub fn match_policy() -> impl Strategy<Value = MatchPolicy> {
    prop::sample::select(&[MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard][..])
}

/// A cancel mode.
pub fn cancel_mode() -> impl Strategy<Value = CancelMode> {
    prop::sample::select(&[CancelMode::Skip, CancelMode::Kill, CancelMode::KillNoWait][..])
}

fn invocation_policy() -> impl Strategy<Value = InvocationPolicy> {
    use InvocationPolicy::*;
    prop::sample::select(&[Single, RoundRobin, Random, First, Last][..])
}

/// A set of features.
pub fn features() -> impl Strategy<Value = Features> {
    prop::sample::subsequence(Features::ALL, 0..=Features::ALL.len())
        .prop_map(|all| all.into_iter().fold(Features::NONE, |set, (feature, _)| set | feature))
}

fn client_roles() -> impl Strategy<Value = ClientRoles> {
    (of(features()), of(features()), of(features()), of(features()))
        .prop_map(|(publisher, subscriber, caller, callee)| ClientRoles { publisher, subscriber, caller, callee })
}

fn name() -> impl Strategy<Value = Option<String>> {
    of(any::<String>())
}

fn names() -> impl Strategy<Value = Vec<String>> {
    vec(any::<String>(), 0..3)
}

/// Details of HELLO; the roles may be empty.
pub fn hello_details() -> BoxedStrategy<HelloDetails> {
    (client_roles(), names(), name(), name(), of(dict()), name())
        .prop_map(|(roles, authmethods, authid, authrole, authextra, agent)| HelloDetails {
            roles,
            authmethods,
            authid,
            authrole,
            authextra: authextra.map(Into::into),
            agent,
        })
        .boxed()
}

fn welcome_details() -> BoxedStrategy<WelcomeDetails> {
    let roles = (of(features()), of(features())).prop_map(|(broker, dealer)| RouterRoles { broker, dealer });
    (of(uri()), name(), name(), name(), name(), of(dict()), name(), roles)
        .prop_map(|(realm, authid, authrole, authmethod, authprovider, authextra, agent, roles)| WelcomeDetails {
            realm,
            authid,
            authrole,
            authmethod,
            authprovider,
            authextra,
            agent,
            roles,
        })
        .boxed()
}

/// Payload passthru attributes and a payload that fits them: opaque if and only if `enc_algo` is there.
fn passed_thru() -> BoxedStrategy<(Option<Box<PassThru>>, Payload)> {
    let ppt = (name(), name(), name(), name());
    let named =
        |known: &'static [&'static str]| prop_oneof![select(known).prop_map(str::to_owned), "x_|x_[a-z][a-z0-9_]{1,9}"];
    let (algorithms, serializers) = (named(&["cryptobox", "mqtt", "xbr"]), named(&["json", "cbor", "ubjson"]));
    let enc = (algorithms, name(), of(serializers), vec(any::<u8>(), 0..40));
    (prop_oneof![4 => Just(None), 1 => of(ppt)], prop_oneof![4 => Just(None), 1 => of(enc)], payload())
        .prop_map(|(ppt, enc, mut payload)| {
            let mut pass_thru = PassThru::default();
            if let Some((scheme, serializer, cipher, keyid)) = ppt {
                pass_thru.ppt_scheme = scheme;
                pass_thru.ppt_serializer = serializer;
                pass_thru.ppt_cipher = cipher;
                pass_thru.ppt_keyid = keyid;
            }
            if let Some((algo, key, serializer, bytes)) = enc {
                pass_thru.enc_algo = Some(algo);
                pass_thru.enc_key = key;
                pass_thru.enc_serializer = serializer;
                payload = Payload::opaque(Bytes::from(bytes));
            }
            (Some(Box::new(pass_thru)).filter(|attributes| **attributes != PassThru::default()), payload)
        })
        .boxed()
}

fn disclosed() -> BoxedStrategy<Option<Arc<Disclosed>>> {
    of((session_id(), name(), name())
        .prop_map(|(session, authid, authrole)| Arc::new(Disclosed { session, authid, authrole })))
    .boxed()
}

/// Limits on who receives an event, or none.
pub fn audience() -> BoxedStrategy<Option<Box<Audience>>> {
    let ids = || vec(session_id(), 0..3);
    of((ids(), names(), names(), of(ids()), of(names()), of(names())))
        .prop_map(|audience| {
            let (exclude, exclude_authid, exclude_authrole, eligible, eligible_authid, eligible_authrole) = audience?;
            Some(Box::new(Audience {
                exclude,
                exclude_authid,
                exclude_authrole,
                eligible,
                eligible_authid,
                eligible_authrole,
            }))
            .filter(|audience| **audience != Audience::default())
        })
        .boxed()
}

fn publish() -> BoxedStrategy<Message> {
    let flags = (any::<bool>(), of(any::<bool>()), any::<bool>(), any::<bool>());
    (request_id(), flags, audience(), name(), uri(), passed_thru())
        .prop_map(|(request, flags, audience, rkey, topic, (pass_thru, payload))| {
            let (acknowledge, exclude_me, disclose_me, retain) = flags;
            let options = PublishOptions { acknowledge, exclude_me, disclose_me, retain, audience, rkey, pass_thru };
            Publish { request, options, topic, payload }.into()
        })
        .boxed()
}

fn subscribe() -> BoxedStrategy<Message> {
    (request_id(), match_policy(), any::<bool>(), name(), uri())
        .prop_map(|(request, matching, get_retained, nkey, topic)| {
            Subscribe { request, options: SubscribeOptions { matching, get_retained, nkey }, topic }.into()
        })
        .boxed()
}

fn event() -> BoxedStrategy<Message> {
    let ids = (subscription_id(), publication_id());
    (ids, disclosed(), of(uri()), of(any::<u64>()), any::<bool>(), passed_thru())
        .prop_map(|((subscription, publication), publisher, topic, trustlevel, retained, (pass_thru, payload))| {
            let details = EventDetails { publisher, topic, trustlevel, retained, pass_thru };
            Event { subscription, publication, details, payload }.into()
        })
        .boxed()
}

fn call() -> BoxedStrategy<Message> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (request_id(), flags, of(any::<u64>()), name(), uri(), passed_thru())
        .prop_map(
            |(request, (receive_progress, progress, disclose_me), timeout, rkey, procedure, (pass_thru, payload))| {
                let partition = receive_progress && rkey.is_some();
                let options =
                    CallOptions { receive_progress, progress, timeout, disclose_me, rkey, partition, pass_thru };
                Call { request, options, procedure, payload }.into()
            },
        )
        .boxed()
}

fn register() -> BoxedStrategy<Message> {
    let flags = (any::<bool>(), of(any::<bool>()), any::<bool>());
    (request_id(), match_policy(), invocation_policy(), of(1..=u32::MAX), flags, name(), uri())
        .prop_map(|(request, matching, invoke, concurrency, flags, nkey, procedure)| {
            let (force_reregister, disclose_caller, forward_timeout) = flags;
            let options = RegisterOptions {
                matching,
                invoke,
                concurrency,
                force_reregister,
                disclose_caller,
                forward_timeout,
                nkey,
            };
            Register { request, options, procedure }.into()
        })
        .boxed()
}

fn invocation() -> BoxedStrategy<Message> {
    let ids = (request_id(), registration_id());
    let numbers = (of(any::<u64>()), of(any::<u64>()));
    let flags = (any::<bool>(), any::<bool>());
    (ids, disclosed(), of(uri()), numbers, flags, passed_thru())
        .prop_map(|((request, registration), caller, procedure, numbers, flags, (pass_thru, payload))| {
            let (trustlevel, timeout) = numbers;
            let (receive_progress, progress) = flags;
            let details =
                InvocationDetails { caller, procedure, trustlevel, timeout, receive_progress, progress, pass_thru };
            Invocation { request, registration, details, payload }.into()
        })
        .boxed()
}

fn error() -> BoxedStrategy<Message> {
    use RequestType::*;
    let request_type =
        prop::sample::select(&[Publish, Subscribe, Unsubscribe, Call, Register, Unregister, Invocation][..]);
    (request_type, request_id(), uri(), passed_thru(), dict())
        .prop_map(|(request_type, request, error, (pass_thru, payload), mut details)| {
            // Who the callee is is not the callee's to say.
            details.remove("callee");
            Error { request_type, request, pass_thru, details: details.into(), error, payload }.into()
        })
        .boxed()
}

fn session_message() -> BoxedStrategy<Message> {
    prop_oneof![
        (of(uri()), hello_details()).prop_map(|(realm, details)| Hello { realm, details }.into()),
        (session_id(), welcome_details()).prop_map(|(session, details)| Welcome { session, details }.into()),
        (dict(), uri(), payload()).prop_map(|(details, reason, payload)| Abort {
            details: details.into(),
            reason,
            payload
        }
        .into()),
        (any::<String>(), dict()).prop_map(|(method, extra)| ChallengeMessage { method, extra }.into()),
        (any::<String>(), dict()).prop_map(|(signature, extra)| Authenticate { signature, extra: extra.into() }.into()),
        (dict(), uri()).prop_map(|(details, reason)| Goodbye { details: details.into(), reason }.into()),
        error(),
    ]
    .boxed()
}

fn pubsub_message() -> BoxedStrategy<Message> {
    let revocation = prop_oneof![
        request_id().prop_map(|request| Unsubscribed { request: Some(request), revocation: None }),
        of((subscription_id(), of(uri()))).prop_map(|revoked| Unsubscribed {
            request: None,
            revocation: revoked.map(|(id, reason)| Box::new(Revocation { id, reason })),
        }),
    ];
    prop_oneof![
        publish(),
        (request_id(), publication_id()).prop_map(|(request, publication)| Published { request, publication }.into()),
        subscribe(),
        (request_id(), subscription_id())
            .prop_map(|(request, subscription)| Subscribed { request, subscription }.into()),
        (request_id(), subscription_id())
            .prop_map(|(request, subscription)| Unsubscribe { request, subscription }.into()),
        revocation.prop_map(Message::from),
        event(),
        publication_id().prop_map(|publication| EventReceived { publication }.into()),
    ]
    .boxed()
}

fn rpc_message() -> BoxedStrategy<Message> {
    let revocation = prop_oneof![
        request_id().prop_map(|request| Unregistered { request: Some(request), revocation: None }),
        of((registration_id(), of(uri()))).prop_map(|revoked| Unregistered {
            request: None,
            revocation: revoked.map(|(id, reason)| Box::new(Revocation { id, reason })),
        }),
    ];
    prop_oneof![
        call(),
        (request_id(), of(cancel_mode())).prop_map(|(request, mode)| Cancel {
            request,
            options: CancelOptions { mode }
        }
        .into()),
        (request_id(), any::<bool>(), disclosed(), passed_thru()).prop_map(
            |(request, progress, callee, (pass_thru, payload))| {
                CallResult { request, details: ResultDetails { progress, callee, pass_thru }, payload }.into()
            }
        ),
        register(),
        (request_id(), registration_id())
            .prop_map(|(request, registration)| Registered { request, registration }.into()),
        (request_id(), registration_id())
            .prop_map(|(request, registration)| Unregister { request, registration }.into()),
        revocation.prop_map(Message::from),
        invocation(),
        (request_id(), of(cancel_mode()), of(uri())).prop_map(|(request, mode, reason)| Interrupt {
            request,
            options: InterruptOptions { mode, reason }
        }
        .into()),
        (request_id(), any::<bool>(), passed_thru()).prop_map(|(request, progress, (pass_thru, payload))| {
            Yield { request, options: YieldOptions { progress, pass_thru }, payload }.into()
        }),
    ]
    .boxed()
}

/// Any message.
pub fn message() -> BoxedStrategy<Message> {
    prop_oneof![7 => session_message(), 8 => pubsub_message(), 10 => rpc_message()].boxed()
}
