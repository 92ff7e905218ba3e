//! `tokenizer.json` as it stands in the file: one pass, no tree of the whole. Tokens and merges go into arenas; the small sections are
//! kept as the raw JSON they are.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::decode::chain::byte_of;
use crate::vocabulary::{Line, decode_alphabet};

/// The sections of the file.
#[derive(Deserialize)]
pub(super) struct Sections<'a> {
    pub(super) version: Option<String>,
    #[serde(borrow)]
    pub(super) truncation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) padding: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedEntry>,
    #[serde(borrow)]
    pub(super) normalizer: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) pre_tokenizer: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) post_processor: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) decoder: Option<&'a RawValue>,
    pub(super) model: Option<ModelSection>,
}

/// An element of `added_tokens`. No flag has a default, as in `tokenizers`.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the format's own flags")]
pub(super) struct AddedEntry {
    pub(super) id: u32,
    pub(super) content: String,
    pub(super) single_word: bool,
    pub(super) lstrip: bool,
    pub(super) rstrip: bool,
    pub(super) normalized: bool,
    pub(super) special: bool,
}

/// The `model` section, of whatever type.
#[derive(Debug, Default)]
pub(super) struct ModelSection {
    pub(super) kind: Option<String>,
    pub(super) dropout: Option<f32>,
    pub(super) unk_token: Option<String>,
    pub(super) continuing_subword_prefix: Option<String>,
    pub(super) end_of_word_suffix: Option<String>,
    pub(super) fuse_unk: bool,
    pub(super) byte_fallback: bool,
    pub(super) ignore_merges: bool,
    pub(super) max_input_chars_per_word: Option<u64>,
    pub(super) unk_id: Option<u64>,
    pub(super) vocab: Option<Entries>,
    pub(super) merges: Option<Merges>,
    /// Keys that none of the types above has.
    pub(super) unknown: Vec<String>,
}

/// Tokens in the order of the file.
#[derive(Debug, Default)]
pub(in crate::formats) struct Entries {
    arena: Vec<u8>,
    items: Vec<Entry>,
    /// Natural logs, of a Unigram vocabulary only: there, ids count up from 0.
    pub(super) scores: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    len: u32,
    id: u32,
}

/// Merges in the order of the file, each as one text and where to cut it.
#[derive(Debug, Default)]
pub(super) struct Merges {
    arena: Vec<u8>,
    /// End of the left part and end of the whole; the whole begins where the one before ends.
    ends: Vec<(u32, u32)>,
    style: Option<Style>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    /// `"a b"`
    Line,
    /// `["a", "b"]`
    Pair,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Whether each byte that UTF-8 is made of has a token in the GPT-2 alphabet.
    pub(super) fn has_byte_alphabet(&self) -> bool {
        let mut found = [false; 256];
        let mut bytes = Vec::with_capacity(1);
        for (text, _) in self.iter().filter(|(text, _)| (1..=2).contains(&text.len())) {
            bytes.clear();
            if decode_alphabet(text, &mut bytes)
                && let [byte] = bytes[..]
            {
                found[usize::from(byte)] = true;
            }
        }
        utf8_bytes().all(|byte| found[byte])
    }

    /// Whether each byte that UTF-8 is made of has a token such as `<0x0A>`.
    pub(super) fn has_byte_tokens(&self) -> bool {
        let mut found = [false; 256];
        for (text, _) in self.iter().filter(|(text, _)| text.len() == 6) {
            let Some(byte) = std::str::from_utf8(text).ok().and_then(byte_of) else { continue };
            found[usize::from(byte)] |= text == format!("<0x{byte:02X}>").as_bytes();
        }
        utf8_bytes().all(|byte| found[byte])
    }

    /// Text and id of the `i`th token.
    pub(super) fn get(&self, i: usize) -> (&[u8], u32) {
        let Entry { start, len, id } = self.items[i];
        (&self.arena[start as usize..(start + len) as usize], id)
    }

    /// The texts of the ids below `len`: what they are in, and where; an id without a token has an empty one.
    pub(super) fn spans(
        &self,
        len: usize,
    ) -> (&[u8], impl ExactSizeIterator<Item = Range<usize>> + Clone + Send + use<>) {
        let mut spans = vec![0..0; len];
        for &Entry { start, len, id } in &self.items {
            if let Some(span) = spans.get_mut(id as usize) {
                *span = start..start + len;
            }
        }
        // Shared, so that the copy that a thread takes along costs nothing.
        let spans: Arc<[Range<u32>]> = spans.into();
        (&self.arena, (0..len).map(move |id| spans[id].start as usize..spans[id].end as usize))
    }

    pub(in crate::formats) fn iter(&self) -> impl Iterator<Item = (&[u8], u32)> {
        (0..self.items.len()).map(|i| self.get(i))
    }

