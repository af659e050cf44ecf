//! Functions in other languages, and what their processes do wrong.

mod support;

use support::folder::{Folder, has_python};
use support::{TestNode, cra, refusal, ticket, who};
use wampd_core::uri::Uri;
use wampd_mio::client::{Client, ConnectError};

/// A node whose WebSocket has this `auth`; `limits` are those of hosts.
fn config(auth: &str, limits: &str) -> String {
    let all = r#"[{"uri": "", "match": "prefix",
        "allow": {"call": true, "register": true, "publish": true, "subscribe": true}}]"#;
    format!(
        r#"{{"version": 2, "wampd": {{"farewell": "told", "host_limits": {limits}, "limits": {{"max_failed_logins_per_address": 1000}}}},
        "workers": [{{"type": "router", "options": {{"pythonpath": [".."]}},
        "realms": [{{"name": "realm1", "roles": [{{"name": "user", "permissions": {all}}}, {{"name": "guest"}}]}}],
        "transports": [{{"type": "web", "endpoint": {{"type": "tcp", "interface": "127.0.0.1", "port": 0}},
            "paths": {{"ws": {{"type": "websocket", "auth": {auth}}}}}}}]}}]}}"#
    )
}

fn python(method: &str, create: &str, config: &str) -> String {
    format!(r#""{method}": {{"type": "function", "create": "{create}", "config": {config}}}"#)
}

/// Anonymous clients are let in as what this program says.
fn asks(program: &[&str], limits: &str) -> String {
    let command = serde_json::to_string(program).expect("JSON");
    let function = format!(r#""type": "function", "command": {command}"#);
    config(&format!(r#"{{"ticket": {{{function}}}, "anonymous": {{{function}}}}}"#), limits)
}

fn failed(message: &str) -> (String, String) {
    ("wamp.error.authentication_failed".to_owned(), message.to_owned())
}

#[test]
fn a_python_function_of_a_crossbar_folder() {
    if !has_python() {
        return;
    }
    let folder = Folder::new();
    folder.write(
        "users.py",
        r#"
import asyncio

class ApplicationError(Exception):
    def __init__(self, error, *args):
        super().__init__(*args)
        self.error = error

def create(config, controller):
    print("created with", sorted(config), controller)

    def authenticate(realm, authid, details):
        print("asked about {}, who is {}".format(realm, authid))
        if authid == "joe":
            return {"secret": "secret-of-joe", "role": config["role"], "extra": {"seen": details["authmethod"]}, "x": 1}
        if authid == "ann":
            raise KeyError(authid)
        raise ApplicationError("com.example.no_such_user", "no such user {}".format(authid))

    return authenticate

async def create_later(config, controller):
    await asyncio.sleep(0)

    async def authenticate(realm, authid, details):
        await asyncio.sleep(0)
        if details["ticket"] != "ticket-of-tim":
            raise ApplicationError("com.example.invalid_ticket")
        return "user"

    return authenticate
"#,
    );
    let auth = [
        python("wampcra", "users.create", r#"{"role": "user", "b": 1}"#),
        python("ticket", "users.create_later", "{}"),
    ];
    let (node, warnings) = folder.load(".crossbar/config.json", &config(&format!("{{{}}}", auth.join(",")), "{}"));
    assert_eq!((warnings.as_str(), node.functions.len()), ("", 2));
    let node = TestNode::start(node);
    let identity = |method: &str, authid: &str| (authid.into(), "user".into(), method.into(), "function".into());
    let joe = node.join("realm1", Some("joe"), cra("secret-of-joe")).expect("joins");
    assert_eq!(who(&joe), identity("wampcra", "joe"));
    let extra = joe.session().details.authextra.clone().unwrap_or_default();
    assert_eq!(extra.get("seen").and_then(|seen| seen.as_str()), Some("wampcra"));
    assert_eq!(
        who(&node.join("realm1", Some("tim"), ticket("ticket-of-tim")).expect("joins")),
        identity("ticket", "tim")
    );
    assert_eq!(refusal(node.join("realm1", Some("joe"), cra("wrong"))).0, "wamp.error.not_authorized");
    let refused = refusal(node.join("realm1", Some("tim"), ticket("wrong")));
    assert_eq!(refused, ("com.example.invalid_ticket".to_owned(), String::new()));
    let refused = refusal(node.join("realm1", Some("bob"), cra("x")));
    assert_eq!(refused, ("com.example.no_such_user".to_owned(), "no such user bob".to_owned()));
    assert_eq!(refusal(node.join("realm1", Some("ann"), cra("x"))), failed("the authenticator failed"));
    let log = node.log();
    for part in ["created with ['b', 'role'] None", "asked about realm1, who is bob", "why=KeyError", "in authenticate"]
    {
        assert!(log.contains(part), "{part} in\n{log}");
    }
}

#[test]
fn what_a_python_function_can_not_answer_fails_that_login_alone() {
    if !has_python() {
        return;
    }
    let folder = Folder::new();
    folder.write(
        "odd.py",
        r#"
import sys

class ApplicationError(Exception):
    def __init__(self, error, *args):
        super().__init__(*args)
        self.error = error

class Unprintable:
    def __str__(self):
        raise KeyError("no text")

    def __repr__(self):
        raise KeyError("no text")

class Stop(BaseException):
    pass

class Trap:
    def __str__(self):
        raise SystemExit(4)

def create(config, controller):
    def authenticate(realm, authid, details):
        if authid == "circle":
            circle = {}
            circle["extra"] = circle
            return circle
        if authid == "deep":
            deep = []
            for _ in range(100000):
                deep = [deep]
            return {"role": "user", "extra": {"deep": deep}}
        if authid == "long":
            return {"role": "user", "extra": {"long": "x" * 100000}}
        if authid == "surrogate":
            return {"role": "user", "extra": {"x": "\ud800"}}
        if authid == "no uri":
            raise ApplicationError("not a uri", "no")
        if authid == "unprintable":
            raise ApplicationError(Unprintable())
        if authid == "exit":
            sys.exit(3)
        if authid == "set":
            return {"role": {"user"}}
        if authid == "200 levels":
            deep = []
            for _ in range(200):
                deep = {"deep": deep}
            return {"role": "user", "extra": deep}
        if authid == "huge":
            return {"role": "user", "extra": {"x": 10**400}}
        if authid == "digits":
            return {"role": "user", "extra": {"x": 10**5000}}
        if authid == "nan":
            return {"role": "user", "extra": {"x": float("nan")}}
        if authid == "object":
            return {"role": "user", "extra": {"x": Unprintable()}}
        if authid == "key":
            return {"role": "user", "extra": {Unprintable(): 1}}
        if authid == "unprintable error":
            raise ValueError(Unprintable())
        if authid == "stop":
            raise Stop()
        if authid == "interrupt":
            raise KeyboardInterrupt()
        if authid == "trap":
            raise ApplicationError(Trap())
        return "user"

    return authenticate
"#,
    );
    let auth = python("anonymous", "odd.create", "{}");
    let node = TestNode::start(folder.load("config.json", &config(&format!("{{{auth}}}"), "{}")).0);
    let names = ["circle", "deep", "long", "surrogate", "no uri", "unprintable", "exit", "set", "200 levels", "huge"];
    let more = ["digits", "nan", "object", "key", "unprintable error", "stop", "interrupt", "trap"];
    for name in names.into_iter().chain(more) {
        let refused = refusal(node.join("realm1", Some(name), vec![]));
        assert_eq!(refused, failed("the authenticator failed"), "{name}\n{}", node.log());
        assert_eq!(who(&node.join("realm1", Some("joe"), vec![]).expect("joins")).1, "user", "after {name}");
    }
    assert_eq!(node.log().matches("process started").count(), 1, "{}", node.log());
}

#[test]
fn functions_that_can_not_be_made() {
    if !has_python() {
        return;
    }
    let folder = Folder::new();
    folder.write("broken.py", "def create(config, controller):\n    raise ValueError('no')\n");
    folder.write("none.py", "def create(config, controller):\n    return 7\n");
    let auth = [
        python("wampcra", "broken.create", "{}"),
        python("ticket", "none.create", "{}"),
        python("anonymous", "missing.create", "{}"),
    ];
    // What is asked before the process fails has no hope that another will answer in time.
    let limits = r#"{"restart_backoff_ms": 100000, "max_restart_backoff_ms": 100000}"#;
    let config = config(&format!("{{{}}}", auth.join(",")), limits);
    let node = TestNode::start(folder.load(".crossbar/config.json", &config).0);
    for (authid, credentials) in [("joe", cra("x")), ("joe", ticket("x")), ("joe", vec![])] {
        let refused = refusal(node.join("realm1", Some(authid), credentials));
        assert_eq!(refused, failed("the authenticator failed"));
    }
    let log = node.log();
    for part in
        ["could not be made: ValueError", "could not be made: TypeError", "could not be made: ModuleNotFoundError"]
    {
        assert!(log.contains(part), "{part} in\n{log}");
    }
}

/// A host that does to each client what its name says.
const FAULTY: &str = r#"
import json, os, signal, sys, time

def answer(**members):
    print(json.dumps(members), flush=True)

for line in sys.stdin:
    question = json.loads(line)
    number = question["id"]
    if number == 0:
        answer(id=0)
        continue
    name = question["args"][1]
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "gone":
        sys.exit(3)
    elif name == "silent":
        continue
    elif name == "stuck":
        time.sleep(3600)
    elif name == "long":
        answer(id=number, result="x" * 1048576)
    elif name == "endless":
        while True:
            sys.stdout.write("x" * 65536)
    elif name == "no uri":
        answer(id=number, error="not a uri", message="no")
    elif name == "no json":
        print("Hello", flush=True)
    elif name == "stranger":
        answer(id=number + 1000, result="user")
    elif name == "list":
        answer(id=number, result=["user"])
    elif name == "no role":
        answer(id=number, result={"rule": "user"})
    else:
        answer(id=number, result="user")
"#;

fn join_as(node: &TestNode, name: &str) -> Result<Client, ConnectError> {
    node.join("realm1", Some(name), ticket("x"))
}

#[test]
fn what_a_host_does_wrong_fails_that_handshake_only() {
    if !has_python() {
        return;
    }
    let folder = Folder::new();
    let program = folder.write("faulty.py", FAULTY);
    let program = ["python3", program.to_str().expect("UTF-8")];
    let limits = r#"{"answer_timeout_ms": 3000, "restart_backoff_ms": 1, "max_restart_backoff_ms": 2}"#;
    let (node, _) = folder.load("config.json", &asks(&program, limits));
    assert_eq!(node.functions.len(), 1, "equal functions share a process");
    let node = TestNode::start(node);
    let witness = join_as(&node, "witness").expect("joins");
    for (name, message, why) in [
        ("killed", "the authenticator failed", "signal: 9"),
        ("gone", "the authenticator failed", "exit status: 3"),
        ("long", "the authenticator failed", "it answered with more than 65536 bytes"),
        ("endless", "the authenticator failed", "a line of more than 65536 bytes"),
        ("no uri", "the authenticator failed", "error is not a URI"),
        ("no json", "the authenticator failed", "it is not JSON"),
        ("stranger", "the authenticator failed", "which was never asked"),
        ("list", "got invalid return type", "got list"),
        ("no role", "no role assigned", ""),
        ("silent", "the authenticator did not answer in time", "it answered nothing in time"),
        ("stuck", "the authenticator did not answer in time", "it answered nothing in time"),
    ] {
        let (reason, text) = refusal(join_as(&node, name));
        let expected = if why.is_empty() { "wamp.error.no_such_role" } else { "wamp.error.authentication_failed" };
        assert_eq!((reason.as_str(), text.as_str()), (expected, message), "{name}");
        let good = join_as(&node, "good").unwrap_or_else(|error| panic!("after {name}: {error}\n{}", node.log()));
        assert_eq!(who(&good).1, "user", "after {name}");
        let log = node.log();
        assert!(log.contains(why), "{name}: {why} in\n{log}");
    }
    assert!(node.log().matches("process started").count() >= 8);
    drop(witness);
}

#[test]
fn questions_are_bounded() {
    if !has_python() {
        return;
    }
    let folder = Folder::new();
    let program = folder.write("faulty.py", FAULTY);
    let program = ["python3", program.to_str().expect("UTF-8")];
    let limits = r#"{"max_questions": 1, "answer_timeout_ms": 60000}"#;
    let node = TestNode::start(folder.load("config.json", &asks(&program, limits)).0);
    std::thread::scope(|scope| {
        // It may come while the other is being answered.
        scope.spawn(|| while join_as(&node, "silent").is_err_and(|error| error.to_string().contains("overloaded")) {});
        let refused = loop {
            if let refused @ Err(_) = join_as(&node, "good") {
                break refusal(refused);
            }
        };
        assert_eq!(refused, failed("the authenticator is overloaded"));
        node.shut_down();
    });
}

/// Any language will do: a shell that counts its lines.
#[test]
fn a_host_in_shell() {
    let folder = Folder::new();
    let script = "n=0; while read -r line; do echo \"{\\\"id\\\":$n,\\\"result\\\":\\\"user\\\"}\"; n=$((n+1)); done";
    let node = TestNode::start(folder.load("config.json", &asks(&["sh", "-c", script], "{}")).0);
    for _ in 0..3 {
        assert_eq!(who(&node.join("realm1", None, vec![]).expect("joins")).1, "user");
    }
}

#[test]
fn a_program_that_is_not_there() {
    let folder = Folder::new();
    let limits = r#"{"restart_backoff_ms": 60000, "max_restart_backoff_ms": 60000}"#;
    let node = TestNode::start(folder.load("config.json", &asks(&["./no-such-program"], limits)).0);
    assert_eq!(refusal(node.join("realm1", None, vec![])), failed("the authenticator failed"));
    assert!(node.log().contains("no-such-program can not be started"), "{}", node.log());
}

/// A process that ignores SIGTERM is killed, with those that it has started.
#[test]
fn processes_end_with_the_node() {
    let folder = Folder::new();
    let script = "trap '' TERM; echo $$ > pid; sleep 3600 & echo $! > child; while true; do sleep 1; done";
    let limits = r#"{"stop_timeout_ms": 50, "start_timeout_ms": 3600000}"#;
    let node = TestNode::start(folder.load("config.json", &asks(&["sh", "-c", script], limits)).0);
    let running = |file: &str| {
        let pid = folder.read(file);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !pid.is_empty() && !stat.is_empty() && !stat.contains(") Z ")
    };
    while !(running("pid") && running("child")) {
        std::thread::yield_now();
    }
    drop(node);
    // The group is gone with the signal; its orphans are reaped by another process.
    while running("pid") || running("child") {
        std::thread::yield_now();
    }
}

#[test]
fn a_python_function_decides_on_actions() {
    if !has_python() {
        return;
    }
    let folder = Folder::new();
    folder.write(
        "rules.py",
        "def create(config, controller):\n    return lambda details, uri, action, options: uri.startswith(config['under'])\n",
    );
    let rules = r#"{"type": "function", "create": "rules.create", "config": {"under": "com.open."}}"#;
    let text = config(r#"{"anonymous": {"type": "static", "role": "asked"}}"#, "{}")
        .replace(r#"{"name": "guest"}"#, &format!(r#"{{"name": "asked", "authorizer": {rules}}}"#));
    let node = TestNode::start(folder.load(".crossbar/config.json", &text).0);
    let mut client = node.join("realm1", None, vec![]).expect("joins");
    let mut register = |uri: &'static str| client.register(Uri::from(uri), Default::default());
    assert!(register("com.open.a").is_ok());
    let refused = register("com.closed.a").expect_err("refused").to_string();
    assert!(refused.contains("not_authorized"), "{refused}");
}
