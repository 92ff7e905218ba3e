//! Patterns of a `tokenizer.json`, which the published `tokenizers` library compiles with Oniguruma, as patterns for the `fancy-regex`
//! crate that match the same.
//!
//! Reference: Oniguruma 6.9.10 with its Ruby syntax, case folding by `CaseFolding.txt` in full, Unicode 16, which is that of the
//! `regex-syntax` crate. Among what the two read differently: `^` and `$` are ends of lines, `\w` and POSIX brackets have other
//! members, an option without a group reaches over the alternatives behind it, `{,n}` is an interval and `{n}?` is optional, and
//! `(?i)ss` matches `ß`. What cannot be said in the other language is an error, never another match.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// A pattern has no equal here, or the reference refuses it.
#[derive(Debug, thiserror::Error)]
#[error("the pattern `{pattern}` cannot be used: {what} at byte {at}")]
pub(crate) struct OnigurumaError {
    pattern: String,
    what: String,
    at: usize,
}

/// `pattern`, as the `fancy-regex` crate must be given it: unchanged, where that reads it as Oniguruma does.
///
/// # Errors
///
/// Oniguruma refuses the pattern, or it has a construct without an equal: subexpression calls, names, conditions, absent groups, text
/// segments, `\G`, back-references that ignore case.
pub(crate) fn translate(pattern: &str) -> Result<Cow<'_, str>, OnigurumaError> {
    let mut parser = Parser {
        pattern,
        at: 0,
        depth: 0,
        groups: 0,
        open: 0,
        behind: 0,
        back: false,
        named: false,
        same: true,
    };
    let node = parser.alternatives(Options::default())?;
    if parser.at < pattern.len() {
        return Err(parser.error("an unmatched closing parenthesis"));
    }
    if parser.back && parser.named {
        return Err(parser.error("a back-reference beside named groups"));
    }
    if parser.same {
        return Ok(Cow::Borrowed(pattern));
    }
    let mut out = String::with_capacity(2 * pattern.len());
    node.write(parser.back, &mut out);
    Ok(Cow::Owned(out))
}

#[derive(Clone, Copy, Default)]
struct Options {
    ignore_case: bool,
    /// `.` matches a newline.
    dot_all: bool,
    extended: bool,
}

enum Node {
    Empty,
    /// Already in the other language, and one item of it.
    Item(String),
    /// Characters, each of which may be written in either case if the flag says so.
    Text(String, bool),
    List(Vec<Node>),
    Either(Vec<Node>),
    /// A group that counts.
    Capture(Box<Node>),
    /// What opens it, and its content.
    Group(&'static str, Box<Node>),
    Repeat {
        node: Box<Node>,
        least: u32,
        most: Option<u32>,
        lazy: bool,
    },
    /// Never the target of a repetition.
    Anchor(String),
}

struct Parser<'p> {
    pattern: &'p str,
    at: usize,
    /// Of groups and classes.
    depth: u32,
    /// Groups that count, and those of them that are closed.
    groups: u32,
    open: u32,
    /// Within so many look-behinds.
    behind: u32,
    /// Whether there is a back-reference, and a named group.
    back: bool,
    named: bool,
    /// Whether the other language has read everything as Oniguruma does so far.
    same: bool,
}

type Parsed<T> = Result<T, OnigurumaError>;