    /// Texts of the tokens as the arena holds them; the seed below appends one.
    fn push<E: serde::de::Error>(&mut self, start: usize, id: u32) -> Result<(), E> {
        let end =
            u32::try_from(self.arena.len()).map_err(|_| E::custom("expected at most 4 GiB of tokens"))?;
        self.items.push(Entry { start: start as u32, len: end - start as u32, id });
        Ok(())
    }
}

/// The bytes that UTF-8 is made of.
pub(super) fn utf8_bytes() -> impl Iterator<Item = usize> {
    (0..=0xF4).filter(|byte| !matches!(byte, 0xC0 | 0xC1))
}

impl Merges {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Left and right of each merge, by rank.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.len()).map(|rank| self.get(rank))
    }

    /// Left and right of a merge.
    pub(super) fn get(&self, rank: usize) -> (&[u8], &[u8]) {
        let (range, middle) = self.line(rank);
        (&self.arena[range.start..middle], &self.arena[middle..range.end])
    }

    /// Where the texts of a merge are in [`Merges::arena`], and where the right one begins.
    fn line(&self, rank: usize) -> (Range<usize>, usize) {
        let start = rank.checked_sub(1).map_or(0, |before| self.ends[before].1);
        let (middle, end) = self.ends[rank];
        (start as usize..end as usize, middle as usize)
    }

    /// Every merge as a line of [`Merges::arena`].
    pub(super) fn lines(&self) -> impl ExactSizeIterator<Item = Line> + Clone + Send + Sync {
        (0..self.len()).map(|rank| {
            let (range, middle) = self.line(rank);
            (range, Some(middle))
        })
    }

    /// The texts of all merges, one after the other.
    pub(super) fn arena(&self) -> &[u8] {
        &self.arena
    }

    fn styled<E: serde::de::Error>(&mut self, style: Style) -> Result<(), E> {
        if *self.style.get_or_insert(style) == style {
            return Ok(());
        }
        Err(E::custom(format_args!(
            "expected all merges in one spelling, \"a b\" or [\"a\", \"b\"], found the other one at merge {}",
            self.ends.len()
        )))
    }

    fn push<E: serde::de::Error>(&mut self, middle: usize) -> Result<(), E> {
        let end =
            u32::try_from(self.arena.len()).map_err(|_| E::custom("expected at most 4 GiB of merges"))?;
        self.ends.push((middle as u32, end));
        Ok(())
    }
}

impl<'de> Deserialize<'de> for ModelSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Section;
        impl<'de> Visitor<'de> for Section {
            type Value = ModelSection;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the model")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ModelSection, A::Error> {
                let mut model = ModelSection::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "type" => model.kind = map.next_value()?,
                        "dropout" => model.dropout = map.next_value()?,
                        "unk_token" => model.unk_token = map.next_value()?,
                        "continuing_subword_prefix" => model.continuing_subword_prefix = map.next_value()?,
                        "end_of_word_suffix" => model.end_of_word_suffix = map.next_value()?,
                        "fuse_unk" => model.fuse_unk = map.next_value::<Option<_>>()?.unwrap_or_default(),
                        "byte_fallback" => {
                            model.byte_fallback = map.next_value::<Option<_>>()?.unwrap_or_default();
                        }
                        "ignore_merges" => {
                            model.ignore_merges = map.next_value::<Option<_>>()?.unwrap_or_default();
                        }
                        "max_input_chars_per_word" => model.max_input_chars_per_word = map.next_value()?,
                        "unk_id" => model.unk_id = map.next_value()?,
                        "vocab" => model.vocab = Some(map.next_value()?),
                        "merges" => model.merges = Some(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            model.unknown.push(key);
                        }
                    }
                }
                Ok(model)
            }
        }
        deserializer.deserialize_map(Section)
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Vocab;
        impl<'de> Visitor<'de> for Vocab {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tokens and their ids, or a list of tokens with their scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Entries::default();
                let mut start = 0;
                while map.next_key_seed(Append(&mut entries.arena))?.is_some() {
                    let id = map.next_value()?;
                    entries.push(start, id)?;
                    start = entries.arena.len();
                }
                Ok(entries)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entries, A::Error> {
                let mut entries = Entries::default();
                while seq.next_element_seed(Scored(&mut entries))?.is_some() {}
                Ok(entries)
            }
        }
        deserializer.deserialize_any(Vocab)
    }
}

/// `["token", score]`
struct Scored<'e>(&'e mut Entries);

impl<'de> DeserializeSeed<'de> for Scored<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Scored<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token and its score")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let entries = self.0;
        let start = entries.arena.len();
        seq.next_element_seed(Append(&mut entries.arena))?
            .ok_or_else(|| A::Error::custom("expected a token, found none"))?;
        let score: &RawValue =
            seq.next_element()?.ok_or_else(|| A::Error::custom("expected a score, found none"))?;
        let score = read_number(score.get())
            .ok_or_else(|| A::Error::custom(format_args!("expected a score, found {}", score.get())))?;
        if seq.next_element::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("expected a token and its score, found more"));
        }
        let id = u32::try_from(entries.items.len()).map_err(|_| A::Error::custom("expected fewer tokens"))?;
        entries.scores.push(score);
        entries.push(start, id)
    }
}

