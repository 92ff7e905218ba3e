//! From a merges list to the merges that can happen.
//!
//! Of all merges into one token at most one ever happens. When two neighbours are joined, nothing has crossed the outer edges of
//! the text they make up, so whatever happened inside is what happens to that text alone, since the choice of a merge depends on
//! nothing but the pairs at hand. So the two are the ones that the token's own text comes down to before the last merge. Lists that
//! were made of ranks or scores name every way to cut a token in two; more than half of those lines are dead.

use std::cell::Cell;
use std::collections::HashMap;

use super::merge::{Lazily, Merges, Scratch};
use crate::unicode;
use crate::vocabulary::{
    Alphabet, LazyMerges, ListLine, MergeTable, NO_MERGE, NONE, PairFinder, PairTable, PairTableBuilder,
    Pairs, Rank, Vocabulary, attribute,
};

/// The merges of a vocabulary's list compiled, now if they are not yet; `None` if they are too many.
pub(crate) fn compiled(vocabulary: &Vocabulary) -> Option<&PairTable> {
    // Where texts begin as other symbols than tokens' texts do (for what is unknown), any pair may come up.
    let begins_with_bytes = vocabulary.alphabet == Alphabet::ByteLevel;
    vocabulary.compiled.get_or_compile(|| {
        PairTable::of(match &vocabulary.merges {
            MergeTable::Listed(pairs) if begins_with_bytes => return live_of_pairs(vocabulary, pairs),
            MergeTable::Listed(pairs) => pairs.iter().collect(),
            MergeTable::Lazy(lazy) => return live_of_list(vocabulary, lazy),
        })
    })
}

/// The merges of a list that can happen. `O(bytes of all tokens)`, some tens of milliseconds for a large vocabulary.
fn live_of_list(vocabulary: &Vocabulary, lazy: &LazyMerges) -> Option<PairTable> {
    let lines = lazy.lines();
    let merges = Lazily { vocabulary, lazy };
    let mut scratch = Scratch::default();
    let halves = |line: &ListLine| {
        let &ListLine { rank, token, split } = line;
        // Of equal lines one counts.
        let counts = lazy.rank(token, split as usize) == Some(rank);
        let (left, right) =
            vocabulary.keys().at(token).split_at_checked(split as usize).filter(|_| counts)?;
        Some((vocabulary.symbol(left)?, vocabulary.symbol(right)?))
    };
    live_of_lines(
        vocabulary,
        &lines,
        |line| (line.rank, line.token),
        halves,
        |token| {
            let parts = last_parts(vocabulary, token, &merges, &mut scratch)?;
            Some((parts.left, parts.right, lazy.rank(token, parts.split)?))
        },
    )
}

/// The same of pairs.
fn live_of_pairs(vocabulary: &Vocabulary, pairs: &Pairs) -> Option<PairTable> {
    let mut lines: Vec<(u32, u32, Rank, u32)> = pairs.iter().collect();
    lines.sort_unstable_by_key(|&(_, _, rank, _)| rank);
    let mut scratch = Scratch::default();
    live_of_lines(
        vocabulary,
        &lines,
        |&(_, _, rank, token)| (rank, token),
        |&(left, right, ..)| Some((left, right)),
        |token| {
            let parts = last_parts(vocabulary, token, pairs, &mut scratch)?;
            let (rank, _) = pairs.find(parts.left, parts.right).filter(|&(_, made)| made == token)?;
            Some((parts.left, parts.right, rank))
        },
    )
}

