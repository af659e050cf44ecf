//! A server against hand-made WebSocket frames (RFC 6455).

mod common;

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use common::{NOW, TestRng, at, feed, open_websocket};
use wampd_core::codec::Format;
use wampd_wire::{
    Client, CloseCode, Connection, Fault, Incoming, PingOptions, ReadBuffer, Subprotocol, TransportError,
    UpgradeRequest, WebSocketError, WebSocketOptions, batch::BatchError,
};

/// A frame as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0xa1, 0x02, 0x53, 0xf4];
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason].concat()
}

/// The code of a close frame that is all of `out`.
fn close_code(out: &[u8]) -> Option<u16> {
    match out {
        [0x88, len, high, low, rest @ ..] if usize::from(*len) == rest.len() + 2 => {
            std::str::from_utf8(rest).unwrap();
            Some(u16::from_be_bytes([*high, *low]))
        }
        _ => None,
    }
}

fn messages(incoming: &[Incoming]) -> Vec<&[u8]> {
    fn message(incoming: &Incoming) -> &[u8] {
        match incoming {
            Incoming::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }
    incoming.iter().map(message).collect()
}

fn json() -> Connection {
    open_websocket(Subprotocol::Json, WebSocketOptions::default())
}

#[test]
fn fragments_are_joined_around_control_frames() {
    let mut server = json();
    let stream = [
        frame(0x01, b"[1,"),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x8a, b"unasked"),
        frame(0x00, b"2,"),
        frame(0x80, b"3]"),
        frame(0x81, b"[4]"),
    ];
    let (got, error, out) = feed(&mut server, &stream.concat());
    assert_eq!((messages(&got), error), (vec![&b"[1,2,3]"[..], b"[4]"], None));
    assert_eq!(out, b"\x8a\x04ping");
    assert_eq!(server.held_len(), 0);
}

#[test]
fn messages_of_all_sizes_arrive() {
    let mut server = json();
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, 300_000] {
        let (got, error, out) = feed(&mut server, &frame(0x81, &vec![b'x'; len]));
        assert_eq!((messages(&got), error, out), (vec![&vec![b'x'; len][..]], None, vec![]));
    }
}

#[test]
fn violations_end_the_connection_with_their_code() {
    use WebSocketError as E;
    let long = vec![0; 126];
    for (bytes, expected, code) in [
        (frame(0xc1, b""), E::ReservedBits, 1002),
        (frame(0xa1, b""), E::ReservedBits, 1002),
        (frame(0x91, b""), E::ReservedBits, 1002),
        (frame(0x83, b""), E::UnknownOpcode(3), 1002),
        (frame(0x8b, b""), E::UnknownOpcode(11), 1002),
        (b"\x81\x03[1]".to_vec(), E::MissingMask, 1002),
        (frame(0x09, b""), E::FragmentedControl, 1002),
        (frame(0x08, b""), E::FragmentedControl, 1002),
        (frame(0x89, &long), E::LongControl, 1002),
        (frame(0x88, &long), E::LongControl, 1002),
        (b"\x81\xfe\0\x7d\0\0\0\0".to_vec(), E::BadLength, 1002),
        (b"\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0".to_vec(), E::BadLength, 1002),
        (b"\x81\xff\x80\0\0\0\0\x01\0\0".to_vec(), E::BadLength, 1002),
        (b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(), E::FrameTooLong { len: u64::MAX >> 1 }, 1009),
        (frame(0x80, b""), E::UnexpectedContinuation, 1002),
        (frame(0x00, b""), E::UnexpectedContinuation, 1002),
        ([frame(0x01, b"["), frame(0x81, b"]")].concat(), E::UnfinishedMessage, 1002),
        (frame(0x82, b"[1]"), E::UnexpectedBinary, 1003),
        (frame(0x88, b"\x03"), E::BadClose, 1002),
        (frame(0x88, &close_frame(1005, b"")), E::BadClose, 1002),
        (frame(0x88, &close_frame(999, b"")), E::BadClose, 1002),
        (frame(0x88, &close_frame(1004, b"")), E::BadClose, 1002),
        (frame(0x88, &close_frame(1016, b"")), E::BadClose, 1002),
        (frame(0x88, &close_frame(2999, b"")), E::BadClose, 1002),
        (frame(0x88, &close_frame(5000, b"")), E::BadClose, 1002),
        (frame(0x88, &close_frame(1000, b"\xff")), E::CloseReasonNotUtf8, 1007),
    ] {
        let mut server = json();
        let (got, error, out) = feed(&mut server, &[&bytes[..], &frame(0x81, b"after")].concat());
        assert_eq!(error, Some(TransportError::WebSocket(expected)), "{bytes:?}");
        assert_eq!(error.map(|error| error.fault()), Some(Fault::Peer));
        assert_eq!((messages(&got).len(), close_code(&out)), (0, Some(code)), "{expected:?}");
        assert!(server.is_closed() && !server.is_open());
        assert_eq!(server.next_deadline(), None);
        let (got, error, out) = feed(&mut server, &frame(0x81, b"later"));
        assert_eq!((got.len(), error, out.len(), server.held_len()), (0, None, 0, 0));
    }
}

