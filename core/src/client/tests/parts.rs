use super::*;

const PROGRESS: CallOptions = CallOptions {
    receive_progress: false,
    progress: true,
    timeout: None,
    disclose_me: false,
    rkey: None,
    partition: false,
    pass_thru: None,
};

fn begin(client: &mut Client) -> RequestId {
    client.call(T0, Uri::from("com.add2"), PROGRESS, Payload::empty()).unwrap()
}

fn part(call: RequestId, progress: bool) -> ClientOutput {
    let options = CallOptions { progress, ..CallOptions::default() };
    sent(Call { request: call, options, procedure: Uri::from("com.add2"), payload: Payload::empty() })
}

#[test]
fn a_call_can_have_parts() {
    let mut client = joined();
    let call = begin(&mut client);
    assert_eq!(client.continue_call(call, true, Payload::empty()), Ok(()));
    assert_eq!(client.continue_call(call, false, Payload::empty()), Ok(()));
    assert_eq!(client.continue_call(call, true, Payload::empty()), Err(AnswerError::UnknownRequest));
    assert_eq!(drain(&mut client), [part(call, true), part(call, true), part(call, false)]);
    assert_eq!(feed(&mut client, result(call, false)).len(), 1);
}

#[test]
fn a_call_that_was_answered_has_no_more_parts() {
    let mut client = joined();
    let answers: [fn(RequestId) -> Message; 2] = [
        |call| result(call, false).into(),
        |call| {
            let (request_type, error) = (RequestType::Call, error::CANCELED);
            Error {
                request_type,
                request: call,
                pass_thru: None,
                details: Default::default(),
                error,
                payload: Payload::empty(),
            }
            .into()
        },
    ];
    for answer in answers {
        let call = begin(&mut client);
        feed(&mut client, result(call, true));
        assert_eq!(client.continue_call(call, true, Payload::empty()), Ok(()), "progress is no answer");
        feed(&mut client, answer(call));
        assert_eq!(client.continue_call(call, true, Payload::empty()), Err(AnswerError::UnknownRequest));
    }
}

#[test]
fn parts_need_a_router_that_knows_them() {
    let mut client = Client::new(config());
    client.connected(T0);
    let mut welcome = welcome();
    welcome.details.roles.dealer = Some(Features::CALL_CANCELING);
    client.receive(T0, welcome.into());
    assert_eq!(
        client.call(T0, Uri::from("com.add2"), PROGRESS, Payload::empty()),
        Err(RequestError::FeatureNotAnnounced(Features::PROGRESSIVE_CALL_INVOCATIONS))
    );
}

#[test]
fn a_part_that_can_not_be_sent_cancels_its_call() {
    let mut client = joined();
    let why = Undeliverable::TooLarge { size: 1_000, limit: 512 };
    let unsent = |client: &mut Client| {
        let Some(ClientOutput::Send(message)) = drain(client).pop() else { panic!("nothing to be sent") };
        client.undeliverable(T0, message, &why);
        drain(client)
    };
    let call = begin(&mut client);
    assert_eq!(unsent(&mut client), [], "the first is taken back");
    assert_eq!(client.continue_call(call, true, Payload::empty()), Err(AnswerError::UnknownRequest));
    let call = begin(&mut client);
    client.continue_call(call, true, Payload::empty()).unwrap();
    let options = CancelOptions { mode: Some(CancelMode::KillNoWait) };
    assert_eq!(unsent(&mut client), [sent(Cancel { request: call, options })]);
}

#[test]
fn an_invocation_can_come_in_parts() {
    let mut client = joined();
    let id = registered(&mut client);
    let part = |n, progress| {
        let details = InvocationDetails { progress, ..InvocationDetails::default() };
        Invocation { request: request(n), registration: id, details, payload: Payload::empty() }
    };
    for progress in [true, true, false] {
        let [ClientOutput::Event(ClientEvent::Invocation { details, .. })] = &feed(&mut client, part(1, progress))[..]
        else {
            panic!("no invocation")
        };
        assert_eq!(details.progress, progress);
    }
    client.yield_result(request(1), YieldOptions::default(), Payload::empty()).unwrap();
    drain(&mut client);
    // Answered before the last part came: what still comes is nobody's.
    feed(&mut client, part(2, true));
    client.yield_result(request(2), YieldOptions::default(), Payload::empty()).unwrap();
    drain(&mut client);
    assert_eq!(feed(&mut client, part(2, true)), []);
    assert_eq!(feed(&mut client, part(2, false)), []);
    assert_eq!(client.stats().stray_invocations, 2);
    // More than announced.
    feed(&mut client, part(3, false));
    assert_broken_off(&feed(&mut client, part(3, false)), &error::PROTOCOL_VIOLATION);
}

#[test]
fn the_client_sees_to_forwarded_timeouts() {
    let mut client = joined();
    let id = registered(&mut client);
    let details = InvocationDetails { timeout: Some(2_000), ..InvocationDetails::default() };
    feed(&mut client, Invocation { request: request(1), registration: id, details, payload: Payload::empty() });
    assert_eq!(client.next_deadline(), Some(secs(2)));
    client.handle_timeout(secs(1));
    assert_eq!(drain(&mut client), []);
    client.handle_timeout(secs(2));
    let error = invocation_error(request(1), error::TIMEOUT, Payload::empty());
    assert_eq!(drain(&mut client), [sent(error), told(ClientEvent::InvocationTimedOut { request: request(1) })]);
    let late = client.yield_result(request(1), YieldOptions::default(), Payload::empty());
    assert_eq!(late, Err(AnswerError::UnknownRequest));
    assert_eq!((client.stats().timed_out_invocations, client.next_deadline()), (1, None));
}
