//! Sizes of chunks in tokens, for the `text-splitter` crate.

use text_splitter::ChunkSizer;

use crate::encode::Special;
use crate::tokenizer::Tokenizer;

/// Chunks of the `text-splitter` crate are measured in tokens, without those that [`Special::Add`] adds: leave room for them in the
/// capacity.
///
/// ```
/// use anytok::{Resolver, Special};
/// use text_splitter::{ChunkConfig, TextSplitter};
///
/// let tokenizer = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?.into_tokenizer();
/// let splitter = TextSplitter::new(ChunkConfig::new(8).with_sizer(&tokenizer));
/// for chunk in splitter.chunks("A first sentence. A second one.\n\nAnd a paragraph.") {
///     assert!(tokenizer.count(chunk, Special::Ignore)? <= 8);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`Tokenizer::split`] does the same without another crate, and reports what cannot be encoded.
impl ChunkSizer for Tokenizer {
    /// The number of tokens of `chunk`; one that cannot be encoded is too large for every capacity. `O(bytes)`.
    fn size(&self, chunk: &str) -> usize {
        self.count(chunk, Special::Ignore).unwrap_or(isize::MAX as usize)
    }
}
