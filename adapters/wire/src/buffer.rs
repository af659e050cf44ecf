//! Buffers for what was read: one shared read buffer, and the leftovers of a connection.

use bytes::{Buf, BytesMut};

/// The one buffer into which a reactor reads all its sockets.
///
/// Bytes taken out of it are slices of it, so a message travels from the socket to the decoder without being copied. The
/// memory is used again as soon as no slice is left; it is zero-filled once per `size` bytes received, not once per read.
#[derive(Debug)]
pub struct ReadBuffer {
    spare: BytesMut,
    size: usize,
}

impl ReadBuffer {
    /// A buffer that offers at most `size` bytes to a read (at least 1,024; 65,536 is a good value).
    pub fn new(size: usize) -> Self {
        Self { spare: BytesMut::new(), size: size.max(1024) }
    }

    /// Where to read to: between a quarter of the size and the whole size.
    pub fn space(&mut self) -> &mut [u8] {
        if self.spare.len() < self.size / 4 {
            self.spare.clear();
            self.spare.reserve(self.size);
            self.spare.resize(self.size, 0);
        }
        &mut self.spare
    }

    /// Takes the first `len` bytes of [`space`](Self::space), which a read has just filled.
    pub fn take(&mut self, len: usize) -> BytesMut {
        self.spare.split_to(len.min(self.spare.len()))
    }
}

/// How much a frame that is not there yet may reserve: this many bytes, or this many times what has arrived of it, and twice as
/// much if that is room for all of it. A header alone reserves next to nothing of what it announces; and a long frame is copied
/// once, and at most a tenth of it once more, because room that is not for all of it is for a part of this size.
pub(crate) const LEAST_ROOM: usize = 512;
pub(crate) const ROOM_RATIO: usize = 16;

/// What the start of the buffered bytes holds.
pub(crate) enum Parsed<H> {
    /// More is needed: this many bytes in all before it is worth looking again.
    Need(usize),
    /// A frame of `header` bytes and then `payload` bytes, of which the payload may not have arrived yet.
    Frame { head: H, header: usize, payload: usize },
}

/// Bytes of a connection that are not consumed yet. Owns no heap memory while there are none.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    held: BytesMut,
    /// `held` is what frames were split off from: its allocation may be far larger than what is left.
    sliced: bool,
}

impl Inbox {
    /// Splits the payload of the next whole frame off the front of the held bytes and `input`.
    ///
    /// `None`: no whole frame there; `input` is now empty and what it held is kept here.
    pub(crate) fn frame<H, E>(
        &mut self,
        input: &mut BytesMut,
        mut parse: impl FnMut(&[u8]) -> Result<Parsed<H>, E>,
    ) -> Result<Option<(H, BytesMut)>, E> {
        loop {
            let holding = !self.held.is_empty();
            let source = if holding { &mut self.held } else { &mut *input };
            let need = match parse(source)? {
                Parsed::Need(need) => need,
                Parsed::Frame { head, header, payload } => {
                    // Lengths were checked against limits by `parse`, so the sum cannot overflow.
                    let need = header + payload;
                    if source.len() >= need {
                        source.advance(header);
                        let payload = source.split_to(payload);
                        if holding {
                            self.sliced = true;
                            if self.held.is_empty() {
                                self.clear();
                            }
                        }
                        return Ok(Some((head, payload)));
                    }
                    need
                }
            };
            if !holding {
                self.make_room(need, input.len());
                self.hold(input);
                return Ok(None);
            }
            if self.sliced {
                self.held = BytesMut::from(&self.held[..]);
                self.sliced = false;
            }
            if input.is_empty() {
                return Ok(None);
            }
            let missing = need.saturating_sub(self.held.len()).clamp(1, input.len());
            self.make_room(need, missing);
            self.held.extend_from_slice(&input[..missing]);
            input.advance(missing);
        }
    }

    /// Makes room for the `need` bytes of a frame of which `more` are there now: a long one is not to be moved each time that
    /// its memory grows, nor may a header alone take all that it announces.
    fn make_room(&mut self, need: usize, more: usize) {
        let arrived = self.held.len() + more;
        if arrived > self.held.capacity() {
            let room = arrived.saturating_mul(ROOM_RATIO).max(LEAST_ROOM);
            let room = if need / 2 <= room { need } else { room.min((need / ROOM_RATIO).max(LEAST_ROOM)) };
            // Growing it would round up to twice what there was.
            let mut larger = BytesMut::with_capacity(room.max(arrived));
            larger.extend_from_slice(&self.held);
            self.held = larger;
        }
    }

    /// Keeps a copy of what is left in `input`, which is empty afterwards.
    pub(crate) fn hold(&mut self, input: &mut BytesMut) {
        if !input.is_empty() {
            self.held.extend_from_slice(input);
            input.clear();
        }
    }

