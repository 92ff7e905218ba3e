//! Texts in, ids out, a line each: the tokenizer of a model for any program that can write to a pipe.
//!
//! ```text
//! pipe MODEL [--add-special] [--parse-special] [--offline]
//! pipe MODEL --decode [--skip-special] [--offline]
//! ```
//!
//! The contract is that of `anytok pipe`, and the code: `src/bin/anytok/lines.rs`. Exit status: 0, 1 when a line was bad or the model
//! has no tokenizer, 2 when the arguments are wrong.

#[path = "../src/bin/anytok/lines.rs"]
mod lines;

use std::process::ExitCode;

use anytok::{Resolver, Special, SpecialText};
use lines::Direction;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut flags, paths): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with("--"));
    let is_offline = flags.contains(&"--offline");
    flags.retain(|&flag| flag != "--offline");
    flags.sort_unstable();
    flags.dedup();
    let direction = match flags[..] {
        [] => Direction::Encode(Special::Ignore),
        ["--add-special"] => Direction::Encode(Special::Add),
        ["--parse-special"] => Direction::Encode(Special::Parse),
        ["--add-special", "--parse-special"] => Direction::Encode(Special::AddAndParse),
        ["--decode"] => Direction::Decode(SpecialText::Render),
        ["--decode", "--skip-special"] => Direction::Decode(SpecialText::Skip),
        _ => return usage(),
    };
    let [path] = paths[..] else { return usage() };
    let builder = Resolver::builder();
    let resolver = if is_offline { builder.offline(true) } else { builder }.build();
    let outcome = resolver.resolve(path).map_err(Into::into);
    match outcome.and_then(|found| lines::answer(found.tokenizer(), direction)) {
        Ok(bad) => ExitCode::from(u8::from(bad > 0)),
        // A reader that has seen enough (`head`) is no mishap.
        Err(error) if lines::is_closed(&*error) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("pipe: {}", lines::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: pipe MODEL [--add-special] [--parse-special] [--offline]\n       pipe MODEL --decode [--skip-special] [--offline]"
    );
    ExitCode::from(2)
}
