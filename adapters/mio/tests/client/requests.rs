//! Requests and their answers, events and invocations.

use std::thread;

use wampd_core::{
    client::{ClientConfig, ClientEvent, ClientLimits, RequestError},
    message::{CallOptions, CancelMode, Payload, PublishOptions, RegisterOptions, SubscribeOptions, YieldOptions},
    uri::{MatchPolicy, Uri, error},
    value::{Dict, Value},
};
use wampd_mio::client::{Client, Error, Options};

use crate::harness::*;

fn acknowledged() -> PublishOptions {
    PublishOptions { acknowledge: true, ..PublishOptions::default() }
}

/// Answers one invocation of `add2`.
fn add(callee: &mut Client) {
    let ClientEvent::Invocation { request, payload, .. } = next(callee) else { panic!("an invocation was expected") };
    let ((x, y), _): ((i64, i64), Dict) = payload.to_serde().expect("two numbers");
    callee.yield_result(request, YieldOptions::default(), Payload::from_args([Value::from(x + y)])).expect("waits");
}

fn failure(result: Result<impl std::fmt::Debug, Error>) -> (Uri, Payload) {
    match result {
        Err(Error::Failed(failure)) => (failure.error, failure.payload),
        other => panic!("an error of the router was expected, not {other:?}"),
    }
}

#[test]
fn the_same_over_every_transport_and_serializer() {
    let server = TestServer::start();
    for (transport, options) in every_way() {
        let mut callee = server.client_with(transport, &options);
        let mut caller = server.client_with(transport, &options);
        assert!(caller.is_joined() && caller.end().is_none(), "{transport:?}");
        assert_eq!(caller.session().details.authrole.as_deref(), Some("member"));
        assert_ne!(caller.session().session, callee.session().session);

        let registration = callee.register("com.example.add2", RegisterOptions::default()).expect("registered");
        let subscription = caller.subscribe("com.example.news", SubscribeOptions::default()).expect("subscribed");
        let arguments = Payload::from_args([Value::from(2), Value::from(3)]);
        let call = caller.send_call("com.example.add2", CallOptions::default(), arguments).expect("sent");
        add(&mut callee);
        let ClientEvent::Result { request, payload, .. } = next(&mut caller) else { panic!("no result") };
        assert_eq!((request, args(&payload)), (call, vec![Value::from(5)]));

        let sent = Payload::from_values(
            vec![Value::from("grüße"), Value::Binary(vec![0, 255]), Value::Null],
            Dict::from([("pi".to_owned(), Value::from(3.25))]),
        );
        let published = callee.publish("com.example.news", acknowledged(), sent.clone()).expect("published");
        let ClientEvent::Event { subscription: matched, publication, payload, .. } = next(&mut caller) else {
            panic!("no event")
        };
        assert_eq!((matched, Some(publication)), (subscription, published));
        assert_eq!(payload, sent, "{transport:?} {:?}", caller.encoding());

        caller.unsubscribe(subscription).expect("unsubscribed");
        callee.unregister(registration).expect("unregistered");
        let (error, _) = failure(caller.call("com.example.add2", CallOptions::default(), Payload::empty()));
        assert_eq!(error, error::NO_SUCH_PROCEDURE);
        let (error, _) = failure(caller.unsubscribe(subscription));
        assert_eq!(error, error::NO_SUCH_SUBSCRIPTION);
        let (error, payload) = failure(caller.publish("com.secret.news", acknowledged(), Payload::empty()));
        assert_eq!(error, error::NOT_AUTHORIZED);
        let expected = "session not authorized to publish to topic 'com.secret.news'";
        assert_eq!(args(&payload), [Value::from(expected)]);
        for mut client in [caller, callee] {
            client.leave("wamp.close.normal").expect("in good order");
        }
    }
}

