"""Writes testdata/expected.jsonl: ids that the libraries which own the formats give the vocabularies here.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 tiktoken==0.14.0 mistral-common==1.13.1
    pip install --no-deps rwkv==0.8.32
    python testdata/expected.py

Each line: the model's directory in testdata/models, the library, a text, and its ids with nothing added. Not part of the
generator, since it needs Python; run it again when the texts or the vocabularies change.
"""

import importlib.metadata
import importlib.util
import json
import pathlib

import sentencepiece
import tiktoken
import tiktoken.load
import tokenizers
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

HERE = pathlib.Path(__file__).parent
MODELS = HERE / "models"
# The split of the first Qwen, from the class that its tokenizer_config.json names.
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def texts():
    yield from ["", " ", "\n", "Hello, world!", "  Hello  world  ", "I'm WE'LL don't", "a\r\nb\r\n\r\n", "\t\tx\n\n\ny", "12345 678"]
    for name in ["english.txt", "code.txt", "scripts.txt", "marks.txt"]:
        lines = (HERE / "text" / name).read_bytes().decode().split("\n")
        yield from (line for line in lines[::3] if line)
    yield (HERE / "text" / "code.txt").read_bytes().decode()
    yield (HERE / "text" / "marks.txt").read_bytes().decode()


def rwkv():
    # The package's own `__init__` wants the whole of PyTorch.
    path = next(f for f in importlib.metadata.files("rwkv") if f.name == "rwkv_tokenizer.py").locate()
    spec = importlib.util.spec_from_file_location("rwkv_tokenizer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TRIE_TOKENIZER(str(MODELS / "rwkv/rwkv_vocab_v20230424.txt")).encode


def references():
    json_file = tokenizers.Tokenizer.from_file(str(MODELS / "tokenizer-json/tokenizer.json"))
    yield "tokenizer-json", "tokenizers", lambda text: json_file.encode(text, add_special_tokens=False).ids
    directory = MODELS / "vocab-and-merges"
    pair = tokenizers.ByteLevelBPETokenizer(str(directory / "vocab.json"), str(directory / "merges.txt"))
    yield "vocab-and-merges", "tokenizers", lambda text: pair.encode(text).ids
    bert = tokenizers.BertWordPieceTokenizer(str(MODELS / "wordpiece/vocab.txt"), lowercase=True)
    yield "wordpiece", "tokenizers", lambda text: bert.encode(text, add_special_tokens=False).ids
    spm = sentencepiece.SentencePieceProcessor(model_file=str(MODELS / "sentencepiece/tokenizer.model"))
    yield "sentencepiece", "sentencepiece", spm.encode
    unigram = sentencepiece.SentencePieceProcessor(model_file=str(MODELS / "unigram/spiece.model"))
    yield "unigram", "sentencepiece", unigram.encode
    ranks = tiktoken.load.load_tiktoken_bpe(str(MODELS / "tiktoken/qwen.tiktoken"))
    qwen = tiktoken.Encoding("qwen", pat_str=QWEN, mergeable_ranks=ranks, special_tokens={})
    yield "tiktoken", "tiktoken", qwen.encode_ordinary
    tekken = Tekkenizer.from_file(str(MODELS / "tekken/tekken.json"))
    yield "tekken", "mistral-common", lambda text: tekken.encode(text, bos=False, eos=False)
    yield "rwkv", "rwkv", rwkv()


with open(HERE / "expected.jsonl", "w", encoding="utf-8", newline="\n") as out:
    for model, library, encode in references():
        for text in texts():
            row = {"model": model, "library": library, "text": text, "ids": list(encode(text))}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