impl Parser<'_> {
    fn error(&self, what: impl Into<String>) -> OnigurumaError {
        OnigurumaError { pattern: self.pattern.to_owned(), what: what.into(), at: self.at }
    }

    fn rest(&self) -> &str {
        &self.pattern[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn descend(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MOST_DEPTH { Err(self.error("groups nested too deeply")) } else { Ok(()) }
    }

    /// Up to a closing parenthesis or the end.
    fn alternatives(&mut self, options: Options) -> Parsed<Node> {
        self.descend()?;
        let mut either = vec![self.branch(options)?];
        while self.eat("|") {
            either.push(self.branch(options)?);
        }
        self.depth -= 1;
        Ok(if either.len() == 1 { either.remove(0) } else { Node::Either(either) })
    }

    fn branch(&mut self, mut options: Options) -> Parsed<Node> {
        let mut list: Vec<Node> = Vec::new();
        loop {
            self.skip_comments(options)?;
            match self.peek() {
                None | Some('|' | ')') => break,
                Some('(') if self.rest().starts_with("(?") => {
                    let begin = self.at;
                    if let Some(changed) = self.isolated_options(options)? {
                        // It reaches to the end of the group, over the alternatives that follow.
                        options = changed;
                        let rest = self.alternatives(options)?;
                        if matches!(rest, Node::Either(_)) {
                            self.same = false;
                        }
                        list.push(Node::Group("(?:", Box::new(rest)));
                        break;
                    }
                    self.at = begin;
                    let node = self.group(options)?;
                    list.push(node);
                }
                Some('(') => {
                    let node = self.group(options)?;
                    list.push(node);
                }
                Some(_) => {
                    let node = self.item(options)?;
                    if let (Some(Node::Text(text, ignore_case)), Node::Text(next, same)) =
                        (list.last_mut(), &node)
                        && *ignore_case == *same
                    {
                        text.push_str(next);
                    } else {
                        list.push(node);
                    }
                }
            }
            self.skip_comments(options)?;
            let mut first = true;
            while let Some((least, most, kind)) = self.quantifier()? {
                if self.behind > 0 && most != Some(least) {
                    return Err(self.error("a repetition of no fixed number within looking behind"));
                }
                let mut node = list.pop().unwrap_or(Node::Empty);
                // Of a text only the last character is repeated.
                if let (true, Node::Text(text, ignore_case)) = (first, &mut node)
                    && let Some((last, _)) = text.char_indices().next_back().filter(|&(last, _)| last > 0)
                {
                    let repeated = text.split_off(last);
                    let ignore_case = *ignore_case;
                    list.push(node);
                    node = Node::Text(repeated, ignore_case);
                }
                if node.is_anchor() {
                    return Err(self.error("a repeated anchor"));
                }
                if least > 1 && most != Some(least) && node.may_be_empty() {
                    return Err(self.error("several repetitions of what may be empty"));
                }
                let lazy = kind == Kind::Lazy;
                node = Node::Repeat { node: Box::new(node), least, most, lazy };
                if kind == Kind::Possessive {
                    node = Node::Group("(?>", Box::new(node));
                }
                list.push(node);
                if !first {
                    // The other language reads a second sign as part of the first, or refuses it.
                    self.same = false;
                }
                first = false;
                self.skip_comments(options)?;
            }
            // What follows is not part of a text that ends in something repeated; nothing to do, a `Repeat` is no text.
        }
        Ok(match list.len() {
            0 => Node::Empty,
            1 => list.remove(0),
            _ => Node::List(list),
        })
    }

    /// `(?#…)`, and with `x` white space and `# …`.
    fn skip_comments(&mut self, options: Options) -> Parsed<()> {
        loop {
            if self.eat("(?#") {
                self.same = false;
                loop {
                    match self.next() {
                        None => return Err(self.error("a comment without an end")),
                        Some('\\') => drop(self.next()),
                        Some(')') => break,
                        Some(_) => {}
                    }
                }
            } else if options.extended && self.peek().is_some_and(|c| " \t\n\r\x0C".contains(c)) {
                self.next();
            } else if options.extended && self.eat("#") {
                while self.next().is_some_and(|c| c != '\n') {}
            } else {
                return Ok(());
            }
        }
    }

    /// `(?i)` and the like; `None` if something else is here.
    fn isolated_options(&mut self, options: Options) -> Parsed<Option<Options>> {
        self.at += 2;
        Ok(match self.options(options)? {
            Some((changed, ')')) => Some(changed),
            _ => None,
        })
    }

    /// The letters of options and what ends them.
    fn options(&mut self, mut options: Options) -> Parsed<Option<(Options, char)>> {
        if !self.peek().is_some_and(|c| "imx-".contains(c)) {
            return Ok(None);
        }
        let mut on = true;
        loop {
            match self.next() {
                Some('i') => options.ignore_case = on,
                Some('m') => {
                    options.dot_all = on;
                    self.same = false;
                }
                Some('x') => {
                    options.extended = on;
                    self.same = false;
                }
                Some('-') => on = false,
                Some(c @ (':' | ')')) => return Ok(Some((options, c))),
                _ => return Err(self.error("an option that is none of i, m and x")),
            }
        }
    }

    fn group(&mut self, options: Options) -> Parsed<Node> {
        self.at += 1;
        let mut inner = options;
        let open = if !self.eat("?") {
            if self.behind > 0 {
                return Err(self.error("a group that captures within looking behind"));
            }
            self.groups += 1;
            self.open += 1;
            let node = self.closed(options)?;
            self.open -= 1;
            return Ok(Node::Capture(Box::new(node)));
        } else if self.eat(":") {
            "(?:"
        } else if self.behind > 0
            && ["=", "!", "<=", "<!"].into_iter().any(|sign| self.rest().starts_with(sign))
        {
            return Err(self.error("looking about within looking behind"));
        } else if self.eat("=") {
            "(?="
        } else if self.eat("!") {
            "(?!"
        } else if self.eat(">") {
            "(?>"
        } else if self.eat("<=") {
            "(?<="
        } else if self.eat("<!") {
            "(?<!"
        } else if self.eat("<") || self.eat("'") {
            let quote = self.pattern.as_bytes()[self.at - 1];
            let end = if quote == b'<' { '>' } else { '\'' };
            let Some(len) = self.rest().find(end).filter(|&len| {
                len > 0
                    && self.rest()[..len].chars().all(|c| c.is_alphanumeric() || c == '_')
                    && !self.rest().starts_with(|c: char| c.is_ascii_digit())
            }) else {
                return Err(self.error("a group whose name is no word"));
            };
            self.at += len + 1;
            self.named = true;
            self.same = false;
            "(?:"
        } else if let Some((changed, ':')) = self.options(options)? {
            inner = changed;
            "(?:"
        } else {
            return Err(self.error("a group of a kind that has no equal here"));
        };
        let behind = open.starts_with("(?<");
        self.behind += u32::from(behind);
        let node = self.closed(inner)?;
        self.behind -= u32::from(behind);
        Ok(Node::Group(open, Box::new(node)))
    }

    fn closed(&mut self, options: Options) -> Parsed<Node> {
        let node = self.alternatives(options)?;
        if self.eat(")") { Ok(node) } else { Err(self.error("expected a closing parenthesis, found none")) }
    }

    /// Least and most repetitions.
    fn quantifier(&mut self) -> Parsed<Option<(u32, Option<u32>, Kind)>> {
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.interval(),
            _ => return Ok(None),
        };
        self.at += 1;
        let kind = match self.peek() {
            Some('?') => Kind::Lazy,
            Some('+') => Kind::Possessive,
            _ => Kind::Greedy,
        };
        self.at += usize::from(kind != Kind::Greedy);
        Ok(Some((least, most, kind)))
    }

    /// `{n}`, `{n,}`, `{n,m}`, `{,m}`; anything else in braces stands for itself.
    fn interval(&mut self) -> Parsed<Option<(u32, Option<u32>, Kind)>> {
        let begin = self.at;
        self.at += 1;
        let least = self.number()?;
        let comma = self.eat(",");
        let most = if comma { self.number()? } else { None };
        if !self.eat("}") || least.is_none() && most.is_none() {
            self.at = begin;
            return Ok(None);
        }
        let (least, most, kind) = match (least, most) {
            (Some(n), None) if !comma => {
                // `{n}?` is optional, `{n}+` repeated.
                if matches!(self.peek(), Some('?' | '+')) {
                    self.same = false;
                }
                (n, Some(n), Kind::Greedy)
            }
            (Some(n), Some(m)) if n > m => {
                self.same = false;
                (m, Some(n), Kind::Possessive)
            }
            (least, most) => {
                self.same &= least.is_some();
                let kind = if self.eat("?") { Kind::Lazy } else { Kind::Greedy };
                if kind == Kind::Greedy && self.peek() == Some('+') {
                    self.same = false;
                }
                (least.unwrap_or(0), most, kind)
            }
        };
        Ok(Some((least, most, kind)))
    }

    fn number(&mut self) -> Parsed<Option<u32>> {
        let len = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        if len == 0 {
            return Ok(None);
        }
        match self.rest()[..len].parse() {
            Ok(number) if number <= MOST_REPEATS => {
                self.at += len;
                Ok(Some(number))
            }
            _ => Err(self.error("a number of repetitions beyond 100000")),
        }
    }

    /// One character, class or anchor.
    fn item(&mut self, options: Options) -> Parsed<Node> {
        let begin = self.at;
        let Some(c) = self.next() else { return Ok(Node::Empty) };
        Ok(match c {
            '\\' => return self.escape(options),
            '[' => {
                let class = self.class()?;
                return self.class_item(class, begin, options);
            }
            '.' => Node::Item(if options.dot_all { "(?s:.)" } else { "." }.to_owned()),
            '^' => self.anchor(r"(?:\A|(?<=\n)(?!\z))"),
            '$' => self.anchor(r"(?=\n|\z)"),
            '*' | '+' | '?' => return Err(self.error("nothing that could be repeated")),
            '{' => {
                self.at = begin;
                if self.interval()?.is_some() {
                    return Err(self.error("nothing that could be repeated"));
                }
                self.at = begin + 1;
                self.same = false;
                self.text('{', options)
            }
            // Alone, the other language may refuse them.
            ']' | '}' => {
                self.same = false;
                self.text(c, options)
            }
            _ => self.text(c, options),
        })
    }

    fn anchor(&mut self, written: &str) -> Node {
        self.same = false;
        Node::Anchor(written.to_owned())
    }

    fn text(&mut self, c: char, options: Options) -> Node {
        if options.ignore_case && !c.is_ascii() {
            self.same = false;
        }
        if options.ignore_case && self.behind > 0 {
            // One by one: what is looked for behind keeps its length.
            self.same = false;
            return Node::Item(spelt(&simple_folds(c)));
        }
        let text = Node::Text(c.to_string(), options.ignore_case);
        // Two characters may fold together with one, but none of these begins or follows another of them.
        if options.ignore_case && !"'vedmrlVEDMRL".contains(c) {
            let before = self.pattern[..self.at - c.len_utf8()].chars().next_back();
            let alone = !c.is_alphabetic() || before == Some('\'');
            self.same &= alone;
        }
        text
    }

    fn escape(&mut self, options: Options) -> Parsed<Node> {
        let begin = self.at - 1;
        let Some(c) = self.next() else { return Err(self.error("a backslash at the end")) };
        Ok(match c {
            'w' | 'W' => {
                self.same = false;
                Node::Item(spelt(&word_alone(c == 'W')))
            }
            'd' | 'D' | 's' | 'S' => Node::Item(format!("\\{c}")),
            'h' | 'H' => {
                self.same = false;
                Node::Item(if c == 'h' { "[0-9A-Fa-f]" } else { "[^0-9A-Fa-f]" }.to_owned())
            }
            'p' | 'P' if self.peek() == Some('{') => {
                let (class, word) = self.property(c == 'P')?;
                if word {
                    self.same = false;
                    Node::Item(spelt(&word_alone(class.0)))
                } else {
                    // An option does not reach into it.
                    return Ok(self.item_of(&class.1, begin, options));
                }
            }
            'b' | 'B' => {
                let word = spelt(&word_alone(false));
                self.anchor(&if c == 'b' {
                    format!("(?:(?<={word})(?!{word})|(?<!{word})(?={word}))")
                } else {
                    format!("(?:(?<={word})(?={word})|(?<!{word})(?!{word}))")
                })
            }
            'A' => Node::Anchor(r"\A".to_owned()),
            'z' | 'Z' if self.behind > 0 => {
                return Err(self.error("the end of the text within looking behind"));
            }
            'z' => Node::Anchor(r"\z".to_owned()),
            'Z' => self.anchor(r"(?=\n?\z)"),
            'R' if self.behind > 0 => {
                return Err(self.error("a line break of either length within looking behind"));
            }
            'R' => {
                self.same = false;
                Node::Item("(?>\\r\\n|[\\n\\x0B\\x0C\\r\\x{85}\\x{2028}\\x{2029}])".to_owned())
            }
            'G' | 'K' | 'X' | 'y' | 'Y' => {
                return Err(self.error(format!("\\{c}, which has no equal here,")));
            }
            'k' | 'g' if matches!(self.peek(), Some('<' | '\'')) => {
                return Err(self.error("a reference by name or a call, which has no equal here,"));
            }
            '1'..='9' => {
                self.at -= 1;
                let len = self.rest().bytes().take_while(u8::is_ascii_digit).count();
                let number: u32 = self.rest()[..len].parse().unwrap_or(u32::MAX);
                if number <= 9 || number <= self.groups {
                    if options.ignore_case || number > self.groups || self.open > 0 || self.behind > 0 {
                        return Err(self.error("a back-reference of a kind that has no equal here"));
                    }
                    self.at += len;
                    self.back = true;
                    self.same = false;
                    return Ok(Node::Item(format!("(?:\\{number})")));
                }
                if c >= '8' {
                    self.at += 1;
                    self.same = false;
                    return Ok(self.text(c, options));
                }
                let c = self.octal(3)?;
                self.same = false;
                self.text(c, options)
            }
            '0' => {
                let c = self.octal(2)?;
                self.same = false;
                self.text(c, options)
            }
            _ => {
                let (value, plain) = self.value(c)?;
                // A character that an escape names is no part of the text around it.
                if plain {
                    self.text(value, options)
                } else {
                    self.same &= !options.ignore_case;
                    let node = Node::Text(value.to_string(), options.ignore_case);
                    if options.ignore_case { Node::Group("(?:", Box::new(node)) } else { node }
                }
            }
        })
    }

    fn octal(&mut self, most: usize) -> Parsed<char> {
        let len = self.rest().bytes().take(most).take_while(|byte| (b'0'..b'8').contains(byte)).count();
        let value = u8::from_str_radix(&self.rest()[..len], 8)
            .or_else(|error| if len == 0 { Ok(0) } else { Err(error) });
        match value {
            Ok(byte) if byte.is_ascii() => {
                self.at += len;
                Ok(char::from(byte))
            }
            _ => Err(self.error("a single byte that is no character")),
        }
    }

    /// What a backslash and `c`, which is passed already, stand for; and whether that is `c`.
    fn value(&mut self, c: char) -> Parsed<(char, bool)> {
        let digits = |parser: &Self, most: usize| {
            parser.rest().bytes().take(most).take_while(u8::is_ascii_hexdigit).count()
        };
        let named = match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'f' => '\x0C',
            'v' => '\x0B',
            'a' => '\x07',
            'e' => '\x1B',
            'x' if self.peek() == Some('{') => {
                self.at += 1;
                let len = digits(self, 8);
                let value = u32::from_str_radix(&self.rest()[..len], 16).ok().and_then(char::from_u32);
                self.at += len;
                match value {
                    Some(value) if self.eat("}") => value,
                    _ => return Err(self.error("a number that names no single character")),
                }
            }
            'x' => {
                let len = digits(self, 2);
                let value = u8::from_str_radix(&self.rest()[..len], 16).unwrap_or(0);
                self.at += len;
                self.same &= len == 2;
                if !value.is_ascii() {
                    return Err(self.error("a single byte that is no character"));
                }
                char::from(value)
            }
            'u' => {
                let len = digits(self, 4);
                let value = u32::from_str_radix(&self.rest()[..len], 16).ok().and_then(char::from_u32);
                self.at += len;
                match value {
                    Some(value) if len == 4 => value,
                    _ => return Err(self.error("expected four hexadecimal digits of a character")),
                }
            }
            'o' if self.peek() == Some('{') => return Err(self.error("an octal number in braces")),
            'c' | 'C' | 'M' => return Err(self.error("a control character by its name")),
            _ => {
                // The other language knows more escapes than Oniguruma, and refuses those of letters that it does not know.
                self.same &= c.is_ascii_punctuation() && c != '<' && c != '>' && c != '`' && c != '\'';
                return Ok((c, true));
            }
        };
        Ok((named, false))
    }

    /// `{…}` behind `\p`: whether it is negated, and the class; the flag tells that it is the class of words.
    fn property(&mut self, negated: bool) -> Parsed<((bool, ClassUnicode), bool)> {
        self.at += 1;
        let caret = self.eat("^");
        let negated = negated ^ caret;
        let Some(len) = self.rest().find('}') else { return Err(self.error("a property without a name")) };
        let name = &self.rest()[..len];
        let folded: String =
            name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).map(|c| c.to_ascii_lowercase()).collect();
        let mut class = match folded.as_str() {
            "any" => class_of(r"[\x{0}-\x{10FFFF}]"),
            "punct" => class_of(r"\p{P}"),
            _ => posix(&folded).or_else(|| {
                let plain = !folded.is_empty() && folded.bytes().all(|byte| byte.is_ascii_alphanumeric());
                // Blocks and ages have no equal there.
                plain.then(|| class_of(&format!("\\p{{{folded}}}"))).flatten()
            }),
        };
        let Some(class) = &mut class else {
            return Err(self.error(format!("the property {name:?}, which is not known")));
        };
        self.at += len + 1;
        if negated {
            class.negate();
        }
        Ok(((negated, class.clone()), folded == "word"))
    }

    /// Behind its opening bracket.
    fn class(&mut self) -> Parsed<(ClassUnicode, bool)> {
        self.descend()?;
        let negated = self.eat("^");
        let mut class = ClassUnicode::empty();
        let mut and: Option<ClassUnicode> = None;
        // A character that may begin a range, whether a class stands there, and whether a range has begun.
        let mut state = State::Start;
        let mut first = true;
        loop {
            let Some(c) = self.next() else { return Err(self.error("a class without an end")) };
            let value = match c {
                ']' if first && self.has_closing_bracket() => c,
                ']' if first => return Err(self.error("an empty class")),
                ']' => break,
                '[' if self.is_posix() => {
                    self.at += 1;
                    let negated = self.eat("^");
                    let len = self.rest().find(':').unwrap_or(0);
                    let Some(mut found) = posix(&self.rest()[..len]) else {
                        return Err(self.error("a POSIX bracket of an unknown name"));
                    };
                    self.at += len + 2;
                    if negated {
                        found.negate();
                    }
                    self.class_in_class(&mut class, &found, &mut state)?;
                    first = false;
                    continue;
                }
                '[' => {
                    if let State::Range(_) = state {
                        return Err(self.error("a range that ends in a class"));
                    }
                    let (mut inner, negated) = self.class()?;
                    if negated {
                        inner.negate();
                    }
                    class.union(&inner);
                    state = State::Complete;
                    first = false;
                    continue;
                }
                '&' if self.eat("&") => {
                    if let State::Range(_) = state {
                        return Err(self.error("a range without an end"));
                    }
                    match &mut and {
                        Some(and) => and.intersect(&class),
                        None => and = Some(class),
                    }
                    class = ClassUnicode::empty();
                    state = State::Start;
                    first = false;
                    continue;
                }
                '-' => match state {
                    State::Range(_) | State::Start => c,
                    _ if self.rest().starts_with(']') || self.rest().starts_with("&&") => {
                        state = State::Complete;
                        c
                    }
                    State::Value(from) => {
                        state = State::Range(from);
                        first = false;
                        continue;
                    }
                    State::Class => return Err(self.error("a range that begins with a class")),
                    State::Complete => c,
                },
                '\\' => {
                    let Some(c) = self.next() else { return Err(self.error("a backslash at the end")) };
                    let found = match c {
                        'w' | 'W' => posix("word").map(|class| (class, c == 'W')),
                        'd' | 'D' => posix("digit").map(|class| (class, c == 'D')),
                        's' | 'S' => posix("space").map(|class| (class, c == 'S')),
                        'h' | 'H' => posix("xdigit").map(|class| (class, c == 'H')),
                        'p' | 'P' if self.peek() == Some('{') => Some((self.property(c == 'P')?.0.1, false)),
                        _ => None,
                    };
                    if let Some((mut found, negated)) = found {
                        if negated {
                            found.negate();
                        }
                        self.class_in_class(&mut class, &found, &mut state)?;
                        first = false;
                        continue;
                    }
                    match c {
                        'b' => '\x08',
                        '0'..='7' => {
                            self.at -= 1;
                            self.octal(3)?
                        }
                        _ => self.value(c)?.0,
                    }
                }
                c => c,
            };
            first = false;
            if let State::Range(from) = state {
                if from > value {
                    return Err(self.error("a range that ends before it begins"));
                }
                class.push(ClassUnicodeRange::new(from, value));
                state = State::Complete;
            } else {
                class.push(ClassUnicodeRange::new(value, value));
                state = State::Value(value);
            }
        }
        if let Some(mut and) = and {
            and.intersect(&class);
            class = and;
        }
        self.depth -= 1;
        Ok((class, negated))
    }

    fn class_in_class(
        &self,
        class: &mut ClassUnicode,
        found: &ClassUnicode,
        state: &mut State,
    ) -> Parsed<()> {
        if let State::Range(_) = state {
            return Err(self.error("a range that ends in a class"));
        }
        class.union(found);
        *state = State::Class;
        Ok(())
    }

    /// Whether a bracket that is not escaped follows.
    fn has_closing_bracket(&self) -> bool {
        let mut escaped = false;
        self.rest().chars().any(|c| {
            let found = c == ']' && !escaped;
            escaped = c == '\\' && !escaped;
            found
        })
    }

    /// Whether the bracket before this place begins one of POSIX.
    fn is_posix(&self) -> bool {
        let Some(rest) = self.rest().strip_prefix(':') else { return false };
        let rest = rest.strip_prefix('^').unwrap_or(rest);
        let len = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        len > 0 && rest[len..].starts_with(":]")
    }

    fn class_item(
        &mut self,
        (mut class, negated): (ClassUnicode, bool),
        begin: usize,
        options: Options,
    ) -> Parsed<Node> {
        let mut sequences = String::new();
        if options.ignore_case {
            if class.try_case_fold_simple().is_err() {
                return Err(self.error("a class that ignores case"));
            }
            let is_in = |c: char| class.iter().any(|range| range.start() <= c && c <= range.end());
            // Oniguruma puts what folds to several characters behind the class, those of two before those of three.
            for len in [2, 3] {
                for (c, full) in full_folds() {
                    if !negated && full.len() == len && is_in(*c) {
                        sequences.push('|');
                        sequences.extend(full.iter().map(|&c| spelt(&simple_folds(c))));
                    }
                }
            }
        }
        if negated {
            class.negate();
        }
        if sequences.is_empty() {
            return Ok(self.item_of(&class, begin, options));
        }
        self.same = false;
        Ok(Node::Item(format!("(?:{}{sequences})", spelt(&class))))
    }

    /// A class, as the pattern has it if that means the same there.
    fn item_of(&mut self, class: &ClassUnicode, begin: usize, options: Options) -> Node {
        let written = &self.pattern[begin..self.at];
        // What `fancy-regex` reads otherwise than the `regex` crate.
        let plain = ![r"\h", r"\H", r"\e"].into_iter().any(|escape| written.contains(escape));
        let read = if options.ignore_case { class_of(&format!("(?i:{written})")) } else { class_of(written) };
        if plain && read.as_ref() == Some(class) {
            return Node::Item(if options.ignore_case { spelt(class) } else { written.to_owned() });
        }
        self.same = false;
        Node::Item(spelt(class))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Greedy,
    Lazy,
    Possessive,
}

