//! Between text and ids: `count`, `encode`, `decode`.

use std::borrow::Cow;
use std::error::Error;
use std::io::{self, BufRead as _, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anstyle::{AnsiColor, Style};
use anytok::{Special, SpecialText, Tokenizer};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use crate::model::Model;
use crate::{Outcome, STRONG, chain, written};

/// The field's two switches.
#[derive(Args, Clone, Copy)]
pub(crate) struct SpecialTokens {
    /// Add the special tokens that frame a text, such as BOS
    #[arg(long)]
    add_special: bool,
    /// Take special tokens that are spelled out in the text for what they are; only for text that is trusted
    #[arg(long)]
    parse_special: bool,
}

impl SpecialTokens {
    pub(crate) fn get(self) -> Special {
        match (self.add_special, self.parse_special) {
            (false, false) => Special::Ignore,
            (true, false) => Special::Add,
            (false, true) => Special::Parse,
            (true, true) => Special::AddAndParse,
        }
    }
}

/// One text.
#[derive(Args)]
pub(crate) struct Input {
    /// A file of UTF-8 text; `-`, or none, is standard input
    file: Option<PathBuf>,
    /// The text itself, in place of a file
    #[arg(short, long, conflicts_with = "file", allow_hyphen_values = true)]
    text: Option<String>,
}

impl Input {
    fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new("-"))
    }

    pub(crate) fn read(&self) -> Result<Cow<'_, str>, Box<dyn Error>> {
        match &self.text {
            Some(text) => Ok(text.into()),
            None => Ok(read(self.file())?.into()),
        }
    }
}

/// Count the tokens of files, of a text or of standard input.
///
/// Prints a line for each file, as `wc` does, and the sum of several. Files are counted on all cores.
#[derive(Args)]
pub(crate) struct Count {
    #[command(flatten)]
    model: Model,
    /// Files of UTF-8 text; `-`, or none, is standard input
    files: Vec<PathBuf>,
    /// The text itself, in place of files
    #[arg(short, long, conflicts_with = "files", allow_hyphen_values = true)]
    text: Option<String>,
    #[command(flatten)]
    special: SpecialTokens,
    /// Exit with status 1 if a text has more than N tokens
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print the count of each line instead; a line's end is no part of it
    #[arg(long)]
    per_line: bool,
}

