//! Every source of a model's tokenizer against the others.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::Special;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::failure::chain;
use crate::fit::{self, ModelFacts, is_pad, same_token};
use crate::formats::gguf::{OnUnknownPre, has_vocabulary, load};
use crate::gguf::Gguf;
use crate::outcome::Outcome;
use crate::resolver::Resolver;
use crate::semantics::Pipeline;
use crate::source::Source;
use crate::split::Pre;
use crate::strategy::{LocalFiles, Search, Strategy, attempt};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::attribute;

/// What every source of a model's tokenizer gives, held against the first of them.
///
/// Its `Display` is a table of the sources, followed by the differences and what to do about each.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Comparison {
    /// Each source, in the order of the chain. The first that can be loaded is what the others are compared with; that says
    /// nothing about which is right.
    pub sources: Vec<ComparedSource>,
    /// The number of texts that were encoded by each.
    pub texts: usize,
}

/// One source of a tokenizer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ComparedSource {
    /// The strategy that reads it.
    pub strategy: Strategy,
    /// Where it is, or why there is none.
    pub place: String,
    /// The number of ids, holes included; `None` where there is no tokenizer, or none that can be loaded.
    pub vocab_size: Option<u32>,
    /// Whether the others are compared with this one.
    pub is_reference: bool,
    /// How it differs from the reference or from the model, at most one of each kind.
    pub differences: Vec<Difference>,
}

/// How two sources differ: the first place, with both answers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Difference {
    /// What differs.
    pub kind: DifferenceKind,
    /// The first place: a token, a text, a role.
    pub place: String,
    /// The answer of the reference, or what the model asks for.
    pub expected: String,
    /// The answer of this source.
    pub found: String,
    /// How many places there are like the first.
    pub count: usize,
    /// What to do about it.
    pub advice: String,
}

/// What can differ between two sources.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// The source is there and cannot be used, or only by a guess.
    Unusable,
    /// The tokenizer does not fit what the model says of its vocabulary.
    Fit,
    /// An id is another token.
    Token,
    /// A token is missing on one side.
    MissingToken,
    /// A role (BOS, EOS, …) has another id.
    Role,
    /// The tokens that are added around a text.
    Frame,
    /// The ids of a text, although the tokens are the same.
    Ids,
    /// The chat template.
    Template,
}

impl Comparison {
    /// Whether all sources that could be loaded give the same, and none is broken. A Hub that cannot be reached counts for
    /// nothing; neither does a model with a single source, since there is nothing to hold it against.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.sources.iter().all(|source| source.differences.is_empty())
    }
}

impl Resolver {
    /// Loads every source of a tokenizer that the model at `path` has (its own metadata, repositories on the Hub and in caches,
    /// files beside it) and holds each against the first: token by token, and by the ids of texts in 30 scripts, code, numbers,
    /// white space and special tokens.
    ///
    /// Where [`Resolver::resolve`] takes the first source that fits, this loads all of them, uses no store, and takes seconds for a
    /// large vocabulary. The strategies are those of the chain; the options for the Hub hold.
    ///
    /// ```
    /// use anytok::Resolver;
    ///
    /// let comparison = Resolver::builder().offline(true).build().compare("testdata/models/llama-bpe.gguf")?;
    /// assert!(comparison.agrees(), "{comparison}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] and [`Error::Unreadable`], as [`Resolver::resolve`].
    pub fn compare(&self, path: impl AsRef<Path>) -> Result<Comparison, Error> {
        let evidence = Evidence::gather(path).map_err(Error::of_evidence)?;
        let search = Search::of_all(&evidence, self.options());
        let mut sources = Vec::new();
        for &strategy in &self.options().chain {
            match strategy {
                Strategy::Backup => {}
                Strategy::Sibling => siblings(&search, &mut sources),
                _ => sources.push(candidate(&search, strategy)),
            }
        }
        Ok(compare(&evidence, sources))
    }
}

