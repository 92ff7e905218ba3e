//! Answers found once, kept for the next process: a record of what was found and what it rests on, and an image of the
//! tokenizer that is read in one piece and used as it is.
//!
//! ```text
//! <directory>/1/paths/<hash of path, options, version>     record: the answer for a path
//!              /contents/<hash of content, options, version>   record: the answer for a model's content, wherever it lies
//!              /images/<checksum>                           the tokenizer
//! ```
//!
//! Every file is written under a name of its own and renamed, so a reader sees all of it or nothing, and any number of
//! processes may read and write at once. Nothing here is an error to the caller: what cannot be read is a miss, what cannot be
//! written is a line in the log.
//!
//! The directory is not a trusted place. Records and images carry checksums, and an image is verified as any file from
//! outside is, see [`image`]; only one whose file system identity (length, modification and change time, inode, device) is
//! what it was when this crate had just written or verified it is taken at its word. Where the file system has no change
//! time every image is verified at every reading.

mod dependencies;
pub(crate) mod image;
mod memory;
mod pending;
mod record;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::gguf::Gguf;
use crate::mmap::{Bytes, Prefix};
use crate::tokenizer::Tokenizer;
pub(crate) use dependencies::Dependencies;
use dependencies::{DependencyState, Identity};
pub use image::ImageError;
pub(crate) use memory::Memory;
use pending::Pending;
pub use record::Entry;
pub(crate) use record::Provenance;
use record::{Image, Record};

/// A directory of resolutions, shared by all processes that use it.
///
/// Safe to use from many threads and processes at once. Whatever goes wrong in it costs time, never an answer.
#[derive(Clone, Debug)]
pub struct Store {
    root: Option<PathBuf>,
    limit: u64,
}

/// What an answer is looked up by: a path with what is there now, and the options that could change the answer.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    path: PathBuf,
    identity: Identity,
    /// The identity, if it will show any change from now on.
    settled: Option<Identity>,
    options: blake3::Hash,
    name: blake3::Hash,
}

impl Key {
    /// The key for `path`, at the cost of a `stat`. To be made before the model is read.
    ///
    /// `options` is whatever tells apart two ways of asking that could have different answers.
    ///
    /// # Errors
    ///
    /// There is nothing at `path`, or it may not be looked at.
    pub(crate) fn new(path: &Path, options: &[u8]) -> io::Result<Self> {
        let identity = Identity::of(path)?;
        let settled = identity.settled();
        // As it was given: a link's own place says where a model came from.
        let path = std::path::absolute(path)?;
        let mut hasher = hasher(options);
        hasher.update(path.as_os_str().as_encoded_bytes());
        Ok(Self { identity, settled, options: hasher_of_options(options), name: hasher.finalize(), path })
    }
}

/// What an answer depends on inside a model, as a hash: two models of the same content have the same tokenizer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Content(blake3::Hash);

impl Content {
    /// Of a GGUF: the keys `tokenizer.*` and `general.*`, and what says how many rows the vocabulary has.
    ///
    /// `O(bytes of metadata)`: some milliseconds for a large vocabulary.
    pub(crate) fn of_gguf(gguf: &Gguf) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"gguf").update(&[gguf.byte_order() as u8, gguf.version() as u8]);
        for entry in gguf.entries() {
            let key = entry.key();
            if key.starts_with(b"tokenizer.") || key.starts_with(b"general.") || key.ends_with(b".vocab_size")
            {
                hasher.update(&(entry.raw().len() as u64).to_le_bytes()).update(entry.raw());
            }
        }
        if let Ok(Some(tensor)) = gguf.tensor("token_embd.weight") {
            for &dim in tensor.dims() {
                hasher.update(&dim.to_le_bytes());
            }
        }
        Self(hasher.finalize())
    }
}

/// An answer to be kept.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) content: Option<Content>,
    /// The answer depends on `content` and on nothing else: not on the model's place, nor on files beside it.
    pub(crate) portable: bool,
    pub(crate) dependencies: Dependencies,
    pub(crate) provenance: Provenance,
}

