//! Bytes waiting to be written to one connection.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, Write},
};

use bytes::Bytes;

use crate::stream::Sink;

/// Frames from this length on are shared between receivers; shorter ones are copied, which costs less than counting references.
pub(crate) const SHARE_FROM: usize = 1024;

/// The most that one system call writes, in pieces.
const MAX_SLICES: usize = 64;

/// The size of the pieces that short frames are gathered in.
const CHUNK: usize = 4096;

/// Empty chunks for all connections of a reactor, so that a steady flow of messages does not allocate.
#[derive(Debug, Default)]
pub(crate) struct ChunkPool {
    spare: Vec<Vec<u8>>,
}

impl ChunkPool {
    /// Chunks kept, 4 MiB in all; what a larger burst needed is given back to the system.
    const MAX_SPARE: usize = 1024;

    fn take(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK))
    }

    fn put(&mut self, chunk: Chunk) {
        if let Chunk::Own(mut chunk) = chunk
            && self.spare.len() < Self::MAX_SPARE
        {
            chunk.clear();
            self.spare.push(chunk);
        }
    }
}

#[derive(Debug)]
enum Chunk {
    /// Of capacity [`CHUNK`].
    Own(Vec<u8>),
    Shared(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A queue of bytes. Holds no memory of note while it is empty.
#[derive(Debug, Default)]
pub(crate) struct OutQueue {
    chunks: VecDeque<Chunk>,
    /// How much of the first chunk has been written.
    written: usize,
    len: usize,
}

/// How far a flush got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    All,
    /// The socket takes no more for now.
    Blocked {
        progress: bool,
    },
}

impl OutQueue {
    /// Bytes waiting.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a copy.
    pub(crate) fn push(&mut self, mut bytes: &[u8], pool: &mut ChunkPool) {
        self.len += bytes.len();
        while !bytes.is_empty() {
            let room = match self.chunks.back() {
                Some(Chunk::Own(chunk)) => CHUNK - chunk.len(),
                _ => 0,
            };
            if room == 0 {
                self.chunks.push_back(Chunk::Own(pool.take()));
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(Chunk::Own(chunk)) = self.chunks.back_mut() {
                chunk.extend_from_slice(now);
            }
            bytes = later;
        }
    }

    /// Appends without copying.
    pub(crate) fn push_shared(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.chunks.push_back(Chunk::Shared(bytes));
        }
    }

    /// Appends the contents of a scratch buffer, which is empty afterwards: a copy of little, the buffer itself if it is much.
    pub(crate) fn push_scratch(&mut self, scratch: &mut Vec<u8>, pool: &mut ChunkPool) {
        if scratch.len() < SHARE_FROM {
            self.push(scratch, pool);
            scratch.clear();
        } else {
            self.push_shared(Bytes::from(std::mem::take(scratch)));
        }
    }

