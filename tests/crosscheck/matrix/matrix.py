"""Configurations of a `tokenizer.json` made of every component, by the published library and by us: ids, texts, offsets, refusals.

    matrix.py BINARY [--every N] [--seed N]

`--every N` takes every Nth configuration only. Prints a table of what differs, then each kind of difference once; the exit status is
1 if ids or texts differ or we load what the library refuses.
"""

import argparse
import collections
import copy
import json
import random
import sys

from tokenizers import Tokenizer

from patterns import Ours

STRING, REGEX = lambda text: {"String": text}, lambda text: {"Regex": text}
BEHAVIORS = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]

NORMALIZERS = [
    None, dict(type="NFC"), dict(type="NFD"), dict(type="NFKC"), dict(type="NFKD"), dict(type="Lowercase"), dict(type="StripAccents"), dict(type="Nmt"),
    dict(type="ByteLevel"), dict(type="Strip", strip_left=True, strip_right=True), dict(type="Strip", strip_left=False, strip_right=True),
    dict(type="Prepend", prepend="▁"), dict(type="Replace", pattern=STRING(" "), content="▁"), dict(type="Replace", pattern=REGEX(" {2,}"), content="▁"),
    dict(type="Replace", pattern=REGEX(" +$"), content=""), dict(type="Replace", pattern=REGEX(r"\s+"), content=" "), dict(type="Replace", pattern=REGEX("(?i)ss"), content="S"),
    *[dict(type="BertNormalizer", clean_text=clean, handle_chinese_chars=chinese, strip_accents=accents, lowercase=lower)
      for clean, chinese, accents, lower in [(True, True, None, True), (True, True, False, False), (False, False, True, True)]],
    dict(type="Sequence", normalizers=[dict(type="NFD"), dict(type="Lowercase"), dict(type="StripAccents")]),
    dict(type="Sequence", normalizers=[dict(type="Prepend", prepend="▁"), dict(type="Replace", pattern=STRING(" "), content="▁")]),
    dict(type="Sequence", normalizers=[]),
]
BYTE_LEVEL = [dict(type="ByteLevel", add_prefix_space=space, trim_offsets=trim, use_regex=regex)
              for space, trim, regex in [(False, True, True), (True, True, True), (False, False, False), (True, False, False)]]
METASPACE = [dict(type="Metaspace", replacement="▁", prepend_scheme=scheme, split=split)
             for scheme in ["always", "first", "never"] for split in [True, False]]
SPLITS = [dict(type="Split", pattern=pattern, behavior=behavior, invert=invert) for pattern in [
    STRING(" "), REGEX(r"\s+$"), REGEX(r"\d{1,3}(?=(?:\d{3})*$)"), REGEX(r"\w+|[^\w\s]+"), REGEX("(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s+")]
    for behavior in BEHAVIORS for invert in [False, True]]
PRE_TOKENIZERS = [
    None, *BYTE_LEVEL, *METASPACE, *SPLITS, dict(type="BertPreTokenizer"), dict(type="Whitespace"), dict(type="WhitespaceSplit"),
    *[dict(type="Punctuation", behavior=behavior) for behavior in BEHAVIORS],
    *[dict(type="Digits", individual_digits=each) for each in [True, False]], dict(type="CharDelimiterSplit", delimiter="a"), dict(type="UnicodeScripts"),
    dict(type="FixedLength", length=3),
]
PRE_TOKENIZERS += [dict(type="Sequence", pretokenizers=[first, second]) for first in [
    dict(type="WhitespaceSplit"), dict(type="Whitespace"), dict(type="Digits", individual_digits=True), dict(type="Punctuation", behavior="Contiguous"), SPLITS[0], SPLITS[20]]
    for second in [BYTE_LEVEL[0], BYTE_LEVEL[1], BYTE_LEVEL[2], METASPACE[0], METASPACE[2], dict(type="BertPreTokenizer")]]
DECODERS = [
    None, dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True), dict(type="WordPiece", prefix="##", cleanup=True),
    dict(type="WordPiece", prefix="##", cleanup=False), *METASPACE[::2], dict(type="BPEDecoder", suffix="</w>"), dict(type="CTC", pad_token="<pad>", word_delimiter_token="|", cleanup=True),
    dict(type="ByteFallback"), dict(type="Fuse"), dict(type="Strip", content=" ", start=1, stop=0), dict(type="Strip", content="e", start=0, stop=1),
    dict(type="Replace", pattern=STRING("▁"), content=" "), dict(type="Replace", pattern=REGEX("e+$"), content="E"),
    dict(type="Sequence", decoders=[dict(type="Replace", pattern=STRING("▁"), content=" "), dict(type="ByteFallback"), dict(type="Fuse"), dict(type="Strip", content=" ", start=1, stop=0)]),
    dict(type="Sequence", decoders=[dict(type="ByteFallback"), dict(type="Metaspace", replacement="▁", prepend_scheme="always", split=True)]),
    dict(type="Sequence", decoders=[dict(type="Fuse"), dict(type="ByteFallback")]),
]


