//! `explain`: what is at a path, what was tried, and what was found.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anytok::evidence::Evidence;
use anytok::{Resolution, Source, Tokenizer};
use clap::Args;
use serde_json::{Value, json};

use crate::model::Model;
use crate::{Outcome, STRONG, chain};

/// Tell what a model is and how its tokenizer was found.
///
/// Evidence, attempts, source, special tokens, added tokens, chat templates. A degraded result is told as well, with exit status
/// 1 unless it is allowed.
#[derive(Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    model: Model,
}

impl Explain {
    pub(crate) fn run(&self, json: bool) -> Outcome {
        // A path that leads nowhere is told in the resolver's words.
        let found = self.model.resolve_any()?;
        let evidence = match self.model.repository() {
            Some(id) => json!({ "repository": id }),
            None => told(&Evidence::gather(&self.model.path)?),
        };
        if json {
            let story = json!({ "evidence": evidence, "resolution": story(&found), "tokenizer": facts(found.tokenizer()) });
            writeln!(io::stdout(), "{story}")?;
        } else {
            print(&evidence, &found)?;
        }
        Ok(if self.model.allows(&found) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print(evidence: &Value, found: &Resolution) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{STRONG}model{STRONG:#}")?;
    rows(&mut out, evidence)?;
    writeln!(out, "\n{STRONG}search{STRONG:#}")?;
    for line in found.to_string().lines() {
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "\n{STRONG}tokenizer{STRONG:#}")?;
    rows(&mut out, &json!({ "source": source(found.source()) }))?;
    rows(&mut out, &facts(found.tokenizer()))
}

/// Writes an object a line for each value; a list takes one for each entry.
fn rows(out: &mut impl io::Write, object: &Value) -> io::Result<()> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (name, value) in object.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Array(values) => {
                for value in values {
                    writeln!(out, "  {name:<18} {}", text(value))?;
                }
            }
            Value::Object(entries) => {
                for (key, value) in entries {
                    writeln!(out, "  {:<18} {}", format!("{name} {key}"), text(value))?;
                }
            }
            value => writeln!(out, "  {name:<18} {}", text(value))?,
        }
    }
    Ok(())
}

/// What the path says of itself.
fn told(evidence: &Evidence) -> Value {
    let gguf = evidence.gguf();
    let repositories = evidence.repositories();
    let repository = |repository: &anytok::evidence::Repository| {
        let at = repository.revision.as_deref().map_or(String::new(), |revision| format!(" at {revision}"));
        format!("{}{at} ({}: {})", repository.id, repository.kind, repository.source)
    };
    json!({
        "path": evidence.path().display().to_string(),
        "format": evidence.format().to_string(),
        "file": evidence.model_path().filter(|&path| path != evidence.path()).map(|path| path.display().to_string()),
        "damage": evidence.model_error().map(|error| chain(error)),
        "gguf": gguf.map(|gguf| {
            format!("version {}, {} keys, {} tensors", gguf.version(), gguf.len(), gguf.tensor_count())
        }),
        "name": gguf.and_then(|gguf| gguf.str("general.name")),
        "architecture": evidence.architecture(),
        "vocabulary": gguf.and_then(|gguf| gguf.str("tokenizer.ggml.model")),
        "split": gguf.and_then(|gguf| gguf.str("tokenizer.ggml.pre")),
        "rows": evidence.rows().map(|rows| format!("{} ({})", rows.count, rows.source)),
        "special": evidence.special_ids().into_iter().map(|(role, id)| format!("{role} {id}")).collect::<Vec<_>>(),
        "repository": repositories.iter().map(repository).collect::<Vec<_>>(),
        "directory": evidence.directories().iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "note": evidence.notes(),
    })
}

/// How the tokenizer was found.
fn story(found: &Resolution) -> Value {
    let attempt = |attempt: &anytok::Attempt| {
        json!({
            "strategy": attempt.strategy.name(),
            "answer": attempt.answer.word(),
            "reason": attempt.answer.reason(),
            "milliseconds": attempt.duration.as_secs_f64() * 1e3,
        })
    };
    json!({
        "strategy": found.strategy().name(),
        "source": source(found.source()),
        "degraded": found.is_degraded(),
        "stored": found.is_stored(),
        "attempts": found.attempts().iter().map(attempt).collect::<Vec<_>>(),
        "notes": found.notes(),
    })
}

/// With the whole commit, since it is what names the files exactly.
fn source(source: &Source) -> String {
    match source {
        Source::Repository { id, commit, file } => format!("{id}@{commit}/{file}"),
        other => other.to_string(),
    }
}

fn facts(tokenizer: &Tokenizer) -> Value {
    let token = |id: u32| {
        let text = tokenizer.token_text(id).unwrap_or_default();
        format!("{id} {:?}", String::from_utf8_lossy(&text))
    };
    let special = tokenizer.special_tokens();
    let roles = [
        ("bos", special.bos),
        ("eos", special.eos),
        ("eot", special.eot),
        ("eom", special.eom),
        ("unk", special.unk),
        ("sep", special.sep),
        ("pad", special.pad),
        ("mask", special.mask),
        ("fim_pre", special.fim_pre),
        ("fim_suf", special.fim_suf),
        ("fim_mid", special.fim_mid),
        ("fim_pad", special.fim_pad),
        ("fim_rep", special.fim_rep),
        ("fim_sep", special.fim_sep),
    ];
    let roles = roles.into_iter().filter_map(|(role, id)| Some((role.to_owned(), json!(token(id?)))));
    let mut templates: Vec<&str> = tokenizer.chat_template_names().collect();
    if tokenizer.chat_template(None).is_some() {
        templates.insert(0, "default");
    }
    let controls = (0..tokenizer.vocab_size()).filter(|&id| tokenizer.is_special(id)).count();
    json!({
        "ids": tokenizer.vocab_size(),
        "role": roles.collect::<serde_json::Map<_, _>>(),
        "ends generation": tokenizer.eog_tokens().iter().map(|&id| token(id)).collect::<Vec<_>>(),
        "special tokens": controls,
        "add bos": tokenizer.add_bos(),
        "add eos": tokenizer.add_eos(),
        "chat template": templates,
    })
}
