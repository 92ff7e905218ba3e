//! A template's source, made ready for the engine.

use std::borrow::Cow;
use std::ops::Range;

/// What wraps the iterable of a `for`, since the engine takes `none` for empty.
pub(super) const ITER: &str = "_i";
/// The filter that a `generation` block goes through.
pub(super) const GENERATION: &str = "_g";
/// What wraps an expression that adds to safe text, since jinja2 escapes what is added.
pub(super) const SAFE: &str = "_m";
/// The test in place of an `in` whose left side could be marked text.
pub(super) const IN: &str = "_in";

/// A source for the engine, and how its places are those of the template.
#[derive(Debug)]
pub(super) struct Prepared<'s> {
    pub(super) text: Cow<'s, str>,
    /// Ascending: where in `text` a replacement is, and what of the template it replaces.
    replaced: Vec<(Range<usize>, Range<usize>)>,
}

impl Prepared<'_> {
    /// The place in the template of a place in the text.
    pub(super) fn in_template(&self, at: usize) -> usize {
        let Some((new, old)) = self.replaced.iter().rev().find(|(new, _)| new.start <= at) else { return at };
        if at < new.end { old.start } else { old.end + (at - new.end) }
    }
}

/// The source for the engine, whose dialect of Jinja has no `generation` block and differs from jinja2 in a few places. `marked` are the characters that may be
/// marked in strings of the caller.
pub(super) fn prepare<'s>(source: &'s str, marked: &[char]) -> Prepared<'s> {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for tag in tags(source) {
        let word = |i: usize| tag.tokens.get(i).map(|token| &source[token.range.clone()]);
        let mut edit = |range: Range<usize>, text: &str| edits.push((range, text.to_owned()));
        match word(0) {
            Some("generation") if tag.is_statement => {
                edit(tag.tokens[0].range.clone(), &format!("filter {GENERATION} %}}{{% with"));
            }
            Some("endgeneration") if tag.is_statement => {
                edit(tag.tokens[0].range.clone(), "endwith %}{% endfilter");
            }
            // jinja2 trims no newline behind the beginning of a raw block.
            Some("raw") if tag.is_statement => {
                if tag.close.len() == 2 && source[tag.close.end..].starts_with('\n') {
                    edit(tag.close.end..tag.close.end, "\n");
                }
                continue;
            }
            Some("for") if tag.is_statement => {
                if let Some(at) =
                    (1..tag.tokens.len()).find(|&i| tag.tokens[i].depth == 0 && word(i) == Some("in"))
                {
                    let start = tag.tokens[at].range.end;
                    let end = tag.tokens[at + 1..]
                        .iter()
                        .find(|token| {
                            token.depth == 0 && matches!(&source[token.range.clone()], "if" | "recursive")
                        })
                        .map_or(tag.close.start, |token| token.range.start);
                    edit(start..start, &format!(" {ITER}("));
                    edit(end..end, ") ");
                }
            }
            _ if !tag.is_statement => {
                let has = |wanted: &str| (0..tag.tokens.len()).any(|i| word(i) == Some(wanted));
                let makes_safe = (1..tag.tokens.len()).any(|i| {
                    word(i - 1) == Some("|")
                        && matches!(word(i), Some("safe" | "e" | "escape" | "forceescape"))
                });
                if makes_safe && has("+") && !has("~") {
                    // The signs see to it that nothing beside the tags is trimmed that would not be beside an expression.
                    let sign = |text: &str| if text.contains('-') { '-' } else { '+' };
                    let open = sign(&source[tag.open.clone()]);
                    let close = sign(&source[tag.close.clone()]);
                    edit(tag.open.clone(), &format!("{{%{open} autoescape true %}}{{{{ {SAFE}("));
                    edit(tag.close.clone(), &format!(") }}}}{{% endautoescape {close}%}}"));
                }
            }
            _ => {}
        }
        for i in 1..tag.tokens.len() {
            if word(i) == Some("%")
                && let Some(operand) = formatted(source, &tag.tokens[i - 1..])
            {
                edit(tag.tokens[i].range.clone(), "|format(");
                edit(operand..operand, ")");
            }
            let negated = word(i - 1) == Some("not");
            let Some(literal) = i.checked_sub(if negated { 2 } else { 1 }).and_then(word) else { continue };
            if word(i) == Some("in") && literal.starts_with(['\'', '"']) && literal.contains(marked) {
                // `not` stands behind `is`.
                let start = tag.tokens[if negated { i - 1 } else { i }].range.start;
                edit(
                    start..tag.tokens[i].range.end,
                    &format!("is {}{IN}", if negated { "not " } else { "" }),
                );
            }
        }
    }
    if edits.is_empty() {
        return Prepared { text: source.into(), replaced: Vec::new() };
    }
    edits.sort_by_key(|(range, _)| range.start);
    let (mut out, mut at) = (String::with_capacity(source.len() + 64), 0);
    let mut replaced = Vec::with_capacity(edits.len());
    for (range, text) in edits {
        out.push_str(&source[at..range.start]);
        let start = out.len();
        out.push_str(&text);
        at = range.end;
        replaced.push((start..out.len(), range));
    }
    out.push_str(&source[at..]);
    Prepared { text: out.into(), replaced }
}

