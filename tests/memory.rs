//! Tokenizers from bytes, and texts in columns.

use std::path::Path;

use anytok::{ColumnError, FormatError, Resolver, Special, SpecialText, Tokenizer};

fn resolver() -> Resolver {
    Resolver::builder().offline(true).without_store().strict(true).build()
}

#[test]
fn bytes_make_the_tokenizers_that_paths_do() {
    let text = "Hello, wörld!\n\n漢字 <s> 12345";
    let (mut ggufs, mut directories) = (0, 0);
    for entry in std::fs::read_dir("testdata/models").unwrap() {
        let path = entry.unwrap().path();
        let Ok(found) = resolver().resolve(&path) else { continue };
        let expected = found.tokenizer().encode_with_offsets(text, Special::AddAndParse).unwrap();
        let tokenizer = if path.is_dir() {
            let files = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().path());
            let files = files.filter(|file| file.is_file());
            directories += 1;
            Tokenizer::from_files(files.map(|file| {
                (file.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&file).unwrap())
            }))
        } else {
            ggufs += 1;
            Tokenizer::from_gguf_bytes(std::fs::read(&path).unwrap())
        };
        let tokenizer = tokenizer.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let encoding = tokenizer.encode_with_offsets(text, Special::AddAndParse).unwrap();
        assert_eq!(encoding, expected, "{}", path.display());
        assert_eq!(tokenizer.special_tokens(), found.tokenizer().special_tokens(), "{}", path.display());
        assert_eq!(tokenizer.chat_template(None), found.tokenizer().chat_template(None));
    }
    assert!(ggufs >= 4 && directories >= 6, "{ggufs} {directories}");
}

#[test]
fn bytes_that_make_none_say_so() {
    let none: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("readme.txt", b"words")];
    let Err(FormatError::NoFile { found }) = Tokenizer::from_files(none) else { panic!() };
    assert_eq!(found, ["config.json", "readme.txt"]);
    let whole = std::fs::read("testdata/models/llama-bpe.gguf").unwrap();
    for bytes in [&[][..], b"GGUF", &whole[..1000]] {
        assert!(matches!(Tokenizer::from_gguf_bytes(bytes), Err(FormatError::Malformed { .. })));
    }
}

#[test]
fn columns_hold_what_rows_give() {
    let found = resolver().resolve("testdata/models/llama-bpe.gguf").unwrap();
    let tokenizer = found.tokenizer();
    let texts: Vec<String> = (0..1000).map(|i| format!("row {i}, {}", "é word ".repeat(i % 7))).collect();
    let mut texts: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    texts.extend([&b""[..], b"\xFF\xFE", b""]);
    let mut offsets = vec![0_i32];
    for text in &texts {
        offsets.push(offsets.last().unwrap() + i32::try_from(text.len()).unwrap());
    }
    let bytes = texts.concat();
    for special in [Special::Ignore, Special::Add] {
        let (ids, places) = tokenizer.encode_columns(&bytes, &offsets, special).unwrap();
        assert_eq!(places.len(), offsets.len());
        let index = |place: i32| usize::try_from(place).unwrap();
        for (row, text) in texts.iter().enumerate() {
            let expected = tokenizer.encode_bytes(text, special).unwrap();
            assert_eq!(ids[index(places[row])..index(places[row + 1])], expected);
        }
        let (decoded, ends) = tokenizer.decode_columns(&ids, &places, SpecialText::Skip).unwrap();
        for row in 0..texts.len() {
            let expected =
                tokenizer.decode_bytes(&ids[index(places[row])..index(places[row + 1])], SpecialText::Skip);
            assert_eq!(decoded[index(ends[row])..index(ends[row + 1])], expected.unwrap());
        }
    }
    // A slice of a column does not begin at 0.
    let (ids, places) = tokenizer.encode_columns(&bytes, &offsets[5..8], Special::Ignore).unwrap();
    assert_eq!((places.len(), places[0]), (3, 0));
    assert_eq!(ids.len(), usize::try_from(places[2]).unwrap());
    let none: (Vec<u32>, Vec<i64>) = tokenizer.encode_columns(b"", &[], Special::Add).unwrap();
    assert_eq!(none, (Vec::new(), Vec::new()));
}

#[test]
fn columns_that_are_none_are_errors() {
    let path = Path::new("testdata/models/llama-bpe.gguf");
    let found = resolver().resolve(path).unwrap();
    let tokenizer = found.tokenizer();
    for (offsets, at) in [(vec![0, 4], 1), (vec![2, 1], 1), (vec![-1, 1], 0), (vec![0, 1, i64::MAX], 2)] {
        let error = tokenizer.encode_columns(b"abc", &offsets, Special::Ignore).unwrap_err();
        assert!(matches!(error, ColumnError::Offsets { at: found, len: 3 } if found == at), "{error}");
    }
    let error = tokenizer.decode_columns(&[0, u32::MAX], &[0, 1, 2], SpecialText::Skip).unwrap_err();
    assert!(matches!(error, ColumnError::Decode { row: 1, .. }), "{error}");
}
