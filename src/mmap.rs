//! Files as bytes, mapped where that is possible: the only `unsafe` of the crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::{Bound, Deref, RangeBounds};
use std::path::Path;
use std::sync::Arc;

/// A whole file, mapped read-only.
pub(crate) struct Map(Option<memmap2::Mmap>);

impl Map {
    /// Maps the file at `path`. An empty file gives no bytes.
    ///
    /// # Errors
    /// The file cannot be opened, measured or mapped, or is not a regular file: a directory, a pipe or a device is
    /// refused before it is opened, since opening a pipe waits for a writer that may never come.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        regular_file(&std::fs::metadata(path)?)?;
        let file = File::open(path)?;
        // Once more on what was really opened: the name may have changed its meaning in between.
        let metadata = file.metadata()?;
        regular_file(&metadata)?;
        if metadata.len() == 0 {
            return Ok(Self(None)); // an empty map is an error on some systems
        }
        // SAFETY: the map is read-only and private to this value, and nothing in this crate writes to a file that it has
        // mapped. What we rely on is the world outside: another process that changes the file while we read it changes
        // these bytes under us, and one that truncates it can raise SIGBUS. Readers of a map therefore check every
        // length at every use (a change gives an error or wrong bytes, never a read out of bounds), and `resolve`
        // documents that the model must not be truncated meanwhile.
        let map = unsafe { memmap2::Mmap::map(&file) }?;
        Ok(Self(Some(map)))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// Immutable bytes, either a mapped file or owned memory, shared by all clones.
///
/// Cloning and slicing copy a pointer and two offsets, never the bytes.
#[derive(Clone)]
pub struct Bytes {
    source: Arc<Source>,
    start: usize,
    end: usize,
}

enum Source {
    Mapped(Map),
    Owned(Vec<u8>),
}

impl Bytes {
    /// The content of the file at `path`, mapped and not read: a page costs I/O when it is first touched.
    ///
    /// # Errors
    /// The file cannot be opened or mapped, or is not a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let map = Map::open(path)?;
        let end = map.len();
        Ok(Self { source: Arc::new(Source::Mapped(map)), start: 0, end })
    }

    /// The bytes at `range`, counted from the start of this value; `None` if the range does not lie within it.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Option<Self> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.checked_add(1)?,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => end.checked_add(1)?,
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len(),
        };
        self.get(start..end)?;
        Some(Self { source: Arc::clone(&self.source), start: self.start + start, end: self.start + end })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all = match &*self.source {
            Source::Mapped(map) => map,
            Source::Owned(bytes) => bytes.as_slice(),
        };
        &all[self.start..self.end]
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        let end = bytes.len();
        Self { source: Arc::new(Source::Owned(bytes)), start: 0, end }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &*self.source {
            Source::Mapped(_) => "mapped",
            Source::Owned(_) => "owned",
        };
        write!(f, "Bytes({kind}, {} bytes)", self.end - self.start)
    }
}

/// Refuses what cannot be mapped, by a name that a person knows.
fn regular_file(metadata: &std::fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    if metadata.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "expected a regular file, found a directory",
        ));
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "expected a regular file, found a pipe, a socket or a device",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_mapped_and_its_slices_share_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let bytes = Bytes::open(&path).unwrap();
        assert_eq!(&*bytes, b"0123456789");
        let middle = bytes.slice(2..=5).unwrap();
        drop(bytes);
        assert_eq!(&*middle, b"2345");
        assert_eq!(&*middle.slice(1..).unwrap(), b"345");
        for (start, end) in [(0, 5), (3, 2), (5, 5), (usize::MAX, usize::MAX)] {
            assert!(middle.slice(start..end).is_none(), "{start}..{end}");
        }
        assert!(middle.slice(4..4).is_some_and(|empty| empty.is_empty()));
        assert!(middle.slice(..=usize::MAX).is_none());
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty");
        std::fs::write(&path, b"").unwrap();
        assert!(Bytes::open(&path).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_a_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Bytes::open(directory.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(Bytes::open(&directory.path().join("x")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_an_error_and_never_waits() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo is part of POSIX");
        assert_eq!(Bytes::open(&pipe).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
