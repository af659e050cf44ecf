use super::*;
use crate::auth::cra;
use crate::id::{PublicationId, SessionId};
use crate::message::{
    CallResult, Error, Event, EventDetails, Interrupt, InterruptOptions, Invocation, InvocationDetails, Published,
    Registered, RequestType, ResultDetails, Revocation, RouterRoles, Subscribed, Unregistered, Unsubscribed,
    WelcomeDetails, Yield,
};
use core::time::Duration;
use proptest::prelude::*;
use std::collections::BTreeSet;

mod parts;
mod undeliverable;

const T0: Instant = Instant::ZERO;

fn secs(n: u64) -> Instant {
    T0.after(Duration::from_secs(n))
}

fn drain(client: &mut Client) -> Vec<ClientOutput> {
    core::iter::from_fn(|| client.poll_output()).collect()
}

fn sent(message: impl Into<Message>) -> ClientOutput {
    ClientOutput::Send(message.into())
}

fn told(event: ClientEvent) -> ClientOutput {
    ClientOutput::Event(event)
}

fn request(n: u64) -> RequestId {
    RequestId::new(n).unwrap()
}

fn subscription(n: u64) -> SubscriptionId {
    SubscriptionId::new(n).unwrap()
}

fn registration(n: u64) -> RegistrationId {
    RegistrationId::new(n).unwrap()
}

fn publication(n: u64) -> PublicationId {
    PublicationId::new(n).unwrap()
}

fn welcome() -> Welcome {
    let all = Features::ALL.iter().fold(Features::NONE, |all, (feature, _)| all | *feature);
    Welcome {
        session: SessionId::new(7).unwrap(),
        details: WelcomeDetails {
            roles: RouterRoles { broker: Some(all), dealer: Some(all) },
            ..WelcomeDetails::default()
        },
    }
}

fn config() -> ClientConfig {
    ClientConfig::anonymous(Uri::from("realm1"))
}

fn joined_with(config: ClientConfig) -> Client {
    let mut client = Client::new(config);
    client.connected(T0);
    client.receive(T0, welcome().into());
    assert_eq!(drain(&mut client).last(), Some(&told(ClientEvent::Joined(Box::new(welcome())))));
    client
}

fn joined() -> Client {
    joined_with(config())
}

fn feed(client: &mut Client, message: impl Into<Message>) -> Vec<ClientOutput> {
    client.receive(T0, message.into());
    drain(client)
}

fn call(client: &mut Client) -> RequestId {
    let id = client.call(T0, Uri::from("com.add2"), CallOptions::default(), Payload::empty()).unwrap();
    drain(client);
    id
}

fn result(request: RequestId, progress: bool) -> CallResult {
    CallResult { request, details: ResultDetails { progress, ..ResultDetails::default() }, payload: Payload::empty() }
}

fn failed(request: RequestId, error: Uri) -> ClientOutput {
    told(ClientEvent::Failed { request, error, pass_thru: None, payload: Payload::empty() })
}

/// The outputs of a client that breaks off: ABORT with a reason, the end for the application, Close.
fn assert_broken_off(outputs: &[ClientOutput], expected: &Uri) {
    let [ClientOutput::Send(Message::Abort(abort)), .., ClientOutput::Event(end), ClientOutput::Close] = outputs else {
        panic!("not broken off: {outputs:?}");
    };
    assert_eq!(&abort.reason, expected);
    let (by, reason, details) = (Side::Client, abort.reason.clone(), abort.details.to_dict());
    assert_eq!(*end, ClientEvent::Aborted { by, reason, details });
}

#[test]
fn hello_says_who_and_what() {
    let mut client = Client::new(ClientConfig {
        credentials: vec![
            Credential::Cra("secret".to_owned()),
            Credential::Ticket("t".to_owned()),
            Credential::Anonymous,
        ],
        ..ClientConfig::with_credential(Uri::from("realm1"), "joe", Credential::Anonymous)
    });
    client.connected(T0);
    let outputs = drain(&mut client);
    let [ClientOutput::Send(Message::Hello(hello))] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!(hello.realm, Some(Uri::from("realm1")));
    assert_eq!(hello.details.authid.as_deref(), Some("joe"));
    assert_eq!(hello.details.authmethods, ["wampcra", "ticket", "anonymous"]);
    assert_eq!(hello.details.roles, supported_roles());
    client.connected(T0);
    assert_eq!(drain(&mut client), [], "connected twice");
}