#[test]
fn a_violation_is_found_before_its_payload_arrives() {
    let mut server = json();
    let (_, error, _) = feed(&mut server, &frame(0x82, &[0; 1000])[..8]);
    assert_eq!(error, Some(WebSocketError::UnexpectedBinary.into()));
}

#[test]
fn text_is_refused_on_a_binary_serializer() {
    let mut server = open_websocket(Subprotocol::Cbor, WebSocketOptions::default());
    let (_, error, out) = feed(&mut server, &frame(0x81, b"[1]"));
    assert_eq!((error, close_code(&out)), (Some(WebSocketError::UnexpectedText.into()), Some(1003)));
}

#[test]
fn lengths_are_limited_per_frame_and_per_message() {
    let options = WebSocketOptions { max_frame: 10, max_message: 25, ..WebSocketOptions::default() };
    let open = || open_websocket(Subprotocol::Json, options.clone());
    let (got, error, _) = feed(&mut open(), &frame(0x81, &[b'x'; 10]));
    assert_eq!((got.len(), error), (1, None));
    let (_, error, out) = feed(&mut open(), &frame(0x81, &[b'x'; 11]));
    assert_eq!((error, close_code(&out)), (Some(WebSocketError::FrameTooLong { len: 11 }.into()), Some(1009)));
    let parts = [frame(0x01, &[b'x'; 10]), frame(0x00, &[b'x'; 10]), frame(0x80, &[b'x'; 5])];
    let (got, error, _) = feed(&mut open(), &parts.concat());
    assert_eq!((messages(&got), error), (vec![&[b'x'; 25][..]], None));
    let parts = [frame(0x01, &[b'x'; 10]), frame(0x00, &[b'x'; 10]), frame(0x80, &[b'x'; 6])];
    let (got, error, out) = feed(&mut open(), &parts.concat());
    assert_eq!((got.len(), close_code(&out)), (0, Some(1009)));
    assert_eq!(error, Some(WebSocketError::MessageTooLong { len: 26 }.into()));
}

#[test]
fn the_peers_close_is_answered_once() {
    for code in [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999] {
        let mut server = json();
        let (got, error, out) = feed(&mut server, &frame(0x88, &close_frame(code, "grüße".as_bytes())));
        let [Incoming::Closed { code: Some(got), reason }] = &got[..] else { panic!("{got:?}") };
        assert_eq!((got.0, &**reason, error), (code, "grüße", None));
        assert_eq!(close_code(&out), Some(code));
        assert!(server.is_closed());
        let mut out = Vec::new();
        server.close(NOW, CloseCode::NORMAL, "", &mut out);
        assert!(out.is_empty());
    }
    let (got, _, out) = feed(&mut json(), &frame(0x88, b""));
    assert!(matches!(&got[..], [Incoming::Closed { code: None, .. }]));
    assert_eq!(out, b"\x88\0");
}

#[test]
fn after_our_close_messages_are_dropped_until_the_answer() {
    let mut server = json();
    let mut out = Vec::new();
    server.close(NOW, CloseCode::GOING_AWAY, &"ü".repeat(100), &mut out);
    assert_eq!((close_code(&out), out.len()), (Some(1001), 2 + 2 + 122));
    assert!(!server.is_open() && !server.is_closed());
    assert_eq!(server.next_deadline(), Some(at(5)));
    server.close(NOW, CloseCode::NORMAL, "again", &mut out);
    assert_eq!(out.len(), 126);
    let stream = [frame(0x81, b"[1]"), frame(0x89, b"ping"), frame(0x88, &close_frame(1001, b""))];
    let (got, error, out) = feed(&mut server, &stream.concat());
    assert!(matches!(&got[..], [Incoming::Closed { code: Some(CloseCode::GOING_AWAY), .. }]));
    assert_eq!((error, out), (None, vec![]));
    assert!(server.is_closed());
}

