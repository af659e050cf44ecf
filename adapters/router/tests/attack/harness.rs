//! A router in a process of its own, attackers that send bytes, and a bystander that counts answers.

#![allow(dead_code, unreachable_pub, reason = "each module of the suite uses a part of it")]

pub use crate::folder::Folder;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// No test waits longer than this for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration with default limits: `realm1`, whose role `user` may do everything except touch other sessions.
///
/// Transport 0 is a WebSocket at `/ws`, transport 1 is RawSocket; both let anonymous clients in as `user`. Tests change
/// what they need in the JSON.
pub fn config() -> Value {
    let anonymous = json!({"anonymous": {"type": "static", "role": "user"}});
    let all = json!({"call": true, "register": true, "publish": true, "subscribe": true});
    json!({
        "version": 2,
        "workers": [{
            "type": "router",
            "realms": [{"name": "realm1", "roles": [
                {"name": "user", "permissions": [{"uri": "", "match": "prefix", "allow": all}]}
            ]}],
            "transports": [
                {"type": "web", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
                 "paths": {"ws": {"type": "websocket", "auth": anonymous}}},
                {"type": "rawsocket", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
                 "auth": anonymous}
            ]
        }],
        "wampd": {"limits": {}}
    })
}

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

/// A running `wampd start`. It is killed at the end of the test.
pub struct Router {
    pub child: Child,
    pub folder: Folder,
    ports: Vec<u16>,
    log: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl Router {
    /// Starts the router with this configuration.
    pub fn start(config: &Value) -> Self {
        Self::start_in(Folder::new(), config, None)
    }

    /// Starts the router under `ulimit -v`: an allocation beyond `bytes` of address space ends the process.
    pub fn start_with_address_limit(config: &Value, bytes: u64) -> Self {
        Self::start_in(Folder::new(), config, Some(bytes))
    }

    /// Starts the router in a folder that already holds what the configuration names.
    pub fn start_in(folder: Folder, config: &Value, address_limit: Option<u64>) -> Self {
        let limit = address_limit.map_or_else(String::new, |bytes| format!("ulimit -v {} && ", bytes / 1024));
        Self::start_after(&limit, folder, config)
    }

    /// Starts the router from a shell that does something before, such as `ulimit -f 2 && `.
    pub fn start_after(before: &str, folder: Folder, config: &Value) -> Self {
        let file = folder.write("config.json", config.to_string());
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!(r#"{before}exec "$0" start --config "$1" --log-format json --log-level info"#))
            .arg(env!("CARGO_BIN_EXE_wampd"))
            .arg(file)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let log = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let (stderr, shared) = (child.stderr.take().expect("piped"), log.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| json!({"event": "not JSON", "line": line}));
                shared.0.lock().expect("not poisoned").push(line);
                shared.1.notify_all();
            }
        });
        let transports = config["workers"].as_array().into_iter().flatten();
        let transports = transports.filter_map(|worker| worker["transports"].as_array()).map(Vec::len).sum();
        let mut this = Self { child, folder, ports: Vec::new(), log };
        this.wait_for_lines("listening", transports);
        this.ports = this
            .lines("listening")
            .iter()
            .map(|line| line["endpoint"].as_str().and_then(|at| at.rsplit(':').next()?.parse().ok()).unwrap_or(0))
            .collect();
        this
    }

    /// The TCP port of a transport.
    pub fn port(&self, transport: usize) -> u16 {
        self.ports[transport]
    }

    /// What the process holds, by `/proc`.
    pub fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field of /proc/PID/status");
            line.trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1024
        };
        Memory { resident: field("VmRSS:"), peak: field("VmHWM:") }
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("waited for").is_none()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        // `kill` is built into every shell.
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(status.expect("a shell").success());
    }

    /// The log lines so far of this event.
    pub fn lines(&self, event: &str) -> Vec<Value> {
        let log = self.log.0.lock().expect("not poisoned");
        log.iter().filter(|line| line["event"] == event).cloned().collect()
    }

    /// The whole log so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.0.lock().expect("not poisoned").clone()
    }

    /// Waits until the log has `count` lines of this event, and returns the last of them.
    pub fn wait_for_lines(&self, event: &str, count: usize) -> Value {
        let log = self.log.0.lock().expect("not poisoned");
        let too_few = |log: &mut Vec<Value>| log.iter().filter(|line| line["event"] == event).count() < count;
        let (log, waited) = self.log.1.wait_timeout_while(log, PATIENCE, too_few).expect("not poisoned");
        assert!(!waited.timed_out(), "fewer than {count} lines {event:?} in {log:#?}");
        log.iter().filter(|line| line["event"] == event).nth(count.saturating_sub(1)).cloned().unwrap_or_default()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            eprintln!("the last lines of the log: {:#?}", &log[log.len().saturating_sub(20)..]);
        }
    }
}

/// A plain TCP connection to the router.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.set_nodelay(true).expect("set");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.set_write_timeout(Some(PATIENCE)).expect("set");
    stream
}

/// The serializers of RawSocket, by their number in the handshake.
pub const JSON: u8 = 1;
pub const MSGPACK: u8 = 2;
pub const CBOR: u8 = 3;

/// A RawSocket connection that sends whatever it is told to.
pub struct Raw(pub TcpStream);

