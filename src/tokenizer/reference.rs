//! The algorithms of llama.cpp's vocabularies as a book would write them, slow and short, against the engines: random
//! vocabularies, random texts, invalid bytes included. Everything goes through a GGUF file, as it does for a user.

use std::collections::HashMap;

use proptest::prelude::*;

use super::Tokenizer;
use crate::encode::{EncodeError, Special};
use crate::formats::FormatError;
use crate::formats::gguf::{OnUnknownPre, load};
use crate::gguf::{Gguf, GgufBuilder};
use crate::unicode::{self, Category};
use crate::vocabulary::charsmap_for_tests;

/// A token as a file has it: text, score, type.
type Token = (Vec<u8>, f32, i32);

const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

fn file(model: &str, tokens: &[Token]) -> GgufBuilder {
    GgufBuilder::new()
        .string("tokenizer.ggml.model", model)
        .strings("tokenizer.ggml.tokens", tokens.iter().map(|(text, ..)| text))
        .f32s("tokenizer.ggml.scores", tokens.iter().map(|&(_, score, _)| score))
        .i32s("tokenizer.ggml.token_type", tokens.iter().map(|&(.., kind)| kind))
}

fn try_build(file: GgufBuilder) -> Result<Tokenizer, FormatError> {
    load(&Gguf::parse(file.finish()).unwrap(), OnUnknownPre::Refuse)
}

fn build(file: GgufBuilder) -> Tokenizer {
    try_build(file).unwrap()
}

/// Ids of the text twice, the second time with whatever was remembered of the first; they must not differ, nor from the ids that
/// come with places, which must lie in the text and in order.
fn encode(tokenizer: &Tokenizer, text: &[u8], special: Special) -> Vec<u32> {
    let ids = tokenizer.encode_bytes(text, special).unwrap();
    assert_eq!(tokenizer.encode_bytes(text, special).unwrap(), ids);
    if let Ok(text) = std::str::from_utf8(text) {
        let encoding = tokenizer.encode_with_offsets(text, special).unwrap();
        assert_eq!(encoding.ids, ids);
        let starts = encoding.offsets.iter().map(|range| range.start);
        assert!(starts.is_sorted(), "{:?}", encoding.offsets);
        assert!(encoding.offsets.iter().all(|range| range.start <= range.end && range.end <= text.len()));
        assert_eq!(tokenizer.count(text, special).unwrap(), ids.len());
    }
    ids
}

/// Parts of texts and tokens, so short and few that they often meet.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let parts: Vec<&[u8]> = vec![
        b"a",
        b"b",
        b"ab",
        b"A",
        b" ",
        b"  ",
        b"!",
        b"\n",
        "▁".as_bytes(),
        "é".as_bytes(),
        "e\u{301}".as_bytes(),
        "\u{301}".as_bytes(),
        "漢".as_bytes(),
        "각".as_bytes(),
        "İ".as_bytes(),
        "\u{200D}".as_bytes(),
        "\u{FFFD}".as_bytes(),
        "\u{FEFF}".as_bytes(),
        b"\xFF",
        b"\xE2",
        b"\x96",
        b"\xED\xA0\x80",
    ];
    // The first ones more often, so that words come about.
    (0..parts.len() * 2).prop_map(move |i| parts[if i < parts.len() { i } else { i % 6 }].to_vec())
}

fn bytes(parts: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(part(), parts).prop_map(|parts| parts.concat())
}

fn score() -> impl Strategy<Value = f32> {
    prop_oneof![
        (-8i8..3).prop_map(|score| f32::from(score) / 2.0),
        -20f32..0.0,
        Just(0.1),
        Just(-0.3),
        Just(-1e-30),
        // With the scores above: sums stop being exact after a few words, or at once.
        Just(-3e6),
        Just(-1e20),
    ]
}

/// Tokens with different texts, the first of them unknown.
fn tokens(kinds: &'static [i32]) -> impl Strategy<Value = Vec<Token>> {
    let kind = (0..kinds.len() * 4).prop_map(move |i| kinds.get(i).copied().unwrap_or(NORMAL));
    prop::collection::vec((bytes(1..4), score(), kind), 0..40).prop_map(|tokens| {
        let mut all: Vec<Token> = vec![(b"<unk>".to_vec(), 0.0, 2)];
        for token in tokens {
            if all.iter().all(|(text, ..)| *text != token.0) {
                all.push(token);
            }
        }
        all
    })
}

