//! What the commands say without a router: see `tests/client_commands.rs` for what they do with one.

use super::super::{Outcome, Streams, run};
use super::payload::{Content, from_arguments, from_value, tame};
use std::io;
use wampd_core::message::Payload;
use wampd_core::value::{Dict, Value};

fn wampd(args: &[&str]) -> (Outcome, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut streams = Streams { input: &mut io::empty(), out: &mut out, err: &mut err };
    let outcome = run(args.iter().map(Into::into), &mut streams).expect("memory");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (outcome, text(out), text(err))
}

/// What is wrong with a command line.
fn complaint(args: &[&str]) -> String {
    let (outcome, out, err) = wampd(args);
    assert_eq!((outcome, out.as_str()), (Outcome::Usage, ""), "{args:?}: {err}");
    let command = args[0];
    assert!(err.contains(&format!("\n\nusage: wampd {command} ")), "{err}");
    let line = err.lines().next().expect("a line");
    line.strip_prefix(&format!("wampd {command}: ")).unwrap_or_else(|| panic!("{line}")).to_owned()
}

#[test]
fn wrong_calls_are_explained() {
    for (args, expected) in [
        (&["call"][..], "give a procedure"),
        (&["publish"], "give a topic"),
        (&["subscribe"], "give one topic"),
        (&["subscribe", "a", "b"], "give one topic"),
        (&["register"], "give a procedure"),
        (&["register", "a"], "give one of --echo, --reply and --exec"),
        (&["register", "a", "--echo", "--exec", "--", "cat"], "what is \"cat\"? Give one procedure"),
        (&["register", "a", "--echo", "--reply", "1"], "give one of --echo, --reply and --exec"),
        (&["register", "a", "b", "--echo"], "what is \"b\"? Give one procedure"),
        (&["register", "a", "--exec"], "--exec needs a program, after --"),
        (&["register", "a", "--echo", "--exec-timeout", "3"], "--exec-timeout is of use only with --exec"),
        (&["register", "a", "--echo", "--invoke", "any"], "--invoke must be single, roundrobin, random, first or last"),
        (&["call", "a", "--nonsense"], "unknown option --nonsense"),
        (&["call", "a", "--count", "1"], "unknown option --count"),
        (&["call", "a", "--timeout", "0"], "--timeout must be a number from 1 to 86400"),
        (&["subscribe", "a", "--match", "regex"], "--match must be exact, prefix or wildcard"),
        (&["subscribe", "a", "--count", "0"], "--count must be a number from 1 to 18446744073709551615"),
        (
            &["call", "a", "--url", "http://localhost"],
            "--url \"http://localhost\": unknown scheme \"http\": expected ws, wss, rs, rss or unix",
        ),
        (
            &["call", "a", "--serializer", "xml"],
            "--serializer must be json, cbor or msgpack, or one of them with .batched",
        ),
        (
            &["call", "a", "--url", "unix:x", "--serializer", "json.batched"],
            "--serializer: RawSocket has no batched serializers",
        ),
        (
            &["call", "a", "--auth", "magic", "--secret", "x"],
            "--auth must be anonymous, ticket, wampcra, scram, wamp-scram, cryptosign or tls",
        ),
        (&["call", "a", "--auth", "cryptosign", "--secret", "x"], "the private key is not 32 bytes in hexadecimal"),
        (&["call", "a", "--auth", "tls", "--secret", "x"], "--auth tls has no secret"),
        (&["call", "a", "--tls-ca", "x"], "--tls-ca, --tls-cert and --tls-key are of use only with wss and rss"),
        (&["call", "a", "--url", "wss://localhost", "--tls-cert", "x"], "--tls-cert and --tls-key go together"),
        (
            &["call", "a", "--auth", "ticket", "--authid", "b"],
            "--auth ticket needs --secret-env, --secret-file or --secret",
        ),
        (&["call", "a", "--auth", "wampcra", "--secret", "x"], "--auth wampcra needs --authid"),
        (&["call", "a", "--secret", "x"], "--auth anonymous has no secret"),
        (&["call", "a", "--auth", "ticket", "--secret", "x", "--secret-env", "y"], "give the secret in one way only"),
        (&["call", "a", "--auth", "ticket", "--secret", ""], "the secret is empty"),
    ] {
        assert_eq!(complaint(args), expected, "{args:?}");
    }
    assert!(complaint(&["call", "a", "--kwargs", "[1]"]).starts_with("the keyword arguments are no JSON object"));
    assert!(complaint(&["register", "a", "--reply", "nonsense"]).starts_with("--reply: "));
    assert!(complaint(&["call", "a", &"1".repeat(4_301)]).starts_with("the arguments can not be sent"));
    assert!(
        complaint(&["call", "a", "--auth", "ticket", "--secret-env", "WAMPD_TEST_NO_SUCH_VARIABLE"])
            .starts_with("--secret-env WAMPD_TEST_NO_SUCH_VARIABLE: ")
    );
    assert!(
        complaint(&["call", "a", "--auth", "ticket", "--secret-file", "/nonexistent"])
            .starts_with("--secret-file /nonexistent: ")
    );
}

