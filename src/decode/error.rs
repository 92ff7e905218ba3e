//! What can go wrong between ids and text.

/// Why ids have no text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The id names no token.
    #[error("expected a token id below {vocab_size} that is in use, found {id}")]
    UnknownId {
        /// The id.
        id: u32,
        /// One more than the highest id.
        vocab_size: u32,
    },
    /// A pattern from the model's own files gave up on a token's text.
    #[error("a pattern of the decoder could not be run")]
    Split {
        /// What the pattern engine says.
        source: crate::split::SplitError,
    },
    /// The `tokenizers` crate, which runs the pipelines no engine here covers, refused the ids.
    #[error("the tokenizers crate could not decode the ids")]
    Crate {
        /// Its error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
