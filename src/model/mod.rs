//! Engines: a word → ids.

pub(crate) mod bpe;
pub(crate) mod dna;
pub(crate) mod plamo;
pub(crate) mod rwkv;
pub(crate) mod unigram;
pub(crate) mod wordpiece;