/// Where a class is being read.
#[derive(Clone, Copy)]
enum State {
    Start,
    /// Behind a character.
    Value(char),
    /// Behind a class.
    Class,
    /// Behind a character and `-`.
    Range(char),
    /// Behind a range.
    Complete,
}

impl Node {
    fn is_anchor(&self) -> bool {
        match self {
            Self::Anchor(_) => true,
            Self::Group(open, node) => match *open {
                "(?:" => node.is_anchor(),
                "(?>" => false,
                _ => true,
            },
            Self::Either(either) => either.iter().any(Self::is_anchor),
            _ => false,
        }
    }

    /// Whether it may match no character at all.
    fn may_be_empty(&self) -> bool {
        match self {
            Self::Empty | Self::Anchor(_) => true,
            // A back-reference; all others take a character.
            Self::Item(item) => {
                item.strip_prefix("(?:\\").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            }
            Self::Text(text, _) => text.is_empty(),
            Self::List(list) => list.iter().all(Self::may_be_empty),
            Self::Either(either) => either.iter().any(Self::may_be_empty),
            Self::Capture(node) => node.may_be_empty(),
            Self::Group(open, node) => !matches!(*open, "(?:" | "(?>") || node.may_be_empty(),
            Self::Repeat { node, least, .. } => *least == 0 || node.may_be_empty(),
        }
    }