impl Raw {
    /// Connects and does the RawSocket handshake; accepts messages of up to 16 MiB.
    pub fn open(port: u16, serializer: u8) -> Self {
        let mut raw = Self(connect(port));
        raw.0.write_all(&[0x7f, 0xf0 | serializer, 0, 0]).expect("sent");
        let mut answer = [0; 4];
        raw.0.read_exact(&mut answer).expect("an answer");
        assert_eq!((answer[0], answer[1] & 15), (0x7f, serializer), "the handshake is accepted");
        raw
    }

    /// Connects with JSON and joins `realm1` with every role, anonymously.
    pub fn join(port: u16) -> Self {
        let mut raw = Self::open(port, JSON);
        let welcome = raw.hello();
        assert_eq!(welcome[0], 2, "{welcome}");
        raw
    }

    /// Says HELLO in JSON and returns the answer.
    pub fn hello(&mut self) -> Value {
        let roles = json!({
            "caller": {"features": {"progressive_call_results": true, "call_canceling": true}},
            "callee": {"features": {"progressive_call_results": true, "call_canceling": true}},
            "publisher": {}, "subscriber": {}
        });
        self.send(&json!([1, "realm1", {"roles": roles}]));
        self.receive()
    }

    /// Sends one message of these bytes.
    pub fn send_bytes(&mut self, message: &[u8]) {
        self.try_send_bytes(message).expect("sent");
    }

    /// Sends one message of these bytes; the router may have ended the connection.
    pub fn try_send_bytes(&mut self, message: &[u8]) -> io::Result<()> {
        let len = u32::try_from(message.len()).expect("at most 16 MiB").to_be_bytes();
        let header = if message.len() == 1 << 24 { [8, 0, 0, 0] } else { [0, len[1], len[2], len[3]] };
        self.0.write_all(&header)?;
        self.0.write_all(message)
    }

    /// Sends a message in JSON.
    pub fn send(&mut self, message: &Value) {
        self.send_bytes(message.to_string().as_bytes());
    }

    /// The next message as bytes; pings are passed over.
    pub fn try_receive_bytes(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut header = [0; 4];
            self.0.read_exact(&mut header)?;
            let len = u32::from_be_bytes([header[0] >> 3, header[1], header[2], header[3]]);
            let mut message = vec![0; len as usize];
            self.0.read_exact(&mut message)?;
            if header[0] & 7 == 0 {
                return Ok(message);
            }
        }
    }

    /// The next message in JSON.
    pub fn receive(&mut self) -> Value {
        let message = self.try_receive_bytes().expect("a message");
        serde_json::from_slice(&message).expect("JSON")
    }

    /// What the router sends until it closes the connection; whether that is by an orderly end or a reset is left open.
    pub fn receive_to_close(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| match self.try_receive_bytes() {
            Ok(message) => Some(message),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("not closed within {PATIENCE:?}"),
            Err(_) => None,
        })
        .collect()
    }
}

/// Another session, which calls a procedure of its own over and over. Each call passes the router twice each way.
pub struct Bystander {
    answers: Arc<AtomicU64>,
    slowest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What a bystander noticed of an attack.
#[derive(Clone, Copy, Debug)]
pub struct Noticed {
    /// Calls answered while the attack lasted.
    pub answers: u64,
    /// The longest that one call took. For messages of failed assertions: it depends on the machine.
    pub slowest: Duration,
    /// How long the attack lasted.
    pub lasted: Duration,
}

impl Bystander {
    /// Joins over the RawSocket at this port and begins to call.
    pub fn join(port: u16) -> Self {
        let mut session = Raw::join(port);
        let procedure = format!("com.example.bystander{}", session.0.local_addr().expect("an address").port());
        session.send(&json!([64, 1, {}, procedure]));
        assert_eq!(session.receive()[0], 65);
        let [answers, slowest] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (answers, slowest, stop) = (answers.clone(), slowest.clone(), stop.clone());
            move || {
                for request in 2_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let began = Instant::now();
                    session.send(&json!([48, request, {}, procedure, ["are you there?"]]));
                    let invocation = session.receive();
                    assert_eq!(invocation[0], 68, "{invocation}");
                    session.send(&json!([70, invocation[1], {}, ["yes"]]));
                    let result = session.receive();
                    assert_eq!((&result[0], &result[1]), (&json!(50), &json!(request)), "{result}");
                    slowest.fetch_max(began.elapsed().as_micros() as u64, Ordering::Relaxed);
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let this = Self { answers, slowest, stop, thread: Some(thread) };
        this.wait_for_answers(10);
        this
    }

    /// What this bystander notices while `attack` runs.
    pub fn during<T>(&self, attack: impl FnOnce() -> T) -> (T, Noticed) {
        self.slowest.store(0, Ordering::Relaxed);
        let (before, began) = (self.answers.load(Ordering::Relaxed), Instant::now());
        let result = attack();
        let answers = self.answers.load(Ordering::Relaxed) - before;
        let slowest = Duration::from_micros(self.slowest.load(Ordering::Relaxed));
        (result, Noticed { answers, slowest, lasted: began.elapsed() })
    }

    /// Waits until so many more calls are answered.
    pub fn wait_for_answers(&self, count: u64) {
        let (from, began) = (self.answers.load(Ordering::Relaxed), Instant::now());
        while self.answers.load(Ordering::Relaxed) < from + count {
            let running = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
            assert!(running && began.elapsed() < PATIENCE, "the bystander gets no more answers");
            std::thread::yield_now();
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the bystander lost its session");
        }
    }
}

/// A port that nothing listens on.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port").port()
}
