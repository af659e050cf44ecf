//! A fixed amount of work, for `instructions.py` to count its instructions under callgrind.
//!
//! Arguments: what, serializer, bytes of payload, how many messages. Without arguments every kind of work is done once,
//! as a smoke test.

mod rig;

use std::hint::black_box;
use std::process::ExitCode;
use wampd_core::codec::{DecodeLimits, Format, decode, encode};
use wampd_core::uri::MatchPolicy;

const WHAT: [&str; 5] = ["decode CALL", "encode CALL", "CALL to RESULT", "PUBLISH to EVENT", "PUBLISH to 100"];

/// How many others "among others" are.
const OTHERS: usize = 100_000;

#[allow(clippy::disallowed_methods, reason = "a program of its own, not the core")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [what, format, len, count] => {
            let format = Format::ALL.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(format));
            let (Some(format), Ok(len), Ok(count)) = (format, len.parse(), count.parse()) else {
                eprintln!("wrong arguments: {arguments:?}");
                return ExitCode::FAILURE;
            };
            work(what, format, len, count)
        }
        _ => {
            let mut all = WHAT.iter().flat_map(|what| Format::ALL.map(|format| work(what, format, 16, 10)));
            all.find(|&code| code != ExitCode::SUCCESS).unwrap_or(ExitCode::SUCCESS)
        }
    }
}

fn work(what: &str, format: Format, len: usize, count: u64) -> ExitCode {
    if let Some(message) = what.strip_prefix("prepare ") {
        black_box(match message {
            "CALL" => rig::calls(format, 1..=count, len),
            "YIELD" => rig::yields(format, 1..=count, len),
            _ => rig::publishes(format, 1..=count, len),
        });
        return ExitCode::SUCCESS;
    }
    let (what, others) = match what.strip_suffix(" among others") {
        Some(what) => (what, OTHERS),
        None => (what, 0),
    };
    let mut rig = rig::crowded(format, others);
    let (sender, receiver) = (rig.join(), rig.join());
    match what {
        "decode CALL" => {
            for frame in rig::calls(format, 1..=count, len) {
                black_box(decode(format, frame, &DecodeLimits::default()).expect("a message"));
            }
            return ExitCode::SUCCESS;
        }
        "encode CALL" => {
            let mut out = Vec::with_capacity(2 * len + 1024);
            for frame in rig::calls(format, 1..=1, len) {
                let message = decode(format, frame, &DecodeLimits::default()).expect("a message");
                for _ in 0..count {
                    out.clear();
                    encode(black_box(&message), format, &mut out).expect("the same format");
                    black_box(&out);
                }
            }
            return ExitCode::SUCCESS;
        }
        "CALL to RESULT" => {
            rig.register(receiver, rig::PROCEDURE, MatchPolicy::Exact);
            let calls = rig::calls(format, 1..=count, len).into_iter();
            let yields = rig::yields(format, 1..=count, len).into_iter();
            for (call, answer) in calls.zip(yields) {
                rig.frame(sender, call);
                rig.frame(receiver, answer);
            }
        }
        "PUBLISH to EVENT" | "PUBLISH to 100" => {
            rig.subscribe(receiver, rig::TOPIC, MatchPolicy::Exact);
            for _ in 1..if what == "PUBLISH to 100" { 100 } else { 1 } {
                let other = rig.join();
                rig.subscribe(other, rig::TOPIC, MatchPolicy::Exact);
            }
            rig::publishes(format, 1..=count, len).into_iter().for_each(|frame| rig.frame(sender, frame));
        }
        "leave" => {
            for _ in 0..count {
                let peer = rig.join();
                rig::hold(&mut rig, peer, others..others + len);
                rig.leave(peer);
            }
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("no such work: {what}");
            return ExitCode::FAILURE;
        }
    }
    if rig.sent as u64 >= count { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
