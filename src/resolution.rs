//! What a resolution found, and the story of how.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attempt::{Answer, Attempt, write_attempts};
use crate::failure::Failure;
use crate::outcome::Found;
use crate::source::Source;
use crate::strategy::Strategy;
use crate::tokenizer::Tokenizer;

/// A tokenizer, and how it was found.
///
/// Cheap to clone. Its `Display` is a table of every strategy that was tried:
///
/// ```text
/// strategy  answer          time    reason
/// embedded  not applicable  0.1 ms  not a GGUF file
/// hub       not applicable  0.0 ms  no repository is named
/// cache     not applicable  0.0 ms  no repository is named
/// sibling   found           3.0 ms  models/tiny/tokenizer.json
/// ```
#[derive(Clone, Debug)]
pub struct Resolution {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tokenizer: Tokenizer,
    strategy: Strategy,
    source: Source,
    degraded: bool,
    notes: Vec<String>,
    attempts: Vec<Attempt>,
    stored: bool,
}

/// What a store keeps of a resolution beside the tokenizer.
#[derive(Debug, Serialize, Deserialize)]
struct Story {
    source: Source,
    /// Strategy, answer, reason, microseconds; the one that found the tokenizer left out.
    attempts: Vec<(String, String, String, u64)>,
    /// Microseconds that the one that found it took.
    took: u64,
}

impl Resolution {
    pub(crate) fn new(strategy: Strategy, found: Found, attempts: Vec<Attempt>) -> Self {
        let Found { tokenizer, source, degraded, notes, files: _ } = found;
        Self {
            inner: Arc::new(Inner { tokenizer, strategy, source, degraded, notes, attempts, stored: false }),
        }
    }

    /// What [`Resolution::recall`] needs to tell the same story again.
    pub(crate) fn story(&self) -> String {
        let microseconds = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let Some((last, before)) = self.inner.attempts.split_last() else { return String::new() };
        let before = before.iter().map(|Attempt { strategy, answer, duration }| {
            (strategy.name().into(), answer.word().into(), answer.reason(), microseconds(*duration))
        });
        let story = Story {
            source: self.inner.source.clone(),
            attempts: before.collect(),
            took: microseconds(last.duration),
        };
        // Paths that are not Unicode cannot be written as JSON; such an answer is told without its story.
        serde_json::to_string(&story).unwrap_or_default()
    }

    /// A resolution of an earlier run, from its strategy's name and its story; `None` if this version cannot read them.
    pub(crate) fn recall(
        strategy: &str,
        story: &str,
        notes: Vec<String>,
        tokenizer: Tokenizer,
    ) -> Option<Self> {
        let strategy = Strategy::from_name(strategy)?;
        let Story { source, attempts: before, took } = serde_json::from_str(story).ok()?;
        let mut attempts = Vec::with_capacity(before.len() + 1);
        for (strategy, word, reason, microseconds) in before {
            let failed = word == "failed";
            let answer = if failed {
                Answer::Failed { failure: Arc::new(Failure::Recorded { reason }) }
            } else {
                Answer::NotApplicable { reason }
            };
            let duration = Duration::from_micros(microseconds);
            attempts.push(Attempt { strategy: Strategy::from_name(&strategy)?, answer, duration });
        }
        let answer = Answer::Found { source: source.clone(), degraded: false };
        attempts.push(Attempt { strategy, answer, duration: Duration::from_micros(took) });
        let inner = Inner { tokenizer, strategy, source, degraded: false, notes, attempts, stored: true };
        Some(Self { inner: Arc::new(inner) })
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.inner.tokenizer
    }

    /// The tokenizer, for keeping it without its story.
    #[must_use]
    pub fn into_tokenizer(self) -> Tokenizer {
        self.inner.tokenizer.clone()
    }

    /// The strategy that found it.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.inner.strategy
    }

    /// Where it came from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.inner.source
    }

    /// Every strategy that was tried, in order, the one that found it last.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.inner.attempts
    }

    /// Whether the ids may not be the model's: a guess at how an incomplete file wants its text cut, or bytes in place of
    /// tokens. Such a result is never stored, and [`strict`](crate::ResolverBuilder::strict) refuses it.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.inner.degraded
    }

    /// What the caller may want to know beside: truncation that a file asks for, a repository that was guessed, and the like.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.inner.notes
    }

    /// Whether an earlier run found it and this one only looked it up; the attempts and their durations are then those of that
    /// run.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.inner.stored
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_attempts(f, &self.inner.attempts)?;
        if self.inner.stored {
            writeln!(f, "note: found by an earlier run and taken from the store")?;
        }
        for note in &self.inner.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}
