//! Any model path in, a working and exact tokenizer out.

pub mod evidence;
pub mod gguf;
mod hub;
mod mmap;

pub use hub::{InvalidRepoId, RepoId};