/// The text cut at its user-defined tokens: each in turn, the longest first, takes all its places in what the ones before it left.
fn fragments(tokens: &[Token], text: &[u8]) -> Vec<Result<u32, Vec<u8>>> {
    let mut special: Vec<(u32, &[u8])> = (0..)
        .zip(tokens)
        .filter(|(_, (.., kind))| *kind == USER_DEFINED)
        .map(|(id, (text, ..))| (id, &text[..]))
        .collect();
    special.sort_by_key(|(id, text)| (std::cmp::Reverse(text.len()), *id));
    let mut fragments = vec![Err(text.to_vec())];
    for (id, token) in special {
        let mut next = Vec::new();
        for fragment in fragments {
            let Err(mut rest) = fragment else {
                next.push(fragment);
                continue;
            };
            while let Some(at) = rest.windows(token.len()).position(|window| window == token) {
                next.push(Err(rest[..at].to_vec()));
                next.push(Ok(id));
                rest = rest[at + token.len()..].to_vec();
            }
            next.push(Err(rest));
        }
        fragments = next;
    }
    fragments.retain(|fragment| *fragment != Err(Vec::new()));
    fragments
}

fn ids(tokens: &[Token], text: &[u8], raw: impl Fn(&[u8]) -> Vec<u32>) -> Vec<u32> {
    let fragments = fragments(tokens, text).into_iter();
    fragments.flat_map(|fragment| fragment.map_or_else(|text| raw(&text), |id| vec![id])).collect()
}

fn characters(text: &[u8]) -> Vec<u32> {
    let mut at = 0;
    std::iter::from_fn(|| {
        let (character, len) = unicode::decode(text, at);
        at += len;
        (len > 0).then_some(character)
    })
    .collect()
}

fn utf8(characters: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    for &character in characters {
        unicode::encode(character, &mut out);
    }
    out
}

fn by_text(tokens: &[Token]) -> HashMap<&[u8], u32> {
    tokens.iter().map(|(text, ..)| &text[..]).zip(0..).collect()
}

// ---- WordPiece

fn wordpiece(tokens: &[Token], lowercase: bool, strip_accents: bool, text: &[u8]) -> Vec<u32> {
    let mut words: Vec<Vec<u32>> = vec![Vec::new()];
    for character in characters(text) {
        let character = if strip_accents { unicode::nfd_first(character) } else { character };
        let category = unicode::category(character);
        if unicode::is_whitespace(character) {
            words.push(Vec::new());
            continue;
        }
        if character == 0 || character == 0xFFFD || category == Category::Control {
            continue;
        }
        if strip_accents && category == Category::Mark {
            continue;
        }
        let out = if lowercase { unicode::lower(character) } else { character };
        let chinese = (0x4E00..=0x9FFF).contains(&character);
        if category == Category::Punctuation || character < 0x7F && category == Category::Symbol || chinese {
            words.push(vec![out]);
            words.push(Vec::new());
        } else {
            words.last_mut().unwrap().push(out);
        }
    }
    let by_text = by_text(tokens);
    let mut ids = Vec::new();
    for word in words.into_iter().filter(|word| !word.is_empty()) {
        let word = [SPACE, &utf8(&word)].concat();
        let before = ids.len();
        let mut at = 0;
        while at < word.len() {
            let mut ends = (at + 1..=word.len()).rev();
            if let Some((end, id)) = ends.find_map(|end| Some((end, *by_text.get(&word[at..end])?))) {
                ids.push(id);
                at = end;
            } else {
                ids.truncate(before);
                ids.push(0);
                break;
            }
        }
    }
    ids
}

const SPACE: &[u8] = "▁".as_bytes();

// ---- Unigram

#[derive(Clone, Copy, Debug)]
struct Rules {
    nfc: bool,
    prefix: bool,
    collapse: bool,
    map: bool,
}

