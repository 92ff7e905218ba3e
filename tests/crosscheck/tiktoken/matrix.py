"""Rank files under every pattern that is published: what tiktoken makes of texts and ids, against what `anytok pipe` makes of them.

    matrix.py ANYTOK [TEXTS]
"""

import base64
import collections
import json
import random
import sys
import tempfile
from pathlib import Path

import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks, load_tiktoken_bpe
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from tiktoken_ext import openai_public

sys.path.append(str(Path(__file__).parents[1]))
from pipe import ask

SHARED = Path(__file__).parents[4] / "shared/vocab/files"

PIECES = """a b the The THE hello World token's don't DON'T we'll I'D you'Re 's 'S 'ſ 1 12 123 1234 12345 ² ½ ٣ Ⅷ _ - -- ... !? // \\ { } ( ) <| |> é É e\u0301 ß ẞ ǅ ʰ ª
中 文字 日本語 かな カナ 한국 привет МИР שלום مرحبا नमस्ते สวัสดี 👍 👩‍💻 🇩🇪 \u200d \u00ad \ufeff \ufffd \U0010fffd 𝒳 camelCase HTTPServer snake_case x1y2 $5 €9""".split() + [
    " ", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n", "\n ", "\u00a0", "\u3000", "\u2028", "\x0b", "\x85", "\0"]

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
NUMBERS = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
KIMI = "|".join([
    r"[\p{Han}]+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])


def published(name):
    """The pattern of an encoding of OpenAI, without the download of its ranks."""
    original = openai_public.load_tiktoken_bpe
    openai_public.load_tiktoken_bpe = lambda *_, **__: {}
    try:
        return openai_public.ENCODING_CONSTRUCTORS[name]()["pat_str"]
    finally:
        openai_public.load_tiktoken_bpe = original


def write(path, ranks):
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in sorted(ranks.items(), key=lambda item: item[1])))


def vocabularies(directory):
    """Name, path of the model, what encodes, what decodes, how many ids."""
    cl100k = load_tiktoken_bpe(str(SHARED / "cl100k_base/cl100k_base.tiktoken"))
    given = {
        "cl100k_base": (cl100k, published("cl100k_base"), SHARED / "cl100k_base/cl100k_base.tiktoken"),
        "o200k_base": (load_tiktoken_bpe(str(SHARED / "o200k_base/o200k_base.tiktoken")), published("o200k_base"), SHARED / "o200k_base/o200k_base.tiktoken"),
        "llama3": (load_tiktoken_bpe(str(SHARED / "llama3-meta/tokenizer.model")), NUMBERS % "{1,3}", SHARED / "llama3-meta/tokenizer.model"),
    }
    gpt2 = data_gym_to_mergeable_bpe_ranks(str(SHARED / "gpt2/merges.txt"), str(SHARED / "gpt2/vocab.json"))
    write(directory / "r50k_base.tiktoken", gpt2)
    given["r50k_base"] = gpt2, GPT2, directory / "r50k_base.tiktoken"
    # Where the content is unknown the class of the model tells. Another number of ranks makes it unknown.
    ranks = {token: rank for token, rank in cl100k.items() if rank < 90_000}
    for kind, pattern in {"QWenTokenizer": NUMBERS % "", "ChatGLM4Tokenizer": NUMBERS % "{1,3}", "TikTokenTokenizer": KIMI}.items():
        place = directory / kind
        place.mkdir()
        write(place / "vocab.tiktoken", ranks)
        (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
        given[kind] = ranks, pattern, place / "vocab.tiktoken"
    for name, (ranks, pattern, path) in given.items():
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        yield name, path, encoding.encode_ordinary, lambda ids, encoding=encoding: encoding.decode(ids, errors="replace"), len(ranks)
    path = SHARED / "mistral-tekken-240911/tekken.json"
    tekken = Tekkenizer.from_file(str(path))
    yield "tekken", path, lambda text: tekken.encode(text, bos=False, eos=False), None, tekken.n_words


def main(anytok, count="2000"):
    rng = random.Random(11)
    totals, shown = collections.Counter(), 0
    with tempfile.TemporaryDirectory() as directory:
        for name, path, encode, decode, size in vocabularies(Path(directory)):
            texts = ["".join(rng.choice(PIECES) for _ in range(rng.randint(1, 14))) for _ in range(int(count))]
            checks = [(text, encode(text), found) for text, found in zip(texts, ask(anytok, str(path), lines=texts))]
            if decode:
                rows = [[rng.randrange(size) for _ in range(rng.randint(1, 12))] for _ in range(int(count) // 4)]
                checks += [(row, decode(row), found) for row, found in zip(rows, ask(anytok, str(path), "--decode", lines=rows))]
            wrong = [check for check in checks if check[1] != check[2]]
            totals["compared"] += len(checks)
            totals["different"] += len(wrong)
            print(f"{name}: {len(checks)} compared, {len(wrong)} different")
            for check in wrong[:3]:
                print("    ", *map(repr, check), sep="\n        ")
    print(dict(totals))
    return 1 if totals["different"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