    /// Writes as much as the socket takes, also of what it has taken in before.
    pub(crate) fn flush(&mut self, socket: &mut impl Sink, pool: &mut ChunkPool) -> io::Result<Flushed> {
        let mut progress = false;
        while !self.is_empty() {
            let (offered, result) = self.write_once(socket);
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => {
                    progress = true;
                    self.advance(len, pool);
                    if len < offered && socket.short_means_full() {
                        return Ok(Flushed::Blocked { progress });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked { progress }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match socket.flush() {
            Ok(()) => Ok(Flushed::All),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Flushed::Blocked { progress }),
            Err(error) => Err(error),
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, pool: &mut ChunkPool) {
        self.chunks.drain(..).for_each(|chunk| pool.put(chunk));
        *self = Self::default();
    }

    /// One system call: how much was offered, and how much was taken.
    fn write_once(&self, socket: &mut impl Write) -> (usize, io::Result<usize>) {
        let mut chunks = self.chunks.iter().map(Chunk::bytes);
        let first = chunks.next().unwrap_or_default();
        let first = first.get(self.written..).unwrap_or_default();
        if self.chunks.len() == 1 {
            return (first.len(), socket.write(first));
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        slices[0] = IoSlice::new(first);
        let (mut count, mut offered) = (1, first.len());
        for (slot, chunk) in slices[1..].iter_mut().zip(chunks) {
            *slot = IoSlice::new(chunk);
            count += 1;
            offered += chunk.len();
        }
        (offered, socket.write_vectored(&slices[..count]))
    }

    fn advance(&mut self, len: usize, pool: &mut ChunkPool) {
        self.len -= len;
        self.written += len;
        while let Some(chunk) = self.chunks.front() {
            let whole = chunk.bytes().len();
            if self.written < whole {
                break;
            }
            self.written -= whole;
            if let Some(chunk) = self.chunks.pop_front() {
                pool.put(chunk);
            }
        }
        if self.chunks.is_empty() && self.chunks.capacity() > 8 {
            self.chunks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a limited number of bytes per call, and only so many calls until it blocks.
    struct Socket {
        taken: Vec<u8>,
        per_call: usize,
        calls: usize,
    }

    impl Sink for Socket {
        fn short_means_full(&self) -> bool {
            crate::stream::SHORT_MEANS_DRAINED
        }
    }

    impl Write for Socket {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(buf)])
        }

        fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
            if self.calls == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.calls -= 1;
            let before = self.taken.len();
            for buf in bufs {
                let room = self.per_call - (self.taken.len() - before);
                self.taken.extend_from_slice(&buf[..room.min(buf.len())]);
            }
            Ok(self.taken.len() - before)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_arrives_in_order_however_the_socket_takes_it() {
        for per_call in [1_000, 4_095, 4_096, 4_097, 100_000_000] {
            let mut pool = ChunkPool::default();
            let mut queue = OutQueue::default();
            let mut expected = Vec::new();
            let mut socket = Socket { taken: Vec::new(), per_call, calls: 0 };
            for round in 0..300_usize {
                let len = [3, 900, 5_000, 1_024, 0, 70_000][round % 6];
                let mut bytes: Vec<u8> = (0..len).map(|at| (at * 7 + round) as u8).collect();
                expected.extend_from_slice(&bytes);
                match round % 3 {
                    0 => queue.push(&bytes, &mut pool),
                    1 => queue.push_shared(bytes.into()),
                    _ => queue.push_scratch(&mut bytes, &mut pool),
                }
                socket.calls = 2;
                queue.flush(&mut socket, &mut pool).unwrap();
                assert_eq!(queue.len() + socket.taken.len(), expected.len());
            }
            while !queue.is_empty() {
                socket.calls = 1;
                let before = queue.len();
                let flushed = queue.flush(&mut socket, &mut pool).unwrap();
                assert!(queue.len() < before);
                assert_eq!(flushed == Flushed::All, queue.is_empty());
            }
            assert_eq!(socket.taken, expected);
            assert!(queue.chunks.capacity() <= 8);
        }
    }

    #[test]
    fn a_blocked_socket_is_told_from_a_slow_one() {
        let mut pool = ChunkPool::default();
        let mut queue = OutQueue::default();
        queue.push(&[1; 100], &mut pool);
        let mut socket = Socket { taken: Vec::new(), per_call: 60, calls: 0 };
        assert_eq!(queue.flush(&mut socket, &mut pool).unwrap(), Flushed::Blocked { progress: false });
        socket.calls = 1;
        assert_eq!(queue.flush(&mut socket, &mut pool).unwrap(), Flushed::Blocked { progress: true });
        assert_eq!(queue.len(), 40);
        queue.clear(&mut pool);
        assert_eq!((queue.len(), pool.spare.len()), (0, 1));
    }

    #[test]
    fn chunks_are_used_again_and_bounded() {
        let mut pool = ChunkPool::default();
        let mut queue = OutQueue::default();
        queue.push(&vec![0; (ChunkPool::MAX_SPARE + 10) * CHUNK], &mut pool);
        let mut socket = Socket { taken: Vec::new(), per_call: usize::MAX, calls: usize::MAX };
        assert_eq!(queue.flush(&mut socket, &mut pool).unwrap(), Flushed::All);
        assert_eq!(pool.spare.len(), ChunkPool::MAX_SPARE);
        queue.push(&[1], &mut pool);
        assert_eq!(pool.spare.len(), ChunkPool::MAX_SPARE - 1);
    }
}
