//! The contents of files in memory: one copy for all connections that a file is sent to, and never more than a limit.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What tells one state of a file from another: when it was changed, and its length.
pub(super) type Version = (Duration, u64);

/// Contents of files. What is kept is kept until the room is needed for another file.
#[derive(Debug)]
pub(crate) struct Shelf {
    files: BTreeMap<PathBuf, (Version, Bytes)>,
    /// Contents that have changed since, but are still being sent.
    outdated: Vec<Bytes>,
    /// Bytes of all contents.
    held: u64,
    max: u64,
}

impl Shelf {
    /// Room for `max` bytes.
    pub(crate) const fn new(max: u64) -> Self {
        Self { files: BTreeMap::new(), outdated: Vec::new(), held: 0, max }
    }

    /// The content of an opened file.
    ///
    /// # Errors
    /// What the system says; `FileTooLarge` if there is never room for the file; `QuotaExceeded` if there is none now.
    pub(super) fn content(&mut self, path: &Path, version: Version, file: File) -> io::Result<Bytes> {
        if let Some((kept, content)) = self.files.get(path) {
            if *kept == version {
                return Ok(content.clone());
            }
            if let Some((_, content)) = self.files.remove(path) {
                self.outdated.push(content);
            }
        }
        let (_, len) = version;
        self.make_room(len)?;
        let mut content = Vec::with_capacity(usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?);
        // No more than there is room for, if it has grown since.
        file.take(len).read_to_end(&mut content)?;
        let content = Bytes::from(content);
        self.held += content.len() as u64;
        self.files.insert(path.to_owned(), (version, content.clone()));
        Ok(content)
    }

    fn make_room(&mut self, len: u64) -> io::Result<()> {
        if len > self.max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let Self { files, outdated, held, max } = self;
        outdated.retain(|content| !freed(content, held));
        if *held + len > *max {
            files.retain(|_, (_, content)| !freed(content, held));
        }
        if *held + len > *max { Err(io::ErrorKind::QuotaExceeded.into()) } else { Ok(()) }
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

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("wampd-shelf-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }

        /// The file as it is served.
        fn serve(&self, shelf: &mut Shelf, name: &str, content: &str, changed: u64) -> io::Result<Bytes> {
            let path = self.0.join(name);
            std::fs::write(&path, content).expect("written");
            let version = (Duration::from_secs(changed), content.len() as u64);
            shelf.content(&path, version, File::open(&path).expect("opened"))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn one_copy_as_long_as_the_file_is_the_same() {
        let (folder, mut shelf) = (Folder::new("copy"), Shelf::new(100));
        let first = folder.serve(&mut shelf, "a", "hello", 1).expect("read");
        let again = folder.serve(&mut shelf, "a", "HELLO", 1).expect("kept");
        assert_eq!((&*first, first.as_ptr()), (b"hello".as_slice(), again.as_ptr()));
        assert_eq!(folder.serve(&mut shelf, "a", "world", 2).expect("read again"), "world");
        assert_eq!(shelf.held, 10, "the old content is still in use");
        drop((first, again));
        folder.serve(&mut shelf, "b", "", 1).expect("read");
        assert_eq!((shelf.held, shelf.outdated.len()), (5, 0));
    }

    #[test]
    fn never_more_than_there_is_room_for() {
        let (folder, mut shelf) = (Folder::new("room"), Shelf::new(8));
        let kind = |result: io::Result<Bytes>| result.expect_err("no room").kind();
        assert_eq!(kind(folder.serve(&mut shelf, "large", "123456789", 1)), io::ErrorKind::FileTooLarge);
        let sending = folder.serve(&mut shelf, "a", "12345", 1).expect("room");
        assert_eq!(kind(folder.serve(&mut shelf, "b", "1234", 1)), io::ErrorKind::QuotaExceeded);
        assert_eq!(folder.serve(&mut shelf, "c", "123", 1).expect("room"), "123");
        drop(sending);
        assert_eq!(folder.serve(&mut shelf, "b", "1234", 1).expect("room again"), "1234");
        assert!(shelf.held <= 8);
    }
}
