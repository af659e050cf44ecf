//! The example of a router over `std::net` runs, and real bytes go through it.

#[allow(dead_code)]
#[path = "../examples/embed_tcp.rs"]
mod embed_tcp;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use bytes::BytesMut;
use wampd_core::{
    client::{Client, ClientConfig, ClientEvent, ClientOutput},
    codec::{DecodeLimits, Format, decode, encode},
    message::{CallOptions, Payload, RegisterOptions, YieldOptions},
    time::Instant,
    uri::{Uri, close},
    value::Value,
};
use wampd_wire::{Encoding, Framing, Incoming, RawSocketOptions};

/// A client of the core over a blocking socket.
struct Peer {
    stream: TcpStream,
    wire: wampd_wire::Client<rand_core::UnwrapErr<getrandom::SysRng>>,
    client: Client,
    format: Format,
}

impl Peer {
    fn connect(address: SocketAddr, format: Format) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut out = Vec::new();
        let wire = wampd_wire::Client::rawsocket(format, RawSocketOptions::default(), Instant::ZERO, &mut out).unwrap();
        stream.write_all(&out).unwrap();
        let mut peer = Self { stream, wire, client: Client::new(ClientConfig::anonymous("realm1".into())), format };
        peer.client.connected(Instant::ZERO);
        peer
    }

    /// Sends what is to be sent; returns what the client tells, if anything.
    fn flush(&mut self) -> Option<ClientEvent> {
        while let Some(output) = self.client.poll_output() {
            match output {
                ClientOutput::Event(event) => return Some(event),
                ClientOutput::Send(message) => {
                    let encoding = Encoding { format: self.format, framing: Framing::RawSocket };
                    let mut frame = Vec::new();
                    let start = encoding.begin(&mut frame, 0);
                    encode(&message, self.format, &mut frame).unwrap();
                    encoding.finish(&mut frame, start).unwrap();
                    self.stream.write_all(&frame).unwrap();
                }
                ClientOutput::Close => panic!("closed"),
            }
        }
        None
    }

    /// Reads until the client has something to tell.
    fn event(&mut self) -> ClientEvent {
        loop {
            if let Some(event) = self.flush() {
                return event;
            }
            let mut buffer = [0; 4096];
            let n = self.stream.read(&mut buffer).unwrap();
            assert!(n > 0, "the router hung up");
            let mut input = BytesMut::from(&buffer[..n]);
            while let Some(incoming) = self.wire.next(Instant::ZERO, &mut input, &mut Vec::new()).unwrap() {
                if let Incoming::Message(frame) = incoming {
                    let message = decode(self.format, frame, &DecodeLimits::default()).unwrap();
                    self.client.receive(Instant::ZERO, message);
                }
            }
        }
    }
}

#[test]
fn clients_call_each_other_through_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || embed_tcp::serve(&listener));
    let procedure = Uri::from("com.example.add2");
    let mut callee = Peer::connect(address, Format::Cbor);
    assert!(matches!(callee.event(), ClientEvent::Joined(_)));
    callee.client.register(Instant::ZERO, procedure.clone(), RegisterOptions::default()).unwrap();
    assert!(matches!(callee.event(), ClientEvent::Registered { .. }));
    for format in Format::ALL {
        let mut caller = Peer::connect(address, format);
        assert!(matches!(caller.event(), ClientEvent::Joined(_)));
        let args = Payload::from_args([2.into(), 3.into()]);
        caller.client.call(Instant::ZERO, procedure.clone(), CallOptions::default(), args).unwrap();
        assert!(caller.flush().is_none());
        let ClientEvent::Invocation { request, payload, .. } = callee.event() else { panic!("not called") };
        let sum = payload.values().unwrap().0.iter().filter_map(Value::as_i64).sum::<i64>();
        callee.client.yield_result(request, YieldOptions::default(), Payload::from_args([sum.into()])).unwrap();
        assert!(callee.flush().is_none());
        let ClientEvent::Result { payload, .. } = caller.event() else { panic!("no result") };
        assert_eq!(payload.values().unwrap().0, [Value::from(5)]);
        caller.client.leave(Instant::ZERO, close::NORMAL);
        assert!(matches!(caller.event(), ClientEvent::Left { .. }));
    }
}

#[test]
fn what_is_no_rawsocket_is_hung_up_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || embed_tcp::serve(&listener));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // Nothing is said to it; the system may also report that it was cut off.
    assert_eq!(stream.read(&mut [0; 10]).unwrap_or(0), 0);
}
