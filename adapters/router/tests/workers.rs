//! Components and guests.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use support::TestNode;
use support::folder::Folder;
use wampd_core::client::ClientConfig;
use wampd_core::uri::Uri;
use wampd_mio::client::{Client, Options, Url};

/// A node with these workers beside the router, whose components these are. It does not wait for them.
fn config(components: &str, workers: &str) -> String {
    config_with(components, workers, r#", "listen": "at_once""#, "")
}

/// The same with more under `wampd`, and under `wampd.host_limits`.
fn config_with(components: &str, workers: &str, wampd: &str, limits: &str) -> String {
    format!(
        r#"{{"version": 2, "wampd": {{"python": "./python", "host_limits": {{"restart_backoff_ms": 1{limits}}}{wampd}}},
        "workers": [{{"type": "router", "components": [{components}],
            "realms": [{{"name": "realm1", "roles": [{{"name": "backend"}}, {{"name": "anonymous"}}]}},
                {{"name": "realm2", "roles": [{{"name": "backend"}}]}}],
            "transports": [{{"type": "rawsocket", "endpoint": {{"type": "tcp", "interface": "127.0.0.1", "port": 0}}}}]
        }}{workers}]}}"#
    )
}

/// Waits until there is something to read in a file.
fn written(folder: &Folder, name: &str) -> String {
    loop {
        let text = folder.read(name);
        if text.ends_with('\n') {
            return text;
        }
        std::thread::yield_now();
    }
}

/// An interpreter that writes down what it is given, then waits for its end.
fn false_python(folder: &Folder) {
    let script = "#!/bin/sh\nread -r program; read -r request\necho \"$request\" >> request\nread -r end\n";
    let file = folder.write("python", script);
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o700)).expect("executable");
}

#[test]
fn a_component_joins_with_its_role_over_a_socket_of_its_own() {
    let folder = Folder::new();
    false_python(&folder);
    let component = r#"{"type": "class", "classname": "a.B", "id": "bee", "realm": "realm1", "role": "backend",
        "extra": {"n": 1}}"#;
    let (node, warnings) = folder.load("config.json", &config(component, ""));
    assert_eq!(warnings, "");
    let node = TestNode::start(node);
    let request: serde_json::Value = serde_json::from_str(&written(&folder, "request")).expect("JSON");
    assert_eq!(
        (&request["component"], &request["realm"], &request["extra"]["n"]),
        (&"a.B".into(), &"realm1".into(), &1.into())
    );
    assert_eq!(request["path"][0].as_str(), folder.path().to_str());
    let socket = Path::new(request["transport"]["endpoint"]["path"].as_str().expect("a path"));
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(socket), mode(socket.parent().expect("a folder"))), (0o600, 0o700));
    let url: Url = format!("unix:{}", socket.display()).parse().expect("a URL");
    let client =
        Client::connect(&url, &Options::default(), ClientConfig::anonymous(Uri::from("realm1"))).expect("joins");
    let (authid, role, _, _) = support::who(&client);
    assert_eq!((authid.as_str(), role.as_str()), ("bee", "backend"));
    let elsewhere =
        Client::connect(&url, &Options::default(), ClientConfig::anonymous(Uri::from("realm2"))).expect("joins");
    let realm = elsewhere.session().details.realm.as_ref().map(Uri::as_str);
    assert_eq!(realm, Some("realm1"), "the realm of the component, whatever it asks for");
    let url: Url = format!("rs://127.0.0.1:{}", node.port(0)).parse().expect("a URL");
    let other =
        Client::connect(&url, &Options::default(), ClientConfig::anonymous(Uri::from("realm1"))).expect("joins");
    assert_eq!(support::who(&other).1, "anonymous", "others join as the transport says");
    drop(node);
    assert!(!socket.parent().expect("a folder").exists(), "the sockets are removed");
}

#[test]
fn components_are_started_one_after_the_other() {
    let folder = Folder::new();
    // One that is ready when it is told so, one that ends without having been, and a last one.
    let script = "#!/bin/sh\nread -r program; read -r request\necho \"$request\" >> request\n\
        case \"$request\" in\n*first*) read -r told < go; echo ready; read -r end;;\n*second*) exit 1;;\n\
        *) read -r end;;\nesac\n";
    let file = folder.write("python", script);
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o700)).expect("executable");
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("go")).status();
    assert!(made.expect("mkfifo").success());
    let component = |name: &str| {
        let component = component(name);
        format!(r#"{}, "wampd": {{"restart": "never"}}}}"#, component.trim_end_matches('}'))
    };
    let components = ["first", "second", "third"].map(component).join(", ");
    let (node, _) = folder.load("config.json", &config(&components, ""));
    let node = TestNode::start(node);
    assert!(written(&folder, "request").contains("first"));
    assert!(!node.log().contains("process=second"), "{}", node.log());
    std::fs::write(folder.path().join("go"), "go\n").expect("written");
    node.logged("process started process=third", 1);
    let log = node.log();
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text} in {log}"));
    assert!(at("process started process=second") < at("process started process=third"));
}

/// An interpreter that is ready when there is a file with the name of the component, and waits for its end.
fn patient_python(folder: &Folder) {
    let script = "#!/bin/sh\nread -r program; read -r request\n\
        name=$(echo \"$request\" | sed 's/.*\"extra\":\"\\([a-z]*\\)\".*/\\1/')\n\
        while [ ! -e \"$name\" ]; do sleep 0.01; done\necho ready\nread -r end\n";
    let file = folder.write("python", script);
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o700)).expect("executable");
}

fn component(name: &str) -> String {
    format!(
        r#"{{"type": "class", "classname": "a.B", "id": "{name}", "realm": "realm1", "role": "backend",
        "extra": "{name}"}}"#
    )
}

