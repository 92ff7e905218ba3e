//! The sections of a `tokenizer.json` that describe its pipeline: what of them the engines here cover, and what they do not.
//!
//! Covered means covered exactly: a field or a component that an engine does not model is a reason to send the whole file through the
//! `tokenizers` crate. A type that is unknown there too is an error that names it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::decode::chain::{Chain, Decoder};
use crate::decode::tokenizers::{First, Renderer};
use crate::encode::normalize::tokenizers::{Bert as NormalizerBert, Normalizer};
use crate::formats::FormatError;
use crate::semantics::tokenizers::{Frame, PreTokenizer, Prepend, Stage, Trim};
use crate::split::{
    Behavior, Delimited, Delimiter, PatternSplit, Split, any_pattern, from_pattern, from_patterns, translate,
};
use crate::vocabulary::Charsmap;

/// Why a description does not go to the engines here.
#[derive(Debug)]
pub(super) struct Foreign(pub(super) String);

pub(super) type Covered<T> = Result<T, Foreign>;

/// A section of the file, parsed.
pub(super) struct Section {
    name: &'static str,
    value: Value,
    /// Whether a pattern is not the one of the file.
    translated: bool,
}

/// The sections that may hold a component, with the types that `tokenizers` knows there and the key of a `Sequence`.
const KNOWN: &[(&str, &str, &[&str])] = &[
    (
        "normalizer",
        "normalizers",
        &[
            "Bert",
            "BertNormalizer",
            "ByteLevel",
            "Lowercase",
            "NFC",
            "NFD",
            "NFKC",
            "NFKD",
            "Nmt",
            "Precompiled",
            "Prepend",
            "Replace",
            "Sequence",
            "Strip",
            "StripAccents",
        ],
    ),
    (
        "pre_tokenizer",
        "pretokenizers",
        &[
            "BertPreTokenizer",
            "ByteLevel",
            "CharDelimiterSplit",
            "Delimiter",
            "Digits",
            "FixedLength",
            "Metaspace",
            "Punctuation",
            "Sequence",
            "Split",
            "UnicodeScripts",
            "Whitespace",
            "WhitespaceSplit",
        ],
    ),
    (
        "post_processor",
        "processors",
        &["BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"],
    ),
    (
        "decoder",
        "decoders",
        &[
            "BPEDecoder",
            "ByteFallback",
            "ByteLevel",
            "CTC",
            "Fuse",
            "Metaspace",
            "Replace",
            "Sequence",
            "Strip",
            "WordPiece",
        ],
    ),
];

impl Section {
    /// Parses a section and looks for types that nobody knows.
    pub(super) fn new(file: &str, name: &'static str, raw: Option<&RawValue>) -> Result<Self, FormatError> {
        let mut value: Value = match raw {
            None => Value::Null,
            Some(raw) => serde_json::from_str(raw.get()).map_err(|source| FormatError::Malformed {
                file: format!("{file} ({name})"),
                source: source.into(),
            })?,
        };
        if let Some(&(_, nested, types)) = KNOWN.iter().find(|(section, ..)| *section == name) {
            known_types(file, name, nested, types, &value)?;
        }
        let translated = translate_patterns(&mut value)
            .map_err(|source| FormatError::Malformed { file: format!("{file} ({name})"), source })?;
        Ok(Self { name, value, translated })
    }

    /// The section with its patterns as the engine here reads them, if they are not as the file has them.
    pub(super) fn rewritten(&self) -> Option<String> {
        self.translated.then(|| self.value.to_string())
    }

    /// Its components in order: those of a `Sequence`, or the only one.
    fn components(&self) -> Covered<Vec<Component<'_>>> {
        let mut components = Vec::new();
        let nested = KNOWN.iter().find(|(section, ..)| *section == self.name).map_or("", |known| known.1);
        flatten(self.name.to_owned(), nested, &self.value, &mut components)?;
        Ok(components)
    }
}

