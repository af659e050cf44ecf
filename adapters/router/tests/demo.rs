//! The demo does what it says of itself: its users join with their secrets, and its backend serves them.

mod support;

use support::{TestNode, cra, refusal, who};
use wampd::config::Endpoint;
use wampd::node::demo;
use wampd_core::message::{CallOptions, Payload, PublishOptions};
use wampd_core::value::Value;

fn node() -> TestNode {
    let mut config = demo::config().unwrap_or_else(|report| panic!("{report}"));
    // The system chooses a port.
    for transport in &mut config.transports {
        let Endpoint::Tcp { address, .. } = &mut transport.endpoint else { panic!("{transport:?}") };
        address.set_port(0);
    }
    TestNode::start_with(config, wampd::node::Node::with_demo)
}

#[test]
fn its_users_join_with_their_secrets() {
    let node = node();
    for (user, secret, authid) in [
        ("client1", "secret123", "client1"),
        ("joe", "secret2", "joe"),
        ("hans", "123456", "ID09125"),
        ("peter", "secret1", "peter"),
    ] {
        let client = node.join("realm1", Some(user), cra(secret)).expect("joins");
        let text = |text: &str| text.to_owned();
        assert_eq!(who(&client), (text(authid), text("frontend"), text("wampcra"), text("function")));
    }
    assert_eq!(refusal(node.join("realm1", Some("nobody"), cra("x"))).0, "com.example.no_such_user");
}

/// The commands that it says to try.
#[test]
fn its_commands_work() {
    let node = node();
    let url = node.url().to_string();
    for (command, output) in
        [(vec!["call", "com.example.add2", "2", "3"], "5\n"), (vec!["publish", "com.example.topic1", "hello"], "")]
    {
        let login = ["--auth", "wampcra", "--authid", "client1", "--secret", "secret123", "--url", &url];
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_wampd")).args(&command).args(login).output();
        let run = run.expect("ran");
        assert!(run.status.success(), "{command:?}: {run:?}");
        assert_eq!(String::from_utf8_lossy(&run.stdout), output);
    }
}

#[test]
fn its_backend_serves_them() {
    let node = node();
    let mut client = node.join("realm1", Some("client1"), cra("secret123")).expect("joins");
    let mut add2 = |args: [Value; 2]| {
        let result = client.call("com.example.add2", CallOptions::default(), Payload::from_args(args));
        result.map(|result| result.payload.values().expect("values").0)
    };
    assert_eq!(add2([2.into(), 3.into()]).expect("a sum"), [Value::Int(5)]);
    assert!(add2(["a".into(), 3.into()]).expect_err("no sum").to_string().contains("wamp.error.invalid_argument"));
    let options = PublishOptions { acknowledge: true, ..PublishOptions::default() };
    let mut publish =
        |topic: &'static str| client.publish(topic, options.clone(), Payload::from_args(["hello".into()]));
    publish("com.example.topic1").expect("published");
    publish("com.foobar.topic1").expect("published");
    assert!(publish("com.example.topic2").is_err() && publish("com.foobar.topic2").is_err());
    // The backend has had its events before the answers to what was asked later.
    let log = node.log();
    for topic in ["com.example.topic1", "com.foobar.topic1"] {
        assert!(log.contains(&format!(r#"event received topic={topic} args="[\"hello\"]""#)), "{log}");
    }
}