    fn write(&self, captures: bool, out: &mut String) {
        match self {
            Self::Empty => out.push_str("(?:)"),
            Self::Item(item) | Self::Anchor(item) => out.push_str(item),
            Self::Text(text, false) => out.push_str(&regex_syntax::escape(text)),
            Self::Text(text, true) => write_folded(text, out),
            Self::List(list) => list.iter().for_each(|node| node.write(captures, out)),
            Self::Either(either) => {
                out.push_str("(?:");
                for (i, node) in either.iter().enumerate() {
                    out.push_str(if i > 0 { "|" } else { "" });
                    node.write(captures, out);
                }
                out.push(')');
            }
            Self::Capture(node) => {
                out.push_str(if captures { "(" } else { "(?:" });
                node.write(captures, out);
                out.push(')');
            }
            Self::Group(open, node) => {
                out.push_str(open);
                node.write(captures, out);
                out.push(')');
            }
            Self::Repeat { node, least, most, lazy } => {
                out.push_str("(?:");
                node.write(captures, out);
                out.push(')');
                match (least, most) {
                    (0, None) => out.push('*'),
                    (1, None) => out.push('+'),
                    (0, Some(1)) => out.push('?'),
                    (least, None) => out.push_str(&format!("{{{least},}}")),
                    (least, Some(most)) => out.push_str(&format!("{{{least},{most}}}")),
                }
                out.push_str(if *lazy { "?" } else { "" });
            }
        }
    }
}

