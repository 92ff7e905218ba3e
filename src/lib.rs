//! Any model path in, a working and exact tokenizer out.

#[allow(dead_code)] // the resolver comes next
mod env;
#[allow(dead_code)] // the strategies come next
mod hub;

pub use hub::Error as HubError;
pub use hub::{InvalidRepoId, InvalidToken, Observer, Phase, Progress, RepoId, Token, Verify};