/// An answer that was kept.
#[derive(Debug)]
pub(crate) struct Stored {
    /// `None` for a kind of tokenizer that has no image: it is to be read from its sources again.
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) dependencies: Dependencies,
    pub(crate) provenance: Provenance,
}

impl Store {
    /// The store in `directory`, or in the user's cache directory when there is none given; its files take at most `limit`
    /// bytes, the least recently used going first.
    ///
    /// Nothing is created before something is saved.
    pub(crate) fn open(directory: Option<PathBuf>, limit: u64) -> Self {
        let directory = directory.or_else(|| {
            let project = directories::ProjectDirs::from("", "", "anytok");
            if project.is_none() {
                log::debug!("no store: this user has no home directory");
            }
            project.map(|project| project.cache_dir().to_owned())
        });
        Self { root: directory.map(|directory| directory.join(LAYOUT)), limit }
    }

    /// A store that keeps nothing.
    pub(crate) fn none() -> Self {
        Self { root: None, limit: 0 }
    }

    /// Where the store is, if it is anywhere.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.root.as_deref().and_then(Path::parent)
    }

    /// The answer for a path, if the model is what it was. The cost is a `stat` for each file the answer rests on, one small
    /// file, and the reading of the image.
    pub(crate) fn lookup(&self, key: &Key) -> Option<Stored> {
        let place = self.place(PATHS, key.name)?;
        pending::wait(self.root.as_ref()?, Some(key.name));
        let mut record = read_record(&place)?;
        if record.identity != Some(key.identity) {
            log::trace!("store: {} is not what it was", key.path.display());
            return None;
        }
        let stored = self.restore(&place, &mut record)?;
        touch(&place);
        Some(stored)
    }

    /// The answer for a model's content, when [`Store::lookup`] had none: the model was touched, moved or copied.
    pub(crate) fn lookup_content(&self, key: &Key, content: Content) -> Option<Stored> {
        let hex = content.0.to_hex();
        // At the same path the surroundings count as well, and they are noted.
        let place = self.place(PATHS, key.name)?;
        if let Some(mut record) = read_record(&place)
            && record.content.as_deref() == Some(hex.as_str())
            && let Some(stored) = self.restore(&place, &mut record)
        {
            record.identity = key.settled;
            rewrite(&place, &record);
            return Some(stored);
        }
        let kept = self.place(CONTENTS, content_name(key, content))?;
        let mut record = read_record(&kept)?;
        let stored = self.restore(&kept, &mut record)?;
        touch(&kept);
        record.identity = key.settled;
        record.path = canonical(&key.path);
        rewrite(&place, &record);
        Some(stored)
    }

    /// Keeps an answer, beside whatever the caller does meanwhile. A process that ends first leaves the store as it was, but for a
    /// file under a temporary name, which goes in time.
    pub(crate) fn save_later(&self, key: Key, found: Saved) {
        let Some(root) = &self.root else { return };
        let (pending, store) = (Pending::new(root, key.name), self.clone());
        let task = std::sync::Arc::new((key, found));
        let other = std::sync::Arc::clone(&task);
        let write = move || {
            store.save(&other.0, &other.1);
            drop(pending);
        };
        if let Err(error) = std::thread::Builder::new().name("anytok store".into()).spawn(write) {
            log::debug!("store: no thread to write on: {error}");
            self.save(&task.0, &task.1);
        }
    }

    /// Waits until all that this process has found is written. Answers are written after they are given, so a program that ends right
    /// away may end before its answers are kept; the next one then finds them anew.
    ///
    /// ```
    /// use anytok::Resolver;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let resolver = Resolver::builder().store_dir(directory.path()).build();
    /// resolver.resolve("testdata/models/llama-bpe.gguf")?;
    /// resolver.store().flush();
    /// assert!(std::fs::read_dir(directory.path())?.next().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush(&self) {
        if let Some(root) = &self.root {
            pending::wait(root, None);
        }
    }

    /// Keeps an answer.
    pub(crate) fn save(&self, key: &Key, found: &Saved) {
        let Some(root) = &self.root else { return };
        if let Err(error) = self.try_save(key, found) {
            log::debug!(
                "store: {} cannot keep the answer for {}: {error}",
                root.display(),
                key.path.display()
            );
        }
        self.housekeeping();
    }

    /// Every answer that is kept, the most recently used first.
    #[must_use]
    pub fn list(&self) -> Vec<Entry> {
        self.flush();
        let mut entries: Vec<Entry> = self.entries(PATHS).collect();
        entries.sort_by(|a, b| b.last_used.cmp(&a.last_used).then_with(|| a.model.cmp(&b.model)));
        entries
    }

    /// Verifies the image of `entry`: its checksum and each entry of its tables. One that fails is removed.
    ///
    /// # Errors
    ///
    /// The image is damaged, or is not there.
    pub fn verify(&self, entry: &Entry) -> Result<(), ImageError> {
        let (Some(name), Some(root)) = (&entry.image, &self.root) else { return Ok(()) };
        let path = root.join(IMAGES).join(name);
        let bytes =
            Bytes::open(&path).map_err(|error| ImageError::Unreadable { reason: error.to_string() })?;
        let verified = image::read(&bytes, image::Trust::Nothing).map(drop);
        if verified.as_ref().is_err_and(|error| !matches!(error, ImageError::Version { .. })) {
            self.remove(entry);
        }
        verified
    }

    /// Forgets an answer, and the image it shares with models of the same content. Whoever has it in use keeps it.
    pub fn remove(&self, entry: &Entry) {
        let Some(root) = &self.root else { return };
        self.flush();
        remove(&root.join(PATHS).join(&entry.name));
        if let Some(content) = &entry.content {
            remove(&root.join(CONTENTS).join(content));
        }
        if let Some(image) = &entry.image {
            remove(&root.join(IMAGES).join(image));
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let Some(root) = &self.root else { return };
        self.flush();
        for directory in [PATHS, CONTENTS, IMAGES] {
            for (path, _) in files(&root.join(directory)) {
                remove(&path);
            }
        }
    }

    fn place(&self, directory: &str, name: blake3::Hash) -> Option<PathBuf> {
        Some(self.root.as_ref()?.join(directory).join(name.to_hex().as_str()))
    }

    /// The answer in a record that lies at `place`, if what it rests on still stands.
    fn restore(&self, place: &Path, record: &mut Record) -> Option<Stored> {
        let mut renewed = false;
        match record.dependencies.state() {
            DependencyState::Same => {}
            DependencyState::Touched(dependencies) => (record.dependencies, renewed) = (dependencies, true),
            DependencyState::Changed(what) => {
                log::debug!("store: the answer for {} no longer holds: {what}", record.path);
                return None;
            }
        }
        let mut tokenizer = None;
        if let Some(image) = &mut record.image {
            let before = image.identity;
            tokenizer = Some(self.open_image(image)?);
            renewed |= image.identity != before;
        }
        if renewed {
            rewrite(place, record);
        }
        Some(Stored {
            tokenizer,
            dependencies: record.dependencies.clone(),
            provenance: record.provenance.clone(),
        })
    }

    fn open_image(&self, noted: &mut Image) -> Option<Tokenizer> {
        let path = self.root.as_ref()?.join(IMAGES).join(&noted.checksum);
        let read = || {
            // Read and not mapped: whatever becomes of the file, a tokenizer in use stays what it is.
            let file = Prefix::whole(&path)?;
            let identity = Identity::new(file.metadata());
            let proven = identity.proves() && noted.identity == Some(identity) && file.is_unchanged()?;
            let bytes = file.take()?;
            let trust = if proven { image::Trust::Content } else { image::Trust::Nothing };
            let checksum = image::noted_checksum(&bytes).map_err(io::Error::other)?;
            if blake3::Hash::from(checksum).to_hex().as_str() != noted.checksum {
                return Err(io::Error::other(ImageError::Checksum));
            }
            let tokenizer = image::read(&bytes, trust).map_err(io::Error::other)?;
            Ok((tokenizer, identity))
        };
        match read() {
            Ok((tokenizer, identity)) => {
                noted.identity = Some(identity);
                Some(tokenizer)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    log::warn!("store: the image {} cannot be used: {error}", path.display());
                }
                let foreign = error.get_ref().and_then(|error| error.downcast_ref::<ImageError>());
                // Another version's image may be of use to that version.
                if foreign
                    .is_some_and(|error| !matches!(error, ImageError::Version { .. } | ImageError::ByteOrder))
                {
                    remove(&path);
                }
                None
            }
        }
    }

    fn try_save(&self, key: &Key, found: &Saved) -> io::Result<()> {
        let Some(root) = &self.root else { return Ok(()) };
        for directory in [PATHS, CONTENTS, IMAGES] {
            create_directory(&root.join(directory))?;
        }
        let mut image = None;
        if found.tokenizer.has_image() {
            let images = root.join(IMAGES);
            let mut checksum = String::new();
            let path = write_atomically(&images, true, |file| {
                let written = image::write(&found.tokenizer, file)?;
                checksum = blake3::Hash::from(written).to_hex().to_string();
                Ok(images.join(&checksum))
            })?;
            image = Some(Image { checksum, identity: Identity::of(&path).ok() });
        }
        let portable = found.content.filter(|_| found.portable).map(|content| content_name(key, content));
        let portable = portable.map(|name| name.to_hex().to_string());
        let record = Record {
            path: canonical(&key.path),
            identity: key.settled,
            content: found.content.map(|content| content.0.to_hex().to_string()),
            portable: portable.clone(),
            dependencies: found.dependencies.clone(),
            provenance: found.provenance.clone(),
            image,
        };
        let bytes = record.to_bytes()?;
        if let Some(name) = portable {
            write_record(&root.join(CONTENTS).join(name), &bytes)?;
        }
        write_record(&root.join(PATHS).join(key.name.to_hex().as_str()), &bytes)
    }

    /// Removes what killed writers left, images that no record names, and the least recently used answers above the limit.
    fn housekeeping(&self) {
        let Some(root) = &self.root else { return };
        let now = SystemTime::now();
        let is_old = |metadata: &fs::Metadata| {
            let age = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
            age.is_some_and(|age| age > GRACE)
        };
        for directory in [PATHS, CONTENTS, IMAGES] {
            for (path, metadata) in files(&root.join(directory)) {
                if is_temporary(&path) && is_old(&metadata) {
                    log::debug!("store: removing {}, left by a writer that did not finish", path.display());
                    remove(&path);
                }
            }
        }
        // When each image was last used, and the records that name it.
        let mut images = std::collections::HashMap::<String, (SystemTime, Vec<PathBuf>)>::new();
        let mut total = 0;
        let mut answers = Vec::new();
        for directory in [PATHS, CONTENTS] {
            for entry in self.entries(directory) {
                let path = root.join(directory).join(&entry.name);
                total += fs::metadata(&path).map_or(0, |metadata| metadata.len());
                match entry.image {
                    Some(image) => {
                        let (last_used, records) =
                            images.entry(image).or_insert((entry.last_used, Vec::new()));
                        *last_used = entry.last_used.max(*last_used);
                        records.push(path);
                    }
                    None => answers.push((entry.last_used, vec![path])),
                }
            }
        }
        for (path, metadata) in files(&root.join(IMAGES)) {
            if is_temporary(&path) {
                continue;
            }
            total += metadata.len();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            match images.remove(name) {
                // Another process may be about to write the record, so a young image is left alone.
                None if is_old(&metadata) => {
                    total -= metadata.len();
                    remove(&path);
                }
                None => answers.push((metadata.modified().unwrap_or(now), vec![path])),
                Some((last_used, mut records)) => {
                    records.push(path);
                    answers.push((last_used, records));
                }
            }
        }
        answers.sort_by_key(|(last_used, _)| *last_used);
        for (_, paths) in answers {
            if total <= self.limit {
                break;
            }
            for path in paths {
                let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
                log::debug!("store: above {} bytes, removing {}", self.limit, path.display());
                remove(&path);
                total = total.saturating_sub(bytes);
            }
        }
    }

    /// The records in one of the two directories.
    fn entries(&self, directory: &'static str) -> impl Iterator<Item = Entry> + '_ {
        let root = self.root.clone().unwrap_or_default();
        let listed = if self.root.is_some() { files(&root.join(directory)) } else { Vec::new() };
        listed.into_iter().filter(|(path, _)| !is_temporary(path)).filter_map(move |(path, metadata)| {
            let record = read_record(&path)?;
            let image = record.image.map(|image| image.checksum);
            let bytes = image.as_ref().and_then(|name| fs::metadata(root.join(IMAGES).join(name)).ok());
            let Provenance { strategy, source, repository, commit, .. } = record.provenance;
            Some(Entry {
                model: record.path.into(),
                strategy,
                source,
                repository,
                commit,
                bytes: metadata.len() + bytes.map_or(0, |metadata| metadata.len()),
                last_used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                name: path.file_name()?.to_str()?.to_owned(),
                content: record.portable,
                image,
            })
        })
    }
}

