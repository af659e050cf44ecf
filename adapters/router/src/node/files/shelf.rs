//! The contents of files in memory: one copy for all connections that a file is sent to, and never more than a limit.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What tells one state of a file from another: when it was changed, and its length; of a folder, what its caller counts.
pub(super) type Version = (Duration, u64);

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A file.
    File(PathBuf),
    /// The page with the names in a folder, under this title.
    Listing(PathBuf, String),
}

/// Contents of files, for several threads. What is kept is kept until the room is needed for another file.
#[derive(Debug)]
pub(crate) struct Shelf {
    state: Mutex<State>,
    /// A file has been loaded, or not.
    loaded: Condvar,
    max: u64,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<Key, (Version, Bytes)>,
    /// Contents that have changed since, but are still being sent.
    outdated: Vec<Bytes>,
    /// What is being loaded, by another thread.
    loading: BTreeSet<Key>,
    /// Bytes of all contents, and of those that are being loaded.
    held: u64,
}

impl Shelf {
    /// Room for `max` bytes.
    pub(crate) fn new(max: u64) -> Self {
        Self { state: Mutex::default(), loaded: Condvar::new(), max }
    }

    /// Whether there is room for so many bytes if nothing else is kept.
    ///
    /// # Errors
    /// `FileTooLarge`.
    pub(super) fn admits(&self, len: u64) -> io::Result<()> {
        if len > self.max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    }

    /// The content, if it is there.
    pub(super) fn kept(&self, key: &Key, version: Version) -> Option<Bytes> {
        self.lock().files.get(key).filter(|(kept, _)| *kept == version).map(|(_, content)| content.clone())
    }

    /// The content, which `load` loads if it is not there: no more than `len` bytes. If another thread loads it already,
    /// this waits for it.
    ///
    /// # Errors
    /// What `load` says; `FileTooLarge` if there is never room for the file; `QuotaExceeded` if there is none now.
    pub(super) fn content(
        &self,
        key: Key,
        version: Version,
        len: u64,
        load: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> io::Result<Bytes> {
        let mut state = self.lock();
        loop {
            match state.files.get(&key) {
                Some((kept, content)) if *kept == version => return Ok(content.clone()),
                _ if state.loading.contains(&key) => {
                    state = self.loaded.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                _ => break,
            }
        }
        if let Some((_, content)) = state.files.remove(&key) {
            state.outdated.push(content);
        }
        self.admits(len)?;
        state.make_room(len, self.max)?;
        state.held += len;
        state.loading.insert(key.clone());
        drop(state);
        let loaded = load().map(Bytes::from);
        let mut state = self.lock();
        state.loading.remove(&key);
        state.held -= len;
        if let Ok(content) = &loaded {
            state.held += content.len() as u64;
            state.files.insert(key, (version, content.clone()));
        }
        drop(state);
        self.loaded.notify_all();
        loaded
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn make_room(&mut self, len: u64, max: u64) -> io::Result<()> {
        let Self { files, outdated, held, .. } = self;
        outdated.retain(|content| !freed(content, held));
        if *held + len > max {
            files.retain(|_, (_, content)| !freed(content, held));
        }
        if *held + len > max { Err(io::ErrorKind::QuotaExceeded.into()) } else { Ok(()) }
    }
}

/// Whether nobody else has the content; then it is no longer counted.
fn freed(content: &Bytes, held: &mut u64) -> bool {
    let unused = content.is_unique();
    if unused {
        *held -= content.len() as u64;
    }
    unused
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Barrier, mpsc};

    /// The file as it is served.
    fn serve(shelf: &Shelf, name: &str, content: &str, changed: u64) -> io::Result<Bytes> {
        let (version, len) = ((Duration::from_secs(changed), content.len() as u64), content.len() as u64);
        shelf.content(Key::File(name.into()), version, len, || Ok(content.as_bytes().to_vec()))
    }

    fn held(shelf: &Shelf) -> u64 {
        shelf.lock().held
    }

    #[test]
    fn one_copy_as_long_as_the_file_is_the_same() {
        let shelf = Shelf::new(100);
        let first = serve(&shelf, "a", "hello", 1).expect("read");
        let again = serve(&shelf, "a", "HELLO", 1).expect("kept");
        assert_eq!((&*first, first.as_ptr()), (b"hello".as_slice(), again.as_ptr()));
        assert_eq!(serve(&shelf, "a", "world", 2).expect("read again"), "world");
        assert_eq!(held(&shelf), 10, "the old content is still in use");
        drop((first, again));
        serve(&shelf, "b", "", 1).expect("read");
        assert_eq!((held(&shelf), shelf.lock().outdated.len()), (5, 0));
    }

    #[test]
    fn never_more_than_there_is_room_for() {
        let shelf = Shelf::new(8);
        let kind = |result: io::Result<Bytes>| result.expect_err("no room").kind();
        assert_eq!(kind(serve(&shelf, "large", "123456789", 1)), io::ErrorKind::FileTooLarge);
        let sending = serve(&shelf, "a", "12345", 1).expect("room");
        assert_eq!(kind(serve(&shelf, "b", "1234", 1)), io::ErrorKind::QuotaExceeded);
        serve(&shelf, "c", "123", 1).expect("room");
        assert_eq!(held(&shelf), 8);
        drop(sending);
        serve(&shelf, "b", "1234", 1).expect("room is made");
        assert_eq!(held(&shelf), 4);
    }

    #[test]
    fn what_can_not_be_loaded_takes_no_room() {
        let shelf = Shelf::new(8);
        let version = (Duration::ZERO, 8);
        let key = || Key::File("a".into());
        let error = shelf.content(key(), version, 8, || Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(error.expect_err("not loaded").kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(held(&shelf), 0);
        shelf.content(key(), version, 8, || Ok(b"short".to_vec())).expect("shorter than it was");
        assert_eq!(held(&shelf), 5);
    }

    #[test]
    fn a_file_is_loaded_once_for_all_who_want_it_meanwhile() {
        let (shelf, barrier, (loads, loaded)) = (Shelf::new(5), Arc::new(Barrier::new(3)), mpsc::channel());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (shelf, barrier, loads) = (&shelf, barrier.clone(), loads.clone());
                scope.spawn(move || {
                    barrier.wait();
                    let load = || {
                        loads.send(()).expect("received");
                        Ok(b"12345".to_vec())
                    };
                    let content = shelf.content(Key::File("a".into()), (Duration::ZERO, 5), 5, load);
                    assert_eq!(content.expect("there is room for one"), "12345");
                });
            }
        });
        drop(loads);
        assert_eq!((loaded.iter().count(), held(&shelf)), (1, 5));
    }
}
