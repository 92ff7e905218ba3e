//! Texts in, ids out, a line each: the tokenizer of a model for any program that can write to a pipe.
//!
//! ```text
//! pipe MODEL [--add-special] [--parse-special] [--offline]
//! pipe MODEL --decode [--skip-special] [--offline]
//! ```
//!
//! MODEL is anything that `Resolver::resolve` takes. The contract is that of `anytok pipe`, and the code: `src/bin/anytok/lines.rs`.
//! Exit status: 0, 1 when a line was bad or the model has no tokenizer, 2 when the arguments are wrong.

#[path = "../src/bin/anytok/lines.rs"]
mod lines;

use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use anytok::{Resolver, Special, SpecialText};
use lines::Direction;

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
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // A reader that has seen enough (`head`) is no mishap.
            let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
            if !error.downcast_ref().is_some_and(closed) {
                eprintln!("pipe: {}", chain(&*error));
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
    lines::answer(found.tokenizer(), arguments.direction)
}

/// An error with its causes, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
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
