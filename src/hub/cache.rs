//! The Hugging Face cache on disk, shared with every other tool that keeps one.
//!
//! ```text
//! <root>/models--owner--name/refs/main                  a commit, 40 hexadecimal digits and no newline
//! <root>/models--owner--name/snapshots/<commit>/<file>  a relative link to ../../blobs/<etag>, or a copy
//! <root>/models--owner--name/blobs/<etag>               the content; may itself be a link into a shared store
//! <root>/models--owner--name/.no_exist/<commit>/<file>  empty: known absent
//! <root>/.locks/models--owner--name/<etag>.lock         advisory; never deleted
//! ```
//!
//! Reading writes nothing. Writing keeps to an order in which every prefix is a cache that all readers accept: a blob appears
//! whole, by rename; then the link to it; the reference last. Every temporary file lies in `blobs/` and ends in
//! `.incomplete`, which readers skip; one that a killed process left behind does no harm. Locks only spare work: what is
//! correct is so without them, since `flock` is a no-op on some network file systems.
//!
//! Layout as of `huggingface_hub` 2.4 (`file_download.py`, `utils/_cache_manager.py`). A snapshot may be incomplete and
//! `refs/` missing altogether: `@huggingface/hub` writes such caches.

use std::{
    fs,
    hash::{BuildHasher as _, Hasher as _},
    io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use log::debug;

use super::{
    digest::Digest,
    error::Error,
    id::{RepoId, is_commit},
    settings::{Verified, Verify},
};

/// One repository's folder in a cache. Nothing is read or created before a method is called.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    folder: String,
}

/// Whether a cache has a file.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// It has, in this state.
    Found(CachedFile),
    /// The Hub once said that the file does not exist at this commit.
    KnownAbsent { commit: String },
    /// It has not, or the revision cannot be resolved to a commit. Says nothing about the repository.
    Missing,
}

/// A file in a snapshot. It exists; its content is unchecked until [`read`](Self::read).
#[derive(Clone, Debug)]
pub(crate) struct CachedFile {
    /// The path in the snapshot, not the blob's.
    pub(crate) path: PathBuf,
    pub(crate) commit: String,
    /// The hash that the blob's name promises; a copy in place of a link has none.
    pub(crate) digest: Option<Digest>,
}

/// What a path inside a cache says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// The cache directory.
    pub(crate) root: PathBuf,
    pub(crate) repository: RepoId,
    /// Absent for a blob that no snapshot links to.
    pub(crate) commit: Option<String>,
    /// The file's path in the repository, absent for a snapshot's own directory.
    pub(crate) file: Option<String>,
}

/// How a revision became a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResolvedBy {
    /// The revision is a full commit.
    Itself,
    /// By the file `refs/<revision>`.
    Reference,
    /// There is no reference, but there is one snapshot only.
    OnlySnapshot,
}

/// Looks for `file` of `repository` at `revision` (a branch, tag or commit) in the cache at `root`.
///
/// Where the cache has no references at all, `main` is the only snapshot that has the file.
///
/// # Errors
/// For a name that could leave the cache.
pub(crate) fn find(root: &Path, repository: &RepoId, revision: &str, file: &str) -> Result<Lookup, Error> {
    check_revision(revision)?;
    check_file(file)?;
    let repository = Repository::new(root, repository);
    Ok(match repository.resolve(revision) {
        Some((commit, _)) => repository.find(&commit, file),
        None => repository.find_without_reference(revision, file),
    })
}

/// The model repositories in the cache at `root`, sorted. A directory that cannot be read has none.
#[cfg(test)]
pub(crate) fn repositories(root: &Path) -> Vec<RepoId> {
    let mut found: Vec<RepoId> = entries(root).filter_map(|(name, _)| repository_of_folder(&name)).collect();
    found.sort();
    found
}