def template(single):
    special = {name: dict(id=name, ids=[number], tokens=[name]) for name, number in [("<s>", 0), ("</s>", 1)]}
    parts = [{"SpecialToken": dict(id=part, type_id=0)} if part in special else {"Sequence": dict(id=part, type_id=0)} for part in single]
    return dict(type="TemplateProcessing", single=parts, pair=parts + [{"Sequence": dict(id="B", type_id=1)}], special_tokens=special)


PROCESSORS = [
    None, dict(type="BertProcessing", sep=["</s>", 1], cls=["<s>", 0]), dict(type="RobertaProcessing", sep=["</s>", 1], cls=["<s>", 0], trim_offsets=True, add_prefix_space=True),
    dict(type="RobertaProcessing", sep=["</s>", 1], cls=["<s>", 0], trim_offsets=False, add_prefix_space=False), dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True),
    dict(type="ByteLevel", add_prefix_space=False, trim_offsets=False, use_regex=True), template(["<s>", "A"]), template(["A", "</s>"]), template(["<s>", "A", "</s>"]), template(["A"]),
    dict(type="Sequence", processors=[dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True), template(["<s>", "A", "</s>"])]),
    dict(type="Sequence", processors=[template(["<s>", "A"]), template(["A", "</s>"])]),
]

SPECIALS = ["<s>", "</s>", "<unk>", "<pad>"]
TEXT_CHARS = list("abcdefghijklmnopqrstuvwxyzABCS0123456789.,'!?-_|") + list("éßäñ中文▁ \n")


def byte_alphabet():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + i) for i in range(len(others))]


def bpe(tokens, pairs, **fields):
    vocab = {token: i for i, token in enumerate(dict.fromkeys(SPECIALS + tokens))}
    merges = []
    for left, right, whole in pairs:
        vocab.setdefault(whole, len(vocab))
        merges.append([left, right])
    return dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False, byte_fallback=False,
                ignore_merges=False, vocab=vocab, merges=merges) | fields


def plain(*pairs):
    return [(left, right, left + right) for left, right in pairs]


MERGES = plain(("t", "h"), ("th", "e"), ("i", "n"), ("s", "s"), ("1", "2"), ("l", "l"), ("e", "r"))
SPACED = plain(("▁", "t"), ("▁", "a"), ("▁", "▁"))
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORDS = ["the", "in", "a", "ab", "abc", "un", "er", "ss", "▁the", "▁a", "▁", "12", "123", "1", "2", "3", "中", "é", "hello", "world", ",", ".", "!", "it", "'s", "s", "A", "THE"]


def unigram(byte_fallback=False, ties=False):
    tokens = SPECIALS + (BYTES if byte_fallback else []) + [w for w in dict.fromkeys(WORDS + list("abcdefghijklmnopqrstuvwxyz0123456789 "))]
    # Sixteen digits and more: read with the library's own rounding, and many sums that are nearly equal.
    score = lambda i, token: 0.0 if token in SPECIALS else -float(len(token)) * 1.1 - (0 if ties else 0.0123456789012345 * (i % 7)) - 3
    return dict(type="Unigram", unk_id=2, byte_fallback=byte_fallback, vocab=[[token, score(i, token)] for i, token in enumerate(tokens)])