#[test]
fn cra_is_answered_and_welcomed() {
    let credential = Credential::Cra("secret123".to_owned());
    let mut client = Client::new(ClientConfig::with_credential(Uri::from("realm1"), "client1", credential));
    client.connected(T0);
    drain(&mut client);
    let extra = Dict::from([("challenge".to_owned(), Value::from("sign me"))]);
    let outputs = feed(&mut client, ChallengeMessage { method: "wampcra".to_owned(), extra });
    let signature = cra::sign(b"secret123", "sign me");
    assert_eq!(outputs, [sent(Authenticate { signature, extra: Default::default() })]);
    assert!(!client.is_joined());
    assert_eq!(feed(&mut client, welcome()), [told(ClientEvent::Joined(Box::new(welcome())))]);
    assert_eq!(client.session(), Some(&welcome()));
    assert_eq!(client.next_deadline(), None);
}

#[test]
fn a_challenge_can_go_to_the_application() {
    let credential = Credential::External { method: "riddle".to_owned() };
    let mut client = Client::new(ClientConfig::with_credential(Uri::from("realm1"), "oedipus", credential));
    assert_eq!(client.authenticate("too soon".to_owned(), Dict::new()), Err(NotChallenged));
    client.connected(T0);
    drain(&mut client);
    let challenge = ChallengeMessage { method: "riddle".to_owned(), extra: Dict::new() };
    let event = ClientEvent::Challenged { method: "riddle".to_owned(), extra: Dict::new() };
    assert_eq!(feed(&mut client, challenge), [told(event)]);
    client.authenticate("man".to_owned(), Dict::new()).unwrap();
    let answer = Authenticate { signature: "man".to_owned(), extra: Default::default() };
    assert_eq!(drain(&mut client), [sent(answer)]);
    assert_eq!(client.authenticate("man".to_owned(), Dict::new()), Err(NotChallenged));
}

#[test]
fn an_abort_ends_the_attempt() {
    let mut client = Client::new(config());
    client.connected(T0);
    drain(&mut client);
    let details = Dict::from([("message".to_owned(), Value::from("who?"))]);
    let reason = Uri::from("com.example.no_such_user");
    let abort = Abort { details: details.clone().into(), reason: reason.clone(), payload: Payload::empty() };
    let end = ClientEvent::Aborted { by: Side::Router, reason, details };
    assert_eq!(feed(&mut client, abort), [told(end), ClientOutput::Close]);
    client.connection_lost(T0);
    assert_eq!(feed(&mut client, welcome()), []);
    assert!(client.is_closed());
}

#[test]
fn unexpected_messages_end_the_handshake() {
    let goodbye = || Message::from(Goodbye { details: Default::default(), reason: close::NORMAL });
    for (messages, case) in [
        (vec![goodbye()], "GOODBYE"),
        (vec![ChallengeMessage::default().into()], "method not offered"),
        (vec![result(request(1), false).into()], "RESULT"),
    ] {
        let mut client = Client::new(config());
        client.connected(T0);
        drain(&mut client);
        for message in messages {
            client.receive(T0, message);
        }
        let outputs = drain(&mut client);
        assert_broken_off(&outputs, &error::PROTOCOL_VIOLATION);
        assert!(client.is_closed(), "{case}");
    }
}

#[test]
fn nothing_but_an_abort_may_come_while_the_application_is_asked() {
    let challenge = || ChallengeMessage { method: "riddle".to_owned(), extra: Dict::new() };
    for second in [Message::from(challenge()), welcome().into()] {
        let credential = Credential::External { method: "riddle".to_owned() };
        let mut client = Client::new(ClientConfig::with_credential(Uri::from("realm1"), "oedipus", credential));
        client.connected(T0);
        client.receive(T0, challenge().into());
        drain(&mut client);
        assert_broken_off(&feed(&mut client, second), &error::PROTOCOL_VIOLATION);
    }
}

#[test]
fn challenges_may_follow_each_other_but_not_for_ever() {
    let credential = Credential::Ticket("open sesame".to_owned());
    let mut client = Client::new(ClientConfig::with_credential(Uri::from("realm1"), "ali", credential));
    client.connected(T0);
    drain(&mut client);
    let challenge = || ChallengeMessage { method: "ticket".to_owned(), extra: Dict::new() };
    for _ in 0..ClientLimits::default().max_challenges {
        assert!(matches!(feed(&mut client, challenge())[..], [ClientOutput::Send(Message::Authenticate(_))]));
    }
    assert_broken_off(&feed(&mut client, challenge()), &error::PROTOCOL_VIOLATION);
}

