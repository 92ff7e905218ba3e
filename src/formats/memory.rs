//! Tokenizers from bytes in memory, without a file system.

use super::gguf::{self, OnUnknownPre};
use super::{Content, Files, FormatError, SIDE_FILES, TEMPLATE_DIRECTORY, VOCABULARY_FILES, load_named};
use crate::evidence::{Format, sniff};
use crate::gguf::Gguf;
use crate::mmap::Bytes;
use crate::tokenizer::Tokenizer;

impl Tokenizer {
    /// The tokenizer that the bytes of a GGUF file carry, as llama.cpp reads it; the file's beginning will do, up to the end of its
    /// metadata. Where it does not settle the ids, the `tokenizer.json` counts that it may carry beside.
    ///
    /// No other place is looked at and nothing is stored: that is what a [`Resolver`](crate::Resolver) does for a path.
    ///
    /// ```
    /// use anytok::{Special, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::from_gguf_bytes(std::fs::read("testdata/models/llama-bpe.gguf")?)?;
    /// assert!(tokenizer.count("Hello, world!", Special::Ignore)? > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - the bytes are no GGUF, or are damaged;
    /// - the file has no vocabulary, one of an unknown kind, or does not say how its text is cut.
    pub fn from_gguf_bytes(bytes: impl Into<Bytes>) -> Result<Self, FormatError> {
        let gguf = Gguf::parse(bytes)
            .map_err(|source| FormatError::Malformed { file: "GGUF".to_owned(), source: source.into() })?;
        let error = match gguf::load(&gguf, OnUnknownPre::Refuse) {
            Ok(tokenizer) => return Ok(tokenizer),
            Err(error) => error,
        };
        let Some(json) = gguf.string("tokenizer.huggingface.json") else { return Err(error) };
        // The vocabulary's own error says more.
        Self::from_files([("tokenizer.json", json)]).map_err(|_| error)
    }

    /// The tokenizer that files make, given by their names and bytes: one that holds the vocabulary (`tokenizer.json`,
    /// `tokenizer.model`, `vocab.json` with `merges.txt`, …), and what goes with it (`tokenizer_config.json`, …).
    ///
    /// Of several vocabularies the one that a [`Resolver`](crate::Resolver) would prefer counts. Nothing else is looked at.
    ///
    /// ```
    /// use anytok::{Special, Tokenizer};
    ///
    /// let directory = std::path::Path::new("testdata/models/tokenizer-json");
    /// let names = ["tokenizer.json", "tokenizer_config.json"];
    /// let files = names.map(|name| (name, std::fs::read(directory.join(name)).expect("a file")));
    /// let tokenizer = Tokenizer::from_files(files)?;
    /// assert!(tokenizer.count("Hello, world!", Special::Ignore)? > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - none of the files holds a vocabulary;
    /// - the one that does is damaged, or half of it is missing.
    pub fn from_files<N: Into<String>, B: Into<Bytes>>(
        files: impl IntoIterator<Item = (N, B)>,
    ) -> Result<Self, FormatError> {
        let mut named = Files::default();
        for (name, bytes) in files {
            named.insert(name, Content::Bytes(bytes.into()));
        }
        let known = VOCABULARY_FILES
            .iter()
            .find(|(name, half)| named.contains(name) && half.is_none_or(|half| named.contains(half)));
        let by_content = || {
            let beside = |name: &str| SIDE_FILES.contains(&name) || name.starts_with(TEMPLATE_DIRECTORY);
            named.names().filter(|name| !beside(name)).find(|name| {
                let bytes = named.open(name).ok().flatten();
                bytes.is_some_and(|bytes| matches!(sniff(&bytes, name), Format::Tokenizer(_)))
            })
        };
        match known.map(|(name, _)| *name).or_else(by_content) {
            Some(name) => load_named(&named, name),
            None => Err(FormatError::NoFile { found: named.names().map(str::to_owned).collect() }),
        }
    }
}