/// A source before it is compared.
struct Candidate {
    strategy: Strategy,
    place: String,
    /// Beside the model rather than of it: counts only if it is this model's at all.
    is_distant: bool,
    tokenizer: Option<Tokenizer>,
    unusable: Option<Difference>,
}

impl Candidate {
    fn absent(strategy: Strategy, reason: String) -> Self {
        Self { strategy, place: reason, is_distant: false, tokenizer: None, unusable: None }
    }
}

/// What a strategy that has one answer gives.
fn candidate(search: &Search<'_>, strategy: Strategy) -> Candidate {
    match attempt(strategy, search) {
        Outcome::Found(found) => Candidate {
            strategy,
            place: found.source.to_string(),
            is_distant: false,
            tokenizer: Some(found.tokenizer),
            unusable: None,
        },
        Outcome::NotApplicable(reason) => Candidate::absent(strategy, reason),
        Outcome::Failed(failure) => {
            let reason = chain(&*failure);
            if strategy == Strategy::Hub {
                return Candidate::absent(strategy, reason);
            }
            let evidence = search.evidence;
            // What does not say how its text is cut still says what its tokens are.
            let gguf = evidence.gguf().filter(|gguf| strategy == Strategy::Embedded && has_vocabulary(gguf));
            let place = evidence.model_path().unwrap_or(evidence.path()).to_owned();
            Candidate {
                strategy,
                place: Source::Gguf { path: place }.to_string(),
                is_distant: false,
                tokenizer: gguf.and_then(|gguf| load(gguf, OnUnknownPre::Guess).ok()),
                unusable: Some(unusable(reason)),
            }
        }
    }
}

/// Every tokenizer file at the path, beside the model and one level up.
fn siblings(search: &Search<'_>, sources: &mut Vec<Candidate>) {
    let evidence = search.evidence;
    let before = sources.len();
    let mut seen: HashSet<PathBuf> = HashSet::new();
    let own = evidence.own_directories();
    let elsewhere = evidence.directories().iter();
    let elsewhere =
        elsewhere.map(|directory| (!own.contains(directory), LocalFiles::in_directory(directory)));
    let elsewhere: Vec<_> = elsewhere.collect();
    let here = std::iter::once((false, search.local()));
    for (is_distant, files) in here.chain(elsewhere.iter().map(|(is_distant, files)| (*is_distant, files))) {
        for (path, loaded) in files.load_each(|_, _| Ok(())) {
            if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned())) {
                continue;
            }
            let (tokenizer, unusable) = match loaded {
                Ok(found) => (Some(found.tokenizer), None),
                Err(_) if is_distant => continue,
                Err(failure) => (None, Some(unusable(chain(&failure)))),
            };
            let place = path.display().to_string();
            sources.push(Candidate { strategy: Strategy::Sibling, place, is_distant, tokenizer, unusable });
        }
    }
    if sources.len() == before {
        sources.push(Candidate::absent(Strategy::Sibling, "no tokenizer file beside the model".into()));
    }
}

fn unusable(reason: String) -> Difference {
    Difference {
        kind: DifferenceKind::Unusable,
        place: "the source itself".into(),
        expected: "a tokenizer".into(),
        found: reason,
        count: 1,
        advice: "repair it or take it away: what cannot be read cannot be checked".into(),
    }
}

