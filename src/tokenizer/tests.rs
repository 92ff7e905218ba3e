//! The reference algorithms, short enough to check by eye, against the engines: on random vocabularies and random texts.

use std::collections::HashMap;

use proptest::prelude::*;

use super::Tokenizer;
use crate::decode::SpecialText;
use crate::encode::Special;
use crate::formats::gguf::{OnUnknownPre, load};
use crate::gguf::{Gguf, GgufBuilder};
use crate::vocabulary::encode_alphabet;

const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const BYTE: i32 = 6;

/// A vocabulary of either family, with what the reference needs of it.
#[derive(Clone, Debug)]
struct Toy {
    /// `llama` or `gpt2`.
    spm: bool,
    tokens: Vec<Vec<u8>>,
    types: Vec<i32>,
    scores: Vec<f32>,
    merges: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Toy {
    fn tokenizer(&self) -> Tokenizer {
        let lines = self.merges.iter().map(|(left, right)| [left, &b" "[..], right].concat());
        let bytes = GgufBuilder::new()
            .string("tokenizer.ggml.model", if self.spm { "llama" } else { "gpt2" })
            .string("tokenizer.ggml.pre", "gpt-2")
            .strings("tokenizer.ggml.tokens", &self.tokens)
            .i32s("tokenizer.ggml.token_type", self.types.iter().copied())
            .f32s("tokenizer.ggml.scores", self.scores.iter().copied())
            .strings("tokenizer.ggml.merges", lines)
            .bool("tokenizer.ggml.add_bos_token", false)
            .finish();
        let gguf = Gguf::parse(bytes).expect("the builder writes well-formed files");
        load(&gguf, OnUnknownPre::Refuse).expect("the toy vocabulary is sound")
    }

    fn ids(&self) -> HashMap<&[u8], u32> {
        self.tokens.iter().enumerate().map(|(id, token)| (&token[..], id as u32)).collect()
    }

    /// Special tokens first: the longest takes all its places, then the next. Then each rest by the family's algorithm.
    fn encode(&self, text: &[u8], parse: bool) -> Vec<u32> {
        let mut specials: Vec<usize> = (0..self.tokens.len())
            .filter(|&id| self.types[id] == USER_DEFINED || parse && self.types[id] == CONTROL)
            .collect();
        specials.sort_by_key(|&id| (std::cmp::Reverse(self.tokens[id].len()), id));
        let mut fragments: Vec<Result<Vec<u8>, u32>> = vec![Ok(text.to_vec())];
        for id in specials {
            let token = &self.tokens[id];
            fragments = fragments
                .into_iter()
                .flat_map(|fragment| {
                    let Ok(mut rest) = fragment else { return vec![fragment] };
                    let mut parts = Vec::new();
                    while let Some(at) = rest.windows(token.len()).position(|window| window == token) {
                        let tail = rest.split_off(at + token.len());
                        rest.truncate(at);
                        parts.extend([Ok(rest), Err(id as u32)]);
                        rest = tail;
                    }
                    parts.push(Ok(rest));
                    parts
                })
                .collect();
        }
        let mut ids = Vec::new();
        let mut after_special = true;
        for fragment in fragments {
            match fragment {
                Err(id) => (ids.push(id), after_special = true).0,
                Ok(text) if text.is_empty() => {}
                Ok(text) => {
                    if self.spm {
                        self.spm(&text, after_special, &mut ids);
                    } else {
                        self.bpe(&text, &mut ids);
                    }
                    after_special = false;
                }
            }
        }
        ids
    }

    /// Join the neighbours that make the token with the highest score, leftmost first, until none do.
    fn spm(&self, text: &[u8], prefix: bool, out: &mut Vec<u32>) {
        let ids = self.ids();
        let text = [if prefix { &b" "[..] } else { b"" }, text].concat();
        let text = text
            .iter()
            .flat_map(|&b| if b == b' ' { "▁".as_bytes().to_vec() } else { vec![b] })
            .collect::<Vec<_>>();
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let mut rest = &text[..];
        while let Some(&first) = rest.first() {
            let len = match first >> 4 {
                0..=0xB => 1,
                0xC | 0xD => 2,
                0xE => 3,
                _ => 4,
            };
            let (part, tail) = rest.split_at(len.min(rest.len()));
            parts.push(part.to_vec());
            rest = tail;
        }
        loop {
            let mut best: Option<(f32, usize)> = None;
            for i in 1..parts.len() {
                if let Some(&id) = ids.get(&parts[i - 1..=i].concat()[..]) {
                    let score = self.scores[id as usize];
                    if best.is_none_or(|(highest, _)| score > highest) {
                        best = Some((score, i));
                    }
                }
            }
            let Some((_, i)) = best else { break };
            let right = parts.remove(i);
            parts[i - 1].extend(right);
        }
        for part in parts {
            match ids.get(&part[..]) {
                Some(&id) => out.push(id),
                None => out.extend(part.iter().map(|byte| ids[format!("<0x{byte:02X}>").as_bytes()])),
            }
        }
    }

    /// Per word of the split: join the neighbours whose merge stands first in the list, leftmost first, until none do.
    fn bpe(&self, text: &[u8], out: &mut Vec<u32>) {
        let ids = self.ids();
        let text = crate::unicode::repair(text);
        let split = crate::split::Pre::by_name("gpt-2").expect("a name of the table").split;
        crate::split::Split::Gguf(split)
            .split(&text, &mut |word| {
                let mut parts: Vec<Vec<u8>> =
                    text[word].iter().map(|&byte| encode_alphabet(&[byte])).collect();
                loop {
                    let rank = |i: usize| {
                        self.merges
                            .iter()
                            .position(|(left, right)| *left == parts[i - 1] && *right == parts[i])
                    };
                    let Some((_, i)) = (1..parts.len()).filter_map(|i| Some((rank(i)?, i))).min() else {
                        break;
                    };
                    let right = parts.remove(i);
                    parts[i - 1].extend(right);
                }
                for part in parts {
                    match ids.get(&part[..]) {
                        Some(&id) => out.push(id),
                        None => out.extend(part.iter().filter_map(|byte| ids.get(&[*byte][..]))),
                    }
                }
            })
            .expect("a split by hand does not fail");
    }
}

/// Tokens over a small alphabet, so that they overlap, and bytes for the rest.
fn toy() -> impl Strategy<Value = Toy> {
    let piece =
        proptest::collection::vec(prop::sample::select(vec!["a", "b", "c", "▁", "é", "語", "<", "|"]), 1..6);
    let token = (
        piece.prop_map(|parts| parts.concat()),
        prop::sample::select(vec![NORMAL, NORMAL, NORMAL, CONTROL, USER_DEFINED]),
        -4..4,
    );
    (
        any::<bool>(),
        proptest::collection::vec(token, 1..60),
        proptest::collection::vec((0..300_usize, 0..300_usize), 0..80),
    )
        .prop_map(|(spm, pieces, pairs)| {
            let mut toy =
                Toy { spm, tokens: Vec::new(), types: Vec::new(), scores: Vec::new(), merges: Vec::new() };
            for byte in 0..=255_u8 {
                let token =
                    if spm { format!("<0x{byte:02X}>").into_bytes() } else { encode_alphabet(&[byte]) };
                // Some bytes of the other family have no token.
                if spm || byte % 7 != 3 {
                    toy.tokens.push(token);
                    toy.types.push(if spm { BYTE } else { NORMAL });
                    toy.scores.push(0.0);
                }
            }
            for (text, kind, score) in pieces {
                let text =
                    if spm || kind != NORMAL { text.into_bytes() } else { encode_alphabet(text.as_bytes()) };
                if !toy.tokens.contains(&text) {
                    toy.tokens.push(text);
                    toy.types.push(kind);
                    toy.scores.push(f32::from(score as i8) / 2.0);
                }
            }
            if !spm {
                let alphabet: Vec<Vec<u8>> =
                    "abc▁é語<| ".bytes().map(|byte| encode_alphabet(&[byte])).collect();
                let mut parts = alphabet;
                for (left, right) in pairs {
                    let (left, right) =
                        (parts[left % parts.len()].clone(), parts[right % parts.len()].clone());
                    parts.push([left.clone(), right.clone()].concat());
                    toy.merges.push((left, right));
                }
            }
            toy
        })
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        &b"a"[..],
        b"b",
        b"c",
        b"ab",
        b"abc",
        b" ",
        b"  ",
        "▁".as_bytes(),
        "é".as_bytes(),
        "語".as_bytes(),
        b"<",
        b"|",
        b"<|",
        b"\xE2",
        b"\xF8",
        b"\x96",
        b"\n",
        b"'s",
        b"1",
        b"\0",
    ]);
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn engines_agree_with_the_reference(toy in toy(), texts in proptest::collection::vec(text(), 1..8)) {
        let tokenizer = toy.tokenizer();
        for text in texts {
            for (special, parse) in [(Special::Ignore, false), (Special::Parse, true)] {
                let expected = toy.encode(&text, parse);
                // Twice: the second time from memory.
                for _ in 0..2 {
                    prop_assert_eq!(&tokenizer.encode_bytes(&text, special).unwrap(), &expected, "{:?}", text.escape_ascii().to_string());
                }
            }
        }
    }

    /// A long word takes the other merge loop; both are the same function.
    #[test]
    fn long_words_merge_as_short_ones(toy in toy(), word in proptest::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 60..120)) {
        let text = word.concat();
        let tokenizer = toy.tokenizer();
        prop_assert_eq!(tokenizer.encode(&text, Special::Ignore).unwrap(), toy.encode(text.as_bytes(), false));
    }

    #[test]
    fn a_stream_adds_up_to_decode(toy in toy(), clean in any::<bool>(), picks in proptest::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        // Tokens that the clean-up of spaces looks at, often side by side.
        let mut toy = toy;
        for text in [" ", "'", "s", "re", ".", "▁'", "!"] {
            let token = if toy.spm { text.replace(' ', "▁").into_bytes() } else { encode_alphabet(text.as_bytes()) };
            if !toy.tokens.contains(&token) {
                toy.tokens.push(token);
                toy.types.push(NORMAL);
                toy.scores.push(0.0);
            }
        }
        let _ = clean; // byte-level toys clean, the others do not
        let tokenizer = toy.tokenizer();
        let start = toy.tokens.len().saturating_sub(30);
        let ids: Vec<u32> = picks.iter().map(|pick| (start + pick.index(toy.tokens.len() - start)) as u32).collect();
        for special in [SpecialText::Skip, SpecialText::Render] {
            let mut stream = tokenizer.decode_stream(special);
            let mut text = String::new();
            for &id in &ids {
                text.push_str(stream.push(id).unwrap());
            }
            text.push_str(&stream.finish());
            prop_assert_eq!(text, tokenizer.decode(&ids, special).unwrap());
        }
    }

    #[test]
    fn offsets_count_and_batch_agree_with_encode(toy in toy(), texts in proptest::collection::vec(text(), 1..12)) {
        let tokenizer = toy.tokenizer();
        let texts: Vec<String> = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        let all: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text, Special::Parse).unwrap()).collect();
        prop_assert_eq!(&tokenizer.encode_batch(&texts, Special::Parse).unwrap(), &all);
        for (text, ids) in texts.iter().zip(&all) {
            let encoding = tokenizer.encode_with_offsets(text, Special::Parse).unwrap();
            prop_assert_eq!(&encoding.ids, ids);
            prop_assert_eq!(tokenizer.count(text, Special::Parse).unwrap(), ids.len());
            let ends = encoding.offsets.iter().map(|range| range.end);
            prop_assert!(encoding.offsets.iter().all(|range| range.start <= range.end) && ends.max().unwrap_or(0) <= text.len());
            prop_assert!(encoding.offsets.is_sorted_by_key(|range| range.start));
        }
    }
}