/// Reads `…/models--owner--name/snapshots/<commit>/<file>` and `…/models--owner--name/blobs/<hash>` as names.
///
/// For a blob, the snapshots are searched for a link to it. `path` should be absolute; it is not resolved.
pub(crate) fn locate(path: &Path) -> Option<Location> {
    let parts: Vec<&str> = path.components().map(|part| part.as_os_str().to_str().unwrap_or("")).collect();
    let at = parts.iter().rposition(|part| repository_of_folder(part).is_some())?;
    let repository = repository_of_folder(parts[at])?;
    let root: PathBuf = path.components().take(at).collect();
    let location = |commit: Option<String>, file| Location {
        root: root.clone(),
        repository: repository.clone(),
        commit,
        file,
    };
    match parts[at + 1..] {
        ["snapshots", commit, ref file @ ..] if is_commit(commit) => {
            let file = (!file.is_empty()).then(|| file.join("/"));
            Some(location(Some(commit.to_owned()), file))
        }
        ["blobs", blob] => {
            let folder = Repository::new(&root, &repository);
            let (commit, file) = folder.link_to(blob).unzip();
            Some(location(commit, file))
        }
        _ => None,
    }
}

/// Checks a file's path in a repository before it becomes a path on disk or in a URL.
pub(crate) fn check_file(file: &str) -> Result<(), Error> {
    let valid = file.len() <= 1024
        && file.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
        && !file.contains(['\\', ':'])
        && !file.contains(|c: char| c.is_control());
    let expected = "a relative file path of at most 1024 bytes without `..`, `\\` or `:`";
    if valid { Ok(()) } else { Err(bad_name(expected, file)) }
}

/// Checks a revision before it becomes a path below `refs/` or a part of a URL: git's own rules for names.
#[allow(clippy::case_sensitive_file_extension_comparisons)] // git's rule, not a file's extension
pub(crate) fn check_revision(revision: &str) -> Result<(), Error> {
    let valid = revision.len() <= 255
        && revision
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
        && !revision.contains("..")
        && !revision.ends_with('.')
        && !revision.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c));
    let expected = "a branch, tag or commit of at most 255 bytes that git would accept";
    if valid { Ok(()) } else { Err(bad_name(expected, revision)) }
}

fn bad_name(expected: &'static str, found: &str) -> Error {
    Error::BadName { expected, found: found.chars().take(200).collect() }
}

// ---- reading ----------------------------------------------------------------------------------------------------------

impl Repository {
    pub(crate) fn new(root: &Path, id: &RepoId) -> Self {
        Self { root: root.to_owned(), folder: format!("models--{}", id.as_str().replace('/', "--")) }
    }

    /// The commit that `revision` stands for, by this cache's knowledge. `revision` must have passed [`check_revision`].
    pub(crate) fn resolve(&self, revision: &str) -> Option<(String, ResolvedBy)> {
        if is_commit(revision) {
            return Some((revision.to_owned(), ResolvedBy::Itself));
        }
        if let Some(commit) = self.reference(revision) {
            return Some((commit, ResolvedBy::Reference));
        }
        if !self.may_guess(revision) {
            return None;
        }
        let mut snapshots = self.snapshots();
        let only = snapshots.pop().filter(|_| snapshots.is_empty())?;
        debug!("{} has no reference {revision}; taking its only snapshot {only}", self.folder);
        Some((only, ResolvedBy::OnlySnapshot))
    }

    /// Whether snapshots alone may tell what `revision` is: only for the default branch, and only where no other has a reference,
    /// since a snapshot may well be that one's.
    fn may_guess(&self, revision: &str) -> bool {
        revision == "main" && entries(&self.path().join("refs")).all(|(name, _)| name == "main")
    }

    /// `@huggingface/hub` makes a snapshot for every file and no references.
    fn find_without_reference(&self, revision: &str, file: &str) -> Lookup {
        if !self.may_guess(revision) {
            return Lookup::Missing;
        }
        let mut found = None;
        for commit in self.snapshots() {
            if let Lookup::Found(cached) = self.find(&commit, file) {
                if found.is_some() {
                    return Lookup::Missing;
                }
                found = Some(cached);
            }
        }
        found.map_or(Lookup::Missing, |cached| {
            debug!("{} has no references; taking {file} of its snapshot {}", self.folder, cached.commit);
            Lookup::Found(cached)
        })
    }

