//! Records what is sent, in debug builds: see [`Server::record_to`](crate::Server::record_to).

use std::{
    fs::File,
    io::{self, Write},
};

use wampd_core::{
    codec::{Format, encode},
    message::Message,
};
use wampd_wire::{Encoding, Framing};

use crate::{frames::Frame, host::ConnectionId};

/// A file of records, one after the other: the id of the connection (64 bits), [`Encoding::index`] (8 bits), the kind
/// (8 bits), the length of what follows (32 bits), and so many bytes. Numbers are big-endian.
///
/// Each record is one write, so that a process that is killed leaves whole records, but for the last.
#[derive(Debug)]
pub(crate) struct Recording(File);

/// A HELLO was received; it follows as JSON, without framing.
const HELLO: u8 = 0;
/// A frame was queued for the connection, and follows as it is sent.
const SENT: u8 = 1;

impl Recording {
    pub(crate) const fn new(file: File) -> Self {
        Self(file)
    }

    /// Records a message of a peer, if it is HELLO, which tells what the peer may be sent.
    pub(crate) fn received(&mut self, connection: ConnectionId, message: &Message) {
        let mut json = Vec::new();
        if matches!(message, Message::Hello(_)) && encode(message, Format::Json, &mut json).is_ok() {
            self.write(connection, Encoding { format: Format::Json, framing: Framing::RawSocket }, HELLO, &json);
        }
    }

    pub(crate) fn sent(&mut self, connection: ConnectionId, encoding: Encoding, frame: &Frame<'_>) {
        self.write(connection, encoding, SENT, &frame.to_vec());
    }

    /// # Panics
    /// It cannot be written: a recording with holes would prove nothing.
    fn write(&mut self, ConnectionId(connection): ConnectionId, encoding: Encoding, kind: u8, bytes: &[u8]) {
        let mut record = connection.to_be_bytes().to_vec();
        record.extend([encoding.index() as u8, kind]);
        record.extend((bytes.len() as u32).to_be_bytes());
        record.extend_from_slice(bytes);
        let written: io::Result<()> = self.0.write_all(&record);
        assert!(written.is_ok(), "recording failed: {written:?}");
    }
}
