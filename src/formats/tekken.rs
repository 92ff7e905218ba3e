//! `tekken.json` of Mistral: byte sequences with ranks, the pattern that cuts the text, and special tokens.
//!
//! Reference: mistral-common 1.13.1, `tokens/tokenizers/tekken.py`. The file lists more tokens than the model has: the first
//! `default_vocab_size − default_num_special_tokens` count, and their ids begin behind those of the special tokens.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::FormatError;
use super::side_files::SideFiles;
use super::tiktoken::{Ranks, RoleTexts};
use crate::split::Split;
use crate::tokenizer::Tokenizer;

/// Builds the tokenizer of the file `name` with the content `bytes`; `side` says what lies beside it.
///
/// Tokens go from the text straight into one arena; no tree of values is built.
pub(crate) fn load(name: &str, bytes: &[u8], side: &SideFiles) -> Result<Tokenizer, FormatError> {
    let malformed = |source: Box<dyn std::error::Error + Send + Sync>| FormatError::Malformed {
        file: name.to_owned(),
        source,
    };
    let value = |place: &str, expected: String, found: String| FormatError::Value {
        file: name.to_owned(),
        place: place.to_owned(),
        expected,
        found,
    };
    let missing = |key: &str| FormatError::MissingKey { file: name.to_owned(), key: key.to_owned() };
    let file: File = serde_json::from_slice(bytes).map_err(|error| malformed(error.into()))?;
    let config = file.config.ok_or_else(|| missing("config"))?;
    let mut ranks = file.vocab.ok_or_else(|| missing("vocab"))?;

    let special_count = config.default_num_special_tokens;
    if special_count > MOST_SPECIALS {
        let place = "config.default_num_special_tokens";
        return Err(value(
            place,
            format!("at most {MOST_SPECIALS} special tokens"),
            special_count.to_string(),
        ));
    }
    let ordinary = config.default_vocab_size.checked_sub(special_count).map(|count| count as usize);
    let Some(ordinary) = ordinary.filter(|&count| count <= ranks.len()) else {
        return Err(value(
            "config.default_vocab_size",
            format!("at least {special_count} and at most {} tokens", ranks.len() + special_count as usize),
            config.default_vocab_size.to_string(),
        ));
    };
    ranks.truncate(ordinary);
    ranks.shift(special_count);

    let listed = file.special_tokens.unwrap_or_else(|| {
        let texts = DEPRECATED_SPECIALS.iter().copied().map(Cow::Borrowed);
        (0..).zip(texts).map(|(rank, token_str)| Special { rank, token_str }).collect()
    });
    let mut specials: Vec<(u32, String)> =
        (0..special_count).map(|id| (id, format!("<SPECIAL_{id}>"))).collect();
    for Special { rank, token_str } in listed {
        let Some(place) = specials.get_mut(rank as usize) else {
            return Err(value(
                "special_tokens",
                format!("ranks below {special_count}"),
                format!("{rank} ({token_str:?})"),
            ));
        };
        place.1 = token_str.into_owned();
    }
    let split = Split::of_matches(&config.pattern).map_err(|error| malformed(error.into()))?;
    ranks.build(name, split, specials, &ROLES, side, Vec::new())
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    config: Option<Config<'a>>,
    #[serde(default, deserialize_with = "vocab")]
    vocab: Option<Ranks>,
    #[serde(default, borrow)]
    special_tokens: Option<Vec<Special<'a>>>,
}

#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow)]
    pattern: Cow<'a, str>,
    default_vocab_size: u32,
    default_num_special_tokens: u32,
}

#[derive(Deserialize)]
struct Special<'a> {
    rank: u32,
    #[serde(borrow)]
    token_str: Cow<'a, str>,
}

fn vocab<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Ranks>, D::Error> {
    struct Tokens;
    impl<'de> Visitor<'de> for Tokens {
        type Value = Ranks;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of tokens")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut tokens: A) -> Result<Ranks, A::Error> {
            let mut ranks = Ranks::default();
            while tokens.next_element_seed(Token(&mut ranks))?.is_some() {}
            Ok(ranks)
        }
    }
    deserializer.deserialize_seq(Tokens).map(Some)
}

/// One entry of `vocab`, which must have the rank of its place in the list.
struct Token<'r>(&'r mut Ranks);

impl<'de> DeserializeSeed<'de> for Token<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Token<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a token with `rank` and `token_bytes`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Key {
            Rank,
            TokenBytes,
            #[serde(other)]
            Other,
        }
        let expected = self.0.len() as u32;
        let (mut rank, mut known) = (None, false);
        while let Some(key) = map.next_key()? {
            match key {
                Key::Rank => rank = Some(map.next_value::<u32>()?),
                Key::TokenBytes if !known => {
                    let base64: Text<'de> = map.next_value()?;
                    let pushed = self.0.push(base64.0.as_bytes(), expected);
                    pushed.ok_or_else(|| {
                        A::Error::custom(format_args!("expected bytes in base64, found {:?}", base64.0))
                    })?;
                    known = true;
                }
                Key::TokenBytes | Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match rank {
            Some(rank) if rank == expected && known => Ok(()),
            Some(rank) if known => Err(A::Error::custom(format_args!(
                "expected the token of rank {expected}, found that of rank {rank}"
            ))),
            _ => Err(A::Error::missing_field(if known { "rank" } else { "token_bytes" })),
        }
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Real files have a thousand; a crafted number must not cost memory.
const MOST_SPECIALS: u32 = 1 << 16;

/// The special tokens of files that list none, which are those before version 11.
const DEPRECATED_SPECIALS: &[&str] = &[
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];

const ROLES: RoleTexts =
    RoleTexts { bos: &["<s>"], eos: &["</s>"], pad: &["<pad>"], unk: &["<unk>"], add_bos: true };
