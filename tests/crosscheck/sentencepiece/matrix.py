"""SentencePiece models of many kinds: what sentencepiece makes of texts and ids, against what `anytok pipe` makes of them.

    matrix.py ANYTOK [sample|all]
"""

import collections
import io
import itertools
import json
import os
import random
import sys
import tempfile
from pathlib import Path

import sentencepiece

sys.path.append(str(Path(__file__).parents[1]))
from pipe import Refused, ask

ROOT = Path(__file__).parents[3]

# What follows is trained on; every script has some words of its own.
WORDS = """the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were all her
token tokens tokenizer model models text encode decode byte bytes hello world it's don't we'll 1 2 10 100 1234 2024 3.14 e.g. i.e. U.S.
Straße größer naïve façade œuvre mañana привет мир слово текст γειά κόσμε שלום עולם مرحبا العالم नमस्ते दुनिया สวัสดี 日本語 テキスト 文字 中文 世界
안녕하세요 세계 Ⅷ ½ ﬁne ｆｕｌｌ ２０２４ ㎞ ① é e\u0301 Å A\u030a 👍 🎉 👩‍💻 () [] {} <> == != -> // /* */ :: ;""".split()

PIECES = WORDS + [
    " ", "  ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2581", "\u2581\u2581", "\u200b", "\u200d", "\ufeff", "\u00ad", "\ufffd", "\0", "\x01",
    "a", "aa", "aaaa", "aaaaaaaaaaaaaaaaa", "0", "00", "000000", "deadbeef", "ABC", "Abc", "!", "!!", "...", "…", "<s>", "</s>", "<unk>", "<pad>", "<mask>",
    "<user>", "<ctrl>", "<0x41>", "ab", "abab", "ꙮ", "𝒳", "\U0010fffd", "ㄱ", "ﷺ", "ß", "İ", "ŉ", "ſ", "K", "Ω", "①", "㍿", "゛", "ｶﾞ", "が", "\u3099",
]

# The first value is sentencepiece's own default.
SWITCHES = dict(
    normalization_rule_name=["nmt_nfkc", "identity", "nfkc", "nfkc_cf", "nmt_nfkc_cf"],
    add_dummy_prefix=[True, False],
    remove_extra_whitespaces=[True, False],
    treat_whitespace_as_suffix=[False, True],
    byte_fallback=[False, True],
    split_by_unicode_script=[True, False],
    split_by_number=[True, False],
    split_by_whitespace=[True, False],
    split_digits=[False, True],
    allow_whitespace_only_pieces=[False, True],
    user_defined_symbols=[[], ["<user>", "ab", " b", "▁▁", "the"]],
    control_symbols=[[], ["<ctrl>"]],
    required_chars=["", "ꙮ𝒳"],
    unk_surface=[" \u2047 ", "<?>"],
    ids=[(0, 1, 2, -1), (3, -1, 1, 0), (2, 0, 1, 3)],
    vocab_size=[430, 330, 600],
    model_type=["unigram", "bpe", "char", "word"],
)


def corpus(rng):
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines() + (ROOT / "DESIGN.md").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line] + [" ".join(rng.choice(WORDS) for _ in range(rng.randint(3, 12))) for _ in range(400)]


def configurations(whole, rng):
    """Each switch alone for every model type, then random mixtures."""
    plain = {name: values[0] for name, values in SWITCHES.items()}
    for kind in SWITCHES["model_type"]:
        for name, values in SWITCHES.items():
            if name == "model_type":
                yield dict(plain, model_type=kind)
                continue
            for value in values[1:] if whole else values[1:2]:
                yield dict(plain, model_type=kind, **{name: value})
    for _ in range(400 if whole else 12):
        yield {name: rng.choice(values) for name, values in SWITCHES.items()}


def texts(rng):
    mixed = ["".join(rng.choice(PIECES) for _ in range(rng.randint(0, 9))) for _ in range(150)]
    return mixed + PIECES + [" ".join(rng.choice(WORDS) for _ in range(12)) for _ in range(20)]


def ties(rng, count):
    """Texts that several sequences of pieces cut with scores that are nearly or exactly the same."""
    alphabets = ["0123456789", "0123456789abcdef", "a", "ab", "aA", "-", "=-", ".!", "abc ", "ACGT", "한국", "ｗｗ.", "0", "lI1"]
    return ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, 40))) for alphabet in rng.choices(alphabets, k=count)]


def train(lines, chosen):
    chosen = dict(chosen)
    unk, bos, eos, pad = chosen.pop("ids")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, minloglevel=2, hard_vocab_limit=False, character_coverage=0.995,
        unk_id=unk, bos_id=bos, eos_id=eos, pad_id=pad, **chosen)
    return model.getvalue()


def name_of(chosen):
    return " ".join([chosen["model_type"]] + [f"{name}={value}" for name, value in chosen.items() if name != "model_type" and value != SWITCHES[name][0]])


def main(anytok, extent="sample"):
    rng = random.Random(7)
    lines = corpus(rng)
    counts, examples = collections.Counter(), {}

    def differs(kind, *what):
        counts[kind] += 1
        examples.setdefault(kind, []).append(what)

    def compare(name, path, texts):
        counts["models"] += 1
        theirs = sentencepiece.SentencePieceProcessor(model_file=path)
        expected = [theirs.encode(text) for text in texts]
        try:
            found = ask(anytok, path, lines=texts)
        except Refused as error:
            differs("models that we refuse", name, str(error))
            return
        wrong = False
        for text, theirs_of, ours_of in zip(texts, expected, found):
            counts["texts"] += 1
            if theirs_of != ours_of:
                wrong = True
                differs("texts whose ids differ", name, text, theirs_of, ours_of)
        size = theirs.vocab_size()
        ids = [row for row in expected if row][:60] + [[rng.randrange(size) for _ in range(rng.randint(1, 8))] for _ in range(60)]
        for row, ours_of in zip(ids, ask(anytok, path, "--decode", "--skip-special", lines=ids)):
            counts["decodes"] += 1
            if theirs.decode(row) != ours_of:
                wrong = True
                differs("decodes that differ", name, row, [theirs.id_to_piece(id) for id in row], theirs.decode(row), ours_of)
        counts["models with a difference"] += wrong

    with tempfile.TemporaryDirectory() as directory:
        for chosen in configurations(extent == "all", rng):
            name = name_of(chosen)
            try:
                model = train(lines, chosen)
            except RuntimeError:
                counts["switches that the trainer refuses together"] += 1
                continue
            path = os.path.join(directory, "tokenizer.model")
            Path(path).write_bytes(model)
            compare(name, path, texts(rng))
        for path in sorted((ROOT.parent / "shared/vocab/files").glob("*/*.model")):
            if path.read_bytes()[:1] == b"\n":  # not tiktoken's ranks, which may have this name
                compare(str(path.parent.name), str(path), texts(rng) + ties(rng, 20_000 if extent == "all" else 500))
    for kind, count in counts.items():
        print(f"{count:8}  {kind}")
    for kind, found in examples.items():
        print(kind)
        for what in itertools.islice(found, int(os.environ.get("SHOW", "3"))):
            print("    ", *map(repr, what), sep="\n        ")
    return 1 if examples else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
