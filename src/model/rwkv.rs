//! RWKV World: always the longest token that the rest of the text begins with.

use super::tokens::{NoToken, Tokens};
use crate::vocabulary::Trie;

/// A byte that begins no token is `unknown`; without one it is an error, as in the package `rwkv`.
///
/// llama.cpp never ends where a text begins like some token and like no whole one (its walk then starts over at the front of the
/// fragment); here such a byte is unknown too. Vocabularies that have all 256 bytes never come to that.
///
/// `O(n × longest token)` in bytes.
pub(crate) fn encode(
    trie: &Trie,
    unknown: Option<u32>,
    word: &[u8],
    tokens: &mut Tokens,
) -> Result<(), NoToken> {
    let walker = trie.walker();
    let mut at = 0;
    while at < word.len() {
        let longest = walker.longest(&word[at..]).or(unknown.map(|id| (1, id)));
        let (len, id) = longest.ok_or(NoToken { byte: word[at], at })?;
        tokens.push(id, at..at + len);
        at += len;
    }
    Ok(())
}

/// The bytes a token of a GGUF file stands for: `\t`, `\n`, `\r`, `\x` with two digits, and any other character behind a
/// backslash for itself.
///
/// As in llama.cpp only lower-case hexadecimal digits are read right, and an escape that is cut off by the end adds what there
/// is of it.
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| byte.wrapping_sub(if matches!(byte, b'a'..=0x7F) { b'a' - 10 } else { b'0' });
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b't') => bytes.push(b'\t'),
            Some(b'n') => bytes.push(b'\n'),
            Some(b'r') => bytes.push(b'\r'),
            Some(b'x') => {
                let mut value = 0u8;
                let mut digits = 0;
                for byte in rest.by_ref().take(2) {
                    value = (value << 4).wrapping_add(digit(byte));
                    digits += 1;
                }
                if digits == 2 {
                    bytes.push(value);
                }
            }
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    bytes
}
