//! `wamp.session.*`: who is here, and out with them.

use wampd_core::client::ClientEvent;
use wampd_core::message::Message;
use wampd_core::router::{CloseReason, Identity, LinkInfo};
use wampd_core::uri::{Uri, close, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::answerer::REALM;
use wampd_tests::config::ANYTHING;
use wampd_tests::link::Wire;
use wampd_tests::meta::{USER, call, call_and_see, call_with, config, dict, error_of, join, message, session, world};
use wampd_tests::sim::{EndId, Sim};

/// An administrator and three users.
fn four() -> (Sim, EndId, [EndId; 3]) {
    let mut sim = world();
    let admin = join(&mut sim, "admin", ANYTHING);
    let others = ["joe", "ann", "joe"].map(|authid| join(&mut sim, authid, USER));
    (sim, admin, others)
}

fn sorted(mut ids: Vec<Value>) -> Vec<Value> {
    ids.sort_by_key(|id| id.as_u64());
    ids
}

/// How the sessions of clients ended: reason, and message if there was one.
fn left(told: &[(EndId, ClientEvent)]) -> Vec<(EndId, Uri)> {
    let left = told.iter().filter_map(|(id, event)| match event {
        ClientEvent::Left { reason, .. } => Some((*id, reason.clone())),
        _ => None,
    });
    left.collect()
}

#[test]
fn sessions_are_counted_and_listed_in_the_order_of_their_ids() {
    let (mut sim, admin, others) = four();
    let all = sorted([admin, others[0], others[1], others[2]].map(|id| session(&sim, id)).to_vec());
    assert_eq!(call(&mut sim, admin, "wamp.session.count", vec![]), Ok(vec![4.into()]));
    assert_eq!(call(&mut sim, admin, "wamp.session.list", vec![]), Ok(vec![all.into()]));
    sim.act(others[1], |client, now| client.leave(now, close::NORMAL));
    sim.events();
    assert_eq!(call(&mut sim, admin, "wamp.session.count", vec![]), Ok(vec![3.into()]));
}

#[test]
fn sessions_can_be_filtered_by_role() {
    let (mut sim, admin, others) = four();
    let users = sorted(others.map(|id| session(&sim, id)).to_vec());
    let filter = |roles: &[&str]| vec![roles.iter().map(|role| Value::from(*role)).collect::<Vec<_>>().into()];
    assert_eq!(call(&mut sim, admin, "wamp.session.count", filter(&[USER])), Ok(vec![3.into()]));
    assert_eq!(call(&mut sim, admin, "wamp.session.list", filter(&[USER, "x"])), Ok(vec![users.into()]));
    assert_eq!(call(&mut sim, admin, "wamp.session.count", filter(&[USER, ANYTHING])), Ok(vec![4.into()]));
    assert_eq!(call(&mut sim, admin, "wamp.session.count", filter(&[])), Ok(vec![0.into()]), "an empty list is a list");
    assert_eq!(call(&mut sim, admin, "wamp.session.count", vec![Value::Null]), Ok(vec![4.into()]));
    for wrong in [Value::from(USER), Value::from(vec![Value::from(1)])] {
        let (uri, text) = call(&mut sim, admin, "wamp.session.list", vec![wrong]).expect_err("refused");
        assert_eq!(uri, error::INVALID_ARGUMENT);
        assert!(text.contains("filter_authroles") && text.contains("a list of strings"), "{text}");
    }
}

#[test]
fn details_of_a_session_are_told() {
    let (mut sim, admin, _) = four();
    let transport = dict([
        ("channel_type", "tcp".into()),
        ("peer", "tcp4:127.0.0.1:5".into()),
        ("http_headers_received", dict([("cookie", "secret".into())]).into()),
    ]);
    let link = LinkInfo { transport: transport.into(), ..LinkInfo::default() };
    let other = sim.client_on(config("eve", USER), Wire::Messages, link);
    sim.events();
    let id = session(&sim, other);
    let details = dict([
        ("session", id.clone()),
        ("authid", "eve".into()),
        ("authrole", USER.into()),
        ("authmethod", "anonymous".into()),
        ("authprovider", "function".into()),
        ("transport", dict([("channel_type", "tcp".into()), ("peer", "tcp4:127.0.0.1:5".into())]).into()),
    ]);
    assert_eq!(call(&mut sim, admin, "wamp.session.get", vec![id]), Ok(vec![details.into()]));
    assert_eq!(error_of(call(&mut sim, admin, "wamp.session.get", vec![1.into()])), error::NO_SUCH_SESSION);
    assert_eq!(error_of(call(&mut sim, admin, "wamp.session.get", vec![])), error::INVALID_ARGUMENT);
}

#[test]
fn a_killed_session_gets_goodbye_and_can_do_nothing_more() {
    let (mut sim, admin, [joe, ..]) = four();
    let id = session(&sim, joe);
    let kwargs = dict([("reason", "com.example.enough".into()), ("message", "go".into())]);
    let (answer, told) = call_and_see(&mut sim, admin, "wamp.session.kill", vec![id.clone()], kwargs);
    assert_eq!(answer, Ok(vec![]));
    assert_eq!(left(&told), [(joe, Uri::from("com.example.enough"))]);
    assert!(sim.trace.iter().any(|line| line.ends_with(r#"<- [6,{"message":"go"},"com.example.enough"]"#)));
    assert_eq!(sim.closed, [(joe, CloseReason::Goodbye)]);
    assert_eq!(error_of(call(&mut sim, admin, "wamp.session.kill", vec![id.clone()])), error::NO_SUCH_SESSION);
    assert_eq!(error_of(call(&mut sim, admin, "wamp.session.get", vec![id])), error::NO_SUCH_SESSION);
}

#[test]
fn a_killed_session_that_does_not_answer_is_dead_all_the_same() {
    let (mut sim, admin, _) = four();
    let deaf = sim.bare(Wire::Messages);
    let hello = r#"[1,"realm1",{"roles":{"caller":{},"publisher":{}},"authid":"deaf"}]"#;
    sim.send(deaf, message(hello));
    let mut id = None;
    sim.settle(1_000, |_, _, told| {
        if let wampd_tests::sim::Told::Message(Message::Welcome(welcome)) = told {
            id = Some(Value::from(welcome.session.get()));
        }
    });
    sim.act(admin, |client, now| {
        let payload = wampd_core::message::Payload::from_args([id.clone().expect("welcomed")]);
        client.call(now, Uri::from("wamp.session.kill"), Default::default(), payload).expect("joined")
    });
    sim.settle(1_000, |_, _, _| ());
    let before = sim.router.stats();
    sim.send(deaf, message(r#"[48,1,{},"com.example.x"]"#));
    sim.send(deaf, message(r#"[16,2,{"acknowledge":true},"com.example.x"]"#));
    sim.settle(1_000, |_, id, told| assert_ne!(id, deaf, "{told:?}"));
    assert_eq!((sim.router.stats().publications, sim.router.stats().calls), (before.publications, before.calls));
    let mut over = false;
    sim.run_for(core::time::Duration::from_secs(60), 1_000, |_, id, _| over |= id == deaf);
    assert!(over && sim.closed == [(deaf, CloseReason::Timeout)], "{:?}", sim.closed);
}

#[test]
fn reason_and_message_have_defaults() {
    let (mut sim, admin, [joe, ..]) = four();
    let id = session(&sim, joe);
    let (_, told) = call_and_see(&mut sim, admin, "wamp.session.kill", vec![id], Dict::new());
    assert_eq!(left(&told), [(joe, close::KILLED)]);
    assert!(sim.trace.iter().any(|line| line.ends_with(r#"<- [6,{},"wamp.close.killed"]"#)), "{}", sim.tail());
}

#[test]
fn nobody_kills_itself() {
    let (mut sim, admin, _) = four();
    let own = session(&sim, admin);
    assert_eq!(error_of(call(&mut sim, admin, "wamp.session.kill", vec![own])), error::NO_SUCH_SESSION);
    assert!(sim.get(admin).is_joined());
}

#[test]
fn a_reason_must_be_a_uri() {
    let (mut sim, admin, [joe, ..]) = four();
    let calls = [
        ("wamp.session.kill", vec![session(&sim, joe)]),
        ("wamp.session.kill_by_authid", vec!["joe".into()]),
        ("wamp.session.kill_by_authrole", vec![USER.into()]),
        ("wamp.session.kill_all", vec![]),
    ];
    for (procedure, args) in calls {
        for wrong in [Value::from(""), "not a uri".into(), "com..x".into(), 7.into()] {
            let answer = call_with(&mut sim, admin, procedure, args.clone(), dict([("reason", wrong)]));
            assert_eq!(error_of(answer), error::INVALID_URI);
        }
        let answer = call_with(&mut sim, admin, procedure, args, dict([("message", 7.into())]));
        assert_eq!(error_of(answer), error::INVALID_ARGUMENT);
    }
    assert_eq!(sim.router.stats().sessions, 4);
}

#[test]
fn all_sessions_of_an_authid_are_killed() {
    let (mut sim, admin, [joe, ann, other_joe]) = four();
    let ids = sorted(vec![session(&sim, joe), session(&sim, other_joe)]);
    assert_eq!(call(&mut sim, admin, "wamp.session.kill_by_authid", vec!["joe".into()]), Ok(vec![ids.into()]));
    assert!(sim.get(ann).is_joined() && !sim.get(joe).is_joined() && !sim.get(other_joe).is_joined());
    let none = Ok(vec![Vec::new().into()]);
    assert_eq!(call(&mut sim, admin, "wamp.session.kill_by_authid", vec!["joe".into()]), none);
    assert_eq!(call(&mut sim, admin, "wamp.session.kill_by_authid", vec!["admin".into()]), none, "not the caller");
    assert_eq!(error_of(call(&mut sim, admin, "wamp.session.kill_by_authid", vec![])), error::INVALID_ARGUMENT);
}

#[test]
fn all_sessions_of_a_role_are_killed_but_for_the_callers() {
    let (mut sim, admin, others) = four();
    let second = join(&mut sim, "second", ANYTHING);
    assert_eq!(call(&mut sim, admin, "wamp.session.kill_by_authrole", vec![ANYTHING.into()]), Ok(vec![1.into()]));
    assert!(sim.get(admin).is_joined() && !sim.get(second).is_joined());
    assert_eq!(call(&mut sim, admin, "wamp.session.kill_by_authrole", vec![USER.into()]), Ok(vec![3.into()]));
    assert!(others.iter().all(|id| !sim.get(*id).is_joined()));
}

#[test]
fn all_sessions_are_killed_but_for_the_callers() {
    let (mut sim, admin, others) = four();
    assert_eq!(call(&mut sim, admin, "wamp.session.kill_all", vec![]), Ok(vec![3.into()]));
    assert!(sim.get(admin).is_joined() && others.iter().all(|id| !sim.get(*id).is_joined()));
    assert_eq!(sim.router.stats().sessions, 1);
}

#[test]
fn services_of_the_router_are_neither_shown_nor_killed() {
    let (mut sim, admin, _) = four();
    let identity =
        Identity { realm: REALM, authid: "service".to_owned(), authrole: "trusted".to_owned(), ..Identity::default() };
    let link = LinkInfo { privileged: Some(identity), ..LinkInfo::default() };
    let service = sim.client_on(config("service", "trusted"), Wire::Messages, link);
    sim.events();
    let id = session(&sim, service);
    assert_eq!(call(&mut sim, admin, "wamp.session.count", vec![]), Ok(vec![4.into()]));
    assert_eq!(error_of(call(&mut sim, admin, "wamp.session.get", vec![id.clone()])), error::NO_SUCH_SESSION);
    assert_eq!(error_of(call(&mut sim, admin, "wamp.session.kill", vec![id])), error::NO_SUCH_SESSION);
    assert_eq!(call(&mut sim, admin, "wamp.session.kill_by_authrole", vec!["trusted".into()]), Ok(vec![0.into()]));
    assert_eq!(call(&mut sim, admin, "wamp.session.kill_all", vec![]), Ok(vec![3.into()]));
    assert_eq!(call(&mut sim, service, "wamp.session.count", vec![]), Ok(vec![1.into()]), "it may ask");
}

/// However long a filter is, it costs each session one look-up; how many values it may have is limited.
#[test]
fn filters_have_a_limit() {
    let (mut sim, admin, _) = four();
    let filter = |count: usize| vec![Value::from(vec![Value::from(USER); count])];
    assert_eq!(call(&mut sim, admin, "wamp.session.count", filter(4_096)), Ok(vec![3.into()]));
    for procedure in ["wamp.session.count", "wamp.session.list"] {
        let (uri, text) = call(&mut sim, admin, procedure, filter(4_097)).expect_err("refused");
        assert_eq!(uri, error::RESOURCE_LIMIT);
        assert_eq!(text, "argument 1 (filter_authroles): limit max_meta_items (4096) on values exceeded");
    }
}
