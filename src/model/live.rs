//! From a merges list to the merges that can happen.
//!
//! Of all merges into one token at most one ever happens. When two neighbours are joined, nothing has crossed the outer edges of
//! the text they make up, so whatever happened inside is what happens to that text alone, since the choice of a merge depends on
//! nothing but the pairs at hand. So the two are the ones that the token's own text comes down to before the last merge. Lists that
//! were made of ranks or scores name every way to cut a token in two; more than half of those lines are dead.

use std::cell::Cell;

use super::merge::{Lazily, Merges, Scratch};
use crate::unicode;
use crate::vocabulary::{
    Alphabet, LazyMerges, MergeTable, NONE, PairFinder, PairTable, PairTableBuilder, Pairs, Rank, Vocabulary,
    attribute,
};

/// The merges of a vocabulary's list compiled, now if they are not yet; `None` if they are too many.
pub(crate) fn compiled(vocabulary: &Vocabulary) -> Option<&PairTable> {
    // Where texts begin as other symbols than tokens' texts do (for what is unknown), any pair may come up.
    let begins_with_bytes = vocabulary.alphabet == Alphabet::ByteLevel;
    vocabulary.compiled.get_or_compile(|| {
        PairTable::of(match &vocabulary.merges {
            MergeTable::Listed(pairs) if begins_with_bytes => live_of_pairs(vocabulary, pairs),
            MergeTable::Listed(pairs) => pairs.iter().collect(),
            MergeTable::Lazy(lazy) => match lazy.tokens_in_order() {
                Some(tokens) => return live_in_order(vocabulary, lazy, &tokens),
                None => live_of_list(vocabulary, lazy),
            },
        })
    })
}

/// The merges of a list that can happen. `O(bytes of all tokens)`, some tens of milliseconds for a large vocabulary.
fn live_of_list(vocabulary: &Vocabulary, lazy: &LazyMerges) -> Vec<(u32, u32, Rank, u32)> {
    let mut live = Vec::new();
    let mut scratch = Scratch::default();
    for token in (0..vocabulary.len).filter(|&token| lazy.makes(token)) {
        if let Some(parts) = last_parts(vocabulary, token, &Lazily { vocabulary, lazy }, &mut scratch)
            && let Some(rank) = lazy.rank(token, parts.split)
        {
            live.push((parts.left, parts.right, rank, token));
        }
    }
    live
}

/// The same of tokens in the order of their lines, all lines of one token together. Then nearly all that happens within a token's
/// text before its last merge is of a lower rank than its lines, and in a table that is small and quick.
fn live_in_order(vocabulary: &Vocabulary, lazy: &LazyMerges, tokens: &[u32]) -> Option<PairTable> {
    let mut live = PairTableBuilder::new(tokens.len())?;
    let mut scratch = Scratch::default();
    let (mut last, mut ascend) = (None, true);
    for &token in tokens {
        let is_line = |parts: &Parts| lazy.rank(token, parts.split).is_some();
        let parts = two_parts(vocabulary, token, live.borrow(), &mut scratch)
            .filter(is_line)
            .or_else(|| last_parts(vocabulary, token, &Lazily { vocabulary, lazy }, &mut scratch));
        if let Some(Parts { left, right, split }) = parts
            && let Some(rank) = lazy.rank(token, split)
        {
            ascend &= last.replace(rank).is_none_or(|last| last < rank);
            live.push(left, right, token)?;
        }
    }
    debug_assert!(ascend, "a token's lines come before those of the next one");
    Some(live.finish(Vec::new()))
}

/// The two parts that a token's own text comes down to by `merges`, `None` if they are other than two.
fn two_parts(
    vocabulary: &Vocabulary,
    token: u32,
    merges: PairFinder<'_>,
    scratch: &mut Scratch,
) -> Option<Parts> {
    if vocabulary.attributes(token) & attribute::RAW != 0 {
        return None;
    }
    let key = vocabulary.keys().at(token);
    scratch.clear();
    start(vocabulary, key, scratch);
    let (mut parts, mut count, mut split) = ([NONE; 2], 0, 0);
    scratch.merge_compiled(key, merges, |symbol, span| {
        if let Some(part) = parts.get_mut(count) {
            *part = symbol;
        }
        if count == 0 {
            split = span.end;
        }
        count += 1;
    });
    (count == 2 && !parts.contains(&NONE)).then_some(Parts { left: parts[0], right: parts[1], split })
}

