//! What the log tells of peers that others have to put up with.

mod support;

use serde_json::json;
use support::TestNode;
use support::websocket::WebSocket;

const AUTH: &str = r#"{"anonymous": {"type": "static", "role": "user"}}"#;

/// Joins with roles that announce no feature.
fn join(node: &TestNode) -> WebSocket {
    let mut socket = WebSocket::open(node.port(0), "");
    assert_eq!(socket.join("realm1", &["anonymous"], None, "")[0], 2);
    socket
}

/// How many lines of the log have this in them. A line is written before the answer to what its peer is sent next.
fn lines(node: &TestNode, part: &str) -> usize {
    node.log().lines().filter(|line| line.contains(part) && line.contains("session=")).count()
}

#[test]
fn each_callee_that_is_asked_for_progress_without_having_announced_it_is_warned_of_once() {
    let node = TestNode::new(AUTH);
    let (mut callees, mut caller) = ([join(&node), join(&node)], join(&node));
    for (number, callee) in callees.iter_mut().enumerate() {
        callee.send(&json!([64, 1, {}, format!("com.procedure{number}")]));
        assert_eq!(callee.receive()[0], 65);
    }
    for (request, number, warnings) in [(1, 0, 1), (2, 0, 1), (3, 1, 2)] {
        let callee = &mut callees[number];
        caller.send(&json!([48, request, {"receive_progress": true}, format!("com.procedure{number}")]));
        let invocation = callee.receive();
        assert_eq!(invocation[3]["receive_progress"], true, "{invocation}");
        callee.send(&json!([70, invocation[1], {}]));
        assert_eq!(caller.receive(), json!([50, request, {}]));
        assert_eq!(lines(&node, "warn  callee is asked for progressive results"), warnings, "{}", node.log());
    }
}

#[test]
fn replaced_halves_of_surrogate_pairs_are_told_of() {
    let node = TestNode::new(AUTH);
    let mut socket = join(&node);
    for (number, text, told) in [(1, "whole", 0), (2, "ab\\ud83d", 1), (3, "whole", 1)] {
        socket.send_text(&format!(r#"[16,{number},{{"acknowledge":true}},"com.a",["{text}"]]"#));
        assert_eq!(socket.receive()[0], 17);
        // Another turn.
        socket.send_text(&format!(r#"[32,{number},{{}},"com.b"]"#));
        assert_eq!(socket.receive()[0], 33);
        assert_eq!(lines(&node, "debug halves of surrogate pairs replaced"), told, "{}", node.log());
    }
}
