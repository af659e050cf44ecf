//! The binary: `wampd start` from its start to its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use wampd_core::client::{ClientConfig, Credential};
use wampd_core::message::{CallOptions, Payload};
use wampd_core::uri::{Uri, close};
use wampd_mio::client::{Client, ConnectError, End, Options, Url};

/// No test waits longer than this for what is going to happen.
const LONG: Duration = Duration::from_secs(60);

/// A folder of its own for a test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wampd-start-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.0.join(name), content).expect("written");
    }

    /// The example, on ports of the system's choice and with these limits.
    fn example(&self, limits: &str, farewell: &str) {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/wampcra-function");
        let read = |name| std::fs::read_to_string(example.join(name)).expect("read");
        let mut config: serde_json::Value = serde_json::from_str(&read("config.json")).expect("JSON");
        config["wampd"]["limits"] = serde_json::from_str(limits).expect("JSON");
        config["wampd"]["farewell"] = farewell.into();
        let transports = config["workers"][0]["transports"].as_array_mut().expect("a list");
        for transport in transports.iter_mut() {
            transport["endpoint"]["port"] = 0.into();
        }
        let auth = transports[1]["auth"].clone();
        let endpoint = transports[1]["endpoint"].clone();
        transports.push(serde_json::json!({"type": "rawsocket", "endpoint": endpoint, "auth": auth}));
        self.write("config.json", &config.to_string());
        self.write("authenticator.rhai", &read("authenticator.rhai"));
        std::fs::create_dir_all(self.0.join("web")).expect("a folder");
        self.write("web/index.html", "<h1>hello</h1>");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running `wampd start`, with its log lines.
struct Wampd {
    child: Child,
    lines: mpsc::Receiver<String>,
    log: Vec<serde_json::Value>,
    ports: Vec<u16>,
}

fn wampd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wampd"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Wampd {
    /// Starts the example; it listens on three ports: WebSocket at `/ws`, WebSocket for the backend, RawSocket.
    fn example(folder: &Folder, limits: &str) -> Self {
        Self::parting(folder, limits, "silent")
    }

    /// The same with `wampd.farewell`.
    fn parting(folder: &Folder, limits: &str, farewell: &str) -> Self {
        folder.example(limits, farewell);
        let folder = folder.0.to_str().expect("UTF-8");
        let mut child = wampd(&["start", "--cbdir", folder, "--log-format=json", "--log-level", "debug"]);
        let mut child = child.spawn().expect("started");
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut this = Self { child, lines, log: Vec::new(), ports: Vec::new() };
        for _ in 0..3 {
            let endpoint = this.wait_for("listening")["endpoint"].as_str().expect("text").to_owned();
            this.ports.push(endpoint.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port"));
        }
        this
    }

    /// The next line about this event.
    fn wait_for(&mut self, event: &str) -> serde_json::Value {
        loop {
            let line = self.lines.recv_timeout(LONG).unwrap_or_else(|_| panic!("no {event:?} in {:#?}", self.log));
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            self.log.push(line.clone());
            if line["event"] == event {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        // `kill` is built into every shell.
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(status.expect("a shell").success());
    }

    /// Waits for the end; returns its status and the whole log.
    fn end(mut self) -> (ExitStatus, Vec<serde_json::Value>) {
        // Its stderr ends with the process.
        while let Ok(line) = self.lines.recv_timeout(LONG) {
            self.log.push(serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}")));
        }
        (self.child.wait().expect("waited for"), std::mem::take(&mut self.log))
    }

    fn join(&self, authid: &str, secret: &str) -> Result<Client, ConnectError> {
        let url: Url = format!("ws://127.0.0.1:{}/ws", self.ports[0]).parse().expect("a URL");
        let credential = Credential::Cra(secret.to_owned());
        Client::connect(
            &url,
            &Options::default(),
            ClientConfig::with_credential(Uri::from("realm1"), authid, credential),
        )
    }

    /// A RawSocket with JSON, its handshake done.
    fn raw(&self) -> Raw {
        let mut raw = Raw(self.stream(2));
        raw.0.write_all(&[0x7f, 0xf1, 0, 0]).expect("sent");
        let mut answer = [0; 4];
        raw.0.read_exact(&mut answer).expect("an answer");
        assert_eq!((answer[0], answer[1] & 15), (0x7f, 1));
        raw
    }

    fn stream(&self, transport: usize) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.ports[transport])).expect("connected");
        stream.set_read_timeout(Some(LONG)).expect("set");
        stream
    }

    /// The response to an HTTP request.
    fn http(&self, request: &str) -> String {
        let mut stream = self.stream(0);
        stream.write_all(request.as_bytes()).expect("sent");
        stream.shutdown(Shutdown::Write).expect("shut down");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("text");
        response
    }
}

impl Drop for Wampd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that does only what it is told.
struct Raw(TcpStream);

impl Raw {
    fn send(&mut self, message: &str) {
        let len = u32::try_from(message.len()).expect("short");
        self.0.write_all(&len.to_be_bytes()).expect("sent");
        self.0.write_all(message.as_bytes()).expect("sent");
    }