#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<Tokenizer>();
    check::<super::EncodeError>();
    check::<super::DecodeError>();
    check::<super::DecodeStream<'_>>();
    check::<crate::Resolver>();
    check::<crate::Resolution>();
    check::<crate::Error>();
}

/// llama.cpp's clean-up of spaces as it is written: three passes.
fn clean_in_three_passes(text: &mut Vec<u8>) {
    if text.is_empty() {
        return;
    }
    let mut out = Vec::with_capacity(text.len());
    out.push(text[0]);
    for i in 1..text.len() {
        if text[i - 1] == b' ' && matches!(text[i], b'?' | b'!' | b'.' | b',') {
            out.pop();
        }
        out.push(text[i]);
    }
    std::mem::swap(text, &mut out);

    out.clear();
    out.push(text[0]);
    let mut i = 1;
    let mut before = text[0];
    while i < text.len() {
        if text[i] == b'\'' && before == b' ' && text.get(i + 1) == Some(&b' ') {
            out.pop();
            out.push(b'\'');
            // The space behind the apostrophe is gone, and no longer counts as one for what follows.
            before = 0;
            i += 2;
        } else {
            out.push(text[i]);
            before = text[i];
            i += 1;
        }
    }
    std::mem::swap(text, &mut out);

    out.clear();
    out.push(text[0]);
    for i in 1..text.len() {
        if text[i - 1] == b' ' && text[i] == b'\'' {
            let rest = &text[i + 1..];
            if matches!(rest, [b's' | b'm', ..] | [b'r' | b'v', b'e', ..]) {
                out.pop();
            }
        }
        out.push(text[i]);
    }
    std::mem::swap(text, &mut out);
}

proptest! {
    #[test]
    fn one_pass_cleans_as_three_do(parts in proptest::collection::vec(prop::sample::select(vec![" ", " ", "'", "s", "m", "re", "ve", "r", ".", ",", "!", "?", "x", "é"]), 0..24)) {
        let mut expected = parts.concat().into_bytes();
        let mut text = expected.clone();
        clean_in_three_passes(&mut expected);
        crate::decode::clean_spaces(&mut text);
        prop_assert_eq!(text, expected);
    }
}