fn unigram(tokens: &[Token], rules: Rules, text: &[u8]) -> Vec<u32> {
    let text = if rules.nfc { unicode::nfc(text).into_owned() } else { text.to_vec() };
    let text = normalized(tokens, rules, &text);
    let pieces: Vec<(u32, &Token)> =
        (0..).zip(tokens).filter(|(_, t)| [NORMAL, USER_DEFINED, UNUSED].contains(&t.2)).collect();
    let lowest = tokens.iter().filter(|t| t.2 == NORMAL).map(|t| t.1).fold(f32::MAX, f32::min);
    let unknown_score = f64::from(lowest - 10.0);

    let mut best = vec![(f64::MIN, 0, 0); text.len() + 1];
    best[0].0 = 0.0;
    let mut at = 0;
    while at < text.len() {
        let step = unicode::utf8_len(text[at]).min(text.len() - at);
        let mut matching: Vec<_> = pieces.iter().filter(|(_, t)| text[at..].starts_with(&t.0)).collect();
        matching.sort_by_key(|(_, t)| t.0.len());
        let mut candidates: Vec<(usize, f64, u32)> = matching
            .iter()
            .map(|(id, t)| (t.0.len(), if t.2 == USER_DEFINED { 0.0 } else { f64::from(t.1) }, *id))
            .collect();
        if candidates.iter().all(|&(len, ..)| len != step) {
            candidates.push((step, unknown_score, 0));
        }
        for (len, score, id) in candidates {
            let sum = best[at].0 + score;
            if sum > best[at + len].0 {
                best[at + len] = (sum, at, id);
            }
        }
        at += step;
    }
    let mut ids = Vec::new();
    let mut end = text.len();
    while end > 0 {
        ids.push(best[end].2);
        end = best[end].1;
    }
    ids.reverse();
    ids.dedup_by(|b, a| *a == 0 && *b == 0);
    ids
}

fn normalized(tokens: &[Token], rules: Rules, text: &[u8]) -> Vec<u8> {
    let map: &[(&[u8], &[u8])] = if rules.map {
        &[(b"ab", b""), (b"a", b"x"), ("é".as_bytes(), b"e "), ("e\u{301}".as_bytes(), b"E")]
    } else {
        &[]
    };
    let mut out = Vec::new();
    let (mut in_word, mut prefixed) = (false, false);
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let common = |token: &[u8]| token.iter().zip(rest).take_while(|(a, b)| a == b).count();
        let user_defined =
            tokens.iter().filter(|t| t.2 == USER_DEFINED).map(|t| common(&t.0)).max().unwrap_or(0);
        let (replacement, len) = if user_defined > 0 {
            (&rest[..user_defined], user_defined)
        } else if let Some((from, to)) = map.iter().find(|(from, _)| rest.starts_with(from)) {
            (*to, from.len())
        } else {
            match unicode::decode(rest, 0) {
                (0xFFFD, 1) => ("\u{FFFD}".as_bytes(), 1),
                (_, len) => (&rest[..len], len),
            }
        };
        for &byte in replacement {
            if byte == b' ' {
                in_word = false;
                if !rules.collapse {
                    out.extend_from_slice(SPACE);
                }
            } else {
                if !in_word {
                    in_word = true;
                    if rules.prefix && !prefixed || rules.collapse {
                        out.extend_from_slice(SPACE);
                        prefixed = true;
                    }
                }
                out.push(byte);
            }
        }
        at += len;
    }
    out
}

fn unigram_file(tokens: &[Token], rules: Rules) -> GgufBuilder {
    let file = file("t5", tokens)
        .u32("tokenizer.ggml.unknown_token_id", 0)
        .bool("tokenizer.ggml.add_eos_token", false)
        .bool("tokenizer.ggml.add_space_prefix", rules.prefix)
        .bool("tokenizer.ggml.remove_extra_whitespaces", rules.collapse)
        .bool("tokenizer.ggml.normalizer.nfc", rules.nfc);
    if rules.map { file.u8s("tokenizer.ggml.precompiled_charsmap", charsmap_for_tests()) } else { file }
}

// ---- PLaMo

fn byte_tokens() -> impl Iterator<Item = Token> {
    (0..256).map(|byte| (format!("<0x{byte:02X}>").into_bytes(), 0.0, BYTE))
}

