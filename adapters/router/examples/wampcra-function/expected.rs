//! What backend and client must see, line by line; `*` stands for any text.

/// The client with the right secret.
pub(super) const WELCOME: &[&str] = &[
    "Client session connected. Starting WAMP-CRA authentication on realm 'realm1' as user 'client1' ..",
    CHALLENGE,
    "Client session joined:",
    "SessionDetails(realm=\"realm1\",",
    "               session=*,",
    "               authid=\"client1\",",
    "               authrole=\"frontend\",",
    "               authmethod=\"wampcra\",",
    "               authprovider=\"function\",",
    "               serializer=\"cbor.batched\",",
    "               transport=\"websocket\")",
    "call result: 5",
    "registration failed - this is expected: ApplicationError(error=<wamp.error.not_authorized>, args=['session \
     (session_id=*, authid=\"client1\", authrole=\"frontend\") is not authorized to register procedure \
     \"com.example.mul2\" on realm \"realm1\"'])",
    "ok, event published to topic com.example.topic1",
    "ok, event published to topic com.foobar.topic1",
    "publication to topic com.example.topic2 failed - this is expected: \
     ApplicationError(error=<wamp.error.not_authorized>, \
     args=['session not authorized to publish to topic 'com.example.topic2''])",
    "publication to topic com.foobar.topic2 failed - this is expected: \
     ApplicationError(error=<wamp.error.not_authorized>, \
     args=['session not authorized to publish to topic 'com.foobar.topic2''])",
    "Client session left: CloseDetails(reason=<wamp.close.normal>, message='None')",
    "Client session disconnected.",
];

/// The client with a wrong secret.
pub(super) const REFUSED: &[&str] = &[
    "Client session connected. Starting WAMP-CRA authentication on realm 'realm1' as user 'client1' ..",
    CHALLENGE,
    "Client session left: CloseDetails(reason=<wamp.error.not_authorized>, message='WAMP-CRA client signature is invalid')",
    "Client session disconnected.",
];

const CHALLENGE: &str = "WAMP-CRA challenge received: Challenge(method=wampcra, challenge='{\"authid\": \"client1\", \
    \"authrole\": \"frontend\", \"authmethod\": \"wampcra\", \"authprovider\": \"function\", \"session\": *, \
    \"nonce\": \"*\", \"timestamp\": \"*Z\"}')";

/// The backend.
pub(super) const BACKEND: &[&str] = &[
    "ok, subscribed to topic com.example.topic1",
    "ok, subscribed to topic com.foobar.topic1",
    "ok, subscribed to topic com.foobar.topic2",
    "subscription to topic com.example.topic2 failed - this is expected: wamp.error.not_authorized: *",
    "ok, procedure com.example.add2 registered",
    "com.example.add2 called with 2 and 3",
    "event received on topic com.example.topic1: hello",
    "event received on topic com.foobar.topic1: hello",
    "backend left: wamp.close.normal",
];

/// How the lines of `who` differ from what was expected.
pub(super) fn compare(who: &str, lines: &[String], expected: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    for number in 0..lines.len().max(expected.len()) {
        match (lines.get(number), expected.get(number)) {
            (Some(line), Some(pattern)) if matches(line, pattern) => {}
            (line, pattern) => {
                let line = line.map_or("nothing", String::as_str);
                let pattern = pattern.unwrap_or(&"nothing");
                problems.push(format!("{who}, line {}: expected {pattern}\n    but saw {line}", number + 1));
            }
        }
    }
    problems
}

/// Whether a line is as the pattern says.
fn matches(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|start| line.strip_prefix(start)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}
