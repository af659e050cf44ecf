//! TCP and unix sockets, with and without TLS, behind one type.

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
};

use mio::{
    Interest, Registry, Token,
    event::Source,
    net::{TcpStream, UnixStream},
};
use wampd_core::auth::ChannelBinding;

use crate::tls::TlsStream;

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// TLS over one of the others.
    Tls(Box<TlsStream>),
}

/// Something that bytes are written to.
pub(crate) trait Sink: Write {
    /// Whether a write that took less than was offered tells that no more is taken for now.
    fn short_means_full(&self) -> bool;
}

/// What a read has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Bytes(usize),
    Nothing,
    End,
}

fn found(read: io::Result<usize>) -> io::Result<Found> {
    match read {
        Ok(0) => Ok(Found::End),
        Ok(len) => Ok(Found::Bytes(len)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

impl Stream {
    pub(crate) fn receive(&mut self, space: &mut [u8]) -> io::Result<Found> {
        if let Self::Tls(stream) = self {
            return stream.receive(space);
        }
        loop {
            match found(self.read(space)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                found => return found,
            }
        }
    }

    /// Looks at what has arrived, below TLS, and leaves it there.
    pub(crate) fn peek_below_tls(&self, space: &mut [u8]) -> io::Result<Found> {
        use rustix::net::{RecvFlags, recv};
        loop {
            let seen = match self {
                Self::Tcp(stream) => recv(stream, &mut *space, RecvFlags::PEEK),
                Self::Unix(stream) => recv(stream, &mut *space, RecvFlags::PEEK),
                Self::Tls(stream) => return stream.socket().peek_below_tls(space),
            };
            match found(seen.map(|(len, _)| len).map_err(io::Error::from)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                found => return found,
            }
        }
    }

    /// As [`receive`](Self::receive), below TLS.
    pub(crate) fn receive_below_tls(&mut self, space: &mut [u8]) -> io::Result<Found> {
        match self {
            Self::Tls(stream) => stream.socket_mut().receive(space),
            Self::Tcp(_) | Self::Unix(_) => self.receive(space),
        }
    }

    /// Whether a read that found less than it had space for tells that there is no more for now.
    pub(crate) const fn short_means_drained(&self) -> bool {
        SHORT_MEANS_DRAINED && !matches!(self, Self::Tls(_))
    }

    /// Bytes of memory held beside the socket.
    pub(crate) fn memory(&self) -> usize {
        if let Self::Tls(stream) = self { stream.memory() } else { 0 }
    }

    /// Whether what is read now goes to the handshake of TLS.
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.is_handshaking())
    }

    /// Whether TLS failed since the handshake was longer than allowed.
    pub(crate) fn handshake_was_too_long(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.handshake_was_too_long())
    }

    /// A session was joined: more may wait inside, and in the system.
    pub(crate) fn joined(&mut self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Tcp(stream) => {
                // 0 stands for the default of the system. It is of use, and nothing depends on it.
                let _ = socket2::SockRef::from(&*stream).set_tcp_notsent_lowat(0);
            }
            #[cfg(not(target_os = "linux"))]
            Self::Tcp(_) => {}
            Self::Unix(_) => {}
            Self::Tls(stream) => stream.joined(),
        }
    }

    /// Whether something is left of what was written before, for the socket to take.
    pub(crate) fn wants_write(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.wants_write())
    }

    /// What proofs can be bound to, with TLS.
    pub(crate) fn channel_binding(&self) -> Option<ChannelBinding> {
        match self {
            Self::Tls(stream) => stream.channel_binding(),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    pub(crate) fn shut_down_writing(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(stream) => stream.shut_down_writing(),
        }
    }
}

/// Whether a read or write that moved less than was offered tells that there is no more for now, so that the next edge will
/// come (epoll(7), question 9, and kqueue; it is not so where readiness is emulated).
pub(crate) const SHORT_MEANS_DRAINED: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
));

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buf),
            Self::Unix(stream) => stream.read(buf),
            Self::Tls(stream) => match stream.receive(buf)? {
                Found::Bytes(len) => Ok(len),
                Found::Nothing => Err(io::ErrorKind::WouldBlock.into()),
                Found::End => Ok(0),
            },
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buf),
            Self::Unix(stream) => stream.write(buf),
            Self::Tls(stream) => stream.write(buf),
        }
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(bufs),
            Self::Unix(stream) => stream.write_vectored(bufs),
            Self::Tls(stream) => stream.write_vectored(bufs),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Sink for Stream {
    fn short_means_full(&self) -> bool {
        self.short_means_drained()
    }
}

/// A stream that is closed once all is written: what is written last may leave together with the end of the stream.
pub(crate) struct Parting<'a>(pub(crate) &'a mut Stream);

impl Write for Parting<'_> {
    #[cfg(target_os = "linux")]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        use rustix::net::{SendFlags, send};
        match self.0 {
            // One segment for the bytes and the FIN: a segment less to send, to acknowledge, and to wake the peer for.
            Stream::Tcp(stream) => Ok(send(&*stream, buf, SendFlags::MORE | SendFlags::NOSIGNAL)?),
            Stream::Unix(_) | Stream::Tls(_) => self.0.write(buf),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sink for Parting<'_> {
    fn short_means_full(&self) -> bool {
        self.0.short_means_full()
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(registry, token, interests),
            Self::Unix(stream) => stream.register(registry, token, interests),
            Self::Tls(stream) => stream.socket_mut().register(registry, token, interests),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(registry, token, interests),
            Self::Unix(stream) => stream.reregister(registry, token, interests),
            Self::Tls(stream) => stream.socket_mut().reregister(registry, token, interests),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(registry),
            Self::Unix(stream) => stream.deregister(registry),
            Self::Tls(stream) => stream.socket_mut().deregister(registry),
        }
    }
}
