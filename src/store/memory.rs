//! Answers of this process, by the path they were asked for.

use std::sync::{Arc, Mutex, PoisonError};

use super::Key;
use super::ground::{Ground, Identity, Standing};

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
    ground: Arc<Ground>,
    value: Arc<T>,
}

impl<T> Memory<T> {
    pub(crate) fn new() -> Self {
        Self { answers: Mutex::default() }
    }

    /// The answer to `key`, at the cost of a `stat` for each file it rests on.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<T>> {
        let (ground, value) = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            let at = answers.iter().position(|answer| answer.name == key.name)?;
            let answer = answers.remove(at);
            if answer.identity != key.identity {
                return None;
            }
            let found = (Arc::clone(&answer.ground), Arc::clone(&answer.value));
            answers.push(answer);
            found
        };
        // Not under the lock: the file system may take its time.
        matches!(ground.standing(), Standing::Same).then_some(value)
    }

    /// Remembers an answer. Not one whose model was written a moment ago, since another write might not show.
    pub(crate) fn put(&self, key: &Key, ground: Ground, value: Arc<T>) {
        let Some(identity) = key.settled else { return };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.name != key.name);
        if answers.len() >= MOST {
            answers.remove(0);
        }
        answers.push(Answer { name: key.name, identity, ground: Arc::new(ground), value });
    }
}

/// A vocabulary in memory takes some tens of megabytes, a mapped one next to nothing.
const MOST: usize = 16;
