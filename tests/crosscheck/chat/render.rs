//! Renders chats for `tests/crosscheck/chat/check.py`: a JSON object a line in, one a line out.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::time::{Duration, SystemTime};

use anytok::Resolver;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Case {
    template: Option<String>,
    messages: Box<RawValue>,
    tools: Option<Box<RawValue>>,
    documents: Option<Box<RawValue>>,
    #[serde(default)]
    generation_prompt: bool,
    #[serde(default)]
    continued: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, Box<RawValue>>,
    /// Seconds since 1970, UTC.
    now: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: crosscheck-chat TOKENIZER")?;
    let found = Resolver::builder().offline(true).build().resolve(path)?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line?)?;
        let render = || {
            let mut chat = found.tokenizer().chat(&case.messages)?;
            chat = chat.generation_prompt(case.generation_prompt).utc_offset(0);
            chat = chat.now(SystemTime::UNIX_EPOCH + Duration::from_secs(case.now));
            if let Some(source) = &case.template {
                chat = chat.template_source(source);
            }
            if let Some(tools) = &case.tools {
                chat = chat.tools(tools);
            }
            if let Some(documents) = &case.documents {
                chat = chat.documents(documents);
            }
            if let Some(field) = &case.continued {
                chat = chat.continue_final_message(field);
            }
            for (name, value) in &case.variables {
                chat = chat.variable(name, value);
            }
            chat.render()
        };
        let answer = match render() {
            Ok(text) => json!({ "text": text }),
            Err(error) => {
                let source = error.source().map_or_else(String::new, |source| format!(": {source}"));
                json!({ "error": format!("{error}{source}") })
            }
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
