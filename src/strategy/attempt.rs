//! What each strategy does.

use super::chain::Strategy;
use super::search::Search;
use super::{backup, cache, embedded, hub, sibling};
use crate::outcome::Outcome;

/// Tries one strategy.
pub(crate) fn attempt(strategy: Strategy, search: &Search<'_>) -> Outcome {
    match strategy {
        Strategy::Embedded => embedded::attempt(search),
        Strategy::Hub => hub::attempt(search),
        Strategy::Cache => cache::attempt(search),
        Strategy::Sibling => sibling::attempt(search),
        Strategy::Backup => backup::attempt(search),
    }
}
