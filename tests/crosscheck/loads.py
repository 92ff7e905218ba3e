"""What other packages do with the files of testdata/: the facts of COMPARE.md.

    pip install tokenizers==0.23.3 kitoken==0.11.1 sentencepiece==0.2.3
    python tests/crosscheck/loads.py [PATH OF anytok]

One line for each file and package: the ids of one text, or the first words of the error.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ["ANYTOK_CACHE_DIR"] = ""

ROOT = Path(__file__).parents[2] / "testdata"
TEXT = "Hello, world! I'm\there: 12345 ünï 里"
FILES = """models/llama-bpe.gguf models/llama-spm.gguf models/bert.gguf models/t5.gguf models/rwkv.gguf models/no-pre.gguf
models/unknown-pre.gguf damaged/truncated.gguf models/tokenizer-json/tokenizer.json models/sentencepiece/tokenizer.model
models/unigram/spiece.model models/tiktoken/qwen.tiktoken models/tekken/tekken.json models/vocab-and-merges/vocab.json
models/wordpiece/vocab.txt models/rwkv/rwkv_vocab_v20230424.txt models/tokenizer-json models/tokenizer-json/model.safetensors""".split()


def anytok(path):
    done = subprocess.run([sys.argv[1], "encode", path, "--offline", "--text", TEXT, "--json"], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr)
    return json.loads(done.stdout)["ids"]


def tokenizers(path):
    import tokenizers

    return tokenizers.Tokenizer.from_file(str(path)).encode(TEXT, add_special_tokens=False).ids


def kitoken(path):
    import kitoken

    return list(kitoken.Kitoken.from_file(str(path)).encode(TEXT))


def sentencepiece(path):
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(path)).encode(TEXT)


PEERS = [anytok] if len(sys.argv) > 1 else []
for peer in [tokenizers, kitoken, sentencepiece]:
    try:
        print(peer.__name__, importlib.metadata.version(peer.__name__))
        PEERS.append(peer)
    except importlib.metadata.PackageNotFoundError:
        print(f"{peer.__name__} is not installed")
for file in FILES:
    print(file)
    for peer in PEERS:
        try:
            ids = peer(ROOT / file)
            answer = f"{len(ids)} ids {ids}"
        except BaseException as error:  # a panic of a Rust package is none of `Exception`
            answer = f"error: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
        print(f"  {peer.__name__:<13} {answer}")
