use std::path::Path;

use super::*;

const LAYOUTS: [(u32, ByteOrder); 6] = [
    (1, ByteOrder::Little),
    (1, ByteOrder::Big),
    (2, ByteOrder::Little),
    (2, ByteOrder::Big),
    (3, ByteOrder::Little),
    (3, ByteOrder::Big),
];

/// One key of every type, and two tensors.
fn every_type(version: u32, order: ByteOrder) -> GgufBuilder {
    GgufBuilder::with_layout(version, order)
        .string("general.architecture", "llama")
        .u8("u8", 200)
        .i8("i8", -100)
        .u16("u16", 60_000)
        .i16("i16", -30_000)
        .u32("u32", 4_000_000_000)
        .i32("i32", -2_000_000_000)
        .f32("f32", 0.5)
        .bool("bool", true)
        .u64("u64", u64::MAX)
        .i64("i64", i64::MIN)
        .f64("f64", -0.25)
        .strings("strings", ["a", "", "b\0c", "\u{1f999}"])
        .u8s("u8s", [1, 255])
        .i8s("i8s", [1, -1])
        .u32s("u32s", [7, u32::MAX])
        .i32s("i32s", [-1, 0, 1])
        .f32s("f32s", [0.0, -1.5])
        .strings::<&str>("none", [])
        .tensor("token_embd.weight", &[64, 320], 99)
        .tensor("output_norm.weight", &[64], 0)
}

fn smallest() -> Vec<u8> {
    GgufBuilder::new()
        .string("general.architecture", "llama")
        .strings("tokenizer.ggml.tokens", ["<s>", "a"])
        .f32s("tokenizer.ggml.scores", [0.0, 1.0])
        .u32("tokenizer.ggml.bos_token_id", 0)
        .tensor("token_embd.weight", &[2, 2], 0)
        .finish()
}

/// Decodes everything a file has, so that a panic anywhere in it fails the test; gives the number of elements.
fn touch(gguf: &Gguf) -> usize {
    let mut elements = 0;
    for entry in gguf.entries() {
        assert!(!entry.raw().is_empty());
        elements += 1;
        if let Value::Array(array) = entry.value() {
            elements += array.strings().map_or(0, Iterator::count);
            elements += array.i32s().map_or(0, Iterator::count);
            elements += array.f32s().map_or(0, Iterator::count);
            elements += array.u8s().map_or(0, <[u8]>::len);
            assert!(array.get(array.len()).is_none());
        }
    }
    elements + gguf.tensors().map_while(Result::ok).take(1000).count()
}

#[track_caller]
fn refused(bytes: impl Into<Bytes>, message: &str) {
    let error = Gguf::parse(bytes).expect_err("was accepted");
    assert_eq!(error.to_string(), message);
}

#[test]
fn every_type_reads_back_in_every_layout() {
    for (version, order) in LAYOUTS {
        let gguf = Gguf::parse(every_type(version, order).finish()).unwrap();
        assert_eq!((gguf.version(), gguf.byte_order(), gguf.len()), (version, order, 19));
        assert_eq!(gguf.str("general.architecture"), Some("llama"));
        assert_eq!(gguf.get("u8"), Some(Value::Uint8(200)));
        assert_eq!(gguf.get("i8"), Some(Value::Int8(-100)));
        assert_eq!(gguf.get("u16"), Some(Value::Uint16(60_000)));
        assert_eq!(gguf.get("i16"), Some(Value::Int16(-30_000)));
        assert_eq!(gguf.u32("u32"), Some(4_000_000_000));
        assert_eq!(gguf.i64("i32"), Some(-2_000_000_000));
        assert_eq!(gguf.f32("f32"), Some(0.5));
        assert_eq!(gguf.bool("bool"), Some(true));
        assert_eq!(gguf.u64("u64"), Some(u64::MAX));
        assert_eq!(gguf.i64("i64"), Some(i64::MIN));
        assert_eq!(gguf.get("f64"), Some(Value::Float64(-0.25)));
        let strings: Vec<_> = gguf.strings("strings").unwrap().collect();
        assert_eq!(strings, [&b"a"[..], b"", b"b\0c", "\u{1f999}".as_bytes()]);
        assert_eq!(gguf.array("strings").unwrap().get(2), Some(Value::String(b"b\0c")));
        assert_eq!(gguf.u8s("u8s"), Some(&[1, 255][..]));
        assert_eq!(gguf.u8s("i8s"), Some(&[1, 255][..]));
        assert_eq!(gguf.i32s("u32s").unwrap().collect::<Vec<_>>(), [7, -1]);
        assert_eq!(gguf.i32s("i32s").unwrap().collect::<Vec<_>>(), [-1, 0, 1]);
        assert_eq!(gguf.f32s("i32s").unwrap().collect::<Vec<_>>(), [-1.0, 0.0, 1.0]);
        assert_eq!(gguf.f32s("f32s").unwrap().collect::<Vec<_>>(), [0.0, -1.5]);
        assert_eq!(gguf.array("i32s").unwrap().get(2), Some(Value::Int32(1)));
        assert!(gguf.array("none").unwrap().is_empty());
        let tensor = gguf.tensor("token_embd.weight").unwrap().unwrap();
        assert_eq!((tensor.dims(), tensor.type_id()), (&[64, 320][..], 99));
        assert_eq!(gguf.tensor("output_norm.weight").unwrap().unwrap().dims(), [64]);
        assert_eq!(gguf.tensor("output.weight").unwrap(), None);
    }
}

