//! Where a tokenizer could come from, and in which order to look.

mod attempt;
mod backup;
mod cache;
mod chain;
mod embedded;
mod hub;
mod local;
mod repository;
mod search;
mod sibling;

pub(crate) use attempt::attempt;
pub use chain::Strategy;
pub(crate) use local::LocalFiles;
pub(crate) use search::Search;