/// `tokens` without those for bytes, which have the ids from 1 to 256.
fn plamo(tokens: &[Token], text: &[u32]) -> Vec<u32> {
    let pieces: Vec<(u32, Vec<u32>, i64)> = (0..)
        .zip(tokens)
        .map(|(id, t)| (if id == 0 { 0 } else { id + 256 }, characters(&t.0), (f64::from(t.1) * 1e4).round()))
        .filter(|&(.., q)| q > -2e7 && q < 2e9)
        .map(|(id, piece, q)| (id, piece, q as i64))
        .collect();
    // The cost from each character to the end, and the first step of the cheapest way: a piece and its length.
    let mut ways: Vec<(i64, Option<(u32, usize)>)> = vec![(0, None); text.len() + 1];
    for at in (0..text.len()).rev() {
        let mut matching: Vec<_> =
            pieces.iter().filter(|(_, piece, _)| text[at..].starts_with(piece)).collect();
        matching.sort_by_key(|(_, piece, _)| std::cmp::Reverse(piece.len()));
        let mut best: Option<(i64, Option<(u32, usize)>)> = None;
        for (id, piece, q) in matching {
            let cost = ways[at + piece.len()].0 - q;
            if best.is_none_or(|best| cost < best.0) {
                best = Some((cost, Some((*id, piece.len()))));
            }
        }
        let cost = ways[at + 1].0 + 10_000_000;
        if best.is_none_or(|best| cost < best.0) {
            best = Some((cost, None));
        }
        ways[at] = best.unwrap();
    }
    let mut ids = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if let Some((id, len)) = ways[at].1 {
            ids.push(id);
            at += len;
        } else {
            ids.extend(utf8(&text[at..=at]).iter().map(|&byte| u32::from(byte) + 1));
            at += 1;
        }
    }
    ids
}

fn plamo3(tokens: &[Token], text: &[u32]) -> Vec<u32> {
    let mark: Vec<u32> = "<|plamo:".chars().map(u32::from).collect();
    let mut cuts = vec![false; text.len() + 1];
    let mut at = 0;
    while at < text.len() {
        let mut end = at + mark.len();
        if text[at..].starts_with(&mark) {
            let body =
                |&c: &u32| c != u32::from(b'|') && !unicode::is_whitespace(c) && !(0x1C..=0x1F).contains(&c);
            end += text[end..].iter().take(64).take_while(|c| body(c)).count();
            if text[end..].starts_with(&[u32::from(b'|'), u32::from(b'>')]) {
                (cuts[at], cuts[end + 2]) = (true, true);
                at = end + 2;
                continue;
            }
        }
        at += 1;
    }
    let marks = cuts.clone();
    let mut at = 0;
    while at < text.len() {
        let mut end = at + 1;
        while end < text.len() && text[end] == text[at] && !marks[end] {
            end += 1;
        }
        let space = text[at] == u32::from(b' ');
        if end - at >= 4 && text[at] != u32::from(b'\n') || space && end - at >= 2 {
            (cuts[at], cuts[end]) = (true, true);
        }
        at = end;
    }
    let mut ids = Vec::new();
    let mut segment = Vec::new();
    for (i, &character) in text.iter().enumerate() {
        if cuts[i] {
            ids.extend(plamo(tokens, &std::mem::take(&mut segment)));
        }
        if character == 0xEE00 {
            ids.extend(plamo(tokens, &std::mem::take(&mut segment)));
        } else {
            segment.push(character);
        }
    }
    ids.extend(plamo(tokens, &segment));
    ids
}

fn plamo_file(model: &str, tokens: &[Token]) -> GgufBuilder {
    let mut all = vec![tokens[0].clone()];
    all.extend(byte_tokens());
    all.extend_from_slice(&tokens[1..]);
    file(model, &all)
}

// ---- RWKV

fn rwkv(tokens: &[Token], text: &[u8]) -> Vec<u32> {
    let mut ids = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let matching = (0..).zip(tokens).filter(|(_, t)| text[at..].starts_with(&t.0));
        let longest = matching.max_by_key(|(_, t)| t.0.len());
        ids.push(longest.as_ref().map_or(u32::MAX, |&(id, _)| id));
        at += longest.map_or(1, |(_, t)| t.0.len());
    }
    ids
}