    /// Forgets everything and frees the memory.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn first(&self) -> Option<u8> {
        self.held.first().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Bytes of memory reserved here.
    pub(crate) fn memory(&self) -> usize {
        self.held.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte of length, then the payload.
    fn parse(bytes: &[u8]) -> Result<Parsed<()>, ()> {
        Ok(match bytes.first() {
            None => Parsed::Need(1),
            Some(&len) => Parsed::Frame { head: (), header: 1, payload: usize::from(len) },
        })
    }

    fn frames(inbox: &mut Inbox, input: &mut BytesMut) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| inbox.frame(input, parse).unwrap().map(|(_, payload)| payload.to_vec())).collect()
    }

    #[test]
    fn frames_come_out_however_the_bytes_are_cut() {
        let stream = [&[3, 1, 2, 3, 0, 5][..], &[9; 5], &[1, 7]].concat();
        for first in 0..stream.len() {
            for second in first..stream.len() {
                let mut inbox = Inbox::default();
                let mut all = Vec::new();
                for part in [&stream[..first], &stream[first..second], &stream[second..]] {
                    let mut input = BytesMut::from(part);
                    all.extend(frames(&mut inbox, &mut input));
                    assert!(input.is_empty());
                }
                assert_eq!(all, [vec![1, 2, 3], vec![], vec![9; 5], vec![7]]);
                assert_eq!(inbox.held.capacity(), 0, "no memory while nothing is held");
            }
        }
    }

    #[test]
    fn held_bytes_may_contain_several_frames() {
        let mut inbox = Inbox::default();
        inbox.hold(&mut BytesMut::from(&[1, 5, 2, 6, 6, 3, 7][..]));
        assert_eq!(frames(&mut inbox, &mut BytesMut::new()), [vec![5], vec![6, 6]]);
        assert_eq!(inbox.len(), 2);
        assert_eq!(frames(&mut inbox, &mut BytesMut::from(&[7, 7, 0][..])), [vec![7; 3], vec![]]);
    }

    #[test]
    fn a_small_rest_does_not_keep_a_large_allocation() {
        let mut inbox = Inbox::default();
        let stream = [[1, 0].repeat(10_000), vec![3, 7]].concat();
        inbox.hold(&mut BytesMut::from(&stream[..]));
        let before = inbox.held.as_ptr_range();
        assert_eq!(frames(&mut inbox, &mut BytesMut::new()).len(), 10_000);
        assert_eq!(inbox.len(), 2);
        assert!(!before.contains(&inbox.held.as_ptr()) && inbox.held.capacity() < 100);
    }

    #[test]
    fn a_long_frame_is_moved_once_at_most_and_takes_no_more_than_it_may() {
        const LEN: usize = 3 << 20;
        let parse = |_: &[u8]| Ok::<_, ()>(Parsed::Frame { head: (), header: 0, payload: LEN });
        for piece in [1 << 10, 1 << 14, 1 << 16] {
            let (mut inbox, mut moved, mut reserved) = (Inbox::default(), 0, 0);
            for arrived in (piece..=LEN).step_by(piece) {
                let before = (inbox.held.as_ptr(), inbox.len());
                let whole = inbox.frame(&mut BytesMut::from(&vec![1; piece][..]), parse).unwrap();
                assert_eq!(whole.map(|(_, payload)| payload.len()), (arrived == LEN).then_some(LEN));
                if arrived < LEN {
                    if inbox.held.as_ptr() != before.0 {
                        moved += before.1;
                        reserved += inbox.memory();
                    }
                    assert!(inbox.memory() <= LEN.min(LEAST_ROOM.max(arrived * ROOM_RATIO) * 2));
                }
            }
            assert!(moved <= LEN / 10, "{moved} bytes moved");
            assert!(reserved <= LEN + LEN / 10, "{reserved} bytes reserved");
        }
    }

    #[test]
    fn a_header_reserves_nothing_of_what_it_announces() {
        let parse = |_: &[u8]| Ok::<_, ()>(Parsed::Frame { head: (), header: 4, payload: 16 << 20 });
        let mut inbox = Inbox::default();
        assert!(inbox.frame(&mut BytesMut::from(&[0; 4][..]), parse).unwrap().is_none());
        assert!(inbox.memory() <= LEAST_ROOM, "{} bytes", inbox.memory());
    }

    #[test]
    fn the_read_buffer_is_used_again() {
        let mut buffer = ReadBuffer::new(1024);
        let first = buffer.space().as_ptr();
        for _ in 0..100 {
            assert!(buffer.space().len() >= 256);
            let len = buffer.space().len().min(300);
            drop(buffer.take(len));
        }
        buffer.spare.clear();
        assert_eq!(buffer.space().as_ptr(), first);
        let kept = buffer.take(1000);
        assert_eq!((kept.len(), buffer.space().len()), (1000, 1024));
    }
}
