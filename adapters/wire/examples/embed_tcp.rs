//! A router in your own program over plain `std::net`, with a thread for each connection: RawSocket in every
//! serializer, everybody may join `realm1`. Run it: `cargo run -p wampd-wire --example embed_tcp -- 127.0.0.1:8081`
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use wampd_core::codec::{DecodeLimits, decode, encode};
use wampd_core::message::Message;
use wampd_core::router::*;
use wampd_core::time::{Instant, UnixTime};
use wampd_wire::{Connection, Encoding, Incoming, MessageTooLong, ServerOptions};

fn main() -> Result<()> {
    let listener = TcpListener::bind(std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:0"))?;
    println!("RawSocket on {}", listener.local_addr()?);
    serve(&listener)
}

/// Serves until the listener fails.
pub(crate) fn serve(listener: &TcpListener) -> Result<()> {
    let role = RoleConfig::new("guest", Permissions::all());
    let config = RouterConfig { realms: vec![RealmConfig::new("realm1".into(), vec![role])], ..Default::default() };
    let unix = UnixTime(SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_micros() as u64);
    let router = Router::new(config, Instant::ZERO, unix, Box::new(rand_core::UnwrapErr(getrandom::SysRng)));
    let hub = Arc::new(Hub { start: std::time::Instant::now(), state: Mutex::new((router, Sinks::new())) });
    let ticks = Arc::clone(&hub);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            ticks.input(|router, _, now| router.handle_timeout(now));
        }
    });
    loop {
        let (hub, stream) = (Arc::clone(&hub), listener.accept()?.0);
        std::thread::spawn(move || hub.connection(stream));
    }
}

/// The bytes of a message on the wire.
fn frame(message: &Message, encoding: Encoding) -> std::result::Result<Vec<u8>, Undeliverable> {
    let mut frame = Vec::new();
    let start = encoding.begin(&mut frame, 256);
    encode(message, encoding.format, &mut frame).map_err(Undeliverable::Transcode)?;
    let too_large = |error: MessageTooLong| Undeliverable::TooLarge { size: error.len, limit: error.limit };
    encoding.finish(&mut frame, start).map(|_| frame).map_err(too_large)
}

/// Where messages for a peer go, and how they are written.
type Sinks = BTreeMap<PeerKey, (TcpStream, Encoding)>;

struct Hub {
    start: std::time::Instant,
    state: Mutex<(Router, Sinks)>,
}

impl Hub {
    /// One input, then all outputs. Nothing here makes a peer wait, so `wants_input` is always true.
    fn input<R>(&self, input: impl FnOnce(&mut Router, &mut Sinks, Instant) -> R) -> R {
        let (router, sinks) = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::from_micros(self.start.elapsed().as_micros() as u64);
        let result = input(router, sinks, now);
        while let Some(output) = router.poll_output() {
            match output {
                Output::Send { to, message } => {
                    for &peer in to.as_slice() {
                        let Some((stream, encoding)) = sinks.get_mut(&peer) else { continue };
                        match frame(&message, *encoding) {
                            Ok(frame) => _ = stream.write_all(&frame).or_else(|_| stream.shutdown(Shutdown::Both)),
                            Err(why) => router.undeliverable(now, peer, message.clone(), &why),
                        }
                    }
                }
                Output::Authenticate(question) => {
                    let (authid, authrole, realm) =
                        ("anyone".into(), "guest".into(), question.realm.unwrap_or_default());
                    let guest =
                        Identity { realm, authid, authrole, authmethod: "anonymous".into(), ..Default::default() };
                    let _ = router.decide_auth(now, question.id, AuthVerdict::Welcome(guest));
                }
                Output::Close { peer, .. } => {
                    sinks.remove(&peer).map(|(stream, _)| stream.shutdown(Shutdown::Both));
                }
                _ => {}
            }
        }
        result
    }

    /// Reads until either side ends the connection.
    fn connection(&self, stream: TcpStream) -> Result<()> {
        let options = Arc::new(ServerOptions { http: None, ..Default::default() });
        let (mut wire, mut peer) = (self.input(|_, _, now| Connection::new(options, now)), None);
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let mut buffer = [0; 8192];
        while let Ok(n @ 1..) = (&stream).read(&mut buffer) {
            let (mut input, mut out) = (BytesMut::from(&buffer[..n]), Vec::new());
            // Whether there may be more in what was read; `None` ends the connection.
            let mut next = |router: &mut Router, sinks: &mut Sinks, now| {
                let mut more = true;
                match wire.next(now, &mut input, &mut out).ok()? {
                    Some(Incoming::RawSocket { .. }) => {
                        let encoding = wire.accept_rawsocket(now, &mut out)?;
                        let key = *peer.insert(router.open(now, LinkInfo::default()).ok()?);
                        sinks.insert(key, (stream.try_clone().ok()?, encoding));
                        stream.set_read_timeout(None).ok()?; // from here on the router has its deadlines
                    }
                    Some(Incoming::Message(frame)) => {
                        match decode(wire.encoding()?.format, frame, &DecodeLimits::default()) {
                            Ok(message) => router.receive(now, peer?, message),
                            Err(error) => router.receive_invalid(now, peer?, error),
                        }
                    }
                    Some(_) => return None,
                    None => more = false,
                }
                (&stream).write_all(&core::mem::take(&mut out)).map(|()| more).ok()
            };
            let mut more = Some(true);
            while more == Some(true) {
                more = self.input(&mut next);
            }
            if more.is_none() {
                break;
            }
        }
        if let Some(peer) = peer {
            self.input(|router, sinks, now| (router.connection_lost(now, peer), sinks.remove(&peer)));
        }
        stream.shutdown(Shutdown::Both)
    }
}
