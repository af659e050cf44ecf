//! Whatever a session with ordinary rights sends: what the router sends to others is valid, and their sessions go on.

use rand_core::Rng;
use wampd_core::codec::Format;
use wampd_tests::neighbours::{Odd, Street, annoy};
use wampd_tests::rng::Pcg;

fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    Pcg::new(seed).fill_bytes(&mut bytes);
    bytes
}

#[test]
fn whatever_a_session_sends_others_are_sent_what_is_valid_and_go_on() {
    let (mut heard, mut ended) = (0, 0);
    for seed in 0..150 {
        let street = annoy(&bytes(seed, 400));
        heard += street.heard;
        ended += street.closed.len();
    }
    assert!(heard > 8_000 && ended > 100, "{heard} messages to neighbours, {ended} ends of the stranger");
}

fn text(text: &str) -> Odd {
    Odd::Text(text.to_owned())
}

fn options(entries: &[(&str, Odd)]) -> Odd {
    Odd::Map(entries.iter().map(|(key, value)| (text(key), value.clone())).collect())
}

fn publish(options: Odd, topic: &str, rest: &[Odd]) -> Odd {
    Odd::List([&[Odd::Int(16), Odd::Int(1), options, text(topic)], rest].concat())
}

fn call(request: i64, options: Odd, procedure: &str, rest: &[Odd]) -> Odd {
    Odd::List([&[Odd::Int(48), Odd::Int(request), options, text(procedure)], rest].concat())
}

fn register() -> Odd {
    Odd::List(vec![Odd::Int(64), Odd::Int(1), options(&[]), text("com.stranger")])
}

fn args(value: Odd) -> Odd {
    Odd::List(vec![value])
}

/// Each kind of message that a strict receiver refuses, as it would come to others, in the serializer and with the features
/// (all, or none) of the stranger.
fn kinds() -> Vec<(&'static str, Format, bool, Vec<Odd>)> {
    use Format::{Cbor, Json, MsgPack};
    let none = || options(&[]);
    let bytes = || Odd::Raw(r#""\u0000YWI=""#);
    let mut kinds = vec![];
    for (what, all) in [("not announced", false), ("announced", true)] {
        for (name, value) in [("bogus", "bogus"), ("without a name", ""), ("in capitals", "x_AB")] {
            let enc = |key: &str| options(&[(key, text(value)), ("enc_algo", text("cryptobox"))]);
            let algorithm = options(&[("enc_algo", text(value))]);
            let context =
                move |message: &str| -> &'static str { format!("{message} with an enc_ {name}, {what}").leak() };
            kinds.push((context("PUBLISH"), Json, all, vec![publish(algorithm.clone(), "com.a", &[bytes()])]));
            kinds.push((context("CALL"), Json, all, vec![call(1, algorithm.clone(), "com.neighbour1", &[bytes()])]));
            kinds.push((context("PUBLISH"), Json, all, vec![publish(enc("enc_serializer"), "com.a", &[bytes()])]));
            let answer = |n| Odd::List(vec![Odd::Int(70), Odd::Int(n), algorithm.clone(), bytes()]);
            kinds.push((context("YIELD"), Json, all, core::iter::once(register()).chain((1..7).map(answer)).collect()));
        }
    }
    let known = options(&[("enc_algo", text("cryptobox"))]);
    kinds.push(("enc_algo that is not announced", Json, false, vec![publish(known.clone(), "com.a", &[bytes()])]));
    kinds.push(("enc_algo without a payload", Json, false, vec![publish(known, "com.a", &[])]));
    let key = options(&[("enc_key", text("k"))]);
    kinds.push(("enc_key without enc_algo", Json, true, vec![publish(key, "com.a", &[])]));
    for uri in ["not a uri #!", "", "com..b", "com.a\u{1c}", "com.\u{1f}b", "com.\u{feff}", "\0com", "\0YWI=", "x\n"] {
        let name = |what: &str| -> &'static str { format!("{what} {uri:?}").leak() };
        let error = Odd::List(vec![Odd::Int(8), Odd::Int(68), Odd::Int(1), none(), text(uri)]);
        kinds.push((name("ERROR.Error"), Json, true, vec![register(), error.clone()]));
        kinds.push((name("ERROR.Error"), MsgPack, true, vec![register(), error]));
        kinds.push((name("a topic"), Cbor, true, vec![publish(none(), uri, &[])]));
        kinds.push((name("a procedure"), Cbor, true, vec![call(1, none(), &format!("com.pattern1{uri}"), &[])]));
        kinds.push((name("an error that a callee takes from its caller"), Json, true, {
            (1..3).map(|n| call(n, none(), "com.neighbour1", &[args(text(uri))])).collect()
        }));
        let reason = options(&[("reason", text(uri))]);
        let revoke = call(1, none(), "wamp.registration.remove_callee", &[Odd::List(vec![Odd::Int(1)]), reason]);
        kinds.push((name("a reason"), Cbor, true, vec![revoke]));
        let testament = call(1, none(), "wamp.session.add_testament", &[Odd::List(vec![text(uri), Odd::List(vec![])])]);
        kinds.push((name("the topic of a testament"), Cbor, true, vec![testament, Odd::List(vec![])]));
    }
    let mut content = |format, values: &[&'static str]| {
        for value in values {
            let name: &'static str = format!("content {value}").leak();
            let published = publish(none(), "com.a", &[args(Odd::Raw(value))]);
            kinds.push((name, format, true, vec![published]));
            let answer = Odd::List(vec![
                Odd::Int(70),
                Odd::Int(1),
                none(),
                Odd::List(vec![]),
                options(&[("k", Odd::Raw(value))]),
            ]);
            kinds.push((name, format, true, vec![register(), answer]));
        }
    };
    content(Json, &[r#""\u0000abc""#, r#"{"a":["\u0000YWJ="]}"#]);
    let tags = ["c06178", "c1c101", "c26178", "c301", "c48101", "c58261780a", "c16178", "d81901", "d81d00", "d82541aa"];
    content(Cbor, &tags);
    content(MsgPack, &["c701ff00", "d7ffffffffff00000000", "a400616263"]);
    for (format, key) in [(Cbor, Odd::Int(1)), (MsgPack, Odd::Int(1)), (Cbor, Odd::Null), (MsgPack, Odd::List(vec![]))]
    {
        let rest = [Odd::List(vec![]), Odd::Map(vec![(key, Odd::Int(1))])];
        kinds.push(("kwargs whose keys are not text", format, true, vec![publish(none(), "com.a", &rest)]));
    }
    kinds
}

#[test]
fn each_kind_of_message_that_a_receiver_must_refuse_harms_its_sender_alone() {
    let harmful = kinds().into_iter().filter(|(_, format, all, messages)| {
        let harm = std::panic::catch_unwind(|| {
            let mut street = Street::new();
            street.stranger(*format, *all);
            for message in messages {
                street.send(message);
            }
        });
        harm.is_err()
    });
    let harmful: Vec<_> = harmful.map(|(name, format, ..)| (name, format)).collect();
    assert!(harmful.is_empty(), "{} kinds harm others: {harmful:#?}", harmful.len());
}
