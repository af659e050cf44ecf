//! Links between a client and a router in memory: one [`Pipe`] each way.

use crate::rng::Pcg;
use bytes::{Buf, Bytes, BytesMut};
use core::time::Duration;
use std::collections::VecDeque;
use wampd_core::codec::{DecodeError, DecodeLimits, Format, TranscodeError, decode, encode};
use wampd_core::message::Message;
use wampd_core::time::Instant;

/// What a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Messages as they are.
    Messages,
    /// Bytes: each message is encoded, behind its length, and cut anywhere; what arrives is put together and decoded.
    Bytes(Format),
}

impl Wire {
    /// Every kind of link.
    pub const ALL: [Self; 4] =
        [Self::Messages, Self::Bytes(Format::Json), Self::Bytes(Format::Cbor), Self::Bytes(Format::MsgPack)];
}

/// What comes out of a pipe.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival {
    /// A message.
    Message(Message),
    /// A frame that is no message.
    Invalid(DecodeError),
    /// Nothing more comes.
    End,
}

/// One direction of a link: what goes in comes out in order, later, or is lost together with all that follows it.
#[derive(Debug)]
pub struct Pipe {
    wire: Wire,
    rng: Pcg,
    /// The longest that a piece may take.
    delay: Duration,
    pieces: VecDeque<(Instant, Piece)>,
    received: BytesMut,
    closed: bool,
}

#[derive(Debug)]
enum Piece {
    Message(Box<Message>),
    Bytes(Bytes),
    End,
}

impl Pipe {
    /// An open pipe with nothing in it.
    pub fn new(wire: Wire, delay: Duration, rng: Pcg) -> Self {
        Self { wire, rng, delay, pieces: VecDeque::new(), received: BytesMut::new(), closed: false }
    }

    /// Sends a message. Lost if the pipe is closed.
    ///
    /// # Errors
    /// The message can not be encoded; nothing is sent.
    pub fn send(&mut self, now: Instant, message: &Message) -> Result<(), TranscodeError> {
        match self.wire {
            Wire::Messages => self.push(now, Piece::Message(Box::new(message.clone()))),
            Wire::Bytes(format) => {
                let mut frame = Vec::new();
                encode(message, format, &mut frame)?;
                self.send_frame(now, &frame);
            }
        }
        Ok(())
    }

    /// Sends a frame, which need not hold a message. Only on a link of bytes.
    pub fn send_frame(&mut self, now: Instant, frame: &[u8]) {
        assert!(matches!(self.wire, Wire::Bytes(_)), "a link of messages carries no frames");
        let mut bytes = BytesMut::from(&(frame.len() as u32).to_be_bytes()[..]);
        bytes.extend_from_slice(frame);
        while !bytes.is_empty() {
            let len = 1 + self.rng.index(bytes.len());
            let piece = bytes.split_to(len).freeze();
            self.push(now, Piece::Bytes(piece));
        }
    }

    /// Says that nothing more follows what was sent.
    pub fn close(&mut self, now: Instant) {
        self.push(now, Piece::End);
        self.closed = true;
    }

    /// Loses what is under way from a random piece on: nothing comes after that.
    pub fn cut(&mut self, now: Instant) {
        let kept = self.rng.index(self.pieces.len() + 1);
        self.pieces.truncate(kept);
        if !matches!(self.pieces.back(), Some((_, Piece::End))) {
            self.push_late(now, Piece::End);
        }
        self.closed = true;
    }

    /// When something more can be taken.
    pub fn next_arrival(&self, now: Instant) -> Option<Instant> {
        if self.frame_len().is_some() { Some(now) } else { self.pieces.front().map(|(at, _)| *at) }
    }

    /// Whether nothing but the end is left.
    pub fn is_at_end(&self) -> bool {
        self.frame_len().is_none() && matches!(self.pieces.front(), Some((_, Piece::End)))
    }

    /// What has arrived by now, one thing at a time.
    pub fn take(&mut self, now: Instant) -> Option<Arrival> {
        loop {
            if let Some(len) = self.frame_len() {
                self.received.advance(4);
                return Some(self.decode(len));
            }
            self.pieces.front().filter(|(at, _)| *at <= now)?;
            match self.pieces.pop_front()?.1 {
                Piece::Message(message) => return Some(Arrival::Message(*message)),
                Piece::Bytes(bytes) => self.received.extend_from_slice(&bytes),
                Piece::End => return Some(Arrival::End),
            }
        }
    }

    fn decode(&mut self, len: usize) -> Arrival {
        let Wire::Bytes(format) = self.wire else { unreachable!("bytes on a link of messages") };
        let frame = self.received.split_to(len).freeze();
        decode(format, frame, &DecodeLimits::default()).map_or_else(Arrival::Invalid, Arrival::Message)
    }

    /// The length of the frame that is complete.
    fn frame_len(&self) -> Option<usize> {
        let len = u32::from_be_bytes(self.received.get(..4)?.try_into().ok()?) as usize;
        (self.received.len() >= 4 + len).then_some(len)
    }

    fn push(&mut self, now: Instant, piece: Piece) {
        if !self.closed {
            self.push_late(now, piece);
        }
    }

    fn push_late(&mut self, now: Instant, piece: Piece) {
        let micros = self.delay.as_micros() as u64;
        let at = now.after(Duration::from_micros(self.rng.below(micros + 1)));
        let at = self.pieces.back().map_or(at, |(before, _)| at.max(*before));
        self.pieces.push_back((at, piece));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wampd_core::message::Goodbye;
    use wampd_core::value::Value;

    fn goodbye(n: u64) -> Message {
        let reason = format!("com.reason.{n}").into();
        Goodbye { details: [("n".to_owned(), Value::from(n))].into_iter().collect(), reason }.into()
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        for wire in Wire::ALL {
            let mut pipe = Pipe::new(wire, Duration::from_millis(3), Pcg::new(7));
            let sent: Vec<_> = (0..50).map(goodbye).collect();
            for message in &sent {
                pipe.send(Instant::ZERO, message).unwrap();
            }
            pipe.close(Instant::ZERO);
            let (mut now, mut came) = (Instant::ZERO, Vec::new());
            while let Some(at) = pipe.next_arrival(now) {
                now = at;
                came.extend(pipe.take(now));
            }
            assert_eq!(came.pop(), Some(Arrival::End));
            assert_eq!(came, sent.into_iter().map(Arrival::Message).collect::<Vec<_>>(), "{wire:?}");
        }
    }

    #[test]
    fn a_cut_loses_the_end() {
        for seed in 0..50 {
            let mut pipe = Pipe::new(Wire::Bytes(Format::Json), Duration::ZERO, Pcg::new(seed));
            for n in 0..4 {
                pipe.send(Instant::ZERO, &goodbye(n)).unwrap();
            }
            pipe.cut(Instant::ZERO);
            pipe.send(Instant::ZERO, &goodbye(9)).unwrap();
            let came: Vec<_> = core::iter::from_fn(|| pipe.take(Instant::ZERO)).collect();
            let (last, messages) = came.split_last().unwrap();
            assert_eq!(*last, Arrival::End);
            let expected: Vec<_> = (0..messages.len() as u64).map(|n| Arrival::Message(goodbye(n))).collect();
            assert_eq!(messages, expected);
        }
    }

    #[test]
    fn frames_need_not_hold_messages() {
        let mut pipe = Pipe::new(Wire::Bytes(Format::Json), Duration::ZERO, Pcg::new(1));
        pipe.send_frame(Instant::ZERO, b"{}");
        assert!(matches!(pipe.take(Instant::ZERO), Some(Arrival::Invalid(_))));
    }
}