/// Puts an equal pattern for the engine here in place of each that Oniguruma reads otherwise; tells whether there was one.
///
/// A pattern that does not compile is an error at once: the `tokenizers` crate has other limits, but no other engine.
fn translate_patterns(value: &mut Value) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let mut translated = false;
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(pattern)) = fields.get_mut("Regex") {
                if let Cow::Owned(equal) = translate(pattern)? {
                    *pattern = equal;
                    translated = true;
                }
                any_pattern(pattern)?;
            }
            for value in fields.values_mut() {
                translated |= translate_patterns(value)?;
            }
        }
        Value::Array(values) => {
            for value in values {
                translated |= translate_patterns(value)?;
            }
        }
        _ => {}
    }
    Ok(translated)
}

/// An error for the first type, at any depth, that is not in the list.
fn known_types(
    file: &str,
    place: &str,
    nested: &str,
    types: &[&str],
    value: &Value,
) -> Result<(), FormatError> {
    if let Some(kind) = value.get("type").and_then(Value::as_str)
        && !types.contains(&kind)
    {
        return Err(FormatError::UnknownComponent {
            file: file.to_owned(),
            place: place.to_owned(),
            kind: kind.to_owned(),
        });
    }
    for (i, part) in value.get(nested).and_then(Value::as_array).into_iter().flatten().enumerate() {
        known_types(file, &format!("{place}.{nested}[{i}]"), nested, types, part)?;
    }
    Ok(())
}

fn flatten<'v>(
    place: String,
    nested: &str,
    value: &'v Value,
    components: &mut Vec<Component<'v>>,
) -> Covered<()> {
    if value.is_null() && components.is_empty() {
        return Ok(());
    }
    let component = Component::new(place, value)?;
    if component.kind != "Sequence" {
        components.push(component);
        return Ok(());
    }
    component.only(&[nested])?;
    let Some(parts) = component.fields.get(nested).and_then(Value::as_array) else {
        return Err(component.foreign(nested));
    };
    for (i, part) in parts.iter().enumerate() {
        flatten(format!("{}.{nested}[{i}]", component.place), nested, part, components)?;
    }
    Ok(())
}

/// One component: where it stands, its type and its fields.
struct Component<'v> {
    place: String,
    kind: &'v str,
    fields: &'v Map<String, Value>,
}

impl<'v> Component<'v> {
    fn new(place: String, value: &'v Value) -> Covered<Self> {
        let fields = value.as_object();
        match fields.and_then(|fields| fields.get("type")).and_then(Value::as_str).zip(fields) {
            Some((kind, fields)) => Ok(Self { place, kind, fields }),
            None => Err(Foreign(format!("{place} has no type"))),
        }
    }

    fn foreign(&self, what: &str) -> Foreign {
        Foreign(format!("{} ({}): {what}", self.place, self.kind))
    }

    /// Refuses fields beside these.
    fn only(&self, keys: &[&str]) -> Covered<()> {
        match self.fields.keys().find(|key| *key != "type" && !keys.contains(&key.as_str())) {
            Some(key) => Err(self.foreign(key)),
            None => Ok(()),
        }
    }

    fn bool(&self, key: &str) -> Covered<bool> {
        self.fields.get(key).and_then(Value::as_bool).ok_or_else(|| self.foreign(key))
    }

    fn bool_or(&self, key: &str, default: bool) -> Covered<bool> {
        if self.fields.contains_key(key) { self.bool(key) } else { Ok(default) }
    }

