//! Systematic damage: for a small file of every format every truncation, every byte changed in several ways, and every number at its
//! extremes. Each is an error or a sound tokenizer, and costs memory in proportion to the file.

// An allocator that counts is the only way to know the peak of a single call.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anytok::gguf::{Gguf, GgufBuilder};
use anytok::{FormatError, Special, SpecialText, Tokenizer};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grow(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: everything is handed to the system's allocator as it came; the counters are beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // What grows may be in two places for a moment, what shrinks stays.
        grow(if size > layout.size() { size } else { 0 });
        NOW.fetch_sub(
            if size > layout.size() { layout.size() } else { layout.size() - size },
            Ordering::Relaxed,
        );
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time, since all threads count together.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What reads a damaged file.
type Load<'f> = &'f dyn Fn(Vec<u8>) -> Result<Tokenizer, FormatError>;

/// What becomes of a byte.
type Change = fn(u8) -> u8;

/// What came of all damages of a file.
struct Tally {
    tried: usize,
    loaded: usize,
    /// The greatest peak, in bytes.
    worst: usize,
    /// Bytes at the peak that one of the file may cost.
    times: usize,
    /// And what it may cost in any case.
    room: usize,
}

impl Default for Tally {
    fn default() -> Self {
        Self { tried: 0, loaded: 0, worst: 0, times: 8, room: 1 << 20 }
    }
}

impl Tally {
    fn try_one(&mut self, name: &str, what: &dyn Fn() -> String, bytes: Vec<u8>, load: Load<'_>) {
        let bound = self.times * bytes.len() + self.room;
        let before = NOW.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let loaded = load(bytes);
        let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        assert!(peak <= bound, "{name}, {}: {peak} bytes at the peak, more than {bound}", what());
        self.tried += 1;
        self.worst = self.worst.max(peak);
        match loaded {
            Ok(tokenizer) => {
                self.loaded += 1;
                sound(&tokenizer, &|| format!("{name}, {}", what()));
            }
            Err(error) => assert!(!error.to_string().is_empty(), "{name}, {}", what()),
        }
    }
}

/// All ways to encode agree, and whatever it gives can be decoded.
fn sound(tokenizer: &Tokenizer, what: &dyn Fn() -> String) {
    const TEXT: &str = "Hello, world! ab  12\n\u{e9}\u{4e2d}<s></s>";
    for special in [Special::Ignore, Special::AddAndParse] {
        let Ok(ids) = tokenizer.encode(TEXT, special) else { continue };
        assert_eq!(tokenizer.count(TEXT, special).ok(), Some(ids.len()), "{}", what());
        let encoding = tokenizer.encode_with_offsets(TEXT, special).unwrap();
        assert_eq!(encoding.ids, ids, "{}", what());
        assert!(
            encoding.offsets.iter().all(|span| span.start <= span.end && span.end <= TEXT.len()),
            "{}",
            what()
        );
        // An id that a damaged file names may be no token's; that is an error.
        _ = tokenizer.decode(&ids, SpecialText::Render);
    }
    for id in [0, 1, tokenizer.vocab_size().wrapping_sub(1), tokenizer.vocab_size(), 1 << 31, u32::MAX] {
        _ = (
            tokenizer.token_bytes(id),
            tokenizer.token_text(id),
            tokenizer.is_special(id),
            tokenizer.is_eog(id),
        );
        _ = tokenizer.decode(&[id], SpecialText::Skip);
    }
}

/// All damages of `bytes`: some thousands, spread over the file where it is long.
fn damage(name: &str, bytes: &[u8], load: Load<'_>) -> Tally {
    let whole = load(bytes.to_vec()).unwrap_or_else(|error| panic!("{name}: {error}"));
    sound(&whole, &|| name.to_owned());
    let mut tally = Tally::default();
    let step = bytes.len().div_ceil(700);
    for len in (0..bytes.len()).step_by(step) {
        tally.try_one(name, &|| format!("cut to {len} bytes"), bytes[..len].to_vec(), load);
    }
    let changes: [(&str, Change); 5] = [
        ("^ 0x01", |byte| byte ^ 1),
        ("^ 0x80", |byte| byte ^ 0x80),
        ("^ 0xFF", |byte| !byte),
        ("= 0", |_| 0),
        ("= 0xFF", |_| 0xFF),
    ];
    for (i, (change, apply)) in changes.into_iter().enumerate() {
        // Another offset for each, so that a short file has all and a long one is covered more densely.
        for at in (i % step..bytes.len()).step_by(step) {
            let mut damaged = bytes.to_vec();
            damaged[at] = apply(damaged[at]);
            tally.try_one(name, &|| format!("byte {at} {change}"), damaged, load);
        }
    }
    tally
}

/// Four and eight bytes at every place set to what lengths, counts and ids are at most.
fn extremes(tally: &mut Tally, name: &str, bytes: &[u8], load: Load<'_>) {
    let values = [u64::from(u32::MAX), 1 << 31, u64::MAX, 1 << 62, 1 << 30];
    let step = bytes.len().div_ceil(500);
    for (i, value) in values.into_iter().enumerate() {
        for width in [4, 8] {
            for at in (i % step..bytes.len().saturating_sub(width)).step_by(step) {
                let mut damaged = bytes.to_vec();
                damaged[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
                tally.try_one(name, &|| format!("{width} bytes at {at} = {value:#x}"), damaged, load);
            }
        }
    }
}

/// Every number of a text at its extremes.
fn numbers(tally: &mut Tally, name: &str, text: &[u8], load: Load<'_>) {
    let mut places = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let len = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        places.extend((len > 0).then_some(at..at + len));
        at += len.max(1);
    }
    let step = places.len().div_ceil(200).max(1);
    for place in places.iter().step_by(step) {
        for value in ["2147483648", "4294967295", "18446744073709551615", "-1", "1e400", "0"] {
            let damaged = [&text[..place.start], value.as_bytes(), &text[place.end..]].concat();
            tally.try_one(name, &|| format!("{value} at byte {}", place.start), damaged, load);
        }
    }
}

fn testdata(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/models").join(name)).unwrap()
}

#[track_caller]
fn report(name: &str, len: usize, tally: &Tally) {
    println!(
        "{name}: {} damages of {len} bytes, {} loaded all the same, at most {} bytes at the peak",
        tally.tried, tally.loaded, tally.worst
    );
    assert!(tally.tried > 500, "{name}: {}", tally.tried);
}

#[test]
fn damaged_ggufs_are_errors_or_sound() {
    let _alone = alone();
    let load: Load<'_> = &|bytes| Tokenizer::from_gguf_bytes(bytes);
    for name in ["llama-bpe.gguf", "llama-spm.gguf", "bert.gguf", "t5.gguf", "rwkv.gguf"] {
        let bytes = testdata(name);
        let mut tally = damage(name, &bytes, load);
        extremes(&mut tally, name, &bytes, load);
        report(name, bytes.len(), &tally);
    }
    // So small that nothing is left out.
    let small = GgufBuilder::new()
        .string("tokenizer.ggml.model", "gpt2")
        .string("tokenizer.ggml.pre", "gpt-2")
        .strings("tokenizer.ggml.tokens", ["a", "b", "ab", "<s>"])
        .strings("tokenizer.ggml.merges", ["a b"])
        .finish();
    let mut tally = damage("small.gguf", &small, load);
    extremes(&mut tally, "small.gguf", &small, load);
    report("small.gguf", small.len(), &tally);
}

#[test]
fn damaged_tokenizer_files_are_errors_or_sound() {
    let _alone = alone();
    // The file that is damaged, and those beside it.
    let cases: &[(&str, &[&str])] = &[
        (
            "tokenizer-json/tokenizer.json",
            &["tokenizer_config.json", "special_tokens_map.json", "generation_config.json"],
        ),
        ("tokenizer-json/tokenizer_config.json", &["tokenizer.json"]),
        ("sentencepiece/tokenizer.model", &["tokenizer_config.json"]),
        ("unigram/spiece.model", &[]),
        ("tiktoken/qwen.tiktoken", &["tokenizer_config.json"]),
        ("tekken/tekken.json", &[]),
        ("vocab-and-merges/vocab.json", &["merges.txt"]),
        ("vocab-and-merges/merges.txt", &["vocab.json"]),
        ("wordpiece/vocab.txt", &["tokenizer_config.json"]),
        ("rwkv/rwkv_vocab_v20230424.txt", &[]),
    ];
    for (path, beside) in cases {
        let (directory, name) = path.split_once('/').unwrap();
        let bytes = testdata(path);
        let others: Vec<(&str, Vec<u8>)> =
            beside.iter().map(|other| (*other, testdata(&format!("{directory}/{other}")))).collect();
        let load: Load<'_> = &|bytes| Tokenizer::from_files(others.iter().cloned().chain([(name, bytes)]));
        let mut tally = damage(path, &bytes, load);
        if std::str::from_utf8(&bytes).is_err() {
            extremes(&mut tally, path, &bytes, load);
        } else {
            numbers(&mut tally, path, &bytes, load);
        }
        println!("{path}: {} tried, {} loaded, at most {} bytes", tally.tried, tally.loaded, tally.worst);
    }
}

#[test]
fn json_nested_a_million_deep_is_an_error() {
    let _alone = alone();
    let mut tally = Tally::default();
    for name in ["tokenizer.json", "tekken.json", "vocab.json", "tokenizer_config.json"] {
        for (open, prefix) in [
            ("[", ""),
            ("{\"a\":", ""),
            ("[", "{\"model\":"),
            ("[", "{\"vocab\":"),
            ("{\"a\":", "{\"normalizer\":"),
        ] {
            let bytes = [prefix, &open.repeat(1_000_000)].concat().into_bytes();
            let load: Load<'_> = &|bytes| {
                let merges = ("merges.txt", b"#version: 0.2\n".to_vec());
                let whole = ("tokenizer.json", testdata("tokenizer-json/tokenizer.json"));
                let beside = if name == "tokenizer_config.json" { whole } else { merges };
                Tokenizer::from_files([(name, bytes), beside])
            };
            tally.try_one(name, &|| format!("{prefix}{open}…"), bytes, load);
        }
    }
    assert_eq!(tally.tried, 20);
}

