//! What an answer rests on: files, directories, and whether they are still what they were.

use std::fs::Metadata;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// What the file system says of a file. While it stays the same, nobody has written to the file.
///
/// That holds where there is a change time, which no program can set; elsewhere it holds but for programs that set the
/// modification time back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    len: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, u32),
    /// Change time, inode and device, on Unix.
    node: Option<((i64, u32), u64, u64)>,
}

impl Identity {
    #[cfg(unix)]
    pub(crate) fn new(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds = |of_a_second: i64| u32::try_from(of_a_second).unwrap_or_default();
        let changed = (metadata.ctime(), nanoseconds(metadata.ctime_nsec()));
        Self {
            len: metadata.len(),
            modified: (metadata.mtime(), nanoseconds(metadata.mtime_nsec())),
            node: Some((changed, metadata.ino(), metadata.dev())),
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn new(metadata: &Metadata) -> Self {
        let modified =
            metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let modified = modified.map_or((0, 0), |since| (since.as_secs() as i64, since.subsec_nanos()));
        Self { len: metadata.len(), modified, node: None }
    }

    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::new(&metadata))
    }

    /// Whether an unchanged identity proves unchanged content.
    pub(crate) fn proves(&self) -> bool {
        self.node.is_some()
    }

    /// This identity, unless the file changed so recently that one more change may get the same time: clocks of file systems
    /// tick every few milliseconds (FAT: every two seconds). To be asked right after [`Identity::of`].
    pub(crate) fn settled(self) -> Option<Self> {
        let (seconds, nanoseconds) = self.node.map_or(self.modified, |(changed, ..)| changed);
        let changed = SystemTime::UNIX_EPOCH
            + Duration::new(u64::try_from(seconds).ok()?, nanoseconds.min(999_999_999));
        let tick = if self.node.is_some() { Duration::from_millis(50) } else { Duration::from_secs(3) };
        (SystemTime::now().duration_since(changed).ok()? > tick).then_some(self)
    }
}

/// Files that an answer was made from, and directories where another file would have changed it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Dependencies {
    sources: Vec<Source>,
    watched: Vec<Watched>,
}

/// A file that was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Source {
    path: PathBuf,
    /// `None` when it had only just been written.
    identity: Option<Identity>,
    /// Of the content; `None` for files above [`MOST_HASHED`], which count as changed with their identity.
    hash: Option<String>,
}

/// A directory in which files that describe a tokenizer were looked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Watched {
    path: PathBuf,
    /// `None` when it had only just changed. While the directory is the same, the same names are in it.
    identity: Option<Identity>,
    /// `None`: there was no such directory.
    files: Option<Vec<(String, Identity)>>,
}

/// What has become of a [`Dependencies`].
#[derive(Debug)]
pub(crate) enum DependencyState {
    /// As it was.
    Same,
    /// The content is as it was, but identities have changed: here they are anew.
    Touched(Dependencies),
    /// Something has changed; the text says what.
    Changed(String),
}

impl Dependencies {
    /// Notes `sources`, and what is in the directories `watched` now.
    ///
    /// # Errors
    ///
    /// A source cannot be read.
    pub(crate) fn note(sources: &[PathBuf], watched: &[PathBuf]) -> io::Result<Self> {
        let noted = sources.iter().map(|path| Source::note(path)).collect::<io::Result<_>>()?;
        let watched = watched.iter().map(|path| Watched::note(path, sources)).collect();
        Ok(Self { sources: noted, watched })
    }

    /// The files the answer was made from.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(|source| &*source.path)
    }

    /// Looks again. A `stat` for each file and directory where nothing has changed.
    pub(crate) fn state(&self) -> DependencyState {
        let mut same = true;
        for source in &self.sources {
            if source.is_unchanged() {
                continue;
            }
            same = false;
            let unchanged =
                Source::note(&source.path).is_ok_and(|now| now.hash.is_some() && now.hash == source.hash);
            if !unchanged {
                return DependencyState::Changed(format!("{} has changed", source.path.display()));
            }
        }
        let sources: Vec<PathBuf> = self.sources().map(Path::to_owned).collect();
        for watched in &self.watched {
            if watched.is_unchanged() {
                continue;
            }
            same = false;
            if Watched::note(&watched.path, &sources).files != watched.files {
                return DependencyState::Changed(format!(
                    "files beside the model in {} have changed",
                    watched.path.display()
                ));
            }
        }
        if same {
            return DependencyState::Same;
        }
        let watched: Vec<PathBuf> = self.watched.iter().map(|watched| watched.path.clone()).collect();
        match Self::note(&sources, &watched) {
            Ok(dependencies) => DependencyState::Touched(dependencies),
            Err(error) => DependencyState::Changed(error.to_string()),
        }
    }
}

impl Source {
    fn note(path: &Path) -> io::Result<Self> {
        // The identity first: a change while the content is read then shows at the next look.
        let identity = Identity::of(path)?;
        let settled = identity.settled();
        if identity.len > MOST_HASHED {
            // There is nothing else to go by, however fresh the file.
            return Ok(Self { path: path.to_owned(), identity: Some(identity), hash: None });
        }
        let hash = hash_file(path)?.to_hex().to_string();
        Ok(Self { path: path.to_owned(), identity: settled, hash: Some(hash) })
    }

    fn is_unchanged(&self) -> bool {
        self.identity.is_some() && Identity::of(&self.path).ok() == self.identity
    }
}

impl Watched {
    /// `sources` are looked at on their own, by their content.
    fn note(path: &Path, sources: &[PathBuf]) -> Self {
        let identity = Identity::of(path).ok();
        let settled = identity.and_then(Identity::settled);
        let files = identity.and_then(|_| {
            let mut files = Vec::new();
            for entry in std::fs::read_dir(path).ok()? {
                let entry = entry.ok()?;
                let path = entry.path();
                let name = entry.file_name().to_string_lossy().into_owned();
                if !describes_a_tokenizer(&name) || sources.contains(&path) {
                    continue;
                }
                // A link that leads nowhere is no file; one day it may be.
                if let Ok(identity) = Identity::of(&path) {
                    files.push((name, identity));
                }
            }
            files.sort_by(|a, b| a.0.cmp(&b.0));
            Some(files)
        });
        Self { path: path.to_owned(), identity: settled, files }
    }

    fn is_unchanged(&self) -> bool {
        let now = Identity::of(&self.path).ok();
        match &self.files {
            None => now.is_none(),
            Some(files) => {
                self.identity.is_some()
                    && now == self.identity
                    && files
                        .iter()
                        .all(|(name, identity)| Identity::of(&self.path.join(name)).ok() == Some(*identity))
            }
        }
    }
}

/// Whether a file of this name could be part of a tokenizer, or name the repository of one.
fn describes_a_tokenizer(name: &str) -> bool {
    let extension = Path::new(name).extension().unwrap_or_default();
    ["json", "txt", "model", "tiktoken", "jinja", "md", "spm", "bpe", "vocab"].iter().any(|known| *known == extension)
        // Weights come in hundreds of shards beside an index; the index is no concern of the tokenizer.
        && !name.ends_with(".index.json")
}

/// The hash of a file's content, read in blocks.
pub(crate) fn hash_file(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut file = std::fs::File::open(path)?;
    let mut block = vec![0; 1 << 17];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(read) => drop(hasher.update(&block[..read])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The largest source that is known by its content, in bytes: no tokenizer file comes near it, weights do.
const MOST_HASHED: u64 = 256 << 20;