    /// The content of `refs/<revision>`, if it is a commit. Other tools leave newlines; more than that is not a reference.
    fn reference(&self, revision: &str) -> Option<String> {
        let mut text = String::new();
        let path = self.path().join("refs").join(revision);
        if !fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        fs::File::open(path).ok()?.take(256).read_to_string(&mut text).ok()?;
        let commit = text.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// The commits that have a snapshot, sorted.
    pub(crate) fn snapshots(&self) -> Vec<String> {
        let mut commits: Vec<String> = entries(&self.path().join("snapshots"))
            .map(|(name, _)| name)
            .filter(|name| is_commit(name))
            .collect();
        commits.sort();
        commits
    }

    /// Looks for `file` in the snapshot of `commit`. Both names must have been checked.
    pub(crate) fn find(&self, commit: &str, file: &str) -> Lookup {
        let path = self.snapshot(commit).join(file);
        // `metadata` follows links: a link whose blob is gone is a miss.
        if fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            let digest = blob_of_link(&path).and_then(|blob| Digest::new(&blob));
            return Lookup::Found(CachedFile { path, commit: commit.to_owned(), digest });
        }
        if self.path().join(".no_exist").join(commit).join(file).is_file() {
            return Lookup::KnownAbsent { commit: commit.to_owned() };
        }
        Lookup::Missing
    }

    /// Whether there is a blob of this name, whatever its content.
    pub(crate) fn has_blob(&self, digest: &Digest) -> bool {
        self.blob(digest.as_str()).is_file()
    }

    /// The blob of this name, read and verified; `None` if it is missing or damaged.
    pub(crate) fn read_blob(&self, digest: &Digest, limit: u64) -> Option<Vec<u8>> {
        let content = read_at_most(&self.blob(digest.as_str()), limit).ok()?;
        (digest.of_same_kind(&content) == *digest).then_some(content)
    }

    /// Commit and file of a snapshot's link to `blob`.
    fn link_to(&self, blob: &str) -> Option<(String, String)> {
        // Bounds for a directory that others may have filled.
        const ENTRIES: usize = 4096;
        const DEPTH: usize = 4;
        let mut budget = ENTRIES;
        for commit in self.snapshots() {
            let mut open = vec![(self.snapshot(&commit), String::new(), 0)];
            while let Some((directory, prefix, depth)) = open.pop() {
                for (name, path) in entries(&directory) {
                    budget = budget.checked_sub(1)?;
                    let file = format!("{prefix}{name}");
                    if blob_of_link(&path).as_deref() == Some(blob) {
                        return Some((commit, file));
                    }
                    if depth < DEPTH && fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                        open.push((path, file + "/", depth + 1));
                    }
                }
            }
        }
        None
    }

    fn path(&self) -> PathBuf {
        self.root.join(&self.folder)
    }

    fn blob(&self, name: &str) -> PathBuf {
        self.path().join("blobs").join(name)
    }

    fn snapshot(&self, commit: &str) -> PathBuf {
        self.path().join("snapshots").join(commit)
    }
}

impl CachedFile {
    /// The content, checked against the blob's name as `verify` asks.
    ///
    /// # Errors
    /// [`Error::CorruptCache`] if it has another hash, [`Error::TooLarge`] beyond `limit` bytes, [`Error::Unreadable`].
    pub(crate) fn read(&self, verify: Verify, verified: &Verified, limit: u64) -> Result<Vec<u8>, Error> {
        let unreadable = |source| Error::Unreadable { path: self.path.clone(), source };
        let metadata = fs::metadata(&self.path).map_err(unreadable)?;
        if metadata.len() > limit {
            return Err(Error::TooLarge { file: self.path.display().to_string(), limit });
        }
        let content = read_at_most(&self.path, limit).map_err(unreadable)?;
        let Some(expected) = &self.digest else { return Ok(content) };
        let trusted = match verify {
            Verify::Always => false,
            Verify::FirstUse => verified.contains(&self.path, &metadata),
            Verify::Never => true,
        };
        if !trusted {
            let found = expected.of_same_kind(&content);
            if found != *expected {
                let (expected, found) = (expected.to_string(), found.to_string());
                return Err(Error::CorruptCache { path: self.path.clone(), expected, found });
            }
            if verify == Verify::FirstUse {
                verified.mark(&self.path, &metadata);
            }
        }
        Ok(content)
    }
}

