//! Listening sockets.

use std::{
    fs, io,
    os::fd::OwnedFd,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net as unix,
    },
    path::Path,
    sync::Arc,
};

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, UnixListener},
};
use socket2::{Domain, SockAddr, Type};
use wampd_core::time::Instant;
use wampd_wire::ServerOptions;

use crate::{
    config::{Endpoint, ListenerConfig, PeerAddress},
    stream::Stream,
    tls::TlsAcceptor,
};

#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    /// Where it listens, with the port that the system chose.
    pub(crate) endpoint: Endpoint,
    tls: Option<TlsAcceptor>,
    pub(crate) transport: Arc<ServerOptions>,
    pub(crate) tag: u64,
    /// Connections may be waiting.
    pub(crate) ready: bool,
    /// None are accepted before this.
    pub(crate) paused_until: Option<Instant>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What accepting has given.
pub(crate) enum Accepted {
    Connection(Stream, PeerAddress),
    Nothing,
    /// The system has no resources for another connection now.
    Exhausted(io::Error),
}

/// A listening socket that does not block. An address that a server has just left is taken over. Nobody can connect before
/// `prepare` is done.
fn listen(
    domain: Domain,
    address: &SockAddr,
    backlog: u32,
    prepare: impl FnOnce() -> io::Result<()>,
) -> io::Result<OwnedFd> {
    let socket = socket2::Socket::new(domain, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if domain != Domain::UNIX {
        socket.set_reuse_address(true)?;
        // Latency is worth more than fewer packets; not fatal where it is not supported. Connections inherit it.
        let _ = socket.set_tcp_nodelay(true);
    }
    socket.bind(address)?;
    prepare()?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

impl Listener {
    pub(crate) fn bind(config: ListenerConfig, registry: &Registry, token: Token) -> io::Result<Self> {
        let ListenerConfig { endpoint, backlog, tls, transport, tag } = config;
        let (mut socket, endpoint) = match endpoint {
            Endpoint::Tcp(address) => {
                let socket = listen(Domain::for_address(address), &address.into(), backlog, || Ok(()))?;
                let socket = TcpListener::from_std(socket.into());
                let endpoint = Endpoint::Tcp(socket.local_addr()?);
                (Socket::Tcp(socket), endpoint)
            }
            Endpoint::Unix { path, mode } => {
                remove_stale_socket(&path)?;
                let protect = || match mode {
                    Some(mode) => fs::set_permissions(&path, fs::Permissions::from_mode(mode)),
                    None => Ok(()),
                };
                let socket = listen(Domain::UNIX, &SockAddr::unix(&path)?, backlog, protect)?;
                (Socket::Unix(UnixListener::from_std(socket.into())), Endpoint::Unix { path, mode })
            }
        };
        match &mut socket {
            Socket::Tcp(socket) => registry.register(socket, token, Interest::READABLE)?,
            Socket::Unix(socket) => registry.register(socket, token, Interest::READABLE)?,
        }
        Ok(Self { socket, endpoint, tls, transport, tag, ready: false, paused_until: None })
    }

    pub(crate) fn accept(&self) -> Accepted {
        loop {
            let accepted = match &self.socket {
                Socket::Tcp(socket) => {
                    socket.accept().map(|(stream, address)| (Stream::Tcp(stream), PeerAddress::Tcp(address)))
                }
                Socket::Unix(socket) => socket.accept().map(|(stream, _)| (Stream::Unix(stream), PeerAddress::Unix)),
            };
            let accepted = accepted.and_then(|(stream, address)| match &self.tls {
                Some(tls) => Ok((Stream::Tls(Box::new(tls.accept(stream)?)), address)),
                None => Ok((stream, address)),
            });
            return match accepted {
                Ok((stream, address)) => Accepted::Connection(stream, address),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => Accepted::Nothing,
                    // The connection was gone before it was accepted (accept(2), "Error handling").
                    io::ErrorKind::Interrupted
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::NetworkDown => continue,
                    _ => Accepted::Exhausted(error),
                },
            };
        }
    }

    /// Closes the socket; of a unix socket removes the file.
    pub(crate) fn close(mut self, registry: &Registry) {
        let _ = match &mut self.socket {
            Socket::Tcp(socket) => registry.deregister(socket),
            Socket::Unix(socket) => registry.deregister(socket),
        };
        if let Endpoint::Unix { path, .. } = &self.endpoint {
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes a socket that nobody listens on.
fn remove_stale_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match unix::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            _ => Err(io::ErrorKind::AddrInUse.into()),
        },
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};

    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn accepted_connections_do_not_wait_to_fill_packets() {
        let mut poll = Poll::new().unwrap();
        let endpoint = Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let backlog = ListenerConfig::BACKLOG;
        let config = ListenerConfig { endpoint, backlog, tls: None, transport: Arc::default(), tag: 0 };
        let listener = Listener::bind(config, poll.registry(), Token(0)).unwrap();
        let Endpoint::Tcp(address) = listener.endpoint else { panic!() };
        let _client = TcpStream::connect(address).unwrap();
        poll.poll(&mut Events::with_capacity(1), None).unwrap();
        let Accepted::Connection(Stream::Tcp(stream), _) = listener.accept() else { panic!() };
        assert!(stream.nodelay().unwrap());
    }
}
