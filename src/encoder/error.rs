//! What can go wrong between texts and the input of a model.

use crate::encode::EncodeError;

/// Why there is no input for a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// The special tokens leave no room.
    #[error("expected a limit of at least the {added} special tokens that are added, found {limit}")]
    Frame {
        /// The tokens that an input may have.
        limit: usize,
        /// The tokens that are added.
        added: usize,
    },
    /// Parts share as much as they hold.
    #[error("expected a stride of fewer tokens than a part of a text holds ({room}), found {stride}")]
    Stride {
        /// The tokens that parts share.
        stride: usize,
        /// The tokens of a part.
        room: usize,
    },
    /// Two texts for a model whose source does not say how they go together.
    #[error("expected one text: the tokenizer's source does not say how two texts make an input")]
    NoPair,
    /// The source has a post-processor that is not covered here.
    #[error("the post-processor of the tokenizer's source is not covered: {reason}")]
    Foreign {
        /// What is not covered.
        reason: String,
    },
    /// The second text is to be truncated, and there is none.
    #[error("expected two texts, since the second one is to be truncated; found one")]
    NoSecond,
    /// The text that may be truncated would be empty.
    #[error(
        "expected the text that may be truncated to have more than the {over} tokens that are too many, found {len}; truncate \
         the longest first"
    )]
    TooShort {
        /// The tokens of that text.
        len: usize,
        /// The tokens that are too many.
        over: usize,
    },
    /// The source names no token to pad with.
    #[error("expected an id to pad with: the tokenizer's source names no padding token")]
    NoPadToken,
    /// The token to pad with is none.
    #[error("expected a padding id below {size}, found {id}")]
    PadId {
        /// The id.
        id: u32,
        /// How many ids there are.
        size: u32,
    },
    /// Inputs would be padded to a length that is beyond all measure.
    #[error("expected to pad to at most {most} tokens, found {len}")]
    PadLength {
        /// The length.
        len: usize,
        /// The longest that is allowed.
        most: usize,
    },
    /// The inputs of a batch differ in length.
    #[error(
        "expected inputs of one length, found {found} tokens in row {row} and {first} in the first; ask for padding"
    )]
    Ragged {
        /// The first row that differs.
        row: usize,
        /// Its tokens.
        found: usize,
        /// Those of the first one.
        first: usize,
    },
    /// A text cannot be encoded.
    #[error("a text of the input cannot be encoded")]
    Encode {
        /// Why.
        #[from]
        source: EncodeError,
    },
}