/// The number that `tokenizers` reads: up to 19 digits as an integer, rounded to 64 bits, then divided or multiplied by a power of ten
/// and rounded again. It may be off by the last bit, and that bit decides between ways of a word that are else as good.
///
/// Reference: `serde_json` 1.0 without the feature `float_roundtrip`.
fn read_number(text: &str) -> Option<f64> {
    let (digits, negative) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent),
        None => (digits, "0"),
    };
    let exponent = exponent.parse::<i64>().ok()?.clamp(-100_000, 100_000) as i32;
    let mut significand = 0_u64;
    let (mut places, mut fraction, mut full) = (0_i32, false, false);
    for digit in digits.bytes() {
        if digit == b'.' {
            fraction = true;
            full = false;
            continue;
        }
        let digit = u64::from(digit.checked_sub(b'0').filter(|&digit| digit < 10)?);
        let next = significand.checked_mul(10).and_then(|tens| tens.checked_add(digit));
        if let Some(next) = next.filter(|_| !full) {
            significand = next;
            places -= i32::from(fraction);
        } else {
            // What follows is left out.
            full = true;
            places += i32::from(!fraction);
        }
    }
    let mut number = significand as f64;
    let mut exponent = exponent.saturating_add(places);
    while exponent < -308 && number != 0.0 {
        number /= 1e308;
        exponent += 308;
    }
    if number != 0.0 {
        let power: f64 = format!("1e{}", exponent.abs().min(308)).parse().ok()?;
        number = if exponent < 0 { number / power } else { number * power };
        if exponent > 308 || !number.is_finite() {
            return None;
        }
    }
    Some(if negative { -number } else { number })
}

/// Digits that [`read_number`] reads as this number, which the shortest that mean it need not be.
pub(super) fn spelled(number: f64) -> Option<String> {
    let reads = |text: &String| read_number(text).is_some_and(|read| read.to_bits() == number.to_bits());
    let near = [number, number.next_up(), number.next_down()];
    let spellings =
        near.iter().flat_map(|near| [format!("{near:?}"), format!("{near:.17e}"), format!("{near:.20}")]);
    spellings.into_iter().find(reads)
}

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Merges;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of merges")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Merges, A::Error> {
                let mut merges = Merges::default();
                while seq.next_element_seed(Merge(&mut merges))?.is_some() {}
                Ok(merges)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

struct Merge<'m>(&'m mut Merges);

impl<'de> DeserializeSeed<'de> for Merge<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Merge<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a merge, \"a b\" or [\"a\", \"b\"]")
    }

    fn visit_str<E: serde::de::Error>(self, line: &str) -> Result<(), E> {
        self.0.styled(Style::Line)?;
        // `tokenizers` takes such a line, wherever it stands, for the header of a merges.txt.
        if line.starts_with("#version") {
            return Ok(());
        }
        let line = line.as_bytes();
        let space = memchr::memchr(b' ', line).filter(|&at| memchr::memchr(b' ', &line[at + 1..]).is_none());
        let Some(space) = space else {
            return Err(E::custom(format_args!(
                "expected two tokens and one space between them as merge {}, found {:?}",
                self.0.ends.len(),
                String::from_utf8_lossy(line)
            )));
        };
        self.0.arena.extend_from_slice(&line[..space]);
        let middle = self.0.arena.len();
        self.0.arena.extend_from_slice(&line[space + 1..]);
        self.0.push(middle)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.styled(Style::Pair)?;
        let missing = || A::Error::custom("expected two tokens, found fewer");
        seq.next_element_seed(Append(&mut self.0.arena))?.ok_or_else(missing)?;
        let middle = self.0.arena.len();
        seq.next_element_seed(Append(&mut self.0.arena))?.ok_or_else(missing)?;
        if seq.next_element::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("expected two tokens, found more"));
        }
        self.0.push(middle)
    }
}

/// Appends a string to an arena: from the file's own bytes, unless it has escapes.
struct Append<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Append<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::read_number;

    /// From `Tokenizer.to_str` of the Python package 0.23.3.
    #[test]
    fn numbers_are_read_as_the_library_reads_them() {
        for (text, expected) in [
            ("-9.876543045043945", -9.876_543_045_043_944),
            ("-12.345678901234567", -12.345_678_901_234_567),
            ("-8.12345695495605", -8.123_456_954_956_05),
            ("0", 0.0),
            ("-5", -5.0),
            ("-0.0", -0.0),
            ("1.5e2", 150.0),
            ("1e-400", 0.0),
        ] {
            assert_eq!(read_number(text).map(f64::to_bits), Some(f64::to_bits(expected)), "{text}");
        }
        assert_eq!(read_number("\"1\""), None);
        assert_eq!(read_number("1e400"), None);
        assert_eq!(read_number("null"), None);
    }
}