/// Where the value ends that a string literal is formatted with: the engine's `%` takes numbers alone. The tokens begin with the literal and
/// the `%`; values other than names and their attributes are left alone.
fn formatted(source: &str, tokens: &[Token]) -> Option<usize> {
    let text = |token: &Token| &source[token.range.clone()];
    let [literal, percent, rest @ ..] = tokens else { return None };
    let beside = |a: &Token, b: &Token| source[a.range.end..b.range.start].trim().is_empty();
    let is_name = |token: &Token| text(token).starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let mut last = rest.first().filter(|first| is_name(first))?;
    if !text(literal).starts_with(['\'', '"']) || !beside(literal, percent) || !beside(percent, last) {
        return None;
    }
    for pair in rest[1..].chunks(2) {
        match pair {
            [dot, name] if text(dot) == "." && is_name(name) && beside(last, dot) && beside(dot, name) => {
                last = name;
            }
            _ => break,
        }
    }
    let called = source[last.range.end..].trim_start().starts_with(['(', '[']);
    (!called).then_some(last.range.end)
}

/// Whether the template says which text is the assistant's.
pub(super) fn has_generation(source: &str) -> bool {
    let begins =
        |tag: &Tag| tag.tokens.first().is_some_and(|token| &source[token.range.clone()] == "generation");
    tags(source).any(|tag| tag.is_statement && begins(&tag))
}

/// `{{ … }}` or `{% … %}`.
struct Tag {
    is_statement: bool,
    /// With the sign for white space, such as `{%-`.
    open: Range<usize>,
    tokens: Vec<Token>,
    close: Range<usize>,
}

/// A word, a literal, or one character of anything else but brackets and spaces.
struct Token {
    range: Range<usize>,
    /// Brackets around it.
    depth: usize,
}

/// The tags of a template, comments and raw blocks left out.
struct Tags<'s> {
    source: &'s str,
    at: usize,
}

fn tags(source: &str) -> Tags<'_> {
    Tags { source, at: 0 }
}

