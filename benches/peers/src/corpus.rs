//! The texts: made from packages whose versions are fixed, so that every machine measures the same.
//!
//! - *English*: the prose of the documentation comments of all crates in `Cargo.lock`.
//! - *Code*: the sources of the same crates.
//! - *Scripts*: the translations that Django ships, into some ninety languages, half of the bytes in scripts other than Latin.
//! - *Short*: lines of 64 to 256 bytes of English, code and scripts in turn.
//!
//! The order is that of a fixed shuffle. A text is cut into documents of about 64 KB, each of which is one call: a server's long
//! document, and small enough that peers with a cost above linear are measured as well. Lines that spell out a special token are left
//! out, for the libraries do not agree by default on what such a line means.

use std::error::Error;
use std::path::{Path, PathBuf};

const WARM: usize = 1_000_000;
const DOCUMENT: usize = 64 << 10;
const SPECIAL: [&str; 14] = [
    "<|",
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<bos>",
    "<eos>",
    "<mask>",
    "<extra_id",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[UNK]",
    "[PAD]",
];

/// A kind of text as files for the workers.
pub struct Corpus {
    pub name: &'static str,
    pub warm: PathBuf,
    pub timed: PathBuf,
    pub warm_len: u64,
    pub timed_len: u64,
}

/// Writes the texts of `timed` bytes behind the first megabyte below `data`.
pub fn write(data: &Path, registry: &[PathBuf], timed: usize) -> Result<Vec<Corpus>, Box<dyn Error>> {
    let len = WARM + timed;
    let (english, code) = crates(registry, len)?;
    let scripts = translations(&data.join("django"), len)?;
    let short = short(&[&english, &code, &scripts]);
    let mut corpora = Vec::new();
    for (name, text) in [("English", &english), ("code", &code), ("scripts", &scripts)] {
        if text.len() < 2 * WARM {
            return Err(format!("only {} bytes of {name}", text.len()).into());
        }
        let documents = documents(text);
        let warm = WARM / DOCUMENT;
        corpora.push(Corpus::write(data, name, &documents[..warm], &documents[warm..])?);
    }
    corpora.push(Corpus::write(data, "short", &short, &short)?);
    Ok(corpora)
}

impl Corpus {
    fn write(data: &Path, name: &'static str, warm: &[&str], timed: &[&str]) -> Result<Self, Box<dyn Error>> {
        let bytes = |documents: &[&str]| documents.iter().map(|document| document.len() as u64).sum();
        let corpus = Self {
            name,
            warm: data.join(format!("{name}.warm")),
            timed: data.join(format!("{name}.timed")),
            warm_len: bytes(warm),
            timed_len: bytes(timed),
        };
        std::fs::write(&corpus.warm, warm.join("\0"))?;
        std::fs::write(&corpus.timed, timed.join("\0"))?;
        Ok(corpus)
    }
}

/// Lines up to `DOCUMENT` bytes, none cut.
fn documents(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut rest = text;
    while rest.len() > DOCUMENT {
        let end = rest.as_bytes()[..DOCUMENT]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(rest.len(), |at| at + 1);
        let (document, tail) = rest.split_at(end);
        documents.push(document);
        rest = tail;
    }
    documents
}

fn short<'a>(texts: &[&'a str]) -> Vec<&'a str> {
    let fits = |line: &&str| (64..=256).contains(&line.len());
    let mut lines: Vec<_> = texts.iter().map(|text| text.lines().filter(fits)).collect();
    let mut short = Vec::new();
    while short.len() < 9_000 {
        let before = short.len();
        short.extend(lines.iter_mut().filter_map(Iterator::next));
        if short.len() == before {
            break;
        }
    }
    short
}

/// Adds a line of up to 8 KB, unless it has something that a tokenizer may take for a special token.
fn push_line(text: &mut String, line: &str) {
    if line.len() < 8192 && !line.contains('\0') && !SPECIAL.iter().any(|special| line.contains(special)) {
        text.push_str(line);
        text.push('\n');
    }
}

/// Prose and sources of the crates in `directories`.
fn crates(directories: &[PathBuf], len: usize) -> Result<(String, String), Box<dyn Error>> {
    let mut files = Vec::new();
    for directory in directories {
        files_below(directory, "rs", &mut files)?;
    }
    shuffle(&mut files, |path| path.strip_prefix(registry_of(directories)).unwrap_or(path).to_owned());
    let (mut english, mut code) = (String::new(), String::new());
    for file in files {
        if english.len() >= len && code.len() >= len {
            break;
        }
        // Larger ones are mostly generated.
        let Some(source) = std::fs::read_to_string(file).ok().filter(|source| source.len() < 200_000) else {
            continue;
        };
        let mut fenced = false;
        for line in source.lines() {
            if code.len() < len {
                push_line(&mut code, line);
            }
            let line = line.trim_start();
            let Some(prose) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else { continue };
            let prose = prose.strip_prefix(' ').unwrap_or(prose);
            if prose.starts_with("```") {
                fenced = !fenced;
            } else if !fenced && english.len() < len {
                push_line(&mut english, prose);
            }
        }
    }
    Ok((english, code))
}

fn registry_of(directories: &[PathBuf]) -> &Path {
    directories.first().and_then(|path| path.parent()).unwrap_or(Path::new(""))
}

/// The messages of gettext's `.po` files, shuffled one by one over all languages.
fn translations(directory: &Path, len: usize) -> Result<String, Box<dyn Error>> {
    let mut files = Vec::new();
    files_below(directory, "po", &mut files)?;
    files.sort();
    let mut messages = Vec::new();
    for file in files {
        let language =
            file.components().rev().nth(2).map(|part| part.as_os_str().to_string_lossy().into_owned());
        if language.is_some_and(|language| language.starts_with("en")) {
            continue;
        }
        let source = std::fs::read_to_string(&file)?;
        for block in source.split("\n\n").skip(1) {
            let Some((_, translated)) = block.split_once("\nmsgstr") else { continue };
            let quoted = translated.lines().filter_map(|line| {
                let line = line.find('"').map(|at| &line[at + 1..])?;
                line.strip_suffix('"')
            });
            let message = quoted.collect::<String>().replace("\\n", "\n").replace("\\\"", "\"");
            if !message.trim().is_empty() {
                messages.push(message);
            }
        }
    }
    shuffle(&mut messages, String::clone);
    let mut text = String::new();
    for message in messages.iter().take_while({
        let mut total = 0;
        move |message| {
            total += message.len();
            total < len
        }
    }) {
        message.lines().for_each(|line| push_line(&mut text, line));
    }
    Ok(text)
}

fn files_below(directory: &Path, extension: &str, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, extension, files)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    Ok(())
}

/// Sorts by `key`, then draws an order that is the same on every machine (Marsaglia's xorshift).
fn shuffle<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    items.sort_by_cached_key(key);
    let mut state = 3_u64;
    for i in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(i, (state >> 11) as usize % (i + 1));
    }
}
