//! The Hugging Face Hub: names, the shared cache on disk, and a synchronous client.
//!
//! [`Session`] is what a strategy uses: one repository at one revision, file by file. Only `client` names the HTTP library, and only
//! it and the session need the cargo feature `hub`; the cache is read and written without.
#![cfg_attr(not(feature = "hub"), allow(dead_code))] // what only downloads need

pub(crate) mod cache;
#[cfg(feature = "hub")]
mod client;
mod digest;
mod error;
mod id;
mod observer;
#[cfg(feature = "hub")]
mod session;
mod settings;
#[cfg(all(test, feature = "hub"))]
mod tests;
mod token;
mod url;

pub use error::{Error, Phase};
pub use id::{InvalidRepoId, RepoId};
pub use observer::{Observer, Progress};
pub use settings::Verify;
pub use token::{InvalidToken, Token};

#[cfg(feature = "hub")]
pub(crate) use session::{Fetched, How, Session};
pub(crate) use {
    id::{is_commit, is_lower_hex},
    settings::{Deadline, Settings},
};
