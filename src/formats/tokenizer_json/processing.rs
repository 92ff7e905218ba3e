//! `post_processor`, `truncation` and `padding`: what goes around one text or two, and how long an input is.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::semantics::post_processor::{self, Padding, PostProcessor, Processing, Template, Truncation};

/// What the three sections say. One that cannot be read is foreign, or left out: the file is used without them, too.
pub(super) fn processing(
    post_processor: Option<&RawValue>,
    truncation: Option<&RawValue>,
    padding: Option<&RawValue>,
) -> Processing {
    let parse = |raw: &RawValue| serde_json::from_str::<Processor>(raw.get());
    let post_processor = match post_processor.map(parse).transpose() {
        Ok(processor) => compile(processor),
        Err(error) => Err(error.to_string()),
    };
    Processing {
        post_processor: post_processor.map_or_else(PostProcessor::Foreign, PostProcessor::Template),
        truncation: truncation.and_then(|raw| {
            let section: TruncationSection = serde_json::from_str(raw.get()).ok()?;
            Some(Truncation {
                max_length: section.max_length,
                only_second: match section.strategy {
                    Strategy::LongestFirst => None,
                    Strategy::OnlyFirst => Some(false),
                    Strategy::OnlySecond => Some(true),
                },
                stride: section.stride,
                left: section.direction == Direction::Left,
            })
        }),
        padding: padding.and_then(|raw| {
            let section: PaddingSection = serde_json::from_str(raw.get()).ok()?;
            Some(Padding {
                length: match section.strategy {
                    PaddingStrategy::BatchLongest => None,
                    PaddingStrategy::Fixed(length) => Some(length),
                },
                left: section.direction == Direction::Left,
                multiple: section.pad_to_multiple_of.filter(|&multiple| multiple > 0),
                id: section.pad_id,
                type_id: section.pad_type_id,
            })
        }),
    }
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Processor {
    BertProcessing {
        sep: (String, u32),
        cls: (String, u32),
    },
    RobertaProcessing {
        sep: (String, u32),
        cls: (String, u32),
        trim_offsets: bool,
        add_prefix_space: bool,
    },
    ByteLevel {
        trim_offsets: bool,
        add_prefix_space: bool,
    },
    TemplateProcessing {
        single: Vec<Piece>,
        pair: Vec<Piece>,
        special_tokens: BTreeMap<String, SpecialToken>,
    },
    Sequence {
        processors: Vec<Processor>,
    },
}

#[derive(Deserialize)]
enum Piece {
    Sequence { id: Sequence, type_id: u32 },
    SpecialToken { id: String, type_id: u32 },
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
enum Sequence {
    A,
    B,
}

#[derive(Deserialize)]
struct SpecialToken {
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct TruncationSection {
    #[serde(default)]
    direction: Direction,
    max_length: usize,
    strategy: Strategy,
    stride: usize,
}

#[derive(Deserialize)]
enum Strategy {
    LongestFirst,
    OnlyFirst,
    OnlySecond,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
enum Direction {
    Left,
    #[default]
    Right,
}

#[derive(Deserialize)]
struct PaddingSection {
    strategy: PaddingStrategy,
    direction: Direction,
    pad_to_multiple_of: Option<usize>,
    pad_id: u32,
    pad_type_id: u32,
}

#[derive(Deserialize)]
enum PaddingStrategy {
    BatchLongest,
    Fixed(usize),
}

fn compile(processor: Option<Processor>) -> Result<Template, String> {
    let mut template = None;
    let mut trims = Vec::new();
    let mut processors: Vec<Processor> = processor.into_iter().collect();
    processors.reverse();
    while let Some(processor) = processors.pop() {
        let found = match processor {
            Processor::Sequence { processors: parts } => {
                processors.extend(parts.into_iter().rev());
                continue;
            }
            Processor::ByteLevel { trim_offsets, add_prefix_space } => {
                trims.extend(trim_offsets.then_some(add_prefix_space));
                continue;
            }
            Processor::BertProcessing { sep, cls } => Template::bert(cls.1, sep.1),
            Processor::RobertaProcessing { sep, cls, trim_offsets, add_prefix_space } => {
                trims.extend(trim_offsets.then_some(add_prefix_space));
                Template::roberta(cls.1, sep.1, sep.1)
            }
            Processor::TemplateProcessing { single, pair, special_tokens } => {
                let pieces = |pieces: Vec<Piece>| -> Result<Vec<post_processor::Piece>, String> {
                    pieces.into_iter().map(|piece| piece.compile(&special_tokens)).collect()
                };
                // What has no place for the second text is the library's stand-in for a template that nobody wrote.
                let both = pair.iter().any(|piece| matches!(piece, Piece::Sequence { id: Sequence::B, .. }));
                let pair = if both { pieces(pair)? } else { Vec::new() };
                Template { single: pieces(single)?, pair, trims: Vec::new() }
            }
        };
        if template.replace(found).is_some() {
            return Err("one post-processor that adds tokens behind another".to_owned());
        }
    }
    Ok(Template { trims, ..template.unwrap_or_else(Template::bare) })
}

impl Piece {
    fn compile(self, tokens: &BTreeMap<String, SpecialToken>) -> Result<post_processor::Piece, String> {
        match self {
            Self::Sequence { id, type_id } => Ok(post_processor::Piece::text(id == Sequence::B, type_id)),
            Self::SpecialToken { id, type_id } => match tokens.get(&id) {
                Some(token) => Ok(post_processor::Piece::Tokens { ids: token.ids.clone(), type_id }),
                None => Err(format!("the special token {id:?} has no ids")),
            },
        }
    }
}