/// As [`live_of_list`].
fn live_of_pairs(vocabulary: &Vocabulary, pairs: &Pairs) -> Vec<(u32, u32, Rank, u32)> {
    let mut live = Vec::new();
    let mut scratch = Scratch::default();
    for symbol in 0..vocabulary.keys.len().saturating_sub(1) as u32 {
        if let Some(Parts { left, right, .. }) = last_parts(vocabulary, symbol, pairs, &mut scratch)
            && let Some((rank, made)) = pairs.find(left, right).filter(|&(_, made)| made == symbol)
        {
            live.push((left, right, rank, made));
        }
    }
    live
}

/// The merges that can happen, in texts of known symbols, of a vocabulary whose tokens have ranks, which `merges` finds by their
/// texts; compiled, now if they are not yet. The same cost.
pub(super) fn compiled_of_ranks<'v>(
    vocabulary: &'v Vocabulary,
    merges: &impl Merges,
    rank: impl Fn(u32) -> Rank,
) -> Option<&'v PairTable> {
    vocabulary.compiled.get_or_compile(|| {
        let mut live = Vec::new();
        let mut scratch = Scratch::default();
        for token in 0..vocabulary.len {
            if let Some(parts) = last_parts(vocabulary, token, merges, &mut scratch) {
                live.push((parts.left, parts.right, rank(token), token));
            }
        }
        PairTable::of(live)
    })
}

/// What a token is joined of when it is merged alone.
struct Parts {
    left: u32,
    right: u32,
    /// Bytes of the left one.
    split: usize,
}

fn last_parts(
    vocabulary: &Vocabulary,
    token: u32,
    merges: &impl Merges,
    scratch: &mut Scratch,
) -> Option<Parts> {
    scratch.clear();
    if vocabulary.attributes(token) & attribute::RAW != 0 {
        return None;
    }
    let key = vocabulary.keys().at(token);
    start(vocabulary, key, scratch);
    let own = Own { merges, token, split: Cell::new(0) };
    scratch.merge(key, &own, |_, _| {});
    let split = own.split.get();
    if split == 0 {
        return None;
    }
    let (left, right) = key.split_at(split);
    Some(Parts { left: vocabulary.symbol(left)?, right: vocabulary.symbol(right)?, split })
}

/// Pushes what a text consists of before anything is merged.
fn start(vocabulary: &Vocabulary, text: &[u8], scratch: &mut Scratch) {
    let mut at = 0;
    while at < text.len() {
        let (symbol, len) = if vocabulary.alphabet == Alphabet::ByteLevel {
            (vocabulary.byte_symbols.get(usize::from(text[at])).copied(), 1)
        } else {
            let len = unicode::utf8_len(text[at]).min(text.len() - at);
            (Some(scratch.character(vocabulary, &text[at..at + len])), len)
        };
        scratch.push(symbol.unwrap_or(NONE), at);
        at += len;
    }
}

/// The merges of a token's own text.
struct Own<'m, M> {
    merges: &'m M,
    token: u32,
    /// Where the last merge joins the text, once it is known.
    split: Cell<usize>,
}

