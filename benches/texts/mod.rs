//! The texts of the benches, 5 MB each, made from what a machine that builds this crate has: the sources in cargo's registry.
//!
//! *English* is the prose of their documentation comments, *code* the sources themselves, both in the order of a fixed shuffle.
//! *Scripts* are words made up of the letters of sixteen scripts, drawn so that few are frequent and many rare, as words are. With
//! `ANYTOK_CORPUS_DIR` set, `english.txt`, `code.txt` and `scripts.txt` of that directory are taken instead.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Bytes of each text.
pub(crate) const CORPUS: usize = 5_000_000;

/// The last boundary between characters of `text` up to `at`.
pub(crate) fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default()
}

pub(crate) fn on_a_new_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// English, code and scripts, as far as there are any.
pub(crate) fn texts() -> Vec<(&'static str, String)> {
    let texts = if let Some(directory) = std::env::var_os("ANYTOK_CORPUS_DIR").map(PathBuf::from) {
        ["english", "code", "scripts"].map(|name| {
            (name, std::fs::read_to_string(directory.join(name).with_extension("txt")).unwrap_or_default())
        })
    } else {
        let (english, code) = from_registry();
        [("english", english), ("code", code), ("scripts", scripts())]
    };
    for (name, text) in &texts {
        if text.len() < CORPUS / 2 {
            println!("{name}: only {} bytes of text; skipped if that is none", text.len());
        }
    }
    texts.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// The prose of documentation comments, and the sources, of cargo's registry.
fn from_registry() -> (String, String) {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    let mut files = Vec::new();
    sources(&home.join("registry/src"), &mut files);
    files.sort();
    let mut random = Random(3);
    for i in (1..files.len()).rev() {
        files.swap(i, random.below(i + 1));
    }
    let (mut english, mut code) = (String::new(), String::new());
    for file in files {
        if english.len() >= CORPUS && code.len() >= CORPUS {
            break;
        }
        // Larger ones are mostly generated.
        let Some(source) = std::fs::read_to_string(file).ok().filter(|source| source.len() < 400_000) else {
            continue;
        };
        if code.len() < CORPUS {
            code.push_str(&source);
        }
        let mut fenced = false;
        for line in source.lines().map(str::trim_start) {
            let Some(prose) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else { continue };
            let prose = prose.strip_prefix(' ').unwrap_or(prose);
            if prose.starts_with("```") {
                fenced = !fenced;
            } else if !fenced && english.len() < CORPUS {
                english.push_str(prose);
                english.push('\n');
            }
        }
    }
    for text in [&mut english, &mut code] {
        text.truncate(boundary(text, CORPUS));
    }
    (english, code)
}

fn sources(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Words of one to nine letters, sixteen scripts in turn, a sentence each.
fn scripts() -> String {
    const SCRIPTS: [(u32, u32); 16] = [
        (0x0430, 0x044F), // Cyrillic
        (0x03B1, 0x03C9), // Greek
        (0x05D0, 0x05EA), // Hebrew
        (0x0627, 0x064A), // Arabic
        (0x0905, 0x0939), // Devanagari
        (0x0995, 0x09B9), // Bengali
        (0x0B85, 0x0BB9), // Tamil
        (0x0C05, 0x0C39), // Telugu
        (0x0E01, 0x0E2E), // Thai
        (0x10D0, 0x10F0), // Georgian
        (0x0561, 0x0586), // Armenian
        (0xAC00, 0xD7A3), // Hangul
        (0x4E00, 0x5FFF), // Han
        (0x3042, 0x3093), // Hiragana
        (0x00E0, 0x00FE), // Latin with diacritics
        (0x1200, 0x1248), // Ethiopic
    ];
    let mut random = Random(5);
    let words: Vec<Vec<String>> = SCRIPTS
        .iter()
        .map(|&(first, last)| {
            let letter = |random: &mut Random| {
                // Of two draws the lower: some letters are more frequent.
                let span = (last - first + 1) as usize;
                char::from_u32(first + random.below(span).min(random.below(span)) as u32).unwrap_or('x')
            };
            (0..20_000).map(|_| (0..=random.below(9)).map(|_| letter(&mut random)).collect()).collect()
        })
        .collect();
    let mut text = String::with_capacity(CORPUS + 1000);
    while text.len() < CORPUS {
        let words = &words[random.below(words.len())];
        for _ in 0..4 + random.below(12) {
            // The share of a word falls with its number, about as in Zipf's law.
            let number = random.below(words.len()) * random.below(words.len()) / words.len()
                * random.below(words.len())
                / words.len();
            let _ = write!(text, "{} ", words[number]);
        }
        text.pop();
        text.push_str(".\n");
    }
    text.truncate(boundary(&text, CORPUS));
    text
}

/// Marsaglia's xorshift: the same texts on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}
