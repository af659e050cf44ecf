//! Files that are whole at any time: whatever happens while one is written, the one before or the new one is there.
//!
//! Everything this program keeps on disk is written here.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Replaces a file by one with this content, which only this user may read. When this returns, the new file outlives a
/// power failure. Returns it, to be appended to.
///
/// # Errors
/// What the system says; the file is what it was before then.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<File> {
    let new = beside(path);
    let written = write_new(&new, content).and_then(|file| {
        std::fs::rename(&new, path)?;
        Ok(file)
    });
    let file = match written {
        Ok(file) => file,
        Err(error) => {
            // What a full disk holds of it would be in the way of what is written next.
            let _ = std::fs::remove_file(&new);
            return Err(error);
        }
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// Replaces the content of an open file in place, where there is no room for a second file. What is there before is gone
/// even if this fails.
///
/// # Errors
/// What the system says; the file has a part of the content then.
pub(crate) fn overwrite(mut file: &File, content: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(content)?;
    file.sync_all()
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<File> {
    // One that is there was left by a process that was killed, or leads elsewhere: it is not written through.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

/// The name of the file that takes the place of this one.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// A thread that makes what was appended to a file outlive a power failure, since nobody else should wait for a disk.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    work: Mutex<Work>,
    changed: Condvar,
    failed: AtomicBool,
}

#[derive(Debug, Default)]
struct Work {
    file: Option<Arc<File>>,
    end: bool,
}

impl Syncer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread.
    pub(crate) fn new() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let thread = std::thread::Builder::new().name("wampd-sync".to_owned()).spawn({
            let shared = shared.clone();
            move || shared.run()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Has the thread look after this file. One that waits to be looked after is forgotten: it was replaced by this one,
    /// or is this one.
    pub(crate) fn sync(&self, file: Arc<File>) {
        self.shared.work.lock().unwrap_or_else(PoisonError::into_inner).file = Some(file);
        self.shared.changed.notify_one();
    }

    /// Whether something was lost since this was last asked.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.failed.swap(false, Ordering::Relaxed)
    }
}

impl Shared {
    fn run(&self) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(file) = work.file.take() {
                drop(work);
                if file.sync_data().is_err() {
                    self.failed.store(true, Ordering::Relaxed);
                }
                work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
            } else if work.end {
                return;
            } else {
                work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.work.lock().unwrap_or_else(PoisonError::into_inner).end = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("wampd-durable-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        path
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_appended_to() {
        let folder = folder("replace");
        let (path, elsewhere) = (folder.join("file"), folder.join("elsewhere"));
        std::fs::write(&elsewhere, "mine").expect("written");
        std::os::unix::fs::symlink(&elsewhere, beside(&path)).expect("a link");
        for content in ["first\n", "2\n"] {
            let mut file = replace(&path, content.as_bytes()).expect("replaced");
            file.write_all(b"more\n").expect("appended");
            assert_eq!(std::fs::read_to_string(&path).expect("a file"), format!("{content}more\n"));
            overwrite(&file, b"x").expect("overwritten");
            file.write_all(b"y").expect("appended");
            assert_eq!(std::fs::read_to_string(&path).expect("a file"), "xy");
        }
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&elsewhere).expect("a file"), "mine");
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 2, "nothing is left beside it");
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_file_that_can_not_be_replaced_stays_as_it_is() {
        let folder = folder("stays");
        let path = folder.join("file");
        // A folder of this name cannot be removed as a file, and a file not be renamed onto a folder.
        std::fs::create_dir_all(path.join("sub")).expect("a folder");
        assert!(replace(&path, b"new").is_err());
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1, "nothing is left beside it");
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn what_waits_to_be_synced_is_synced_before_the_end() {
        let folder = folder("sync");
        let file = Arc::new(replace(&folder.join("file"), b"").expect("a file"));
        let syncer = Syncer::new().expect("a thread");
        for _ in 0..10 {
            syncer.sync(file.clone());
        }
        let shared = syncer.shared.clone();
        drop(syncer);
        assert!(shared.work.lock().expect("not poisoned").file.is_none());
        assert_eq!(Arc::strong_count(&file), 1);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
