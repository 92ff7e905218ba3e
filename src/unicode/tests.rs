use std::borrow::Cow;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::Value;
use unicode_normalization::char::compose;

use super::*;

/// A file of the shared data, or `None` (and a note) where there is none. Under `CI=true` it has to be there.
pub(crate) fn shared(file: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ANYTOK_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    if root.is_dir() {
        return Some(root.join(file));
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "../shared is absent");
    println!("skipped: ../shared is absent");
    None
}

fn json_tables() -> Option<Value> {
    let path = shared("spec/unicode-tables.json")?;
    Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

#[test]
fn classes_equal_the_regex_crates() {
    for (cp, &expected) in generate::regex_flags().iter().enumerate() {
        assert_eq!(regex_flags(cp as u32), expected, "U+{cp:04X}");
    }
}

#[test]
fn classes_case_and_accents_equal_llama_cpps() {
    let Some(tables) = json_tables() else { return };
    for (cp, &expected) in generate::cpp_flags(&tables).iter().enumerate() {
        assert_eq!(cpp_flags(cp as u32), expected, "U+{cp:04X}");
    }
    let mut expected = vec![0; 0x11_0000];
    for pair in generate::rows(&tables["category_ranges"]).windows(2) {
        expected[pair[0][0] as usize..pair[1][0] as usize].fill(pair[0][1]);
    }
    for (cp, flag) in expected.into_iter().enumerate() {
        let category = match flag {
            1 => Category::Undefined,
            2 => Category::Number,
            4 => Category::Letter,
            8 => Category::Separator,
            16 => Category::Mark,
            32 => Category::Punctuation,
            64 => Category::Symbol,
            _ => Category::Control,
        };
        assert_eq!(super::category(cp as u32), category, "U+{cp:04X}");
    }
    let mut lowered: Vec<u32> = (0..0x11_0000).collect();
    for row in generate::rows(&tables["lowercase_map"]) {
        lowered[row[0] as usize] = row[1];
    }
    let mut stripped: Vec<u32> = (0..0x11_0000).collect();
    for row in generate::rows(&tables["nfd_first"]) {
        stripped[row[0] as usize..=row[1] as usize].fill(row[2]);
    }
    for cp in 0..0x11_0000 {
        assert_eq!(lower(cp), lowered[cp as usize], "lower U+{cp:04X}");
        assert_eq!(nfd_first(cp), stripped[cp as usize], "nfd_first U+{cp:04X}");
    }
    assert_eq!((lower(u32::MAX), nfd_first(u32::MAX)), (u32::MAX, u32::MAX));
}

/// The reference form over the tables of Unicode 16, to hold the crate against.
struct Textbook {
    class: Vec<u8>,
    pairs: std::collections::HashMap<u32, (u32, u32)>,
    composed: std::collections::HashMap<(u32, u32), u32>,
}

impl Textbook {
    fn new(tables: &Value) -> Textbook {
        let mut class = vec![0; 0x11_0000];
        for row in generate::rows(&tables["nfc_combining_class"]) {
            class[row[0] as usize] = row[1] as u8;
        }
        let pairs = generate::rows(&tables["nfc_decomposition"]);
        let composed = generate::rows(&tables["nfc_composition"]);
        Textbook {
            class,
            pairs: pairs.iter().map(|r| (r[0], (r[1], r[2]))).collect(),
            composed: composed.iter().map(|r| ((r[0], r[1]), r[2])).collect(),
        }
    }

    fn decompose(&self, cp: u32, out: &mut Vec<u32>) {
        if let syllable @ 0..11172 = cp.wrapping_sub(0xAC00) {
            out.extend([0x1100 + syllable / 588, 0x1161 + syllable % 588 / 28]);
            out.extend((syllable % 28 != 0).then_some(0x11A7 + syllable % 28));
        } else if let Some(&(a, b)) = self.pairs.get(&cp) {
            self.decompose(a, out);
            if b != 0 {
                self.decompose(b, out);
            }
        } else {
            out.push(cp);
        }
    }

    fn compose(&self, a: u32, b: u32) -> Option<u32> {
        match (a.wrapping_sub(0x1100), b.wrapping_sub(0x1161), a.wrapping_sub(0xAC00), b.wrapping_sub(0x11A7))
        {
            (l @ 0..19, v @ 0..21, ..) => Some(0xAC00 + (l * 21 + v) * 28),
            (_, _, lv @ 0..11172, t @ 1..28) if lv % 28 == 0 => Some(a + t),
            _ => self.composed.get(&(a, b)).copied(),
        }
    }

    fn nfc(&self, text: &[u8]) -> Vec<u8> {
        let mut cps = Vec::new();
        let mut pos = 0;
        while pos < text.len() {
            let (cp, len) = decode(text, pos);
            self.decompose(cp, &mut cps);
            pos += len;
        }
        for run in cps.chunk_by_mut(|_, &b| self.class[b as usize] != 0) {
            let from = usize::from(self.class[run[0] as usize] == 0);
            run[from..].sort_by_key(|&cp| self.class[cp as usize]);
        }
        let mut kept: Vec<u32> = Vec::new();
        let (mut starter, mut last) = (0, 0);
        for cp in cps {
            let class = self.class[cp as usize];
            if !kept.is_empty()
                && (last == 0 || last < class)
                && let Some(composed) = self.compose(kept[starter], cp)
            {
                kept[starter] = composed;
                continue;
            }
            if class == 0 {
                starter = kept.len();
            }
            last = class;
            kept.push(cp);
        }
        let mut out = Vec::new();
        for cp in kept {
            encode(cp, &mut out);
        }
        out
    }
}

#[test]
fn nfc_equals_the_tables_of_unicode_16() {
    let Some(tables) = json_tables() else { return };
    let reference = Textbook::new(&tables);
    let utf8 = |cps: &[u32]| {
        let mut out = Vec::new();
        for &cp in cps {
            encode(cp, &mut out);
        }
        out
    };
    for cp in 0..0x11_0000 {
        let text = utf8(&[cp]);
        assert_eq!(nfc(&text), reference.nfc(&text), "U+{cp:04X}");
    }
    for (&(a, b), &c) in &reference.composed {
        assert_eq!(nfc(&utf8(&[a, b])), utf8(&[c]), "U+{a:04X} U+{b:04X}");
    }
    // Nothing composes in the crate that does not in the tables, among all pairs that could.
    let seconds: std::collections::BTreeSet<u32> = reference.composed.keys().map(|&(_, b)| b).collect();
    for a in '\0'..=char::MAX {
        for &b in &seconds {
            let composed = compose(a, char::from_u32(b).unwrap()).map(|c| c as u32);
            if composed != reference.compose(a as u32, b) {
                let text = utf8(&[a as u32, b]);
                assert_eq!(nfc(&text), reference.nfc(&text), "U+{:04X} U+{b:04X}", a as u32);
            }
        }
    }
    let marks: Vec<u32> = (0..0x11_0000).filter(|&cp| reference.class[cp as usize] != 0).collect();
    let starters: Vec<u32> = reference.composed.keys().map(|&(a, _)| a).collect();
    let cp = prop_oneof![
        3 => proptest::sample::select(marks),
        2 => proptest::sample::select(starters),
        1 => proptest::sample::select(vec![0xD800, 0xDFFF, 0x5C8, 0x1ACF, 0xAC00, 0x1100, 0x1161, 0x11A8, 0x41]),
        1 => 0u32..0x11_0000,
    ];
    proptest!(ProptestConfig::with_cases(2000), |(cps in proptest::collection::vec(cp, 0..12))| {
        let text = utf8(&cps);
        prop_assert_eq!(nfc(&text).into_owned(), reference.nfc(&text));
    });
}

#[test]
fn only_surrogates_are_forgiven() {
    let replaced = |bytes: &[u8]| repair(bytes).into_owned();
    assert_eq!(replaced(b"\xE4\xBDx"), "\u{FFFD}\u{FFFD}x".as_bytes());
    assert_eq!(replaced(b"\xC0\x80"), "\u{FFFD}\u{FFFD}".as_bytes());
    assert_eq!(replaced(b"\xE0\x9F\xBF"), "\u{FFFD}\u{FFFD}\u{FFFD}".as_bytes());
    assert_eq!(replaced(b"\xF4\x90\x80\x80"), "\u{FFFD}".repeat(4).as_bytes());
    assert_eq!(replaced(b"\xF8a"), "\u{FFFD}a".as_bytes());
    assert!(matches!(repair(b"a\xED\xA0\x80b"), Cow::Borrowed(b"a\xED\xA0\x80b")));
    assert_eq!(decode(b"\xED\xBF\xBF", 0), (0xDFFF, 3));
    assert_eq!((decode(b"a", 1), decode(b"a", 9)), ((REPLACEMENT, 0), (REPLACEMENT, 0)));
}

#[test]
fn symbol_length_follows_the_high_nibble() {
    let lengths = [0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xDF, 0xE0, 0xEF, 0xF0, 0xF8, 0xFF].map(utf8_len);
    assert_eq!(lengths, [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4]);
}

#[test]
fn the_byte_alphabet_is_a_bijection() {
    for byte in 0..=255 {
        assert_eq!(char_to_byte(byte_to_char(byte) as u32), Some(byte));
    }
    let known = [(0x00, 'Ā'), (b' ', 'Ġ'), (b'\n', 'Ċ'), (0x7F, 'ġ'), (0xAD, 'Ń'), (b'a', 'a'), (0xFF, 'ÿ')];
    assert!(known.iter().all(|&(byte, c)| byte_to_char(byte) == c));
    assert_eq!((0..0x11_0000).filter(|&cp| char_to_byte(cp).is_some()).count(), 256);
}

proptest! {
    #[test]
    fn repair_is_decode_then_encode(bytes in proptest::collection::vec(
        prop_oneof![any::<u8>(), proptest::sample::select(&b"a\x80\xBF\xC2\xE0\xED\xA0\xEF\xF0\xF4\x90\xF8"[..])], 0..40)) {
        let mut expected = Vec::new();
        let mut pos = 0;
        while pos < bytes.len() {
            let (cp, len) = decode(&bytes, pos);
            prop_assert!(len > 0);
            encode(cp, &mut expected);
            pos += len;
        }
        prop_assert_eq!(repair(&bytes).into_owned(), expected);
    }

    #[test]
    fn decode_agrees_with_std_on_valid_text(text in "\\PC{0,20}") {
        let mut pos = 0;
        for c in text.chars() {
            prop_assert_eq!(decode(text.as_bytes(), pos), (c as u32, c.len_utf8()));
            pos += c.len_utf8();
        }
    }
}
