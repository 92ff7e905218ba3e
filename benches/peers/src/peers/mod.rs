//! One file per peer that is a crate: how it loads, encodes and decodes.

mod anytok;
mod bpe_openai;
mod fastokens;
mod kitoken;
mod shimmytok;
mod snaptokens;
mod splintr;
mod tiktoken;
mod tiktoken_rs;
mod tokenizers_0_23;
mod tokie;

use worker::Load;

/// How the peer of this name loads.
pub fn load(name: &str) -> Option<Load> {
    Some(match name {
        "anytok" => anytok::load,
        "anytok, stored" => anytok::load_stored,
        "bpe-openai" => bpe_openai::load,
        "fastokens" => fastokens::load,
        "kitoken" => kitoken::load,
        "shimmytok" => shimmytok::load,
        "snaptokens" => snaptokens::load,
        "splintr" => splintr::load,
        "tiktoken" => tiktoken::load,
        "tiktoken-rs" => tiktoken_rs::load,
        "tokenizers" => tokenizers_0_23::load,
        "tokie" => tokie::load,
        _ => return None,
    })
}