/// Characters in either case: from the left, three or two together where one character stands for them, else one.
fn write_folded(text: &str, out: &mut String) {
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let together = [3, 2].into_iter().find_map(|len| {
            let part = chars.get(at..at + len)?;
            let folded: Vec<char> = part.iter().map(|&c| simple_fold(c)).collect();
            let single: Vec<char> =
                full_folds().iter().filter(|(_, full)| *full == folded).map(|&(c, _)| c).collect();
            (!single.is_empty()).then_some((len, folded, single))
        });
        let (len, several, single) = together.unwrap_or_else(|| {
            let c = chars[at];
            match full_folds().iter().find(|&&(of, _)| of == c) {
                Some((_, full)) => {
                    let same =
                        full_folds().iter().filter(|(_, other)| other == full).map(|&(c, _)| c).collect();
                    (1, full.clone(), same)
                }
                None => (1, vec![c], Vec::new()),
            }
        });
        if single.is_empty() {
            out.push_str(&spelt(&simple_folds(several[0])));
        } else {
            out.push_str("(?:");
            out.extend(several.iter().map(|&c| spelt(&simple_folds(c))));
            out.push('|');
            let ranges = single.into_iter().map(|c| ClassUnicodeRange::new(c, c));
            out.push_str(&spelt(&ClassUnicode::new(ranges)));
            out.push(')');
        }
        at += len;
    }
}