#[test]
fn what_arrives_while_a_method_waits_is_kept_in_order() {
    let server = TestServer::start();
    let mut client = server.client();
    let mut other = server.client();
    client
        .subscribe("com.example.", SubscribeOptions { matching: MatchPolicy::Prefix, ..SubscribeOptions::default() })
        .expect("subscribed");
    for n in 0..100 {
        let payload = Payload::from_args([Value::from(n)]);
        other.publish(format!("com.example.t{n}"), PublishOptions::default(), payload).expect("sent");
    }
    other.publish("com.example.last", acknowledged(), Payload::from_args([Value::from(100)])).expect("published");
    // All events are on their way, and arrive before the answer to what is asked now.
    let (error, _) = failure(client.call("com.nothing", CallOptions::default(), Payload::empty()));
    assert_eq!(error, error::NO_SUCH_PROCEDURE);
    for n in 0..=100 {
        let ClientEvent::Event { payload, .. } = next(&mut client) else { panic!("no event") };
        assert_eq!(args(&payload), [Value::from(n)]);
    }
    assert!(matches!(client.next_event(Some(std::time::Duration::ZERO)), Ok(None)));
}

#[test]
fn progressive_results_are_given_as_they_come() {
    let server = TestServer::start();
    let mut callee = server.client();
    callee.register("com.example.count", RegisterOptions::default()).expect("registered");
    let callee = thread::spawn(move || {
        let ClientEvent::Invocation { request, details, .. } = next(&mut callee) else { panic!("no invocation") };
        assert!(details.receive_progress);
        for n in 0..3 {
            let options = YieldOptions { progress: true, ..YieldOptions::default() };
            callee.yield_result(request, options, Payload::from_args([Value::from(n)])).expect("waits");
        }
        callee.yield_result(request, YieldOptions::default(), text("done")).expect("waits");
        callee
    });
    let mut caller = server.client();
    let mut seen = Vec::new();
    let options = CallOptions { receive_progress: true, ..CallOptions::default() };
    let result = caller.call_with_progress("com.example.count", options, Payload::empty(), |details, payload| {
        assert!(details.progress);
        seen.extend(args(&payload));
    });
    assert_eq!(args(&result.expect("a result").payload), [Value::from("done")]);
    assert_eq!(seen, [Value::from(0), Value::from(1), Value::from(2)]);
    callee.join().expect("no panic");
}

#[test]
fn errors_of_callees_arrive_whole() {
    let server = TestServer::start();
    let mut callee = server.client();
    let mut caller = server.client();
    callee.register("com.example.fail", RegisterOptions::default()).expect("registered");
    let request = caller.send_call("com.example.fail", CallOptions::default(), Payload::empty()).expect("sent");
    let ClientEvent::Invocation { request: invocation, .. } = next(&mut callee) else { panic!("no invocation") };
    let payload = Payload::from_values(vec![Value::from("why")], Dict::from([("code".to_owned(), Value::from(7))]));
    callee.yield_error(invocation, "com.example.error", payload).expect("waits");
    let ClientEvent::Failed { request: failed, error, payload, .. } = next(&mut caller) else { panic!("no error") };
    assert_eq!((failed, error.as_str()), (request, "com.example.error"));
    assert_eq!((args(&payload), kwargs(&payload)["code"].clone()), (vec![Value::from("why")], Value::from(7)));
    // An invocation is answered once.
    let again = callee.yield_result(invocation, YieldOptions::default(), Payload::empty());
    assert!(matches!(again, Err(Error::Answer(_))), "{again:?}");
}

