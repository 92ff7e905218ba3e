//! Any model path in, a working and exact tokenizer out.

mod hub;
mod tokenizer;
mod unicode;

pub use hub::{InvalidRepoId, RepoId};
