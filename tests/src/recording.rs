//! Recordings of what a server has sent to its connections, as debug builds of `wampd` write them
//! (`wampd_mio::Server::record_to`): each frame is checked as the client that it was sent to would.

use crate::validator::check;
use bytes::Bytes;
use std::collections::BTreeMap;
use wampd_core::codec::{DecodeLimits, Format, decode};
use wampd_core::message::{ClientRoles, Message};

/// How messages are wrapped, by the number in a recording.
const FRAMINGS: [&str; 4] = ["WebSocket", "batched WebSocket", "batched WebSocket of Autobahn", "RawSocket"];

/// Characters of an invalid message that are shown.
const SHOWN: usize = 400;

const HELLO: u8 = 0;
const SENT: u8 = 1;

/// What the checked recordings hold.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many messages were sent, by serializer and framing.
    pub sent: BTreeMap<(Format, &'static str), usize>,
    /// Why a strict receiver refuses a message, with the message.
    pub invalid: Vec<String>,
}

struct Record<'a> {
    connection: u64,
    format: Format,
    framing: &'static str,
    kind: u8,
    bytes: &'a [u8],
}

impl Findings {
    /// Checks a recording of one process. A record that is cut off at the end is passed over: the process was killed.
    ///
    /// # Errors
    /// What is no recording.
    pub fn add(&mut self, mut recording: &[u8]) -> Result<(), String> {
        let mut announced = BTreeMap::new();
        while let Some(record) = next(&mut recording)? {
            let Record { connection, format, framing, kind, bytes } = record;
            match kind {
                HELLO => {
                    let hello = decode(Format::Json, Bytes::copy_from_slice(bytes), &DecodeLimits::default());
                    let Ok(Message::Hello(hello)) = hello else { return Err(format!("no HELLO: {hello:?}")) };
                    announced.insert(connection, hello.details.roles);
                }
                SENT => {
                    *self.sent.entry((format, framing)).or_default() += 1;
                    let roles = announced.get(&connection).copied().unwrap_or_default();
                    let checked = unframed(format, framing, bytes).and_then(|frame| check(format, frame, &roles));
                    if let Err(why) = checked {
                        self.invalid.push(complaint(&record, &roles, &why));
                    }
                }
                other => return Err(format!("a record of kind {other}")),
            }
        }
        Ok(())
    }
}

fn complaint(record: &Record<'_>, roles: &ClientRoles, why: &str) -> String {
    let Record { connection, format, framing, bytes, .. } = record;
    let text: String = String::from_utf8_lossy(bytes).chars().take(SHOWN).collect();
    format!("connection {connection}, {format:?} over {framing}: {why}: {text:?}, to {roles:?}")
}

fn next<'a>(recording: &mut &'a [u8]) -> Result<Option<Record<'a>>, String> {
    let Some((header, rest)) = recording.split_first_chunk::<14>() else { return Ok(None) };
    let (connection, rest_of_header) = header.split_first_chunk::<8>().expect("14 bytes are more than 8");
    let [encoding, kind, length @ ..] = rest_of_header else { unreachable!("14 bytes are 8 and 6") };
    let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let Some((bytes, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    *recording = rest;
    let encoding = usize::from(*encoding);
    let format = Format::ALL.into_iter().find(|format| *format as usize == encoding / FRAMINGS.len());
    let format = format.ok_or_else(|| format!("encoding {encoding}"))?;
    let framing = FRAMINGS[encoding % FRAMINGS.len()];
    Ok(Some(Record { connection: u64::from_be_bytes(*connection), format, framing, kind: *kind, bytes }))
}

/// The one message in a frame, read from RFC 6455 and the specification of WAMP, without the crate that writes frames.
fn unframed<'a>(format: Format, framing: &str, frame: &'a [u8]) -> Result<&'a [u8], String> {
    if framing == "RawSocket" {
        let (&[kind, a, b, c], message) = frame.split_first_chunk().ok_or("no header")?;
        let length = usize::from(kind >> 3) << 24 | usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        return if kind & 7 == 0 && length == message.len() { Ok(message) } else { Err("not one message".to_owned()) };
    }
    let payload = websocket_payload(format, frame)?;
    match (framing, format) {
        ("WebSocket", _) => Ok(payload),
        (_, Format::Json) => {
            let separator = if framing == "batched WebSocket" { 0x1e } else { 0x18 };
            match payload.split_last() {
                Some((last, message)) if *last == separator && !message.contains(last) => Ok(message),
                _ => Err("not a batch of one message".to_owned()),
            }
        }
        _ => match payload.split_first_chunk() {
            Some((length, message)) if u32::from_be_bytes(*length) as usize == message.len() => Ok(message),
            _ => Err("not a batch of one message".to_owned()),
        },
    }
}

/// The payload of a data frame that is a whole message of a server.
fn websocket_payload(format: Format, frame: &[u8]) -> Result<&[u8], String> {
    let opcode = if format == Format::Json { 1 } else { 2 };
    let ([first, short], rest) = frame.split_first_chunk().ok_or("no header")?;
    if *first != 0x80 | opcode {
        return Err(format!("a frame that begins with {first:#x}"));
    }
    let extended = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let (number, payload) = rest.split_at_checked(extended).ok_or("no length")?;
    let length = number.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
    let right = match short {
        126 => (126..=0xffff).contains(&length),
        127 => length > 0xffff,
        _ => *short < 126,
    };
    let length = if extended == 0 { u64::from(*short) } else { length };
    if right && length == payload.len() as u64 { Ok(payload) } else { Err("a wrong length".to_owned()) }
}