#[test]
fn a_getter_of_another_type_finds_nothing() {
    let gguf = Gguf::parse(every_type(3, ByteOrder::Little).finish()).unwrap();
    assert_eq!(gguf.u32("i32"), None); // negative
    assert_eq!(gguf.u32("u64"), None); // too large
    assert_eq!(gguf.u32("general.architecture"), None);
    assert_eq!(gguf.string("u8"), None);
    assert_eq!(gguf.bool("u8"), None); // neither 0 nor 1
    assert_eq!(gguf.bool("absent"), None);
    assert!(gguf.strings("i32s").is_none());
    assert!(gguf.i32s("f32s").is_none());
    assert!(gguf.f32s("u32s").is_none());
    assert!(gguf.u8s("i32s").is_none());
}

#[test]
fn integers_of_every_width_are_one() {
    let gguf = Gguf::parse(GgufBuilder::new().i32("id", 7).u8("flag", 1).i64("big", 9).finish()).unwrap();
    assert_eq!((gguf.u32("id"), gguf.u32("flag"), gguf.u32("big")), (Some(7), Some(1), Some(9)));
    assert_eq!(gguf.bool("flag"), Some(true));
}

#[test]
fn every_truncation_of_the_metadata_is_an_error() {
    for (version, order) in LAYOUTS {
        let whole = every_type(version, order).finish();
        let metadata = Gguf::parse(whole.as_slice()).unwrap().metadata_range();
        for end in 0..metadata.end {
            let error = Gguf::parse(&whole[..end]).expect_err("a truncation was accepted");
            assert!(error.offset() <= end as u64, "{error}, of {end} bytes");
        }
        // Without its tensor infos a file still has its tokenizer.
        for end in metadata.end..whole.len() {
            let gguf = Gguf::parse(&whole[..end]).unwrap();
            assert!(gguf.tensors().last().unwrap().is_err());
            assert_eq!(gguf.strings("strings").unwrap().len(), 4);
        }
    }
}

#[test]
fn no_flipped_byte_panics() {
    let whole = smallest();
    let mut accepted = 0;
    for at in 0..whole.len() {
        for flip in 1..=255 {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            if let Ok(gguf) = Gguf::parse(bytes) {
                accepted += 1;
                assert!(touch(&gguf) <= whole.len(), "byte {at} ^ {flip}");
            }
        }
    }
    assert!(accepted > 0, "flips in the text of a token change no structure");
}