/// The characters that fold to several, with those.
fn full_folds() -> &'static [(char, Vec<char>)] {
    static FOLDS: OnceLock<Vec<(char, Vec<char>)>> = OnceLock::new();
    FOLDS.get_or_init(|| {
        // The last is U+FB17. What is of several characters in upper case folds to what these are in lower case; by way of its lower
        // case, since of U+1E9E only that has several.
        ('\u{80}'..='\u{FB17}')
            .filter_map(|c| {
                let upper = c.to_lowercase().flat_map(char::to_uppercase);
                let full: Vec<char> = upper.flat_map(char::to_lowercase).collect();
                (full.len() > 1).then_some((c, full))
            })
            .collect()
    })
}

/// The one character that `c` folds to, itself if it folds to several.
fn simple_fold(c: char) -> char {
    if full_folds().iter().any(|&(of, _)| of == c) {
        return c;
    }
    let mut upper = c.to_uppercase();
    let (Some(upper), None) = (upper.next(), upper.next()) else { return c };
    let mut lower = upper.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(lower), None) => lower,
        _ => c,
    }
}

/// All characters that fold to the same one.
fn simple_folds(c: char) -> ClassUnicode {
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
    // The tables are compiled in; without them there would be nothing to fold.
    drop(class.try_case_fold_simple());
    class
}