#[test]
fn the_usage_fits_a_terminal() {
    for command in ["call", "publish", "subscribe", "register"] {
        let (outcome, usage, _) = wampd(&["help", command]);
        assert_eq!(outcome, Outcome::Success);
        assert!(usage.lines().all(|line| line.len() <= 100), "{usage}");
    }
}

#[test]
fn nobody_listens() {
    let (outcome, out, err) = wampd(&["call", "com.example.add2", "--url", "unix:/nonexistent/wampd.sock"]);
    assert_eq!((outcome, out.as_str()), (Outcome::NoConnection, ""));
    assert_eq!(err, "wampd call: no connection: No such file or directory (os error 2)\n");
}

fn arguments(args: &[&str], kwargs: Option<&str>) -> (Vec<Value>, Dict) {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    from_arguments(&args, kwargs).expect("valid").values().expect("decodable")
}

#[test]
fn arguments_are_json_or_text() {
    let args = ["1", "-2.5", "true", "null", "hello", "\"1\"", "[1, \"a\"]", "{\"a\": 1}", "1 2", "nan", ""];
    let expected = vec![
        Value::from(1),
        Value::from(-2.5),
        Value::from(true),
        Value::Null,
        Value::from("hello"),
        Value::from("1"),
        Value::from(vec![Value::from(1), Value::from("a")]),
        Value::from(Dict::from([("a".to_owned(), Value::from(1))])),
        Value::from("1 2"),
        Value::from("nan"),
        Value::from(""),
    ];
    assert_eq!(arguments(&args, None), (expected, Dict::new()));
    let kwargs = Dict::from([("a".to_owned(), Value::from(1)), ("b".to_owned(), Value::from("x"))]);
    assert_eq!(arguments(&[], Some(r#" {"b": "x", "a": 1} "#)), (vec![], kwargs));
    assert_eq!(arguments(&[], None), (vec![], Dict::new()));
    assert_eq!(arguments(&["\"\\u0000AP8=\""], None).0, [Value::Binary(vec![0, 255])]);
}

#[test]
fn answers_are_one_value_or_a_whole() {
    let values = |text| from_value(text).expect("valid").values().expect("decodable");
    let a = Dict::from([("a".to_owned(), Value::from(1))]);
    assert_eq!(values(""), (vec![], Dict::new()));
    assert_eq!(values(" 5\n"), (vec![Value::from(5)], Dict::new()));
    assert_eq!(values("[1]"), (vec![Value::from(vec![Value::from(1)])], Dict::new()));
    assert_eq!(values(r#"{"a":1}"#), (vec![Value::from(a.clone())], Dict::new()));
    assert_eq!(values(r#"{"args":[1,2],"kwargs":{"a":1}}"#), (vec![Value::from(1), Value::from(2)], a.clone()));
    assert_eq!(values(r#"{"kwargs":{"a":1}}"#), (vec![], a));
    assert_eq!(values(r#"{"args":[]}"#), (vec![], Dict::new()));
    assert_eq!(values("{}"), (vec![Value::from(Dict::new())], Dict::new()));
    for nonsense in ["hello", "1 2", "{", "{\"args\":[1}"] {
        assert!(from_value(nonsense).is_err(), "{nonsense}");
    }
    // Not of args and kwargs alone, or not of their types: one value like any other.
    for value in [r#"{"args":[1],"more":2}"#, r#"{"args":1}"#] {
        assert_eq!(values(value).0.len(), 1, "{value}");
    }
}

#[test]
fn values_are_shown_as_json() {
    let args = vec![Value::from("a\nb"), Value::from(0.1), Value::Binary(vec![0, 255]), Value::UInt(u64::MAX)];
    let content = Content::of(&Payload::from_values(args, Dict::from([("k".to_owned(), Value::Null)])));
    assert_eq!(content.to_string(), r#""a\nb" 0.1 "\u0000AP8=" 18446744073709551615 k=null"#);
    assert_eq!(content.lines(), "a\nb\n0.1\n\0AP8=\n18446744073709551615\nk=null\n");
    assert_eq!(Content::of(&Payload::empty()).lines(), "");
    assert_eq!(Content::of(&Payload::opaque(vec![1].into())).to_string(), r#""\u0000AQ==""#);
    let shown = Content::of(&Payload::from_args([Value::from("\0x")])).to_string();
    assert!(shown.starts_with('(') && shown.contains("JSON"), "{shown}");
}

#[test]
fn peers_do_not_command_the_terminal() {
    assert_eq!(tame("a\u{1b}[2Jb\nc\u{9b}ä"), "a\\u{1b}[2Jb\\nc\\u{9b}ä");
}
