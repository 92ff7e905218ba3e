//! What is at a path, and what it says of itself: the ground on which every strategy decides.
//!
//! Files are known by their content; names decide only where the content cannot tell. Gathering looks at the path alone (a
//! GGUF costs one map and one pass over its metadata); neighbours, `config.json`, headers and stores of other tools are
//! read when a method first asks for them, each with a limit on its size.

mod config;
mod directory;
mod error;
mod place;
mod repository;
mod safetensors;
mod shard;
mod sniff;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::gguf::Gguf;
use crate::hub::RepoId;
use crate::mmap::Prefix;

pub(crate) use directory::{Listing, TokenizerFile};
pub use error::{Error, ModelError};
pub use repository::{NameSource, Repository, RepositoryKind};
use sniff::sniff_file;
pub use sniff::{Format, TokenizerKind};
pub(crate) use sniff::{not_downloaded, sniff};

/// What is at a path.
///
/// ```
/// use anytok::evidence::{Evidence, Format};
/// use anytok::gguf::GgufBuilder;
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("blob-without-an-extension");
/// let model = GgufBuilder::new().string("general.architecture", "llama").u32("llama.vocab_size", 32_000);
/// std::fs::write(&path, model.finish())?;
///
/// let evidence = Evidence::gather(&path)?;
/// assert_eq!(evidence.format(), Format::Gguf);
/// assert_eq!(evidence.architecture(), Some("llama"));
/// assert_eq!(evidence.rows().map(|rows| rows.count), Some(32_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Evidence {
    path: PathBuf,
    format: Format,
    /// The file that stands for the model: the path itself, the first shard, a file in the directory, a blob.
    model: Option<(PathBuf, Format)>,
    gguf: Option<Gguf>,
    model_error: Option<ModelError>,
    notes: Vec<String>,
    surroundings: OnceLock<Surroundings>,
    config: OnceLock<config::Config>,
    tensor_rows: OnceLock<Result<Option<u64>, String>>,
    from_path: OnceLock<Vec<Repository>>,
}

/// How many rows the model's vocabulary has: ids are smaller. Often more than the tokenizer has tokens, since models pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rows {
    /// The number of rows.
    pub count: u64,
    /// What says so.
    pub source: RowsSource,
}

/// What says how many rows the vocabulary has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowsSource {
    /// The GGUF key `{architecture}.vocab_size`.
    GgufKey,
    /// The shape of `token_embd.weight` in the GGUF.
    GgufTensor,
    /// The length of `tokenizer.ggml.tokens`, which converters pad to the rows of the embedding.
    GgufTokens,
    /// The shape of the token embedding in a safetensors header.
    SafetensorsHeader,
    /// `vocab_size` in `config.json`.
    ConfigJson,
}

impl std::fmt::Display for RowsSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::GgufKey => "GGUF key {architecture}.vocab_size",
            Self::GgufTensor => "shape of token_embd.weight",
            Self::GgufTokens => "length of tokenizer.ggml.tokens",
            Self::SafetensorsHeader => "shape of the embedding in the safetensors header",
            Self::ConfigJson => "vocab_size in config.json",
        })
    }
}

/// Directories that say something of the model.
#[derive(Debug)]
struct Surroundings {
    /// The path, absolute; links in it not followed, since their names say where the model came from.
    absolute: PathBuf,
    /// The path with all links followed, if it is another.
    canonical: Option<PathBuf>,
    /// Where the model lies: as given, with links followed, and in a snapshot of a Hub cache.
    own: Vec<PathBuf>,
    /// `own`, then their parents.
    all: Vec<PathBuf>,
}

impl Evidence {
    /// Looks at what is at `path`.
    ///
    /// A later shard of a split GGUF leads to the first, a directory to the model in it, an ollama manifest to its blob. A
    /// model that is there but damaged is evidence, too: see [`Evidence::model_error`].
    ///
    /// # Errors
    /// Nothing is at `path`, it may not be read, or it is neither a file nor a directory.
    pub fn gather(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let metadata = std::fs::metadata(path).map_err(|error| Error::new(path, error))?;
        if metadata.is_dir() {
            return Self::of_directory(path);
        }
        if !metadata.is_file() {
            return Err(Error::NotAFile { path: path.to_owned() });
        }
        Self::of_file(path)
    }

