//! What a resolution found, and the story of how.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, chain};
use crate::hub::RepoId;
use crate::strategy::Strategy;
use crate::tokenizer::Tokenizer;

/// What a strategy says.
///
/// Absent and broken are different answers: where there is nothing to try the strategy is [`NotApplicable`](Self::NotApplicable), where
/// something is there and cannot be used it [`Failed`](Self::Failed). Neither ends the search; only a tokenizer that was
/// verified to fit does.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// A tokenizer that fits the model.
    Found(Found),
    /// There is nothing to try, and why.
    NotApplicable(String),
    /// Something is there, but broken or not this model's.
    Failed(Arc<Failure>),
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Failed(Arc::new(failure))
    }
}

/// A tokenizer, where it came from and what to say about it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) source: Source,
    /// The ids are a guess, or stand for bytes.
    pub(crate) degraded: bool,
    pub(crate) notes: Vec<String>,
    /// Files that the answer depends on, the model itself left out.
    pub(crate) files: Vec<PathBuf>,
}

/// Where a tokenizer came from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Source {
    /// The metadata of this GGUF file.
    Gguf {
        /// The file.
        path: PathBuf,
    },
    /// Files on this machine.
    Files {
        /// The file that holds the vocabulary first.
        paths: Vec<PathBuf>,
    },
    /// A repository on the Hub, downloaded or from a cache.
    Repository {
        /// The repository.
        id: RepoId,
        /// The commit all files are from, 40 hexadecimal digits.
        commit: String,
        /// The file that holds the vocabulary.
        file: String,
    },
    /// Nothing: the built-in byte tokenizer.
    BuiltIn,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gguf { path } => write!(f, "metadata of {}", path.display()),
            Self::Files { paths } => match &paths[..] {
                [] => f.write_str("files"),
                [first, rest @ ..] => {
                    write!(f, "{}", first.display())?;
                    for path in rest {
                        write!(f, " + {}", path.file_name().unwrap_or_default().display())?;
                    }
                    Ok(())
                }
            },
            Self::Repository { id, commit, file } => {
                write!(f, "{id}@{}/{file}", commit.get(..12).unwrap_or(commit))
            }
            Self::BuiltIn => f.write_str("built-in byte tokenizer"),
        }
    }
}

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

/// Writes attempts as a table, a line each.
pub(crate) fn write_attempts(out: &mut impl fmt::Write, attempts: &[Attempt]) -> fmt::Result {
    writeln!(out, "strategy  answer               time  reason")?;
    for Attempt { strategy, answer, duration } in attempts {
        let time = format!("{:.1} ms", duration.as_secs_f64() * 1e3);
        writeln!(out, "{:<8}  {:<14}  {time:>9}  {}", strategy.name(), answer.word(), answer.reason())?;
    }
    Ok(())
}