fn compare(evidence: &Evidence, candidates: Vec<Candidate>) -> Comparison {
    let probes = probes();
    let facts = ModelFacts::of(evidence);
    let gguf = evidence.gguf();
    let mut reference: Option<(Strategy, Tokenizer)> = None;
    let mut sources = Vec::with_capacity(candidates.len());
    for Candidate { strategy, mut place, is_distant, tokenizer, unusable } in candidates {
        let mut differences: Vec<Difference> = unusable.into_iter().collect();
        let mut vocab_size = tokenizer.as_ref().map(Tokenizer::vocab_size);
        let mut is_reference = false;
        if let Some(tokenizer) = tokenizer {
            if facts.tokens.is_none()
                && let Err(mismatch) = fit::check(&tokenizer, &facts)
            {
                differences.push(of_fit(&mismatch));
            }
            match &reference {
                None => {
                    is_reference = true;
                    reference = Some((strategy, tokenizer));
                }
                Some((first, expected)) => {
                    let model = facts.model.filter(|_| *first == Strategy::Embedded);
                    let pair = Pair {
                        expected,
                        found: &tokenizer,
                        model,
                        gguf: gguf.filter(|_| *first == Strategy::Embedded),
                    };
                    let tokens = pair.tokens();
                    if is_distant && tokens.differing > expected.vocab_size() / 10 {
                        place = format!("{place} is another model's, one level up");
                        vocab_size = None;
                        differences.clear();
                    } else {
                        pair.differences(tokens, &probes, &place, &mut differences);
                    }
                }
            }
        }
        sources.push(ComparedSource { strategy, place, vocab_size, is_reference, differences });
    }
    Comparison { sources, texts: probes.len() }
}

fn of_fit(mismatch: &fit::Mismatch) -> Difference {
    Difference {
        kind: DifferenceKind::Fit,
        place: "the model".into(),
        expected: "the vocabulary that its rows and special ids ask for".into(),
        found: mismatch.to_string(),
        count: 1,
        advice: "this tokenizer is another model's, or one from before tokens were added: take that of this very model".into(),
    }
}

/// Two tokenizers of one model.
struct Pair<'a> {
    expected: &'a Tokenizer,
    found: &'a Tokenizer,
    /// `tokenizer.ggml.model`, where the first is of a GGUF.
    model: Option<&'a [u8]>,
    gguf: Option<&'a Gguf>,
}

/// What a comparison of all tokens gave.
#[derive(Default)]
struct Tokens {
    other: Option<Difference>,
    missing: Option<Difference>,
    /// Ids that are other tokens.
    differing: u32,
}

