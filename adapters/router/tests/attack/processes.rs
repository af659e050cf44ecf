//! What the death of a router, or of what it has started, leaves behind; and what its children may know.

use crate::harness::{Folder, PATIENCE, Router, config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A configuration with a guest that runs this script.
fn with_guest(script: &str, env: Value) -> Value {
    let mut config = config();
    let guest = json!({"type": "guest", "id": "guest", "executable": "sh", "arguments": ["-c", script],
        "options": {"env": env}});
    config["workers"].as_array_mut().expect("a list").push(guest);
    config
}

/// A guest in whose group is another process; it writes both numbers to the log.
const FAMILY: &str = "sleep 3600 & echo family $$ $!; wait";

/// The processes that the guest tells of.
fn family(router: &Router) -> Vec<u32> {
    // A component that fails has its say before.
    let told = |count| {
        let line = router.wait_for_lines("process output", count);
        Some(line["line"].as_str()?.strip_prefix("family ")?.to_owned())
    };
    let numbers = (1..).find_map(told).expect("numbers");
    numbers.split(' ').map(|number| number.parse().expect("a number")).collect()
}

/// Whether a process runs. One that has ended may still wait for its parent to collect its exit status.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

fn guard_of(router: &Router, count: usize) -> u32 {
    let pid = router.wait_for_lines("guard started", count)["pid"].as_u64().expect("a pid");
    u32::try_from(pid).expect("a pid")
}

fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    kill_process(pid, signal).expect("sent");
}

/// The folders of private sockets.
fn sockets(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect()
}

/// A component that cannot be imported: it has a private socket all the same.
fn with_component(mut config: Value) -> Value {
    let component = json!({"type": "class", "classname": "nothing.Nothing", "realm": "realm1", "role": "user"});
    config["workers"][0]["components"] = json!([component]);
    config
}

#[test]
fn a_router_that_is_killed_leaves_no_process_and_no_folder() {
    let temporary = Folder::new();
    let before = format!("export TMPDIR='{}' && ", temporary.path().display());
    let config = with_component(with_guest(FAMILY, json!({})));
    let mut router = Router::start_after(&before, Folder::new(), &config);
    let (family, guard) = (family(&router), guard_of(&router, 1));
    assert!(family.len() == 2 && family.iter().all(|pid| runs(*pid)));
    wait_until("no folder", || sockets(temporary.path()).len() == 1);
    router.child.kill().expect("killed");
    router.child.wait().expect("ended");
    wait_until("guests go on", || !family.iter().any(|pid| runs(*pid)));
    wait_until("the guard goes on", || !runs(guard));
    assert_eq!(sockets(temporary.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_guard_that_is_killed_is_replaced() {
    let mut router = Router::start(&with_guest(FAMILY, json!({})));
    let family = family(&router);
    send(guard_of(&router, 1), Signal::KILL);
    let guard = guard_of(&router, 2);
    assert!(runs(guard) && family.iter().all(|pid| runs(*pid)));
    router.child.kill().expect("killed");
    router.child.wait().expect("ended");
    wait_until("guests go on", || !family.iter().any(|pid| runs(*pid)));
}

#[test]
fn a_shutdown_in_good_order_leaves_no_process_either() {
    let mut router = Router::start(&with_guest(FAMILY, json!({})));
    let (family, guard) = (family(&router), guard_of(&router, 1));
    router.signal("TERM");
    assert!(router.child.wait().expect("ended").success());
    wait_until("processes go on", || !family.iter().chain([&guard]).any(|pid| runs(*pid)));
}

#[test]
fn what_a_router_and_its_guard_have_left_behind_is_removed_at_the_next_start() {
    let temporary = Folder::new();
    let before = format!("export TMPDIR='{}' && ", temporary.path().display());
    let config = with_component(config());
    let alive = Router::start_after(&before, Folder::new(), &config);
    let mut router = Router::start_after(&before, Folder::new(), &config);
    wait_until("both have no folder", || sockets(temporary.path()).len() == 2);
    // The router is stopped, so that it does not replace the guard. To stop the guard is not enough: it is in a group of
    // its own, which the system continues when the router ends.
    let guard = guard_of(&router, 1);
    send(router.child.id(), Signal::STOP);
    send(guard, Signal::KILL);
    wait_until("the guard goes on", || !runs(guard));
    router.child.kill().expect("killed");
    router.child.wait().expect("ended");
    assert_eq!(sockets(temporary.path()).len(), 2);
    let next = Router::start_after(&before, Folder::new(), &config);
    assert_eq!(sockets(temporary.path()).len(), 2, "that of the dead is gone, that of the living is not");
    drop((alive, next));
}

#[test]
fn children_do_not_inherit_the_secrets_of_the_configuration() {
    let script = r#"echo "secret=$THE_SECRET other=$OTHER""#;
    let before = "export THE_SECRET=xyz OTHER=abc && ";
    let inherited = |env: Value| {
        let mut config = with_guest(script, env);
        config["workers"][0]["transports"][0]["paths"]["ws"]["auth"] =
            json!({"ticket": {"type": "static", "principals": {"joe": {"ticket": "${THE_SECRET}", "role": "user"}}}});
        let router = Router::start_after(before, Folder::new(), &config);
        router.wait_for_lines("process output", 1)["line"].as_str().expect("a line").to_owned()
    };
    assert_eq!(inherited(json!({})), "secret= other=abc");
    assert_eq!(inherited(json!({"inherit": true})), "secret= other=abc");
    assert_eq!(inherited(json!({"inherit": ["THE_SECRET", "PATH"]})), "secret=xyz other=");
    assert_eq!(inherited(json!({"vars": {"THE_SECRET": "${THE_SECRET}"}})), "secret=xyz other=abc");
}
