//! What the cross-check against transformers cannot see: ids, marks, limits and errors.

use serde_json::json;

use super::*;

/// The byte tokenizer has no special tokens and no template.
fn bytes() -> Tokenizer {
    Tokenizer::bytes().unwrap()
}

#[track_caller]
fn renders(source: &str, expected: &str) {
    let tokenizer = bytes();
    let chat = tokenizer.chat(&json!([{"role": "user", "content": "a < b"}])).unwrap();
    assert_eq!(chat.template_source(source).render().unwrap(), expected);
}

fn refusal(source: &str) -> ChatError {
    let tokenizer = bytes();
    let chat = tokenizer.chat(&json!([{"role": "user", "content": "a"}])).unwrap();
    chat.template_source(source).render().unwrap_err()
}

#[test]
fn numbers_and_values_are_spelled_as_in_python() {
    renders("{{ [0.1, 100.0, true, none, 'it\\'s'] }}", r#"[0.1, 100.0, True, None, "it's"]"#);
    renders("{{ {'a': 'é\\n'}|tojson(ensure_ascii=true) }}", r#"{"a": "\u00e9\n"}"#);
}

#[test]
fn errors_say_what_failed_and_where() {
    let error = refusal("a\n  {{ raise_exception('no system role') }}");
    assert_eq!(
        error.to_string(),
        "the chat template refuses the conversation (line 2, column 6): no system role"
    );
    let error = refusal("{% for m in messages %}\n{{ m.tool.name }}{% endfor %}");
    assert!(matches!(error, ChatError::Missing { line: 2, column: 5, .. }), "{error}");
    // The place is that of the template, not of what the engine was given.
    let error = refusal("{% generation %}{% for m in messages %}{{ m|nope }}{% endfor %}{% endgeneration %}");
    assert!(matches!(error, ChatError::Broken { line: 1, column: 42.., .. }), "{error:?}");
    assert!(matches!(refusal("{% if %}"), ChatError::Broken { line: 1, .. }));
    assert!(matches!(refusal("{% for t in tools %}{% endfor %}"), ChatError::Missing { .. }));
}

#[test]
fn input_that_is_no_conversation_is_refused_by_place() {
    #[track_caller]
    fn refuses(messages: &serde_json::Value, expected: &str) {
        assert_eq!(bytes().chat(messages).unwrap_err().to_string(), expected);
    }
    refuses(&json!([]), "expected at least one message at `messages`, found none");
    refuses(&json!({}), "expected a list of messages at `messages`, found map");
    refuses(&json!([1]), "expected a message: an object with a `role` at `messages[0]`, found number");
    refuses(
        &json!([{"role": "user"}, {"content": "a"}]),
        "expected the role, a string at `messages[1].role`, found undefined",
    );
    let tokenizer = bytes();
    let chat = tokenizer.chat(&json!([{"role": "user"}])).unwrap().template_source("");
    let error = chat.clone().tools(&["a"]).render().unwrap_err();
    assert_eq!(error.to_string(), "expected a list of objects, each a tool at `tools[0]`, found string");
    let error = chat.clone().documents(&"a").render().unwrap_err();
    assert_eq!(error.to_string(), "expected a list of objects, each a document at `documents`, found string");
    assert!(matches!(
        tokenizer.chat(&json!([{"role": "user"}])).unwrap().render(),
        Err(ChatError::NoTemplate)
    ));
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    assert!(matches!(chat.variable("deep", &deep).render(), Err(ChatError::Input { .. })));
}

#[test]
fn a_template_without_an_end_is_stopped() {
    for source in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(a='aaaaaaaaaaaaaaaa') %}{% for a in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
        "{% for a in range(100000) %}{{ 'a'.ljust(10000) }}{% endfor %}",
        "{{ 'a' * 100000000000 }}",
        "{{ 'a'.ljust(100000000000) }}",
        "{{ ('a' * 1000000).replace('', 'b' * 1000000)|length }}",
    ] {
        let tokenizer = bytes();
        let chat = tokenizer.chat(&json!([{"role": "user"}])).unwrap().template_source(source);
        let result = chat.render().map(|text| text.len());
        assert!(matches!(result, Err(ChatError::Limit { .. })), "{source}: {result:?}");
    }
    let error = refusal("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}");
    assert!(matches!(error, ChatError::Broken { .. } | ChatError::Limit { .. }), "{error:?}");
}

#[test]
fn keys_keep_the_order_of_raw_json() {
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str(r#"{"z": 1, "a": 1e-6}"#).unwrap();
    let tokenizer = bytes();
    let chat = tokenizer.chat(&json!([{"role": "user"}])).unwrap();
    let chat = chat.variable("x", raw).template_source("{{ x|tojson }} {{ x }}");
    assert_eq!(chat.render().unwrap(), r#"{"z": 1, "a": 1e-06} {'z': 1, 'a': 1e-06}"#);
}

#[test]
fn a_message_is_continued_where_it_ends() {
    let tokenizer = bytes();
    let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "It is  "}]);
    let chat = tokenizer.chat(&messages).unwrap().continue_final_message("content");
    let source = |content: &str| format!("{{% for m in messages %}}[{{{{ {content} }}}}]{{% endfor %}}");
    assert_eq!(chat.clone().template_source(source("m.content")).render().unwrap(), "[a][It is  ");
    assert_eq!(chat.clone().template_source(source("m.content|trim")).render().unwrap(), "[a][It is");
    let error = chat.clone().template_source(source("m.content[:2]")).render().unwrap_err();
    assert!(matches!(error, ChatError::Continue { .. }), "{error}");
    let error = chat.generation_prompt(true).template_source(source("m.content")).render().unwrap_err();
    assert!(matches!(error, ChatError::Continue { .. }), "{error}");
}

