use std::{
    fmt,
    io::{self, IoSlice, Read, Write},
};

use rustls::{Connection, ProtocolVersion};
use wampd_core::{auth::ChannelBinding, value::Dict};

use super::certificate;
use crate::stream::{Found, Stream};

/// A socket with TLS over it.
///
/// What is written waits inside, at most some 64 KiB of it, while the socket takes no more; [`Write::flush`] goes on with it.
pub(crate) struct TlsStream {
    socket: Stream,
    tls: Connection,
    /// Something was received.
    in_use: bool,
    /// Bytes received of an unfinished handshake, or of an unfinished record.
    received: usize,
    /// The most bytes that a handshake may take.
    max_handshake: usize,
}

/// Memory of a connection that has nothing buffered, measured: before anything was received, and from then on.
const MEMORY_AT_REST: usize = 2 << 10;
const MEMORY_IN_USE: usize = 10 << 10;

/// The most that waits inside of what was written, before a session is joined and afterwards.
const BUFFER_BEFORE_JOIN: usize = 16 << 10;
const BUFFER: usize = 64 << 10;

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl TlsStream {
    pub(super) const fn new(socket: Stream, tls: Connection) -> Self {
        Self { socket, tls, in_use: false, received: 0, max_handshake: usize::MAX }
    }

    /// The peer is a stranger, who may send `max_handshake` bytes until TLS is ready and have little waiting for it.
    pub(super) fn with_stranger(mut self, max_handshake: usize) -> Self {
        self.max_handshake = max_handshake;
        self.tls.set_buffer_limit(Some(BUFFER_BEFORE_JOIN));
        self
    }

    /// Bytes of memory held, at most.
    pub(crate) fn memory(&self) -> usize {
        let base = if self.in_use { MEMORY_IN_USE } else { MEMORY_AT_REST };
        base + self.received + if self.tls.wants_write() { BUFFER_BEFORE_JOIN } else { 0 }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    pub(crate) fn handshake_was_too_long(&self) -> bool {
        self.tls.is_handshaking() && self.received > self.max_handshake
    }

    /// The peer is no stranger any more.
    pub(crate) fn joined(&mut self) {
        self.tls.set_buffer_limit(Some(BUFFER));
        self.socket.joined();
    }

    pub(crate) const fn socket(&self) -> &Stream {
        &self.socket
    }

    pub(crate) const fn socket_mut(&mut self) -> &mut Stream {
        &mut self.socket
    }

    /// Reads what the peer has sent inside TLS; answers the peer's TLS as far as the socket takes it.
    pub(crate) fn receive(&mut self, space: &mut [u8]) -> io::Result<Found> {
        loop {
            match self.tls.reader().read(space) {
                Ok(0) => return Ok(Found::End),
                Ok(len) => {
                    self.received = 0;
                    return Ok(Found::Bytes(len));
                }
                // The peer has closed the socket without a word. Messages have lengths: nothing can be cut off unseen.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Found::End),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            match self.tls.read_tls(&mut self.socket) {
                Ok(0) if self.tls.is_handshaking() => return Ok(Found::End),
                Ok(len) => {
                    self.in_use = true;
                    self.received = self.received.saturating_add(len);
                    if self.handshake_was_too_long() {
                        return Err(too_long(self.max_handshake));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Found::Nothing),
                Err(error) => return Err(error),
            }
            let handshaking = self.tls.is_handshaking();
            let processed = self.tls.process_new_packets();
            if handshaking && !self.tls.is_handshaking() {
                self.received = 0;
            }
            // An answer of the handshake, or an alert. What the socket does not take now is left for the next flush.
            let answered = self.push_out();
            if let Err(error) = processed {
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            match answered {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    /// Whether something waits for the socket to take it.
    pub(crate) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Says that nothing more will be sent, and closes our side of the socket.
    pub(crate) fn shut_down_writing(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        // The peer sees the end of the socket in any case.
        let _ = self.push_out();
        self.socket.shut_down_writing()
    }

    /// What proofs can be bound to: of TLS 1.3 alone, because in TLS 1.2 it depends on an extension whether the value
    /// belongs to this connection only (RFC 9266 section 4).
    pub(crate) fn channel_binding(&self) -> Option<ChannelBinding> {
        if self.tls.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return None;
        }
        let value = self.tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()?;
        Some(ChannelBinding::tls_exporter(value))
    }

    /// The certificate that the peer has shown, which has been verified.
    pub(crate) fn peer_certificate(&self) -> Option<Dict> {
        let certificates = self.tls.peer_certificates()?;
        certificates.first().map(|certificate| certificate::details(certificate))
    }

    /// Writes what waits inside, until the socket takes no more.
    fn push_out(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes bytes in as long as the socket takes what was there before.
    fn write_with(&mut self, write: impl FnOnce(&mut rustls::Writer<'_>) -> io::Result<usize>) -> io::Result<usize> {
        self.push_out()?;
        let len = write(&mut self.tls.writer())?;
        match self.push_out() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            // Before the handshake is over what is written waits inside, and nothing of it is for the socket.
            _ if len == 0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(len),
        }
    }
}

fn too_long(limit: usize) -> io::Error {
    let why = format!("TLS handshake longer than {limit} bytes (limit max_message_before_join)");
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Write for TlsStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_with(|writer| writer.write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_with(|writer| writer.write_vectored(bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push_out()
    }
}
