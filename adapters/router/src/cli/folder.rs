//! Node folders: where the configuration is, and whether a node runs there.

use super::args::Args;
use crate::config::{self, Report};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folder that is looked for where none is given, as with Crossbar.io.
const DEFAULT: &str = ".crossbar";

/// In a node folder: tells which process serves it, `{"pid": 123}`. Locked for as long as that process lives.
const PID_FILE: &str = "node.pid";

/// What a command line says of the configuration.
pub(super) enum Given {
    /// A file.
    File(PathBuf),
    /// A node folder, and perhaps which of its files.
    Folder(PathBuf, Option<PathBuf>),
}

impl Given {
    /// By `--config` and `--cbdir`: with both, the file is in the folder. With neither, the default folder if it is there;
    /// with a file alone that is not where it is said to be, but is in that folder, that one, as with Crossbar.io.
    pub(super) fn of(args: &Args) -> Option<Self> {
        let file = args.get("--config").map(PathBuf::from);
        match (folder(args), file) {
            (Some(folder), file) => Some(Self::Folder(folder, file)),
            (None, Some(file)) if !file.exists() && Path::new(DEFAULT).join(&file).exists() => {
                Some(Self::Folder(DEFAULT.into(), Some(file)))
            }
            (None, file) => file.map(Self::File),
        }
    }

    pub(super) fn file(&self) -> Result<PathBuf, Report> {
        match self {
            Self::File(file) => Ok(file.clone()),
            Self::Folder(folder, Some(file)) => Ok(folder.join(file)),
            Self::Folder(folder, None) => config::find(folder),
        }
    }

    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(_) => None,
            Self::Folder(folder, _) => Some(folder),
        }
    }
}

/// The node folder: `--cbdir`, or the default one if neither a folder nor a file is given and it is there.
pub(super) fn folder(args: &Args) -> Option<PathBuf> {
    let default = || (args.get("--config").is_none() && Path::new(DEFAULT).is_dir()).then(|| DEFAULT.into());
    args.get("--cbdir").map(PathBuf::from).or_else(default)
}

/// A node folder that this process serves; nobody else does while this lives.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    /// Its lock goes with it.
    _file: File,
}

/// Why a folder could not be claimed.
#[derive(Debug)]
pub(super) enum ClaimError {
    /// A node runs there.
    Taken(Option<Pid>),
    /// The file can not be written.
    Io(PathBuf, io::Error),
}

impl Claim {
    pub(super) fn new(folder: &Path) -> Result<Self, ClaimError> {
        let path = folder.join(PID_FILE);
        let failed = |error| ClaimError::Io(path.clone(), error);
        loop {
            let mut options = OpenOptions::new();
            let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
            if !lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(failed)? {
                return Err(ClaimError::Taken(read(&mut file)));
            }
            // One that has ended meanwhile has taken its file along.
            if !is_at(&file, &path) {
                continue;
            }
            // The lock is on this very file, so it is not replaced by another.
            if let Err(error) = write_pid(&mut file) {
                let _ = std::fs::remove_file(&path);
                return Err(failed(error));
            }
            return Ok(Self { path: path.clone(), _file: file });
        }
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{{\"pid\": {}}}", std::process::id())
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Who serves a folder.
pub(super) struct Running {
    pub(super) pid: Pid,
    file: File,
    path: PathBuf,
}

impl Running {
    /// `None`: nobody does.
    pub(super) fn find(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(PID_FILE);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if lock(&file, FlockOperation::NonBlockingLockShared)? {
            return Ok(None);
        }
        let unreadable = || io::Error::new(io::ErrorKind::InvalidData, format!("no process in {}", path.display()));
        let pid = read(&mut file).ok_or_else(unreadable)?;
        Ok(Some(Self { pid, file, path }))
    }

    /// Whether it still does.
    pub(super) fn is_there(&self) -> io::Result<bool> {
        Ok(is_at(&self.file, &self.path) && !lock(&self.file, FlockOperation::NonBlockingLockShared)?)
    }
}

fn lock(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), path.metadata()), (Ok(file), Ok(there)) if identity(&file) == identity(&there))
}

fn read(file: &mut File) -> Option<Pid> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let pid = serde_json::from_str::<serde_json::Value>(&text).ok()?.get("pid")?.as_i64()?;
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_served_by_one() {
        let folder = std::env::temp_dir().join(format!("wampd-claim-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(Running::find(&folder).unwrap().is_none());
        let claim = Claim::new(&folder).unwrap();
        let me = Pid::from_raw(std::process::id() as i32);
        assert!(matches!(Claim::new(&folder), Err(ClaimError::Taken(pid)) if pid == me));
        let running = Running::find(&folder).unwrap().unwrap();
        assert_eq!(Some(running.pid), me);
        assert!(running.is_there().unwrap());
        drop(claim);
        assert!(!running.is_there().unwrap());
        assert!(Running::find(&folder).unwrap().is_none());
        // What one has left behind that was killed stands in nobody's way.
        std::fs::write(folder.join(PID_FILE), "{\"pid\": 1}").unwrap();
        assert!(Running::find(&folder).unwrap().is_none());
        drop(Claim::new(&folder).unwrap());
        assert!(!folder.join(PID_FILE).exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