#[test]
fn a_close_that_is_not_answered_times_out() {
    let mut server = json();
    let mut out = Vec::new();
    server.close(at(1), CloseCode::NORMAL, "", &mut out);
    out.clear();
    assert_eq!(server.handle_timeout(at(5), true, &mut out), Ok(()));
    let error = server.handle_timeout(at(6), true, &mut out).unwrap_err();
    assert_eq!((error.fault(), error), (Fault::Network, TransportError::CloseTimeout));
    assert!(server.is_closed() && out.is_empty());
}

#[test]
fn an_idle_peer_is_pinged_and_a_silent_one_given_up() {
    let mut server = json();
    let mut out = Vec::new();
    assert_eq!(server.next_deadline(), Some(at(10)));
    server.handle_timeout(at(10), true, &mut out).unwrap();
    assert_eq!((&out[..], server.next_deadline()), (&b"\x89\0"[..], Some(at(20))));
    // Part of a frame is a sign of life too.
    server.next(at(15), &mut BytesMut::from(&[0x81][..]), &mut out).unwrap();
    server.handle_timeout(at(20), true, &mut out).unwrap();
    assert_eq!((out.len(), server.next_deadline()), (2, Some(at(25))));
    server.handle_timeout(at(25), true, &mut out).unwrap();
    assert_eq!(out, b"\x89\0\x89\0");
    assert_eq!(server.handle_timeout(at(35), false, &mut out), Ok(()));
    assert_eq!(server.handle_timeout(at(45), true, &mut out), Err(TransportError::PingTimeout));
    assert!(server.is_closed());

    let off = WebSocketOptions { ping: PingOptions::OFF, ..WebSocketOptions::default() };
    assert_eq!(open_websocket(Subprotocol::Json, off).next_deadline(), None);
    let fast = PingOptions { interval: Some(Duration::from_secs(1)), timeout: Duration::from_secs(2) };
    let fast = WebSocketOptions { ping: fast, ..WebSocketOptions::default() };
    assert_eq!(open_websocket(Subprotocol::Json, fast).next_deadline(), Some(at(1)));
}

#[test]
fn batches_are_split_and_bad_ones_refused() {
    let cbor = || open_websocket(Subprotocol::CborBatched, WebSocketOptions::default());
    let (got, error, _) = feed(&mut cbor(), &frame(0x82, b"\0\0\0\x01a\0\0\0\x02bc"));
    assert_eq!((messages(&got), error), (vec![&b"a"[..], b"bc"], None));
    let json = || open_websocket(Subprotocol::JsonBatched, WebSocketOptions::default());
    for (mut server, first, batch, before, expected) in [
        (cbor(), 0x82, &b""[..], 0, BatchError::Empty),
        (json(), 0x81, b"", 0, BatchError::Empty),
        (cbor(), 0x82, b"\0\0\0\x01a\0\0", 1, BatchError::TruncatedLength),
        (cbor(), 0x82, b"\0\0\0\x02a", 0, BatchError::LengthBeyondBatch { length: 2, left: 1 }),
        (json(), 0x81, b"[1]\x1e[2]", 1, BatchError::Unterminated),
        (json(), 0x81, b"\x1e", 0, BatchError::EmptyMessage),
    ] {
        let (got, error, out) = feed(&mut server, &frame(first, batch));
        assert_eq!((messages(&got).len(), error), (before, Some(expected.into())));
        assert_eq!(close_code(&out), Some(1002));
    }
}

#[test]
fn held_input_is_taken_up_again() {
    let mut server = json();
    let stream = [frame(0x81, b"[1]"), frame(0x81, b"[2]"), frame(0x81, b"[3]")].concat();
    let mut input = BytesMut::from(&stream[..stream.len() - 1]);
    let mut out = Vec::new();
    server.next(NOW, &mut input, &mut out).unwrap().unwrap();
    server.hold(&mut input);
    assert!(input.is_empty() && server.held_len() > 0);
    let Some(Incoming::Message(second)) = server.next(NOW, &mut input, &mut out).unwrap() else { panic!() };
    assert_eq!(second, "[2]");
    assert!(server.next(NOW, &mut input, &mut out).unwrap().is_none());
    let (got, _, _) = feed(&mut server, &stream[stream.len() - 1..]);
    assert_eq!((messages(&got), server.held_len()), (vec![&b"[3]"[..]], 0));
}