fn refuses(node: &TestNode) -> bool {
    let refused = std::net::TcpStream::connect(("127.0.0.1", node.port(0)));
    refused.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

fn join(node: &TestNode) -> Client {
    let url: Url = format!("rs://127.0.0.1:{}", node.port(0)).parse().expect("a URL");
    Client::connect(&url, &Options::default(), ClientConfig::anonymous(Uri::from("realm1"))).expect("joins")
}

/// Those that connect to the transports, and guests, are started when these listen.
#[test]
fn a_router_listens_when_its_components_are_ready() {
    let folder = Folder::new();
    patient_python(&folder);
    let outside = r#"{"type": "class", "classname": "c.D", "id": "outside", "realm": "realm1", "extra": "outside",
        "transport": {"type": "rawsocket", "endpoint": {"type": "tcp", "host": "127.0.0.1", "port": 1}}}"#;
    let workers = format!(
        r#", {{"type": "container", "components": [{outside}, {}]}},
        {{"type": "guest", "id": "guest", "executable": "sh", "arguments": ["-c", "read -r end"]}}"#,
        component("third")
    );
    let components = ["first", "second"].map(component).join(", ");
    let (node, warnings) = folder.load("config.json", &config_with(&components, &workers, "", ""));
    assert_eq!(warnings, "");
    let node = TestNode::start(node);
    for name in ["first", "second", "third"] {
        node.logged(&format!("process started process={name}"), 1);
        assert!(refuses(&node), "before {name} is ready");
        for later in ["outside", "guest"] {
            assert!(!node.log().contains(&format!("process started process={later}")), "{}", node.log());
        }
        folder.write(name, "");
    }
    node.logged("listening endpoint=tcp4:127.0.0.1", 1);
    join(&node);
    node.logged("process started process=outside", 1);
    node.logged("process started process=guest", 1);
}

#[test]
fn a_component_that_is_never_ready_does_not_keep_the_router_from_listening() {
    let folder = Folder::new();
    patient_python(&folder);
    let config = config_with(&component("never"), "", "", r#", "start_timeout_ms": 100"#);
    let node = TestNode::start(folder.load("config.json", &config).0);
    node.logged("listening endpoint=tcp4:127.0.0.1", 1);
    join(&node);
    let line = "component is not ready in time: others do not wait for it any more process=never \
        limit=wampd.host_limits.start_timeout_ms start_timeout_ms=100";
    assert!(node.log().contains(line), "{}", node.log());
    folder.write("never", "");
}

#[test]
fn a_component_that_fails_does_not_keep_the_router_from_listening() {
    let folder = Folder::new();
    let file = folder.write("python", "#!/bin/sh\nexit 1\n");
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o700)).expect("executable");
    let config = config_with(&component("broken"), "", "", "");
    let node = TestNode::start(folder.load("config.json", &config).0);
    node.logged("listening endpoint=tcp4:127.0.0.1", 1);
    join(&node);
    node.logged("process ended process=broken", 2);
}

#[test]
fn guests_are_started_logged_and_restarted_by_policy() {
    let folder = Folder::new();
    false_python(&folder);
    folder.write("work/here", "");
    let guest = |id: &str, script: &str, more: &str| {
        let script = serde_json::to_string(script).expect("JSON");
        format!(r#", {{"type": "guest", "id": "{id}", "executable": "sh", "arguments": ["-c", {script}]{more}}}"#)
    };
    let options = r#", "options": {"workdir": "work", "env": {"inherit": ["PATH"], "vars": {"A": "b"}}}"#;
    let workers = [
        guest("place", "ls; echo \"A is $A, HOME is $HOME\"; exit 0", options),
        guest("failing", "exit 3", ""),
        guest("eager", "exit 0", r#", "wampd": {"restart": "always"}"#),
        guest("once", "exit 4", r#", "wampd": {"restart": "never"}"#),
    ];
    let container = r#", {"type": "container", "components": [
        {"type": "class", "classname": "c.D", "realm": "realm1", "role": "backend"}]}"#;
    let (node, warnings) = folder.load("config.json", &config("", &(workers.concat() + container)));
    assert_eq!(warnings, "");
    let node = TestNode::start(node);
    assert!(written(&folder, "request").contains("\"component\":\"c.D\""));
    for (part, times) in [
        ("process output process=place line=here", 1),
        ("process output process=place line=\"A is b, HOME is\"", 1),
        ("process ended process=place", 1),
        ("process started process=failing", 3),
        ("process started process=eager", 3),
        ("process ended process=once", 1),
    ] {
        node.logged(part, times);
    }
    let log = node.log();
    let count = |part: &str| log.matches(part).count();
    assert_eq!((count("process started process=place"), count("process started process=once")), (1, 1), "{log}");
    assert!(log.contains("exit status: 3") && log.contains("restart_in_ms=1"), "{log}");
}

#[test]
fn workers_that_can_not_be_run_are_refused() {
    for (component, part) in [
        (r#"{"type": "function"}"#, "the only type is class"),
        (r#"{"type": "class", "realm": "realm1"}"#, "\"classname\" is missing"),
        (r#"{"type": "class", "classname": "A", "realm": "realm1"}"#, "names no class in a module"),
        (r#"{"type": "class", "classname": "a.B"}"#, "\"realm\" is missing"),
        (r#"{"type": "class", "classname": "a.B", "realm": "realm1", "wampd": {"restart": "x"}}"#, "on-failure"),
    ] {
        let folder = Folder::new();
        let file = folder.write("config.json", config(component, r#", {"type": "guest"}"#));
        let report = wampd::config::load(&file).expect_err("refused").to_string();
        assert!(report.contains(part) && report.contains("\"executable\" is missing"), "{component}: {report}");
    }
}
