//! Trains vocabularies on a few pages of text: slowly, simply, and the same every time.

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// SentencePiece's space.
pub(crate) const SPACE: char = '▁';

/// A byte-level byte-pair vocabulary: the 256 bytes, then one token a merge.
pub(crate) struct ByteLevel {
    pub(crate) tokens: Vec<String>,
    pub(crate) merges: Vec<(String, String)>,
}

/// A vocabulary of pieces with scores: what SentencePiece trains.
pub(crate) struct Pieces {
    /// Characters of the text and joined ones, without control pieces and bytes.
    pub(crate) pieces: Vec<(String, f32)>,
}

/// Symbols of each word, with the number of times it occurs.
type Words = BTreeMap<Vec<String>, u64>;

/// Trains byte-level byte pairs on words as GPT-2 cuts them, roughly: a word keeps the space in front of it.
pub(crate) fn byte_level(text: &str, merges: usize) -> ByteLevel {
    let mut words = Words::new();
    for word in words_of(text) {
        *words.entry(word.bytes().map(|byte| byte_char(byte).to_string()).collect()).or_default() += 1;
    }
    let merges = pairs(words, merges, |left, right| format!("{left}{right}"));
    let mut alphabet: Vec<char> = (0..=255).map(byte_char).collect();
    alphabet.sort_unstable(); // GPT-2's order: bytes that print, then those that stand at 256 and above
    let joined = merges.iter().map(|(left, right)| format!("{left}{right}"));
    let tokens = alphabet.iter().map(char::to_string).chain(joined).collect();
    ByteLevel { tokens, merges }
}

/// Trains byte pairs as SentencePiece does: the score of a piece says when it was joined, characters come last.
pub(crate) fn sentencepiece_bpe(text: &str, merges: usize) -> Pieces {
    let words = escaped_words(text);
    let alphabet = alphabet(&words);
    let merges = pairs(words, merges, |left, right| format!("{left}{right}"));
    let joined = merges.into_iter().map(|(left, right)| left + &right);
    let scores = (0u16..).map(|i| -f32::from(i));
    Pieces { pieces: joined.chain(alphabet).zip(scores).collect() }
}

/// A unigram vocabulary: the pieces of [`sentencepiece_bpe`], each with the logarithm of how often the text has it.
pub(crate) fn unigram(text: &str, merges: usize) -> Pieces {
    let words = escaped_words(text);
    let mut pieces = sentencepiece_bpe(text, merges).pieces;
    let mut counts = Vec::new();
    for (piece, _) in &pieces {
        let of_word =
            |(word, times): (&Vec<String>, &u64)| word.concat().matches(piece).count() as u64 * times;
        counts.push(words.iter().map(of_word).sum::<u64>());
    }
    let total: u64 = counts.iter().sum();
    for ((_, score), count) in pieces.iter_mut().zip(counts) {
        // Rounded, since mathematics libraries differ in the last digits of a logarithm.
        *score = ((count as f64 / total as f64).ln() * 1000.0).round() as f32 / 1000.0;
    }
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Pieces { pieces }
}

/// A WordPiece vocabulary of lowercased words without accents: the tokens in the order of `vocab.txt`.
pub(crate) fn wordpiece(text: &str, merges: usize) -> Vec<String> {
    let plain: String = text.nfd().filter(|&c| !is_combining_mark(c)).flat_map(char::to_lowercase).collect();
    let mut words = Words::new();
    for word in plain.split_whitespace().flat_map(|word| word.split_inclusive(|c: char| !c.is_alphanumeric()))
    {
        // A sign that ends a word is a word of its own.
        let (word, sign) = match word.char_indices().last() {
            Some((at, c)) if !c.is_alphanumeric() => word.split_at(at),
            _ => (word, ""),
        };
        for word in [word, sign].into_iter().filter(|word| !word.is_empty()) {
            let symbols = word.chars().enumerate();
            let symbols = symbols.map(|(i, c)| if i == 0 { c.to_string() } else { format!("##{c}") });
            *words.entry(symbols.collect()).or_default() += 1;
        }
    }
    let alphabet = alphabet(&words);
    let join = |left: &str, right: &str| format!("{left}{}", right.trim_start_matches("##"));
    let joined: Vec<String> =
        pairs(words, merges, join).iter().map(|(left, right)| join(left, right)).collect();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    // Two pairs may join to one token.
    let mut seen = BTreeSet::new();
    special.into_iter().chain(alphabet).chain(joined).filter(|token| seen.insert(token.clone())).collect()
}

