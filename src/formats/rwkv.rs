//! `rwkv_vocab_*.txt`: a line for each token with its id, its text as a Python literal, and its length in bytes.
//!
//! Reference: `TRIE_TOKENIZER` of the PyPI package `rwkv` 0.8.32, which hands each literal to `eval`. Here string and bytes
//! literals are read, with all their escapes but `\N{…}`, and nothing else is.

use super::FormatError;
use super::side_files::SideFiles;
use crate::encode::special_tokens::Specials;
use crate::semantics::post_processor::Processing;
use crate::semantics::{Pipeline, Recipe};
use crate::tokenizer::Tokenizer;
use crate::unicode;
use crate::vocabulary::{Alphabet, Builder, NONE, Trie, attribute};

/// Builds the tokenizer of the file `name` with the content `bytes`; `side` says what lies beside it.
pub(crate) fn load(name: &str, bytes: &[u8], side: &SideFiles) -> Result<Tokenizer, FormatError> {
    let vocabulary = |source| FormatError::Vocabulary { file: name.to_owned(), source };
    let mut arena = Vec::with_capacity(bytes.len() / 2);
    let mut tokens: Vec<(u32, usize, usize)> = Vec::new();
    // Python's universal newlines: CR, LF and CRLF end a line.
    for (number, line) in bytes.split(|&byte| matches!(byte, b'\n' | b'\r')).enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |expected: &str| FormatError::Value {
            file: name.to_owned(),
            place: format!("line {}", number + 1),
            expected: expected.to_owned(),
            found: super::excerpt(line),
        };
        let form = "an id, a string or bytes literal and its length";
        let first = memchr::memchr(b' ', line).ok_or_else(|| wrong(form))?;
        let last = memchr::memrchr(b' ', line).filter(|&last| last > first).ok_or_else(|| wrong(form))?;
        let id = number_of(&line[..first]).ok_or_else(|| wrong(form))?;
        let len = number_of(&line[last..]).ok_or_else(|| wrong(form))?;
        let start = arena.len();
        literal(line[first..last].trim_ascii(), &mut arena)
            .ok_or_else(|| wrong("a string or bytes literal of Python"))?;
        if arena.len() - start != len as usize || len == 0 {
            return Err(wrong(&format!("the length of the literal, {} bytes", arena.len() - start)));
        }
        tokens.push((id, start, arena.len()));
    }
    tokens.sort_by_key(|token| token.0);
    let ids = tokens.last().map_or(0, |token| token.0 as usize + 1);
    if ids > 2 * tokens.len() + MOST_HOLES {
        return Err(FormatError::Value {
            file: name.to_owned(),
            place: format!("id {}", ids - 1),
            expected: format!("ids not far above the number of tokens ({})", tokens.len()),
            found: format!("{} ids without a token", ids - tokens.len()),
        });
    }
    // The keys are bytes; that they are written in the alphabet of GPT-2 is as good a text for them as any.
    let mut builder = Builder::new(Alphabet::ByteLevel, ids, arena.len()).map_err(vocabulary)?;
    for &(id, start, end) in &tokens {
        while builder.len() < id {
            builder.push_hole().map_err(vocabulary)?;
        }
        if builder.len() > id {
            return Err(FormatError::Value {
                file: name.to_owned(),
                place: format!("id {id}"),
                expected: "every id once".into(),
                found: "two tokens".into(),
            });
        }
        builder.push_key(&arena[start..end], attribute::NORMAL).map_err(vocabulary)?;
    }
    let mut built = builder.finish(&[NONE; 256]).map_err(vocabulary)?;
    built.trie =
        Trie::new(tokens.iter().map(|&(id, start, end)| (id, &arena[start..end]))).map_err(vocabulary)?;
    let (mut special, mut eog) = side.special_tokens(|text| built.token_by_text(text.as_bytes()));
    // Id 0 has no text: the models were trained to end a document with it.
    if built.piece(0).is_none() {
        special.eos = special.eos.or(Some(0));
        eog.push(0);
    }
    eog.retain(|&id| id < built.len);
    eog.sort_unstable();
    eog.dedup();
    let recipe = Recipe {
        special,
        eog,
        add_bos: false,
        add_eos: false,
        chat_templates: side.chat_templates.clone(),
        processing: Processing::default(),
        notes: side.notes.clone(),
        pipeline: Pipeline::Rwkv,
    };
    Ok(Tokenizer::new(built, Specials::default(), recipe))
}

fn number_of(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits.trim_ascii()).ok()?.parse().ok()
}

