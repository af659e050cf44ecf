//! Attacks on the accounts of others: cookies that are planted, stolen, or meant to have ended.

use crate::harness::{Folder, Router, config};
use crate::websocket::{WebSocket, outcome};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NOBODY: &str = "wamp.error.no_matching_auth_method";

/// A router that remembers joe and mallory by cookies, and its store.
fn with_cookies(store: &Value) -> Value {
    let mut config = config();
    let principal = |name: &str| json!({"ticket": format!("ticket-of-{name}"), "role": "user"});
    config["workers"][0]["transports"][0]["paths"]["ws"] = json!({
        "type": "websocket",
        "options": {"allowed_origins": ["http://localhost"]},
        "cookie": {"store": store},
        "auth": {
            "ticket": {"type": "static", "principals": {"joe": principal("joe"), "mallory": principal("mallory")}},
            "cookie": {}
        }
    });
    config
}

fn log_in(socket: &mut WebSocket, user: &str) {
    let welcome = socket.join("realm1", &["cookie", "ticket"], Some(user), &format!("ticket-of-{user}"));
    assert_eq!(welcome[0], 2, "{welcome}");
}

/// A session that has logged in, and its cookie.
fn logged_in(router: &Router, user: &str) -> (WebSocket, String) {
    let mut socket = WebSocket::open(router.port(0), "");
    log_in(&mut socket, user);
    let cookie = socket.cookie().expect("a cookie");
    (socket, cookie)
}

/// Whom the router takes the bearer of a cookie for.
fn bearer(router: &Router, cookie: &str) -> String {
    outcome(&WebSocket::with_cookie(router.port(0), cookie).join("realm1", &["cookie"], None, ""))
}

#[test]
fn a_planted_cookie_does_not_let_the_attacker_in_as_the_victim() {
    let router = Router::start(&with_cookies(&json!({"type": "memory"})));
    let attacker = WebSocket::open(router.port(0), "");
    let issued = attacker.cookie().expect("a cookie");
    for planted in [issued.as_str(), "cbtid=AAAAAAAAAAAAAAAAAAAAAAAA"] {
        let mut victim = WebSocket::with_cookie(router.port(0), planted);
        log_in(&mut victim, "joe");
        assert_eq!(bearer(&router, planted), NOBODY);
        // The victim has a cookie that nobody else knows.
        let own = victim.cookie().expect("a cookie");
        assert!(own != planted);
        assert_eq!(bearer(&router, &own), "joe with role user by cookie");
    }
}

#[test]
fn a_planted_cookie_of_the_attackers_own_account_does_not_become_the_victims() {
    let router = Router::start(&with_cookies(&json!({"type": "memory"})));
    for logs_out_meanwhile in [false, true] {
        let (mut attacker, planted) = logged_in(&router, "mallory");
        let mut victim = WebSocket::with_cookie(router.port(0), &planted);
        if logs_out_meanwhile {
            attacker.leave("wamp.close.logout");
        }
        let welcome = victim.join("realm1", &["ticket"], Some("joe"), "ticket-of-joe");
        assert_eq!(outcome(&welcome), "joe with role user by static");
        assert_eq!(bearer(&router, &planted), NOBODY);
        // Nor does a second login over the same connection bring it back.
        victim.leave("wamp.close.normal");
        log_in(&mut victim, "joe");
        assert_eq!(bearer(&router, &planted), NOBODY);
    }
}

#[test]
fn a_cookie_is_not_taken_from_a_header_of_responses() {
    let router = Router::start(&with_cookies(&json!({"type": "memory"})));
    let (_joe, cookie) = logged_in(&router, "joe");
    let mut socket = WebSocket::open(router.port(0), &format!("Set-Cookie: {cookie}\r\n"));
    assert_eq!(outcome(&socket.join("realm1", &["cookie"], None, "")), NOBODY);
}

/// A disk of a few pages that is really full. Unmounted at the end.
struct SmallDisk(Folder);

impl SmallDisk {
    /// `None`: this user may not mount.
    fn new() -> Option<Self> {
        let folder = Folder::new();
        let mut mounted = false;
        for program in [&["mount"][..], &["sudo", "-n", "mount"]] {
            let mut command = Command::new(program[0]);
            command.args(&program[1..]).args(["-t", "tmpfs", "-o", "size=32k,mode=0777", "tmpfs"]).arg(folder.path());
            let status = command.stdin(Stdio::null()).stderr(Stdio::null()).status();
            mounted = mounted || status.is_ok_and(|status| status.success());
        }
        assert!(mounted || std::env::var_os("CI").is_none(), "in CI this test must be able to mount a small disk");
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills the disk to the last byte.
    fn fill(&self) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.filler()).expect("a file");
        while file.write(&[0; 64]).is_ok_and(|n| n > 0) {}
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        for program in [&["umount"][..], &["sudo", "-n", "umount"]] {
            let mut command = Command::new(program[0]);
            let _ = command.args(&program[1..]).arg(self.path()).stdin(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

/// Logs out while nothing more can be written to the file of cookies, and checks after `kill -9` who is known still.
fn log_out_on_a_full_disk(file: &Path, before: &str, fill: impl FnOnce(), free: impl FnOnce()) {
    let config = with_cookies(&json!({"type": "file", "filename": file}));
    let mut router = Router::start_after(before, Folder::new(), &config);
    let (mut leaver, ended) = logged_in(&router, "joe");
    let (_stays, kept) = logged_in(&router, "joe");
    fill();
    // Logins use up what the last page of the file has left.
    let mut others = Vec::new();
    while router.lines("cookies not written to their file").is_empty() {
        assert!(others.len() < 100, "the disk was not full");
        others.push(logged_in(&router, "mallory"));
    }
    leaver.leave("wamp.close.logout");
    assert_eq!(bearer(&router, &ended), NOBODY);
    router.child.kill().expect("killed");
    router.child.wait().expect("ended");
    free();

    let router = Router::start(&config);
    assert_eq!(bearer(&router, &ended), NOBODY, "the logout was lost");
    assert_eq!(bearer(&router, &kept), "joe with role user by cookie");
    drop(others);
}

#[test]
fn a_logout_is_not_lost_when_the_disk_is_full() {
    let Some(disk) = SmallDisk::new() else {
        eprintln!("not run: this user may not mount a small disk");
        return;
    };
    let fill = || disk.fill();
    log_out_on_a_full_disk(&disk.path().join("cookies"), "", fill, || {
        std::fs::remove_file(disk.filler()).expect("removed");
    });
}

#[test]
fn a_logout_is_not_lost_when_the_file_may_not_grow() {
    let folder = Folder::new();
    // Blocks of 512 bytes: room for some records, not for all.
    log_out_on_a_full_disk(&folder.path().join("cookies"), "trap '' XFSZ && ulimit -f 3 && ", || {}, || {});
}
