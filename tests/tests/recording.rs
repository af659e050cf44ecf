//! Recordings of what a server has sent: a message that a strict receiver refuses is found, whatever it is wrapped in.

use wampd_core::codec::{Format, encode};
use wampd_core::message::{ClientRoles, Features, Hello, HelloDetails, Message};
use wampd_core::uri::Uri;
use wampd_tests::recording::Findings;

const FRAMINGS: [u8; 4] = [0, 1, 2, 3];

fn record(connection: u64, format: Format, framing: u8, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut record = connection.to_be_bytes().to_vec();
    record.extend([format as u8 * 4 + framing, kind]);
    record.extend((bytes.len() as u32).to_be_bytes());
    record.extend_from_slice(bytes);
    record
}

/// The HELLO of a subscriber.
fn hello(connection: u64) -> Vec<u8> {
    let roles = ClientRoles { subscriber: Some(Features::NONE), ..ClientRoles::default() };
    let details = HelloDetails { roles, ..HelloDetails::default() };
    let mut json = Vec::new();
    encode(&Message::from(Hello { realm: Some(Uri::from("realm1")), details }), Format::Json, &mut json).unwrap();
    record(connection, Format::Json, 3, 0, &json)
}

/// An EVENT with these details, `{}` or one entry, in a frame.
fn event(format: Format, framing: u8, details: &str) -> Vec<u8> {
    let json = format!("[36,1,2,{details}]").into_bytes();
    let message = match format {
        Format::Json => json,
        // One text as key and one as value, of a length that all serializers write alike.
        Format::Cbor => packed(&[0x84, 0x18, 36, 1, 2], [0xa0, 0x60], details),
        _ => packed(&[0x94, 36, 1, 2], [0x80, 0xa0], details),
    };
    let (opcode, length) = (if format == Format::Json { 0x81 } else { 0x82 }, message.len() as u8);
    match (framing, format) {
        (3, _) => [&[0, 0, 0, length][..], &message].concat(),
        (0, _) => [&[opcode, length][..], &message].concat(),
        (_, Format::Json) => [&[opcode, length + 1][..], &message, &[if framing == 1 { 0x1e } else { 0x18 }]].concat(),
        _ => [&[opcode, length + 4, 0, 0, 0, length][..], &message].concat(),
    }
}

fn packed(head: &[u8], [map, text]: [u8; 2], details: &str) -> Vec<u8> {
    let texts: Vec<&str> = details.split('"').skip(1).step_by(2).collect();
    let mut message = [head, &[map + texts.len() as u8 / 2]].concat();
    for words in texts {
        message.push(text + words.len() as u8);
        message.extend_from_slice(words.as_bytes());
    }
    message
}

fn check(recording: &[u8]) -> Findings {
    let mut findings = Findings::default();
    findings.add(recording).unwrap();
    findings
}

#[test]
fn valid_messages_are_counted_and_an_invalid_one_is_found_in_every_serializer_and_framing() {
    for format in Format::ALL {
        for framing in FRAMINGS {
            let valid = [event(format, framing, "{}"), event(format, framing, r#"{"topic":"com.a"}"#)];
            let mut recording = hello(7);
            valid.iter().for_each(|event| recording.extend(record(7, format, framing, 1, event)));
            let findings = check(&recording);
            assert_eq!(findings.invalid, [""; 0]);
            assert_eq!(findings.sent.into_values().collect::<Vec<_>>(), [2]);

            let invalid = event(format, framing, r#"{"topic":"no uri"}"#);
            recording.extend(record(7, format, framing, 1, &invalid));
            let invalid = check(&recording).invalid;
            assert!(matches!(&invalid[..], [why] if why.contains("no uri")), "{invalid:?}");
        }
    }
}

#[test]
fn what_a_connection_has_not_announced_is_not_for_it() {
    let event = record(8, Format::Json, 0, 1, &event(Format::Json, 0, "{}"));
    let invalid = check(&[hello(7), event].concat()).invalid;
    assert!(matches!(&invalid[..], [why] if why.contains("without the role subscriber")), "{invalid:?}");
}

#[test]
fn frames_that_do_not_hold_one_message_are_found() {
    for format in Format::ALL {
        for framing in FRAMINGS {
            let event = event(format, framing, "{}");
            for broken in [&event[..event.len() - 1], &[&event[..], b"\x00"].concat(), &event[..1], &[]] {
                let recording = [hello(7), record(7, format, framing, 1, broken)].concat();
                assert_eq!(check(&recording).invalid.len(), 1, "{format:?}, framing {framing}: {broken:?}");
            }
        }
    }
}

#[test]
fn a_record_that_was_cut_off_with_its_process_is_passed_over() {
    let whole = [hello(7), record(7, Format::Json, 0, 1, &event(Format::Json, 0, "{}"))].concat();
    let cut = [&whole[..], &hello(8)[..20]].concat();
    let findings = check(&cut);
    assert_eq!((findings.invalid.len(), findings.sent.into_values().sum::<usize>()), (0, 1));
}
