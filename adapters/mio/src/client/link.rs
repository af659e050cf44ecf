//! The socket of a client and the transport over it.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::BytesMut;
use mio::{Events, Interest, Poll, Token, Waker};
use wampd_core::{auth::ChannelBinding, codec::encode, message::Message, router::Undeliverable, time::Instant};
use wampd_wire::{CloseCode, Encoding, Incoming, ReadBuffer, TransportError, UpgradeRequest};

use super::{ConnectError, Lost, Options, Protocol, Socket, Stage, Url};
use crate::{
    clock::{Clock, SystemRng},
    out_queue::{ChunkPool, Flushed, OutQueue},
    stream::{Found, Stream},
    tls::{Authorities, ClientTls},
};

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// The size of the read buffer.
const READ_BUFFER: usize = 64 << 10;

/// How long to wait before connecting again to a unix socket whose backlog is full: the system does not tell when it is not.
const BACKLOG_PAUSE: Duration = Duration::from_millis(10);

/// An open transport over a socket, with a poll loop of its own.
pub(super) struct Link {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    clock: Clock,
    stream: Stream,
    wire: wampd_wire::Client<SystemRng>,
    /// What was read and not yet looked at.
    input: BytesMut,
    read_buffer: ReadBuffer,
    out: OutQueue,
    pool: ChunkPool,
    /// What is about to be queued.
    scratch: Vec<u8>,
    write_timeout: Duration,
    /// The socket takes nothing; it must before this.
    stalled: Option<Instant>,
    /// The socket may have something to read.
    readable: bool,
    /// The router has closed its side: a short read does not mean that nothing is left to be read.
    read_closed: bool,
    /// The socket may take something.
    writable: bool,
    /// Another thread has called [`ClientWaker::wake`](super::ClientWaker::wake).
    woken: bool,
}

impl Link {
    /// Connects and opens the transport.
    pub(super) fn open(url: &Url, options: &Options) -> Result<(Self, Encoding), ConnectError> {
        let clock = Clock::new();
        let open_by = clock.now().after(options.open_timeout);
        let stream = connect(&url.socket, options.tls.as_ref(), open_by, &clock)?;
        let mut scratch = Vec::new();
        let wire = match &url.protocol {
            Protocol::WebSocket { target } => {
                let request = UpgradeRequest {
                    headers: options.headers.clone(),
                    websocket: Arc::clone(&options.websocket),
                    ..UpgradeRequest::new(url.host_header(), target, options.subprotocols.clone())
                };
                wampd_wire::Client::websocket(request, SystemRng::new(), open_by, &mut scratch)
                    .map_err(|error| ConnectError::Transport(error.into()))?
            }
            Protocol::RawSocket => {
                let serializer = options.rawsocket_serializer;
                wampd_wire::Client::rawsocket(serializer, options.rawsocket.clone(), open_by, &mut scratch)
                    .ok_or(ConnectError::Serializer(serializer))?
            }
        };
        let mut link = Self::new(stream, wire, clock, options.write_timeout).map_err(socket_error)?;
        link.scratch = scratch;
        link.queue_scratch();
        let encoding = link.finish_opening()?;
        Ok((link, encoding))
    }

