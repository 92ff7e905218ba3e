//! Any model path in, a working and exact tokenizer out.

mod hub;

pub use hub::{InvalidRepoId, RepoId};
