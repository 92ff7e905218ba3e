use tiktoken_rs::CoreBPE;
use worker::{Failure, Loaded, Source};

pub fn load(source: &Source) -> Result<Loaded, Failure> {
    let tokenizer = match source {
        Source::Bundled(name) if name == "cl100k_base" => tiktoken_rs::cl100k_base()?,
        Source::Bundled(name) if name == "o200k_base" => tiktoken_rs::o200k_base()?,
        _ => return Err("carries no such vocabulary".into()),
    };
    Ok(Loaded::new(
        |tokenizer: &CoreBPE, text| Ok::<_, Failure>(tokenizer.encode_ordinary(text)),
        |tokenizer, ids| tokenizer.decode_bytes(ids).map_err(|error| format!("{error:?}")),
        tokenizer,
    ))
}
