//! Finds the tokenizer of a model and tells how; with a text, prints its ids and pieces.
//!
//! ```text
//! resolve [--offline] [--strict] [--side-files] [--repo OWNER/NAME] [--revision REVISION] MODEL [TEXT]
//! ```

use std::error::Error;
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::process::ExitCode;

use anytok::{Progress, Resolver, Special};
use indicatif::{ProgressBar, ProgressStyle};

const USAGE: &str = "usage: resolve [--offline] [--strict] [--side-files] [--repo OWNER/NAME] [--revision REVISION] \
     MODEL [TEXT]";

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let arguments = match Arguments::parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("resolve: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("resolve: {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprint!(": {error}");
                source = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments { model, text, offline, strict, side_files, repo, revision } = arguments;
    let mut resolver = Resolver::builder().strict(strict).side_files(side_files).observer(progress_bar()?);
    if offline {
        resolver = resolver.offline(true);
    }
    if let Some(repo) = repo {
        resolver = resolver.repo(repo.parse()?);
    }
    if let Some(revision) = revision {
        resolver = resolver.revision(revision);
    }
    let found = resolver.build().resolve(model)?;
    let tokenizer = found.tokenizer();
    print!("{found}");
    println!();
    println!("tokenizer  {} ids, by {} from {}", tokenizer.vocab_size(), found.strategy(), found.source());
    if let Some(text) = text {
        let ids = tokenizer.encode(&text, Special::Add)?;
        let piece = |&id: &u32| {
            let bytes = tokenizer.token_bytes(id).unwrap_or_default();
            format!("{:?}", String::from_utf8_lossy(bytes))
        };
        println!("ids        {ids:?}");
        println!("pieces     {}", ids.iter().map(piece).collect::<Vec<_>>().join(" "));
    }
    Ok(())
}

/// Draws downloads on standard error, if that is a terminal.
fn progress_bar() -> Result<impl Fn(&Progress<'_>) -> ControlFlow<()> + Send + Sync, Box<dyn Error>> {
    let style = ProgressStyle::with_template(
        "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}",
    )?;
    let bar = ProgressBar::no_length().with_style(style);
    Ok(move |progress: &Progress<'_>| {
        if progress.received == 0 {
            bar.reset();
            bar.set_message(format!("{}/{}", progress.repository, progress.file));
        }
        if let Some(total) = progress.total {
            bar.set_length(total);
        }
        bar.set_position(progress.received);
        if progress.total == Some(progress.received) {
            bar.finish_and_clear();
        }
        ControlFlow::Continue(())
    })
}

struct Arguments {
    model: OsString,
    text: Option<String>,
    offline: bool,
    strict: bool,
    side_files: bool,
    repo: Option<String>,
    revision: Option<String>,
}

impl Arguments {
    /// `None` when the usage is asked for.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::{Long, Short, Value, ValueExt as _};

        let (mut model, mut text, mut repo, mut revision) = (None, None, None, None);
        let (mut offline, mut strict, mut side_files) = (false, false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(path) if model.is_none() => model = Some(path),
                Value(value) if text.is_none() => text = Some(value.string()?),
                Long("offline") => offline = true,
                Long("strict") => strict = true,
                Long("side-files") => side_files = true,
                Long("repo") => repo = Some(parser.value()?.string()?),
                Long("revision") => revision = Some(parser.value()?.string()?),
                Long("help") | Short('h') => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        let model = model.ok_or("expected the path of a model")?;
        Ok(Some(Self { model, text, offline, strict, side_files, repo, revision }))
    }
}
