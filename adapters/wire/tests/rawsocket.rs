//! RawSocket handshakes and frames, made by hand.

mod common;

use std::sync::Arc;

use bytes::BytesMut;
use common::{NOW, TestRng, at, feed};
use wampd_core::codec::Format;
use wampd_wire::{
    Client, CloseCode, Connection, Incoming, MaxLength, MessageTooLong, PingOptions, RawSocketError, RawSocketOptions,
    RawSocketRefusal, ServerOptions, TransportError,
};

fn server(options: RawSocketOptions) -> Connection {
    Connection::new(Arc::new(ServerOptions { rawsocket: Some(options), ..ServerOptions::default() }), NOW)
}

fn open(options: RawSocketOptions) -> Connection {
    let mut server = server(options);
    let (got, error, _) = feed(&mut server, b"\x7f\xf1\0\0");
    assert!(matches!(&got[..], [Incoming::RawSocket { format: Format::Json }]) && error.is_none());
    assert!(server.accept_rawsocket(NOW, &mut Vec::new()).is_some());
    server
}

#[test]
fn serializers_and_limits_are_negotiated() {
    for (number, format) in [(1, Format::Json), (2, Format::MsgPack), (3, Format::Cbor)] {
        // What is less no WELCOME would fit.
        let least = if format == Format::Json { 2 } else { 1 };
        for exponent in 0..least {
            let (_, error, out) = feed(&mut server(RawSocketOptions::default()), &[0x7f, exponent << 4 | number, 0, 0]);
            assert_eq!(error, Some(RawSocketError::Refused(RawSocketRefusal::MaxLengthUnacceptable).into()));
            assert_eq!(out, [0x7f, 0x20, 0, 0]);
        }
        for exponent in least..=15 {
            let max_message = MaxLength::at_most(1 << 20);
            let mut server = server(RawSocketOptions { max_message, ..RawSocketOptions::default() });
            let (got, _, out) = feed(&mut server, &[0x7f, exponent << 4 | number, 0, 0]);
            assert!(matches!(&got[..], [Incoming::RawSocket { format: asked }] if *asked == format));
            assert!(out.is_empty() && !server.is_open() && server.encoding().is_none());
            let mut out = Vec::new();
            assert_eq!(server.accept_rawsocket(NOW, &mut out).map(|encoding| encoding.format), Some(format));
            assert_eq!(out, [0x7f, 11 << 4 | number, 0, 0]);
            let limit = 1 << (9 + exponent);
            assert_eq!(server.admits(4 + limit), Ok(()));
            assert_eq!(server.admits(4 + limit + 1), Err(MessageTooLong { len: limit + 1, limit }));
        }
    }
}

#[test]
fn bad_handshakes_are_refused_with_their_code() {
    use RawSocketRefusal as R;
    for (octets, refusal, reply) in [
        ([0x7f, 0xf0, 0, 0], R::SerializerUnsupported, [0x7f, 0x10, 0, 0]),
        ([0x7f, 0xf4, 0, 0], R::SerializerUnsupported, [0x7f, 0x10, 0, 0]),
        ([0x7f, 0xf2, 0, 0], R::SerializerUnsupported, [0x7f, 0x10, 0, 0]),
        ([0x7f, 0xf1, 1, 0], R::ReservedBits, [0x7f, 0x30, 0, 0]),
        ([0x7f, 0xf1, 0, 1], R::ReservedBits, [0x7f, 0x30, 0, 0]),
    ] {
        let mut server = server(RawSocketOptions { formats: vec![Format::Json], ..RawSocketOptions::default() });
        let (_, error, out) = feed(&mut server, &octets);
        assert_eq!(error, Some(RawSocketError::Refused(refusal).into()), "{octets:?}");
        assert_eq!(out, reply);
        assert!(server.is_closed());
    }
    let mut server = server(RawSocketOptions::default());
    feed(&mut server, b"\x7f\xf1\0\0");
    let mut out = Vec::new();
    server.refuse_rawsocket(R::ConnectionLimit, &mut out);
    assert_eq!((&out[..], server.is_closed()), (&b"\x7f\x40\0\0"[..], true));
}

#[test]
fn a_client_checks_the_reply() {
    use RawSocketError as E;
    let client = || {
        let mut out = Vec::new();
        let client = Client::<TestRng>::rawsocket(Format::Cbor, RawSocketOptions::default(), at(10), &mut out).unwrap();
        assert_eq!(out, b"\x7f\xf3\0\0");
        client
    };
    for (reply, expected) in [
        (b"HTTP", E::BadMagic),
        (b"\x7f\x10\0\0", E::Refused(RawSocketRefusal::SerializerUnsupported)),
        (b"\x7f\x20\0\0", E::Refused(RawSocketRefusal::MaxLengthUnacceptable)),
        (b"\x7f\x30\0\0", E::Refused(RawSocketRefusal::ReservedBits)),
        (b"\x7f\x40\0\0", E::Refused(RawSocketRefusal::ConnectionLimit)),
        (b"\x7f\x90\0\0", E::Refused(RawSocketRefusal::Unknown(9))),
        (b"\x7f\xf1\0\0", E::WrongSerializer(1)),
        (b"\x7f\xf3\0\x01", E::ReservedBits),
    ] {
        let mut client = client();
        let error = client.next(NOW, &mut BytesMut::from(&reply[..]), &mut Vec::new()).unwrap_err();
        assert_eq!(error, expected.into());
        assert!(client.is_closed());
    }
    let mut client = client();
    assert_eq!(client.handle_timeout(at(10), true, &mut Vec::new()), Err(TransportError::OpenTimeout));
}

