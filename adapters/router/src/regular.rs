//! Opening regular files, and nothing that could make this wait for somebody else.

use rustix::fs::OFlags;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a file. Of a pipe it would wait for the other end, of a device for whatever it does: they are refused.
///
/// # Errors
/// What the system says; `InvalidInput` for what is not a regular file.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let about = file.metadata()?;
    if about.is_file() {
        Ok((file, about))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// Reads a file of no more than `max` bytes.
///
/// # Errors
/// As [`open`]; `FileTooLarge`.
pub(crate) fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut content = Vec::new();
    file.take(max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(content) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_and_large_files_are_refused_without_waiting() {
        let folder = std::env::temp_dir().join(format!("wampd-regular-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (pipe, file) = (folder.join("pipe"), folder.join("file"));
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
        std::fs::write(&file, "12345").expect("a file");
        let kind = |result: io::Result<Vec<u8>>| result.expect_err("refused").kind();
        assert_eq!(kind(read(&pipe, 10)), io::ErrorKind::InvalidInput);
        assert_eq!(kind(read(&folder, 10)), io::ErrorKind::InvalidInput);
        assert_eq!(kind(read(&file, 4)), io::ErrorKind::FileTooLarge);
        assert_eq!(read(&file, 5).expect("read"), b"12345");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
