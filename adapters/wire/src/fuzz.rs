//! Bodies of fuzz targets: any bytes at all are accepted, broken promises panic.
//!
//! Those of connections play one stream of bytes twice, whole and cut into pieces, and demand the same messages, the same replies
//! and the same end.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rand_core::TryRng;
use wampd_core::{codec::Format, time::Instant};

use crate::{
    Incoming, MaxLength, Proxies, ProxyHeader, ProxyProtocol, RawSocketOptions, ServerOptions, Subprotocol,
    TransportError, UpgradeOptions, WebSocketOptions,
    buffer::{Inbox, LEAST_ROOM, ROOM_RATIO},
    connection::Connection,
    framing::push_control,
    link::Link,
    rawsocket::RawSocket,
    websocket::{ClientRole, Role, ServerRole, WebSocket},
};

/// Plays bytes against both ends of an open WebSocket.
///
/// The first byte chooses the subprotocol and how the rest is read: as a stream as it is, or as a list of frames (first octet,
/// length, payload) which are then written with correct lengths and masks, to get deeper. The second byte chooses the cuts.
pub fn websocket(data: &[u8]) {
    let [choice, cut, data @ ..] = data else { return };
    let subprotocol = Subprotocol::ALL[usize::from(choice % 6)];
    let cut = usize::from(*cut % 16) + 1;
    let frames = |mask| if choice & 0x80 != 0 { written_frames(data, mask) } else { data.to_vec() };
    let options = Arc::new(WebSocketOptions { max_frame: 4096, max_message: 8192, ..WebSocketOptions::default() });
    let server = || Link::WebSocket(WebSocket::new(ServerRole, subprotocol, Arc::clone(&options), Instant::ZERO));
    compare(server, &frames(Some([1, 2, 3, 4])), cut);
    let role = || ClientRole(NoRng);
    let client = || Link::WebSocket(WebSocket::new(role(), subprotocol, Arc::clone(&options), Instant::ZERO));
    compare(client, &frames(None), cut);
}

/// Plays bytes against an open RawSocket connection. The first byte chooses the cuts.
pub fn rawsocket(data: &[u8]) {
    let [cut, data @ ..] = data else { return };
    let options = RawSocketOptions { max_message: MaxLength::at_most(4096), max_ping: 100, ..Default::default() };
    let link = || Link::<ServerRole>::RawSocket(RawSocket::new(Format::Cbor, MaxLength::MAX, &options, Instant::ZERO));
    compare(link, data, usize::from(*cut % 16) + 1);
}

/// Plays bytes against a server from the first octet on: sniffing, HTTP heads, handshakes and what follows.
/// The first byte chooses the cuts.
pub fn server(data: &[u8]) {
    let [cut, data @ ..] = data else { return };
    let options = Arc::new(ServerOptions::default());
    let upgrade = UpgradeOptions { require_subprotocol: false, ..UpgradeOptions::default() };
    let play = |cut| {
        let mut server = Connection::new(Arc::clone(&options), Instant::ZERO);
        play(data, cut, |input, out| {
            let incoming = server.next(Instant::ZERO, input, out);
            match &incoming {
                Ok(Some(Incoming::Http(request))) => {
                    let accepted = server.accept_websocket(Instant::ZERO, request, &upgrade, out);
                    assert_eq!(accepted.is_ok(), server.is_open());
                }
                Ok(Some(Incoming::RawSocket { .. })) => {
                    assert!(server.accept_rawsocket(Instant::ZERO, out).is_some());
                }
                Err(_) => assert!(server.is_closed()),
                Ok(_) => {}
            }
            incoming
        })
    };
    assert_eq!(play(usize::from(*cut % 16) + 1), play(usize::MAX));
}

/// Reads bytes as a header of the PROXY protocol, or as the lines of `X-Forwarded-For` or `Forwarded`, as the first byte says.
pub fn proxy(data: &[u8]) {
    let [choice, data @ ..] = data else { return };
    match choice % 4 {
        0 | 1 => proxy_header(data),
        2 => forwarded(ProxyProtocol::XForwardedFor, data),
        _ => forwarded(ProxyProtocol::Forwarded, data),
    }
}

/// What more bytes tell is never another thing.
fn proxy_header(data: &[u8]) {
    let whole = ProxyHeader::parse(data);
    for end in 0..data.len().min(ProxyHeader::HEAD + 1) {
        let early = ProxyHeader::parse(&data[..end]);
        assert!(early == Ok(None) || early == whole, "{early:?} of {end} bytes, then {whole:?}");
    }
    if whole == Ok(None) {
        assert!(data.len() < ProxyHeader::HEAD, "{} bytes tell", ProxyHeader::HEAD);
    }
}