impl<M: Merges> Merges for Own<'_, M> {
    #[inline]
    fn find(&self, left: u32, right: u32, text: &[u8]) -> Option<(Rank, u32)> {
        self.merges.find(left, right, text)
    }

    #[inline]
    fn seen(&self, merged: u32, left: usize) {
        // Only the whole text is the token's, so there are only two parts left, and nothing else to merge.
        if merged == self.token {
            self.split.set(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::encode::Special;
    use crate::formats::gguf::{OnUnknownPre, load};
    use crate::gguf::{Gguf, GgufBuilder};
    use crate::tokenizer::Tokenizer;
    use crate::vocabulary::encode_alphabet;

    /// A vocabulary over a few letters, and its merges as a file writes them.
    #[derive(Clone, Debug)]
    struct Toy {
        byte_level: bool,
        tokens: Vec<String>,
        merges: Vec<(String, String)>,
    }

    impl Toy {
        fn tokenizer(&self) -> Tokenizer {
            let bytes = GgufBuilder::new()
                .string("tokenizer.ggml.model", if self.byte_level { "gpt2" } else { "gemma4" })
                .string("tokenizer.ggml.pre", "gpt-2")
                .strings("tokenizer.ggml.tokens", &self.tokens)
                .strings("tokenizer.ggml.merges", self.merges.iter().map(|(a, b)| format!("{a} {b}")))
                .bool("tokenizer.ggml.add_bos_token", false)
                .finish();
            let gguf = Gguf::parse(bytes).expect("the builder writes well-formed files");
            load(&gguf, OnUnknownPre::Refuse).expect("the toy vocabulary is sound")
        }

        /// Join the neighbours whose merge stands first in the list, leftmost first, until none do.
        fn encode(&self, text: &str) -> Vec<u32> {
            let ids: HashMap<&str, u32> = self.tokens.iter().map(String::as_str).zip(0..).collect();
            let mut ranks = HashMap::new();
            for (rank, (left, right)) in self.merges.iter().enumerate() {
                ranks.entry((left.as_str(), right.as_str())).or_insert(rank);
            }
            let mut parts: Vec<String> = if self.byte_level {
                text.bytes().map(alphabet).collect()
            } else {
                text.chars().map(String::from).collect()
            };
            loop {
                let rank = |i: usize| ranks.get(&(parts[i - 1].as_str(), parts[i].as_str())).copied();
                let Some((_, i)) = (1..parts.len()).filter_map(|i| Some((rank(i)?, i))).min() else { break };
                let right = parts.remove(i);
                parts[i - 1] += &right;
            }
            let id = |part: String| match ids.get(part.as_str()) {
                Some(&id) => vec![id],
                // llama.cpp looks for tokens of one byte.
                None if self.byte_level => part
                    .chars()
                    .filter(char::is_ascii)
                    .filter_map(|c| ids.get(&*String::from(c)).copied())
                    .collect(),
                None => {
                    part.bytes().filter_map(|byte| ids.get(&*format!("<0x{byte:02X}>")).copied()).collect()
                }
            };
            parts.into_iter().flat_map(id).collect()
        }
    }

    fn alphabet(byte: u8) -> String {
        String::from_utf8(encode_alphabet(&[byte])).expect("the alphabet is UTF-8")
    }

    const LETTERS: [&str; 6] = ["a", "b", "c", "é", "語", "x"];

    fn toy() -> impl Strategy<Value = (Toy, bool)> {
        let merge = (0..400_usize, 0..400_usize);
        (
            (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
            proptest::collection::vec(merge, 1..60),
            any::<u64>(),
            proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        )
            .prop_map(
                |((byte_level, all_splits, shuffle_lines, shuffle_ids, gaps), picks, seed, again)| {
                    let mut parts: Vec<String> = if byte_level {
                        LETTERS.concat().bytes().map(alphabet).collect()
                    } else {
                        LETTERS.iter().map(ToString::to_string).collect()
                    };
                    let mut tokens: Vec<String> = parts.clone();
                    let mut merges: Vec<(String, String)> = Vec::new();
                    for (left, right) in picks {
                        let (left, right) =
                            (parts[left % parts.len()].clone(), parts[right % parts.len()].clone());
                        let product = format!("{left}{right}");
                        if product.len() > 60 {
                            continue;
                        }
                        if !tokens.contains(&product) {
                            tokens.push(product.clone());
                        }
                        if all_splits {
                            // Every way to cut it between characters, the halves tokens or not.
                            let cuts = product.char_indices().skip(1).map(|(at, _)| product.split_at(at));
                            merges.extend(cuts.map(|(left, right)| (left.to_owned(), right.to_owned())));
                        } else {
                            merges.push((left, right));
                        }
                        parts.push(product);
                    }
                    // Lines a second time, products in the wrong order, tokens that no line makes or no text reaches.
                    if !merges.is_empty() {
                        let twice: Vec<_> =
                            again.iter().map(|at| merges[at.index(merges.len())].clone()).collect();
                        merges.extend(twice);
                    }
                    if shuffle_lines {
                        shuffle(&mut merges, seed);
                    }
                    if shuffle_ids {
                        shuffle(&mut tokens, seed.rotate_left(7));
                    }
                    tokens.push("unreached".to_owned());
                    if !byte_level {
                        tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
                    }
                    // A letter that is a part of merges and no token.
                    if gaps {
                        tokens.retain(|token| *token != parts[0] && *token != parts[5]);
                    }
                    (Toy { byte_level, tokens, merges }, gaps)
                },
            )
    }

    /// More lines than a run holds, more bytes than a split has room for, more lines than one thread walks, and in disorder.
    #[test]
    fn long_tokens_have_all_their_lines() {
        let tokens: Vec<String> = (1..=330).map(|len| "a".repeat(len)).collect();
        let cut = |token: &String| -> Vec<(String, String)> {
            (1..token.len()).map(|at| (token[..at].to_owned(), token[at..].to_owned())).collect()
        };
        let mut merges: Vec<(String, String)> = tokens.iter().flat_map(cut).collect();
        let texts = [3, 255, 256, 300, 330, 700].map(|len| "a".repeat(len));
        for seed in [None, Some(1), Some(2)] {
            if let Some(seed) = seed {
                shuffle(&mut merges, seed);
            }
            let toy = Toy { byte_level: true, tokens: tokens.clone(), merges: merges.clone() };
            let tokenizer = toy.tokenizer();
            assert!(matches!(tokenizer.vocabulary().merges, MergeTable::Lazy(_)));
            let encode = || texts.each_ref().map(|text| tokenizer.encode(text, Special::Ignore).unwrap());
            let (lazily, expected) = (encode(), texts.each_ref().map(|text| toy.encode(text)));
            assert_eq!(lazily, expected);
            assert!(compiled(tokenizer.vocabulary()).unwrap().iter().count() < tokens.len());
            assert_eq!(std::thread::scope(|scope| scope.spawn(encode).join().unwrap()), expected);
        }
    }

    fn shuffle<T>(items: &mut [T], mut seed: u64) {
        for i in (1..items.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            items.swap(i, (seed >> 33) as usize % (i + 1));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn the_list_and_its_live_merges_give_the_same_ids(
            (toy, gaps) in toy(),
            texts in proptest::collection::vec(proptest::collection::vec(prop::sample::select(&LETTERS[..]), 1..40), 1..6),
        ) {
            let tokenizer = toy.tokenizer();
            let lazy = matches!(tokenizer.vocabulary().merges, MergeTable::Lazy(_));
            // Only what is no token makes the list be looked up as a whole.
            prop_assert!(lazy || gaps);
            let texts: Vec<String> = texts.into_iter().map(|parts| parts.concat()).collect();
            for text in &texts {
                prop_assert_eq!(tokenizer.encode(text, Special::Ignore).unwrap(), toy.encode(text), "{}", text);
            }
            let pairs = compiled(tokenizer.vocabulary()).unwrap();
            prop_assert!(!lazy || pairs.iter().count() <= toy.tokens.len());
            // Another thread remembers nothing of what the list said.
            let again = std::thread::scope(|scope| {
                let encode = || texts.iter().map(|text| tokenizer.encode(text, Special::Ignore).unwrap()).collect::<Vec<_>>();
                scope.spawn(encode).join().unwrap()
            });
            for (text, ids) in texts.iter().zip(again) {
                prop_assert_eq!(ids, toy.encode(text), "{}", text);
            }
        }
    }
}
