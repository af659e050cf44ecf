//! Links that die without a word: no FIN and no RST ever arrives.

use super::harness::{Folder, PATIENCE, Router, config};
use serde_json::json;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

/// Two hosts with a cable between them. They are network namespaces, so root and iproute2 are needed.
struct Hosts {
    router: String,
    callee: String,
}

/// The address of the router's host, from a block for documentation (RFC 5737). Nothing leaves the two namespaces.
const ROUTER: &str = "192.0.2.1";

impl Hosts {
    /// `None`: this user may not make namespaces. Where everything must be tested that is a failure.
    fn new() -> Option<Self> {
        let id = std::process::id();
        let this = Self { router: format!("wampd-router-{id}"), callee: format!("wampd-callee-{id}") };
        let Self { router, callee } = &this;
        let made = ip(&format!("netns add {router}")) && ip(&format!("netns add {callee}"));
        assert!(made || std::env::var("CI").as_deref() != Ok("true"), "CI must test with network namespaces");
        if !made {
            eprintln!("NOT TESTED: this user can make no network namespaces");
            return None;
        }
        for command in [
            format!("-n {router} link add cable type veth peer name cable netns {callee}"),
            format!("-n {router} addr add {ROUTER}/24 dev cable"),
            format!("-n {callee} addr add 192.0.2.2/24 dev cable"),
            format!("-n {router} link set lo up"),
            format!("-n {router} link set cable up"),
            format!("-n {callee} link set cable up"),
        ] {
            assert!(ip(&command), "ip {command}");
        }
        Some(this)
    }

    fn cut(&self) {
        assert!(ip(&format!("-n {} link set cable down", self.callee)));
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.callee));
        ip(&format!("netns del {}", self.router));
    }
}

fn ip(arguments: &str) -> bool {
    let command = Command::new("ip").args(arguments.split(' ')).stderr(Stdio::null()).status();
    command.is_ok_and(|status| status.success())
}

/// A client of the command line on one of the hosts.
fn client(host: &str, port: u16, arguments: &[&str]) -> Child {
    Command::new("ip")
        .args(["netns", "exec", host, env!("CARGO_BIN_EXE_wampd")])
        .args(arguments)
        .args(["--url", &format!("rs://{ROUTER}:{port}"), "--realm", "realm1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started")
}

/// Calls from the router's own host.
fn call(hosts: &Hosts, port: u16) -> Output {
    let child = client(&hosts.router, port, &["call", "com.example.far"]);
    let id = child.id().to_string();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let ended = receiver.recv_timeout(PATIENCE);
    if ended.is_err() {
        let _ = Command::new("kill").args(["-KILL", &id]).status();
    }
    ended.expect("the call is answered").expect("waited for")
}

#[test]
fn a_callee_behind_a_dead_link_does_not_hold_its_procedure() {
    let Some(hosts) = Hosts::new() else { return };
    let mut config = config();
    config["workers"][0]["transports"][1]["endpoint"]["interface"] = json!(ROUTER);
    config["wampd"]["limits"] =
        json!({"tcp_keepalive_ms": 1000, "tcp_user_timeout_ms": 1000, "write_timeout_ms": 1000});
    let inside = format!(
        r#"exec ip netns exec {} sh -c 'exec "$0" start --config "$1" --log-format json --log-level info' "$0" "$1"; "#,
        hosts.router
    );
    let router = Router::start_after(&inside, Folder::new(), &config);
    let port = router.port(1);
    let mut callee = client(&hosts.callee, port, &["register", "com.example.far", "--reply", "1"]);
    // The callee is ready when it answers.
    let answered = (0..100).any(|_| call(&hosts, port).status.success());
    assert!(answered, "the callee answers over the link");
    hosts.cut();
    // A call that is under way when the link is found dead gets an error, and whoever calls after it another.
    let first = call(&hosts, port);
    assert_eq!(first.status.code(), Some(3), "{first:?}");
    let second = call(&hosts, port);
    let why = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(3) && why.contains("wamp.error.no_such_procedure"), "{second:?}");
    callee.kill().expect("killed");
    callee.wait().expect("waited for");
}
