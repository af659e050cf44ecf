//! `wampd call`, `publish`, `subscribe` and `register`, run as programs against a router in this process.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use wampd::config::{self, Surroundings, Syntax};
use wampd::log::{Level, Log, LogFormat};
use wampd::node::Node;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::message::{CallOptions, Payload, PublishOptions, RegisterOptions, YieldOptions};
use wampd_core::uri::{Uri, error};
use wampd_core::value::Value;
use wampd_mio::client::{Client, Error, Options};
use wampd_mio::{Endpoint, ServerHandle};

const CONFIG: &str = r#"{"version": 2, "workers": [{"type": "router",
    "realms": [{"name": "realm1", "roles": [
        {"name": "anyone", "permissions": [
            {"uri": "", "match": "prefix", "allow": {"call": true, "register": true, "publish": true, "subscribe": true}},
            {"uri": "com.open.", "match": "prefix", "disclose": {"caller": true, "publisher": true},
             "allow": {"call": true, "register": true, "publish": true, "subscribe": true}},
            {"uri": "com.secret.", "match": "prefix", "allow": {}}
        ]}
    ]}],
    "transports": [
        {"type": "web", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0}, "paths": {
            "ws": {"type": "websocket", "auth": {
                "anonymous": {"type": "static", "role": "anyone"},
                "wampcra": {"type": "static", "users": {
                    "ada": {"secret": "ada's secret", "role": "anyone"},
                    "peter": {"secret": "prq7+YkJ1/KlW1X0YczMHw==", "role": "anyone",
                              "salt": "salt123", "iterations": 100, "keylen": 16}
                }},
                "ticket": {"type": "static", "principals": {"tim": {"ticket": "tim's ticket", "role": "anyone"}}}
            }}
        }},
        {"type": "rawsocket", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
         "auth": {"anonymous": {"type": "static", "role": "anyone"}}}
    ]}]}"#;

/// Longer than anything here takes unless it hangs.
const LONG: Duration = Duration::from_secs(60);

