//! What the worst texts cost, of 1 MB and of 8 MB, for every family of tokenizers.
//!
//! ```text
//! cargo bench --bench worst                everything
//! cargo bench --bench worst -- gemma       the vocabularies whose name has that in it
//! ```
//!
//! Each text is encoded by a thread that has not encoded before, and timed by what that thread ran; the best of three. In each cell: the time of 1 MB as a multiple of
//! the time that 1 MB of English takes the same vocabulary, and behind the bar the time of 8 MB as a multiple of that of 1 MB. The goal
//! is at most 10 and at most 9; what is over is marked `!`, and the last line tells the worst of each. English itself is given in MB/s.
//!
//! Vocabularies come from `../shared/vocab` (or `$ANYTOK_SHARED/vocab`) and from `testdata`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anytok::{Resolver, Special, Tokenizer};

mod texts;

use texts::{Random, on_a_new_thread, texts};

/// A name and a model, at least one for each engine, each format and each special way through them.
const VOCABULARIES: &[(&str, &str)] = &[
    ("gpt-2.gguf", "gguf/gpt-2.gguf"),
    ("llama-bpe.gguf", "gguf/llama-bpe.gguf"),
    ("qwen2.gguf", "gguf/qwen2.gguf"),
    ("deepseek-coder.gguf", "gguf/deepseek-coder.gguf"),
    ("falcon.gguf", "gguf/falcon.gguf"),
    ("gpt-neox.gguf", "gguf/gpt-neox.gguf"),
    ("mistral-tekken.gguf", "gguf/mistral-tekken.gguf"),
    ("llama-spm.gguf", "gguf/llama-spm.gguf"),
    ("gemma3-spm.gguf", "gguf/gemma3-spm.gguf"),
    ("gemma-4.gguf", "gguf/gemma-4.gguf"),
    ("bert-bge.gguf", "gguf/bert-bge.gguf"),
    ("t5.gguf", "gguf/t5-v1_1-xxl.gguf"),
    ("nomic-bert-moe.gguf", "gguf/nomic-bert-moe.gguf"),
    ("rwkv-world.gguf", "gguf/rwkv-world.gguf"),
    ("llama3.1.json", "files/llama3.1/tokenizer.json"),
    ("deepseek-v3.json", "files/deepseek-v3/tokenizer.json"),
    ("llama2.json", "files/llama2/tokenizer.json"),
    ("mistral-v3.model", "files/mistral-v3/tokenizer.model"),
    ("minilm.json", "files/all-minilm-l6-v2/tokenizer.json"),
    ("t5.json", "files/t5-v1_1-xxl/tokenizer.json"),
    ("gpt2.merges", "files/gpt2/merges.txt"),
    ("unigram.model", "files/spm-test-unigram/tokenizer.model"),
    ("t5.model", "files/t5-v1_1-xxl/spiece.model"),
    ("cl100k.tiktoken", "files/cl100k_base/cl100k_base.tiktoken"),
    ("o200k.tiktoken", "files/o200k_base/o200k_base.tiktoken"),
    ("llama3.tiktoken", "files/llama3-meta/tokenizer.model"),
    ("tekken.json", "files/mistral-tekken-240911/tekken.json"),
    ("rwkv.txt", "files/rwkv-world/rwkv_vocab_v20230424.txt"),
];

