//! Logins: functions that decide, back-off, limits by address.

use super::harness::{Bystander, Folder, JSON, PATIENCE, Raw, Router, config};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};

/// The configuration of the suite, whose transport 1 lets in whom a function lets in, and transport 2 everybody.
fn with_function(auth: Value, limits: Value) -> Value {
    let mut config = config();
    let transports = config["workers"][0]["transports"].as_array_mut().expect("transports");
    let everybody = transports[1].clone();
    transports.push(everybody);
    transports[1]["auth"] = auth;
    config["wampd"] = limits;
    config
}

/// A program that tells its standard error whom it is asked about, and answers `user` to all once there is a file `go`. To
/// one named `long` it answers at once, and much.
const HOST: &str = r#"
n=0
while read -r line; do
    rest=${line#*'"args":["realm1","'}
    name=${rest%%'"'*}
    [ $n -gt 0 ] && echo "asked about $name" >&2
    case $name in
        long) printf '{"id":%s,"error":"com.example.no","message":"%s"}\n' $n "$(head -c 70000 /dev/zero | tr '\0' x)" ;;
        *)
            [ $n -gt 0 ] && while [ ! -e go ]; do sleep 0.01; done
            printf '{"id":%s,"result":"user"}\n' $n ;;
    esac
    n=$((n + 1))
done
"#;

fn hosted(limits: Value) -> Router {
    let folder = Folder::new();
    folder.write("host.sh", HOST);
    let auth = json!({"anonymous": {"type": "function", "command": ["sh", "host.sh"]}});
    Router::start_in(folder, &with_function(auth, limits), None)
}

/// A connection from another address of the loopback, after its handshake.
fn open_from(address: [u8; 4], port: u16) -> Raw {
    use std::io::{Read, Write};
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((address, 0)).into()).expect("an address of the loopback");
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).expect("connected");
    socket.set_tcp_nodelay(true).expect("set");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut raw = Raw(socket.into());
    raw.0.write_all(&[0x7f, 0xf0 | JSON, 0, 0]).expect("sent");
    raw.0.read_exact(&mut [0; 4]).expect("an answer");
    raw
}

fn hello(authid: &str, details: &Value) -> Value {
    let mut all = json!({"roles": {"caller": {}}, "authid": authid});
    all.as_object_mut().expect("an object").extend(details.as_object().expect("an object").clone());
    json!([1, "realm1", all])
}

/// Says HELLO so many times, each time as somebody else, and leaves at once.
fn leave_at_once(port: u16, count: usize, details: &Value) {
    for _ in 0..count {
        let mut stranger = Raw::open(port, JSON);
        stranger.send(&hello("joe", details));
    }
}

/// Whom the host was asked about so far, in order.
fn asked(router: &Router) -> Vec<String> {
    let line = |line: &Value| Some(line["line"].as_str()?.strip_prefix("asked about ")?.to_owned());
    router.lines("process output").iter().filter_map(line).collect()
}

#[test]
fn a_host_is_not_asked_about_strangers_that_have_left() {
    let router = hosted(json!({}));
    let bystander = Bystander::join(router.port(2));
    leave_at_once(router.port(1), 300, &json!({}));
    bystander.wait_for_answers(20);
    let mut user = Raw::open(router.port(1), JSON);
    user.send(&hello("user", &json!({})));
    bystander.wait_for_answers(20);
    router.folder.write("go", "");
    let welcome = user.receive();
    assert_eq!(welcome[0], 2, "{welcome}");
    let asked = asked(&router);
    assert!(asked.len() <= 20, "16 questions are with the host at a time, the others were withdrawn: {}", asked.len());
}

#[test]
fn logins_from_one_address_are_limited_and_do_not_wait_before_those_of_another() {
    let limits = json!({"limits": {"max_questions_per_address": 100}});
    let router = hosted(limits);
    let mut strangers: Vec<Raw> = (0..101).map(|_| Raw::open(router.port(1), JSON)).collect();
    for stranger in &mut strangers {
        stranger.send(&hello("stranger", &json!({})));
    }
    let refused = router.wait_for_lines("session aborted", 1);
    assert_eq!(refused["message"], "too many logins from this address wait");
    router.wait_for_lines("login refused: limit max_questions_per_address reached", 1);
    let mut user = open_from([127, 0, 0, 2], router.port(1));
    user.send(&hello("user", &json!({})));
    // It is asked about in the order of arrival: what comes after it is known to wait when this is answered.
    Bystander::join(router.port(2)).wait_for_answers(20);
    router.folder.write("go", "");
    assert_eq!(user.receive()[0], 2);
    let place = asked(&router).iter().position(|name| name == "user").expect("asked about");
    assert!(place <= 20, "it waits for those that the host had, not for all that came before: {place}");
}