/// `\w` on its own, for which Oniguruma has another table below U+0100 than within a class.
fn word_alone(negated: bool) -> ClassUnicode {
    let mut class = class_of("[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\u{B2}\u{B3}\u{B9}\u{BC}-\u{BE}]")
        .unwrap_or_else(ClassUnicode::empty);
    if negated {
        class.negate();
    }
    class
}

/// The members of a POSIX bracket.
fn posix(name: &str) -> Option<ClassUnicode> {
    class_of(match name {
        "alnum" => r"[\p{Alphabetic}\p{Nd}]",
        "alpha" => r"\p{Alphabetic}",
        "ascii" => r"[\x00-\x7F]",
        "blank" => r"[\t\p{Zs}]",
        "cntrl" => r"\p{Cc}",
        "digit" => r"\p{Nd}",
        "graph" => r"[^\s\p{Cc}\p{Cn}]",
        "lower" => r"\p{Lowercase}",
        "print" => r"[[^\s\p{Cc}\p{Cn}]\p{Zs}]",
        "punct" => r"[\p{P}\p{S}]",
        "space" => r"\s",
        "upper" => r"\p{Uppercase}",
        "xdigit" => "[0-9A-Fa-f]",
        "word" => r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]",
        _ => return None,
    })
}

/// The class that the `regex` crate reads in `written`, `None` if that is none.
fn class_of(written: &str) -> Option<ClassUnicode> {
    let hir = regex_syntax::parse(written).ok()?;
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        HirKind::Class(Class::Bytes(class)) => class.to_unicode_class(),
        // A class of one character.
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Some(ClassUnicode::new([ClassUnicodeRange::new(c, c)])),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A class by its ranges.
fn spelt(class: &ClassUnicode) -> String {
    if class.ranges().is_empty() {
        return r"[^\x{0}-\x{10FFFF}]".to_owned();
    }
    let mut out = String::from("[");
    for range in class.iter() {
        let (start, end) = (u32::from(range.start()), u32::from(range.end()));
        out.push_str(&format!("\\x{{{start:X}}}"));
        if end > start {
            out.push_str(&format!("-\\x{{{end:X}}}"));
        }
    }
    out.push(']');
    out
}

const MOST_DEPTH: u32 = 100;
const MOST_REPEATS: u32 = 100_000;
