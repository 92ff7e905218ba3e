//! `chat`: a conversation as the model's prompt.

use std::error::Error;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use serde_json::value::RawValue;

use crate::model::Model;
use crate::text::{read, write_ids};
use crate::{Outcome, STRONG, written};

/// Render a conversation with the model's chat template.
///
/// Reads a JSON list of messages, as chat APIs take it, and prints the prompt as it is, without a newline at its end. With --ids only
/// the template writes special tokens: those that are spelled out in a message are text.
#[derive(Args)]
pub(crate) struct Chat {
    #[command(flatten)]
    model: Model,
    /// The messages: a JSON list of objects with `role` and `content`; `-` is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    messages: PathBuf,
    /// A Jinja template in place of the model's own
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// What the model may call: a JSON list of objects
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// What the model may draw on: a JSON list of objects
    #[arg(long, value_name = "FILE")]
    documents: Option<PathBuf>,
    /// A variable of the template, such as `enable_thinking=false`
    #[arg(long = "variable", value_name = "NAME=JSON", value_parser = variable)]
    variables: Vec<(String, Box<RawValue>)>,
    /// End after the last message, without what opens the assistant's turn
    #[arg(long)]
    no_generation_prompt: bool,
    /// Print the ids of the prompt
    #[arg(long)]
    ids: bool,
}

impl Chat {
    pub(crate) fn run(&self, json: bool) -> Outcome {
        let messages = read_json(&self.messages)?;
        let template = self.template.as_deref().map(read).transpose()?;
        let tools = self.tools.as_deref().map(read_json).transpose()?;
        let documents = self.documents.as_deref().map(read_json).transpose()?;
        let found = self.model.resolve()?;
        let mut chat = found.tokenizer().chat(&messages)?.generation_prompt(!self.no_generation_prompt);
        if let Some(template) = template {
            chat = chat.template_source(template);
        }
        if let Some(tools) = &tools {
            chat = chat.tools(tools);
        }
        if let Some(documents) = &documents {
            chat = chat.documents(documents);
        }
        for (name, value) in &self.variables {
            chat = chat.variable(name, value);
        }
        let mut out = BufWriter::new(io::stdout().lock());
        if self.ids {
            let prompt = chat.encode()?;
            for note in &prompt.notes {
                anstream::eprintln!("{STRONG}anytok:{STRONG:#} {note}");
            }
            if json {
                let ids: Vec<i64> = prompt.ids.iter().copied().map(written).collect();
                writeln!(out, "{}", json!({ "prompt": prompt.text, "ids": ids }))?;
            } else {
                write_ids(&mut out, &prompt.ids)?;
            }
        } else {
            let prompt = chat.render()?;
            if json {
                writeln!(out, "{}", json!({ "prompt": prompt }))?;
            } else {
                out.write_all(prompt.as_bytes())?;
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// As it stands, since templates show the keys of an object in their order.
fn read_json(path: &Path) -> Result<Box<RawValue>, Box<dyn Error>> {
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    Ok(serde_json::from_str(&read(path)?).map_err(|error| format!("expected JSON in {name}: {error}"))?)
}

fn variable(text: &str) -> Result<(String, Box<RawValue>), String> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("expected NAME=JSON")?;
    let value = serde_json::from_str(value).map_err(|error| {
        format!("expected JSON after `=` (a text takes quotes, as in '{name}=\"text\"'): {error}")
    })?;
    Ok((name.to_owned(), value))
}
