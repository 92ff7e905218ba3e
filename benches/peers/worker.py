"""The worker process of the Python peers: the same steps, times and output as `worker/src/lib.rs`.

    python worker.py PEER KIND PATH WARM TIMED

The import of the package is not timed, and each call pays what its caller in Python pays.
"""

import hashlib
import json
import os
import sys
import time


def gigatoken(kind, path):
    import gigatoken
    import numpy

    def load():
        if kind == "tokenizer.json":
            tokenizer = gigatoken.Tokenizer(path)
        elif kind == "tiktoken":
            tokenizer = gigatoken.Tokenizer.from_tiktoken(path)
        elif kind == "sentencepiece":
            tokenizer = gigatoken.Tokenizer.from_sentencepiece(path)
        else:
            raise ValueError("reads tokenizer.json, tiktoken and SentencePiece")
        # Its way for many texts: one call, on this thread, and no Python object per text.
        encode = lambda texts: tokenizer.encode_batch(texts, parallel=False)
        rows = lambda batch: [numpy.asarray(row, dtype="<u4") for row in batch]
        return encode, tokenizer.decode, rows

    return load


def tiktoken(kind, path):
    import tiktoken
    import tiktoken.load
    import tiktoken_ext.openai_public as public

    def load():
        name = os.path.basename(path).removesuffix(".tiktoken")
        if kind != "tiktoken" or name not in public.ENCODING_CONSTRUCTORS:
            raise ValueError("has no pattern for this file")
        # The ranks from the file, the rest as the package defines it.
        public.load_tiktoken_bpe = lambda *_, **__: tiktoken.load.load_tiktoken_bpe(path)
        encoding = tiktoken.Encoding(**public.ENCODING_CONSTRUCTORS[name]())
        return each(encoding.encode_ordinary), encoding.decode_bytes, rows

    return load


def sentencepiece(kind, path):
    import sentencepiece

    def load():
        if kind != "sentencepiece":
            raise ValueError("reads SentencePiece only")
        processor = sentencepiece.SentencePieceProcessor(model_file=path)
        return each(processor.encode), processor.decode, rows

    return load


def each(encode):
    return lambda texts: [encode(text) for text in texts]


def rows(ids):
    import array

    return [array.array("I", row) for row in ids]


def clock(run):
    start = time.process_time_ns()
    result = run()
    return time.process_time_ns() - start, result


def least(run):
    times = []
    while len(times) < 5 and sum(times) < 500_000_000:
        times.append(clock(run)[0])
    return min(times)


def measure(peer, kind, path, warm, timed):
    warm, timed = (open(name, encoding="utf-8", newline="").read().split("\0") for name in (warm, timed))
    prepare = {"gigatoken": gigatoken, "tiktoken-py": tiktoken, "sentencepiece": sentencepiece}[peer](kind, path)

    def start():
        parts = prepare()
        parts[0](["Hello"])
        return parts

    load, (encode, decode, rows) = clock(start)
    first, warm_ids = clock(lambda: encode(warm))
    unseen, timed_ids = clock(lambda: encode(timed))
    hot = least(lambda: encode(timed))
    warm_ids, timed_rows = rows(warm_ids), rows(timed_ids)
    # Decoding gets what encoding gave.
    texts = timed_rows if peer == "gigatoken" else timed_ids
    decode_time = least(lambda: [decode(ids) for ids in texts])
    ids = hashlib.sha256()
    for row in warm_ids + timed_rows:
        ids.update(len(row).to_bytes(4, "little"))
        ids.update(row.tobytes())
    return {
        "load": load,
        "first": first,
        "unseen": unseen,
        "hot": hot,
        "decode": decode_time,
        "ids": ids.hexdigest(),
    }


if __name__ == "__main__":
    try:
        outcome = {"measured": measure(*sys.argv[1:])}
    except Exception as error:
        outcome = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps(outcome))
