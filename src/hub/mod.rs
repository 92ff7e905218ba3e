//! The Hugging Face Hub: names, the shared cache on disk, and a synchronous client.

mod id;

pub use id::{InvalidRepoId, RepoId};
#[allow(unused_imports)] // the client and the cache come next
pub(crate) use id::{is_commit, is_lower_hex};
