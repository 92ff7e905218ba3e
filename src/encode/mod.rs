//! Text → ids: the road that every source shares. [`road`] has its stages.

mod added_tokens;
mod error;
pub(crate) mod literal;
mod memo;
pub(crate) mod normalize;
mod options;
pub(crate) mod output;
mod partition;
pub(crate) mod road;
pub(crate) mod special_tokens;
pub(crate) mod thread_state;
mod words;

pub use error::EncodeError;
pub(crate) use error::MOST_BYTES;
pub use options::Special;
