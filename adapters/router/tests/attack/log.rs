//! A standard error that nobody reads.

use super::harness::{Bystander, Folder, PATIENCE, Raw, config, free_port};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A router whose standard error is a pipe that the test reads when it likes. It is killed at the end of the test.
struct Unread {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl Unread {
    fn start(limits: Value) -> Self {
        let mut config = config();
        let [web, port] = [free_port(), free_port()];
        let transports = &mut config["workers"][0]["transports"];
        transports[0]["endpoint"]["port"] = web.into();
        transports[1]["endpoint"]["port"] = port.into();
        config["wampd"]["limits"] = limits;
        let folder = Folder::new();
        let file = folder.write("config.json", config.to_string());
        let child = Command::new(env!("CARGO_BIN_EXE_wampd"))
            .args(["start", "--log-format", "json", "--log-level", "info", "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "it does not listen");
            std::thread::yield_now();
        }
        Self { child, port, _folder: folder }
    }

    /// Makes about so many lines: two for each session.
    fn make_lines(&self, count: usize) {
        for _ in 0..count / 2 {
            let mut session = Raw::join(self.port);
            session.send(&json!([6, {}, "wamp.close.normal"]));
            assert_eq!(session.receive()[0], 6);
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe holds 64 KiB: some 250 lines.
const FAR_TOO_MANY: usize = 1_000;

#[test]
fn a_log_that_nobody_reads_stops_neither_sessions_nor_the_shutdown() {
    let mut router = Unread::start(json!({}));
    let bystander = Bystander::join(router.port);
    router.make_lines(FAR_TOO_MANY);
    bystander.wait_for_answers(100);
    drop(bystander);
    let mut session = Raw::join(router.port);
    let signal = Command::new("kill").arg("-TERM").arg(router.child.id().to_string()).status().expect("kill");
    assert!(signal.success());
    assert!(session.receive_to_close().is_empty(), "nothing is said at a shutdown");
    let began = Instant::now();
    let status = loop {
        if let Some(status) = router.child.try_wait().expect("waited for") {
            break status;
        }
        assert!(began.elapsed() < PATIENCE, "SIGTERM has no effect");
        std::thread::yield_now();
    };
    assert!(status.success(), "{status}");
}

#[test]
fn dropped_log_lines_are_counted_once_somebody_reads() {
    let mut router = Unread::start(json!({"max_log_bytes": 4096}));
    router.make_lines(FAR_TOO_MANY);
    let stderr = router.child.stderr.take().expect("piped");
    let (mut events, mut dropped) = (0, 0);
    for line in BufReader::new(stderr).lines() {
        let line: Value = serde_json::from_str(&line.expect("read")).expect("whole lines of JSON");
        match line["event"].as_str() {
            Some("session joined" | "session left") => events += 1,
            Some(event) if event.starts_with("log lines dropped") => {
                dropped = line["count"].as_u64().expect("a count");
                break;
            }
            _ => {}
        }
    }
    assert!(dropped > 0);
    assert_eq!(events + dropped, FAR_TOO_MANY as u64, "each line is written or counted");
}
