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
    time::Duration,
};

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, UnixListener},
};
use socket2::{Domain, SockAddr, SockRef, TcpKeepalive, Type};
use wampd_core::time::Instant;
use wampd_wire::{Proxies, ServerOptions};

use crate::{
    config::{Endpoint, ListenerConfig, PeerAddress, ServerLimits},
    stream::Stream,
    tls::TlsAcceptor,
};

#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    /// Connections that may wait to be accepted; `None`: it listens.
    backlog: Option<u32>,
    /// Where it listens, with the port that the system chose.
    pub(crate) endpoint: Endpoint,
    tls: Option<TlsAcceptor>,
    pub(crate) transport: Arc<ServerOptions>,
    pub(crate) tag: u64,
    pub(crate) proxies: Option<Arc<Proxies>>,
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

/// Bytes that the system takes for a peer without a session beyond what it can send at once.
#[cfg(target_os = "linux")]
const UNSENT_BEFORE_JOIN: u32 = 64 << 10;

/// A socket at an address, to listen later. It does not block. An address that a server has just left is taken over.
fn bound(domain: Domain, limits: &ServerLimits, address: &SockAddr) -> io::Result<OwnedFd> {
    let socket = socket2::Socket::new(domain, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if domain != Domain::UNIX {
        socket.set_reuse_address(true)?;
        // Latency is worth more than fewer packets; not fatal where it is not supported. Connections inherit it.
        let _ = socket.set_tcp_nodelay(true);
        // A peer behind a dead link is to be noticed. Connections inherit these too.
        if !limits.tcp_keepalive.is_zero() {
            let (time, interval) = (limits.tcp_keepalive, limits.tcp_keepalive / 3);
            // Systems count in seconds.
            let [time, interval] = [time, interval].map(|wait| wait.max(Duration::from_secs(1)));
            let _ =
                socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(3));
        }
        // Of a file that a thousand strangers do not read the system would hold several MiB for each.
        #[cfg(target_os = "linux")]
        let _ = socket.set_tcp_notsent_lowat(UNSENT_BEFORE_JOIN);
        #[cfg(target_os = "linux")]
        if !limits.tcp_user_timeout.is_zero() {
            // A peer that lets what is sent wait is ended by `write_timeout`, not by this.
            let _ = socket.set_tcp_user_timeout(Some(limits.tcp_user_timeout.max(limits.write_timeout)));
        }
    }
    socket.bind(address)?;
    Ok(socket.into())
}

impl Listener {
    pub(crate) fn bind(
        config: ListenerConfig,
        limits: &ServerLimits,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let ListenerConfig { endpoint, backlog, tls, transport, tag, waits, proxies } = config;
        let (socket, endpoint) = match endpoint {
            Endpoint::Tcp(address) => {
                let socket = bound(Domain::for_address(address), limits, &address.into())?;
                let socket = TcpListener::from_std(socket.into());
                let endpoint = Endpoint::Tcp(socket.local_addr()?);
                (Socket::Tcp(socket), endpoint)
            }
            Endpoint::Unix { path, mode } => {
                remove_stale_socket(&path)?;
                let socket = bound(Domain::UNIX, limits, &SockAddr::unix(&path)?)?;
                // Nobody can connect before it listens.
                if let Some(mode) = mode {
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
                }
                (Socket::Unix(UnixListener::from_std(socket.into())), Endpoint::Unix { path, mode })
            }
        };
        let backlog = Some(backlog);
        let mut this =
            Self { socket, backlog, endpoint, tls, transport, tag, proxies, ready: false, paused_until: None };
        if !waits {
            this.listen(registry, token)?;
        }
        Ok(this)
    }

    /// Listens from now on. Returns false if it did already.
    pub(crate) fn listen(&mut self, registry: &Registry, token: Token) -> io::Result<bool> {
        let Some(backlog) = self.backlog else { return Ok(false) };
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        match &mut self.socket {
            Socket::Tcp(socket) => {
                SockRef::from(&*socket).listen(backlog)?;
                registry.register(socket, token, Interest::READABLE)?;
            }
            Socket::Unix(socket) => {
                SockRef::from(&*socket).listen(backlog)?;
                registry.register(socket, token, Interest::READABLE)?;
            }
        }
        self.backlog = None;
        Ok(true)
    }

    /// `max_handshake`: the most bytes that a TLS handshake of the peer may take.
    pub(crate) fn accept(&self, max_handshake: usize) -> Accepted {
        loop {
            let accepted = match &self.socket {
                Socket::Tcp(socket) => {
                    socket.accept().map(|(stream, address)| (Stream::Tcp(stream), PeerAddress::Tcp(address)))
                }
                Socket::Unix(socket) => socket.accept().map(|(stream, _)| (Stream::Unix(stream), PeerAddress::Unix)),
            };
            let accepted = accepted.and_then(|(stream, address)| match &self.tls {
                Some(tls) => Ok((Stream::Tls(Box::new(tls.accept(stream, max_handshake)?)), address)),
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
    fn accepted_connections_do_not_wait_to_fill_packets_and_notice_a_dead_link() {
        let mut poll = Poll::new().unwrap();
        let endpoint = Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let backlog = ListenerConfig::BACKLOG;
        let config = ListenerConfig {
            endpoint,
            backlog,
            tls: None,
            transport: Arc::default(),
            tag: 0,
            waits: false,
            proxies: None,
        };
        let listener = Listener::bind(config, &ServerLimits::default(), poll.registry(), Token(0)).unwrap();
        let Endpoint::Tcp(address) = listener.endpoint else { panic!() };
        let _client = TcpStream::connect(address).unwrap();
        poll.poll(&mut Events::with_capacity(1), None).unwrap();
        let Accepted::Connection(mut stream, _) = listener.accept(0) else { panic!() };
        let socket = |stream: &Stream| match stream {
            Stream::Tcp(stream) => socket2::SockRef::from(stream).try_clone().unwrap(),
            other => panic!("{other:?}"),
        };
        #[cfg(target_os = "linux")]
        assert_eq!(socket(&stream).tcp_notsent_lowat().unwrap(), UNSENT_BEFORE_JOIN);
        stream.joined();
        let socket = socket(&stream);
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 0);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
    }
}
