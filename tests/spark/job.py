"""A Spark job on all cores: `RDD.pipe` with `anytok pipe`, and `mapPartitions` with Python's `tokenizers`, against one process.

    job.py ANYTOK TOKENIZER_JSON
"""

import json
import os
import random
import shlex
import subprocess
import sys
import time

from pyspark import SparkConf, SparkContext

COUNT, PARTITIONS = 100_000, 8
WORDS = "the quick brown fox jumps over lazy dogs 1984 token's naïve Straße привет мир 世界 こんにちは 🌊 (x + 1) == {y}; \t".split()


def texts():
    rng = random.Random(1)
    return [" ".join(rng.choice(WORDS) for _ in range(rng.randint(0, 30))) for _ in range(COUNT)]


def by_tokenizers(path):
    def partition(lines):
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(path)
        for line in lines:
            yield json.dumps(tokenizer.encode(json.loads(line), add_special_tokens=False).ids, separators=(",", ":"))

    return partition


def main(anytok, path):
    os.environ["ANYTOK_CACHE_DIR"] = ""
    lines = [json.dumps(text) for text in texts()]
    command = [anytok, "pipe", path, "--offline"]
    begin = time.perf_counter()
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, encoding="utf-8", check=True)
    one = time.perf_counter() - begin
    expected = done.stdout.splitlines()
    assert len(expected) == COUNT, len(expected)
    print(f"one process, no Spark: {COUNT / one:,.0f} lines/s")

    conf = SparkConf().set("spark.ui.enabled", "false").set("spark.ui.showConsoleProgress", "false")
    context = SparkContext(f"local[{os.cpu_count()}]", "anytok", conf=conf)
    context.setLogLevel("ERROR")
    rows = context.parallelize(lines, PARTITIONS).cache()
    rows.count()
    for name, job in [("RDD.pipe with anytok", rows.pipe(shlex.join(command))),
                      ("mapPartitions with tokenizers", rows.mapPartitions(by_tokenizers(path)))]:
        job.take(1)
        begin = time.perf_counter()
        found = job.collect()
        took = time.perf_counter() - begin
        same = found == expected
        print(f"{name}, {PARTITIONS} partitions: {COUNT / took:,.0f} lines/s, {'the same ids' if same else 'OTHER ids'}")
        if not same:
            at = next(i for i, pair in enumerate(zip(found, expected)) if pair[0] != pair[1])
            print(lines[at], found[at], expected[at], sep="\n")
            return 1
    context.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
