//! `doctor`: every source of a tokenizer against the others.

use std::io::Write as _;
use std::process::ExitCode;

use anytok::{ComparedSource, Comparison, Difference};
use clap::Args;
use serde_json::json;

use crate::model::Model;
use crate::{BAD, GOOD, Outcome};

/// Hold every source of a model's tokenizer against the others.
///
/// Loads what the GGUF carries, what lies beside it, what caches hold and, online, what the repositories that it names have; compares
/// them token by token, by the ids of texts in 30 scripts, code, numbers, white space and special tokens, by what is added around a
/// text, and by chat template. Exit status 1 if any two differ.
#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    model: Model,
}

impl Doctor {
    pub(crate) fn run(&self, json: bool) -> Outcome {
        let Model { path, .. } = &self.model;
        if let Some(id) = self.model.repository() {
            return Err(format!(
                "doctor compares what a model has; give the path of one that {id} belongs to"
            )
            .into());
        }
        let comparison = self.model.resolver()?.compare(path).map_err(|error| self.model.told(error))?;
        let mut out = anstream::stdout().lock();
        if json {
            let sources: Vec<_> = comparison.sources.iter().map(source).collect();
            let agrees = comparison.agrees();
            writeln!(out, "{}", json!({ "agrees": agrees, "texts": comparison.texts, "sources": sources }))?;
        } else {
            write!(out, "{comparison}")?;
            writeln!(out, "\n{}", verdict(&comparison))?;
        }
        Ok(if comparison.agrees() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn verdict(comparison: &Comparison) -> String {
    let loaded = comparison.sources.iter().filter(|source| source.vocab_size.is_some()).count();
    let texts = comparison.texts;
    match (comparison.agrees(), loaded) {
        (false, _) => format!("{BAD}the sources do not agree{BAD:#}"),
        (true, 0) => "there is no tokenizer to check".into(),
        (true, 1) => "one source, and nothing to hold it against".into(),
        (true, _) => format!("{GOOD}{loaded} sources agree, on every token and on {texts} texts{GOOD:#}"),
    }
}

fn source(source: &ComparedSource) -> serde_json::Value {
    let difference = |difference: &Difference| {
        json!({
            "kind": format!("{:?}", difference.kind),
            "place": difference.place,
            "expected": difference.expected,
            "found": difference.found,
            "count": difference.count,
            "advice": difference.advice,
        })
    };
    json!({
        "strategy": source.strategy.name(),
        "place": source.place,
        "answer": source.word(),
        "ids": source.vocab_size,
        "differences": source.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}