/// The start of every name: what tells apart answers that are not interchangeable.
fn hasher(options: &[u8]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    for part in [env!("CARGO_PKG_VERSION").as_bytes(), &image::VERSION.to_le_bytes(), options] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher
}

fn hasher_of_options(options: &[u8]) -> blake3::Hash {
    hasher(options).finalize()
}

fn content_name(key: &Key, content: Content) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.options.as_bytes()).update(content.0.as_bytes());
    hasher.finalize()
}

fn canonical(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn read_record(path: &Path) -> Option<Record> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            log::debug!("store: cannot read {}: {error}", path.display());
            return None;
        }
    };
    let record = Record::from_bytes(&bytes);
    if record.is_none() {
        log::warn!("store: {} is damaged, removing it", path.display());
        remove(path);
    }
    record
}

fn write_record(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new(""));
    write_atomically(directory, false, |file| {
        file.write_all(bytes)?;
        Ok(path.to_owned())
    })
    .map(drop)
}

/// Replaces a record by what is known of it now; the answer stands without it.
fn rewrite(path: &Path, record: &Record) {
    if let Err(error) = record.to_bytes().and_then(|bytes| write_record(path, &bytes)) {
        log::debug!("store: cannot renew {}: {error}", path.display());
    }
}

/// Writes a file under a temporary name and renames it to what `write` returns. With `sync` its content is on the disk before
/// it gets its name: a power cut then cannot leave a file that is whole by name only.
fn write_atomically(
    directory: &Path,
    sync: bool,
    write: impl FnOnce(&mut File) -> io::Result<PathBuf>,
) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // Process ids come round again, and differ in name only between machines that share a directory.
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let temporary = directory.join(format!("{TEMPORARY}{}-{number}-{time:x}", std::process::id()));
    let written = File::options().write(true).create_new(true).open(&temporary).and_then(|mut file| {
        let path = write(&mut file)?;
        if sync {
            file.sync_data()?;
        }
        drop(file);
        fs::rename(&temporary, &path)?;
        Ok(path)
    });
    if written.is_err() {
        remove(&temporary);
    }
    written
}

/// Notes that a record was used, at most once an hour.
fn touch(path: &Path) {
    let now = SystemTime::now();
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = modified.ok().and_then(|modified| now.duration_since(modified).ok());
    if age.is_some_and(|age| age > GRACE)
        && let Err(error) = File::options().write(true).open(path).and_then(|file| file.set_modified(now))
    {
        log::trace!("store: cannot note the use of {}: {error}", path.display());
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        log::debug!("store: cannot remove {}: {error}", path.display());
    }
}

fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()))
}

/// The files of a directory; none if it cannot be read.
fn files(directory: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    // An entry that cannot be read is one that another process has just removed.
    let found = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        Some((entry.path(), entry.metadata().ok()?))
    });
    found.filter(|(_, metadata)| metadata.is_file()).collect()
}

/// Creates a directory that only its user may read: records tell which models there are.
fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The arrangement of the directory; another one gets another name, and leaves this one alone.
const LAYOUT: &str = "1";
const PATHS: &str = "paths";
const CONTENTS: &str = "contents";
const IMAGES: &str = "images";
const TEMPORARY: &str = ".writing-";

/// How long a file of another process is left alone, and how exactly the last use of a record is known.
const GRACE: Duration = Duration::from_secs(3600);
