//! What became of each strategy that was tried.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::failure::{Failure, chain};
use crate::source::Source;
use crate::strategy::Strategy;

/// One strategy that was tried, and what came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The strategy.
    pub strategy: Strategy,
    /// What it said.
    pub answer: Answer,
    /// How long it took.
    pub duration: Duration,
}

/// What a strategy said, without the tokenizer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// It found a tokenizer that fits.
    Found {
        /// Where.
        source: Source,
        /// Whether the ids are a guess, or stand for bytes.
        degraded: bool,
    },
    /// There was nothing to try.
    NotApplicable {
        /// Why.
        reason: String,
    },
    /// Something is there, but broken or not this model's.
    Failed {
        /// Why.
        failure: Arc<Failure>,
    },
}

impl Answer {
    /// The answer in one word: `found`, `degraded`, `not applicable` or `failed`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Found { degraded: false, .. } => "found",
            Self::Found { degraded: true, .. } => "degraded",
            Self::NotApplicable { .. } => "not applicable",
            Self::Failed { .. } => "failed",
        }
    }

    /// The reason, or the source, in one line.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Found { source, .. } => source.to_string(),
            Self::NotApplicable { reason } => reason.clone(),
            Self::Failed { failure } => chain(&**failure),
        }
    }
}

/// Writes attempts as a table, a line each.
pub(crate) fn write_attempts(out: &mut impl fmt::Write, attempts: &[Attempt]) -> fmt::Result {
    writeln!(out, "strategy  answer               time  reason")?;
    for Attempt { strategy, answer, duration } in attempts {
        let time = format!("{:.1} ms", duration.as_secs_f64() * 1e3);
        writeln!(out, "{:<8}  {:<14}  {time:>9}  {}", strategy.name(), answer.word(), answer.reason())?;
    }
    Ok(())
}