const MEGABYTE: usize = 1_000_000;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let shared = std::env::var_os("ANYTOK_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let resolver = Resolver::builder().without_store().offline(true).build();
    let Some(english) =
        texts().into_iter().find(|(name, _)| *name == "english").map(|(_, text)| text.into_bytes())
    else {
        eprintln!("no English text: cargo's registry holds no sources, and ANYTOK_CORPUS_DIR is not set");
        return;
    };
    let english = &english[..MEGABYTE.min(english.len())];
    let texts: Vec<(&str, Vec<u8>)> = texts_of_8_megabytes();
    print!("{:20} {:>7}", "vocabulary", "English");
    for (name, _) in &texts {
        print!(" {name:>14}");
    }
    println!();
    let (mut worst_cost, mut worst_growth) = ((0.0, String::new()), (0.0, String::new()));
    for &(name, model) in VOCABULARIES {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part)) {
            continue;
        }
        let found = match resolver.resolve(shared.join("vocab").join(model)) {
            Ok(found) => found,
            Err(error) => {
                println!("{name:20} skipped: {error}");
                continue;
            }
        };
        let tokenizer = found.tokenizer();
        // The tables that are made once enough text has come are there after this.
        let _ = best(tokenizer, english);
        let base = best(tokenizer, english).as_secs_f64();
        let mut line = format!("{name:20} {:7.1}", english.len() as f64 / base / 1e6);
        for (text, bytes) in &texts {
            let one = best(tokenizer, &bytes[..MEGABYTE]).as_secs_f64();
            let eight = best(tokenizer, bytes).as_secs_f64();
            let (cost, growth) = (one / base, eight / one);
            let mark = if cost > 10.0 || growth > 9.0 { '!' } else { ' ' };
            let _ = write!(line, " {cost:6.2} | {growth:4.1}{mark}");
            for (worst, value) in [(&mut worst_cost, cost), (&mut worst_growth, growth)] {
                if value > worst.0 {
                    *worst = (value, format!("{name}, {text}"));
                }
            }
        }
        println!("{line}");
    }
    println!("worst cost per byte against English: {:.2} ({})", worst_cost.0, worst_cost.1);
    println!("worst growth from 1 MB to 8 MB: {:.2} ({})", worst_growth.0, worst_growth.1);
}

/// The best of three, each by a thread that remembers nothing.
fn best(tokenizer: &Tokenizer, text: &[u8]) -> Duration {
    let once = || {
        let start = Clock::now();
        let _ = black_box(tokenizer.encode_bytes(black_box(text), Special::Parse));
        start.elapsed()
    };
    (0..3).map(|_| on_a_new_thread(once)).min().unwrap_or_default()
}

/// What this thread has run, where the system tells (Linux), so that a machine with other work measures the same; else the time.
struct Clock(Instant, Option<Duration>);

impl Clock {
    fn now() -> Self {
        Self(Instant::now(), Self::of_thread())
    }

    fn elapsed(&self) -> Duration {
        match (self.1, Self::of_thread()) {
            (Some(start), Some(end)) => end.saturating_sub(start),
            _ => self.0.elapsed(),
        }
    }

    fn of_thread() -> Option<Duration> {
        // Has the system add up what ran since it last looked.
        std::thread::yield_now();
        let status = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(status.split_whitespace().next()?.parse().ok()?))
    }
}

fn texts_of_8_megabytes() -> Vec<(&'static str, Vec<u8>)> {
    const LEN: usize = 8 * MEGABYTE;
    let mut random = Random(1);
    let repeated = |part: &str| part.as_bytes().iter().copied().cycle().take(LEN).collect::<Vec<u8>>();
    vec![
        ("one-letter", repeated("a")),
        ("one-word", (0..LEN).map(|_| b'a' + random.below(26) as u8).collect()),
        ("spaces", repeated(" ")),
        ("newlines", repeated("\n")),
        ("digits", repeated("1234567890")),
        ("punctuation", repeated("=-")),
        ("joiners", repeated("\u{200D}")),
        ("marks", repeated("a\u{0301}\u{0323}\u{0308}")),
        ("only-marks", repeated("\u{0301}\u{0316}")),
        ("emoji", repeated("👩\u{200D}👩\u{200D}👧\u{200D}👦🏽")),
        ("han", repeated("语言模型")),
        ("random-bytes", (0..LEN).map(|_| random.below(256) as u8).collect()),
        ("<|", repeated("<|")),
        ("unfinished", repeated("<|endoftext|<|im_start<start_of_turn")),
    ]
}