impl Pair<'_> {
    /// Compares token by token.
    fn tokens(&self) -> Tokens {
        let mut tokens = Tokens::default();
        let mut buffer = Vec::new();
        for id in 0..self.expected.vocab_size().max(self.found.vocab_size()) {
            let (expected, found) = (self.expected.token_text(id), self.found.token_text(id));
            let (slot, kind) = match (&expected, &found) {
                (None, None) => continue,
                (Some(text), Some(other)) => {
                    let same = same_token(self.found, id, other, text, self.model, &mut buffer)
                        || self.expected.token_bytes(id) == self.found.token_bytes(id)
                        || is_pad(text) && other.starts_with(b"<extra_id_");
                    if same {
                        continue;
                    }
                    tokens.differing += 1;
                    (&mut tokens.other, DifferenceKind::Token)
                }
                (Some(text), None) | (None, Some(text)) => {
                    let side = if found.is_some() { self.found } else { self.expected };
                    let attributes = side.vocabulary().attributes(id);
                    let added =
                        attributes & (attribute::CONTROL | attribute::USER_DEFINED | attribute::RAW) != 0;
                    let padding = is_pad(text)
                        || attributes & attribute::UNUSED != 0
                        || self.model == Some(b"rwkv") && id == 0
                        || added && found.is_none() && is_bare(self.found);
                    if padding {
                        continue;
                    }
                    (&mut tokens.missing, DifferenceKind::MissingToken)
                }
            };
            let shown = |text: &Option<std::borrow::Cow<'_, [u8]>>| match text {
                Some(text) => format!("{:?}", String::from_utf8_lossy(text)),
                None => "no token".into(),
            };
            slot.get_or_insert_with(|| Difference {
                kind,
                place: format!("token {id}"),
                expected: shown(&expected),
                found: shown(&found),
                count: 0,
                advice: String::new(),
            })
            .count += 1;
        }
        let size = self.expected.vocab_size();
        if let Some(other) = &mut tokens.other {
            other.advice = if tokens.differing > size / 10 {
                format!(
                    "{} of {size} tokens differ: this is another model's tokenizer, so take it away or name the right repository",
                    other.count
                )
            } else {
                "the two tables do not belong together: convert the model again with the tokenizer that it was trained with".into()
            };
        }
        if let Some(missing) = &mut tokens.missing {
            let side = if missing.found == "no token" { "this source lacks" } else { "the reference lacks" };
            missing.advice = format!(
                "{side} tokens that were added, as a fine-tune does: take the tokenizer of this very model rather than of its base, \
                 or convert the model again with it"
            );
        }
        tokens
    }

    /// Everything that differs.
    fn differences(&self, tokens: Tokens, probes: &[String], place: &str, out: &mut Vec<Difference>) {
        let same_tokens = tokens.other.is_none();
        out.extend(tokens.other);
        out.extend(tokens.missing);
        out.extend(self.roles());
        let ids = self.ids(probes, same_tokens, place);
        // With other ids for the text itself, what stands around it says nothing.
        if ids.is_none() {
            out.extend(self.frame());
        }
        out.extend(ids);
        out.extend(self.template());
    }

    fn roles(&self) -> Option<Difference> {
        let (expected, found) = (self.expected.special_tokens(), self.found.special_tokens());
        let roles = [
            ("BOS", expected.bos, found.bos, "tokenizer.ggml.bos_token_id"),
            ("EOS", expected.eos, found.eos, "tokenizer.ggml.eos_token_id"),
        ];
        let differing = roles.into_iter().filter_map(|(role, a, b, key)| {
            let (a, b) = (a?, b?);
            // A chat model's files name the end of a turn here and the end of a text there; it stops at both.
            let both_stop = role == "EOS" && (self.expected.is_eog(b) || self.found.is_eog(a));
            (a != b && !both_stop).then_some((role, a, b, key))
        });
        let differing: Vec<_> = differing.collect();
        let &(role, a, b, key) = differing.first()?;
        let shown = |tokenizer: &Tokenizer, id| {
            format!("{id} {:?}", String::from_utf8_lossy(&tokenizer.token_text(id).unwrap_or_default()))
        };
        let lower = role.to_lowercase();
        Some(Difference {
            kind: DifferenceKind::Role,
            place: role.into(),
            expected: shown(self.expected, a),
            found: shown(self.found, b),
            count: differing.len(),
            advice: format!(
                "see which one the model was trained with; a GGUF has it in `{key}`, a Hugging Face model in `{lower}_token` of tokenizer_config.json"
            ),
        })
    }

    /// What is added around a text.
    fn frame(&self) -> Option<Difference> {
        if is_bare(self.found) || is_bare(self.expected) {
            return None;
        }
        let text = "text";
        let (expected, found) =
            (ids_of(self.expected, text, Special::Add), ids_of(self.found, text, Special::Add));
        (expected != found).then(|| Difference {
            kind: DifferenceKind::Frame,
            place: format!("{text:?} with special tokens added"),
            expected: shown_ids(&expected, 0),
            found: shown_ids(&found, 0),
            count: 1,
            advice: "BOS or EOS is added by one and not by the other, or is another token: a GGUF decides by `tokenizer.ggml.add_bos_token`, \
                     `add_eos_token` and `bos_token_id`, a tokenizer.json by its `post_processor`"
                .into(),
        })
    }

    /// The ids of texts, and of tokens that are spelled out in one.
    fn ids(&self, probes: &[String], same_tokens: bool, place: &str) -> Option<Difference> {
        let mut first: Option<Difference> = None;
        let mut differing = Vec::new();
        let spelled_out =
            if is_bare(self.found) || is_bare(self.expected) { Vec::new() } else { self.spelled_out() };
        let plain = probes.iter().map(|text| (text, Special::Ignore));
        for (text, special) in plain.chain(spelled_out.iter().map(|text| (text, Special::Parse))) {
            let (expected, found) = (ids_of(self.expected, text, special), ids_of(self.found, text, special));
            if expected == found {
                continue;
            }
            let difference = first.get_or_insert_with(|| {
                let at = match (&expected, &found) {
                    (Ok(a), Ok(b)) => a.iter().zip(b).take_while(|(a, b)| a == b).count(),
                    _ => 0,
                };
                Difference {
                    kind: DifferenceKind::Ids,
                    place: format!("ids of {text:?} from number {at}"),
                    expected: shown_ids(&expected, at),
                    found: shown_ids(&found, at),
                    count: 0,
                    advice: String::new(),
                }
            });
            difference.count += 1;
            if special == Special::Ignore {
                differing.push(text.as_str());
            }
        }
        let mut difference = first?;
        difference.advice = match self.gguf.filter(|_| same_tokens && !differing.is_empty()) {
            Some(gguf) => self.advice_on_split(gguf, probes, &differing, place),
            None => "the tokens or their merges differ, or one side does not know a token as special: convert the model again".into(),
        };
        Some(difference)
    }

    /// Looks for a `pre` with which the GGUF gives the ids of the other source.
    fn advice_on_split(&self, gguf: &Gguf, probes: &[String], differing: &[&str], place: &str) -> String {
        let own = gguf.str("tokenizer.ggml.pre").unwrap_or("");
        let agrees = |tokenizer: &Tokenizer, text: &str| {
            ids_of(tokenizer, text, Special::Ignore) == ids_of(self.found, text, Special::Ignore)
        };
        let has_pre = matches!(self.model, Some(b"gpt2" | b"hybriddna" | b"whitespace"));
        let right = Pre::names().filter(|name| has_pre && *name != own).find(|name| {
            load(gguf, OnUnknownPre::Replace(name)).is_ok_and(|tokenizer| {
                differing.iter().all(|text| agrees(&tokenizer, text))
                    && probes.iter().all(|text| agrees(&tokenizer, text))
            })
        });
        let own = if own.is_empty() { "missing".into() } else { format!("`{own}`") };
        match right {
            Some(name) => format!(
                "`tokenizer.ggml.pre` is {own}; with `{name}` the GGUF gives the ids of {place} for every text: convert the model again, \
                 or write the key with `gguf-new-metadata --pre-tokenizer {name}`"
            ),
            None if has_pre => format!(
                "the tokens are the same, but no `tokenizer.ggml.pre` that is known gives these ids (it is {own}): the merges differ, or the \
                 other source cuts text in a way of its own; convert the model again"
            ),
            None => "the tokens are the same, but not how a text is cut or normalized: see which source the model was trained with".into(),
        }
    }

    /// Tokens that either side takes for what they are where they stand in a text.
    fn spelled_out(&self) -> Vec<String> {
        let added = attribute::CONTROL | attribute::USER_DEFINED | attribute::RAW;
        let is_added = |tokenizer: &Tokenizer, id| tokenizer.vocabulary().attributes(id) & added != 0;
        let ids = 0..self.expected.vocab_size().min(self.found.vocab_size());
        let ids = ids.filter(|&id| is_added(self.expected, id) || is_added(self.found, id));
        let texts = ids.filter_map(|id| {
            let text = String::from_utf8(self.expected.token_text(id)?.into_owned()).ok()?;
            let same = self.found.token_text(id)?.as_ref() == text.as_bytes();
            (same && !text.trim().is_empty()).then(|| format!("a{text}b"))
        });
        texts.take(MOST_SPELLED_OUT).collect()
    }

    fn template(&self) -> Option<Difference> {
        let names = std::iter::once(None).chain(self.expected.chat_template_names().map(Some));
        // A renderer drops the newline that ends a file.
        let of = |tokenizer: &Tokenizer, name| {
            Some(tokenizer.chat_template(name)?.trim_end_matches('\n').to_owned())
        };
        let both = names.filter_map(|name| Some((name, of(self.expected, name)?, of(self.found, name)?)));
        let differing: Vec<_> = both.filter(|(_, expected, found)| expected != found).collect();
        let (name, expected, found) = differing.first()?;
        let line = expected.lines().zip(found.lines()).take_while(|(a, b)| a == b).count();
        let (a, b) = (expected.lines().nth(line), found.lines().nth(line));
        let column = a.unwrap_or("").chars().zip(b.unwrap_or("").chars()).take_while(|(a, b)| a == b).count();
        // Templates are often one long line: what differs in it is what to show.
        let shown = |line: Option<&str>| {
            line.map_or("the end".into(), |line| {
                excerpt(&line.chars().skip(column.saturating_sub(10)).collect::<String>())
            })
        };
        Some(Difference {
            kind: DifferenceKind::Template,
            place: format!("chat template {}, line {} column {}", name.unwrap_or("default"), line + 1, column + 1),
            expected: shown(a),
            found: shown(b),
            count: differing.len(),
            advice: "prompts differ, ids of plain text do not: see which template the model was trained with; the newer one is often a repair".into(),
        })
    }
}