/// As in the files: everything that is not printable ASCII as `\xHH`.
fn escaped(tokens: &[Token]) -> Vec<Token> {
    let byte = |&byte: &u8| match byte {
        b'\n' => "\\n".into(),
        b'\\' => "\\\\".into(),
        0x20..=0x7E => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    tokens
        .iter()
        .map(|(text, score, kind)| (text.iter().map(byte).collect::<String>().into(), *score, *kind))
        .collect()
}

// ---- DNA

#[derive(Debug, PartialEq)]
enum Dna {
    Text(String),
    Token(u32),
}

const BEGIN: u32 = 1;
const END: u32 = 2;
const OOV: u32 = 3;

fn group(text: &str) -> u32 {
    // A token for every second group of six, and for no shorter one but those of A and C.
    let sum: u32 = text.bytes().map(u32::from).sum();
    if sum.is_multiple_of(2) || text.ends_with('N') && text.contains(['G', 'T']) { OOV } else { 100 + sum }
}

fn sequence(text: &str, begin: bool, end: bool, out: &mut Vec<Dna>) {
    out.extend(begin.then_some(Dna::Token(BEGIN)));
    let characters: Vec<char> = text.trim().chars().map(|c| c.to_ascii_uppercase()).collect();
    for six in characters.chunks(6) {
        let whole = six.iter().all(|&c| "ACGT".contains(c));
        let padded = six.iter().copied().chain(std::iter::repeat('N')).take(6).collect::<String>();
        out.push(Dna::Token(if whole { group(&padded) } else { OOV }));
    }
    out.extend(end.then_some(Dna::Token(END)));
}

fn dna(text: &str, auto_tags: bool, out: &mut Vec<Dna>) {
    match (text.find("<dna>"), text.find("</dna>")) {
        (None, None) if auto_tags => untagged(text, out),
        (None, None) => out.extend((!text.is_empty()).then(|| Dna::Text(text.into()))),
        (start, Some(end)) if start.is_none_or(|start| end < start) => {
            sequence(&text[..end], false, true, out);
            dna(&text[end + 6..], auto_tags, out);
        }
        (Some(start), end) => {
            dna(&text[..start], auto_tags, out);
            sequence(&text[start + 5..end.unwrap_or(text.len())], true, end.is_some(), out);
            if let Some(end) = end {
                dna(&text[end + 6..], auto_tags, out);
            }
        }
        (None, Some(_)) => unreachable!(),
    }
}

fn untagged(text: &str, out: &mut Vec<Dna>) {
    let mut rest = String::new();
    for run in text.split_inclusive(|c: char| !"ACGTRYSWKMBDHVN".contains(c.to_ascii_uppercase())) {
        let letters = run.trim_end_matches(|c: char| !"ACGTRYSWKMBDHVN".contains(c.to_ascii_uppercase()));
        let ambiguous = letters.chars().filter(|c| !"ACGT".contains(c.to_ascii_uppercase())).count();
        if ambiguous == 0 && letters.len() >= 6 || letters.len() >= 12 && 5 * ambiguous <= letters.len() {
            out.extend((!rest.is_empty()).then(|| Dna::Text(std::mem::take(&mut rest))));
            sequence(letters, true, true, out);
            rest.push_str(&run[letters.len()..]);
        } else {
            rest.push_str(run);
        }
    }
    out.extend((!rest.is_empty()).then_some(Dna::Text(rest)));
}

proptest! {
    #[test]
    fn dna_is_cut_in_sixes(
        parts in prop::collection::vec("<dna>|</dna>|[ACGTacgt]{1,14}|[ACGTacgt]{8}[nR][ACGT]{5,9}| |x|é|\u{2003}", 0..12),
        auto_tags: bool,
    ) {
        let text = parts.concat();
        let token = |name: &str| match name {
            "<dna>" => Some(BEGIN),
            "</dna>" => Some(END),
            "<oov>" => Some(OOV),
            _ => Some(group(name.strip_suffix('\u{E000}')?)).filter(|&id| id != OOV || name.starts_with("ANNNNN")),
        };
        let engine = crate::split::dna::Dna::new(auto_tags, token).unwrap();
        let mut found = Vec::new();
        engine.parts(text.as_bytes(), &mut |part| match part {
            crate::split::dna::Part::Token(id, _) => found.push(Dna::Token(id)),
            crate::split::dna::Part::Text(range) if auto_tags => {
                let text = &text[range];
                engine.untagged(text.as_bytes(), &mut |part| found.push(match part {
                    crate::split::dna::Part::Token(id, _) => Dna::Token(id),
                    crate::split::dna::Part::Text(range) => Dna::Text(text[range].into()),
                }));
            }
            crate::split::dna::Part::Text(range) => found.push(Dna::Text(text[range].into())),
        });
        let mut expected = Vec::new();
        dna(&text, auto_tags, &mut expected);
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn spaced_dna_is_what_the_pattern_finds() {
    let pattern =
        fancy_regex::Regex::new("(?<![A-Za-z])[ACGT]{1,5}(?:[ \\t]+[ACGT]{1,5}){5,}(?![A-Za-z])").unwrap();
    let joined = |text: &str| {
        let blank = |c: char| matches!(c, ' ' | '\t');
        let whole = |found: &fancy_regex::Captures<'_, str>| {
            let found = &found[0];
            let bases = found.replace(blank, "");
            if bases.len() >= 12 { bases } else { found.to_owned() }
        };
        pattern.replace_all(text, whole).into_owned()
    };
    proptest!(ProptestConfig::with_cases(2000), |(parts in prop::collection::vec("[ACGT]{1,6}[ \t]{0,2}|[ACGT]{2,5} |x|é| |N", 0..24))| {
        let text = parts.concat();
        let kept = crate::split::dna::unspaced(text.as_bytes());
        let kept = kept.map_or(text.clone(), |kept| kept.into_iter().map(|range| &text[range]).collect());
        prop_assert_eq!(kept, joined(&text));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn wordpiece_is_greedy(
        tokens in tokens(&[CONTROL, UNUSED]),
        texts in prop::collection::vec(bytes(0..24), 1..4),
        lowercase: bool,
        strip_accents: bool,
    ) {
        let mut tokens = tokens;
        for i in 1..tokens.len() / 2 {
            tokens[i].0.splice(..0, SPACE.iter().copied());
        }
        tokens.sort_by(|a, b| a.0.cmp(&b.0));
        tokens.dedup_by(|b, a| a.0 == b.0);
        let unk = tokens.iter().position(|t| t.0 == b"<unk>").unwrap();
        tokens.swap(0, unk);
        let file = file("bert", &tokens)
            .u32("tokenizer.ggml.unknown_token_id", 0)
            .bool("tokenizer.ggml.normalizer.lowercase", lowercase)
            .bool("tokenizer.ggml.normalizer.strip_accents", strip_accents);
        let tokenizer = build(file);
        for text in texts {
            prop_assert_eq!(
                encode(&tokenizer, &text, Special::Ignore),
                wordpiece(&tokens, lowercase, strip_accents, &text)
            );
        }
    }

    #[test]
    fn unigram_is_the_best_path(
        tokens in tokens(&[CONTROL, UNUSED, USER_DEFINED]),
        texts in prop::collection::vec(bytes(0..24), 1..4),
        (nfc, prefix, collapse, map) in any::<(bool, bool, bool, bool)>(),
    ) {
        let rules = Rules { nfc, prefix, collapse, map };
        let tokenizer = build(unigram_file(&tokens, rules));
        for text in texts {
            prop_assert_eq!(
                encode(&tokenizer, &text, Special::Ignore),
                ids(&tokens, &text, |text| unigram(&tokens, rules, text))
            );
        }
    }

    #[test]
    fn plamo_is_the_cheapest_path(tokens in tokens(&[CONTROL, UNUSED]), texts in prop::collection::vec(bytes(0..24), 1..4)) {
        // Tokens that differ in invalid bytes only are the same characters; which of them counts is not defined.
        let mut tokens = tokens;
        tokens.retain(|t| unicode::repair(&t.0) == t.0);
        let two = build(plamo_file("plamo2", &tokens));
        let three = build(plamo_file("plamo3", &tokens));
        for text in texts {
            let text = [&text[..], "<|plamo:a|>\u{EE00}".as_bytes(), &text[..]].concat();
            let characters = characters(&text);
            let bare = characters.strip_prefix(&[0xFEFF]).unwrap_or(&characters);
            prop_assert_eq!(encode(&two, &text, Special::Ignore), plamo(&tokens, bare));
            prop_assert_eq!(encode(&three, &text, Special::Ignore), plamo3(&tokens, &characters));
        }
    }

    #[test]
    fn rwkv_takes_the_longest_token(tokens in tokens(&[CONTROL]), texts in prop::collection::vec(bytes(0..24), 1..4)) {
        let tokenizer = build(file("rwkv", &escaped(&tokens)));
        for text in texts {
            prop_assert_eq!(encode(&tokenizer, &text, Special::Ignore), rwkv(&tokens, &text));
        }
    }
}

// ---- What llama.cpp aborts on, and other edges

fn token(text: impl AsRef<[u8]>, score: f32, kind: i32) -> Token {
    (text.as_ref().to_vec(), score, kind)
}

fn offsets(tokenizer: &Tokenizer, text: &str) -> Vec<(u32, std::ops::Range<usize>)> {
    let encoding = tokenizer.encode_with_offsets(text, Special::Ignore).unwrap();
    encoding.ids.into_iter().zip(encoding.offsets).collect()
}

const PLAIN: Rules = Rules { nfc: false, prefix: true, collapse: true, map: false };

#[test]
fn places_of_collapsed_spaces_and_of_unknown_runs() {
    let tokens = [
        token("<unk>", 0.0, 2),
        token("▁a", -1.0, NORMAL),
        token("▁", -2.0, NORMAL),
        token("b", -1.0, NORMAL),
    ];
    let tokenizer = build(unigram_file(&tokens, PLAIN));
    assert_eq!(offsets(&tokenizer, " a   b漢語"), [(1, 0..2), (2, 2..5), (3, 5..6), (0, 6..12)]);
}

#[test]
fn places_of_composed_and_replaced_characters() {
    let tokens = [
        token("<unk>", 0.0, 2),
        token("▁é", -1.0, NORMAL),
        token("é", -1.0, NORMAL),
        token("x", -1.0, NORMAL),
    ];
    let tokenizer = build(unigram_file(&tokens, Rules { nfc: true, ..PLAIN }));
    assert_eq!(offsets(&tokenizer, "e\u{301}xe\u{301}"), [(1, 0..3), (3, 3..4), (2, 4..7)]);
    let tokens = [
        token("<unk>", 0.0, 2),
        token("▁", -1.0, NORMAL),
        token("e", -1.0, NORMAL),
        token("x", -1.0, NORMAL),
    ];
    let tokenizer = build(unigram_file(&tokens, Rules { map: true, ..PLAIN }));
    assert_eq!(offsets(&tokenizer, "aéa"), [(1, 0..0), (3, 0..1), (2, 1..3), (1, 1..3), (3, 3..4)]);
}

#[test]
fn places_of_words_that_lost_their_accents() {
    let tokens = [
        token("[UNK]", 0.0, CONTROL),
        token("▁ca", 0.0, NORMAL),
        token("fe", 0.0, NORMAL),
        token("▁!", 0.0, NORMAL),
    ];
    let tokenizer = build(file("bert", &tokens).u32("tokenizer.ggml.unknown_token_id", 0));
    assert_eq!(offsets(&tokenizer, " CaFé! x"), [(1, 1..3), (2, 3..6), (3, 6..7), (0, 8..9)]);
}

#[test]
fn a_wordpiece_text_is_framed_whatever_the_file_says() {
    let tokens = [
        token("[UNK]", 0.0, CONTROL),
        token("[CLS]", 0.0, CONTROL),
        token("[SEP]", 0.0, CONTROL),
        token("▁a", 0.0, NORMAL),
    ];
    let file = || {
        file("bert", &tokens)
            .u32("tokenizer.ggml.unknown_token_id", 0)
            .bool("tokenizer.ggml.add_bos_token", false)
    };
    let framed =
        build(file().u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.seperator_token_id", 2));
    assert_eq!(framed.encode("a", Special::Add).unwrap(), [1, 3, 2]);
    assert!(framed.add_bos() && framed.add_eos());
    // llama.cpp aborts: the default ids are above the last one.
    let unframed = build(file().u32("tokenizer.ggml.bos_token_id", 1));
    assert!(matches!(unframed.encode("a", Special::Add), Err(EncodeError::NoSpecialToken { name: "sep" })));
    assert_eq!(unframed.encode("a", Special::Ignore).unwrap(), [3]);
}

#[test]
fn a_word_without_unknown_token_is_no_id() {
    let tokenizer = build(file("bert", &[token("▁a", 0.0, NORMAL)]));
    assert_eq!(tokenizer.encode("a b a", Special::Ignore).unwrap(), [0, u32::MAX, 0]);
}

#[test]
fn a_first_byte_that_is_only_a_prefix_is_unknown() {
    // llama.cpp starts over at the front of the text, for ever.
    let tokens = [token("<s>", 0.0, CONTROL), token("b", 0.0, NORMAL), token("\\n", 0.0, NORMAL)];
    let tokenizer = build(file("rwkv", &tokens).u32("tokenizer.ggml.unknown_token_id", 1));
    assert_eq!(tokenizer.encode("<b\n", Special::Ignore).unwrap(), [1, 1, 2]);
    assert_eq!(tokenizer.encode("<s>b", Special::AddAndParse).unwrap(), [0, 1]);
    assert!(!tokenizer.add_bos());
}

#[test]
fn rwkv_escapes() {
    use crate::model::rwkv::unescape;
    assert_eq!(unescape(br"a\t\n\r\x0a\xff\\\'\q"), b"a\t\n\r\x0A\xFF\\'q");
    assert_eq!(unescape(br"a\"), b"a");
    assert_eq!(unescape(br"a\x"), b"a");
    assert_eq!(unescape(br"a\x1"), b"a");
}

#[test]
fn plamo_needs_every_byte() {
    let tokens: Vec<Token> = std::iter::once(token("<unk>", 0.0, 2)).chain(byte_tokens()).collect();
    assert_eq!(build(file("plamo2", &tokens)).encode("a", Special::Ignore).unwrap(), [u32::from(b'a') + 1]);
    let error = try_build(file("plamo2", &tokens[..200])).unwrap_err();
    assert!(error.to_string().contains("<0xC7>"), "{error}");
    let error = try_build(file("plamo2", &tokens[1..])).unwrap_err();
    assert!(error.to_string().contains("<0x00>"), "{error}");
}

#[test]
fn white_space_only_separates() {
    let tokens = [token("a", 0.0, NORMAL), token("b", 0.0, NORMAL), token("ab", 0.0, NORMAL)];
    let file = || {
        file("whitespace", &tokens)
            .string("tokenizer.ggml.pre", "whitespace")
            .strings("tokenizer.ggml.merges", ["a b"])
    };
    let tokenizer = build(file());
    assert_eq!(offsets(&tokenizer, " ab\u{2003}a  b"), [(2, 1..3), (0, 6..7), (1, 9..10)]);
    assert!(tokenizer.encode("AB", Special::Ignore).unwrap().is_empty());
    let lower = build(file().bool("tokenizer.ggml.normalizer.lowercase", true));
    assert_eq!(offsets(&lower, "AB aB"), [(2, 0..2), (2, 3..5)]);
}

#[test]
fn no_vocabulary_is_an_answer_of_its_own() {
    for model in ["none", "no_vocab"] {
        assert!(matches!(try_build(file(model, &[])), Err(FormatError::NoVocabulary)));
    }
    assert!(matches!(
        try_build(file("test", &[token("a", 0.0, NORMAL)])),
        Err(FormatError::UnsupportedModel { .. })
    ));
}

#[test]
fn a_broken_charsmap_is_an_error() {
    let tokens = [token("<unk>", 0.0, 2), token("▁", -1.0, NORMAL)];
    let map = |bytes: &[u8]| {
        unigram_file(&tokens, PLAIN).u8s("tokenizer.ggml.precompiled_charsmap", bytes.iter().copied())
    };
    // Empty, and without replacements.
    for bytes in [&b""[..], b"\0\0\0", b"\0\0\0\0", b"\x04\0\0\0\0\0\0\0"] {
        assert!(matches!(try_build(map(bytes)), Err(FormatError::Malformed { .. })), "{bytes:?}");
    }
    // An array without a unit is noticed by the first text.
    let tokenizer = build(map(b"\0\0\0\0x\0"));
    assert!(tokenizer.encode("", Special::Ignore).unwrap().is_empty());
    assert!(matches!(tokenizer.encode("a", Special::Ignore), Err(EncodeError::Charsmap { .. })));
}

#[test]
fn one_long_word_takes_no_more_than_its_length_asks_for() {
    let tokens = [
        token("<unk>", 0.0, 2),
        token("▁", -1.0, NORMAL),
        token("a", -1.0, NORMAL),
        token("aaaaaaaa", -2.0, NORMAL),
    ];
    let text = "a".repeat(1 << 20);
    let ids = build(unigram_file(&tokens, PLAIN)).encode(&text, Special::Ignore).unwrap();
    assert_eq!(ids.len(), 1 + (1 << 17));
    let ids = build(file("bert", &tokens)).encode(&text, Special::Ignore).unwrap();
    assert_eq!(ids.len(), 1 + (1 << 17));
    let mut all = vec![tokens[0].clone()];
    all.extend(byte_tokens());
    all.push(token("aaaaaaaa", -2.0, NORMAL));
    assert_eq!(build(file("plamo3", &all)).encode(&text, Special::Ignore).unwrap().len(), 1 << 17);
}