struct Router {
    ws: String,
    rs: String,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Router {
    fn start() -> Self {
        let surroundings = Surroundings {
            folder: Path::new("."),
            variable: &|_| None,
            script: &wampd::script::read_script,
            tls: &|_| Ok(()),
        };
        let (node, _) =
            config::parse("test", CONFIG, Syntax::Json, &surroundings).unwrap_or_else(|why| panic!("{why}"));
        let log = Log::new(Level::Error, LogFormat::Text, Box::new(std::io::stderr()));
        let node = Node::bind(node, Arc::new(log)).expect("ports are free");
        let [Endpoint::Tcp(ws), Endpoint::Tcp(rs)] = node.endpoints() else { panic!("other transports") };
        let (ws, rs) = (format!("ws://{ws}/ws"), format!("rs://{rs}"));
        let handle = node.handle();
        let thread = thread::spawn(move || node.run().expect("polling works"));
        Self { ws, rs, handle, thread: Some(thread) }
    }

    fn client(&self) -> Client {
        let config = ClientConfig::anonymous(Uri::from("realm1"));
        Client::connect(&self.ws.parse().expect("valid"), &Options::default(), config).expect("joined")
    }

    /// A command against this router.
    fn command(&self, args: &[&str]) -> Command {
        let (name, rest) = args.split_first().expect("a command");
        let mut command = Command::new(env!("CARGO_BIN_EXE_wampd"));
        command.arg(name).args(["--url", &self.ws]).args(rest).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.command(args).output().expect("the program runs").into()
    }

    fn start_command(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        Running { child, lines }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    status: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ended {
    fn from(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { status: status.code(), out: text(stdout), err: text(stderr) }
    }
}

fn ended(status: i32, out: &str, err: &str) -> Ended {
    Ended { status: Some(status), out: out.to_owned(), err: err.to_owned() }
}

/// A program that runs. It is killed if the test fails.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("text");
        line
    }

    fn signal(&self, name: &str) {
        let killed = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
    }

    fn end(mut self) -> Ended {
        let (mut out, mut err) = (String::new(), String::new());
        self.lines.read_to_string(&mut out).expect("text");
        self.child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
        Ended { status: self.child.wait().expect("it ends").code(), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls until somebody has registered the procedure.
fn call(caller: &mut Client, procedure: &str, args: &[i64]) -> Result<Payload, Error> {
    loop {
        let args = args.iter().map(|n| Value::from(*n)).collect();
        let payload = Payload::from_values(args, Default::default());
        match caller.call(procedure.to_owned(), CallOptions::default(), payload) {
            Err(Error::Failed(failure)) if failure.error == error::NO_SUCH_PROCEDURE => {}
            other => return other.map(|result| result.payload),
        }
    }
}

/// Publishes `n`, until the program that subscribes has printed a line.
fn publish_until_line(publisher: &mut Client, topic: &'static str, running: Running) -> (String, Running) {
    let reader = thread::spawn(move || {
        let mut running = running;
        (running.line(), running)
    });
    while !reader.is_finished() {
        let options = PublishOptions { acknowledge: true, ..PublishOptions::default() };
        publisher.publish(topic, options, Payload::from_args([Value::from("x")])).expect("published");
    }
    reader.join().expect("no panic")
}

/// Answers calls of `com.example.echo` with their arguments, `com.example.fail` with an error, `com.example.count` with
/// progress.
fn callee(router: &Router) -> JoinHandle<()> {
    let mut callee = router.client();
    let register =
        |callee: &mut Client, uri: &'static str| callee.register(uri, RegisterOptions::default()).expect("registered");
    register(&mut callee, "com.example.echo");
    let fail = register(&mut callee, "com.example.fail");
    let count = register(&mut callee, "com.example.count");
    thread::spawn(move || {
        while let Ok(Some(event)) = callee.next_event(None) {
            let ClientEvent::Invocation { request, registration, payload, .. } = event else { continue };
            if registration == fail {
                let kwargs = [("code".to_owned(), Value::from(7))].into();
                let payload = Payload::from_values(vec![Value::from("it\nfailed"), Value::from(1)], kwargs);
                callee.yield_error(request, "com.example.error", payload).expect("waits");
                continue;
            }
            if registration == count {
                for n in 1..=2 {
                    let options = YieldOptions { progress: true, ..YieldOptions::default() };
                    callee.yield_result(request, options, Payload::from_args([Value::from(n)])).expect("waits");
                }
            }
            callee.yield_result(request, YieldOptions::default(), payload).expect("waits");
        }
    })
}

#[test]
fn call_prints_results() {
    let router = Router::start();
    let callee = callee(&router);
    let echo = ["call", "com.example.echo"];
    let run = |more: &[&str]| router.run(&[&echo[..], more].concat());
    assert_eq!(run(&["2"]), ended(0, "2\n", ""));
    assert_eq!(
        run(&["hello world", "[1,2.5]", "--kwargs", r#"{"b": null}"#]),
        ended(0, "hello world\n[1,2.5]\nb=null\n", "")
    );
    assert_eq!(run(&[]), ended(0, "", ""));
    assert_eq!(
        run(&["--json", "a", "--kwargs", r#"{"b":1}"#]),
        ended(0, "{\"args\":[\"a\"],\"kwargs\":{\"b\":1}}\n", "")
    );
    assert_eq!(run(&["--json"]), ended(0, "{}\n", ""));
    for serializer in ["json", "cbor", "msgpack", "json.batched", "cbor.batched", "msgpack.batched"] {
        let expected = ended(0, "grüße\n1.5\n[\"\\u0000AP8=\"]\n", "");
        let args = ["--serializer", serializer, "grüße", "1.5", "[\"\\u0000AP8=\"]"];
        assert_eq!(run(&args), expected, "{serializer}");
        if !serializer.contains('.') {
            let mut command = Command::new(env!("CARGO_BIN_EXE_wampd"));
            command.args(echo).args(["--url", &router.rs]).args(args);
            let got = Ended::from(command.output().expect("the program runs"));
            assert_eq!(got, expected, "{serializer} over RawSocket");
        }
    }
    assert_eq!(router.run(&["call", "com.example.count", "--progress", "3"]), ended(0, "1\n2\n3\n", ""));
    let json = "{\"progress\":true,\"args\":[1]}\n{\"progress\":true,\"args\":[2]}\n{\"args\":[3]}\n";
    assert_eq!(router.run(&["call", "com.example.count", "--progress", "--json", "3"]), ended(0, json, ""));
    drop(router);
    callee.join().expect("no panic");
}

#[test]
fn errors_have_exit_codes_of_their_own() {
    let router = Router::start();
    let callee = callee(&router);
    let run = |args: &[&str]| router.run(args);
    assert_eq!(run(&["call", "com.example.fail"]), ended(3, "", "wampd call: com.example.error: it failed 1 code=7\n"));
    assert_eq!(
        run(&["call", "com.example.fail", "--json"]),
        ended(3, "", "{\"error\":\"com.example.error\",\"args\":[\"it\\nfailed\",1],\"kwargs\":{\"code\":7}}\n")
    );
    let Ended { status, out, err } = run(&["call", "com.nothing"]);
    assert_eq!((status, out.as_str()), (Some(3), ""));
    assert!(err.starts_with("wampd call: wamp.error.no_such_procedure: "), "{err}");
    for args in [&["publish", "com.secret.news", "--acknowledge"][..], &["subscribe", "com.secret.news"]] {
        let Ended { status, err, .. } = run(args);
        assert_eq!(status, Some(3));
        assert!(err.starts_with(&format!("wampd {}: wamp.error.not_authorized: ", args[0])), "{err}");
    }
    let Ended { status, err, .. } = run(&["register", "com.example.echo", "--echo"]);
    assert_eq!(status, Some(3));
    assert!(err.starts_with("wampd register: wamp.error.procedure_already_exists: "), "{err}");

    let Ended { status, err, .. } = run(&["call", "com.example.echo", "--realm", "realm2"]);
    assert_eq!(status, Some(4));
    assert!(err.starts_with("wampd call: wamp.error.no_such_realm: "), "{err}");

    assert_eq!(run(&["call"]).status, Some(2));
    let not_found = format!("{}x", router.ws);
    let Ended { status, err, .. } = run(&["call", "com.example.echo", "--url", &not_found]);
    assert_eq!(status, Some(2), "--url twice: {err}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wampd"));
    let ended = Ended::from(command.args(["call", "a", "--url", &not_found]).output().expect("the program runs"));
    assert_eq!(ended.status, Some(5));
    assert!(ended.err.starts_with("wampd call: the transport was not opened: HTTP: "), "{}", ended.err);
    drop(router);
    callee.join().expect("no panic");
}

#[test]
fn an_answer_that_does_not_come() {
    let router = Router::start();
    let mut callee = router.client();
    callee.register("com.example.slow", RegisterOptions::default()).expect("registered");
    assert_eq!(
        router.run(&["call", "com.example.slow", "--timeout", "1"]),
        ended(1, "", "wampd call: no answer came in time\n")
    );
    assert!(matches!(callee.next_event(Some(LONG)), Ok(Some(ClientEvent::Invocation { .. }))));
    assert!(matches!(callee.next_event(Some(LONG)), Ok(Some(ClientEvent::Interrupted { .. }))));
}

#[test]
fn credentials_from_everywhere() {
    let router = Router::start();
    let callee = callee(&router);
    let file = std::env::temp_dir().join(format!("wampd-secret-{}", std::process::id()));
    std::fs::File::create(&file).and_then(|mut file| file.write_all(b"ada's secret\nmore\n")).expect("written");
    let file = file.to_str().expect("text");
    let call = |args: &[&str]| {
        let mut command = router.command(&["call", "com.example.echo", "1"]);
        Ended::from(command.args(args).env("SECRET", "tim's ticket").output().expect("the program runs"))
    };
    let welcome = ended(0, "1\n", "");
    assert_eq!(call(&["--auth", "wampcra", "--authid", "ada", "--secret-file", file]), welcome);
    assert_eq!(call(&["--auth", "ticket", "--authid", "tim", "--secret-env", "SECRET"]), welcome);
    let salted = call(&["--auth", "wampcra", "--authid", "peter", "--secret", "secret1"]);
    assert_eq!((salted.status, salted.out.as_str()), (Some(0), "1\n"));
    assert!(salted.err.starts_with("wampd call: warning: --secret can be seen "), "{}", salted.err);
    assert!(!salted.err.contains("secret1"), "{}", salted.err);
    assert_eq!(
        call(&["--auth", "wampcra", "--authid", "ada", "--secret-env", "SECRET"]),
        ended(4, "", "wampd call: wamp.error.not_authorized: WAMP-CRA client signature is invalid\n")
    );
    std::fs::remove_file(file).expect("there");
    drop(router);
    callee.join().expect("no panic");
}

#[test]
fn publish_and_subscribe() {
    let router = Router::start();
    let mut publisher = router.client();
    let running = router.start_command(&["subscribe", "com.open.", "--match", "prefix", "--json", "--count", "2"]);
    let (line, mut running) = publish_until_line(&mut publisher, "com.open.news", running);
    let publisher_session = publisher.session().session.get();
    let start = "{\"topic\":\"com.open.news\",\"publication\":";
    assert!(line.starts_with(start), "{line}");
    let who = format!("\"publisher\":{{\"session\":{publisher_session},\"authid\":");
    assert!(line.contains(&who) && line.ends_with("\"args\":[\"x\"]}\n"), "{line}");
    let published = router.run(&["publish", "com.open.more", "--acknowledge", "1", "--kwargs", "{\"a\":\"b\"}"]);
    assert_eq!((published.status, published.err.as_str()), (Some(0), ""));
    let id: u64 = published.out.trim().parse().expect("an id");
    let second = loop {
        let line = running.line();
        // What was published before it printed its first line may come first: then that was the second one.
        if line.contains("com.open.more") || line.is_empty() {
            break line;
        }
    };
    if !second.is_empty() {
        assert!(second.contains(&format!("\"publication\":{id}")), "{second}");
        assert!(second.ends_with("\"args\":[1],\"kwargs\":{\"a\":\"b\"}}\n"), "{second}");
    }
    assert_eq!(running.end(), ended(0, "", ""));

    // For people, and to the end by a signal, which is how it usually ends.
    for signal in ["-INT", "-TERM"] {
        let running = router.start_command(&["subscribe", "com.example.news"]);
        let (line, running) = publish_until_line(&mut publisher, "com.example.news", running);
        assert_eq!(line, "com.example.news: \"x\"\n");
        running.signal(signal);
        let Ended { status, err, .. } = running.end();
        assert_eq!((status, err.as_str()), (Some(0), ""), "{signal}");
    }
    let running = router.start_command(&["subscribe", "com.example.news", "--count", "1000000"]);
    let (_, running) = publish_until_line(&mut publisher, "com.example.news", running);
    running.signal("-INT");
    let Ended { status, err, .. } = running.end();
    assert_eq!((status, err.as_str()), (Some(1), "wampd subscribe: interrupted\n"));

    // Without --acknowledge nothing is printed, and nobody learns of a refusal.
    assert_eq!(router.run(&["publish", "com.example.news", "1"]), ended(0, "", ""));
    assert_eq!(router.run(&["publish", "com.secret.news", "1"]), ended(0, "", ""));
    let json = router.run(&["publish", "com.example.news", "--acknowledge", "--json"]);
    assert!(json.out.starts_with("{\"publication\":") && json.status == Some(0), "{json:?}");
}

#[test]
fn a_subscriber_whose_router_is_gone() {
    let router = Router::start();
    let mut publisher = router.client();
    let running = router.start_command(&["subscribe", "com.example.news"]);
    let (_, running) = publish_until_line(&mut publisher, "com.example.news", running);
    router.handle.shut_down();
    let Ended { status, err, .. } = running.end();
    assert_eq!(status, Some(5));
    assert!(err.starts_with("wampd subscribe: the connection was lost: ") && err.contains("1001"), "{err}");
}

#[test]
fn register_answers_with_echo_and_reply() {
    let router = Router::start();
    let mut caller = router.client();
    for (args, expected) in [
        (&["--echo"][..], vec![Value::from(2), Value::from(3)]),
        (
            &["--reply", "{\"sum\":5}"],
            vec![Value::from(
                [("sum".to_owned(), Value::from(5))].into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            )],
        ),
        (&["--reply", "{\"args\":[1,2]}"], vec![Value::from(1), Value::from(2)]),
    ] {
        let args = [&["register", "com.example.add2", "--count", "1"][..], args].concat();
        let running = router.start_command(&args);
        let result = call(&mut caller, "com.example.add2", &[2, 3]).expect("answered");
        assert_eq!(result.values().expect("decodable").0, expected);
        assert_eq!(running.end(), ended(0, "com.example.add2: 2 3\n", ""));
    }
    let args = ["register", "com.open.", "--match", "prefix", "--echo", "--count", "1", "--json"];
    let running = router.start_command(&args);
    call(&mut caller, "com.open.any", &[1]).expect("answered");
    let Ended { out, .. } = running.end();
    let session = caller.session().session;
    let expected = format!("{{\"procedure\":\"com.open.any\",\"caller\":{{\"session\":{session},");
    assert!(out.starts_with(&expected) && out.ends_with("\"args\":[1]}\n"), "{out}");
}

fn failure(result: Result<Payload, Error>) -> (String, Vec<Value>) {
    match result {
        Err(Error::Failed(failure)) => {
            (failure.error.as_str().to_owned(), failure.payload.values().expect("decodable").0)
        }
        other => panic!("an error was expected, not {other:?}"),
    }
}

#[test]
fn register_answers_with_programs() {
    let router = Router::start();
    let mut caller = router.client();
    let exec = |more: &[&'static str]| {
        router.start_command(&[&["register", "com.example.run", "--count", "1", "--exec"][..], more].concat())
    };
    let running = exec(&["--", "cat"]);
    let result = call(&mut caller, "com.example.run", &[2, 3]).expect("answered").values().expect("decodable").0;
    let [Value::Dict(given)] = &result[..] else { panic!("{result:?}") };
    assert_eq!(given["procedure"], Value::from("com.example.run"));
    assert_eq!(given["args"], Value::from(vec![Value::from(2), Value::from(3)]));
    assert_eq!(given["kwargs"].as_dict().map(|kwargs| kwargs.len()), Some(0));
    assert_eq!(running.end().status, Some(0));

    let running = exec(&["--", "sh", "-c", "echo told only here >&2; exit 3"]);
    let (error, args) = failure(call(&mut caller, "com.example.run", &[]));
    assert_eq!((error.as_str(), &args[..]), ("wamp.error.runtime_error", &[Value::from("the program failed")][..]));
    let Ended { status, err, .. } = running.end();
    assert_eq!(status, Some(0));
    assert!(err.contains("told only here\n") && err.contains("exit status: 3"), "{err}");

    let running = exec(&["--exec-timeout", "1", "--", "sleep", "600"]);
    assert_eq!(failure(call(&mut caller, "com.example.run", &[])).0, "wamp.error.timeout");
    assert_eq!(running.end().status, Some(0));

    let running = exec(&["--", "/nonexistent/program"]);
    let (_, args) = failure(call(&mut caller, "com.example.run", &[]));
    assert_eq!(args, [Value::from("the program could not be run")]);
    assert_eq!(running.end().status, Some(0));
}

#[test]
fn calls_of_programs_wait_for_their_turn_and_can_be_canceled() {
    let router = Router::start();
    let mut caller = router.client();
    // The first program hangs; both calls are canceled, the waiting one first. The third is answered.
    let script = "read line; case $line in *hang*) exec sleep 600;; esac; echo 1";
    let args = ["register", "com.example.run", "--count", "4", "--exec", "--", "sh", "-c", script];
    let running = router.start_command(&args);
    call(&mut caller, "com.example.run", &[]).expect("answered");
    let mut send = |text: &str| {
        let payload = Payload::from_args([Value::from(text)]);
        caller.send_call("com.example.run", CallOptions::default(), payload).expect("sent")
    };
    let (first, second, third) = (send("hang"), send("wait"), send("last"));
    for request in [second, first] {
        caller.cancel(request, Some(wampd_core::message::CancelMode::Kill)).expect("waits");
        let event = caller.next_event(Some(LONG)).expect("the session lives");
        let Some(ClientEvent::Failed { request: failed, error, .. }) = event else { panic!("{event:?}") };
        assert_eq!((failed, error), (request, error::CANCELED));
    }
    let event = caller.next_event(Some(LONG)).expect("the session lives");
    let Some(ClientEvent::Result { request, .. }) = event else { panic!("{event:?}") };
    assert_eq!(request, third);
    assert_eq!(running.end().status, Some(0));
}

#[test]
fn a_call_that_is_interrupted_is_canceled() {
    let router = Router::start();
    let mut callee = router.client();
    callee.register("com.example.slow", RegisterOptions::default()).expect("registered");
    let running = router.start_command(&["call", "com.example.slow"]);
    assert!(matches!(callee.next_event(Some(LONG)), Ok(Some(ClientEvent::Invocation { .. }))));
    running.signal("-INT");
    assert!(matches!(callee.next_event(Some(LONG)), Ok(Some(ClientEvent::Interrupted { .. }))));
    assert_eq!(running.end(), ended(1, "", "wampd call: interrupted\n"));
}