#[test]
fn a_length_field_at_its_maximum_is_an_error_before_anything_is_allocated() {
    // key length, string length, array length, tokens' lengths, metadata count: each on its own.
    let whole = smallest();
    let gguf = Gguf::parse(whole.as_slice()).unwrap();
    let mut fields = vec![(16, "metadata count")];
    for entry in gguf.entries() {
        let start = entry.raw().as_ptr() as usize - gguf.bytes().as_ptr() as usize;
        fields.push((start, "key length"));
        let value = start + 8 + entry.key().len() + 4;
        match entry.kind() {
            Type::String => fields.push((value, "string length")),
            Type::Array => fields.push((value + 4, "array length")),
            _ => {}
        }
    }
    assert_eq!(fields.len(), 8);
    for (at, name) in fields {
        for length in [u64::MAX, i64::MAX as u64, 1 << 62, (1 << 30) + 1, 1 << 30, 1 << 20] {
            let mut bytes = whole.clone();
            bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
            let error = Gguf::parse(bytes).expect_err(name);
            assert!(error.offset() == at as u64 || error.offset() == at as u64 + 8, "{name}: {error}");
        }
    }
    // The tensors' fields: the metadata stays readable, and the tensors end in an error.
    for at in gguf.metadata_range().end..whole.len() - 12 {
        let mut bytes = whole.clone();
        bytes[at..at + 8].fill(0xff);
        let gguf = Gguf::parse(bytes).unwrap();
        let _ = gguf.tensor("token_embd.weight");
        assert_eq!(gguf.strings("tokenizer.ggml.tokens").unwrap().len(), 2);
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    refused(&b""[..], "expected the magic `GGUF` (4) at byte 0, found the end of the file at byte 0");
    refused(&b"GGML\x03\0\0\0"[..], "expected the magic `GGUF` at byte 0, found `GGML`");
    refused(&b"\x89PNG\r\n\x1a\n"[..], "expected the magic `GGUF` at byte 0, found `\\x89PNG`");
    refused(&b"GGUF\0\0\0\0"[..], "expected version 1, 2 or 3 at byte 4, found 0");
    refused(&b"GGUF\x04\0\0\0"[..], "expected version 1, 2 or 3 at byte 4, found 4");
    refused(&b"GGUF\0\0\0\x04"[..], "expected version 1, 2 or 3 at byte 4, found 4");
    let mut bytes = GgufBuilder::new().finish();
    bytes[15] = 0x80;
    refused(bytes, "expected tensor count at byte 8, found 9223372036854775808");
    refused(
        GgufBuilder::new().u8("a", 1).string("b", "").u8("a", 2).finish(),
        "expected a new key at byte 59, found `a` again, first seen at byte 24",
    );
    refused(GgufBuilder::new().u16("", 1).finish(), "expected a key at byte 24, found an empty key");
    let mut bytes = GgufBuilder::new().u32s("a", [9, 9]).finish();
    bytes[33] = 13;
    refused(bytes.as_slice(), "expected value type (0 to 12) at byte 33, found 13");
    bytes[33] = 9;
    bytes[37] = 9;
    refused(bytes, "expected element type (0 to 8, 10 to 12) at byte 37, found 9");
    let mut bytes = GgufBuilder::new().string("key", "seventeen letters").finish();
    bytes.truncate(bytes.len() - 13);
    refused(bytes, "expected string bytes (17) at byte 47, found the end of the file at byte 51");
    let mut bytes = GgufBuilder::new().strings("key", ["one", "two"]).finish();
    bytes[62] = 200;
    refused(bytes, "expected string bytes (200) at byte 70, found the end of the file at byte 73");
}

#[test]
fn a_string_that_shrinks_after_the_pass_keeps_the_count() {
    // What a mapped file may do when another process writes to it.
    let layout = cursor::Layout { order: ByteOrder::Little, narrow: false };
    let array = Array { element: Type::String, len: 3, bytes: b"\x01\0\0\0\0\0\0\0a\xff", layout };
    let strings: Vec<_> = array.strings().unwrap().collect();
    assert_eq!(strings, [&b"a"[..], b"", b""]);
}

#[test]
fn a_copy_keeps_the_chosen_entries_byte_for_byte() {
    for (version, order) in LAYOUTS {
        let gguf = Gguf::parse(every_type(version, order).finish()).unwrap();
        let copy = GgufBuilder::copy_of(&gguf, |key| key != b"u8").u8("u8", 7).finish();
        let copy = Gguf::parse(copy).unwrap();
        assert_eq!((copy.len(), copy.u32("u8"), copy.tensor_count()), (19, Some(7), 0));
        for entry in gguf.entries().filter(|entry| entry.key() != b"u8") {
            let key = std::str::from_utf8(entry.key()).unwrap();
            assert_eq!(copy.entry(key).unwrap().raw(), entry.raw());
        }
    }
}

#[test]
fn real_vocabularies_open() {
    let root = std::env::var_os("ANYTOK_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), Into::into);
    let mut files = Vec::new();
    for directory in ["vocab/gguf", "spec/synthetic"] {
        let Ok(listing) = std::fs::read_dir(root.join(directory)) else {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "../shared is absent");
            println!("skipped: ../shared is absent");
            return;
        };
        files.extend(listing.map(|entry| entry.unwrap().path()));
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    assert!(!files.is_empty());
    for path in files {
        let gguf = Gguf::open(&path).unwrap();
        let tokens = gguf.strings("tokenizer.ggml.tokens").unwrap();
        let len = tokens.len();
        assert!(len > 0 && tokens.count() == len, "{}", path.display());
        assert!(gguf.string("tokenizer.ggml.model").is_some(), "{}", path.display());
        // Keys and values lie without a gap between header and tensors.
        let range = gguf.metadata_range();
        assert_eq!(gguf.entries().map(|entry| entry.raw().len()).sum::<usize>(), range.len());
        let kinds = gguf.i32s("tokenizer.ggml.token_type").map(|kinds| kinds.len());
        assert!(kinds.is_none_or(|kinds| kinds == len), "{}: {kinds:?} of {len}", path.display());
        assert_eq!(gguf.tensors().map(Result::unwrap).count() as u64, gguf.tensor_count());
        touch(&gguf);
    }
}
