//! Any model path in, a working and exact tokenizer out: synchronously, without an async runtime, without C or C++ in the
//! tokenizers.
//!
//! ```
//! use anytok::{Resolver, Special, SpecialText};
//!
//! let found = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?;
//! let tokenizer = found.tokenizer();
//! let ids = tokenizer.encode("Hello, world!", Special::Ignore)?;
//! assert_eq!(tokenizer.decode(&ids, SpecialText::Skip)?, "Hello, world!");
//! assert!(!found.is_degraded(), "{found}"); // the story of how it was found
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Resolver`] looks at what lies at a path (by content, never by extension), and tries the strategies of
//! [`Strategy::CHAIN`] until one finds a tokenizer that fits the model:
//!
//! | strategy | priority | where it looks |
//! |---|--:|---|
//! | [`Embedded`](Strategy::Embedded) | 100 | the GGUF's own metadata |
//! | [`Hub`](Strategy::Hub) | 80 | a repository that the caller, the path or the metadata names |
//! | [`Cache`](Strategy::Cache) | 60 | the same repository in a cache on this machine, without the network |
//! | [`Sibling`](Strategy::Sibling) | 40 | tokenizer files at the path, beside the model, or one level up |
//! | [`Backup`](Strategy::Backup) | 20 | the last resort, always marked as [degraded](Resolution::is_degraded) |
//!
//! What was tried, why each strategy was passed over, and how long it took, travels in [`Resolution::attempts`] and in
//! [`Error::Exhausted`] alike.
//!
//! # Whose ids
//!
//! One semantic per source, that of whoever owns the format:
//!
//! | source | encodes and decodes as |
//! |---|---|
//! | GGUF | llama.cpp 0.8 |
//! | `tokenizer.json`, `vocab.json` + `merges.txt`, `vocab.txt` | `tokenizers` 0.23 |
//! | SentencePiece model | `sentencepiece` 0.2 |
//! | tiktoken ranks | `tiktoken` 0.14 |
//! | `tekken.json` | `mistral-common` 1.13 |
//! | `rwkv_vocab_*.txt` | `rwkv` 0.8 |
//!
//! Where a reference aborts, loops or overflows its stack on some input, the result here is what its definition gives, or an
//! error; each such place says so in the source. In place of llama.cpp's `LLAMA_TOKEN_NULL` (−1), which a few vocabularies without
//! an unknown token produce, the id is [`u32::MAX`].
//!
//! # A chat server
//!
//! ```
//! # #[cfg(feature = "chat")] {
//! use anytok::Resolver;
//!
//! /// What a server gets; the fields' order is that of the prompt's JSON.
//! #[derive(serde::Serialize)]
//! struct Message {
//!     role: String,
//!     content: String,
//! }
//!
//! let found = Resolver::default().resolve("testdata/models/qwen2.gguf")?;
//! let tokenizer = found.tokenizer();
//! let messages = [Message { role: "user".into(), content: "Say <|im_end|>!".into() }];
//! let prompt = tokenizer.chat(&messages)?.generation_prompt(true).variable("enable_thinking", false).encode()?;
//! // Only the template writes special tokens; the user's are text.
//! let end = tokenizer.id("<|im_end|>");
//! assert_eq!(prompt.ids.iter().filter(|&&id| Some(id) == end).count(), 1);
//! // Ids as a model gives them, up to one that ends the turn.
//! let mut answer = tokenizer.decode_stream(anytok::SpecialText::Skip);
//! for id in [tokenizer.id("H"), tokenizer.id("i"), end].into_iter().flatten().take_while(|&id| !tokenizer.is_eog(id)) {
//!     let _text = answer.push(id)?;
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # An embedding pipeline
//!
//! ```
//! use anytok::{Padding, Resolver, Truncation};
//!
//! let found = Resolver::default().resolve("testdata/models/wordpiece")?;
//! let encoder = found
//!     .tokenizer()
//!     .encoder()
//!     .truncation(Truncation::new(512))
//!     .padding(Padding::longest().multiple_of(8))
//!     .build()?;
//! let passages = ["One fish, two fish.", "The old man and the sea."];
//! // For a cross-encoder the items are pairs: `("a question", "a passage")`.
//! let batch = encoder.batch::<i64, _>(passages)?;
//! // Row-major buffers, rows × columns: what tensors are made of without a copy by item.
//! let shape = [batch.rows, batch.columns];
//! assert_eq!(batch.ids.len(), shape[0] * shape[1]);
//! assert_eq!(batch.attention_mask.len(), batch.ids.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A token budget
//!
//! ```
//! use anytok::{Resolver, Side, Special};
//!
//! let found = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?;
//! let tokenizer = found.tokenizer();
//! let document = "One fish, two fish.\n\nRed fish, blue fish. ".repeat(40);
//! // Stops at the limit, however long the text is.
//! assert_eq!(tokenizer.count_up_to(&document, 100, Special::Ignore)?, None);
//! // The end of a conversation that still fits.
//! let recent = tokenizer.truncate(&document, 100, Side::Left, Special::Ignore)?;
//! assert!(document.ends_with(recent));
//! // Parts to store and to search, at the best boundaries, with some context of the one before.
//! for part in tokenizer.split(&document, 100).overlap(10).parts()? {
//!     let part = &document[part?];
//!     assert!(tokenizer.count(part, Special::Ignore)? <= 100);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Files that are not trusted
//!
//! Models, caches and servers are read as if an enemy had written them: no input panics, allocates out of proportion to its
//! size, or silently changes ids. Files are read and never mapped, so no other process can end this one or change a
//! tokenizer in use by cutting a file short.
//!
//! # Features
//!
//! `cli`: the command `anytok`; nothing in the library depends on it.
//!
//! `tokenizers` (default): the `tokenizers` crate for each `tokenizer.json` that no engine here covers. Without it such a file is an
//! error; ids never differ.
//!
//! `hub` (default): the Hub strategy, by `ureq` and `rustls`. Without it nothing in the dependency tree opens a socket, and
//! nothing needs a C compiler.
//!
//! `chat` (default): [`Tokenizer::chat`], by `minijinja`, and `jiff` for local time.
//!
//! `text-splitter`: a [`Tokenizer`] measures the chunks of the `text-splitter` crate. `toktrie`: `Tokenizer::tok_env`, on which
//! llguidance runs.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "text-splitter", feature = "toktrie"))]
mod adapters;
mod attempt;
#[cfg(feature = "chat")]
mod chat;
mod compare;
mod decode;
mod encode;
mod encoder;
mod env;
#[doc = include_str!("environment.md")]
pub mod environment {}
mod error;
pub mod evidence;
mod failure;
mod fit;
mod formats;
pub mod gguf;
mod hub;
mod memory;
mod mmap;
mod model;
mod options;
mod outcome;
mod resolution;
mod resolver;
mod semantics;
mod source;
mod split;
mod store;
mod strategy;
mod tokenizer;
mod unicode;
mod vocabulary;

