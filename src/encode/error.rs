//! What can go wrong between text and ids.

use crate::split::SplitError;
use crate::vocabulary::CharsmapError;

/// Why a text has no ids.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A special token is to be added, but the model names none. llama.cpp aborts here.
    #[error(
        "expected the model to define its {name} token, which it adds to every text; encode without adding special tokens"
    )]
    NoSpecialToken {
        /// The token's role, such as `bos`.
        name: &'static str,
    },
    /// A vocabulary without a token for this byte met it. llama.cpp throws here.
    #[error(
        "expected a token for byte 0x{byte:02X} at byte {offset} of the text, but the vocabulary has neither `<0x{byte:02X}>` nor the byte itself"
    )]
    NoByteToken {
        /// The byte.
        byte: u8,
        /// Where it stands in the text.
        offset: usize,
    },
    /// The text has a gigabyte or more.
    #[error("expected a text of less than a gigabyte, found {bytes} bytes; encode it in parts")]
    TooLong {
        /// The text's length.
        bytes: usize,
    },
    /// A pattern from the model's own files gave up on this text.
    #[error("the pre-tokenizer could not cut the text")]
    Split {
        /// What the pattern engine says.
        #[from]
        source: SplitError,
    },
    /// The model's own normalization map is damaged, in a place that this text leads to. llama.cpp throws here.
    #[error("the model's normalization map is damaged where this text needs it; its file may be incomplete")]
    Charsmap {
        /// Where, and what was expected there.
        #[from]
        source: CharsmapError,
    },
    /// The `tokenizers` crate, which runs the pipelines no engine here covers, refused the text.
    #[error("the tokenizers crate could not encode the text")]
    Crate {
        /// Its error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Rewriting a text may triple it (`▁` for a space), and places in it are kept in 32 bits.
pub(crate) const MOST_BYTES: usize = u32::MAX as usize / 4;
