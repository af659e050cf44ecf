use super::*;

/// The only message to be sent after a request, which then turns out not to fit.
fn too_large(client: &mut Client) -> Vec<ClientOutput> {
    let mut outputs = drain(client);
    let Some(ClientOutput::Send(message)) = outputs.pop() else { panic!("nothing to be sent") };
    assert_eq!(outputs, []);
    client.undeliverable(T0, message, &Undeliverable::TooLarge { size: 1_000, limit: 512 });
    drain(client)
}

#[test]
fn a_request_that_can_not_be_sent_is_taken_back() {
    let mut client = joined();
    client.call(T0, Uri::from("com.add2"), CallOptions::default(), Payload::empty()).unwrap();
    assert_eq!(too_large(&mut client), []);
    client.publish(T0, Uri::from("com.news"), PublishOptions::default(), Payload::empty()).unwrap();
    assert_eq!(too_large(&mut client), []);
    // Nobody waits for an answer, and the ids have no gap.
    assert_eq!(client.subscribe(T0, Uri::from("com.news"), SubscribeOptions::default()), Ok(request(1)));
    drain(&mut client);
    client.connection_lost(T0);
    assert_eq!(drain(&mut client).len(), 2, "the subscription failed, then the end");
}

#[test]
fn a_caller_learns_that_a_result_can_not_be_sent() {
    let mut client = joined();
    let id = registered(&mut client);
    for (n, progress) in [(1, false), (2, true)] {
        feed(&mut client, invocation(n, id, true));
        let options = YieldOptions { progress, ..YieldOptions::default() };
        client.yield_result(request(n), options, Payload::empty()).unwrap();
        let text = "message of 1000 bytes is over the receiver's limit of 512 bytes";
        let payload = Payload::from_args([Value::from(text)]);
        let error = invocation_error(request(n), error::PAYLOAD_SIZE_EXCEEDED, payload);
        assert_eq!(too_large(&mut client), [sent(error)]);
        let again = client.yield_result(request(n), YieldOptions::default(), Payload::empty());
        assert_eq!(again, Err(AnswerError::UnknownRequest));
    }
    feed(&mut client, invocation(3, id, false));
    client.yield_error(request(3), Uri::from("com.oops"), Payload::from_args([Value::from("long")])).unwrap();
    assert_eq!(too_large(&mut client), [sent(invocation_error(request(3), Uri::from("com.oops"), Payload::empty()))]);
}

#[test]
fn a_handshake_that_can_not_be_sent_is_broken_off() {
    let mut client = Client::new(config());
    client.connected(T0);
    let outputs = too_large(&mut client);
    let [ClientOutput::Send(Message::Abort(_)), ClientOutput::Event(end), ClientOutput::Close] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert!(matches!(end, ClientEvent::Aborted { by: Side::Client, .. }));
}