#[cfg(feature = "toktrie")]
pub use adapters::TokEnvError;
pub use attempt::{Answer, Attempt};
#[cfg(feature = "chat")]
pub use chat::{Chat, ChatError, Prompt};
pub use compare::{ComparedSource, Comparison, Difference, DifferenceKind};
pub use decode::{DecodeError, SpecialText};
pub use encode::{EncodeError, Special};
pub use encoder::{
    Batch, Element, Encoded, EncoderError, Input, InputEncoder, InputEncoderBuilder, Padding, Truncate,
    Truncation,
};
pub use error::Error;
pub use failure::{Failure, ModelFailure};
pub use fit::Mismatch;
pub use formats::{FormatError, TokenizerJsonError};
pub use hub::{
    Error as HubError, InvalidRepoId, InvalidToken, Observer, Phase, Progress, RepoId, Token, Verify,
};
pub use mmap::Bytes;
pub use options::ResolverBuilder;
pub use resolution::Resolution;
pub use resolver::Resolver;
pub use semantics::SpecialTokens;
pub use source::Source;
pub use split::SplitError;
pub use store::{Entry, ImageError, Store};
pub use strategy::Strategy;
pub use tokenizer::{
    BudgetError, ColumnError, DecodeStream, Encoding, Engine, Offset, Side, TextParts, TextSplit, Tokenizer,
};
pub use vocabulary::{CharsmapError, VocabularyError};

/// The README's examples run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