#[test]
fn a_handshake_that_hangs_is_broken_off() {
    let mut client = Client::new(config());
    client.connected(secs(1));
    drain(&mut client);
    assert_eq!(client.next_deadline(), Some(secs(11)));
    client.handle_timeout(secs(10));
    assert_eq!(drain(&mut client), []);
    client.handle_timeout(secs(11));
    assert_broken_off(&drain(&mut client), &error::TIMEOUT);
    assert_eq!(client.next_deadline(), None);
}

#[test]
fn leaving_a_handshake_aborts_it() {
    let mut client = Client::new(config());
    client.leave(T0, close::NORMAL);
    assert_eq!(drain(&mut client), [], "nothing to leave");
    client.connected(T0);
    drain(&mut client);
    client.leave(T0, close::NORMAL);
    assert_broken_off(&drain(&mut client), &close::NORMAL);
}

#[test]
fn request_ids_are_sequential_whatever_is_asked() {
    let mut client = joined();
    let acknowledged = PublishOptions { acknowledge: true, ..PublishOptions::default() };
    let ids = [
        client.subscribe(T0, Uri::from("a"), SubscribeOptions::default()),
        client.publish(T0, Uri::from("a"), PublishOptions::default(), Payload::empty()),
        client.publish(T0, Uri::from("a"), acknowledged, Payload::empty()),
        client.register(T0, Uri::from("a"), RegisterOptions::default()),
        client.call(T0, Uri::from("a"), CallOptions::default(), Payload::empty()),
        client.unsubscribe(T0, subscription(1)),
        client.unregister(T0, registration(1)),
    ];
    for (id, expected) in ids.into_iter().zip(1..) {
        assert_eq!(id, Ok(request(expected)));
    }
}

#[test]
fn answers_reach_the_application() {
    let mut client = joined();
    let id = client.subscribe(T0, Uri::from("a"), SubscribeOptions::default()).unwrap();
    drain(&mut client);
    let subscription = subscription(5);
    let event = Event {
        subscription,
        publication: publication(9),
        details: EventDetails::default(),
        payload: Payload::from_args([Value::from("hello")]),
    };
    assert_eq!(feed(&mut client, event.clone()), [], "event before SUBSCRIBED");
    assert_eq!(
        feed(&mut client, Subscribed { request: id, subscription }),
        [told(ClientEvent::Subscribed { request: id, subscription })]
    );
    let Event { publication, details, payload, .. } = event.clone();
    assert_eq!(
        feed(&mut client, event.clone()),
        [told(ClientEvent::Event { subscription, publication, details, payload })]
    );
    let id = client.unsubscribe(T0, subscription).unwrap();
    drain(&mut client);
    assert_eq!(feed(&mut client, event.clone()).len(), 1, "events arrive until UNSUBSCRIBED");
    assert_eq!(
        feed(&mut client, Unsubscribed { request: Some(id), revocation: None }),
        [told(ClientEvent::Unsubscribed { request: id })]
    );
    assert_eq!(feed(&mut client, event), [], "late event");
    assert_eq!(client.stats().stray_events, 2);

    let acknowledged = PublishOptions { acknowledge: true, ..PublishOptions::default() };
    let id = client.publish(T0, Uri::from("a"), acknowledged, Payload::empty()).unwrap();
    drain(&mut client);
    assert_eq!(
        feed(&mut client, Published { request: id, publication }),
        [told(ClientEvent::Published { request: id, publication })]
    );
}

#[test]
fn errors_reach_the_application_with_their_arguments() {
    let mut client = joined();
    let id = client.register(T0, Uri::from("com.mul2"), RegisterOptions::default()).unwrap();
    drain(&mut client);
    let (error, payload) = (error::NOT_AUTHORIZED, Payload::from_args([Value::from("no")]));
    let answer = Error {
        request_type: RequestType::Register,
        request: id,
        pass_thru: None,
        details: Default::default(),
        error: error.clone(),
        payload: payload.clone(),
    };
    assert_eq!(
        feed(&mut client, answer.clone()),
        [told(ClientEvent::Failed { request: id, error, pass_thru: None, payload })]
    );
    assert_eq!(feed(&mut client, answer), [], "a second time");
    assert_eq!(client.stats().late_answers, 1);
}