/// The character that stands for a byte in GPT-2's vocabularies.
pub(crate) fn byte_char(byte: u8) -> char {
    let prints = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..);
    if prints(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&byte| !prints(byte)).count() as u32;
    char::from_u32(256 + before).expect("below U+0144")
}

/// The bytes of a token of a [`ByteLevel`] vocabulary.
pub(crate) fn token_bytes(token: &str) -> Vec<u8> {
    let byte = |c| (0..=255).find(|&byte| byte_char(byte) == c).expect("a token is made of byte characters");
    token.chars().map(byte).collect()
}

/// Joins the most frequent pair again and again, of equally frequent ones the first in order, while it occurs twice.
fn pairs(mut words: Words, most: usize, join: impl Fn(&str, &str) -> String) -> Vec<(String, String)> {
    let mut merges = Vec::new();
    while merges.len() < most {
        let mut counts = BTreeMap::<(&str, &str), u64>::new();
        for (word, times) in &words {
            for pair in word.windows(2) {
                *counts.entry((&pair[0], &pair[1])).or_default() += times;
            }
        }
        let best = counts.into_iter().rev().max_by_key(|&(_, times)| times);
        let Some(((left, right), 2..)) = best else { break };
        let (left, right) = (left.to_owned(), right.to_owned());
        let joined = join(&left, &right);
        let old = std::mem::take(&mut words);
        for (word, times) in old {
            let mut symbols = Vec::with_capacity(word.len());
            let mut rest = word.as_slice();
            while let Some((first, others)) = rest.split_first() {
                if *first == left && others.first() == Some(&right) {
                    symbols.push(joined.clone());
                    rest = &others[1..];
                } else {
                    symbols.push(first.clone());
                    rest = others;
                }
            }
            *words.entry(symbols).or_default() += times;
        }
        merges.push((left, right));
    }
    merges
}

/// Symbols that occur twice or more, in order.
fn alphabet(words: &Words) -> Vec<String> {
    let mut counts = BTreeMap::<&String, u64>::new();
    for (word, times) in words {
        for symbol in word {
            *counts.entry(symbol).or_default() += times;
        }
    }
    counts.into_iter().filter(|&(_, times)| times > 1).map(|(symbol, _)| symbol.clone()).collect()
}

/// Runs of letters, of up to three digits, or of other signs, each with one space in front if there is one; other white
/// space alone.
fn words_of(text: &str) -> Vec<&str> {
    let class = |c: char| match c {
        c if c.is_alphabetic() || is_combining_mark(c) => 0,
        c if c.is_numeric() => 1,
        c if c.is_whitespace() => 2,
        _ => 3,
    };
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let space = usize::from(first == ' ' && rest[1..].starts_with(|c| class(c) != 2));
        let of = rest[space..].chars().next().map_or(2, class);
        let most = if of == 1 { 3 } else { usize::MAX };
        let run: usize =
            rest[space..].chars().take_while(|&c| class(c) == of).take(most).map(char::len_utf8).sum();
        // Of a run of white space, the last space goes to the word behind it.
        let ends_in_space =
            of == 2 && space == 0 && rest[..run].ends_with(' ') && run > 1 && run < rest.len();
        let (word, behind) = rest.split_at(space + run - usize::from(ends_in_space));
        words.push(word);
        rest = behind;
    }
    words
}

/// Words with `▁` for each space, cut in front of it.
fn escaped_words(text: &str) -> Words {
    let mut words = Words::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut word = Vec::new();
        let mut before = SPACE;
        for c in std::iter::once(SPACE).chain(line.chars().map(|c| if c == ' ' { SPACE } else { c })) {
            if c == SPACE && before != SPACE {
                *words.entry(std::mem::take(&mut word)).or_default() += 1;
            }
            word.push(c.to_string());
            before = c;
        }
        *words.entry(word).or_default() += 1;
    }
    words
}