    fn text(&self, key: &str) -> Covered<&'v str> {
        self.fields.get(key).and_then(Value::as_str).ok_or_else(|| self.foreign(key))
    }

    fn character(&self, key: &str) -> Covered<char> {
        let mut characters = self.text(key)?.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => Ok(character),
            _ => Err(self.foreign(key)),
        }
    }

    fn number(&self, key: &str) -> Covered<u32> {
        let number = self.fields.get(key).and_then(Value::as_u64);
        number.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| self.foreign(key))
    }

    /// `{"String": …}` or `{"Regex": …}`
    fn pattern(&self) -> Covered<Pattern<'v>> {
        let pattern =
            self.fields.get("pattern").and_then(Value::as_object).filter(|pattern| pattern.len() == 1);
        match pattern
            .and_then(|pattern| pattern.iter().next())
            .map(|(kind, text)| (kind.as_str(), text.as_str()))
        {
            Some(("String", Some(text))) => Ok(Pattern::Text(text)),
            Some(("Regex", Some(text))) => Ok(Pattern::Regex(text)),
            _ => Err(self.foreign("pattern")),
        }
    }

    /// `["token", id]`
    fn token(&self, key: &str) -> Covered<u32> {
        let pair = self
            .fields
            .get(key)
            .and_then(Value::as_array)
            .filter(|pair| pair.len() == 2 && pair[0].is_string());
        let id = pair.and_then(|pair| pair[1].as_u64()).and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| self.foreign(key))
    }
}

