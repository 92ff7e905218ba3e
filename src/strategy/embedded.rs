//! The tokenizer in the GGUF's own metadata.

use super::search::Search;
use crate::failure::{Failure, ModelFailure};
use crate::formats::gguf::{OnUnknownPre, has_vocabulary, load};
use crate::formats::{Content, Files, FormatError, load_named};
use crate::mmap::Bytes;
use crate::outcome::{Found, Outcome};
use crate::source::Source;

/// The vocabulary of `tokenizer.ggml.*` as llama.cpp reads it; where that does not settle the ids, the `tokenizer.json` in
/// `tokenizer.huggingface.json`, if the file carries one.
pub(super) fn attempt(search: &Search<'_>) -> Outcome {
    let evidence = search.evidence;
    if let Some(error) = evidence.model_error() {
        return Failure::from(ModelFailure::new(error)).into();
    }
    let (Some(gguf), Some(path)) = (evidence.gguf(), evidence.model_path()) else {
        return Outcome::NotApplicable("not a GGUF file".into());
    };
    let source = Source::Gguf { path: path.to_owned() };
    let found = |tokenizer| Found {
        tokenizer,
        source: source.clone(),
        degraded: false,
        notes: Vec::new(),
        files: Vec::new(),
    };
    let error = if has_vocabulary(gguf) {
        match load(gguf, OnUnknownPre::Refuse) {
            Ok(tokenizer) => return Outcome::Found(found(tokenizer)),
            Err(error) => Some(error),
        }
    } else {
        None
    };
    if let Some(json) = gguf.string("tokenizer.huggingface.json") {
        let mut files = Files::default();
        files.insert("tokenizer.json", Content::Bytes(Bytes::from(json)));
        match load_named(&files, "tokenizer.json") {
            Ok(tokenizer) => match search.fits(&tokenizer, "tokenizer.huggingface.json") {
                Ok(()) => return Outcome::Found(found(tokenizer)),
                Err(failure) => return failure.into(),
            },
            Err(source) if error.is_none() => {
                return Failure::Format { path: "tokenizer.huggingface.json".into(), source }.into();
            }
            // The vocabulary's own error says more.
            Err(_) => {}
        }
    }
    match error {
        None => Outcome::NotApplicable("the GGUF carries no tokenizer".into()),
        Some(error @ FormatError::NoVocabulary) => Outcome::NotApplicable(error.to_string()),
        Some(source) => Failure::Format { path: path.display().to_string(), source }.into(),
    }
}
