//! Messages as bytes for one connection or for many, with as little copying as possible.

use std::ops::Range;

use bytes::Bytes;
use wampd_core::{codec::encode_parts_within, message::Message, router::Undeliverable};
use wampd_wire::Encoding;

use crate::out_queue::{ChunkPool, OutQueue, SHARE_FROM};

/// Payloads from this length on are not copied at all: the queues share the memory they were read into. Below, that would
/// keep several times their length alive.
const KEEP_FROM: usize = 16 << 10;

/// A longer scratch buffer is given back after use.
const MAX_SCRATCH: usize = 64 << 10;

/// How many receivers a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    One,
    Many,
}

/// The frames of the message that is being sent.
#[derive(Debug)]
pub(crate) struct Frames {
    /// See [`ServerLimits::max_transcoded`](crate::ServerLimits::max_transcoded).
    max_len: usize,
    /// Heads and short frames, one after the other.
    scratch: Vec<u8>,
    /// What was made of the message for many receivers, one for each encoding.
    made: [Option<Result<Made, Undeliverable>>; Encoding::COUNT],
    /// `made` is not empty.
    shared: bool,
}

#[derive(Debug)]
enum Made {
    Short(Range<usize>),
    Long(Bytes),
    Parts { head: Range<usize>, payload: Bytes, ends: [&'static [u8]; 2] },
}

/// A frame to be queued.
pub(crate) enum Frame<'a> {
    Parts { head: &'a [u8], rest: Rest<'a> },
    Shared(&'a Bytes),
}

/// What follows the head of a frame.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rest<'a> {
    payload: Option<&'a Bytes>,
    /// What ends the message, and what ends the frame.
    ends: [&'static [u8]; 2],
}

impl Rest<'_> {
    fn len(&self) -> usize {
        self.payload.map_or(0, Bytes::len) + self.ends[0].len() + self.ends[1].len()
    }

    fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.payload.map_or(&[], |payload| payload));
        self.ends.iter().for_each(|end| out.extend_from_slice(end));
    }
}

impl Frame<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Parts { head, rest } => head.len() + rest.len(),
            Self::Shared(bytes) => bytes.len(),
        }
    }

    #[cfg(debug_assertions)]
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        match self {
            Self::Parts { head, rest } => {
                let mut bytes = head.to_vec();
                rest.append(&mut bytes);
                bytes
            }
            Self::Shared(bytes) => bytes.to_vec(),
        }
    }

    pub(crate) fn push(self, out: &mut OutQueue, pool: &mut ChunkPool) {
        match self {
            Self::Parts { head, rest } => {
                if head.len() < KEEP_FROM {
                    out.push(head, pool);
                } else {
                    out.push_shared(Bytes::copy_from_slice(head));
                }
                match rest.payload {
                    Some(payload) if payload.len() < KEEP_FROM => out.push(payload, pool),
                    Some(payload) => out.push_shared(payload.clone()),
                    None => {}
                }
                rest.ends.iter().for_each(|end| out.push(end, pool));
            }
            Self::Shared(bytes) => out.push_shared(bytes.clone()),
        }
    }
}

impl Frames {
    /// A first guess at the length of a message, whose frame header is then in its place at once.
    const GUESS: usize = 126;

    pub(crate) fn new(max_len: usize) -> Self {
        Self { max_len, scratch: Vec::new(), made: Default::default(), shared: false }
    }

    /// Begins with the next message.
    pub(crate) fn begin(&mut self) {
        if self.scratch.capacity() > MAX_SCRATCH {
            self.scratch = Vec::new();
        }
        self.scratch.clear();
        if self.shared {
            self.made = Default::default();
            self.shared = false;
        }
    }

    /// The message for a receiver with this encoding.
    pub(crate) fn make<'a>(
        &'a mut self,
        message: &'a Message,
        encoding: Encoding,
        audience: Audience,
    ) -> Result<Frame<'a>, Undeliverable> {
        if let (Audience::Many, Some(made)) = (audience, self.made.get_mut(encoding.index())) {
            self.shared = true;
            return match made.get_or_insert_with(|| make_shared(&mut self.scratch, self.max_len, message, encoding)) {
                Ok(Made::Short(range)) => {
                    Ok(Frame::Parts { head: &self.scratch[range.clone()], rest: Rest::default() })
                }
                Ok(Made::Long(bytes)) => Ok(Frame::Shared(bytes)),
                Ok(Made::Parts { head, payload, ends }) => {
                    let rest = Rest { payload: Some(payload), ends: *ends };
                    Ok(Frame::Parts { head: &self.scratch[head.clone()], rest })
                }
                Err(why) => Err(why.clone()),
            };
        }
        let start = self.scratch.len();
        let rest = make_head(&mut self.scratch, self.max_len, message, encoding)?;
        Ok(Frame::Parts { head: &self.scratch[start..], rest })
    }
}

fn make_shared(
    scratch: &mut Vec<u8>,
    max_len: usize,
    message: &Message,
    encoding: Encoding,
) -> Result<Made, Undeliverable> {
    let start = scratch.len();
    let rest = make_head(scratch, max_len, message, encoding)?;
    let len = scratch.len() - start + rest.len();
    if len < SHARE_FROM {
        rest.append(scratch);
        return Ok(Made::Short(start..scratch.len()));
    }
    if let Some(payload) = rest.payload.filter(|payload| payload.len() >= KEEP_FROM) {
        return Ok(Made::Parts { head: start..scratch.len(), payload: payload.clone(), ends: rest.ends });
    }
    let mut long = Vec::with_capacity(len);
    long.extend_from_slice(&scratch[start..]);
    rest.append(&mut long);
    scratch.truncate(start);
    Ok(Made::Long(Bytes::from(long)))
}

/// Appends the head of a frame to `scratch`.
fn make_head<'m>(
    scratch: &mut Vec<u8>,
    max_len: usize,
    message: &'m Message,
    encoding: Encoding,
) -> Result<Rest<'m>, Undeliverable> {
    let frame = encoding.begin(scratch, Frames::GUESS);
    let rest = match encode_parts_within(message, encoding.format, max_len, scratch) {
        Ok(rest) => rest,
        Err(error) => {
            frame.abandon(scratch);
            return Err(Undeliverable::Transcode(error));
        }
    };
    let (payload, end) = rest.map_or((None, &[][..]), |(payload, end)| (Some(payload), end));
    let trailer = encoding
        .finish_head(scratch, frame, payload.map_or(0, Bytes::len) + end.len())
        .map_err(|error| Undeliverable::TooLarge { size: error.len, limit: error.limit })?;
    Ok(Rest { payload, ends: [end, trailer] })
}
