//! The core in your own loop: a router and a client in one process, no sockets. The client registers a procedure and
//! calls it. Run it: `cargo run -p wampd-core --example embed`
use wampd_core::client::{Client, ClientConfig, ClientEvent, ClientOutput};
use wampd_core::message::{CallOptions, Payload, RegisterOptions, YieldOptions};
use wampd_core::router::*;
use wampd_core::{time::Instant, time::UnixTime, uri::Uri, value::Value};

fn main() {
    let (now, realm, add2) = (Instant::ZERO, Uri::from("realm1"), Uri::from("com.example.add2"));
    let role = RoleConfig::new("guest", Permissions::all());
    let config = RouterConfig { realms: vec![RealmConfig::new(realm.clone(), vec![role])], ..Default::default() };
    let rng = Box::new(rand_core::UnwrapErr(getrandom::SysRng));
    let mut router = Router::new(config, now, UnixTime(0), rng);
    let mut client = Client::new(ClientConfig::anonymous(realm.clone()));
    let peer = router.open(now, LinkInfo::default()).expect("room for a peer");
    client.connected(now); // says HELLO
    loop {
        // What the client wants done: messages go to the router, events to the application, which is here.
        while let Some(output) = client.poll_output() {
            match output {
                ClientOutput::Send(message) => router.receive(now, peer, message),
                ClientOutput::Event(ClientEvent::Joined(_)) => {
                    client.register(now, add2.clone(), RegisterOptions::default()).expect("joined");
                }
                ClientOutput::Event(ClientEvent::Registered { .. }) => {
                    let arguments = Payload::from_args([2.into(), 3.into()]);
                    client.call(now, add2.clone(), CallOptions::default(), arguments).expect("joined");
                }
                ClientOutput::Event(ClientEvent::Invocation { request, payload, .. }) => {
                    let (args, _) = payload.values().expect("checked when it was decoded");
                    let sum = Payload::from_args([args.iter().filter_map(Value::as_i64).sum::<i64>().into()]);
                    client.yield_result(request, YieldOptions::default(), sum).expect("not answered before");
                }
                ClientOutput::Event(ClientEvent::Result { payload, .. }) => {
                    return println!("2 + 3 = {:?}", payload.values().expect("checked").0);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        // What the router wants done. With sockets, Close ends one and InputReady goes on reading from one.
        while let Some(output) = router.poll_output() {
            match output {
                Output::Send { message, .. } => client.receive(now, message),
                Output::Authenticate(question) => {
                    let (authid, authrole, authmethod) = ("anyone".into(), "guest".into(), "anonymous".into());
                    let guest = Identity { realm: realm.clone(), authid, authrole, authmethod, ..Default::default() };
                    router.decide_auth(now, question.id, AuthVerdict::Welcome(guest)).expect("asked just now");
                }
                other => println!("{other:?}"),
            }
        }
    }
}