    fn new(
        mut stream: Stream,
        wire: wampd_wire::Client<SystemRng>,
        clock: Clock,
        write_timeout: Duration,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        poll.registry().register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(8),
            waker,
            clock,
            stream,
            wire,
            input: BytesMut::new(),
            read_buffer: ReadBuffer::new(READ_BUFFER),
            out: OutQueue::default(),
            pool: ChunkPool::default(),
            scratch: Vec::new(),
            write_timeout,
            stalled: None,
            readable: false,
            read_closed: false,
            writable: true,
            woken: false,
        })
    }

    /// Waits until the transport is open.
    fn finish_opening(&mut self) -> Result<Encoding, ConnectError> {
        let failed = |lost| match lost {
            Lost::Transport(TransportError::OpenTimeout) => ConnectError::Timeout(Stage::Transport),
            Lost::Transport(error) => ConnectError::Transport(error),
            lost => ConnectError::Lost(lost),
        };
        loop {
            match self.receive().map_err(failed)? {
                Some(Incoming::Open(encoding)) => return Ok(encoding),
                // Nothing else comes out of a transport that is not open.
                Some(_) => {}
                None => {
                    self.work().and_then(|()| self.wait(None)).map_err(failed)?;
                }
            }
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(super) const fn waker(&self) -> &Arc<Waker> {
        &self.waker
    }

    /// Whether another thread has called since the last time this was asked.
    pub(super) fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.woken)
    }

    /// What proofs can be bound to, with TLS.
    pub(super) fn channel_binding(&self) -> Option<ChannelBinding> {
        self.stream.channel_binding()
    }

    fn has_output(&self) -> bool {
        !self.out.is_empty() || self.stream.wants_write()
    }

    /// Bytes waiting to be written.
    pub(super) const fn pending(&self) -> usize {
        self.out.len()
    }

    /// The next thing that the router has sent, if it has arrived.
    pub(super) fn receive(&mut self) -> Result<Option<Incoming>, Lost> {
        loop {
            let incoming = self.wire.next(self.clock.now(), &mut self.input, &mut self.scratch);
            self.queue_scratch();
            match incoming {
                Ok(Some(incoming)) => return Ok(Some(incoming)),
                Ok(None) if self.fill()? => {}
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    /// Reads once from the socket. False: nothing is there.
    fn fill(&mut self) -> Result<bool, Lost> {
        if !self.readable {
            return Ok(false);
        }
        let space = self.read_buffer.space();
        let offered = space.len();
        match self.stream.receive(space) {
            Ok(Found::Bytes(len)) => {
                self.input = self.read_buffer.take(len);
                self.readable = len == offered || !self.stream.short_means_drained() || self.read_closed;
                Ok(true)
            }
            Ok(Found::Nothing) => {
                self.readable = false;
                Ok(false)
            }
            Ok(Found::End) => {
                // In TLS the end of the router is answered.
                let _ = self.stream.shut_down_writing();
                Err(Lost::Cut)
            }
            Err(error) => Err(Lost::Io(Arc::new(error))),
        }
    }

    /// Queues a message. Nothing is queued if the transport is closed.
    pub(super) fn send(&mut self, message: &Message) -> Result<(), Undeliverable> {
        let Some(encoding) = self.wire.encoding() else { return Ok(()) };
        let Some(frame) = self.wire.begin_frame(&mut self.scratch, 126) else { return Ok(()) };
        if let Err(error) = encode(message, encoding.format, &mut self.scratch) {
            frame.abandon(&mut self.scratch);
            return Err(Undeliverable::Transcode(error));
        }
        self.wire
            .finish_frame(&mut self.scratch, frame)
            .map_err(|error| Undeliverable::TooLarge { size: error.len, limit: error.limit })?;
        self.queue_scratch();
        Ok(())
    }

    /// Does what is due, and writes as much as the socket takes.
    pub(super) fn work(&mut self) -> Result<(), Lost> {
        let now = self.clock.now();
        if self.stalled.is_some_and(|deadline| deadline <= now) {
            return Err(Lost::Io(Arc::new(io::ErrorKind::TimedOut.into())));
        }
        if self.wire.next_deadline().is_some_and(|deadline| deadline <= now) {
            let result = self.wire.handle_timeout(now, true, &mut self.scratch);
            self.queue_scratch();
            result.map_err(|error| self.broken(error))?;
        }
        self.flush()
    }

    pub(super) fn flush(&mut self) -> Result<(), Lost> {
        if !self.writable || !self.has_output() {
            return Ok(());
        }
        match self.out.flush(&mut self.stream, &mut self.pool) {
            Ok(Flushed::All) => self.stalled = None,
            Ok(Flushed::Blocked { progress }) => {
                self.writable = false;
                if progress || self.stalled.is_none() {
                    self.stalled = Some(self.clock.now().after(self.write_timeout));
                }
            }
            Err(error) => return Err(Lost::Io(Arc::new(error))),
        }
        Ok(())
    }

    /// Waits until the socket is ready, another thread calls, or something is due; until `until` at most. Returns whether
    /// it was the socket.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> Result<bool, Lost> {
        let deadlines = [until, self.wire.next_deadline(), self.stalled];
        let timeout = deadlines.into_iter().flatten().min().map(|until| until.since(self.clock.now()));
        match self.poll.poll(&mut self.events, timeout) {
            // By a signal; there may be events of the time before.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(Lost::Io(Arc::new(error))),
            Ok(()) => {}
        }
        let mut ready = false;
        for event in &self.events {
            if event.token() == WAKER {
                self.woken = true;
                continue;
            }
            ready = true;
            self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            self.read_closed |= event.is_read_closed() || event.is_error();
            self.writable |= event.is_writable();
        }
        Ok(ready)
    }

    /// Begins to close the transport from our side.
    pub(super) fn close(&mut self) {
        self.wire.close(self.clock.now(), CloseCode::NORMAL, "", &mut self.scratch);
        self.queue_scratch();
        // If that fails, there is nothing left to be closed.
        let _ = self.flush();
    }

    /// Writes what is left and waits until the router has closed the transport too, for `timeout` at most.
    pub(super) fn finish(&mut self, timeout: Duration) {
        let until = self.clock.now().after(timeout);
        let mut shut_down = false;
        while self.clock.now() < until {
            match self.receive() {
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(_) => {
                    // The router has closed its side, and waits for ours.
                    let _ = self.stream.shut_down_writing();
                    return;
                }
            }
            if self.wire.is_closed() && !self.has_output() && !shut_down {
                shut_down = true;
                if self.stream.shut_down_writing().is_err() {
                    return;
                }
            }
            if self.work().and_then(|()| self.wait(Some(until))).is_err() {
                return;
            }
        }
    }

    /// The transport cannot continue; the router is told why if the socket takes it.
    fn broken(&mut self, error: TransportError) -> Lost {
        let _ = self.flush();
        Lost::Transport(error)
    }

    fn queue_scratch(&mut self) {
        self.out.push_scratch(&mut self.scratch, &mut self.pool);
    }
}

fn socket_error(error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::TimedOut => ConnectError::Timeout(Stage::Socket),
        _ => ConnectError::Socket(Arc::new(error)),
    }
}