enum Pattern<'v> {
    Text(&'v str),
    Regex(&'v str),
}

/// What happens to a text first, and the charsmap if some of it needs one.
pub(super) fn normalizers(section: &Section) -> Covered<(Vec<Normalizer>, Charsmap)> {
    let mut charsmap = Charsmap::default();
    let components = section.components()?;
    let normalizers =
        components.iter().map(|component| normalizer(component, &mut charsmap)).collect::<Covered<_>>()?;
    Ok((normalizers, charsmap))
}

fn normalizer(component: &Component<'_>, charsmap: &mut Charsmap) -> Covered<Normalizer> {
    let plain = |normalizer| component.only(&[]).map(|()| normalizer);
    match component.kind {
        "NFC" => plain(Normalizer::Nfc),
        "NFD" => plain(Normalizer::Nfd),
        "NFKC" => plain(Normalizer::Nfkc),
        "NFKD" => plain(Normalizer::Nfkd),
        "Lowercase" => plain(Normalizer::Lowercase),
        "StripAccents" => plain(Normalizer::StripAccents),
        "Prepend" => {
            component.only(&["prepend"])?;
            Ok(Normalizer::Prepend(component.text("prepend")?.to_owned()))
        }
        "Strip" => {
            component.only(&["strip_left", "strip_right"])?;
            Ok(Normalizer::Strip {
                left: component.bool("strip_left")?,
                right: component.bool("strip_right")?,
            })
        }
        "Replace" => {
            component.only(&["pattern", "content"])?;
            match component.pattern()? {
                Pattern::Text(pattern) if !pattern.is_empty() => Ok(Normalizer::Replace {
                    pattern: pattern.to_owned(),
                    content: component.text("content")?.to_owned(),
                }),
                Pattern::Text(_) => Err(component.foreign("an empty pattern")),
                Pattern::Regex(" {2,}") => Ok(Normalizer::SpaceRuns(component.text("content")?.to_owned())),
                Pattern::Regex(pattern) => Ok(Normalizer::ReplaceMatches {
                    pattern: matching(component, pattern)?,
                    content: component.text("content")?.to_owned(),
                }),
            }
        }
        "Nmt" => plain(Normalizer::Nmt),
        "ByteLevel" => plain(Normalizer::ByteLevel),
        "Precompiled" => {
            component.only(&["precompiled_charsmap"])?;
            let bytes = BASE64
                .decode(component.text("precompiled_charsmap")?)
                .map_err(|_| component.foreign("precompiled_charsmap"))?;
            let parsed = Charsmap::parse(&bytes).map_err(|error| component.foreign(&error.to_string()))?;
            // The library reads an array of whole units and takes all that follows for text.
            let units = parsed.units.len() * 4;
            let whole =
                bytes.first_chunk().is_some_and(|length| u32::from_le_bytes(*length) as usize == units);
            if !whole || std::str::from_utf8(&parsed.pool).is_err() || !charsmap.is_empty() {
                return Err(component.foreign("precompiled_charsmap"));
            }
            let plain = parsed.plain_ascii();
            *charsmap = parsed;
            Ok(Normalizer::Precompiled { plain })
        }
        "BertNormalizer" => {
            component.only(&["clean_text", "handle_chinese_chars", "strip_accents", "lowercase"])?;
            let lowercase = component.bool("lowercase")?;
            let strip_accents = match component.fields.get("strip_accents") {
                None | Some(Value::Null) => lowercase,
                Some(_) => component.bool("strip_accents")?,
            };
            Ok(Normalizer::Bert(NormalizerBert {
                clean_text: component.bool("clean_text")?,
                handle_chinese_chars: component.bool("handle_chinese_chars")?,
                strip_accents,
                lowercase,
            }))
        }
        _ => Err(component.foreign("no engine here covers it")),
    }
}

/// How text is cut. `no_spaces` tells that the normalizers leave no space in it.
pub(super) fn pre_tokenizer(section: &Section, no_spaces: bool) -> Covered<PreTokenizer> {
    let mut components = section.components()?;
    if no_spaces {
        components.retain(|component| !is_split_at_spaces(component));
    }
    let [before @ .., last] = components.as_slice() else { return Ok(PreTokenizer::None) };
    match last.kind {
        "BertPreTokenizer" if before.is_empty() => last.only(&[]).map(|()| PreTokenizer::Bert),
        "Metaspace" if before.is_empty() => metaspace(last, false),
        "Metaspace" if before.len() == 1 && before[0].kind == "WhitespaceSplit" => {
            before[0].only(&[])?;
            metaspace(last, true)
        }
        "ByteLevel" => {
            last.only(&["add_prefix_space", "trim_offsets", "use_regex"])?;
            // Where the ids' offsets are concerned, white space stays: whether to trim it is not asked.
            last.bool("trim_offsets")?;
            let prefix_space = last.bool("add_prefix_space")?;
            if prefix_space && !before.is_empty() {
                return Err(last.foreign("add_prefix_space behind another pre-tokenizer"));
            }
            let mut splits = splits(before)?;
            if last.bool_or("use_regex", true)? {
                splits.push(from_pattern(GPT2).ok_or_else(|| last.foreign("use_regex"))?);
            }
            Ok(PreTokenizer::Splits { prefix_space, splits })
        }
        _ => Err(last.foreign("no engine here covers it, or not behind another one")),
    }
}

fn matching(component: &Component<'_>, pattern: &str) -> Covered<Delimiter> {
    let split = Split::of_matches(pattern).map_err(|error| component.foreign(&error.to_string()))?;
    Ok(Delimiter::Pattern(split))
}

/// How text is cut in front of a model that knows texts, whatever the components and their order.
pub(super) fn stages(section: &Section) -> Covered<PreTokenizer> {
    let components = section.components()?;
    components.iter().map(stage).collect::<Covered<_>>().map(PreTokenizer::Stages)
}

fn stage(component: &Component<'_>) -> Covered<Stage> {
    let behavior = |key| match component.text(key)? {
        "Isolated" => Ok(Behavior::Isolated),
        "Removed" => Ok(Behavior::Removed),
        "MergedWithPrevious" => Ok(Behavior::MergedWithPrevious),
        "MergedWithNext" => Ok(Behavior::MergedWithNext),
        "Contiguous" => Ok(Behavior::Contiguous),
        _ => Err(component.foreign(key)),
    };
    let cut = |delimiter, behavior, invert| Ok(Stage::Delimited(Delimited { delimiter, behavior, invert }));
    match component.kind {
        "BertPreTokenizer" => component.only(&[]).map(|()| Stage::Bert),
        "WhitespaceSplit" => component.only(&[]).map(|()| Stage::Whitespace),
        #[cfg(feature = "tokenizers")]
        "UnicodeScripts" => component.only(&[]).map(|()| Stage::Scripts),
        "Whitespace" => {
            component.only(&[])?;
            cut(matching(component, WORDS)?, Behavior::Removed, true)
        }
        "Punctuation" => {
            component.only(&["behavior"])?;
            let isolated = !component.fields.contains_key("behavior");
            let behavior = if isolated { Behavior::Isolated } else { behavior("behavior")? };
            cut(Delimiter::Punctuation, behavior, false)
        }
        "Digits" => {
            component.only(&["individual_digits"])?;
            let individual = component.bool("individual_digits")?;
            let behavior = if individual { Behavior::Isolated } else { Behavior::Contiguous };
            cut(Delimiter::Numeric, behavior, false)
        }
        "CharDelimiterSplit" => {
            component.only(&["delimiter"])?;
            let delimiter = Delimiter::Text(component.character("delimiter")?.to_string());
            cut(delimiter, Behavior::Removed, false)
        }
        "FixedLength" => {
            component.only(&["length"])?;
            let given = component.fields.contains_key("length");
            let length = if given { component.number("length")? } else { 5 };
            if length == 0 {
                Err(component.foreign("length"))
            } else {
                Ok(Stage::FixedLength(length as usize))
            }
        }
        "Split" => {
            component.only(&["pattern", "behavior", "invert"])?;
            let delimiter = match component.pattern()? {
                Pattern::Text("") => return Err(component.foreign("an empty pattern")),
                Pattern::Text(text) => Delimiter::Text(text.to_owned()),
                Pattern::Regex(pattern) => matching(component, pattern)?,
            };
            cut(delimiter, behavior("behavior")?, component.bool("invert")?)
        }
        "Metaspace" => {
            let (replacement, prepend) = metaspace_fields(component)?;
            Ok(Stage::Metaspace { replacement, prepend, split: component.bool_or("split", true)? })
        }
        "ByteLevel" => {
            component.only(&["add_prefix_space", "trim_offsets", "use_regex"])?;
            component.bool("trim_offsets")?;
            let cuts = component.bool_or("use_regex", true)?;
            let gpt2 = from_pattern(GPT2).filter(|_| cuts);
            if cuts && gpt2.is_none() {
                return Err(component.foreign("use_regex"));
            }
            Ok(Stage::ByteLevel { prefix_space: component.bool("add_prefix_space")?, split: gpt2 })
        }
        _ => Err(component.foreign("no engine here covers it")),
    }
}

/// The pattern of `Whitespace`, which is never Oniguruma's.
const WORDS: &str = r"\w+|[^\w\s]+";

fn is_split_at_spaces(component: &Component<'_>) -> bool {
    component.kind == "Split"
        && component.only(&["pattern", "behavior", "invert"]).is_ok()
        && matches!(component.pattern(), Ok(Pattern::Text(" ")))
        && component.bool("invert").is_ok_and(|invert| !invert)
        && component.text("behavior").is_ok_and(|behavior| BEHAVIORS.contains(&behavior))
}

/// Whether nothing that passes the normalizers has a space in it: the last one that touches spaces replaces them.
pub(super) fn leave_no_spaces(normalizers: &[Normalizer]) -> bool {
    let mut none = false;
    for normalizer in normalizers {
        none = match normalizer {
            Normalizer::Replace { pattern, content } => (none || pattern == " ") && !content.contains(' '),
            Normalizer::Prepend(prefix) => none && !prefix.contains(' '),
            Normalizer::Strip { .. } | Normalizer::Lowercase | Normalizer::StripAccents => none,
            // Compatibility forms make spaces of other characters, and BERT's does around Chinese ones.
            _ => false,
        };
    }
    none
}

fn splits(components: &[Component<'_>]) -> Covered<Vec<Split>> {
    let mut patterns = Vec::with_capacity(components.len());
    for component in components {
        match component.kind {
            "Split" => {
                component.only(&["pattern", "behavior", "invert"])?;
                let Pattern::Regex(pattern) = component.pattern()? else {
                    return Err(component.foreign("pattern"));
                };
                let split = any_pattern(pattern).map_err(|error| component.foreign(&error.to_string()))?;
                let kept = match (component.text("behavior")?, component.bool("invert")?) {
                    // Matches and gaps alike.
                    ("Isolated", _) => true,
                    // Matches alone: all the same where there are no gaps.
                    ("Removed", true) => split.has_no_gaps(),
                    _ => false,
                };
                if !kept {
                    return Err(component.foreign("behavior"));
                }
                patterns.push((Some(pattern), split));
            }
            "Digits" => {
                component.only(&["individual_digits"])?;
                patterns.push((None, {
                    let individual = component.bool("individual_digits")?;
                    Split::Pattern(if individual {
                        PatternSplit::IndividualDigits
                    } else {
                        PatternSplit::ContiguousDigits
                    })
                }));
            }
            _ => return Err(component.foreign("no engine here covers it")),
        }
    }
    let known: Option<Vec<&str>> = patterns.iter().map(|(pattern, _)| *pattern).collect();
    if let Some(split) = known.filter(|known| known.len() > 1).and_then(|known| from_patterns(&known)) {
        return Ok(vec![split]);
    }
    Ok(patterns.into_iter().map(|(_, split)| split).collect())
}

fn metaspace(component: &Component<'_>, words: bool) -> Covered<PreTokenizer> {
    let (replacement, prepend) = metaspace_fields(component)?;
    Ok(PreTokenizer::Metaspace { replacement, prepend, split: component.bool_or("split", true)?, words })
}

fn metaspace_fields(component: &Component<'_>) -> Covered<(char, Prepend)> {
    component.only(&["replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep"])?;
    let prepend = match component.fields.get("prepend_scheme").map(Value::as_str) {
        None | Some(Some("always")) => Prepend::Always,
        Some(Some("first")) => Prepend::First,
        Some(Some("never")) => Prepend::Never,
        Some(_) => return Err(component.foreign("prepend_scheme")),
    };
    // The two fields must not contradict each other.
    if !component.bool_or("add_prefix_space", true)? && prepend != Prepend::Never {
        return Err(component.foreign("add_prefix_space"));
    }
    Ok((component.character("replacement")?, prepend))
}

/// A text on its way through post-processors, or what they add to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Id(u32),
    Text,
}

/// What the post-processor puts around a text.
///
/// In a sequence each sees what the one before has made as texts of its own: behind a template of two parts the next one processes a pair.
pub(super) fn frame(section: &Section) -> Covered<Frame> {
    let mut texts = vec![vec![Part::Text]];
    let mut trims = Vec::new();
    for component in section.components()? {
        if matches!(component.kind, "ByteLevel" | "RobertaProcessing")
            && component.bool_or("trim_offsets", true)?
        {
            let behind = texts.iter().any(|text| text.contains(&Part::Text) && text[0] != Part::Text);
            trims.push(Trim { prefix_space: component.bool_or("add_prefix_space", true)?, behind });
        }
        match component.kind {
            // It moves offsets and no ids.
            "ByteLevel" => component.only(&["add_prefix_space", "trim_offsets", "use_regex"])?,
            "BertProcessing" | "RobertaProcessing" => {
                component.only(&["sep", "cls", "trim_offsets", "add_prefix_space"])?;
                let (cls, sep) = (Part::Id(component.token("cls")?), Part::Id(component.token("sep")?));
                for (i, text) in texts.iter_mut().enumerate() {
                    if i == 0 {
                        text.insert(0, cls);
                    } else if component.kind == "RobertaProcessing" {
                        text.insert(0, sep);
                    }
                    text.push(sep);
                }
            }
            "TemplateProcessing" => texts = template(&component, &texts)?,
            _ => return Err(component.foreign("no engine here covers it")),
        }
    }
    let parts = texts.concat();
    let mut around = parts.split(|&part| part == Part::Text);
    let (Some(before), Some(after), None) = (around.next(), around.next(), around.next()) else {
        return Err(Foreign(format!("{}: a text that does not occur just once", section.name)));
    };
    let ids = |parts: &[Part]| {
        let id = |part: &Part| if let Part::Id(id) = part { Some(*id) } else { None };
        parts.iter().filter_map(id).collect()
    };
    Ok(Frame { before: ids(before), after: ids(after), trims })
}

fn template(component: &Component<'_>, texts: &[Vec<Part>]) -> Covered<Vec<Vec<Part>>> {
    component.only(&["single", "pair", "special_tokens"])?;
    let broken = |key: &str| component.foreign(key);
    let key = match texts.len() {
        1 => "single",
        2 => "pair",
        _ => return Err(broken("behind one that makes more than two parts")),
    };
    let pieces = component.fields.get(key).and_then(Value::as_array).ok_or_else(|| broken(key))?;
    let special = component
        .fields
        .get("special_tokens")
        .and_then(Value::as_object)
        .ok_or_else(|| broken("special_tokens"))?;
    component.fields.get("single").and_then(Value::as_array).ok_or_else(|| broken("single"))?;
    component.fields.get("pair").and_then(Value::as_array).ok_or_else(|| broken("pair"))?;
    let mut made = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let piece = piece.as_object().filter(|piece| piece.len() == 1).ok_or_else(|| broken(key))?;
        if let Some(sequence) = piece.get("Sequence") {
            let text = match sequence.get("id").and_then(Value::as_str) {
                Some("A") => texts.first(),
                Some("B") => texts.get(1),
                _ => None,
            };
            made.push(text.ok_or_else(|| broken(key))?.clone());
        } else {
            let id = piece.get("SpecialToken").and_then(|token| token.get("id")).and_then(Value::as_str);
            let token = id.and_then(|id| special.get(id)).ok_or_else(|| broken(key))?;
            let ids = token.get("ids").and_then(Value::as_array).ok_or_else(|| broken("special_tokens"))?;
            let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok()).map(Part::Id);
            let ids: Option<Vec<Part>> = ids.iter().map(id).collect();
            made.push(ids.ok_or_else(|| broken("special_tokens"))?);
        }
    }
    Ok(made)
}