#[test]
fn pings_are_answered_with_their_payload() {
    let mut server = open(RawSocketOptions { max_ping: 4, ..RawSocketOptions::default() });
    let (got, error, out) = feed(&mut server, b"\x01\0\0\x04ping\x02\0\0\0\0\0\0\x03[1]\x01\0\0\0");
    assert!(matches!(&got[..], [Incoming::Message(message)] if message == "[1]") && error.is_none());
    assert_eq!(out, b"\x02\0\0\x04ping\x02\0\0\0");
    let (_, error, out) = feed(&mut server, b"\x01\0\0\x05");
    assert_eq!(error, Some(RawSocketError::PingTooLong(MessageTooLong { len: 5, limit: 4 }).into()));
    assert!(out.is_empty() && server.is_closed());
}

#[test]
fn pings_are_as_long_as_messages_may_be() {
    let mut server = open(RawSocketOptions { max_message: MaxLength::at_most(512), ..RawSocketOptions::default() });
    let (_, error, out) = feed(&mut server, &[&[1, 0, 2, 0][..], &[7; 512]].concat());
    assert_eq!((error, out), (None, [&[2, 0, 2, 0][..], &[7; 512]].concat()));
    let (_, error, _) = feed(&mut server, &[1, 0, 2, 1]);
    assert_eq!(error, Some(RawSocketError::PingTooLong(MessageTooLong { len: 513, limit: 512 }).into()));
}

#[test]
fn bad_frames_end_the_connection() {
    let limit = 1 << 10;
    for (header, expected) in [
        (b"\x10\0\0\0", RawSocketError::ReservedBits),
        (b"\x80\0\0\0", RawSocketError::ReservedBits),
        (b"\x03\0\0\0", RawSocketError::UnknownFrameType(3)),
        (b"\x07\0\0\0", RawSocketError::UnknownFrameType(7)),
        (b"\x08\0\0\x01", RawSocketError::BadLength),
        (b"\x08\0\0\0", RawSocketError::MessageTooLong(MessageTooLong { len: 1 << 24, limit })),
        (b"\0\0\x04\x01", RawSocketError::MessageTooLong(MessageTooLong { len: limit + 1, limit })),
    ] {
        let mut server = open(RawSocketOptions { max_message: MaxLength::at_most(limit), ..Default::default() });
        let (got, error, out) = feed(&mut server, header);
        assert_eq!((got.len(), error, out.len()), (0, Some(expected.into()), 0));
        assert!(server.is_closed() && server.encoding().is_some());
    }
}

#[test]
fn the_longest_message_is_two_to_the_24() {
    let mut server = open(RawSocketOptions::default());
    let mut frame = b"\x08\0\0\0".to_vec();
    frame.resize(4 + (1 << 24), b' ');
    let (got, error, _) = feed(&mut server, &frame);
    assert!(matches!(&got[..], [Incoming::Message(message)] if message.len() == 1 << 24) && error.is_none());
}

#[test]
fn pings_are_sent_if_configured() {
    let mut out = Vec::new();
    assert_eq!(open(RawSocketOptions::default()).next_deadline(), None);
    let mut server = open(RawSocketOptions { ping: PingOptions::ON, ..RawSocketOptions::default() });
    server.handle_timeout(at(10), true, &mut out).unwrap();
    assert_eq!(out, b"\x01\0\0\0");
    assert_eq!(server.handle_timeout(at(20), true, &mut out), Err(TransportError::PingTimeout));
    assert!(server.is_closed());
}

#[test]
fn closing_is_immediate() {
    let mut server = open(RawSocketOptions::default());
    let mut out = Vec::new();
    server.close(NOW, CloseCode::NORMAL, "", &mut out);
    assert!(server.is_closed() && out.is_empty() && server.next_deadline().is_none());
}

#[test]
fn limits_are_powers_of_two() {
    for (bytes, limit) in
        [(0, 512), (511, 512), (512, 512), (1023, 512), (1024, 1024), (1 << 24, 1 << 24), (usize::MAX, 1 << 24)]
    {
        assert_eq!(MaxLength::at_most(bytes).bytes(), limit);
    }
}

#[test]
fn limited_messages_are_refused_by_their_headers_until_the_limit_is_lifted() {
    let limited = || {
        let mut server = open(RawSocketOptions::default());
        server.limit_messages(Some(100));
        server
    };
    let too_long = MessageTooLong { len: 101, limit: 100 };
    for kind in 0..=2 {
        assert!(feed(&mut limited(), &[&[kind, 0, 0, 100][..], &[b' '; 100]].concat()).1.is_none());
        let (_, error, _) = feed(&mut limited(), &[kind, 0, 0, 101]);
        assert_eq!(error, Some(RawSocketError::TooLongBeforeJoin(too_long).into()));
    }
    let mut server = limited();
    server.limit_messages(None);
    assert_eq!(feed(&mut server, &[&[0, 0, 0, 101][..], &[b' '; 101]].concat()).0.len(), 1);
}
