//! Texts in, ids out, a line each: the tokenizer of a model for any program that can write to a pipe.
//!
//! ```text
//! pipe MODEL [--add-special] [--parse-special] [--offline]
//! pipe MODEL --decode [--skip-special] [--offline]
//! ```
//!
//! Standard input has one JSON string a line, standard output one JSON array of ids a line, in the same order; with `--decode`
//! it is the other way round. MODEL is anything that `Resolver::resolve` takes. This contract is stable:
//!
//! - Line n of the output answers line n of the input. A line that has no answer (not JSON, a text without ids, an id without a
//!   token) is answered by `null` and reported with its number on standard error; the exit status is then 1, at the end.
//! - The answer to a line is written at the latest when no further whole line has arrived, so a program may wait for it.
//! - An id that a vocabulary leaves open (`LLAMA_TOKEN_NULL` of llama.cpp) is written as -1.
//! - Decoded text renders special tokens unless `--skip-special` is given; what is not UTF-8 in it becomes U+FFFD.
//! - Exit status: 0, 1 when a line was bad or the model has no tokenizer, 2 when the arguments are wrong.

use std::borrow::Cow;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::process::ExitCode;

use anytok::{Resolver, Special, SpecialText, Tokenizer};
use serde::{Deserialize, Serializer as _};

const USAGE: &str = "usage: pipe MODEL [--add-special] [--parse-special] [--offline]
       pipe MODEL --decode [--skip-special] [--offline]";

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let arguments = match Arguments::parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("pipe: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(bad) => {
            eprintln!("pipe: {bad} bad lines, each answered by null");
            ExitCode::FAILURE
        }
        Err(error) => {
            // A reader that has seen enough (`head`) is no mishap.
            let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
            if !error.downcast_ref().is_some_and(closed) {
                eprintln!("pipe: {}", with_sources(&*error));
            }
            ExitCode::FAILURE
        }
    }
}

/// Answers every line and returns how many were bad.
fn run(arguments: &Arguments) -> Result<u64, Box<dyn Error>> {
    let mut resolver = Resolver::builder();
    if arguments.offline {
        resolver = resolver.offline(true);
    }
    let found = resolver.build().resolve(&arguments.model)?;
    let mut answers = Answers::new(found.tokenizer(), arguments.direction);

    let mut input = BufReader::with_capacity(1 << 16, io::stdin().lock());
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut line = Vec::new();
    let (mut number, mut bad) = (0u64, 0u64);
    while input.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        if let Err(error) = answers.write(&line, &mut output) {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Err(io::Error::from(error.kind()).into());
            }
            bad += 1;
            eprintln!("pipe: line {number}: {}", with_sources(&*error));
            output.write_all(b"null")?;
        }
        output.write_all(b"\n")?;
        if !input.buffer().contains(&b'\n') {
            output.flush()?;
        }
        line.clear();
    }
    output.flush()?;
    Ok(bad)
}

/// Answers to lines, with the buffers that all of them share.
struct Answers<'t> {
    tokenizer: &'t Tokenizer,
    direction: Direction,
    ids: Vec<u32>,
    text: Vec<u8>,
}

impl<'t> Answers<'t> {
    fn new(tokenizer: &'t Tokenizer, direction: Direction) -> Self {
        Self { tokenizer, direction, ids: Vec::new(), text: Vec::new() }
    }

    /// Writes nothing when the line is bad.
    fn write(&mut self, line: &[u8], output: &mut impl Write) -> Result<(), Box<dyn Error>> {
        match self.direction {
            Direction::Encode(special) => {
                let Text(text) =
                    serde_json::from_slice(line).map_err(|error| expected("a JSON string", &error))?;
                self.ids.clear();
                self.tokenizer.encode_into(&text, special, &mut self.ids)?;
                let ids = self.ids.iter().map(|&id| if id == u32::MAX { -1 } else { i64::from(id) });
                serde_json::Serializer::new(output).collect_seq(ids).map_err(io::Error::from)?;
            }
            Direction::Decode(special) => {
                let ids: Vec<u32> =
                    serde_json::from_slice(line).map_err(|error| expected("a JSON array of ids", &error))?;
                self.text.clear();
                self.tokenizer.decode_into(&ids, special, &mut self.text)?;
                serde_json::to_writer(output, &String::from_utf8_lossy(&self.text))
                    .map_err(io::Error::from)?;
            }
        }
        Ok(())
    }
}

/// A JSON string, borrowed where it holds no escape.
#[derive(Deserialize)]
struct Text<'l>(#[serde(borrow)] Cow<'l, str>);

fn expected(what: &str, error: &serde_json::Error) -> String {
    format!("expected {what}: {error}")
}

fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[derive(Clone, Copy)]
enum Direction {
    Encode(Special),
    Decode(SpecialText),
}

struct Arguments {
    model: OsString,
    direction: Direction,
    offline: bool,
}

impl Arguments {
    /// `None` when the usage is asked for.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::{Long, Short, Value};

        let mut model = None;
        let (mut add, mut parse, mut decode, mut skip, mut offline) = (false, false, false, false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(path) if model.is_none() => model = Some(path),
                Long("add-special") => add = true,
                Long("parse-special") => parse = true,
                Long("decode") => decode = true,
                Long("skip-special") => skip = true,
                Long("offline") => offline = true,
                Long("help") | Short('h') => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        let model = model.ok_or("expected the path of a model")?;
        let direction = match (decode, add, parse, skip) {
            (false, false, false, false) => Direction::Encode(Special::Ignore),
            (false, true, false, false) => Direction::Encode(Special::Add),
            (false, false, true, false) => Direction::Encode(Special::Parse),
            (false, true, true, false) => Direction::Encode(Special::AddAndParse),
            (false, _, _, true) => return Err("--skip-special goes with --decode".into()),
            (true, false, false, false) => Direction::Decode(SpecialText::Render),
            (true, false, false, true) => Direction::Decode(SpecialText::Skip),
            (true, ..) => return Err("--add-special and --parse-special do not go with --decode".into()),
        };
        Ok(Some(Self { model, direction, offline }))
    }
}
