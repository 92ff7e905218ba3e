//! Files as bytes, in memory of this process alone.
//!
//! A file that is mapped belongs to everybody who may write to it: one that is cut short ends the process that maps it
//! (`SIGBUS`), and one that is written to changes under a reader that has checked it. So files are read. What is large is
//! read into whole pages of anonymous memory, which the system may serve with huge pages: a third of the cost of a `Vec`.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::ops::{Bound, Deref, RangeBounds};
use std::path::Path;
use std::sync::Arc;

use memmap2::{Mmap, MmapMut};

use crate::memory::reserve;

/// The start of a file, read as far as it is asked for.
///
/// Nothing that happens to the file afterwards changes what was read. A file that shrinks meanwhile ends where it ended then.
pub(crate) struct Prefix {
    file: File,
    /// As the file was opened.
    metadata: Metadata,
    len: u64,
    /// Address space for more than was read; what is not touched takes no memory.
    buffer: MmapMut,
    filled: usize,
}

impl Prefix {
    /// Opens the file at `path` and reads nothing yet.
    ///
    /// # Errors
    /// The file cannot be opened, or is not a regular file: a directory, a pipe or a device is refused before it is opened,
    /// since opening a pipe waits for a writer that may never come.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        regular_file(&std::fs::metadata(path)?)?;
        let file = File::open(path)?;
        // Once more on what was really opened: the name may have changed its meaning in between.
        let metadata = file.metadata()?;
        regular_file(&metadata)?;
        let len = metadata.len();
        let buffer = reserve(len.min(RESERVED as u64) as usize)?;
        Ok(Self { file, metadata, len, buffer, filled: 0 })
    }

    /// The whole file.
    ///
    /// # Errors
    /// As [`Prefix::open`] and [`Prefix::read`]; or the file has more than 2^30 bytes, as no file of a tokenizer has.
    pub(crate) fn whole(path: &Path) -> io::Result<Self> {
        let mut file = Self::open(path)?;
        if file.len > MOST {
            let found = format!("expected a file of at most {MOST} bytes, found {}", file.len);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, found));
        }
        file.read(MOST as usize)?;
        Ok(file)
    }

    /// Bytes of the whole file.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// What the system said of the file when it was opened.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What was read so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// At least the first `wanted` bytes, or as many as there are.
    ///
    /// # Errors
    /// The system cannot read on, or has no memory.
    pub(crate) fn read(&mut self, wanted: usize) -> io::Result<&[u8]> {
        let wanted = self.len.min(wanted as u64) as usize; // at most `wanted`
        if wanted > self.buffer.len() {
            let mut larger = reserve(self.len.min(wanted.saturating_mul(4) as u64) as usize)?;
            larger[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
            self.buffer = larger;
        }
        while self.filled < wanted {
            match self.file.read(&mut self.buffer[self.filled..wanted]) {
                Ok(0) => self.len = self.filled as u64,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.len == self.filled as u64 {
                break;
            }
        }
        Ok(self.bytes())
    }

    /// Whether the file still is what it was when it was opened, as far as its length and modification time tell.
    pub(crate) fn is_unchanged(&self) -> io::Result<bool> {
        let now = self.file.metadata()?;
        let same_time = match (self.metadata.modified(), now.modified()) {
            (Ok(before), Ok(after)) => before == after,
            _ => true, // there are no such times here
        };
        Ok(same_time && self.metadata.len() == now.len())
    }

    /// What was read.
    ///
    /// # Errors
    /// The file was changed meanwhile: the bytes may be half of the one and half of the other content.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        if !self.is_unchanged()? {
            return Err(io::Error::other(
                "expected a file that stays as it is while it is read, found it changed",
            ));
        }
        self.take()
    }

    /// What was read, whether or not the file was changed meanwhile.
    pub(crate) fn take(self) -> io::Result<Bytes> {
        let end = self.filled;
        Ok(Bytes { source: Arc::new(Source::Pages(self.buffer.make_read_only()?)), start: 0, end })
    }
}

/// The largest file that is read whole, in bytes.
const MOST: u64 = 1 << 30;
/// Address space that is taken for the start of a file: more than the metadata of any model that is known.
const RESERVED: usize = 64 << 20;

/// Immutable bytes in memory of this process, shared by all clones: nothing outside can change them.
///
/// Cloning and slicing copy a pointer and two offsets, never the bytes.
#[derive(Clone)]
pub struct Bytes {
    source: Arc<Source>,
    start: usize,
    end: usize,
}

enum Source {
    Pages(Mmap),
    Owned(Vec<u8>),
}

impl Bytes {
    /// The content of the file at `path`, read into memory whose address is a multiple of the size of a page.
    ///
    /// # Errors
    /// The file cannot be read, is not a regular file, has more than 2^30 bytes, or was changed while it was read.
    pub fn open(path: &Path) -> io::Result<Self> {
        Prefix::whole(path)?.finish()
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
            Source::Pages(pages) => pages,
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
        write!(f, "Bytes({} bytes)", self.end - self.start)
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
    fn a_file_is_read_and_its_slices_share_it() {
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

    #[test]
    fn what_was_read_stays_whatever_becomes_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let content: Vec<u8> = (0..5_000_000u32).map(|at| at.to_le_bytes()[1]).collect();
        std::fs::write(&path, &content).unwrap();
        let bytes = Bytes::open(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        assert!(*bytes == *content);
        std::fs::remove_file(&path).unwrap();
        assert!(*bytes == *content);
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_an_error_and_never_a_fault() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![1; 300_000]).unwrap();
        let mut file = Prefix::open(&path).unwrap();
        assert_eq!(file.read(100_000).unwrap().len(), 100_000);
        File::options().write(true).open(&path).unwrap().set_len(150_000).unwrap();
        assert_eq!(file.read(usize::MAX).unwrap().len(), 150_000);
        assert_eq!(file.len(), 150_000);
        assert!(file.finish().unwrap_err().to_string().contains("found it changed"));
    }

    #[test]
    fn a_file_of_more_than_a_gibibyte_is_read_in_part_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        File::create(&path).unwrap().set_len(MOST + 1).unwrap(); // a hole: takes no space
        assert_eq!(Bytes::open(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let mut file = Prefix::open(&path).unwrap();
        assert_eq!(file.read(10).unwrap(), [0; 10]);
        // More than was reserved at first.
        assert_eq!(file.read(RESERVED + 1).unwrap().len(), RESERVED + 1);
        assert_eq!(file.finish().unwrap().len(), RESERVED + 1);
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
