//! This crate: without its store, so that each load is a cold one, and with it, as a second start finds things.

use anytok::{Resolver, ResolverBuilder, Special, SpecialText};
use worker::{Failure, Loaded, Source};

pub fn load(source: &Source) -> Result<Loaded, Failure> {
    resolve(source, Resolver::builder().without_store())
}

/// Reads what a load before has stored; the first one of all stores it, and waits until it is written.
pub fn load_stored(source: &Source) -> Result<Loaded, Failure> {
    let data = std::env::var_os("PEERS_DATA").ok_or("PEERS_DATA is not set: start this by `run`")?;
    resolve(source, Resolver::builder().store_dir(std::path::Path::new(&data).join("store")))
}

fn resolve(source: &Source, builder: ResolverBuilder) -> Result<Loaded, Failure> {
    let (Source::Gguf(path)
    | Source::TokenizerJson(path)
    | Source::Tiktoken(path)
    | Source::SentencePiece(path)) = source
    else {
        return Err("carries no vocabulary".into());
    };
    let resolver = builder.offline(true).build();
    let found = resolver.resolve(path)?;
    resolver.store().flush();
    if found.is_degraded() {
        return Err(format!("degraded: {found}").into());
    }
    Ok(Loaded::new(
        |tokenizer: &anytok::Tokenizer, text| tokenizer.encode(text, Special::Ignore),
        |tokenizer, ids| tokenizer.decode(ids, SpecialText::Skip),
        found.tokenizer().clone(),
    ))
}
