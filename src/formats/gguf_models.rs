//! What the models of a GGUF file need that match pieces against a text: `bert`, `t5`, `rwkv`, `plamo2` and `plamo3`.

use super::FormatError;
use super::gguf_error::{FILE, TOKENS, value, vocabulary_error};
use crate::gguf::Gguf;
use crate::model::{plamo, rwkv};
use crate::semantics::llama_cpp::Unigram;
use crate::unicode;
use crate::vocabulary::{Builder, Charsmap, NONE, Table, Trie, Vocabulary, attribute};

/// `bert`: every token is a piece.
pub(super) fn wordpiece(vocabulary: &mut Vocabulary) -> Result<(), FormatError> {
    let keys = vocabulary.keys();
    vocabulary.trie = Trie::new((0..vocabulary.len).map(|id| (id, keys.at(id)))).map_err(vocabulary_error)?;
    Ok(())
}

/// `t5`: pieces, user-defined texts, scores and the normalizer's map.
///
/// `raw` are the attributes as the file has them: llama.cpp builds its tries before it detects special tokens by name, and asks
/// only for a piece's score whether it is user-defined after that.
pub(super) fn unigram(
    gguf: &Gguf,
    raw: &[u16],
    unigram: &mut Unigram,
    vocabulary: &mut Vocabulary,
) -> Result<(), FormatError> {
    let with = |bits: u16| {
        let keys = vocabulary.keys();
        let ids = (0..).zip(raw).filter(move |&(_, attributes)| attributes & bits != 0).map(|(id, _)| id);
        ids.map(move |id: u32| (id, keys.at(id)))
    };
    let pieces = attribute::NORMAL | attribute::USER_DEFINED | attribute::UNUSED;
    let trie = Trie::new(with(pieces)).map_err(vocabulary_error)?;
    let prefixes = Trie::new(with(attribute::USER_DEFINED)).map_err(vocabulary_error)?;
    let lowest = with(attribute::NORMAL).map(|(id, _)| vocabulary.score(id)).fold(f32::MAX, f32::min);
    unigram.unknown_score = lowest - UNKNOWN_PENALTY;
    vocabulary.trie = trie;
    vocabulary.prefixes = prefixes;
    if let Some(array) = gguf.array(CHARSMAP) {
        let bytes =
            array.u8s().ok_or_else(|| value(CHARSMAP, "an array of INT8 or UINT8", "another type"))?;
        vocabulary.charsmap = Charsmap::parse(bytes)
            .map_err(|source| FormatError::Malformed { file: FILE.into(), source: Box::new(source) })?;
    } else if gguf.entry(CHARSMAP).is_some() {
        return Err(value(CHARSMAP, "an array of INT8 or UINT8", "another type"));
    }
    if let Table::Owned(scores) = &mut vocabulary.scores {
        for (score, attributes) in scores.iter_mut().zip(vocabulary.attributes.iter()) {
            if attributes & attribute::USER_DEFINED != 0 {
                *score = 0.0;
            }
        }
    }
    unigram.prepare(vocabulary);
    Ok(())
}

/// `rwkv`: the bytes behind every token's escapes; where two tokens have the same bytes, the later one's.
pub(super) fn rwkv(vocabulary: &mut Vocabulary) -> Result<(), FormatError> {
    let keys = vocabulary.keys();
    let bytes: Vec<Vec<u8>> = (0..vocabulary.len).map(|id| rwkv::unescape(keys.at(id))).collect();
    let pieces = (0..).zip(&bytes).map(|(id, bytes)| (id, &bytes[..]));
    vocabulary.trie = Trie::new(pieces).map_err(vocabulary_error)?;
    Ok(())
}

/// `plamo2` and `plamo3`: every token but those for single bytes, if its score lets it win at all.
pub(super) fn plamo(raw: &[u16], vocabulary: &mut Vocabulary) -> Result<(), FormatError> {
    let keys = vocabulary.keys();
    // llama.cpp compares characters, and reads an invalid byte as U+FFFD in texts and tokens alike.
    let pieces: Vec<_> = (0..)
        .zip(raw)
        .filter(|&(id, &attributes)| plamo_byte(attributes, keys.at(id)).is_none())
        .filter(|&(id, _)| plamo::gain(vocabulary.score(id)).is_some())
        .map(|(id, _)| (id, unicode::repair(keys.at(id))))
        .collect();
    vocabulary.trie = Trie::new(pieces.iter().map(|(id, key)| (*id, &key[..]))).map_err(vocabulary_error)?;
    Ok(())
}

/// The tokens for single bytes, all of which must be there and none of which may be the first token.
pub(super) fn plamo_bytes(builder: &Builder) -> Result<[u32; 256], FormatError> {
    let mut bytes = [NONE; 256];
    for id in 0..builder.len() {
        if let Some(byte) = plamo_byte(builder.attributes_of(id), builder.key(id)) {
            bytes[usize::from(byte)] = id;
        }
    }
    match bytes.iter().position(|&id| id == NONE || id == 0) {
        None => Ok(bytes),
        Some(byte) => Err(value(TOKENS, &format!("the byte token <0x{byte:02X}> at an id above 0"), "none")),
    }
}

/// The byte that a token stands for: `<0xHH>` of type byte, in upper or lower case.
pub(super) fn plamo_byte(attributes: u16, text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let &[high, low] = digits else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = digit(high)? << 4 | digit(low)?;
    (attributes & attribute::BYTE != 0).then_some(byte as u8)
}

/// So much lower than the lowest score is that of a character that no piece covers.
const UNKNOWN_PENALTY: f32 = 10.0;

const CHARSMAP: &str = "tokenizer.ggml.precompiled_charsmap";
