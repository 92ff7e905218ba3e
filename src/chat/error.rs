//! Why a conversation has no prompt.

use minijinja::ErrorKind;

use super::source::Prepared;
use crate::EncodeError;

/// Why a conversation has no prompt.
///
/// ```
/// use anytok::ChatError;
///
/// # let found = anytok::Resolver::default().resolve("testdata/models/qwen2.gguf")?;
/// let messages = [serde_json::json!({"role": "tool", "content": "4"})];
/// let source = "{% if messages[0].role != 'user' %}{{ raise_exception('a user begins') }}{% endif %}";
/// match found.tokenizer().chat(&messages)?.template_source(source).render() {
///     Err(ChatError::Refused { message, line, .. }) => assert_eq!((&*message, line), ("a user begins", 1)),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The model's files hold no chat template, and none was given.
    #[error(
        "expected the model to have a chat template, found none; give one with `template_source`, or take it from the \
         model it was made from"
    )]
    NoTemplate,
    /// There is no template of that name; or none is named and no default one exists.
    #[error("expected the name of a chat template, one of {available:?}, found {name:?}")]
    UnknownTemplate {
        /// The name asked for; `default` if none was.
        name: String,
        /// The names there are.
        available: Vec<String>,
    },
    /// What was passed in is not what a conversation is made of.
    #[error("expected {expected} at `{place}`, found {found}")]
    Input {
        /// Where, such as `messages[2].role`.
        place: String,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// [`continue_final_message`](crate::Chat::continue_final_message) cannot be done.
    #[error("cannot continue the final message: {reason}")]
    Continue {
        /// Why.
        reason: String,
    },
    /// The template itself refuses the conversation, by `raise_exception`.
    #[error("the chat template refuses the conversation (line {line}, column {column}): {message}")]
    Refused {
        /// The template's words.
        message: String,
        /// Line of the template, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// The template asks for something that was not passed in: a message without the key it needs, a variable without a value.
    #[error("the chat template needs something that was not given (line {line}, column {column})")]
    Missing {
        /// Line of the template, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What, by the template engine.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The template is malformed, calls what does not exist, or does to a value what cannot be done to it.
    #[error("the chat template is broken (line {line}, column {column})")]
    Broken {
        /// Line of the template, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong, by the template engine.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The template wants more work or text than a conversation of this size is worth; it may never end.
    #[error(
        "the chat template goes beyond the limit of {limit} (line {line}, column {column}); `fuel` raises it, if the \
         template is to be trusted"
    )]
    Limit {
        /// The limit, with its unit.
        limit: String,
        /// Line of the template, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// The messages spell out a special token, and the tokenizer has no way to take it for text.
    #[error(
        "cannot take {token:?} in the input for text: {reason}; `parse_input` lets it be the special token, if the input is \
         to be trusted"
    )]
    Literal {
        /// The special token.
        token: String,
        /// Why not.
        reason: String,
    },
    /// The prompt is rendered, but has no ids.
    #[error("the rendered prompt cannot be encoded")]
    Encode {
        /// Why.
        #[from]
        source: EncodeError,
    },
}

/// What `raise_exception` says, on its way through the engine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) String);

/// The output has reached its limit, on its way through the engine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct TooLong(pub(super) String);

impl ChatError {
    /// What the engine's error means, for a template of this source.
    pub(super) fn of_engine(
        error: minijinja::Error,
        source: &str,
        prepared: &Prepared<'_>,
        fuel: u64,
    ) -> Self {
        let (mut line, mut column) = (1, 1);
        let (mut refusal, mut too_long, mut out_of_fuel) = (None, None, false);
        // The innermost place is where it happened; those around it are the macros it happened in.
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<minijinja::Error>() {
                if let Some(before) =
                    error.range().and_then(|range| source.get(..prepared.in_template(range.start)))
                {
                    let start = before.rfind('\n').map_or(0, |at| at + 1);
                    line = before.matches('\n').count() + 1;
                    column = before[start..].chars().count() + 1;
                } else if let Some(of_error) = error.line() {
                    (line, column) = (of_error, 1);
                }
                out_of_fuel |= error.kind() == ErrorKind::OutOfFuel;
            } else if let Some(Refusal(message)) = error.downcast_ref() {
                refusal = Some(message.clone());
            } else if let Some(error) = error.downcast_ref::<std::io::Error>() {
                too_long = error
                    .get_ref()
                    .and_then(|error| error.downcast_ref())
                    .map(|TooLong(limit)| limit.clone());
            }
            next = error.source();
        }
        if let Some(message) = refusal {
            return Self::Refused { message, line, column };
        }
        if let Some(limit) = too_long.or_else(|| out_of_fuel.then(|| format!("{fuel} steps"))) {
            return Self::Limit { limit, line, column };
        }
        if error.kind() == ErrorKind::UndefinedError {
            return Self::Missing { line, column, source: error.into() };
        }
        Self::Broken { line, column, source: error.into() }
    }
}