/// How ids are rendered: what must be known while it is done, and what each token's text becomes before that.
pub(super) struct Rendering {
    pub(super) renderer: Renderer,
    pub(super) piece: Piece,
}

/// How a token's text becomes its piece, that is what it adds behind another token.
pub(super) enum Piece {
    /// Written in the GPT-2 byte alphabet, if it is a word of it.
    ByteLevel,
    /// With these replaced, one after the other; then perhaps a byte (`<0x0A>`).
    Replaced(Vec<(String, String)>),
    /// Behind a space.
    Spaced,
    /// Without this prefix or, if it has none, behind a space; then cleaned up.
    Continued { prefix: String, cleanup: bool },
}

pub(super) fn decoder(section: &Section) -> Covered<Rendering> {
    let components = section.components()?;
    let rendering = |renderer, piece| Ok(Rendering { renderer, piece });
    match components.as_slice() {
        [] if section.value.is_null() => rendering(
            Renderer { first: First::Text { cleanup: false }, ..Renderer::default() },
            Piece::Spaced,
        ),
        [one] if one.kind == "ByteLevel" => {
            one.only(&["add_prefix_space", "trim_offsets", "use_regex"])?;
            rendering(Renderer::default(), Piece::ByteLevel)
        }
        [one] if one.kind == "Metaspace" => {
            let (replacement, prepend) = metaspace_fields(one)?;
            let first = if prepend == Prepend::Never { First::Piece } else { First::Without(replacement) };
            let spaces = vec![(replacement.to_string(), " ".to_owned())];
            rendering(Renderer { first, ..Renderer::default() }, Piece::Replaced(spaces))
        }
        [one] if one.kind == "WordPiece" => {
            one.only(&["prefix", "cleanup"])?;
            let (prefix, cleanup) = (one.text("prefix")?.to_owned(), one.bool("cleanup")?);
            let first = First::Text { cleanup };
            rendering(Renderer { first, ..Renderer::default() }, Piece::Continued { prefix, cleanup })
        }
        several => fallback(several),
    }
}