fn connect(socket: &Socket, tls: Option<&ClientTls>, open_by: Instant, clock: &Clock) -> Result<Stream, ConnectError> {
    let connect = |host: &str, port: u16| {
        let addresses = (host, port)
            .to_socket_addrs()
            .map_err(|error| ConnectError::Resolve { host: host.to_owned(), error: Arc::new(error) })?;
        connect_tcp(addresses, open_by, clock).map_err(socket_error)
    };
    match socket {
        Socket::Tcp { host, port } => connect(host, *port),
        Socket::Tls { host, port } => {
            let tls = match tls {
                Some(tls) => tls.clone(),
                None => ClientTls::new(Authorities::System, None).map_err(ConnectError::Tls)?,
            };
            let stream = tls.connect(host, connect(host, *port)?).map_err(socket_error)?;
            Ok(Stream::Tls(Box::new(stream)))
        }
        Socket::Unix(path) => connect_unix(path, open_by, clock).map_err(socket_error),
    }
}

/// Tries one address after the other; each may take its share of the time that is left.
fn connect_tcp(addresses: impl Iterator<Item = SocketAddr>, open_by: Instant, clock: &Clock) -> io::Result<Stream> {
    let addresses: Vec<_> = addresses.collect();
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (tried, address) in addresses.iter().enumerate() {
        let share = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let timeout = open_by.since(clock.now()) / share;
        if timeout.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match std::net::TcpStream::connect_timeout(address, timeout) {
            Ok(stream) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                return Ok(Stream::Tcp(mio::net::TcpStream::from_std(stream)));
            }
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

fn connect_unix(path: &Path, open_by: Instant, clock: &Clock) -> io::Result<Stream> {
    loop {
        match mio::net::UnixStream::connect(path) {
            Ok(stream) => return Ok(Stream::Unix(stream)),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if clock.now() >= open_by => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => thread::sleep(BACKLOG_PAUSE),
        }
    }
}