#[test]
fn results_may_come_in_parts() {
    let mut client = joined();
    let id = call(&mut client);
    for progress in [true, true, false] {
        let CallResult { request, details, payload } = result(id, progress);
        assert_eq!(feed(&mut client, result(id, progress)), [told(ClientEvent::Result { request, details, payload })]);
    }
    for progress in [true, false] {
        assert_eq!(feed(&mut client, result(id, progress)), [], "after the final one");
    }
}

#[test]
fn answers_to_nothing_are_violations() {
    let pending = request(1);
    for message in [
        result(request(2), false).into(),
        result(request(2), true).into(),
        Message::from(Subscribed { request: pending, subscription: subscription(1) }),
        Registered { request: request(9), registration: registration(1) }.into(),
        Published { request: request(2), publication: publication(1) }.into(),
        Unsubscribed { request: None, revocation: None }.into(),
        Unregistered { request: None, revocation: None }.into(),
        invocation_error(pending, error::CANCELED, Payload::empty()).into(),
        welcome().into(),
        ChallengeMessage::default().into(),
        Opening::default().hello(&config()).into(),
    ] {
        let mut client = joined();
        assert_eq!(call(&mut client), pending);
        let name = message.name();
        let outputs = feed(&mut client, message);
        assert_broken_off(&outputs, &error::PROTOCOL_VIOLATION);
        assert!(outputs.contains(&failed(pending, error::TRANSPORT_LOST)), "{name}");
    }
}

#[test]
fn what_is_no_message_is_a_violation() {
    let mut client = joined();
    client.receive_invalid(T0, "not JSON");
    let outputs = drain(&mut client);
    assert_broken_off(&outputs, &error::PROTOCOL_VIOLATION);
    let ClientOutput::Send(Message::Abort(abort)) = &outputs[0] else { unreachable!() };
    assert_eq!(abort.details.to_dict()["message"].as_str(), Some("not JSON"));
    client.receive_invalid(T0, "not JSON either");
    assert_eq!(drain(&mut client), []);
}

#[test]
fn a_lost_connection_fails_everything_once() {
    let mut client = joined();
    let ids = [call(&mut client), call(&mut client)];
    client.connection_lost(T0);
    client.connection_lost(T0);
    let lost = |id| failed(id, error::TRANSPORT_LOST);
    assert_eq!(drain(&mut client), [lost(ids[0]), lost(ids[1]), told(ClientEvent::Lost)]);
    assert_eq!(feed(&mut client, result(ids[0], false)), []);
    let again = client.call(T0, Uri::from("a"), CallOptions::default(), Payload::empty());
    assert_eq!(again, Err(RequestError::NotJoined));
    // A new connection starts from nothing.
    client.connected(T0);
    client.receive(T0, welcome().into());
    drain(&mut client);
    assert_eq!(call(&mut client), request(1));
}

#[test]
fn goodbye_is_answered_once() {
    let mut client = joined();
    let goodbye = Goodbye { details: Default::default(), reason: close::SYSTEM_SHUTDOWN };
    assert_eq!(
        feed(&mut client, goodbye.clone()),
        [
            sent(Goodbye { details: Default::default(), reason: close::GOODBYE_AND_OUT }),
            told(ClientEvent::Left { reason: close::SYSTEM_SHUTDOWN }),
            ClientOutput::Close
        ]
    );
    assert_eq!(feed(&mut client, goodbye), []);
}

#[test]
fn leaving_waits_for_the_reply() {
    let mut client = joined();
    let [answered, unanswered] = [call(&mut client), call(&mut client)];
    client.leave(T0, close::NORMAL);
    client.leave(T0, close::NORMAL);
    let goodbye = Goodbye { details: Default::default(), reason: close::NORMAL };
    assert_eq!(drain(&mut client), [sent(goodbye.clone())]);
    assert!(!client.is_joined());
    assert_eq!(client.cancel(unanswered, None), Err(AnswerError::UnknownRequest));
    assert_eq!(feed(&mut client, result(answered, false)).len(), 1, "answers still arrive");
    assert_eq!(
        feed(&mut client, goodbye),
        [
            failed(unanswered, error::TRANSPORT_LOST),
            told(ClientEvent::Left { reason: close::NORMAL }),
            ClientOutput::Close
        ]
    );
}

#[test]
fn a_router_that_ignores_goodbye_is_left_anyway() {
    let mut client = joined();
    client.leave(T0, close::NORMAL);
    drain(&mut client);
    assert_eq!(client.next_deadline(), Some(secs(5)));
    client.handle_timeout(secs(5));
    assert_eq!(drain(&mut client), [told(ClientEvent::Lost), ClientOutput::Close]);
    assert_eq!(client.next_deadline(), None);
}