/// Reads a regular file of at most `limit` bytes.
fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let mut content = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes")));
    }
    Ok(content)
}

/// The name of the blob that a snapshot's link points to. Only the link itself is read: a blob may be a link in turn, into a
/// store where names mean something else.
fn blob_of_link(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    let in_blobs = target.parent()?.file_name()? == "blobs";
    in_blobs.then(|| target.file_name()?.to_str().map(str::to_owned)).flatten()
}

/// Name and path of each entry with a Unicode name; none if the directory cannot be read.
fn entries(directory: &Path) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.to_owned(), entry.path())))
}

/// `models--owner--name` or `models--name`. Names contain no `--`, so the first one separates.
fn repository_of_folder(folder: &str) -> Option<RepoId> {
    folder.strip_prefix("models--")?.replacen("--", "/", 1).parse().ok()
}

// ---- writing ----------------------------------------------------------------------------------------------------------

impl Repository {
    /// Writes `content` as the blob `digest` and links `file` at `commit` to it. The path in the snapshot.
    ///
    /// The caller has compared the content with the digest.
    pub(crate) fn store(
        &self,
        commit: &str,
        file: &str,
        digest: &Digest,
        content: &[u8],
        symlinks: bool,
    ) -> io::Result<PathBuf> {
        self.create()?;
        let blobs = self.path().join("blobs");
        fs::create_dir_all(&blobs)?;
        let (mut temporary, handle) = Temporary::create(&blobs, digest.as_str())?;
        let mut handle = handle;
        handle.write_all(content)?;
        // Other tools serve what they find without a look at its hash, so a power cut must not leave a shortened blob.
        handle.sync_data()?;
        drop(handle);
        temporary.rename(&self.blob(digest.as_str()))?;
        self.link(commit, file, digest, symlinks)
    }

    /// Makes `file` at `commit` lead to the blob `digest`, which exists. The path in the snapshot.
    pub(crate) fn link(
        &self,
        commit: &str,
        file: &str,
        digest: &Digest,
        symlinks: bool,
    ) -> io::Result<PathBuf> {
        let path = self.snapshot(commit).join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let up = "../".repeat(2 + file.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{digest}"));
        if symlinks {
            if fs::read_link(&path).is_ok_and(|found| found == target) {
                return Ok(path);
            }
            match self.replace_by_link(&path, &target, digest) {
                Ok(()) => return Ok(path),
                // No privilege on Windows, FAT, SMB. Judged anew each time: one directory's answer is not another's.
                Err(error) => debug!("cannot link {}, so it becomes a copy: {error}", path.display()),
            }
        }
        let (mut temporary, handle) = Temporary::create(&self.path().join("blobs"), digest.as_str())?;
        drop(handle);
        fs::copy(self.blob(digest.as_str()), &temporary.path)?;
        temporary.rename(&path)?;
        Ok(path)
    }

    fn replace_by_link(&self, path: &Path, target: &Path, digest: &Digest) -> io::Result<()> {
        match symlink(target, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done,
        }
        // Something else is there: another blob's link, a copy, a broken link. A link moves without losing its text.
        let mut temporary = Temporary::unused(&self.path().join("blobs"), digest.as_str());
        symlink(target, &temporary.path)?;
        temporary.rename(path)
    }

    /// Records that `file` does not exist at `commit`.
    pub(crate) fn mark_absent(&self, commit: &str, file: &str) -> io::Result<()> {
        self.create()?;
        let path = self.path().join(".no_exist").join(commit).join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::OpenOptions::new().create(true).append(true).open(path).map(drop)
    }

    /// Points `refs/<revision>` at `commit`; to be called after the files are in place.
    pub(crate) fn set_reference(&self, revision: &str, commit: &str) -> io::Result<()> {
        let path = self.path().join("refs").join(revision);
        if revision == commit || fs::read_to_string(&path).is_ok_and(|text| text == commit) {
            return Ok(());
        }
        // A reference to a commit without a directory counts as corrupt, even if nothing is known to be in it.
        fs::create_dir_all(self.snapshot(commit))?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let blobs = self.path().join("blobs");
        fs::create_dir_all(&blobs)?;
        let (mut temporary, mut handle) = Temporary::create(&blobs, commit)?;
        handle.write_all(commit.as_bytes())?;
        drop(handle);
        temporary.rename(&path)
    }

    /// Makes the repository's folder, which appears together with its `snapshots`: without, it counts as corrupt.
    fn create(&self) -> io::Result<()> {
        let snapshots = self.path().join("snapshots");
        if snapshots.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.root)?;
        // Older tools report the tag as a stray file, so a cache that they have begun stays as it is.
        if entries(&self.root).all(|(name, _)| name == ".locks") {
            tag(&self.root);
        }
        let staging = self.locks().join(format!("{}.new", random_name()));
        let staged =
            fs::create_dir_all(staging.join("snapshots")).and_then(|()| fs::rename(&staging, self.path()));
        if staged.is_err() {
            // Another process was faster, or `.locks` cannot be written.
            let _ = fs::remove_dir_all(&staging);
            fs::create_dir_all(&snapshots)?;
        }
        Ok(())
    }