/// Any decoders, each on all tokens.
pub(super) fn chain(section: &Section, rewritten: &[(u32, String)]) -> Covered<Rendering> {
    let components = section.components()?;
    let decoders = components.iter().map(chained).collect::<Covered<_>>()?;
    let separator = if section.value.is_null() { " " } else { "" }.to_owned();
    let chain = Chain { decoders, separator, rewritten: rewritten.to_vec() };
    let renderer = Renderer { chain: Some(chain), ..Renderer::default() };
    Ok(Rendering { renderer, piece: Piece::Replaced(Vec::new()) })
}

fn chained(component: &Component<'_>) -> Covered<Decoder> {
    let text = |key| component.text(key).map(str::to_owned);
    match component.kind {
        "ByteLevel" => {
            component.only(&["add_prefix_space", "trim_offsets", "use_regex"])?;
            Ok(Decoder::ByteLevel)
        }
        "WordPiece" => {
            component.only(&["prefix", "cleanup"])?;
            Ok(Decoder::WordPiece { prefix: text("prefix")?, cleanup: component.bool("cleanup")? })
        }
        "Metaspace" => {
            let (replacement, prepend) = metaspace_fields(component)?;
            Ok(Decoder::Metaspace { replacement, drops_first: prepend != Prepend::Never })
        }
        "BPEDecoder" => {
            component.only(&["suffix"])?;
            Ok(Decoder::EndOfWord(text("suffix")?))
        }
        "CTC" => {
            component.only(&["pad_token", "word_delimiter_token", "cleanup"])?;
            let (pad, delimiter) = (text("pad_token")?, text("word_delimiter_token")?);
            Ok(Decoder::Ctc { pad, delimiter, cleanup: component.bool("cleanup")? })
        }
        "ByteFallback" => component.only(&[]).map(|()| Decoder::ByteFallback),
        "Fuse" => component.only(&[]).map(|()| Decoder::Fuse),
        "Strip" => {
            component.only(&["content", "start", "stop"])?;
            Ok(Decoder::Strip {
                content: component.character("content")?,
                start: component.number("start")? as usize,
                stop: component.number("stop")? as usize,
            })
        }
        "Replace" => {
            component.only(&["pattern", "content"])?;
            let pattern = match component.pattern()? {
                Pattern::Text("") => return Err(component.foreign("an empty pattern")),
                Pattern::Text(text) => Delimiter::Text(text.to_owned()),
                Pattern::Regex(pattern) => matching(component, pattern)?,
            };
            Ok(Decoder::Replace { pattern, content: text("content")? })
        }
        _ => Err(component.foreign("no engine here covers it")),
    }
}