fn registered(client: &mut Client) -> RegistrationId {
    let id = client.register(T0, Uri::from("com.add2"), RegisterOptions::default()).unwrap();
    feed(client, Registered { request: id, registration: registration(3) });
    registration(3)
}

fn invocation(n: u64, registration: RegistrationId, receive_progress: bool) -> Invocation {
    Invocation {
        request: request(n),
        registration,
        details: InvocationDetails { receive_progress, ..InvocationDetails::default() },
        payload: Payload::empty(),
    }
}

#[test]
fn invocations_are_answered_at_most_once() {
    let mut client = joined();
    let id = registered(&mut client);
    for n in 1..=3 {
        assert_eq!(feed(&mut client, invocation(n, id, false)).len(), 1);
    }
    let result = |client: &mut Client, n| client.yield_result(request(n), YieldOptions::default(), Payload::empty());
    let error = |client: &mut Client, n| client.yield_error(request(n), error::INVALID_ARGUMENT, Payload::empty());
    assert_eq!(result(&mut client, 2), Ok(()));
    assert_eq!(error(&mut client, 1), Ok(()));
    for n in [1, 2, 4] {
        assert_eq!(result(&mut client, n), Err(AnswerError::UnknownRequest));
        assert_eq!(error(&mut client, n), Err(AnswerError::UnknownRequest));
    }
    assert_eq!(
        drain(&mut client),
        [
            sent(Yield { request: request(2), options: YieldOptions::default(), payload: Payload::empty() }),
            sent(invocation_error(request(1), error::INVALID_ARGUMENT, Payload::empty())),
        ]
    );
    client.connection_lost(T0);
    assert_eq!(result(&mut client, 3), Err(AnswerError::UnknownRequest));
}

#[test]
fn progressive_results_need_a_caller_that_takes_them() {
    let mut client = joined();
    let id = registered(&mut client);
    feed(&mut client, invocation(1, id, false));
    feed(&mut client, invocation(2, id, true));
    let progress = || YieldOptions { progress: true, ..YieldOptions::default() };
    assert_eq!(client.yield_result(request(1), progress(), Payload::empty()), Err(AnswerError::ProgressNotRequested));
    for options in [progress(), progress(), YieldOptions::default()] {
        assert_eq!(client.yield_result(request(2), options, Payload::empty()), Ok(()));
    }
    assert_eq!(client.yield_result(request(2), progress(), Payload::empty()), Err(AnswerError::UnknownRequest));
}

#[test]
fn interrupts_reach_the_application_while_it_works() {
    let mut client = joined();
    let id = registered(&mut client);
    feed(&mut client, invocation(1, id, false));
    let mode = Some(CancelMode::Kill);
    let interrupt = Interrupt { request: request(1), options: InterruptOptions { mode, reason: None } };
    assert_eq!(feed(&mut client, interrupt.clone()), [told(ClientEvent::Interrupted { request: request(1), mode })]);
    client.yield_error(request(1), error::CANCELED, Payload::empty()).unwrap();
    drain(&mut client);
    assert_eq!(feed(&mut client, interrupt), [], "after the answer");
}

#[test]
fn no_caller_waits_for_an_invocation_that_is_not_given_on() {
    let limits = ClientLimits { max_invocations: 1, ..ClientLimits::default() };
    let mut client = joined_with(ClientConfig { limits, ..config() });
    let id = registered(&mut client);
    assert_eq!(
        feed(&mut client, invocation(1, registration(99), false)),
        [sent(invocation_error(request(1), error::NO_SUCH_REGISTRATION, Payload::empty()))]
    );
    feed(&mut client, invocation(2, id, false));
    assert_eq!(
        feed(&mut client, invocation(3, id, false)),
        [sent(invocation_error(request(3), error::UNAVAILABLE, Payload::empty()))]
    );
    let stats = client.stats();
    assert_eq!((stats.stray_invocations, stats.refused_invocations), (1, 1));
    assert_broken_off(&feed(&mut client, invocation(2, id, false)), &error::PROTOCOL_VIOLATION);
}

#[test]
fn calls_are_canceled_while_they_wait() {
    let mut client = joined();
    let id = call(&mut client);
    assert_eq!(client.cancel(request(2), None), Err(AnswerError::UnknownRequest));
    client.cancel(id, Some(CancelMode::Skip)).unwrap();
    let options = CancelOptions { mode: Some(CancelMode::Skip) };
    assert_eq!(drain(&mut client), [sent(Cancel { request: id, options })]);
    feed(&mut client, result(id, false));
    assert_eq!(client.cancel(id, None), Err(AnswerError::UnknownRequest));
}