/// Whether a source holds pieces alone: what frames a text, and what was added, is kept elsewhere.
fn is_bare(tokenizer: &Tokenizer) -> bool {
    matches!(
        tokenizer.recipe().pipeline,
        Pipeline::SentencePiece(_) | Pipeline::Tiktoken(_) | Pipeline::Rwkv | Pipeline::Bytes
    )
}

fn ids_of(tokenizer: &Tokenizer, text: &str, special: Special) -> Result<Vec<u32>, String> {
    tokenizer.encode(text, special).map_err(|error| error.to_string())
}

fn shown_ids(ids: &Result<Vec<u32>, String>, from: usize) -> String {
    match ids {
        Ok(ids) => {
            let rest = ids.get(from..).unwrap_or_default();
            let shown = &rest[..rest.len().min(MOST_SHOWN)];
            format!("{shown:?}{}", if shown.len() < rest.len() { " …" } else { "" })
        }
        Err(error) => error.clone(),
    }
}

fn excerpt(text: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    format!("{shown:?}{}", if shown.len() < text.len() { " …" } else { "" })
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "strategy  answer       ids  source")?;
        for source in &self.sources {
            let ids = source.vocab_size.map_or("-".into(), |size| size.to_string());
            writeln!(f, "{:<8}  {:<9}  {ids:>6}  {}", source.strategy.name(), source.word(), source.place)?;
        }
        for source in &self.sources {
            for difference in &source.differences {
                writeln!(f, "\n{}, {}: {difference}", source.strategy, source.place)?;
            }
        }
        Ok(())
    }
}

