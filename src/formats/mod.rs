//! Bytes → vocabulary and recipe, one module a format. Nothing here knows where the bytes came from.

pub(crate) mod gguf;
mod gguf_error;
mod gguf_models;
mod memory;
pub(crate) mod rwkv;
pub(crate) mod sentencepiece;
pub(crate) mod side_files;
pub(crate) mod tekken;
pub(crate) mod tiktoken;
pub(crate) mod tokenizer_json;
pub(crate) mod vocab_merges;
pub(crate) mod vocab_txt;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crate::evidence::{Format, TokenizerKind, not_downloaded, sniff};
use crate::mmap::Bytes;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::VocabularyError;
use side_files::SideFiles;
pub use tokenizer_json::TokenizerJsonError;

/// Files of a repository that hold a vocabulary, in the order of preference, with the other half of the one that has two.
pub(crate) const VOCABULARY_FILES: &[(&str, Option<&str>)] = &[
    ("tokenizer.json", None),
    ("tekken.json", None),
    ("tokenizer.model", None),
    ("spiece.model", None),
    ("sentencepiece.bpe.model", None),
    ("tiktoken.model", None),
    ("vocab.json", Some("merges.txt")),
    ("vocab.txt", None),
];

/// Files that add roles, templates and flags to a vocabulary, the most useful first.
pub(crate) const SIDE_FILES: &[&str] = &[
    "tokenizer_config.json",
    "generation_config.json",
    "config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// Where a repository keeps chat templates beside the default one, each in a file of its name.
pub(crate) const TEMPLATE_DIRECTORY: &str = "additional_chat_templates";

/// Whether the vocabulary file `name` alone decides all ids; side files then add roles and templates only.
pub(crate) fn is_complete(name: &str) -> bool {
    name == "tokenizer.json"
}

/// Loads the vocabulary file `name` of `files`, with what lies beside it. Its kind is decided by content first.
pub(crate) fn load_named(files: &Files, name: &str) -> Result<Tokenizer, FormatError> {
    let bytes = files
        .open(name)?
        .ok_or_else(|| FormatError::Io { file: name.into(), source: io::ErrorKind::NotFound.into() })?;
    if let Some(found) = not_downloaded(&bytes) {
        return Err(FormatError::NotDownloaded { file: name.into(), found });
    }
    let side = SideFiles::read(files);
    let Format::Tokenizer(kind) = sniff(&bytes, name) else {
        return Err(FormatError::UnsupportedModel {
            file: name.into(),
            kind: "unknown content".into(),
            hint: "; expected a tokenizer.json, a SentencePiece model, tiktoken ranks, a tekken.json or a vocabulary list".into(),
        });
    };
    let loaded = match kind {
        TokenizerKind::Tiktoken => tiktoken::load(name, &bytes, &side),
        TokenizerKind::Tekken => tekken::load(name, &bytes, &side),
        TokenizerKind::SentencePiece => sentencepiece::load(name, &bytes, &side),
        TokenizerKind::RwkvVocab => rwkv::load(name, &bytes, &side),
        TokenizerKind::TokenizerJson => tokenizer_json::load_json(&bytes, &side),
        TokenizerKind::VocabTxt => vocab_txt::load_vocab_txt(&bytes, &side),
        TokenizerKind::VocabJson | TokenizerKind::MergesTxt => {
            let is_vocab = kind == TokenizerKind::VocabJson;
            let other = if is_vocab { "merges.txt" } else { "vocab.json" };
            let other = files.open(other)?.ok_or_else(|| FormatError::UnsupportedModel {
                file: name.into(),
                kind: kind.to_string(),
                hint: format!("; it is half a tokenizer, {other} beside it is the other half"),
            })?;
            let (vocab, merges) = if is_vocab { (&bytes, &other) } else { (&other, &bytes) };
            vocab_merges::load_vocab_merges(vocab, merges, &side)
        }
    };
    loaded.map_err(|error| match error {
        FormatError::Malformed { file, source }
            if source.downcast_ref::<serde_json::Error>().is_some_and(serde_json::Error::is_eof) =>
        {
            FormatError::Incomplete { file, bytes: bytes.len(), source }
        }
        other => other,
    })
}

/// Tokenizer files by the name they go under, wherever they lie: beside a model, in a snapshot, in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    entries: BTreeMap<String, Content>,
}

/// Where a file's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// On disk; opened when it is asked for.
    Path(PathBuf),
    /// In memory, such as a download that no cache directory would take.
    Bytes(Bytes),
    /// On disk, read and verified already: these bytes count, whatever the file holds by now.
    Verified {
        /// Where the bytes lie.
        path: PathBuf,
        /// The bytes that were verified.
        bytes: Bytes,
    },
}

impl Files {
    /// Adds a file under `name` (`tokenizer.json`); a later one of the same name replaces it.
    pub(crate) fn insert(&mut self, name: impl Into<String>, content: Content) {
        self.entries.insert(name.into(), content);
    }

    /// The paths of what a loader of `name` may have read, as far as they lie on disk: the file first, then those that go with
    /// it.
    pub(crate) fn used_by(&self, name: &str) -> Vec<PathBuf> {
        let half =
            VOCABULARY_FILES.iter().find(|(vocabulary, _)| *vocabulary == name).and_then(|(_, half)| *half);
        let templates = self.names().filter(|name| name.starts_with(TEMPLATE_DIRECTORY));
        let names = std::iter::once(name).chain(half).chain(SIDE_FILES.iter().copied()).chain(templates);
        names.filter_map(|name| self.path(name)).map(std::path::Path::to_owned).collect()
    }

