//! What a thread keeps between two calls, so that encoding allocates nothing and takes no lock.

use std::cell::RefCell;

use super::bpe::Scratch;
use super::memo::{Characters, Memo};
use super::unigram::Lattice;

/// Scratch space and memo of one tokenizer on one thread: up to three megabytes once it has seen much text.
pub(crate) struct Local {
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
    pub(crate) unigram: super::unigram::Scratch,
    pub(crate) wordpiece: super::wordpiece::Scratch,
    pub(crate) plamo: super::plamo::Scratch,
    pub(crate) sentencepiece: super::sentencepiece::Scratch,
}

impl Local {
    fn new() -> Self {
        Self {
            scratch: Scratch::default(),
            memo: Memo::new(),
            ids: Vec::new(),
            word: Vec::new(),
            lattice: Lattice::default(),
            escaped: Vec::new(),
            characters: Characters::default(),
            unigram: super::unigram::Scratch::default(),
            wordpiece: super::wordpiece::Scratch::default(),
            plamo: super::plamo::Scratch::default(),
            sentencepiece: super::sentencepiece::Scratch::default(),
        }
    }
}

/// So many tokenizers keep their memo on a thread; the least recently used one gives way.
const MOST: usize = 4;

thread_local! {
    static LOCALS: RefCell<Vec<(u64, Box<Local>)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with this thread's [`Local`] of the tokenizer numbered `owner`.
pub(crate) fn with<T>(owner: u64, work: impl FnOnce(&mut Local) -> T) -> T {
    // Taken out while in use: should `work` come back here, it finds a consistent list and makes a second one.
    let taken = LOCALS.with_borrow_mut(|locals| {
        let at = locals.iter().position(|(of, _)| *of == owner)?;
        Some(locals.remove(at).1)
    });
    let mut local = taken.unwrap_or_else(|| Box::new(Local::new()));
    let result = work(&mut local);
    LOCALS.with_borrow_mut(|locals| {
        if locals.len() >= MOST {
            locals.remove(0);
        }
        locals.push((owner, local));
    });
    result
}