#[test]
fn messages_are_slices_of_the_read_buffer_which_is_used_again() {
    let mut server = json();
    let mut buffer = ReadBuffer::new(4096);
    let memory = buffer.space().as_ptr_range();
    let frames = [frame(0x81, b"[1]"), frame(0x81, b"[2]")].concat();
    for _ in 0..1000 {
        buffer.space()[..frames.len()].copy_from_slice(&frames);
        let mut input = buffer.take(frames.len());
        let mut count = 0;
        while let Some(incoming) = server.next(NOW, &mut input, &mut Vec::new()).unwrap() {
            let Incoming::Message(message) = incoming else { panic!() };
            assert!(memory.contains(&message.as_ptr()));
            count += 1;
        }
        assert_eq!(count, 2);
    }
}

#[test]
fn a_client_refuses_masked_frames_and_masks_its_own() {
    let mut out = Vec::new();
    let request = UpgradeRequest::new("localhost", "/", vec![Subprotocol::Json]);
    let mut client = Client::websocket(request, TestRng(1), at(10), &mut out).unwrap();
    let key = String::from_utf8(out).unwrap();
    let key = key.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
    );
    let mut out = Vec::new();
    let mut input = BytesMut::from(response.as_str());
    input.extend_from_slice(b"\x89\x02hi\x81\x03[1]");
    assert!(
        matches!(client.next(NOW, &mut input, &mut out).unwrap(), Some(Incoming::Open(encoding)) if encoding.format == Format::Json)
    );
    assert!(
        matches!(client.next(NOW, &mut input, &mut out).unwrap(), Some(Incoming::Message(message)) if message == "[1]")
    );
    let [0x8a, 0x82, a, b, _, _, h, i] = out[..] else { panic!("{out:?}") };
    assert_eq!([h ^ a, i ^ b], *b"hi");
    out.clear();
    let error = client.next(NOW, &mut BytesMut::from(&frame(0x81, b"[1]")[..]), &mut out).unwrap_err();
    assert_eq!(error, WebSocketError::UnexpectedMask.into());
    assert_eq!((out[0], out[1] & 0x80), (0x88, 0x80));
}

#[test]
fn a_connection_is_small() {
    assert!(size_of::<Connection>() <= 512, "{}", size_of::<Connection>());
    let options = Arc::new(wampd_wire::ServerOptions::default());
    assert_eq!(Connection::new(options, NOW).held_len(), 0);
}

#[test]
fn limited_messages_are_refused_by_their_headers_until_the_limit_is_lifted() {
    let too_long = |len| Some(WebSocketError::TooLongBeforeJoin { len, limit: 100 }.into());
    let limited = || {
        let mut server = json();
        server.limit_messages(Some(100));
        server
    };
    assert_eq!(messages(&feed(&mut limited(), &frame(0x81, &[b' '; 100])).0), [[b' '; 100]]);
    // The header alone is enough.
    let (_, error, out) = feed(&mut limited(), &frame(0x81, &[b' '; 101])[..6]);
    assert_eq!((error, close_code(&out)), (too_long(101), Some(1009)));
    let mut server = limited();
    assert!(feed(&mut server, &frame(0x01, &[b' '; 60])).1.is_none());
    let (_, error, out) = feed(&mut server, &frame(0x80, &[b' '; 41])[..6]);
    assert_eq!((error, close_code(&out)), (too_long(101), Some(1009)));
    let mut server = limited();
    server.limit_messages(None);
    assert_eq!(messages(&feed(&mut server, &frame(0x81, &[b' '; 101])).0), [[b' '; 101]]);
}

#[test]
fn memory_held_follows_what_has_arrived() {
    let mut server = json();
    assert_eq!(server.held_memory(), 0);
    assert!(feed(&mut server, &frame(0x81, &[b' '; 8 << 20])[..1_000]).1.is_none());
    assert!((1_000..=32_000).contains(&server.held_memory()), "{}", server.held_memory());
    let mut server = json();
    assert!(feed(&mut server, &frame(0x01, &[b' '; 50_000])).1.is_none());
    assert!((50_000..=100_000).contains(&server.held_memory()), "{}", server.held_memory());
    assert_eq!(feed(&mut server, &frame(0x80, b"")).0.len(), 1);
    assert_eq!(server.held_memory(), 0);
}
