//! Sockets that only processes of this user can connect to, in a folder that is gone when the node is.

use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What the names of the folders begin with, before as many hexadecimal digits as [`DIGITS`].
const PREFIX: &str = "wampd-";

/// Digits of a name.
const DIGITS: usize = 32;

/// The file by which a folder is known to have an owner: it is locked for as long as that lives.
const OWNER: &str = "owner";

/// Names in the folder for temporary files that are looked at.
const MAX_NAMES: usize = 10_000;

/// Sockets that only this user can connect to, in a folder of their own. Dropped, they are removed.
#[derive(Debug)]
pub(super) struct PrivateSockets {
    folder: Option<(PathBuf, File)>,
    count: usize,
}

impl PrivateSockets {
    /// Room for so many; without any there is no folder. What others have left behind who were killed is removed.
    pub(super) fn new(count: usize) -> io::Result<Self> {
        Self::new_in(&std::env::temp_dir(), count)
    }

    fn new_in(parent: &Path, count: usize) -> io::Result<Self> {
        // That it cannot be cleaned up does no harm.
        let _ = clean_up(parent);
        if count == 0 {
            return Ok(Self { folder: None, count });
        }
        let mut name = [0; DIGITS / 2];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        let folder = parent.join(format!("{PREFIX}{}", data_encoding::HEXLOWER.encode(&name)));
        // Fails if there is such a folder already: nobody else can have made it.
        DirBuilder::new().mode(0o700).create(&folder)?;
        // There under its name only when it is locked, lest somebody take the folder for one that nobody owns.
        let new = folder.join("new");
        let owner = File::create_new(&new)?;
        flock(&owner, FlockOperation::NonBlockingLockExclusive)?;
        std::fs::rename(&new, folder.join(OWNER))?;
        Ok(Self { folder: Some((folder, owner)), count })
    }

    /// The folder, if there is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(|(folder, _)| folder.as_path())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> + use<'_> {
        self.folder().into_iter().flat_map(|folder| (0..self.count).map(|number| folder.join(format!("{number}.sock"))))
    }
}

impl Drop for PrivateSockets {
    fn drop(&mut self) {
        if let Some(folder) = self.folder() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Removes the folders of nodes that are gone.
fn clean_up(parent: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(parent)?.take(MAX_NAMES).flatten() {
        let name = entry.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).unwrap_or_default();
        let hexadecimal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits.len() == DIGITS && hexadecimal && is_left_behind(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Whether a folder is of this user, which nobody else can write to, and its owner has ended.
fn is_left_behind(folder: &Path) -> bool {
    let private = |about: &std::fs::Metadata| {
        about.is_dir() && about.uid() == rustix::process::geteuid().as_raw() && about.mode() & 0o777 == 0o700
    };
    // Without following a link.
    if !std::fs::symlink_metadata(folder).is_ok_and(|about| private(&about)) {
        return false;
    }
    File::open(folder.join(OWNER)).is_ok_and(|file| flock(file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_what_a_dead_node_has_left_behind_is_removed() {
        let parent = std::env::temp_dir().join(format!("wampd-sockets-{}", std::process::id()));
        std::fs::create_dir_all(&parent).expect("a folder");
        let name = |digit: &str| parent.join(format!("{PREFIX}{}", digit.repeat(DIGITS)));
        let make = |path: &Path, mode: u32, owner: bool| {
            std::fs::create_dir(path).expect("a folder");
            if owner {
                std::fs::write(path.join(OWNER), "").expect("a file");
            }
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
        };
        let alive = PrivateSockets::new_in(&parent, 2).expect("a folder");
        assert_eq!(alive.paths().count(), 2);
        let (dead, without_owner, public, link, other) =
            (name("a"), name("b"), name("c"), name("d"), parent.join(format!("{PREFIX}x")));
        make(&dead, 0o700, true);
        std::fs::write(dead.join("0.sock"), "").expect("a file");
        make(&without_owner, 0o700, false);
        make(&public, 0o755, true);
        make(&other, 0o700, true);
        symlink(&other, &link).expect("a link");
        drop(PrivateSockets::new_in(&parent, 0).expect("cleaned up"));
        assert!(!dead.exists());
        let stays = [&without_owner, &public, &link, &other, &alive.folder().expect("a folder").to_owned()];
        assert!(stays.iter().all(|path| path.exists()));
        drop(alive);
        assert_eq!(std::fs::read_dir(&parent).expect("a folder").count(), 4);
        std::fs::remove_dir_all(&parent).expect("removed");
    }
}