/// What is left of an address that is not trusted changes nothing.
fn forwarded(protocol: ProxyProtocol, data: &[u8]) {
    let networks = ["10.0.0.0/8", "fd00::/8"].iter().filter_map(|text| text.parse().ok());
    let proxies = Proxies { trusted: networks.collect(), protocol };
    let client = |text: &[u8]| proxies.client_in(|_| text.split(|byte| *byte == b'\n'));
    let told = client(data);
    if let Ok(Some(address)) = told
        && !proxies.trusts(Some(address.ip()))
    {
        for before in [&b"for=192.0.2.7;x=\","[..], b"192.0.2.7,\\,", b"\"\n"] {
            assert_eq!(client(&[before, data].concat()), told, "{before:?}");
        }
    }
}

/// What happened, comparable: what came out, and the replies.
type Trace = (Vec<String>, Vec<u8>);

fn compare<R: Role>(link: impl Fn() -> Link<R>, stream: &[u8], cut: usize) {
    let play = |cut| {
        let (mut link, mut inbox) = (link(), Inbox::default());
        let trace = play(stream, cut, |input, out| {
            let next = link.next(Instant::ZERO, &mut inbox, input, out);
            let held = inbox.memory() + link.held_memory();
            assert!(
                held <= LEAST_ROOM * 2 + stream.len() * ROOM_RATIO * 2,
                "{held} bytes are held of {}",
                stream.len()
            );
            next
        });
        if link.is_closed() {
            assert_eq!(inbox.len(), 0, "a closed connection keeps nothing");
        }
        trace
    };
    let whole = play(usize::MAX);
    // A pong is at most four bytes (a mask) longer than its ping; beyond that there is one close frame.
    assert!(whole.1.len() <= stream.len() * 3 + 131, "replies are bounded by what was received");
    assert_eq!(play(cut), whole);
}

fn play(
    stream: &[u8],
    cut: usize,
    mut next: impl FnMut(&mut BytesMut, &mut Vec<u8>) -> Result<Option<Incoming>, TransportError>,
) -> Trace {
    let (mut trace, mut out) = (Vec::new(), Vec::new());
    for piece in stream.chunks(cut.min(stream.len().max(1))) {
        let mut input = BytesMut::from(piece);
        loop {
            let incoming = next(&mut input, &mut out);
            match &incoming {
                Ok(None) => break,
                Ok(Some(Incoming::Message(message))) => trace.push(format!("{:?}", Bytes::clone(message))),
                other => trace.push(format!("{other:?}")),
            }
        }
        assert!(input.is_empty(), "all input is taken");
    }
    (trace, out)
}

/// Reads `data` as first octet, length and payload of frame after frame, and writes them as a peer would.
fn written_frames(data: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let (mut rest, mut out) = (data, Vec::new());
    while let [first, len, payload @ ..] = rest {
        let (payload, behind) = payload.split_at(usize::from(len % 126).min(payload.len()));
        let at = out.len();
        push_control(&mut out, 0, payload, mask);
        out[at] = *first;
        rest = behind;
    }
    out
}

/// Masks do not matter to the fuzzer.
struct NoRng;

impl TryRng for NoRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
        dst.fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn websocket_survives(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            websocket(&data);
        }

        #[test]
        fn websocket_survives_frames(
            choice in 0x80..0x86u8,
            cut in any::<u8>(),
            frames in proptest::collection::vec((first_octet(), payload()), 0..8),
        ) {
            let mut data = vec![choice, cut];
            for (first, payload) in frames {
                data.extend([first, payload.len() as u8]);
                data.extend(payload);
            }
            websocket(&data);
        }

        #[test]
        fn rawsocket_survives(
            cut in any::<u8>(),
            frames in proptest::collection::vec((0..4u8, payload()), 0..8),
            tail in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut data = vec![cut];
            for (kind, payload) in frames {
                data.extend([kind, 0, 0, payload.len() as u8]);
                data.extend(payload);
            }
            data.extend(tail);
            rawsocket(&data);
        }

        #[test]
        fn server_survives(
            cut in any::<u8>(),
            start in proptest::sample::select(STARTS),
            data in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            server(&[&[cut], start, &data].concat());
        }
    }

    fn first_octet() -> impl Strategy<Value = u8> {
        let sensible = proptest::sample::select(&[0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88][..]);
        prop_oneof![20 => sensible, 1 => any::<u8>()]
    }

    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![4 => 0x20..0x7fu8, 1 => proptest::sample::select(&[0u8, 3, 0x18, 0x1e, 0xe8][..])];
        proptest::collection::vec(octet, 0..125)
    }

    /// Beginnings that lead a random stream past the first checks.
    const STARTS: &[&[u8]] = &[
        b"",
        b"\x7f\xf1\0\0",
        b"\x7f\xf3\0\0\0\0\0\x01",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ];
}
