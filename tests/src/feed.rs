//! Decisions read from bytes: how fuzzing chooses.

/// Bytes that decide. When they are used up, every decision is the first one.
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a>(&'a [u8]);

impl<'a> Feed<'a> {
    /// Decisions from these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether all are used up.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (&byte, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        byte
    }

    /// A number below `bound`, which must not be 0, from as many bytes as it takes.
    pub fn below(&mut self, bound: u64) -> u64 {
        let (mut number, mut left) = (0, bound - 1);
        while left > 0 {
            number = number << 8 | u64::from(self.byte());
            left >>= 8;
        }
        number % bound
    }

    /// One of several things, of which there must be one at least.
    pub fn pick<T: Clone>(&mut self, things: &[T]) -> T {
        things[self.below(things.len() as u64) as usize].clone()
    }

    /// At most so many things, until the bytes are used up.
    pub fn list<T>(&mut self, most: usize, mut thing: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut list = Vec::new();
        while list.len() < most && !self.is_empty() {
            list.push(thing(self));
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decide() {
        let mut feed = Feed::new(&[3, 1, 2, 250, 7]);
        assert_eq!(feed.below(1), 0);
        assert_eq!(feed.below(256), 3);
        assert_eq!(feed.below(20_000), 258);
        assert_eq!(feed.pick(&['a', 'b', 'c']), 'b');
        assert_eq!(feed.list(5, Feed::byte), [7]);
        assert!(feed.is_empty() && feed.byte() == 0);
    }
}
