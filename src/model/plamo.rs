//! PLaMo-2 and PLaMo-3: of all ways to cut a text into pieces the cheapest, found from the end of the text to its beginning.

use serde::{Deserialize, Serialize};

use super::tokens::Tokens;
use crate::unicode;
use crate::vocabulary::{Trie, Vocabulary};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Version {
    /// A byte order mark in front of the text is dropped.
    Plamo2,
    /// The text is cut around `<|plamo:…|>` and around runs of one character first.
    Plamo3,
}

/// What a piece takes off the cost, in units of 10⁻⁴ of its score, as llama.cpp rounds it; `None` for a piece it never uses.
pub(crate) fn gain(score: f32) -> Option<i64> {
    let scaled = (f64::from(score) * 1e4).round();
    // Outside of 32 bits the reference's conversion gives the lowest number there is, which is below the limit.
    let fits = score.is_finite() && scaled > -2e7 && scaled < 2_147_483_648.0;
    fits.then_some(scaled as i64)
}

/// What a character costs that is spelled in bytes.
const UNKNOWN: i64 = 10_000_000;

/// Reused from one text to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The cheapest way from each position to the end: its cost, and the length and id of its first piece.
    ways: Vec<Way>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Way {
    cost: i64,
    /// In bytes; 0 for a character that is spelled in bytes.
    len: u32,
    id: u32,
}

/// The cheapest pieces of a well-formed text.
///
/// `O(n × longest match)` in bytes.
pub(crate) fn encode(vocabulary: &Vocabulary, word: &[u8], scratch: &mut Scratch, tokens: &mut Tokens) {
    let ways = &mut scratch.ways;
    solve(&vocabulary.trie, |id| gain(vocabulary.score(id)).unwrap_or(-UNKNOWN), word, ways);
    let mut at = 0;
    while at < word.len() {
        let Way { len, id, .. } = ways[at];
        if len > 0 {
            tokens.push(id, at..at + len as usize);
            at += len as usize;
            continue;
        }
        let len = unicode::utf8_len(word[at]).min(word.len() - at);
        for (i, &byte) in (at..).zip(&word[at..at + len]) {
            tokens.push(vocabulary.bytes.get(usize::from(byte)).copied().unwrap_or_default(), i..i + 1);
        }
        at += len;
    }
    ways.clear();
    ways.shrink_to(KEPT);
}

/// So many positions a thread keeps room for.
const KEPT: usize = 1 << 16;

/// Fills `ways` for `text`. Of equal costs the longest piece wins, a piece over spelling.
fn solve(trie: &Trie, gain: impl Fn(u32) -> i64, text: &[u8], ways: &mut Vec<Way>) {
    let walker = trie.walker();
    ways.clear();
    ways.resize(text.len() + 1, Way::default());
    let mut at = text.len();
    while at > 0 {
        // Back to where a character begins.
        let end = at;
        at -= 1;
        while at > 0 && text[at] & 0xC0 == 0x80 {
            at -= 1;
        }
        let mut best: Option<Way> = None;
        walker.prefixes(&text[at..], |len, id| {
            let cost = ways[at + len].cost - gain(id);
            if best.is_none_or(|best| cost <= best.cost) {
                best = Some(Way { cost, len: len as u32, id });
            }
        });
        let spelled = Way { cost: ways[end].cost + UNKNOWN, len: 0, id: 0 };
        ways[at] = best.filter(|best| best.cost <= spelled.cost).unwrap_or(spelled);
    }
}
