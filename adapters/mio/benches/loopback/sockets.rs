//! Many non-blocking sockets in one loop: what the relay and both generators have in common.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    time::Duration,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

const LISTENER: Token = Token(usize::MAX);

pub(crate) struct Sockets {
    poll: Poll,
    events: Events,
    listener: Option<TcpListener>,
    sockets: BTreeMap<usize, Socket>,
    next: usize,
    dirty: Vec<usize>,
    buffer: Vec<u8>,
}

struct Socket {
    stream: TcpStream,
    out: Vec<u8>,
    written: usize,
    dirty: bool,
    closing: bool,
}

/// What has happened to a socket.
pub(crate) enum Happened<'a> {
    Received(&'a [u8]),
    Closed,
}

impl Sockets {
    pub(crate) fn new() -> Self {
        Self {
            poll: Poll::new().expect("poll"),
            events: Events::with_capacity(1024),
            listener: None,
            sockets: BTreeMap::new(),
            next: 0,
            dirty: Vec::new(),
            buffer: vec![0; 256 << 10],
        }
    }

    /// Accepts connections from now on.
    pub(crate) fn listen(&mut self) -> SocketAddr {
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("bind");
        self.poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("register");
        let address = listener.local_addr().expect("bound");
        self.listener = Some(listener);
        address
    }

    pub(crate) fn connect(&mut self, address: SocketAddr) -> usize {
        let stream = std::net::TcpStream::connect(address).expect("connect");
        stream.set_nonblocking(true).expect("set");
        self.add(TcpStream::from_std(stream))
    }

    fn add(&mut self, mut stream: TcpStream) -> usize {
        stream.set_nodelay(true).expect("set");
        let id = self.next;
        self.next += 1;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(id), interest).expect("register");
        self.sockets.insert(id, Socket { stream, out: Vec::new(), written: 0, dirty: false, closing: false });
        id
    }

    pub(crate) fn is_open(&self, id: usize) -> bool {
        self.sockets.contains_key(&id)
    }

    /// Where to append what is to be sent with the next [`turn`](Self::turn).
    pub(crate) fn out(&mut self, id: usize) -> &mut Vec<u8> {
        let socket = self.sockets.get_mut(&id).expect("an open socket");
        if !socket.dirty {
            socket.dirty = true;
            self.dirty.push(id);
        }
        &mut socket.out
    }

    /// Closes a socket when all is sent.
    pub(crate) fn close(&mut self, id: usize) {
        self.out(id);
        self.sockets.get_mut(&id).expect("an open socket").closing = true;
    }

    fn flush(&mut self, id: usize) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.dirty = false;
        while socket.written < socket.out.len() {
            match socket.stream.write(&socket.out[socket.written..]) {
                Ok(len) => socket.written += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The other end is gone; reading shows that.
                Err(_) => break,
            }
        }
        socket.out.clear();
        socket.written = 0;
        if socket.closing {
            self.sockets.remove(&id);
        }
    }

    /// Sends what is to be sent, waits, and shows what has been received; `false` after a second without anything.
    pub(crate) fn turn(&mut self, mut show: impl FnMut(usize, Happened<'_>)) -> bool {
        for id in std::mem::take(&mut self.dirty) {
            self.flush(id);
        }
        if let Err(error) = self.poll.poll(&mut self.events, Some(Duration::from_secs(1))) {
            assert_eq!(error.kind(), ErrorKind::Interrupted);
            return true;
        }
        let events: Vec<(usize, bool)> = self.events.iter().map(|e| (e.token().0, e.is_read_closed())).collect();
        for &(id, closed) in &events {
            if id == LISTENER.0 {
                while let Some(Ok((stream, _))) = self.listener.as_ref().map(TcpListener::accept) {
                    self.add(stream);
                }
                continue;
            }
            self.flush(id);
            while let Some(socket) = self.sockets.get_mut(&id) {
                match socket.stream.read(&mut self.buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Ok(0) | Err(_) => {
                        self.sockets.remove(&id);
                        show(id, Happened::Closed);
                    }
                    Ok(len) => {
                        show(id, Happened::Received(&self.buffer[..len]));
                        if len < self.buffer.len() && !closed {
                            break;
                        }
                    }
                }
            }
        }
        !events.is_empty()
    }
}