    /// The evidence of no model: a repository is all that is known.
    pub(crate) fn of_repository(id: &RepoId) -> Self {
        let evidence = Self::new(Path::new(id.as_str()), Format::Unknown);
        // What lies where a path of that name would be has nothing to do with it.
        let nowhere = Surroundings {
            absolute: PathBuf::from(id.as_str()),
            canonical: None,
            own: Vec::new(),
            all: Vec::new(),
        };
        let _ = evidence.surroundings.set(nowhere);
        let _ = evidence.from_path.set(Vec::new());
        evidence
    }

    fn new(path: &Path, format: Format) -> Self {
        Self {
            path: path.to_owned(),
            format,
            model: None,
            gguf: None,
            model_error: None,
            notes: Vec::new(),
            surroundings: OnceLock::new(),
            config: OnceLock::new(),
            tensor_rows: OnceLock::new(),
            from_path: OnceLock::new(),
        }
    }

    fn of_file(path: &Path) -> Result<Self, Error> {
        let unreadable = |error| Error::new(path, error);
        let mut file = Prefix::open(path).map_err(unreadable)?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let format = sniff_file(&mut file, name).map_err(unreadable)?;
        let mut evidence = Self::new(path, format);
        match format {
            Format::Gguf => {
                if let Some(first) = shard::first(path).filter(|first| first.is_file()) {
                    evidence
                        .notes
                        .push(format!("the first shard, {}, stands for the model", first.display()));
                    evidence.open_model(&first);
                } else {
                    evidence.set_model(path, file);
                }
            }
            Format::OllamaManifest => {
                let manifest = file.read(MAX_MANIFEST).map_err(unreadable)?;
                match place::ollama_model(&absolute(path), manifest) {
                    Some(blob) => evidence.open_model(&blob),
                    None => evidence.notes.push("the manifest names no model in its store".to_owned()),
                }
            }
            Format::Tokenizer(_) | Format::Directory => {}
            Format::GitLfsPointer => {
                evidence.notes.push(
                    "a Git LFS pointer instead of the file: `git lfs pull` in its repository fetches the content"
                        .to_owned(),
                );
                evidence.expect_gguf(path, file);
            }
            Format::Unknown => evidence.expect_gguf(path, file),
            Format::Safetensors | Format::SafetensorsIndex | Format::Onnx | Format::PyTorch => {
                evidence.model = Some((path.to_owned(), format));
            }
        }
        Ok(evidence)
    }

    fn of_directory(path: &Path) -> Result<Self, Error> {
        let listing = Listing::read(path).map_err(|error| Error::new(path, error))?;
        let mut evidence = Self::new(path, Format::Directory);
        let candidates = listing.ggufs();
        if !candidates.is_empty() {
            evidence.choose_gguf(&candidates);
        }
        if evidence.model.is_none()
            && let Some(model) = listing.other_model()
        {
            let name = model.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let format = Prefix::open(&model).and_then(|mut file| sniff_file(&mut file, name));
            let format = format.unwrap_or(Format::Unknown);
            evidence.model = Some((model, format));
        }
        Ok(evidence)
    }

    /// Takes the first GGUF with a tokenizer, else the first that can be read, else the first.
    fn choose_gguf(&mut self, candidates: &[PathBuf]) {
        let mut fallback: Option<Self> = None;
        for path in candidates.iter().take(MAX_CANDIDATES) {
            let mut attempt = Self::new(&self.path, self.format);
            attempt.open_model(path);
            let has_tokenizer = attempt.gguf.as_ref().is_some_and(|gguf| gguf.entry(TOKENS).is_some());
            let better = fallback.as_ref().is_none_or(|known| known.gguf.is_none() && attempt.gguf.is_some());
            if has_tokenizer || better {
                fallback = Some(attempt);
            }
            if has_tokenizer {
                break;
            }
        }
        if let Some(mut chosen) = fallback {
            if let (true, Some((path, _))) = (candidates.len() > 1, &chosen.model) {
                let note =
                    format!("{} GGUF models in the directory: {} is taken", candidates.len(), path.display());
                chosen.notes.push(note);
            }
            *self = chosen;
        }
    }

    fn open_model(&mut self, path: &Path) {
        match Prefix::open(path) {
            Ok(file) => self.set_model(path, file),
            Err(source) => {
                self.model = Some((path.to_owned(), Format::Unknown));
                self.model_error = Some(ModelError::Io { path: path.to_owned(), source });
            }
        }
    }