impl Iterator for Tags<'_> {
    type Item = Tag;

    fn next(&mut self) -> Option<Tag> {
        let bytes = self.source.as_bytes();
        let is_statement = loop {
            self.at += memchr::memchr(b'{', bytes.get(self.at..)?)? + 1;
            match bytes.get(self.at)? {
                b'#' => self.at += memchr::memmem::find(&bytes[self.at + 1..], b"#}")? + 3,
                b'{' => break false,
                b'%' => break true,
                _ => {}
            }
        };
        let start = self.at - 1;
        self.at += 1;
        if matches!(bytes.get(self.at), Some(b'-' | b'+')) {
            self.at += 1;
        }
        let open = start..self.at;
        let (mut tokens, mut depth) = (Vec::new(), 0_usize);
        loop {
            let start = self.at;
            let byte = *bytes.get(start)?;
            self.at += 1;
            let signed = matches!(byte, b'-' | b'+');
            let ends = if is_statement { b"%}" } else { b"}}" };
            if depth == 0 && bytes[start + usize::from(signed)..].starts_with(ends) {
                self.at = start + usize::from(signed) + 2;
                let tag = Tag { is_statement, open, tokens, close: start..self.at };
                if is_statement
                    && tag.tokens.first().is_some_and(|token| &self.source[token.range.clone()] == "raw")
                {
                    self.at += memchr::memmem::find(&bytes[self.at..], b"endraw")?;
                }
                return Some(tag);
            }
            match byte {
                b'\'' | b'"' => loop {
                    let inside = *bytes.get(self.at)?;
                    self.at += 1;
                    if inside == b'\\' {
                        self.at += self.source.get(self.at..)?.chars().next().map_or(0, char::len_utf8);
                    } else if inside == byte {
                        break;
                    }
                },
                b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'0'..=b'9' => {
                    while bytes.get(self.at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
                    {
                        self.at += 1;
                    }
                }
                b'{' | b'(' | b'[' => {
                    depth += 1;
                    continue;
                }
                b'}' | b')' | b']' => {
                    depth = depth.saturating_sub(1);
                    continue;
                }
                byte if byte.is_ascii_whitespace() || !byte.is_ascii() => continue,
                _ => {}
            }
            tokens.push(Token { range: start..self.at, depth });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(source: &str, expected: &str) {
        assert_eq!(prepare(source, &['<']).text, expected);
    }

    #[test]
    fn generation_blocks_become_filters_with_a_scope() {
        becomes(
            "a{%- generation -%}b{% endgeneration %}{# {% generation %} #}{% raw %}{% generation %}{% endraw %}",
            "a{%- filter _g %}{% with -%}b{% endwith %}{% endfilter %}{# {% generation %} #}{% raw %}{% generation %}{% endraw %}",
        );
        assert!(has_generation("{%- generation -%}"));
        assert!(!has_generation("{{ 'generation' }}{% set generation = 1 %}"));
    }

    #[test]
    fn iterables_are_wrapped() {
        becomes("{% for x in y if x %}", "{% for x in _i( y ) if x %}");
        becomes(
            "{%- for a, b in (x if 'in' else y)|items -%}",
            "{%- for a, b in _i( (x if 'in' else y)|items ) -%}",
        );
        becomes("{% for x in '<a>' %}", "{% for x in _i( '<a>' ) %}");
    }

    #[test]
    fn membership_of_marked_literals_becomes_a_test() {
        becomes("{% if '</think>' in content %}", "{% if '</think>' is _in content %}");
        becomes("{{ '<a>' not in x and 'b' in x }}", "{{ '<a>' is not _in x and 'b' in x }}");
        becomes("{{ {'a': {'b': 1}} }}'<' in y", "{{ {'a': {'b': 1}} }}'<' in y");
    }

    #[test]
    fn a_formatted_literal_goes_through_a_filter() {
        becomes("{% set a = 'b_%02d' % ns.c + 1 %}", "{% set a = 'b_%02d' |format( ns.c) + 1 %}");
        becomes("{{ 5 % a }}{{ 'b' % c(1) }}{{ 'b'[0] % c }}", "{{ 5 % a }}{{ 'b' % c(1) }}{{ 'b'[0] % c }}");
    }

    #[test]
    fn what_is_added_to_safe_text_is_escaped() {
        becomes("{{- a|safe + b }}\n", "{%- autoescape true %}{{ _m( a|safe + b ) }}{% endautoescape +%}\n");
        becomes("{{ a|safe ~ b }}", "{{ a|safe ~ b }}");
    }

    #[test]
    fn raw_blocks_keep_their_first_newline() {
        becomes("{% raw %}\n{{ a }}\n{% endraw %}\n", "{% raw %}\n\n{{ a }}\n{% endraw %}\n");
    }

    #[test]
    fn places_are_those_of_the_template() {
        let source = "{% generation %}{{ x }}{% for a in b %}";
        let prepared = prepare(source, &[]);
        for what in ["{{ x", "b ", "}}{% for", "for a"] {
            assert_eq!(
                prepared.in_template(prepared.text.find(what).unwrap()),
                source.find(what).unwrap(),
                "{what}"
            );
        }
    }
}