MODELS = [
    ("byte-level BPE", bpe(byte_alphabet(), plain(("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("1", "2"), ("Ã", "©")))),
    ("byte-level BPE, ignore_merges", bpe(byte_alphabet() + ["hello"], plain(("t", "h"), ("th", "e")), ignore_merges=True)),
    ("incomplete byte-level BPE", bpe(byte_alphabet()[:80] + ["Ġ"], plain(("t", "h")))),
    ("BPE with unk", bpe(TEXT_CHARS[:-8], MERGES, unk_token="<unk>")),
    ("BPE with fused unk", bpe(TEXT_CHARS[:-8], MERGES, unk_token="<unk>", fuse_unk=True)),
    ("BPE without unk", bpe(TEXT_CHARS[:-8], MERGES)),
    ("BPE with byte fallback", bpe(BYTES + TEXT_CHARS, MERGES + SPACED, unk_token="<unk>", byte_fallback=True, fuse_unk=True)),
    ("BPE with some bytes", bpe(BYTES[:200] + TEXT_CHARS[:-8], MERGES, unk_token="<unk>", byte_fallback=True)),
    ("BPE with end of word", bpe(TEXT_CHARS + [c + "</w>" for c in TEXT_CHARS], [("t", "h", "th"), ("th", "e</w>", "the</w>"), ("i", "n</w>", "in</w>")], unk_token="<unk>", end_of_word_suffix="</w>")),
    ("BPE with continuing prefix", bpe(TEXT_CHARS + ["##" + c for c in TEXT_CHARS], [("t", "##h", "th"), ("th", "##e", "the"), ("##i", "##n", "##in")], unk_token="<unk>", continuing_subword_prefix="##")),
    ("WordPiece", dict(type="WordPiece", unk_token="<unk>", continuing_subword_prefix="##", max_input_chars_per_word=20,
                       vocab={t: i for i, t in enumerate(dict.fromkeys(SPECIALS + WORDS + TEXT_CHARS + ["##" + t for t in WORDS + TEXT_CHARS]))})),
    ("WordLevel", dict(type="WordLevel", unk_token="<unk>", vocab={t: i for i, t in enumerate(dict.fromkeys(SPECIALS + WORDS + TEXT_CHARS))})),
    ("Unigram", unigram()),
    ("Unigram with byte fallback", unigram(byte_fallback=True)),
    ("Unigram, many ties", unigram(ties=True)),
]


def added(kind):
    tokens = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) for i, t in enumerate(SPECIALS)]
    extra = dict(id=100000, content="Käse", single_word=False, lstrip=False, rstrip=False, normalized=True, special=False)
    return {
        "none": [], "special": tokens, "normalized": tokens + [extra], "stripping": tokens + [extra | dict(content="<x>", lstrip=True, rstrip=True, normalized=False, special=True)],
        "single_word": tokens + [extra | dict(content="in", single_word=True)],
    }[kind]


def configurations():
    """Every pair of component and model, then random combinations of everything."""
    def file(model, **sections):
        kind = sections.pop("added", "special")
        name = [model[0]] + [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sections.items() if value] + [f"added={kind}"]
        tokens = copy.deepcopy(added(kind))
        for token in tokens:
            if token["id"] == 100000:
                token["id"] = len(model[1]["vocab"])
        whole = dict(version="1.0", truncation=None, padding=None, added_tokens=tokens, normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None) | sections
        return " · ".join(name), json.dumps(whole | dict(model=model[1]), ensure_ascii=False)

    natural = {"byte-level": (BYTE_LEVEL[0], DECODERS[1]), "WordPiece": (dict(type="BertPreTokenizer"), DECODERS[2]), "WordLevel": (dict(type="Whitespace"), None),
               "BPE with end": (dict(type="Whitespace"), DECODERS[8]), "BPE with co": (dict(type="Whitespace"), None)}
    for model in MODELS:
        pre_tokenizer, decoder = next((value for key, value in natural.items() if key in model[0]), (METASPACE[0], DECODERS[4]))
        base = dict(pre_tokenizer=pre_tokenizer, decoder=decoder)
        for normalizer in NORMALIZERS:
            yield file(model, **base | dict(normalizer=normalizer))
        for other in PRE_TOKENIZERS:
            yield file(model, **base | dict(pre_tokenizer=other))
        for other in DECODERS:
            yield file(model, **base | dict(decoder=other))
        for processor in PROCESSORS:
            yield file(model, **base | dict(post_processor=processor))
        for kind in ["none", "normalized", "stripping", "single_word"]:
            yield file(model, **base | dict(added=kind))
            yield file(model, **base | dict(added=kind, normalizer=dict(type="Lowercase")))
    rng = random.Random(7)
    for _ in range(1500):
        yield file(rng.choice(MODELS), normalizer=rng.choice(NORMALIZERS), pre_tokenizer=rng.choice(PRE_TOKENIZERS), decoder=rng.choice(DECODERS),
                   post_processor=rng.choice(PROCESSORS), added=rng.choice(["none", "special", "normalized", "stripping", "single_word"]))


TEXTS = [
    "", " ", "the", " the", "the ", "  the  in\n\n", "Hello, world! It's 12345 in 中文.", "Straße ss ſs SS", "é e\u0301 ǅ İ ﬁ Å", "a\tb\r\nc \n", "12\n345 6789\n",
    "<s>the</s>", "the <x> in", "xin in, in.inin Käse", "\u200dZ\u200c\u00a0x\u3000y", "▁a▁▁the", "😀👍🏽 \ufffd\x00\x07", "aaaaaaaaaaaaaaaa", "0123456789abcdef0123456789abcdef",
    "كتاب ١٢٣ हिन्दी ไทย", "THE THE the", "it's'S'T you'LL", "ab|c--d__e..f", "<0x41>", "\n", "中文字符測試",
]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--every", type=int, default=1)
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    rng = random.Random(arguments.seed)
    ours = Ours(arguments.binary)
    counts, reasons, examples, bad = collections.Counter(), collections.Counter(), {}, collections.Counter()

    def differs(kind, name, *what):
        counts[kind] += 1
        examples.setdefault(kind, (name, *what))

    for index, (name, file) in enumerate(configurations()):
        if index % arguments.every:
            continue
        counts["configurations"] += 1
        try:
            reference = Tokenizer.from_str(file)
        except Exception as error:
            reference, why = None, str(error)
        size = reference.get_vocab_size() if reference else 100
        alphabet = list("thein  asIS12'.é中▁\n")
        texts = TEXTS + ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, 16))) for _ in range(8)]
        encoded = []
        if reference:
            for text in texts:
                try:
                    encoding = reference.encode(text)
                    encoded.append((encoding.ids, encoding.offsets))
                except BaseException as error:  # a panic is no Exception
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    encoded.append(None)
        ids = [found[0] for found in encoded if found and found[0]][:10] + [[rng.randrange(size) for _ in range(rng.randint(1, 8))] for _ in range(6)]
        answer = ours.ask(dict(file=file, texts=texts, ids=ids))
        if reference is None or answer["refused"]:
            if reference is None and answer["refused"]:
                counts["refused by both"] += 1
            elif reference:
                differs("refused by us alone", name, answer["refused"])
            else:
                differs("loaded by us alone", name, why)
            continue
        native = answer["engine"] == "native"
        engine = "native" if native else "crate"
        counts[engine] += 1
        if not native:
            reasons[answer["engine"].split(": ", 1)[1]] += 1
        wrong = set()
        for text, expected, found in zip(texts, encoded, answer["encoded"]):
            counts["texts"] += 1
            if expected is None or found is None:
                if (expected is None) != (found is None):
                    wrong.add("ids")
                    differs(f"{engine}: an error on one side", name, text, "expected", expected, "found", found)
                continue
            if expected[0] != found[0]:
                wrong.add("ids")
                differs(f"{engine}: ids differ, texts", name, text, "expected", expected[0], "found", found[0])
                continue
            places = [0]
            for c in text:
                places.append(places[-1] + len(c.encode()))
            expected = [(places[start], places[end]) for start, end in expected[1]]
            found = [(span["start"], span["end"]) for span in found[1]]
            for i, (theirs, mine) in enumerate(zip(expected, found)):
                if theirs != mine:
                    wrong.add("offsets")
                    differs(f"{engine}: offsets differ, tokens", name, text, "token", i, "expected", theirs, "found", mine)
        for sequence, found in zip(ids, answer["decoded"]):
            for skip, text in zip([True, False], found):
                counts["decodes"] += 1
                try:
                    expected = reference.decode(sequence, skip_special_tokens=skip)
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    # `Strip` and `BPEDecoder` count below zero on an empty token or none at all.
                    counts["decodes in which the library panics"] += 1
                    continue
                if expected != text:
                    wrong.add("decoded text")
                    differs(f"{engine}: decoded text differs, decodes", name, sequence, skip, "expected", expected, "found", text)
        for kind in wrong:
            counts[f"{engine}: {kind}, configurations"] += 1
            bad[kind] += 1

    ours.close()
    for kind in sorted(counts):
        print(f"{counts[kind]:8}  {kind}")
    print("\nby the crate because of:")
    for reason, count in reasons.most_common(40):
        print(f"{count:8}  {reason}")
    print()
    for kind, example in examples.items():
        print(kind, *map(repr, example), sep="\n    ")
    share = 100 * counts["native"] / max(1, counts["native"] + counts["crate"])
    print(f"{share:.1f} % of the configurations run natively")
    return 1 if any(bad.values()) or counts["loaded by us alone"] or counts["refused by us alone"] or share < 95 else 0


if __name__ == "__main__":
    sys.exit(main())
