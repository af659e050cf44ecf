//! Learning from proxies where their clients connect from.

use std::{net::SocketAddr, sync::Arc};

use wampd_wire::{HttpRequest, Proxies, ProxyError, ProxyHeader, ProxyProtocol};

use crate::{
    config::{ListenerId, PeerAddress},
    host::{CloseCause, Host, Observation, Response},
    reactor::Server,
    stream::Found,
};

/// What a connection still has to tell of where its client connects from.
#[derive(Debug)]
pub(crate) enum ProxyStage {
    /// Nothing: it is counted for [`Conn::address`](crate::connection::Conn::address).
    Done,
    /// It begins with a header of the PROXY protocol.
    Header,
    /// As [`Done`](Self::Done), but so many bytes of that header are to be skipped.
    Skipping(usize),
    /// Its request tells.
    Request(Arc<Proxies>),
}

impl ProxyStage {
    /// Of a new connection to a listener with these proxies. `None`: the peer may not connect there.
    pub(crate) fn of(proxies: Option<&Arc<Proxies>>, peer: PeerAddress) -> Option<Self> {
        let Some(proxies) = proxies else { return Some(Self::Done) };
        match (proxies.trusts(peer.ip()), proxies.protocol) {
            (true, ProxyProtocol::Proxy) => Some(Self::Header),
            (true, _) => Some(Self::Request(proxies.clone())),
            // It must not be guessed whether there is a header.
            (false, ProxyProtocol::Proxy) => None,
            (false, _) => Some(Self::Done),
        }
    }

    /// Whether the connection is counted for its address. Until the client is known, no address is to blame.
    pub(crate) const fn is_counted(&self) -> bool {
        matches!(self, Self::Done | Self::Skipping(_))
    }

    /// Whether a header of the PROXY protocol, or a part of it, comes before what the client sends.
    pub(crate) const fn is_behind_header(&self) -> bool {
        matches!(self, Self::Header | Self::Skipping(_))
    }
}

