//! What a thread keeps between two calls, so that encoding allocates nothing and takes no lock.

use std::cell::RefCell;

use super::memo::{Ids, Keys, Memo, ShortKey};
use crate::model::Scratch;
use crate::model::tokens::Tokens;

/// Scratch space and memo of one tokenizer on one thread: up to 16 megabytes once it has seen much text.
pub(crate) struct ThreadState {
    pub(crate) memo: Memo,
    /// The keys of a block of words.
    pub(crate) keys: Box<Keys>,
    /// Ids of words of the block that are remembered.
    pub(crate) ids: Box<Ids>,
    /// The tokens of the word at hand.
    pub(crate) tokens: Tokens,
    pub(crate) scratch: Scratch,
    /// A word with something in front.
    pub(crate) word: Vec<u8>,
    /// A word whose spaces had to be rewritten.
    pub(crate) escaped: Vec<u8>,
}

impl ThreadState {
    fn new() -> Self {
        Self {
            memo: Memo::new(),
            keys: Box::new([ShortKey::NONE; _]),
            ids: Box::new([0; _]),
            tokens: Tokens::default(),
            scratch: Scratch::default(),
            word: Vec::new(),
            escaped: Vec::new(),
        }
    }
}

/// So many tokenizers keep their memo on a thread; the least recently used one gives way.
const MOST: usize = 4;

thread_local! {
    static STATES: RefCell<Vec<(u64, Box<ThreadState>)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with this thread's [`ThreadState`] of the tokenizer numbered `owner`.
pub(crate) fn with<T>(owner: u64, work: impl FnOnce(&mut ThreadState) -> T) -> T {
    // Taken out while in use: should `work` come back here, it finds a consistent list and makes a second one.
    let taken = STATES.with_borrow_mut(|states| {
        let at = states.iter().position(|(of, _)| *of == owner)?;
        Some(states.remove(at).1)
    });
    let mut state = taken.unwrap_or_else(|| Box::new(ThreadState::new()));
    let result = work(&mut state);
    STATES.with_borrow_mut(|states| {
        if states.len() >= MOST {
            states.remove(0);
        }
        states.push((owner, state));
    });
    result
}