#[test]
fn a_call_can_be_canceled() {
    let server = TestServer::start();
    let mut callee = server.client();
    let mut caller = server.client();
    callee.register("com.example.slow", RegisterOptions::default()).expect("registered");
    let call = caller.send_call("com.example.slow", CallOptions::default(), Payload::empty()).expect("sent");
    let ClientEvent::Invocation { request, .. } = next(&mut callee) else { panic!("no invocation") };
    caller.cancel(call, Some(CancelMode::Kill)).expect("waits");
    let ClientEvent::Interrupted { request: interrupted, .. } = next(&mut callee) else { panic!("no interrupt") };
    assert_eq!(interrupted, request);
    callee.yield_error(request, error::CANCELED, Payload::empty()).expect("waits");
    let ClientEvent::Failed { request, error, .. } = next(&mut caller) else { panic!("no error") };
    assert_eq!((request, error), (call, error::CANCELED));
    assert!(matches!(caller.cancel(call, None), Err(Error::Answer(_))));
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for() {
    let server = TestServer::start();
    let mut callee = server.client();
    callee.register("com.example.slow", RegisterOptions::default()).expect("registered");
    let limits =
        ClientLimits { request_timeout: Some(std::time::Duration::from_millis(50)), ..ClientLimits::default() };
    let config = ClientConfig { limits, ..anonymous() };
    let mut caller = Client::connect(&server.url(Transport::Ws), &Options::default(), config).expect("joined");
    let result = caller.call("com.example.slow", CallOptions::default(), Payload::empty());
    assert!(matches!(result, Err(Error::Timeout)), "{result:?}");
    assert!(caller.is_joined());
    let ClientEvent::Invocation { request, .. } = next(&mut callee) else { panic!("no invocation") };
    let ClientEvent::Interrupted { request: interrupted, .. } = next(&mut callee) else { panic!("no interrupt") };
    assert_eq!(request, interrupted, "the callee can stop");
}

#[test]
fn a_wamp_error_timeout_of_the_router_is_an_error_like_any_other() {
    let server = TestServer::start();
    let mut callee = server.client();
    callee.register("com.example.slow", RegisterOptions::default()).expect("registered");
    let mut caller = server.client();
    let request = caller.send_call("com.example.slow", CallOptions::default(), Payload::empty()).expect("sent");
    let ClientEvent::Invocation { request: invocation, .. } = next(&mut callee) else { panic!("no invocation") };
    callee.yield_error(invocation, error::TIMEOUT, Payload::empty()).expect("waits");
    let ClientEvent::Failed { request: failed, error, .. } = next(&mut caller) else { panic!("no error") };
    assert_eq!((failed, error), (request, error::TIMEOUT));
}

#[test]
fn too_many_events_are_not_read_rather_than_lost() {
    let server = TestServer::start();
    let options = Options { max_events: 3, ..Options::default() };
    let mut client = server.client_with(Transport::Rs, &options);
    client.subscribe("com.example.news", SubscribeOptions::default()).expect("subscribed");
    let mut other = server.client();
    for n in 0..5 {
        other.publish("com.example.news", acknowledged(), Payload::from_args([Value::from(n)])).expect("published");
    }
    let result = client.call("com.nothing", CallOptions::default(), Payload::empty());
    let Err(Error::EventsFull { request: Some(request) }) = result else { panic!("{result:?}") };
    for n in 0..5 {
        let ClientEvent::Event { payload, .. } = next(&mut client) else { panic!("no event") };
        assert_eq!(args(&payload), [Value::from(n)]);
    }
    let ClientEvent::Failed { request: failed, .. } = next(&mut client) else { panic!("no answer") };
    assert_eq!(failed, request);

    let mut options = options;
    (options.max_events, options.max_event_bytes) = (1000, 100);
    let mut client = server.client_with(Transport::Rs, &options);
    client.subscribe("com.example.news", SubscribeOptions::default()).expect("subscribed");
    other.publish("com.example.news", acknowledged(), text(&"x".repeat(200))).expect("published");
    let result = client.call("com.nothing", CallOptions::default(), Payload::empty());
    assert!(matches!(result, Err(Error::EventsFull { request: Some(_) })), "{result:?}");
}

#[test]
fn what_the_router_does_not_take_is_not_sent() {
    let server = TestServer::start();
    let url = format!("rs://{}", server.small).parse().expect("valid");
    let mut client = Client::connect(&url, &Options::default(), anonymous()).expect("joined");
    let long = text(&"x".repeat(SMALL));
    for result in [
        client.call("com.example.add2", CallOptions::default(), long.clone()).map(|_| ()),
        client.publish("com.example.news", acknowledged(), long.clone()).map(|_| ()),
        client.publish("com.example.news", PublishOptions::default(), long.clone()).map(|_| ()),
        client.subscribe(long_uri(), SubscribeOptions::default()).map(|_| ()),
    ] {
        assert!(matches!(result, Err(Error::Undeliverable(_))), "{result:?}");
    }
    // The session goes on, without a gap in the request ids, about which this router is strict.
    client.register("com.example.long", RegisterOptions::default()).expect("registered");
    let mut caller = server.client();
    let call = caller.send_call("com.example.long", CallOptions::default(), Payload::empty()).expect("sent");
    let ClientEvent::Invocation { request, .. } = next(&mut client) else { panic!("no invocation") };
    let result = client.yield_result(request, YieldOptions::default(), long);
    assert!(matches!(result, Err(Error::Undeliverable(_))), "{result:?}");
    let ClientEvent::Failed { request, error, .. } = next(&mut caller) else { panic!("no error") };
    assert_eq!((request, error), (call, error::PAYLOAD_SIZE_EXCEEDED));
}

fn long_uri() -> String {
    format!("com.{}", "x".repeat(SMALL))
}

#[test]
fn what_the_serializer_can_not_carry_is_not_sent() {
    let server = TestServer::start();
    let options = Options::with_serializer(wampd_core::codec::Format::Json);
    let mut client = server.client_with(Transport::Ws, &options);
    let payload = Payload::from_args([Value::from("\0x")]);
    let result = client.publish("com.example.news", acknowledged(), payload);
    assert!(matches!(result, Err(Error::Undeliverable(_))), "{result:?}");
    client.publish("com.example.news", acknowledged(), Payload::empty()).expect("the session goes on");
}

#[test]
fn more_than_the_queue_holds_goes_through_in_order() {
    let server = TestServer::start();
    let options = Options { max_pending: 64 << 10, ..Options::default() };
    for transport in [Transport::Ws, Transport::UnixRs] {
        let mut subscriber = server.client();
        subscriber.subscribe("com.example.bulk", SubscribeOptions::default()).expect("subscribed");
        let receiver = thread::spawn(move || {
            for n in 0..60 {
                let ClientEvent::Event { payload, .. } = next(&mut subscriber) else { panic!("no event") };
                let (args, _) = payload.values().expect("decodable");
                assert_eq!(args[0], Value::from(n));
                assert_eq!(args[1].as_str().map(str::len), Some(20_000));
            }
        });
        let mut publisher = server.client_with(transport, &options);
        let bulk = "x".repeat(20_000);
        for n in 0..60 {
            let payload = Payload::from_args([Value::from(n), Value::from(bulk.as_str())]);
            publisher.publish("com.example.bulk", PublishOptions::default(), payload).expect("sent");
        }
        publisher.leave("wamp.close.normal").expect("in good order");
        receiver.join().expect("all of them arrived");
    }
}

#[test]
fn what_makes_no_sense_is_not_asked_for() {
    let server = TestServer::start();
    let mut config = anonymous();
    config.roles.callee = None;
    let mut client = Client::connect(&server.url(Transport::Rs), &Options::default(), config).expect("joined");
    let result = client.register("com.example.add2", RegisterOptions::default());
    assert!(matches!(result, Err(Error::Request(RequestError::RoleNotAnnounced("callee")))), "{result:?}");
}

#[test]
fn another_thread_can_wake_it() {
    let server = TestServer::start();
    let mut client = server.client();
    let waker = client.waker();
    waker.wake();
    assert!(matches!(client.next_event(Some(LONG)), Ok(None)));
    // Methods that wait for an answer are not disturbed, and the call is not forgotten.
    waker.wake();
    client.publish("com.example.news", acknowledged(), Payload::empty()).expect("published");
    let sleeper = thread::spawn(move || (client.next_event(None), client));
    waker.wake();
    let (event, _) = sleeper.join().expect("no panic");
    assert!(matches!(event, Ok(None)), "{event:?}");
}