    /// Whether there is a file of that name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Every name, in alphabetic order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The path of a file, if it lies on disk.
    pub(crate) fn path(&self, name: &str) -> Option<&std::path::Path> {
        match self.entries.get(name)? {
            Content::Path(path) | Content::Verified { path, .. } => Some(path),
            Content::Bytes(_) => None,
        }
    }

    /// The bytes of a file, `None` when there is no such file.
    pub(crate) fn open(&self, name: &str) -> Result<Option<Bytes>, FormatError> {
        match self.entries.get(name) {
            None => Ok(None),
            Some(Content::Bytes(bytes) | Content::Verified { bytes, .. }) => Ok(Some(bytes.clone())),
            Some(Content::Path(path)) => Bytes::open(path)
                .map(Some)
                .map_err(|source| FormatError::Io { file: path.display().to_string(), source }),
        }
    }
}

/// Why a file does not make a tokenizer.
///
/// Each says which file, what was expected in it and, where there is something to do, what.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file could not be read.
    #[error("cannot read {file}")]
    Io {
        /// The file.
        file: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A key that the format requires is not there.
    #[error("expected the key `{key}` in {file}, found none")]
    MissingKey {
        /// The file, or the kind of file where the caller knows which.
        file: String,
        /// The key.
        key: String,
    },
    /// A value is not what the format allows.
    #[error("expected {expected} in {file} ({place}), found {found}")]
    Value {
        /// The file, or the kind of file where the caller knows which.
        file: String,
        /// The key, line or byte.
        place: String,
        /// What the format asks for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The file says that its model has no vocabulary.
    #[error("the model has no vocabulary (`tokenizer.ggml.model` is `none`)")]
    NoVocabulary,
    /// The GGUF names no pre-tokenizer: the ids would be a guess.
    #[error(
        "the GGUF does not say how its text is cut (`tokenizer.ggml.pre` is missing), so its ids would be a guess; the \
         `tokenizer.json` of the original model settles it, as does converting the model again"
    )]
    MissingPreTokenizer,
    /// The GGUF names a pre-tokenizer that is not known.
    #[error(
        "the GGUF cuts its text by a pre-tokenizer that is not known here (`tokenizer.ggml.pre` = {name:?}), so its ids would \
         be a guess; the `tokenizer.json` of the original model settles it"
    )]
    UnsupportedPreTokenizer {
        /// The value of `tokenizer.ggml.pre`.
        name: String,
    },
    /// The model's kind of vocabulary is not one that can be used.
    #[error("expected a kind of vocabulary that can be loaded, found {kind:?} in {file}{hint}")]
    UnsupportedModel {
        /// The file, or the kind of file where the caller knows which.
        file: String,
        /// The kind as the file spells it.
        kind: String,
        /// What to do, beginning with a semicolon; may be empty.
        hint: String,
    },
    /// A `tokenizer.json` names a component of a type that is not known, neither here nor to the `tokenizers` crate.
    #[error(
        "expected a type that tokenizers 0.23 knows at `{place}` in {file}, found {kind:?}; if a newer tokenizers wrote the file, a \
         newer version of this library may read it"
    )]
    UnknownComponent {
        /// The file.
        file: String,
        /// Where in it, such as `pre_tokenizer.pretokenizers[1]`.
        place: String,
        /// The type.
        kind: String,
    },
    /// None of the files given holds a vocabulary.
    #[error(
        "expected a file that holds a vocabulary, such as tokenizer.json or tokenizer.model, found {found:?}"
    )]
    NoFile {
        /// The names of the files.
        found: Vec<String>,
    },
    /// Only the `tokenizers` crate can run what the file describes, and this build is without it.
    #[error(
        "{file} has what only the `tokenizers` crate runs ({reason}), and this build is without it; build with the cargo feature \
         `tokenizers`"
    )]
    NeedsTokenizers {
        /// The file.
        file: String,
        /// What it is.
        reason: String,
    },
    /// The tokens do not make a vocabulary.
    #[error("the tokens of {file} do not make a vocabulary")]
    Vocabulary {
        /// The file, or the kind of file where the caller knows which.
        file: String,
        /// Why.
        source: VocabularyError,
    },
    /// The file was not downloaded: it is empty, a Git LFS pointer or an HTML page.
    #[error("expected a tokenizer in {file}, found {found}")]
    NotDownloaded {
        /// The file.
        file: String,
        /// What is there, and what to do.
        found: String,
    },
    /// The file ends in the middle of its JSON, as a download does that was cut short.
    #[error("{file} ends too early, after {bytes} bytes; download it again")]
    Incomplete {
        /// The file.
        file: String,
        /// Its size.
        bytes: usize,
        /// Where it ends.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file is not well-formed.
    #[error("malformed {file}")]
    Malformed {
        /// The file.
        file: String,
        /// Where and why, by whoever read it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The beginning of what a file has, for an error that a person reads.
fn excerpt(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(40)];
    format!("{:?}{}", String::from_utf8_lossy(head), if head.len() < bytes.len() { "…" } else { "" })
}
