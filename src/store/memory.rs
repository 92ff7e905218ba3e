//! Answers of this process, by the path they were asked for.

use std::sync::{Arc, Mutex, PoisonError};

use super::Key;
use super::dependencies::{Dependencies, DependencyState, Identity};

/// The last answers, each handed out again while the model and all else it rests on stay as they were.
#[derive(Debug)]
pub(crate) struct Memory<T> {
    /// The least recently used first.
    answers: Mutex<Vec<Answer<T>>>,
}

#[derive(Debug)]
struct Answer<T> {
    name: blake3::Hash,
    identity: Identity,
    dependencies: Arc<Dependencies>,
    value: Arc<T>,
}

impl<T> Memory<T> {
    pub(crate) fn new() -> Self {
        Self { answers: Mutex::default() }
    }

    /// The answer to `key`, at the cost of a `stat` for each file it rests on.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<T>> {
        let (dependencies, value) = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            let at = answers.iter().position(|answer| answer.name == key.name)?;
            let answer = answers.remove(at);
            if answer.identity != key.identity {
                return None;
            }
            let found = (Arc::clone(&answer.dependencies), Arc::clone(&answer.value));
            answers.push(answer);
            found
        };
        // Not under the lock: the file system may take its time.
        matches!(dependencies.state(), DependencyState::Same).then_some(value)
    }

    /// Remembers an answer. Not one whose model was written a moment ago, since another write might not show.
    pub(crate) fn put(&self, key: &Key, dependencies: Dependencies, value: Arc<T>) {
        let Some(identity) = key.settled else { return };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.name != key.name);
        if answers.len() >= MOST {
            answers.remove(0);
        }
        answers.push(Answer { name: key.name, identity, dependencies: Arc::new(dependencies), value });
    }
}

/// A vocabulary in memory takes some tens of megabytes, a mapped one next to nothing.
const MOST: usize = 16;