#[test]
fn requests_time_out_if_asked_to() {
    let limits = ClientLimits { request_timeout: Some(Duration::from_secs(2)), ..ClientLimits::default() };
    let mut client = joined_with(ClientConfig { limits, ..config() });
    let called = call(&mut client);
    let subscribed = client.subscribe(secs(1), Uri::from("a"), SubscribeOptions::default()).unwrap();
    drain(&mut client);
    assert_eq!(client.next_deadline(), Some(secs(2)));
    client.handle_timeout(secs(2));
    let options = CancelOptions { mode: Some(CancelMode::KillNoWait) };
    assert_eq!(drain(&mut client), [sent(Cancel { request: called, options }), failed(called, error::TIMEOUT)]);
    client.handle_timeout(secs(9));
    assert_eq!(drain(&mut client), [failed(subscribed, error::TIMEOUT)]);
    assert_eq!(client.next_deadline(), None);
    // Late answers are for housekeeping only: nobody listens to that subscription.
    assert_eq!(feed(&mut client, result(called, false)), []);
    let late = Subscribed { request: subscribed, subscription: subscription(4) };
    let unsubscribe = Unsubscribe { request: request(3), subscription: subscription(4) };
    assert_eq!(feed(&mut client, late), [sent(unsubscribe)]);
    assert_eq!(feed(&mut client, Unsubscribed { request: Some(request(3)), revocation: None }), []);
    assert_eq!(client.stats().timed_out_requests, 2);
    client.connection_lost(secs(9));
    assert_eq!(drain(&mut client), [told(ClientEvent::Lost)], "nothing failed twice");
}

#[test]
fn a_late_registration_is_given_back_unless_it_is_held() {
    let limits = ClientLimits { request_timeout: Some(Duration::from_secs(2)), ..ClientLimits::default() };
    let mut client = joined_with(ClientConfig { limits, ..config() });
    let held = registered(&mut client);
    let [first, second] = [0, 0].map(|_| client.register(T0, Uri::from("a"), RegisterOptions::default()).unwrap());
    client.handle_timeout(secs(2));
    drain(&mut client);
    assert_eq!(feed(&mut client, Registered { request: first, registration: held }), []);
    let other = registration(8);
    assert_eq!(
        feed(&mut client, Registered { request: second, registration: other }),
        [sent(Unregister { request: request(4), registration: other })]
    );
}

#[test]
fn the_router_can_take_back_what_it_gave() {
    let mut client = joined();
    let id = registered(&mut client);
    let revocation = Some(Box::new(Revocation { id, reason: Some(error::NOT_AUTHORIZED) }));
    let unregistered = Unregistered { request: None, revocation };
    let event = ClientEvent::RegistrationRevoked { registration: id, reason: Some(error::NOT_AUTHORIZED) };
    assert_eq!(feed(&mut client, unregistered.clone()), [told(event)]);
    assert_eq!(feed(&mut client, unregistered), [], "only once");
}

#[test]
fn pending_requests_are_bounded() {
    let limits = ClientLimits { max_pending: 2, ..ClientLimits::default() };
    let mut client = joined_with(ClientConfig { limits, ..config() });
    let first = call(&mut client);
    call(&mut client);
    let more = |client: &mut Client| client.call(T0, Uri::from("a"), CallOptions::default(), Payload::empty());
    assert_eq!(more(&mut client), Err(RequestError::TooManyPending));
    assert_eq!(client.stats().refused_requests, 1);
    feed(&mut client, result(first, false));
    assert_eq!(more(&mut client), Ok(request(3)), "a refused request takes no id");
}

#[test]
fn only_announced_roles_are_played() {
    let roles = crate::message::ClientRoles { caller: Some(Features::NONE), ..Default::default() };
    let mut client = joined_with(ClientConfig { roles, ..config() });
    assert_eq!(
        client.subscribe(T0, Uri::from("a"), SubscribeOptions::default()),
        Err(RequestError::RoleNotAnnounced("subscriber"))
    );
    assert_eq!(
        client.register(T0, Uri::from("a"), RegisterOptions::default()),
        Err(RequestError::RoleNotAnnounced("callee"))
    );
    let progress = CallOptions { progress: true, ..CallOptions::default() };
    assert_eq!(
        client.call(T0, Uri::from("a"), progress, Payload::empty()),
        Err(RequestError::FeatureNotAnnounced(Features::PROGRESSIVE_CALL_INVOCATIONS))
    );
    assert_eq!(call(&mut client), request(1), "a refused request takes no id");
}