    fn locks(&self) -> PathBuf {
        self.root.join(".locks").join(&self.folder)
    }
}

/// Marks the cache for backup programs (<https://bford.info/cachedir/>). Best effort.
fn tag(root: &Path) {
    let text = "Signature: 8a477f597d28d172789f06886806bc55\n# This directory is a cache of files from the Hugging Face Hub.\n";
    if let Ok(mut file) = fs::OpenOptions::new().write(true).create_new(true).open(root.join("CACHEDIR.TAG"))
    {
        let _ = file.write_all(text.as_bytes());
    }
}

/// A name in `blobs/` that is removed on drop, unless it was renamed.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn unused(directory: &Path, stem: &str) -> Self {
        Self { path: directory.join(format!("{stem}.{}.incomplete", random_name())), renamed: false }
    }

    fn create(directory: &Path, stem: &str) -> io::Result<(Self, fs::File)> {
        let mut attempts = 0;
        loop {
            let temporary = Self::unused(directory, stem);
            match fs::OpenOptions::new().write(true).create_new(true).open(&temporary.path) {
                Ok(file) => return Ok((temporary, file)),
                Err(error) => {
                    // Whatever is at this path is not ours to remove.
                    let mut temporary = temporary;
                    temporary.renamed = true;
                    attempts += 1;
                    if error.kind() != io::ErrorKind::AlreadyExists || attempts == 8 {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn rename(&mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Eight hexadecimal digits that no other thread or process is likely to have drawn.
fn random_name() -> String {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:08x}", hasher.finish() as u32)
}

#[cfg(unix)]
fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    // A link with forward slashes does not resolve there.
    std::os::windows::fs::symlink_file(target.components().collect::<PathBuf>(), path)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

// ---- locks ------------------------------------------------------------------------------------------------------------

/// The right to write one blob, until it is dropped or the process ends. Where the system grants no locks it is a formality.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Option<fs::File>,
}

impl Repository {
    /// The lock on the blob `digest`, or `None` while someone else holds it.
    pub(crate) fn try_lock(&self, digest: &Digest) -> Option<Lock> {
        let file = match self.open_lock(digest) {
            Ok(file) => file,
            Err(error) => {
                debug!("going on without a lock in {}: {error}", self.locks().display());
                return Some(Lock { _file: None });
            }
        };
        match file.try_lock() {
            Ok(()) => Some(Lock { _file: Some(file) }),
            Err(fs::TryLockError::WouldBlock) => None,
            Err(fs::TryLockError::Error(error)) => {
                debug!("going on without a lock in {}: {error}", self.locks().display());
                Some(Lock { _file: None })
            }
        }
    }

    /// Waits for the lock, at most `patience`; then goes on without it.
    pub(crate) fn lock(&self, digest: &Digest, patience: Duration) -> Lock {
        let start = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            if let Some(lock) = self.try_lock(digest) {
                return lock;
            }
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                debug!("the lock on blob {digest} of {} stays held; going on without it", self.folder);
                return Lock { _file: None };
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn open_lock(&self, digest: &Digest) -> io::Result<fs::File> {
        fs::create_dir_all(self.locks())?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o664); // a cache may be shared by a group
        }
        options.open(self.locks().join(format!("{digest}.lock")))
    }
}