impl ComparedSource {
    /// The answer in one word: `reference`, `agrees`, `differs`, `unusable` or `absent`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let is_unusable =
            self.differences.iter().any(|difference| difference.kind == DifferenceKind::Unusable);
        match (self.vocab_size, self.is_reference) {
            _ if is_unusable => "unusable",
            (None, _) => "absent",
            (Some(_), true) => "reference",
            (Some(_), false) if self.differences.is_empty() => "agrees",
            (Some(_), false) => "differs",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, expected, found, count, advice, .. } = self;
        writeln!(f, "{place}")?;
        writeln!(f, "  expected {expected}")?;
        writeln!(f, "  found    {found}")?;
        if *count > 1 {
            writeln!(f, "  and {} more like it", count - 1)?;
        }
        write!(f, "  to do: {advice}")
    }
}

/// Texts that tell splits, normalizers and vocabularies apart.
fn probes() -> Vec<String> {
    let longer = [
        format!("{}\n", "word ".repeat(40)),
        "0123456789".repeat(5),
        "a".repeat(64),
        "=".repeat(70),
        " ".repeat(33) + "x",
        "\n".repeat(5) + "x",
    ];
    PROBES.iter().map(|&text| text.to_owned()).chain(longer).collect()
}

const PROBES: &[&str] = &[
    // Scripts.
    "The river was low, and we crossed it on foot before noon.",
    "La rivière était basse ; nous l’avons passée à pied dès l’aube.",
    "Der Fluß führte wenig Wasser – wir gingen über größere Steine.",
    "Река обмелела, и мы перешли её вброд ещё до полудня.",
    "Ο ποταμός ήταν ρηχός και τον περάσαμε με τα πόδια.",
    "كان النهر ضحلًا فعبرناه سيرًا قبل الظهر.",
    "הנהר היה רדוד וחצינו אותו ברגל לפני הצהריים.",
    "नदी में पानी कम था, हम दोपहर से पहले पैदल पार गए।",
    "নদীতে জল কম ছিল, আমরা হেঁটে পার হলাম।",
    "ਨਦੀ ਵਿੱਚ ਪਾਣੀ ਘੱਟ ਸੀ।",
    "નદીમાં પાણી ઓછું હતું.",
    "ନଦୀରେ ପାଣି କମ ଥିଲା।",
    "ஆற்றில் நீர் குறைவாக இருந்தது.",
    "నదిలో నీరు తక్కువగా ఉంది.",
    "ನದಿಯಲ್ಲಿ ನೀರು ಕಡಿಮೆ ಇತ್ತು.",
    "പുഴയിൽ വെള്ളം കുറവായിരുന്നു.",
    "ගඟේ වතුර අඩුයි.",
    "แม่น้ำตื้นมาก เราจึงเดินข้ามไปก่อนเที่ยง",
    "ແມ່ນ້ຳຕື້ນຫຼາຍ",
    "မြစ်ရေ နည်းသည်။",
    "ទន្លេមានទឹករាក់។",
    "ཆུ་བོ་ཆུང་ངུ་རེད།",
    "მდინარე დაბალი იყო.",
    "Գետը ծանծաղ էր։",
    "ወንዙ ጥልቅ አልነበረም።",
    "河水很浅,我们在中午之前步行过了河。",
    "河水很淺,我們在中午之前步行過了河。",
    "川は浅く、昼前に歩いて渡った。カワハアサイ",
    "강물이 얕아서 정오 전에 걸어서 건넜다.",
    "Гол гүехэн байв. ᠭᠣᠣᠯ",
    "Sông cạn nên chúng tôi lội qua trước buổi trưa.",
    "ᏗᏂᏲᏟ ᎤᏪᏅᏒ",
    // Words and what surrounds them.
    "Don't you'll we've I'D SHE'S they'RE it's'm",
    "camelCase HTTPServer snake_case kebab-case MacOSX iPhone15Pro",
    "naïve café e\u{301}clair ﬁne Å A\u{30a} ½ № ™ Ⅷ ß ſ İ",
    "\u{feff}mark, zero\u{200b}width, joiner\u{200d}s, soft\u{ad}hyphen, nbsp\u{a0}here",
    "👍🏽 👩‍👩‍👧‍👦 🇫🇷 ❤️ 🫠 #️⃣",
    // Numbers.
    "1 12 123 1234 12345 1234567890 3.14159 1,000,000 0x1F 1e-10 ١٢٣ 第3章 v2.0.1",
    "On 2024-02-29 at 23:59:60 it was -40°C, 98.6% of £1,234.50.",
    // Code.
    "def f(x):\n    return [i**2 for i in range(x)]  # squares\n\n\nclass A:\n\tpass\n",
    "if (a && b || !c) { x += y->z; } /* note */ #include <stdio.h>\r\nint main() { return 0; }\r\n",
    "SELECT * FROM t WHERE a <= 'b' AND c != \"d\"; -- done\n{\"key\": [1, null, true]}",
    "https://example.org/a_b?c=d&e=%20f#g user@example.com C:\\dir\\file.txt ./x ../y ~/z",
    "$\\alpha_i^2 + \\frac{1}{2} \\leq \\sum_{k=0}^{n} k!$ ∑∫√≈≠ ← ⇒",
    // White space and punctuation.
    "",
    " ",
    "  two  spaces   three    four",
    " leading and trailing ",
    "tab\there\t\tand\t there",
    "line\nline\n\nparagraph\n \n  indented\n",
    "crlf\r\nline\r\n\r\nend\r",
    "wait... what?! -- (yes) [no] {maybe} <tag/> «quoted» “curly” ‘single’ —dash—",
    "!!!???...,,,;;;:::---___***///",
    "\u{3000}full\u{3000}width,text!?ABC123",
];

const MOST_SPELLED_OUT: usize = 128;
const MOST_SHOWN: usize = 12;