#[test]
fn a_client_can_move_to_another_thread() {
    const fn assert_send<T: Send>() {}
    assert_send::<Client>();
    assert_send::<ClientOutput>();
}

/// One thing that may happen to a client.
#[derive(Clone, Debug)]
enum Input {
    Connected,
    Message(Message),
    Invalid,
    Lost,
    Tick(u64),
    Ask(u8),
    Cancel(u64),
    Answer { invocation: u64, progress: bool, error: bool },
    Authenticate,
    Leave,
}

fn any_router_message() -> impl Strategy<Value = Message> {
    let id = 1..6_u64;
    let request_type = prop::sample::select(vec![
        RequestType::Call,
        RequestType::Publish,
        RequestType::Subscribe,
        RequestType::Register,
        RequestType::Unsubscribe,
        RequestType::Unregister,
        RequestType::Invocation,
    ]);
    prop_oneof![
        3 => Just(Message::from(welcome())),
        1 => Just(Abort::default().into()),
        1 => Just(Goodbye { details: Default::default(), reason: close::NORMAL }.into()),
        1 => prop::sample::select(vec!["ticket", "riddle", "wampcra"])
            .prop_map(|method| ChallengeMessage { method: method.to_owned(), extra: Dict::new() }.into()),
        4 => (id.clone(), any::<bool>()).prop_map(|(n, progress)| result(request(n), progress).into()),
        3 => (id.clone(), request_type).prop_map(|(n, request_type)| Error {
            request_type, request: request(n), pass_thru: None, details: Default::default(), error: error::CANCELED,
            payload: Payload::empty(),
        }.into()),
        2 => (id.clone(), id.clone())
            .prop_map(|(n, m)| Subscribed { request: request(n), subscription: subscription(m) }.into()),
        2 => (id.clone(), id.clone())
            .prop_map(|(n, m)| Registered { request: request(n), registration: registration(m) }.into()),
        1 => (0..6_u64).prop_map(|n| Unsubscribed { request: RequestId::new(n), revocation: None }.into()),
        1 => (0..6_u64).prop_map(|n| Unregistered { request: RequestId::new(n), revocation: None }.into()),
        1 => (id.clone(), id.clone())
            .prop_map(|(n, m)| Published { request: request(n), publication: publication(m) }.into()),
        1 => id.clone().prop_map(|n| Event {
            subscription: subscription(n), publication: publication(1), details: EventDetails::default(),
            payload: Payload::empty(),
        }.into()),
        4 => (id.clone(), id.clone(), any::<bool>())
            .prop_map(|(n, m, progress)| invocation(n, registration(m), progress).into()),
        1 => id.prop_map(|n| Interrupt { request: request(n), options: InterruptOptions::default() }.into()),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        2 => Just(Input::Connected),
        14 => any_router_message().prop_map(Input::Message),
        1 => Just(Input::Invalid),
        1 => Just(Input::Lost),
        2 => (0..8_u64).prop_map(Input::Tick),
        6 => (0..7_u8).prop_map(Input::Ask),
        1 => (1..6_u64).prop_map(Input::Cancel),
        3 => (1..6_u64, any::<bool>(), any::<bool>())
            .prop_map(|(invocation, progress, error)| Input::Answer { invocation, progress, error }),
        1 => Just(Input::Authenticate),
        1 => Just(Input::Leave),
    ]
}

/// What the client owes, followed from its outputs alone.
#[derive(Default)]
struct Ledger {
    connected: bool,
    last_request: u64,
    waiting: BTreeSet<RequestId>,
    invoked: BTreeSet<RequestId>,
}

impl Ledger {
    fn check(&mut self, output: &ClientOutput) {
        match output {
            ClientOutput::Send(message) => self.check_sent(message),
            ClientOutput::Event(event) => {
                if let ClientEvent::Invocation { request, .. } = event {
                    assert!(self.invoked.insert(*request));
                }
                if let Some(request) = event.answers() {
                    assert!(self.waiting.remove(&request), "{event:?} answers nothing");
                }
                if event.is_end() {
                    assert!(self.connected, "ended twice");
                    assert!(self.waiting.is_empty(), "unanswered: {:?}", self.waiting);
                    *self = Self::default();
                } else {
                    assert!(self.connected, "{event:?} without a connection");
                }
            }
            ClientOutput::Close => assert!(!self.connected),
        }
    }