/// Appends the bytes that a Python literal stands for: those of `b'…'`, or `'…'` in UTF-8.
fn literal(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let quote = text.iter().position(|byte| matches!(byte, b'\'' | b'"'))?;
    let (prefix, quoted) = text.split_at(quote);
    let (is_bytes, raw) = match prefix.to_ascii_lowercase().as_slice() {
        b"" | b"u" => (false, false),
        b"r" => (false, true),
        b"b" => (true, false),
        b"br" | b"rb" => (true, true),
        _ => return None,
    };
    let (&mark, rest) = quoted.split_first()?;
    let inner = rest.strip_suffix(&[mark])?;
    std::str::from_utf8(inner).ok()?;
    if is_bytes && !inner.is_ascii() {
        return None;
    }
    let mut at = 0;
    while let Some(&byte) = inner.get(at) {
        at += 1;
        // A quote inside ends the literal, and what follows would be another one.
        if byte == mark {
            return None;
        }
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let &escape = inner.get(at)?;
        if raw {
            out.extend([byte, escape]);
            at += 1;
            continue;
        }
        let digits = |at: usize, count: usize| {
            let digits =
                inner.get(at..at + count).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        at += 1;
        let value = match escape {
            b'\\' | b'\'' | b'"' => u32::from(escape),
            b'a' => 7,
            b'b' => 8,
            b't' => 9,
            b'n' => 10,
            b'v' => 11,
            b'f' => 12,
            b'r' => 13,
            b'0'..=b'7' => {
                let octal = inner[at - 1..].iter().take(3).take_while(|digit| matches!(digit, b'0'..=b'7'));
                let octal: Vec<u8> = octal.map(|digit| digit - b'0').collect();
                at += octal.len() - 1;
                octal.iter().fold(0, |value, &digit| value * 8 + u32::from(digit))
            }
            b'x' => {
                at += 2;
                digits(at - 2, 2)?
            }
            b'u' if !is_bytes => {
                at += 4;
                digits(at - 4, 4)?
            }
            b'U' if !is_bytes => {
                at += 8;
                digits(at - 8, 8)?
            }
            b'N' if !is_bytes => return None,
            // An escape that is none stands for itself.
            _ => {
                out.push(b'\\');
                at -= 1;
                continue;
            }
        };
        if is_bytes {
            out.push(value as u8);
        } else {
            // A surrogate has no bytes in UTF-8.
            char::from_u32(value)?;
            unicode::encode(value, out);
        }
    }
    Some(())
}

/// The file may leave so many ids without a token, and as many as it has tokens on top.
const MOST_HOLES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        literal(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn literals_are_read_as_python_reads_them() {
        for (text, expected) in [
            (r"'a'", &b"a"[..]),
            (r#""it's""#, b"it's"),
            (r"'\'\\\n\t\x0b'", b"'\\\n\t\x0b"),
            (r"'\x80'", "\u{80}".as_bytes()),
            (r"b'\x80\xff'", &[0x80, 0xFF]),
            (r"'\u00e9\U0001F600'", "é😀".as_bytes()),
            (r"'\101\0\18\777'", "A\0\u{1}8\u{1ff}".as_bytes()),
            (r"b'\777\u0041'", b"\xff\\u0041"),
            (r"'\q\.'", b"\\q\\."),
            (r"r'\n'", b"\\n"),
            ("' '", b" "),
            ("'日本'", "日本".as_bytes()),
        ] {
            assert_eq!(bytes_of(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_literal_is_refused() {
        for text in [
            "",
            "'",
            "a",
            "'a",
            "'a\"",
            r"'\'",
            "'a' 'b'",
            "'a'+'b'",
            "f'a'",
            r"'\N{DASH}'",
            r"'\ud800'",
            r"'\x4'",
            "b'é'",
            "exec('1')",
        ] {
            assert_eq!(bytes_of(text), None, "{text}");
        }
    }

    #[test]
    fn line_ends_do_not_matter() {
        let lines = "1 'a' 1\n2 b'\\xff' 1\n4 'ab' 2\n";
        for text in [lines.to_owned(), lines.replace('\n', "\r\n"), lines.trim_end().to_owned()] {
            let tokenizer = load("rwkv_vocab.txt", text.as_bytes(), &SideFiles::default()).unwrap();
            assert_eq!(tokenizer.encode("aba", crate::Special::Ignore).unwrap(), [4, 1]);
            assert_eq!(tokenizer.encode_bytes(b"\xffa", crate::Special::Ignore).unwrap(), [2, 1]);
            assert!(tokenizer.encode("b", crate::Special::Ignore).is_err());
            assert_eq!(tokenizer.decode_bytes(&[4, 2], crate::SpecialText::Skip).unwrap(), b"ab\xff");
            assert!(tokenizer.decode(&[3], crate::SpecialText::Skip).is_err());
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, place) in [
            ("1 'a' 1\n2 'b' 2", "line 2"),
            ("1 'a' 1\n\n2 'b", "line 3"),
            ("x 'a' 1", "line 1"),
            ("1 'a' 1\n1 'b' 1", "id 1"),
            ("4000000 'a' 1", "id 4000000"),
        ] {
            let error = load("v.txt", text.as_bytes(), &SideFiles::default()).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
    }
}