    /// Reads a file as the model, whatever it is.
    fn set_model(&mut self, path: &Path, mut file: Prefix) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let format = match sniff_file(&mut file, name) {
            Ok(format) => format,
            Err(source) => {
                self.model = Some((path.to_owned(), Format::Unknown));
                self.model_error = Some(ModelError::Io { path: path.to_owned(), source });
                return;
            }
        };
        self.model = Some((path.to_owned(), format));
        if format != Format::Gguf {
            self.expect_gguf(path, file);
            return;
        }
        match Gguf::read(path, file) {
            Ok(gguf) => {
                let number = gguf.u64("split.no").unwrap_or(0);
                if number > 0 && gguf.entry(TOKENS).is_none() {
                    self.model_error = Some(ModelError::FirstShardMissing {
                        path: path.to_owned(),
                        number: number.saturating_add(1),
                        count: gguf.u64("split.count").unwrap_or(0),
                    });
                }
                self.gguf = Some(gguf);
            }
            Err(error) => self.model_error = Some(error.into()),
        }
    }

    /// Records that a file which is named as a GGUF is none, unless its name promises nothing.
    fn expect_gguf(&mut self, path: &Path, mut file: Prefix) {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")) {
            self.model.get_or_insert_with(|| (path.to_owned(), self.format));
            if let Some(found) = file.read(4096).ok().and_then(not_downloaded) {
                self.model_error = Some(ModelError::NotDownloaded { path: path.to_owned(), found });
            } else if let Err(error) = Gguf::read(path, file) {
                self.model_error = Some(error.into());
            }
        }
    }

    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What lies at the path.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The file that stands for the model, if there is one: the path itself, the first shard, a file in the directory, the
    /// blob of a manifest.
    #[must_use]
    pub fn model_path(&self) -> Option<&Path> {
        self.model.as_ref().map(|(path, _)| path.as_path())
    }

    /// The format of [`Evidence::model_path`].
    #[must_use]
    pub fn model_format(&self) -> Option<Format> {
        self.model.as_ref().map(|(_, format)| *format)
    }

    /// The metadata of the model, if it is a GGUF that can be read.
    #[must_use]
    pub fn gguf(&self) -> Option<&Gguf> {
        self.gguf.as_ref()
    }

    /// Why the model cannot be read although it is there.
    #[must_use]
    pub fn model_error(&self) -> Option<&ModelError> {
        self.model_error.as_ref()
    }

    /// The kind of tokenizer file that the path itself is.
    #[must_use]
    pub fn tokenizer_kind(&self) -> Option<TokenizerKind> {
        match self.format {
            Format::Tokenizer(kind) => Some(kind),
            _ => None,
        }
    }

    /// Directories in which a tokenizer may lie beside the model, the nearest first: the model's own (as given; with links
    /// followed; a snapshot that links to it), then one level up from each. Looks at the file system once.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.surroundings().all
    }

    /// The model's own directories alone.
    pub(crate) fn own_directories(&self) -> &[PathBuf] {
        &self.surroundings().own
    }

    /// The model's architecture: `general.architecture` of a GGUF, else of `config.json` the first of `architectures`, or
    /// `model_type`.
    #[must_use]
    pub fn architecture(&self) -> Option<&str> {
        let gguf = self.gguf.as_ref().and_then(|gguf| gguf.str("general.architecture"));
        gguf.or_else(|| self.config().architecture.as_deref().or(self.config().model_type.as_deref()))
    }

    /// How many rows the model's vocabulary has, from the first place that says: the GGUF's key, the shape of its embedding,
    /// its list of tokens, the safetensors header, `config.json`.
    #[must_use]
    pub fn rows(&self) -> Option<Rows> {
        let row = |source| move |count| Rows { count, source };
        if let Some(gguf) = &self.gguf {
            let key = gguf.str("general.architecture").map(|name| format!("{name}.vocab_size"));
            let by_key = key.and_then(|key| gguf.u64(&key)).map(row(RowsSource::GgufKey));
            let by_shape = || match gguf.tensor("token_embd.weight") {
                // A damaged list of tensors only means that it does not say.
                Ok(Some(tensor)) => tensor.dims().get(1).copied().map(row(RowsSource::GgufTensor)),
                _ => None,
            };
            let by_tokens =
                || gguf.array(TOKENS).map(|tokens| tokens.len() as u64).map(row(RowsSource::GgufTokens));
            if let Some(rows) = by_key.or_else(by_shape).or_else(by_tokens) {
                return Some(rows);
            }
        }
        let header = self.tensor_rows().as_ref().ok().copied().flatten();
        header
            .map(row(RowsSource::SafetensorsHeader))
            .or_else(|| self.config().vocab_size.map(row(RowsSource::ConfigJson)))
    }

    /// Special tokens by role and id, as the model has them: `("bos", 1)`, `("eos", 2)`, and so on; a role occurs once for
    /// each of its ids. From the GGUF's keys, else from `config.json` and `generation_config.json`.
    #[must_use]
    pub fn special_ids(&self) -> Vec<(&'static str, u32)> {
        if let Some(gguf) = &self.gguf {
            let id = |(key, role): &(&str, &'static str)| {
                Some((*role, gguf.u32(&format!("tokenizer.ggml.{key}_token_id"))?))
            };
            let ids: Vec<_> = GGUF_SPECIAL_IDS.iter().filter_map(id).collect();
            if !ids.is_empty() {
                return ids;
            }
        }
        self.config().special_ids.clone()
    }

    /// Repositories that the path, the metadata and the files beside the model name, in the order in which to try them:
    /// at most four, each once. Reads small files beside the model, and for an ollama blob the manifests of its store.
    #[must_use]
    pub fn repositories(&self) -> Vec<Repository> {
        self.repositories_at(None)
    }

    /// As [`Evidence::repositories`]; URLs at the host of `endpoint` count as the Hub's.
    pub(crate) fn repositories_at(&self, endpoint: Option<&str>) -> Vec<Repository> {
        let from_path = self.from_path.get_or_init(|| {
            let Surroundings { absolute, canonical, .. } = self.surroundings();
            place::repositories(absolute, canonical.as_deref(), self.format == Format::Directory)
        });
        repository::collect(from_path, self.gguf.as_ref(), self.config(), endpoint)
    }

    /// What a person should know besides: which of several models was taken, which file beside the model is damaged. Reads
    /// what has not been read yet.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        notes.extend_from_slice(&self.config().notes);
        notes.extend(self.tensor_rows().as_ref().err().cloned());
        notes
    }

    fn config(&self) -> &config::Config {
        self.config.get_or_init(|| config::Config::read(self.own_directories()))
    }

    fn tensor_rows(&self) -> &Result<Option<u64>, String> {
        self.tensor_rows.get_or_init(|| match &self.model {
            Some((path, Format::Safetensors | Format::SafetensorsIndex)) => safetensors::rows(path),
            _ => Ok(None),
        })
    }

    fn surroundings(&self) -> &Surroundings {
        self.surroundings.get_or_init(|| {
            let absolute = absolute(&self.path);
            let canonical = absolute.canonicalize().ok().filter(|canonical| *canonical != absolute);
            let paths = [Some(&absolute), canonical.as_ref()].into_iter().flatten();
            let mut own = Vec::new();
            for path in paths.clone() {
                let directory =
                    if self.format == Format::Directory { Some(path.as_path()) } else { path.parent() };
                own.extend(directory.map(Path::to_owned));
            }
            own.extend(paths.flat_map(|path| place::snapshots(path)));
            let mut all = own.clone();
            all.extend(own.iter().filter_map(|directory| directory.parent()).map(Path::to_owned));
            deduplicate(&mut own);
            deduplicate(&mut all);
            Surroundings { absolute, canonical, own, all }
        })
    }
}

/// The path from the root, links not followed.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn deduplicate(paths: &mut Vec<PathBuf>) {
    let mut seen = std::collections::HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
}

const TOKENS: &str = "tokenizer.ggml.tokens";
/// How many GGUFs of one directory are opened in search of one with a tokenizer.
const MAX_CANDIDATES: usize = 8;
/// Bytes of a manifest that are read; they take a few hundred.
const MAX_MANIFEST: usize = 16 << 20;
/// Names in keys (`tokenizer.ggml.{}_token_id`, spelt as files have them), and roles.
const GGUF_SPECIAL_IDS: [(&str, &str); 15] = [
    ("bos", "bos"),
    ("eos", "eos"),
    ("eot", "eot"),
    ("eom", "eom"),
    ("unknown", "unk"),
    ("seperator", "sep"),
    ("padding", "pad"),
    ("mask", "mask"),
    ("cls", "cls"),
    ("fim_pre", "fim_pre"),
    ("fim_suf", "fim_suf"),
    ("fim_mid", "fim_mid"),
    ("fim_pad", "fim_pad"),
    ("fim_rep", "fim_rep"),
    ("fim_sep", "fim_sep"),
];
