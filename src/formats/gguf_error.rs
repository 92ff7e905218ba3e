//! What the loaders of a GGUF's vocabulary say of it when it is not sound.

use super::FormatError;
use crate::vocabulary::VocabularyError;

pub(super) fn vocabulary_error(source: VocabularyError) -> FormatError {
    FormatError::Vocabulary { file: FILE.into(), source }
}

pub(super) fn value(key: &str, expected: &str, found: &str) -> FormatError {
    FormatError::Value {
        file: FILE.into(),
        place: key.into(),
        expected: expected.into(),
        found: found.into(),
    }
}

pub(super) const FILE: &str = "the GGUF metadata";
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
