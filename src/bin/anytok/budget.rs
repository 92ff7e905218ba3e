//! Text that fits a budget of tokens: `truncate` and `split`.

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use anytok::Side;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::Outcome;
use crate::model::Model;
use crate::text::{Input, SpecialTokens};

/// Print as much of a text as fits a budget of tokens.
///
/// Never cuts a character, and adds nothing to the text, no newline either. With --add-special the tokens that frame the text count.
#[derive(Args)]
pub(crate) struct Truncate {
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    input: Input,
    /// The most tokens that the text may have
    #[arg(long, value_name = "N")]
    budget: usize,
    /// The side that is cut off
    #[arg(long, value_enum, default_value_t)]
    side: CutSide,
    #[command(flatten)]
    special: SpecialTokens,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum CutSide {
    /// Keep the end of the text
    Left,
    /// Keep the beginning of the text
    #[default]
    Right,
}

impl Truncate {
    pub(crate) fn run(&self, json: bool) -> Outcome {
        let found = self.model.resolve()?;
        let tokenizer = found.tokenizer();
        let special = self.special.get();
        let side = match self.side {
            CutSide::Left => Side::Left,
            CutSide::Right => Side::Right,
        };
        let text = self.input.read()?;
        let kept = tokenizer.truncate(&text, self.budget, side, special)?;
        let mut out = io::stdout().lock();
        if json {
            let tokens = tokenizer.count(kept, special)?;
            let cut = text.len() - kept.len();
            writeln!(out, "{}", json!({ "text": kept, "tokens": tokens, "bytes_cut": cut }))?;
        } else {
            out.write_all(kept.as_bytes())?;
            out.flush()?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Cut a text into parts that each fit a budget of tokens.
///
/// Cuts where a paragraph, a line, a sentence or a word ends, and never a character. Prints each part as a JSON string on a line, as
/// `anytok pipe` reads it; all parts together are the text. With --add-special the tokens that frame a text count for every part.
#[derive(Args)]
pub(crate) struct Split {
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    input: Input,
    /// The most tokens that a part may have
    #[arg(long, value_name = "N")]
    budget: usize,
    /// Repeat up to N tokens of the end of each part at the beginning of the next
    #[arg(long, value_name = "N", default_value_t = 0)]
    overlap: usize,
    /// Print the parts as they are, each with a NUL byte behind it, as `xargs -0` reads them
    #[arg(short = '0', long, conflicts_with = "json")]
    null: bool,
    #[command(flatten)]
    special: SpecialTokens,
}

impl Split {
    pub(crate) fn run(&self, json: bool) -> Outcome {
        let found = self.model.resolve()?;
        let tokenizer = found.tokenizer();
        let special = self.special.get();
        let text = self.input.read()?;
        let mut out = BufWriter::new(io::stdout().lock());
        for part in tokenizer.split(&text, self.budget).overlap(self.overlap).special(special).parts()? {
            let range = part?;
            let part = &text[range.clone()];
            if json {
                let tokens = tokenizer.count(part, special)?;
                let part = json!({ "start": range.start, "end": range.end, "tokens": tokens, "text": part });
                writeln!(out, "{part}")?;
            } else if self.null {
                write!(out, "{part}\0")?;
            } else {
                writeln!(out, "{}", json!(part))?;
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