/// The same of lines by ascending rank: `of` tells a line's rank and token, `halves` what it joins, `slowly` which merge of a token
/// can happen.
fn live_of_lines<L>(
    vocabulary: &Vocabulary,
    lines: &[L],
    of: impl Fn(&L) -> (Rank, u32),
    halves: impl Fn(&L) -> Option<(u32, u32)>,
    mut slowly: impl FnMut(u32) -> Option<(u32, u32, Rank)>,
) -> Option<PairTable> {
    let mut live = InOrder::new(vocabulary, lines.len())?;
    let mut seen = vec![false; live.joined.len()];
    // By rank, merges of tokens whose lines do not follow each other.
    let mut later: HashMap<Rank, (u32, u32)> = HashMap::new();
    for lines in lines.chunk_by(|a, b| of(a).1 == of(b).1) {
        let token = of(&lines[0]).1;
        let known = seen.get_mut(token as usize).is_none_or(|seen| std::mem::replace(seen, true));
        if known || vocabulary.attributes(token) & attribute::RAW != 0 {
            for (rank, _) in lines.iter().map(&of) {
                if let Some((left, right)) = later.remove(&rank) {
                    live.table.push(left, right, rank, token)?;
                }
            }
            continue;
        }
        let quick = lines.iter().find_map(|line| {
            let (left, right) = halves(line).filter(|&(left, right)| live.meets(left, right))?;
            Some((left, right, of(line).0))
        });
        if let Some((left, right, rank)) = quick {
            live.push(left, right, rank, token)?;
        } else if let Some((left, right, rank)) = slowly(token) {
            if lines.iter().any(|line| of(line).0 == rank) {
                live.table.push(left, right, rank, token)?;
            } else {
                later.insert(rank, (left, right));
            }
        }
    }
    Some(live.table.finish())
}

/// Merges that can happen, collected by ascending rank.
///
/// Whether a line can happen is mostly told by what is known of its halves. The text of the two comes down to them if each of them comes
/// down to itself and nothing merges across their boundary before: the only symbols that ever stand at it are the right parts of the
/// left one and the left parts of the right one, and going back in time, whichever was joined last is taken apart next, so that few of
/// their pairs are to be looked up.
struct InOrder {
    table: PairTableBuilder,
    /// By symbol: what it is joined of.
    parts: Vec<(u32, u32)>,
    /// By symbol: one more than the rank at which it is joined, [`FIRST`] for what a text begins as, else [`UNKNOWN`].
    joined: Vec<u32>,
}

const FIRST: u32 = 0;

/// Not joined yet, or joined of something that is joined later, which takes another look.
const UNKNOWN: u32 = u32::MAX;

impl InOrder {
    fn new(vocabulary: &Vocabulary, most: usize) -> Option<Self> {
        let keys = vocabulary.keys();
        let symbols = vocabulary.keys.len().saturating_sub(1);
        let begins = |symbol| match keys.at(symbol) {
            [] => false,
            [_] => true,
            key => vocabulary.alphabet != Alphabet::ByteLevel && unicode::utf8_len(key[0]) >= key.len(),
        };
        let joined = (0..symbols as u32).map(|symbol| if begins(symbol) { FIRST } else { UNKNOWN }).collect();
        Some(Self { table: PairTableBuilder::new(most)?, parts: vec![(NONE, NONE); symbols], joined })
    }

    /// Adds a merge of two that [meet](Self::meets).
    fn push(&mut self, left: u32, right: u32, rank: Rank, token: u32) -> Option<()> {
        let place = self.table.push(left, right, rank, token)?;
        self.parts[token as usize] = (left, right);
        self.joined[token as usize] = self.table.borrow().rank(place) + 1;
        Some(())
    }