    /// The next message; `None` if the connection is closed.
    fn receive(&mut self) -> Option<serde_json::Value> {
        let mut head = [0; 4];
        self.0.read_exact(&mut head).ok()?;
        let mut message = vec![0; u32::from_be_bytes(head) as usize];
        self.0.read_exact(&mut message).expect("the rest");
        Some(serde_json::from_slice(&message).expect("JSON"))
    }
}

const HELLO: &str = r#"[1,"realm1",{"roles":{"caller":{}}}]"#;

#[test]
fn stop_ends_the_node_of_a_folder() {
    let folder = Folder::new("stop");
    let cbdir = format!("--cbdir={}", folder.0.display());
    let stop = |args: &[&str]| wampd(args).output().expect("run");
    let nobody = stop(&["stop", &cbdir]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no node runs from"), "{nobody:?}");
    let node = Wampd::example(&folder, "{}");
    let again = stop(&["start", &cbdir]);
    assert_eq!(again.status.code(), Some(1));
    let says = format!("a node runs from this folder already as process {}", node.child.id());
    assert!(String::from_utf8_lossy(&again.stderr).contains(&says), "{again:?}");
    let stopped = stop(&["stop", &cbdir]);
    assert_eq!(stopped.status.code(), Some(0), "{stopped:?}");
    let (status, log) = node.end();
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(!folder.0.join("node.pid").exists());
    assert_eq!(stop(&["stop", &cbdir]).status.code(), Some(1));
    assert_eq!(stop(&["stop", "--cbdir"]).status.code(), Some(2));
}

#[test]
fn a_configuration_is_looked_for_in_the_folder() {
    let folder = Folder::new("folder");
    std::fs::create_dir_all(folder.0.join(".crossbar")).expect("a folder");
    folder.write(".crossbar/other.json", "{\"version\": 2}");
    let check = |args: &[&str]| {
        let output = wampd(args).current_dir(&folder.0).output().expect("run");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    for args in [&["check", "--cbdir=.crossbar", "--config=other.json"][..], &["check", ".crossbar/other.json"]] {
        let says = check(args);
        assert!(says.starts_with(".crossbar/other.json:") && says.contains("\"workers\" is missing"), "{says}");
    }
    // As Crossbar.io looks for it.
    let says = check(&["start", "--config=other.json", "--loglevel=trace", "--logformat=nocolor"]);
    assert!(says.starts_with(".crossbar/other.json:") && says.contains("not started"), "{says}");
    assert!(check(&["start", "--config=nowhere.json"]).starts_with("nowhere.json: error: cannot read"));
    let says = check(&["start"]);
    assert!(says.starts_with(".crossbar: error: there is no configuration in this folder"), "{says}");
}

/// Waits for the end of a client.
fn end_of(client: &mut Client) -> End {
    loop {
        match client.next_event(Some(LONG)) {
            Ok(event) => assert!(event.is_some(), "no end"),
            Err(end) => return end,
        }
    }
}

#[test]
fn it_serves_until_it_is_told_to_stop_and_its_clients_take_that_for_a_loss() {
    let folder = Folder::new("goodbye");
    let mut wampd = Wampd::example(&folder, "{}");
    let mut client = wampd.join("client1", "secret123").expect("joins");
    let call = client.call("com.example.add2", CallOptions::default(), Payload::empty());
    assert!(call.expect_err("no backend").to_string().contains("wamp.error.no_such_procedure"));
    let joined = wampd.wait_for("session joined");
    assert_eq!((&joined["authid"], &joined["authprovider"]), (&"client1".into(), &"function".into()));
    wampd.signal("TERM");
    let end = end_of(&mut client);
    assert!(matches!(&end, End::Lost(_)) && end.to_string().contains("1001"), "{end}");
    drop(client);
    let (status, log) = wampd.end();
    assert_eq!(status.code(), Some(0));
    let events: Vec<&str> = log.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events.last(), Some(&"stopped"), "{events:?}");
    let left = log.iter().find(|line| line["event"] == "session left").expect("a line");
    assert_eq!((&left["session"], &left["cause"]), (&joined["session"], &"the router shuts down".into()));
}

#[test]
fn it_says_goodbye_if_it_is_configured_to() {
    let folder = Folder::new("told");
    let mut wampd = Wampd::parting(&folder, "{}", "told");
    let mut client = wampd.join("client1", "secret123").expect("joins");
    let joined = wampd.wait_for("session joined");
    wampd.signal("TERM");
    let end = end_of(&mut client);
    assert!(matches!(&end, End::Left(reason) if *reason == close::SYSTEM_SHUTDOWN), "{end}");
    drop(client);
    let (status, log) = wampd.end();
    assert_eq!(status.code(), Some(0));
    let left = log.iter().find(|line| line["event"] == "session left").expect("a line");
    assert_eq!((&left["session"], &left["reason"]), (&joined["session"], &"wamp.close.system_shutdown".into()));
}

#[test]
fn a_second_signal_does_not_wait_for_peers() {
    let folder = Folder::new("second");
    let patient = r#"{"goodbye_timeout_ms": 3600000, "shutdown_timeout_ms": 3600000}"#;
    let wampd = Wampd::parting(&folder, patient, "told");
    let mut raw = wampd.raw();
    raw.send(HELLO);
    assert_eq!(raw.receive().expect("WELCOME")[0], 2);
    wampd.signal("INT");
    let goodbye = raw.receive().expect("GOODBYE");
    assert_eq!((&goodbye[0], &goodbye[2]), (&6.into(), &"wamp.close.system_shutdown".into()));
    wampd.signal("INT");
    let (status, _) = wampd.end();
    assert_eq!(status.code(), Some(1));
    assert_eq!(raw.receive(), None);
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let folder = Folder::new("refused");
    let wampd = Wampd::example(&folder, "{}");
    let refused = |authid: &str, secret: &str| match wampd.join(authid, secret) {
        Err(ConnectError::Aborted(aborted)) => aborted.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused("nobody", "secret123"),
        "com.example.no_such_user: could not authenticate session - no such user nobody"
    );
    assert_eq!(refused("client1", "guess"), "wamp.error.not_authorized: WAMP-CRA client signature is invalid");
    wampd.signal("TERM");
    let (status, log) = wampd.end();
    assert_eq!(status.code(), Some(0));
    let log = format!("{log:?}");
    for secret in ["secret123", "secret2", "123456", "prq7+YkJ1/KlW1X0YczMHw==", "guess"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_handshake_left_hanging_is_ended() {
    let folder = Folder::new("hanging");
    let wampd = Wampd::example(&folder, r#"{"handshake_timeout_ms": 200}"#);
    let mut raw = wampd.raw();
    let abort = raw.receive().expect("ABORT");
    assert_eq!((&abort[0], &abort[2]), (&3.into(), &"wamp.error.authentication_failed".into()));
    assert_eq!(raw.receive(), None, "closed");
    // Others joined meanwhile, and later.
    wampd.join("client1", "secret123").expect("joins");
}

#[test]
fn files_and_other_paths() {
    let folder = Folder::new("files");
    let wampd = Wampd::example(&folder, "{}");
    let page = wampd.http("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("\r\n\r\n<h1>hello</h1>"), "{page}");
    let head = wampd.http("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.contains("\r\nContent-Length: 14\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(page.starts_with(&head));
    for (path, status) in [("/../config.json", 404), ("/nothing", 404), ("/ws", 426), ("/wsx", 404)] {
        let response = wampd.http(&format!("GET {path}?secret=secret123 HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {response}");
    }
    wampd.signal("TERM");
    let (_, log) = wampd.end();
    assert!(!format!("{log:?}").contains("secret123"), "queries are not logged");
    assert!(log.iter().any(|line| line["event"] == "http response" && line["status"] == 426));
}

fn output(args: &[&str]) -> (Option<i32>, String, String) {
    let output = wampd(args).output().expect("ran");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_can_not_be_started_is_said() {
    let folder = Folder::new("errors");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    folder.write(
        "taken.json",
        &format!(
            r#"{{"version": 2, "workers": [{{"type": "router",
            "realms": [{{"name": "realm1", "roles": [{{"name": "anonymous"}}]}}],
            "transports": [{{"type": "rawsocket",
                "endpoint": {{"type": "tcp", "interface": "127.0.0.1", "port": {port}}}}}]}}]}}"#
        ),
    );
    folder.write("wrong.yaml", "version: 2\nworkers: []\nsurprise: 1\n");
    let path = |name: &str| folder.0.join(name).to_str().expect("UTF-8").to_owned();

    let (code, out, err) = output(&["start", "--config", &path("taken.json")]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains(&format!("wampd: not started: cannot listen on tcp4:127.0.0.1:{port}: ")), "{err}");
    assert!(err.contains("another program listens there"), "{err}");

    let (code, _, err) = output(&["start", "--config", &path("wrong.yaml")]);
    assert_eq!(code, Some(1));
    assert!(err.contains("wrong.yaml:3:1: error: surprise: unknown key") && err.contains("not started"), "{err}");
    for (name, events) in
        [("wrong.yaml", &["configuration", "configuration", "not started"][..]), ("taken.json", &["not started"])]
    {
        let (code, _, err) = output(&["start", "--log-format", "json", "--config", &path(name)]);
        let lines = err.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let found: Vec<String> =
            lines.filter(|line| line["level"] == "error").map(|line| line["event"].to_string()).collect();
        let wanted: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
        assert_eq!((code, found), (Some(1), wanted), "{err}");
    }
    let (code, _, err) = output(&["start", "--config", &path("missing.json")]);
    assert!(code == Some(1) && err.contains("cannot read the file"), "{err}");
    let (code, _, err) = output(&["start", "--cbdir", &path("")]);
    assert!(code == Some(1) && err.contains("there is no configuration in this folder"), "{err}");

    for args in [
        &["start", "config.json"][..],
        &["start", "--log-level", "loud"],
        &["start", "--log-format", "xml"],
        &["start", "--nonsense"],
    ] {
        let (code, out, err) = output(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains("usage: wampd start"), "{err}");
    }
}