#[test]
fn a_token_of_a_megabyte_costs_what_it_weighs() {
    let _alone = alone();
    let long = "a".repeat(1 << 20);
    // A trie takes eight bytes a node, and nobody shares the beginning of such a token.
    let mut tally = Tally { times: 16, ..Tally::default() };
    let gguf = |model: &str, pre: &str| {
        GgufBuilder::new()
            .string("tokenizer.ggml.model", model)
            .string("tokenizer.ggml.pre", pre)
            .strings("tokenizer.ggml.tokens", ["<unk>", "<s>", "</s>", "a", "aa", long.as_str()])
            .f32s("tokenizer.ggml.scores", [0.0, 0.0, 0.0, -1.0, -2.0, -3.0])
            .i32s("tokenizer.ggml.token_type", [2, 3, 3, 1, 1, 1])
            .strings("tokenizer.ggml.merges", ["a a", &format!("a {}", &long[1..])])
            .finish()
    };
    for (model, pre) in [("gpt2", "gpt-2"), ("llama", "default"), ("t5", "default"), ("bert", "default")] {
        tally.try_one(model, &|| "a long token".into(), gguf(model, pre), &|bytes| {
            Tokenizer::from_gguf_bytes(bytes)
        });
    }
    let json = |model: &str| format!(r#"{{"version":"1.0","added_tokens":[],"model":{model}}}"#).into_bytes();
    for model in [
        format!(
            r#"{{"type":"BPE","vocab":{{"a":0,"aa":1,"{long}":2}},"merges":[["a","a"],["a","{}"]]}}"#,
            &long[1..]
        ),
        format!(
            r###"{{"type":"WordPiece","unk_token":"a","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{{"a":0,"{long}":1}}}}"###
        ),
        format!(r#"{{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["a",-1.0],["{long}",-2.0]]}}"#),
    ] {
        tally.try_one("tokenizer.json", &|| model[..20].to_owned(), json(&model), &|bytes| {
            Tokenizer::from_files([("tokenizer.json", bytes)])
        });
    }
    assert!(tally.loaded >= 6, "{}", tally.loaded);
}

#[test]
fn a_pattern_that_grows_is_refused_or_small() {
    let _alone = alone();
    // A pattern of a few characters names classes of a hundred thousand: a megabyte when compiled, and more on the way there.
    let mut tally = Tally { room: 8 << 20, ..Tally::default() };
    for pattern in [
        "(?:(?:(?:a{100}){100}){100}){100}",
        "\\p{L}{1000}",
        "(?:\\p{L}{100}){100}",
        "(?i)(?:\\p{Lu}{50}|\\p{Han}{50}){50}",
        "(?=\\p{L}{100})(?:\\w{100}){20}",
        "(?:\\w+\\s?){500}",
        "((((((((((a*)*)*)*)*)*)*)*)*)*)*b",
        "(?:[\\p{L}&&[^\\p{Han}]]{1,200}){1,200}",
    ] {
        let json = serde_json::json!({"version": "1.0", "added_tokens": [],
            "pre_tokenizer": {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}});
        tally.try_one("tokenizer.json", &|| pattern.to_owned(), json.to_string().into_bytes(), &|bytes| {
            Tokenizer::from_files([("tokenizer.json", bytes)])
        });
    }
    println!("{} of {} loaded, at most {} bytes", tally.loaded, tally.tried, tally.worst);
}

#[test]
fn special_tokens_may_be_empty_repeated_and_overlap() {
    let _alone = alone();
    let tokens = ["a", "b", "ab", "", "<s>", "<s>", "<s><s>", "s>", "<", "a<s"];
    let types = [1, 1, 1, 3, 3, 4, 3, 3, 4, 3];
    let bytes = GgufBuilder::new()
        .string("tokenizer.ggml.model", "gpt2")
        .string("tokenizer.ggml.pre", "gpt-2")
        .strings("tokenizer.ggml.tokens", tokens)
        .i32s("tokenizer.ggml.token_type", types)
        .strings("tokenizer.ggml.merges", ["a b"])
        .finish();
    assert!(Gguf::parse(bytes.clone()).is_ok());
    let mut tally = Tally::default();
    tally.try_one("gguf", &|| "special tokens".into(), bytes, &|bytes| Tokenizer::from_gguf_bytes(bytes));
    let added: Vec<_> = tokens
        .iter()
        .enumerate()
        .map(|(id, text)| {
            serde_json::json!({"id": id, "content": text, "special": id % 2 == 0, "normalized": id % 3 == 0, "single_word": false,
                "lstrip": id % 4 == 0, "rstrip": id % 5 == 0})
        })
        .collect();
    let json = serde_json::json!({"version": "1.0", "added_tokens": added,
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}});
    tally.try_one("tokenizer.json", &|| "added tokens".into(), json.to_string().into_bytes(), &|bytes| {
        Tokenizer::from_files([("tokenizer.json", bytes)])
    });
    assert_eq!(tally.tried, 2);
    println!("{} of 2 loaded", tally.loaded);
}