    /// Whether the text of the two comes down to them by the merges so far; no if that is not known.
    fn meets(&self, mut left: u32, mut right: u32) -> bool {
        let joined = |symbol: u32| self.joined.get(symbol as usize).copied().unwrap_or(UNKNOWN);
        if joined(left) == UNKNOWN || joined(right) == UNKNOWN {
            return false;
        }
        let table = self.table.borrow();
        // What merges across from this rank on comes too late.
        let mut too_late = UNKNOWN;
        loop {
            let place = table.find(left, right);
            if place != NO_MERGE && table.rank(place) + 1 < too_late {
                return false;
            }
            let (of_left, of_right) = (joined(left), joined(right));
            // Of equal ranks the left one is joined first, and what is across stands between them.
            if of_left > of_right {
                too_late = of_left;
                left = self.parts[left as usize].1;
            } else if of_right != FIRST {
                too_late = of_right + 1;
                right = self.parts[right as usize].0;
            } else {
                return true;
            }
        }
    }
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

/// The merges that can happen, in texts of known symbols, of a vocabulary whose tokens have ranks, which `merges` finds by their
/// texts; compiled, now if they are not yet. The same cost.
pub(super) fn compiled_of_ranks<'v>(
    vocabulary: &'v Vocabulary,
    merges: &impl Merges,
    rank: impl Fn(u32) -> Rank,
) -> Option<&'v PairTable> {
    vocabulary.compiled.get_or_compile(|| {
        let mut tokens: Vec<(Rank, u32)> = (0..vocabulary.len).map(|token| (rank(token), token)).collect();
        tokens.sort_unstable();
        let mut live = PairTableBuilder::new(tokens.len())?;
        let mut scratch = Scratch::default();
        for equal in tokens.chunk_by(|a, b| a.0 == b.0) {
            for &(rank, token) in equal {
                let key = vocabulary.keys().at(token);
                let makes_it = |parts: &Parts| {
                    merges.find(parts.left, parts.right, key).is_some_and(|(_, made)| made == token)
                };
                // Nearly all that happens within a token's text before its last merge is of a lower rank, and in a table that is small.
                // Of equal ranks each may come first.
                let parts = if equal.len() == 1 {
                    two_parts(vocabulary, token, live.borrow(), &mut scratch).filter(makes_it)
                } else {
                    None
                };
                let parts = parts.or_else(|| last_parts(vocabulary, token, merges, &mut scratch));
                if let Some(Parts { left, right, .. }) = parts {
                    live.push(left, right, rank, token)?;
                }
            }
        }
        Some(live.finish())
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

    /// Every token merged alone, with nothing taken from what is known of others.
    #[test]
    fn quick_and_slow_compilation_agree_on_real_vocabularies() {
        let Some(shared) = crate::unicode::tests::shared("vocab/gguf") else { return };
        for name in
            ["gpt-2", "llama-bpe", "qwen2", "gemma-4", "llama-spm", "phi-3", "gemma3-spm", "mistral-v1-spm"]
        {
            let bytes = crate::Bytes::from(std::fs::read(shared.join(format!("{name}.gguf"))).unwrap());
            let tokenizer = load(&Gguf::parse(bytes).unwrap(), OnUnknownPre::Guess).unwrap();
            let vocabulary = tokenizer.vocabulary();
            tokenizer.compile();
            let pairs = vocabulary.compiled.pairs().unwrap();
            let mut scratch = Scratch::default();
            let (mut merges, mut wrong) = (0, Vec::new());
            for token in 0..vocabulary.len {
                let parts = match &vocabulary.merges {
                    MergeTable::Lazy(lazy) => {
                        last_parts(vocabulary, token, &Lazily { vocabulary, lazy }, &mut scratch)
                    }
                    MergeTable::Listed(_) => {
                        last_parts(vocabulary, token, &ByScore(vocabulary), &mut scratch)
                    }
                };
                let Some(Parts { left, right, .. }) = parts else { continue };
                merges += 1;
                if pairs.product(pairs.find(left, right)) != token {
                    wrong.push((token, left, right));
                }
            }
            assert_eq!((wrong.first(), pairs.iter().count()), (None, merges), "{name}");
            println!("{name}: {merges} merges");
        }
    }

    /// As llama.cpp merges by scores.
    struct ByScore<'v>(&'v Vocabulary);

    impl Merges for ByScore<'_> {
        fn find(&self, _: u32, _: u32, text: &[u8]) -> Option<(Rank, u32)> {
            let token = self.0.token(text)?;
            Some((super::super::bpe::rank_of_score(self.0.score(token)), token))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn the_list_and_its_live_merges_give_the_same_ids(
            (toy, gaps) in toy(),
            texts in proptest::collection::vec(proptest::collection::vec(prop::sample::select(&LETTERS[..]), 1..160), 1..6),
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
