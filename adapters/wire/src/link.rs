//! A connection past its opening handshake: WebSocket or RawSocket.

use bytes::BytesMut;
use wampd_core::time::Instant;

use crate::{
    buffer::Inbox,
    error::TransportError,
    framing::{Encoding, MessageTooLong},
    incoming::Incoming,
    rawsocket::RawSocket,
    websocket::{CloseCode, Role, WebSocket},
};

#[derive(Debug)]
pub(crate) enum Link<R> {
    WebSocket(WebSocket<R>),
    RawSocket(RawSocket),
}

impl<R: Role> Link<R> {
    pub(crate) fn next(
        &mut self,
        now: Instant,
        inbox: &mut Inbox,
        input: &mut BytesMut,
        out: &mut Vec<u8>,
    ) -> Result<Option<Incoming>, TransportError> {
        match self {
            Self::WebSocket(link) => link.next(now, inbox, input, out),
            Self::RawSocket(link) => link.next(now, inbox, input, out),
        }
    }

    /// Bytes of memory held beside the inbox.
    pub(crate) fn held_memory(&self) -> usize {
        match self {
            Self::WebSocket(link) => link.held_memory(),
            Self::RawSocket(_) => 0,
        }
    }

    pub(crate) fn limit_messages(&mut self, limit: usize) {
        match self {
            Self::WebSocket(link) => link.limit_messages(limit),
            Self::RawSocket(link) => link.limit_messages(limit),
        }
    }

    pub(crate) fn encoding(&self) -> Encoding {
        match self {
            Self::WebSocket(link) => link.encoding(),
            Self::RawSocket(link) => link.encoding(),
        }
    }

    pub(crate) fn admits(&self, frame_len: usize) -> Result<(), MessageTooLong> {
        match self {
            Self::WebSocket(_) => Ok(()),
            Self::RawSocket(link) => link.admits(frame_len),
        }
    }

    pub(crate) fn close(&mut self, now: Instant, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        match self {
            Self::WebSocket(link) => link.close(now, code, reason, out),
            Self::RawSocket(link) => link.close(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::WebSocket(link) => link.is_open(),
            Self::RawSocket(link) => !link.is_closed(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::WebSocket(link) => link.is_closed(),
            Self::RawSocket(link) => link.is_closed(),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self {
            Self::WebSocket(link) => link.next_deadline(),
            Self::RawSocket(link) => link.next_deadline(),
        }
    }

    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        reading: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), TransportError> {
        match self {
            Self::WebSocket(link) => link.handle_timeout(now, reading, out),
            Self::RawSocket(link) => link.handle_timeout(now, reading, out),
        }
    }
}