impl Server {
    /// Counts a connection for its address.
    ///
    /// # Errors
    /// The key of the limit that the address is at.
    pub(crate) fn enter<H: Host + ?Sized>(
        &mut self,
        listener: ListenerId,
        peer: PeerAddress,
        host: &mut H,
    ) -> Result<(), &'static str> {
        let Some(origin) = peer.origin() else { return Ok(()) };
        let entered = self.addresses.enter(origin, self.now, &self.limits.per_address);
        if let Err(limit) = entered {
            self.stats.refused_by_address += 1;
            host.observe(&Observation::TooManyFromAddress { listener, peer, limit });
        }
        entered
    }

    /// Takes the header of the PROXY protocol off what was received. False: not all of it is there, or it is refused.
    ///
    /// It is looked at before it is taken, so nothing of it is kept meanwhile, and nothing is taken of what follows.
    pub(crate) fn pass_proxy_header<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) -> bool {
        loop {
            let Some(conn) = self.conns.get_mut(token) else { return false };
            match conn.proxy {
                ProxyStage::Done | ProxyStage::Request(_) => return true,
                ProxyStage::Skipping(0) => conn.proxy = ProxyStage::Done,
                ProxyStage::Skipping(left) => {
                    let space = self.read_buffer.space();
                    let most = left.min(space.len());
                    match conn.stream.receive_below_tls(&mut space[..most]) {
                        Ok(Found::Bytes(len)) => {
                            conn.proxy = ProxyStage::Skipping(left - len);
                            self.stats.bytes_received += len as u64;
                        }
                        nothing => {
                            self.read_nothing(token, nothing, host);
                            return false;
                        }
                    }
                }
                ProxyStage::Header => {
                    let mut head = [0; ProxyHeader::HEAD];
                    match conn.stream.peek_below_tls(&mut head) {
                        Ok(Found::Bytes(len)) => {
                            if !self.look_at_proxy_header(token, &head[..len], host) {
                                return false;
                            }
                        }
                        nothing => {
                            self.read_nothing(token, nothing, host);
                            return false;
                        }
                    }
                }
            }
        }
    }

    /// Learns from the beginning of a header who the client is. False: it is too short, or refused.
    fn look_at_proxy_header<H: Host + ?Sized>(&mut self, token: usize, head: &[u8], host: &mut H) -> bool {
        let limit = self.limits.max_message_before_join;
        let cause = match ProxyHeader::parse(head) {
            Ok(None) => {
                // The next bytes are told by an event, the end was.
                let ended = self.conns.get(token).is_some_and(|conn| conn.read_closed);
                self.read_nothing(token, Ok(if ended { Found::End } else { Found::Nothing }), host);
                return false;
            }
            Ok(Some(ProxyHeader { length, .. })) if length > limit => {
                self.stats.too_long_before_join += 1;
                CloseCause::ProxyHeader(ProxyError::TooLong(limit))
            }
            Ok(Some(ProxyHeader { length, source })) => {
                match self.learn(token, source, ProxyStage::Skipping(length), host) {
                    Ok(()) => return true,
                    Err(limit) => CloseCause::TooManyFromAddress(limit),
                }
            }
            Err(error) => CloseCause::ProxyHeader(error),
        };
        if let CloseCause::ProxyHeader(error) = cause {
            self.malformed(token, error, host);
        }
        self.remove(token, cause, host);
        false
    }

    /// Learns from a request who the client is. False: it is refused, and answered.
    pub(crate) fn learn_from_request<H: Host + ?Sized>(
        &mut self,
        token: usize,
        request: &HttpRequest,
        host: &mut H,
    ) -> bool {
        let Some(conn) = self.conns.get(token) else { return false };
        let ProxyStage::Request(proxies) = &conn.proxy else { return true };
        let response = match proxies.client(request) {
            Ok(source) => match self.learn(token, source, ProxyStage::Done, host) {
                Ok(()) => return true,
                Err(limit) => Response::text(429, format!("too many connections from this address (limit {limit})\n")),
            },
            Err(error) => {
                self.malformed(token, error, host);
                Response::text(400, format!("{error}\n"))
            }
        };
        self.respond(token, request.path(), response, host);
        false
    }

    /// There is no request that could tell who the client is: it is taken for whoever connects.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub(crate) fn learn_without_request<H: Host + ?Sized>(
        &mut self,
        token: usize,
        host: &mut H,
    ) -> Result<(), &'static str> {
        let unknown = self.conns.get(token).is_some_and(|conn| !conn.proxy.is_counted());
        if unknown { self.learn(token, None, ProxyStage::Done, host) } else { Ok(()) }
    }

    /// A client is known: it connects from `source`, or is the proxy itself. The connection is counted for it, and is at this stage.
    fn learn<H: Host + ?Sized>(
        &mut self,
        token: usize,
        source: Option<SocketAddr>,
        stage: ProxyStage,
        host: &mut H,
    ) -> Result<(), &'static str> {
        let Some(conn) = self.conns.get(token) else { return Ok(()) };
        let (connection, listener, proxy) = (conn.id, conn.listener, conn.address);
        let peer = source.map_or(proxy, PeerAddress::Tcp);
        self.enter(listener, peer, host)?;
        if let Some(conn) = self.conns.get_mut(token) {
            (conn.address, conn.proxy) = (peer, stage);
        }
        if source.is_some() {
            host.observe(&Observation::BehindProxy { connection, peer, proxy });
        }
        Ok(())
    }

    fn malformed<H: Host + ?Sized>(&mut self, token: usize, error: ProxyError, host: &mut H) {
        self.stats.proxy_headers_malformed += 1;
        if let Some(conn) = self.conns.get(token) {
            let (connection, listener, proxy) = (conn.id, conn.listener, conn.address);
            host.observe(&Observation::MalformedProxyHeader { connection, listener, proxy, error });
        }
    }
}