impl Count {
    pub(crate) fn run(&self, json: bool) -> Outcome {
        let found = self.model.resolve()?;
        let tokenizer = found.tokenizer();
        let special = self.special.get();
        let mut over = false;
        if self.per_line {
            let mut out = BufWriter::new(io::stdout().lock());
            for (name, text) in self.texts() {
                for (i, line) in text?.lines().enumerate() {
                    let count = tokenizer.count(line, special)?;
                    over |= self.is_over(count);
                    if json {
                        writeln!(out, "{}", json!({ "file": name, "line": i + 1, "tokens": count }))?;
                    } else {
                        writeln!(out, "{count}")?;
                    }
                }
            }
            out.flush()?;
        } else {
            let counts = self.counts(tokenizer, special)?;
            over = self.print(&counts, json)?;
        }
        Ok(if over { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn is_over(&self, count: usize) -> bool {
        self.limit.is_some_and(|limit| count > limit)
    }

    /// Name and text of each input, read when it is asked for.
    fn texts(&self) -> impl Iterator<Item = (String, Result<String, Box<dyn Error>>)> {
        let alone = match &self.text {
            Some(text) => Some(Ok(text.clone())),
            None if self.files.is_empty() => Some(read(Path::new("-"))),
            None => None,
        };
        let files = self.files.iter().map(|path| (path.display().to_string(), read(path)));
        alone.map(|text| (String::new(), text)).into_iter().chain(files)
    }

    /// Name and count of each input, in their order. Files are taken by threads one after the other.
    fn counts(
        &self,
        tokenizer: &Tokenizer,
        special: Special,
    ) -> Result<Vec<(String, usize)>, Box<dyn Error>> {
        let threads =
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(self.files.len());
        if threads <= 1 {
            return self.texts().map(|(name, text)| Ok((name, tokenizer.count(&text?, special)?))).collect();
        }
        let bar = ProgressBar::new(self.files.len() as u64);
        let next = AtomicUsize::new(0);
        let worker = || {
            let mut counts = Vec::new();
            while let Some((i, path)) =
                self.files.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
            {
                let count = read(path)
                    .and_then(|text| Ok(tokenizer.count(&text, special)?))
                    .map_err(|error| chain(&*error));
                counts.push((i, (path.display().to_string(), count)));
                bar.inc(1);
            }
            counts
        };
        let mut counts: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            let done = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
            done.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        bar.finish_and_clear();
        counts.sort_unstable_by_key(|&(i, _)| i);
        counts.into_iter().map(|(_, (name, count))| Ok((name, count?))).collect()
    }

    /// Returns whether a text is over the limit.
    fn print(&self, counts: &[(String, usize)], json: bool) -> io::Result<bool> {
        let total: usize = counts.iter().map(|(_, count)| count).sum();
        let width = if counts.len() > 1 { total.to_string().len() } else { 0 };
        let mut out = BufWriter::new(io::stdout().lock());
        for (name, count) in counts {
            match (json, &name[..]) {
                (true, "") => writeln!(out, "{}", json!({ "tokens": count }))?,
                (true, name) => writeln!(out, "{}", json!({ "file": name, "tokens": count }))?,
                (false, "") => writeln!(out, "{count}")?,
                (false, name) => writeln!(out, "{count:>width$} {name}")?,
            }
        }
        if counts.len() > 1 {
            if json {
                writeln!(out, "{}", json!({ "total": total }))?;
            } else {
                writeln!(out, "{total:>width$} total")?;
            }
        }
        out.flush()?;
        let over: Vec<_> = counts.iter().filter(|(_, count)| self.is_over(*count)).collect();
        for (name, count) in &over {
            let name = if name.is_empty() { "the text" } else { name };
            let limit = self.limit.unwrap_or_default();
            anstream::eprintln!("{STRONG}anytok:{STRONG:#} {name} has {count} tokens, {limit} are allowed");
        }
        Ok(!over.is_empty())
    }
}

/// Turn text into ids.
///
/// Prints the ids on one line, separated by spaces; `decode` reads them. A byte order mark or a line's end at the end of a file
/// is part of the text.
#[derive(Args)]
pub(crate) struct Encode {
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    special: SpecialTokens,
    /// Print each token on a line of its own: id, range of bytes in the text, piece
    #[arg(long)]
    pieces: bool,
    /// Take each line as a text, and answer it before the next is read; a line's end is no part of it
    #[arg(long)]
    per_line: bool,
}

impl Encode {
    pub(crate) fn run(&self, json: bool) -> Outcome {
        let found = self.model.resolve()?;
        let tokenizer = found.tokenizer();
        if !self.per_line {
            self.answer(tokenizer, &self.input.read()?, json)?;
        } else if let Some(text) = &self.input.text {
            for line in text.lines() {
                self.answer(tokenizer, line, json)?;
            }
        } else {
            let file = self.input.file();
            let mut input = io::BufReader::new(open(file)?);
            let mut line = Vec::new();
            while input.read_until(b'\n', &mut line)? > 0 {
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                let text = std::str::from_utf8(text).map_err(|error| not_utf8(file, error))?;
                self.answer(tokenizer, text, json)?;
                line.clear();
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn answer(&self, tokenizer: &Tokenizer, text: &str, json: bool) -> Result<(), Box<dyn Error>> {
        let special = self.special.get();
        if !self.pieces {
            let ids = tokenizer.encode(text, special)?;
            let mut out = BufWriter::new(io::stdout().lock());
            if json {
                let ids: Vec<i64> = ids.into_iter().map(written).collect();
                writeln!(out, "{}", json!({ "ids": ids }))?;
            } else {
                write_ids(&mut out, &ids)?;
            }
            return Ok(out.flush()?);
        }
        let encoding = tokenizer.encode_with_offsets(text, special)?;
        let tokens: Vec<_> = encoding.ids.iter().copied().zip(encoding.offsets).collect();
        if json {
            let token = |(id, span): &(u32, std::ops::Range<usize>)| json!({ "id": written(*id), "start": span.start, "end": span.end, "piece": piece(tokenizer, *id) });
            let tokens: Vec<_> = tokens.iter().map(token).collect();
            let mut out = io::stdout().lock();
            writeln!(out, "{}", json!({ "tokens": tokens }))?;
            return Ok(());
        }
        let mut out = anstream::stdout().lock();
        for (i, (id, span)) in tokens.iter().enumerate() {
            let style = BOUNDARIES[i % 2];
            let (span, piece) = (format!("{}..{}", span.start, span.end), piece(tokenizer, *id));
            writeln!(out, "{:>7}  {span:<13}  {style}{piece:?}{style:#}", written(*id))?;
        }
        Ok(())
    }
}

/// Turn ids into text.
///
/// Reads decimal ids, separated by white space, commas or brackets, so that JSON arrays and the output of `encode` will do, and writes
/// text as soon as it is certain.
#[derive(Args)]
pub(crate) struct Decode {
    #[command(flatten)]
    model: Model,
    /// The ids; `-`, or none, is standard input
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Leave out special tokens
    #[arg(long)]
    skip_special: bool,
    /// Print each token on a line of its own: id, piece
    #[arg(long)]
    pieces: bool,
}

impl Decode {
    pub(crate) fn run(&self, json: bool) -> Outcome {
        let found = self.model.resolve()?;
        let tokenizer = found.tokenizer();
        let special = if self.skip_special { SpecialText::Skip } else { SpecialText::Render };
        let mut printer =
            Printer { tokenizer, pieces: self.pieces, json, text: String::new(), tokens: Vec::new() };
        let mut stream = tokenizer.decode_stream(special);
        let mut out = anstream::stdout().lock();
        let given = self.ids.join(" ");
        let mut input: Box<dyn Read> = if matches!(&self.ids[..], [] | [_]) && matches!(&given[..], "" | "-")
        {
            Box::new(io::stdin().lock())
        } else {
            Box::new(given.as_bytes())
        };
        let mut ids = Ids::default();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = input.read(&mut buffer)?;
            let mut found = Vec::new();
            ids.scan(&buffer[..read], read == 0, &mut found)?;
            for id in found {
                printer.token(id, stream.push(id)?, &mut out)?;
            }
            if read == 0 {
                break;
            }
            out.flush()?;
        }
        printer.finish(&stream.finish(), &mut out)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Decimal numbers in bytes that come in parts.
#[derive(Default)]
struct Ids {
    /// The digits of a number that may go on.
    digits: String,
}

impl Ids {
    fn scan(&mut self, bytes: &[u8], is_end: bool, found: &mut Vec<u32>) -> Result<(), Box<dyn Error>> {
        for &byte in bytes {
            match byte {
                b'0'..=b'9' if self.digits.len() < 10 => self.digits.push(byte.into()),
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' => self.end(found)?,
                _ => {
                    let digits = &self.digits;
                    return Err(format!("expected ids, found `{digits}{}`", byte.escape_ascii()).into());
                }
            }
        }
        if is_end { self.end(found) } else { Ok(()) }
    }

    fn end(&mut self, found: &mut Vec<u32>) -> Result<(), Box<dyn Error>> {
        if !self.digits.is_empty() {
            let id = self
                .digits
                .parse()
                .map_err(|_| format!("expected an id of 32 bits, found {}", self.digits))?;
            found.push(id);
            self.digits.clear();
        }
        Ok(())
    }
}

/// What `decode` writes, and when.
struct Printer<'t> {
    tokenizer: &'t Tokenizer,
    pieces: bool,
    json: bool,
    text: String,
    tokens: Vec<serde_json::Value>,
}

impl Printer<'_> {
    fn token(&mut self, id: u32, certain: &str, out: &mut impl io::Write) -> io::Result<()> {
        match (self.pieces, self.json) {
            (false, false) => out.write_all(certain.as_bytes()),
            (false, true) => {
                self.text.push_str(certain);
                Ok(())
            }
            (true, false) => writeln!(out, "{id:>7}  {:?}", piece(self.tokenizer, id)),
            (true, true) => {
                self.tokens.push(json!({ "id": id, "piece": piece(self.tokenizer, id) }));
                Ok(())
            }
        }
    }

    fn finish(&mut self, rest: &str, out: &mut impl io::Write) -> io::Result<()> {
        match (self.pieces, self.json) {
            (false, false) => out.write_all(rest.as_bytes()),
            (false, true) => {
                self.text.push_str(rest);
                writeln!(out, "{}", json!({ "text": self.text }))
            }
            (true, false) => Ok(()),
            (true, true) => writeln!(out, "{}", json!({ "tokens": self.tokens })),
        }?;
        out.flush()
    }
}

/// Writes ids on one line.
pub(crate) fn write_ids(out: &mut impl io::Write, ids: &[u32]) -> io::Result<()> {
    for (i, &id) in ids.iter().enumerate() {
        write!(out, "{}{}", if i == 0 { "" } else { " " }, written(id))?;
    }
    writeln!(out)
}

/// The bytes of a token as text, U+FFFD for what is not UTF-8.
fn piece(tokenizer: &Tokenizer, id: u32) -> String {
    String::from_utf8_lossy(tokenizer.token_bytes(id).unwrap_or_default()).into_owned()
}

/// A file, or standard input for `-`.
fn open(path: &Path) -> Result<Box<dyn Read>, Box<dyn Error>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file =
        std::fs::File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(Box::new(file))
}

/// All of a file, or of standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<String, Box<dyn Error>> {
    let mut bytes = Vec::new();
    open(path)?
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(String::from_utf8(bytes).map_err(|error| not_utf8(path, error.utf8_error()))?)
}

fn not_utf8(path: &Path, error: std::str::Utf8Error) -> String {
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    format!("expected UTF-8 text in {name}: {error}")
}

/// Tokens take turns, so that a boundary shows.
const BOUNDARIES: [Style; 2] = [AnsiColor::Cyan.on_default(), AnsiColor::Yellow.on_default()];