#[test]
fn long_names_and_answers_harm_nobody_else() {
    let router = hosted(json!({}));
    let mut user = Raw::open(router.port(1), JSON);
    user.send(&hello("long-way", &json!({})));
    let mut stranger = Raw::open(router.port(1), JSON);
    stranger.send(&hello(&"a".repeat(60_000), &json!({})));
    let abort = stranger.receive();
    assert_eq!((&abort[0], &abort[2]), (&json!(3), &json!("wamp.error.invalid_argument")), "{abort}");
    router.folder.write("go", "");
    assert_eq!(user.receive()[0], 2, "the host was not asked about a name that nobody has");
    let mut stranger = Raw::open(router.port(1), JSON);
    stranger.send(&hello("long", &json!({})));
    let mut user = Raw::open(router.port(1), JSON);
    user.send(&hello("user", &json!({})));
    let abort = stranger.receive();
    assert_eq!((&abort[0], &abort[2]), (&json!(3), &json!("wamp.error.authentication_failed")), "{abort}");
    assert_eq!(user.receive()[0], 2, "an answer that is too long fails its question alone");
    assert_eq!(router.lines("process ended").len(), 0);
}

#[test]
fn keys_of_strangers_that_leave_do_not_keep_others_out() {
    let folder = Folder::new();
    folder.write(
        "users.rhai",
        r#"fn create(config) {
            |realm, authid, details| #{role: "user", password: "secret", salt: "salt", iterations: 2000, keylen: 32}
        }"#,
    );
    let auth = json!({"wampcra": {"type": "function", "script": "users.rhai", "create": "create"}});
    // A derivation takes some 50 ms without optimisation: all of them would take longer than a login may.
    let config = with_function(auth, json!({"limits": {"auth_timeout_ms": 3000}}));
    let router = Router::start_in(folder, &config, None);
    let methods = json!({"authmethods": ["wampcra"]});
    leave_at_once(router.port(1), 200, &methods);
    let mut user = Raw::open(router.port(1), JSON);
    user.send(&hello("joe", &methods));
    let challenge = user.receive();
    assert_eq!(challenge[0], 4, "{challenge}");
    assert_eq!(challenge[2]["iterations"], 2000);
}

#[test]
fn a_procedure_is_not_called_for_strangers_that_have_left() {
    let mut config = with_function(json!({"anonymous": {"type": "dynamic", "authenticator": "com.auth"}}), json!({}));
    let anonymous =
        json!({"name": "trusted", "permissions": [{"uri": "", "match": "prefix", "allow": {"call": true}}]});
    config["workers"][0]["realms"][0]["roles"].as_array_mut().expect("roles").push(anonymous);
    let router = Router::start(&config);
    let mut callee = Raw::join(router.port(2));
    callee.send(&json!([64, 1, {}, "com.auth"]));
    assert_eq!(callee.receive()[0], 65);
    let bystander = Bystander::join(router.port(2));
    leave_at_once(router.port(1), 200, &json!({}));
    bystander.wait_for_answers(20);
    let mut user = Raw::open(router.port(1), JSON);
    user.send(&hello("user", &json!({})));
    bystander.wait_for_answers(20);
    // Answers what it is asked, and stops what it is told to stop.
    let mut calls = 0;
    loop {
        let message = callee.receive();
        match message[0].as_u64() {
            Some(68) => calls += 1,
            Some(69) => callee.send(&json!([8, 68, message[1], {}, "wamp.error.canceled"])),
            _ => panic!("{message}"),
        }
        if message[0] == 68 && message[4][1] == "user" {
            callee.send(&json!([70, message[1], {}, ["user"]]));
            break;
        }
    }
    assert_eq!(user.receive()[0], 2);
    assert!(calls <= 20, "16 calls are made at a time, the others were withdrawn: {calls}");
}