#[test]
fn marks_survive_what_templates_do() {
    let marks = Marks::new(&['<'], vec!['\u{F0000}']).unwrap();
    let mark = marks.mark('<').unwrap();
    let text = format!("a{mark}b>é{mark}b>");
    assert_eq!(marks.matches(&text, "<b>"), [1..1 + 4 + 2, 9..9 + 4 + 2]);
    let Unmarked { text, literal, .. } = marks.take_out(&text);
    assert_eq!((&*text, literal), ("a<b>é<b>", vec![1..2, 6..7]));
}

#[test]
fn templates_that_look_for_special_tokens_in_messages_see_them() {
    let marks = Arc::new(Marks::new(&['<'], Vec::new()).unwrap());
    let mark = marks.mark('<').unwrap();
    let engine = environment::environment(&marks, Clock::default(), 100_000);
    let render = |source: &str| {
        let context = Value::from_pairs([("x", Value::from(format!(" {mark}think>a{mark}/think> b")))]);
        let prepared = source::prepare(source, &marks.bases());
        marks.take_out(&engine.render_str(&prepared.text, context).unwrap()).text
    };
    assert_eq!(render("{{ '</think>' in x }}{{ '</other>' not in x }}"), "TrueTrue");
    assert_eq!(
        render("{{ x.split('</think>')[-1] }}|{{ x.split('</think>')[0].split('<think>')[-1] }}"),
        " b|a"
    );
    assert_eq!(render("{{ x.strip().startswith('<think>') }}{{ x.find('</') }}{{ x.count('<') }}"), "True92");
    assert_eq!(
        render("{{ x|replace('<think>', '[') }}{{ x.replace('</think>', ']') }}"),
        " [a</think> b <think>a] b"
    );
    assert_eq!(
        render("{{ x|tojson }}{{ x|length }}{{ x|upper }}"),
        "\" <think>a</think> b\"19 <THINK>A</THINK> B"
    );
    assert_eq!(render("{{ x|e }}{{ x.partition('</think>')[2] }}"), " &lt;think&gt;a&lt;/think&gt; b b");
}