    fn check_sent(&mut self, message: &Message) {
        assert!(matches!(message, Message::Hello(_)) || self.connected, "{message:?} without a connection");
        match message {
            Message::Hello(_) => self.connected = true,
            Message::Yield(m) if !m.options.progress => assert!(self.invoked.remove(&m.request)),
            Message::Subscribe(m) => self.check_next(m.request),
            Message::Unsubscribe(m) => self.check_next(m.request),
            Message::Publish(m) => self.check_next(m.request),
            Message::Register(m) => self.check_next(m.request),
            Message::Unregister(m) => self.check_next(m.request),
            Message::Call(m) => self.check_next(m.request),
            _ => {}
        }
    }

    fn check_next(&mut self, request: RequestId) {
        self.last_request += 1;
        assert_eq!(request.get(), self.last_request, "request ids are sequential");
    }
}

fn ask(client: &mut Client, now: Instant, what: u8) -> (Result<RequestId, RequestError>, bool) {
    let uri = || Uri::from("com.a");
    let acknowledge = PublishOptions { acknowledge: true, ..PublishOptions::default() };
    let asked = match what {
        0 => client.subscribe(now, uri(), SubscribeOptions::default()),
        1 => client.unsubscribe(now, subscription(1)),
        2 => client.register(now, uri(), RegisterOptions::default()),
        3 => client.unregister(now, registration(1)),
        4 => client.publish(now, uri(), acknowledge, Payload::empty()),
        5 => client.publish(now, uri(), PublishOptions::default(), Payload::empty()),
        _ => client.call(now, uri(), CallOptions::default(), Payload::empty()),
    };
    (asked, what != 5)
}

proptest! {
    /// Whatever a router and an application do: each connection ends once, each request is answered once, each
    /// invocation at most once, request ids are sequential, nothing comes after the end, nothing panics.
    #[test]
    fn the_books_balance(
        joined in any::<bool>(),
        timeouts in any::<bool>(),
        inputs in prop::collection::vec(any_input(), 0..80),
    ) {
        let mut client = Client::new(ClientConfig {
            credentials: vec![
                Credential::Ticket("t".to_owned()),
                Credential::External { method: "riddle".to_owned() },
                Credential::Cra("s".to_owned()),
            ],
            limits: ClientLimits {
                request_timeout: timeouts.then_some(Duration::from_secs(3)),
                max_pending: 4,
                max_invocations: 2,
                ..ClientLimits::default()
            },
            ..config()
        });
        let (mut now, mut ledger) = (T0, Ledger::default());
        let opening = if joined { vec![Input::Connected, Input::Message(welcome().into())] } else { Vec::new() };
        for input in opening.into_iter().chain(inputs).chain([Input::Lost]) {
            let mut expected = None;
            match input {
                Input::Connected => client.connected(now),
                Input::Message(message) => client.receive(now, message),
                Input::Invalid => client.receive_invalid(now, "garbage"),
                Input::Lost => client.connection_lost(now),
                Input::Tick(seconds) => {
                    now = now.after(Duration::from_secs(seconds));
                    client.handle_timeout(now);
                    prop_assert!(client.next_deadline().is_none_or(|deadline| deadline > now));
                }
                Input::Ask(what) => {
                    let (asked, answered) = ask(&mut client, now, what);
                    prop_assert_eq!(asked == Err(RequestError::NotJoined), !client.is_joined());
                    expected = asked.ok().filter(|_| answered);
                }
                Input::Cancel(call) => {
                    let known = ledger.waiting.contains(&request(call));
                    prop_assert!(client.cancel(request(call), None).is_err() || known);
                }
                Input::Answer { invocation, progress, error } => {
                    let _ = if error {
                        let done = client.yield_error(request(invocation), error::CANCELED, Payload::empty());
                        if done.is_ok() {
                            prop_assert!(ledger.invoked.remove(&request(invocation)));
                        }
                        done
                    } else {
                        let options = YieldOptions { progress, ..YieldOptions::default() };
                        client.yield_result(request(invocation), options, Payload::empty())
                    };
                }
                Input::Authenticate => drop(client.authenticate("s".to_owned(), Dict::new())),
                Input::Leave => client.leave(now, close::NORMAL),
            }
            ledger.waiting.extend(expected);
            while let Some(output) = client.poll_output() {
                ledger.check(&output);
            }
            prop_assert_eq!(ledger.connected, !client.is_closed());
        }
        prop_assert!(client.is_closed());
    }
}
