//! What a thread keeps between two calls, so that encoding allocates nothing and takes no lock.

use std::cell::RefCell;

use super::memo::{Characters, Memo};
use crate::model::bpe::Scratch;
use crate::model::unigram::Lattice;

/// Scratch space and memo of one tokenizer on one thread: up to three megabytes once it has seen much text.
pub(crate) struct ThreadState {
    pub(crate) scratch: Scratch,
    pub(crate) memo: Memo,
    /// The ids of the word at hand, on their way into the memo.
    pub(crate) ids: Vec<u32>,
    /// A word that had to be rewritten.
    pub(crate) word: Vec<u8>,
    /// The search for the best tokens of a word.
    pub(crate) lattice: Lattice<f64>,
    /// A word whose spaces had to be rewritten.
    pub(crate) escaped: Vec<u8>,
    pub(crate) characters: Characters,
    pub(crate) unigram: crate::model::unigram::Scratch,
    pub(crate) wordpiece: crate::model::wordpiece::Scratch,
    pub(crate) plamo: crate::model::plamo::Scratch,
    pub(crate) sentencepiece: crate::semantics::sentencepiece::Scratch,
}

impl ThreadState {
    fn new() -> Self {
        Self {
            scratch: Scratch::default(),
            memo: Memo::new(),
            ids: Vec::new(),
            word: Vec::new(),
            lattice: Lattice::default(),
            escaped: Vec::new(),
            characters: Characters::default(),
            unigram: crate::model::unigram::Scratch::default(),
            wordpiece: crate::model::wordpiece::Scratch::default(),
            plamo: crate::model::plamo::Scratch::default(),
            sentencepiece: crate::semantics::sentencepiece::Scratch::default(),
        }
    }
}

/// So many tokenizers keep their memo on a thread; the least recently used one gives way.
const MOST: usize = 4;

thread_local! {
    static LOCALS: RefCell<Vec<(u64, Box<ThreadState>)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with this thread's [`ThreadState`] of the tokenizer numbered `owner`.
pub(crate) fn with<T>(owner: u64, work: impl FnOnce(&mut ThreadState) -> T) -> T {
    // Taken out while in use: should `work` come back here, it finds a consistent list and makes a second one.
    let taken = LOCALS.with_borrow_mut(|locals| {
        let at = locals.iter().position(|(of, _)| *of == owner)?;
        Some(locals.remove(at).1)
    });
    let mut local = taken.unwrap_or_else(|| Box::new(ThreadState::new()));
    let result = work(&mut local);
    LOCALS.with_borrow_mut(|locals| {
        if locals.len() >= MOST {
            locals.remove(0);
        }
        locals.push((owner, local));
    });
    result
}
