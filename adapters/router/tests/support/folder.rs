//! A folder of a test's own, as a node has one.

#![allow(dead_code, unreachable_pub, reason = "a module of several tests, each of which uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use wampd::config::{self, NodeConfig};

/// A folder that is removed in the end.
pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wampd-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and the folders it is in.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.0.join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, content).expect("written");
        file
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    /// Writes a configuration and loads it; returns the warnings too.
    pub fn load(&self, name: &str, config: &str) -> (NodeConfig, String) {
        match config::load(&self.write(name, config)) {
            Ok((node, warnings)) => (node, warnings.to_string()),
            Err(report) => panic!("{report}"),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether there is a Python to test with. Where everything must be tested its absence is a failure.
pub fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("--version").output().is_ok_and(|run| run.status.success());
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "python3 is not here, and CI must test with it");
    if !found {
        eprintln!("NOT TESTED: python3 is not here");
    }
    found
}