/// `Replace`s, `ByteFallback`, `Fuse` and a `Strip` of the beginning, in this order; each may be missing.
fn fallback(components: &[Component<'_>]) -> Covered<Rendering> {
    let mut renderer = Renderer::default();
    let mut replaced = Vec::new();
    let mut fused = false;
    for component in components {
        let in_order = !fused && renderer.strip.is_none();
        match component.kind {
            "Replace" if in_order && !renderer.byte_fallback => {
                component.only(&["pattern", "content"])?;
                match component.pattern()? {
                    Pattern::Text(pattern) if !pattern.is_empty() => {
                        replaced.push((pattern.to_owned(), component.text("content")?.to_owned()));
                    }
                    _ => return Err(component.foreign("pattern")),
                }
            }
            "ByteFallback" if in_order => {
                component.only(&[])?;
                renderer.byte_fallback = true;
            }
            "Fuse" if renderer.strip.is_none() => {
                component.only(&[])?;
                fused = true;
            }
            "Strip" if fused && renderer.strip.is_none() => {
                component.only(&["content", "start", "stop"])?;
                if component.number("stop")? != 0 {
                    return Err(component.foreign("stop"));
                }
                renderer.strip = Some((component.character("content")?, component.number("start")?));
            }
            _ => return Err(component.foreign("no engine here covers it, or not in this place")),
        }
    }
    Ok(Rendering { renderer, piece: Piece::Replaced(replaced) })
}

/// The pattern of `ByteLevel` with `use_regex`.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

const BEHAVIORS: &[&str] = &["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"];
