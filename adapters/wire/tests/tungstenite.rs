//! Against another implementation of WebSocket, in memory: tungstenite as the client of our server and as the server of our client.

mod common;

use std::io::{self, Read, Write};

use bytes::BytesMut;
use common::{NOW, TestRng, at, feed, open_websocket};
use tungstenite::{
    Message,
    protocol::{Role, WebSocket, frame::coding::CloseCode as TungsteniteCode},
};
use wampd_wire::{Client, CloseCode, Connection, Incoming, Subprotocol, UpgradeRequest, WebSocketOptions};

/// Both directions of a connection, as tungstenite sees them.
#[derive(Default)]
struct Pipe {
    to_read: Vec<u8>,
    written: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.to_read.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = buffer.len().min(self.to_read.len());
        buffer[..len].copy_from_slice(&self.to_read[..len]);
        self.to_read.drain(..len);
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const LENGTHS: [usize; 9] = [1, 2, 125, 126, 127, 1000, 65_535, 65_536, 200_000];

/// What our server answers to what tungstenite has written.
fn exchange(server: &mut Connection, other: &mut WebSocket<Pipe>) -> Vec<Incoming> {
    let written = std::mem::take(&mut other.get_mut().written);
    let (got, error, out) = feed(server, &written);
    assert_eq!(error, None);
    other.get_mut().to_read.extend(out);
    got
}

#[test]
fn as_client_of_our_server() {
    let mut server = open_websocket(Subprotocol::Cbor, WebSocketOptions::default());
    let mut client = WebSocket::from_raw_socket(Pipe::default(), Role::Client, None);
    for len in LENGTHS {
        let body: Vec<u8> = (0..len).map(|i| i as u8).collect();
        client.send(Message::binary(body.clone())).unwrap();
        let got = exchange(&mut server, &mut client);
        assert!(matches!(&got[..], [Incoming::Message(message)] if *message == body));

        let encoding = server.encoding().unwrap();
        let out = &mut client.get_mut().to_read;
        let start = encoding.begin(out, 0);
        out.extend_from_slice(&body);
        encoding.finish(out, start).unwrap();
        assert_eq!(client.read().unwrap(), Message::binary(body));
    }
    client.send(Message::Ping("hello".into())).unwrap();
    assert!(exchange(&mut server, &mut client).is_empty());
    assert_eq!(client.read().unwrap(), Message::Pong("hello".into()));

    server.close(NOW, CloseCode::GOING_AWAY, "shutdown", &mut client.get_mut().to_read);
    let Message::Close(Some(close)) = client.read().unwrap() else { panic!() };
    assert_eq!((close.code, close.reason.as_str()), (TungsteniteCode::Away, "shutdown"));
    client.flush().ok();
    let got = exchange(&mut server, &mut client);
    assert!(matches!(&got[..], [Incoming::Closed { code: Some(CloseCode::GOING_AWAY), .. }]));
}

#[test]
#[allow(clippy::result_large_err)] // tungstenite's signature
fn as_server_of_our_client() {
    let mut request = Vec::new();
    let asked = UpgradeRequest::new("localhost", "/", vec![Subprotocol::Json]);
    let mut client = Client::websocket(asked, TestRng(5), at(10), &mut request).unwrap();
    let pipe = Pipe { to_read: request, written: Vec::new() };
    let callback = |_: &tungstenite::handshake::server::Request,
                    mut response: tungstenite::handshake::server::Response| {
        let chosen = tungstenite::http::HeaderValue::from_static("wamp.2.json");
        response.headers_mut().insert("Sec-WebSocket-Protocol", chosen);
        Ok(response)
    };
    let mut server = tungstenite::accept_hdr(pipe, callback).unwrap();
    let mut next = |server: &mut WebSocket<Pipe>| {
        let mut input = BytesMut::from(&std::mem::take(&mut server.get_mut().written)[..]);
        let incoming = client.next(NOW, &mut input, &mut server.get_mut().to_read).unwrap();
        (incoming, input.is_empty())
    };
    assert!(matches!(next(&mut server), (Some(Incoming::Open(_)), true)));
    for len in LENGTHS {
        server.send(Message::text("x".repeat(len))).unwrap();
        assert!(matches!(next(&mut server), (Some(Incoming::Message(message)), true) if message.len() == len));
    }
    for len in LENGTHS {
        let mut out = Vec::new();
        let start = client.begin_frame(&mut out, 0).unwrap();
        out.resize(out.len() + len, b'y');
        client.finish_frame(&mut out, start).unwrap();
        server.get_mut().to_read.extend(out);
        assert_eq!(server.read().unwrap(), Message::text("y".repeat(len)));
    }
    client.close(NOW, CloseCode::NORMAL, "", &mut server.get_mut().to_read);
    assert!(matches!(server.read().unwrap(), Message::Close(Some(close)) if close.code == TungsteniteCode::Normal));
}
