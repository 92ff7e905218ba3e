"""Random patterns and texts: how Oniguruma, in the published `tokenizers`, cuts them, against how we do.

    patterns.py BINARY [COUNT] [SEED]
"""

import json
import random
import subprocess
import sys

from tokenizers import Regex, pre_tokenizers


class Ours:
    """The test binary of the library, asked a line at a time."""

    def __init__(self, binary):
        self.process = subprocess.Popen(
            [binary, "formats::tokenizer_json::crosscheck::answers_standard_input", "--exact", "--ignored", "--nocapture", "--test-threads=1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        while not self.process.stdout.readline().startswith("test "):
            pass

    def ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the test binary ended at " + json.dumps(question))
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait()


REAL = [
    r"\s+$", r"^\s+", r"\d{1,3}(?=(?:\d{3})*$)", r" +$", r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))", r"\w+|[^\w\s]+", r"\b\w+\b", r"\B",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|\s+",
    r" ?[^(\s|[.,!?…。，、।۔،])]+", r"[[:alpha:]]+", r"[[:punct:]]", r"[[:^space:]]+", r"(?i)ss", r"(?i)[ß]", r"(?i)ſt|ffi", r"(?i)\p{Lu}+",
    r"a(?i)b|c", r"a{2}?", r"a{,2}", r"a{3,1}", r"a{1,2}+", r"a++b", r"(?>a+)b", r"(?<=\n)a", r"(?m).+", r"(?x) a b # c", r"[a-c&&[^b]]",
    r"[^\W\d]+", r"\R", r"\h+", r"\p{Han}+|\p{^Han}", r"\P{^L}", r"\pL", r"[]a]", r"[a-]", r"[\d-]", r"\x41", r"\x{1F600}", r"\u00e9",
    r"(a)\1", r"\A.", r".\z", r".\Z", r"<\|[a-z]+\|>", r"[\p{Punct}]", r"\p{Word}+", r"[\w]+", r"(?<!\d)\d{2}(?!\d)", r"$", r"^", r"(?=a)",
    r"(?:$|a)", r"a|", r"()", r"[\x{4e00}-\x{9fa5}]+", r"\s?\p{L}+", r"[^\s]+|\s+", r"\p{Sc}|\p{S}", r"(?<x>a)b", r"a*?b", r"(?:a|ab)(?:c|bcd)?",
]
ATOMS = [
    "a", "b", "s", "ss", "S", "K", "f", "i", "fi", "t", "st", "1", "0", " ", r"\n", r"\r", r"\t", "ß", "ſ", "é", "İ", "ı", "ﬁ", "中", "²", "'s", ",", "\\.", "_", "-",
    ".", r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"\h", r"\b", r"\B", "^", "$", r"\A", r"\z", r"\Z", r"\R", r"\p{L}", r"\p{Lu}", r"\p{N}", r"\P{L}", r"\p{^N}",
    r"\p{Punct}", r"\p{Word}", r"\p{Han}", r"\p{S}", r"\x41", r"\x{e9}", r"\u0061", "[[:alpha:]]", "[[:punct:]]", "[[:^digit:]]", "[[:word:]]", "[[:space:]]",
]
MEMBERS = [
    "a", "b", "s", "S", "k", "ß", "ſ", "é", "0-9", "a-z", "A-F", "à-ö", " ", r"\n", r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"\p{L}", r"\P{L}", r"\p{Lu}",
    r"\p{N}", "[:alpha:]", "[:upper:]", "[:^alpha:]", "-", "_", ".", "'", "[b-d]", "[^b]", "&&", r"\]", r"\-", "^", "ﬁ", "²", r"\x41", r"\b", "中",
]
CHARS = list("aabbssSSkKfit10  \n\n\r\t.,'_-AFzZ") + ["ß", "ẞ", "ſ", "é", "É", "İ", "ı", "ﬁ", "ﬆ", "中", "²", "¼", "K", "\u0301", "\u200d", "\xa0", "ǰ", "١", "€", "😀", "\u2028"]
QUANTIFIERS = ["*", "+", "?", "*?", "+?", "??", "++", "*+", "?+", "{2}", "{1,2}", "{,2}", "{2,}", "{2}?", "{1,2}?", "{1,2}+", "{2,1}", "{", "{a}"]


def pattern(random, depth=3):
    kind = random.random()
    if depth == 0 or kind < 0.35:
        return random.choice(ATOMS)
    if kind < 0.5:
        return "[" + random.choice(["", "", "^"]) + "".join(random.choice(MEMBERS) for _ in range(random.randint(1, 4))) + "]"
    inner = lambda: pattern(random, depth - 1)
    if kind < 0.65:
        return inner() + random.choice(QUANTIFIERS)
    if kind < 0.85:
        return inner() + inner()
    if kind < 0.92:
        return "(?:" + inner() + "|" + inner() + ")"
    opening = random.choice(["(?:", "(", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?i:", "(?m:", "(?-i:", "(?i)", "(?x:", "(?<n>", "(?#"])
    return "(?i)" + inner() + "|" + inner() if opening == "(?i)" else opening + inner() + ")"


def byte_pieces(text, pieces):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [[at[start], at[end]] for start, end in pieces if start < end]


def main(binary, count="3000", seed="1"):
    rng = random.Random(int(seed))
    ours = Ours(binary)
    patterns = REAL + [pattern(rng) for _ in range(int(count))]
    totals = dict(patterns=0, texts=0, both_refuse=0, only_we_refuse=0, only_they_refuse=0, differ=0, gave_up=0)
    shown = 0
    for index, candidate in enumerate(patterns):
        texts = ["".join(rng.choice(CHARS) for _ in range(rng.randint(0, 12))) for _ in range(12)] + ["aab\nss\n", "it's  12345\n \n", "\n", "ab12 c"]
        answer = ours.ask(dict(pattern=candidate, texts=texts))
        totals["patterns"] += 1
        try:
            split = pre_tokenizers.Split(Regex(candidate), "isolated")
        except Exception as error:
            split, why = None, error
        if split is None or answer["refused"]:
            key = "only_they_refuse" if not answer["refused"] else "only_we_refuse" if split else "both_refuse"
            totals[key] += 1
            if key != "both_refuse" and shown < 40:
                shown += 1
                print(key, repr(candidate), answer["refused"] or why)
            continue
        for text, found in zip(texts, answer["matches"]):
            totals["texts"] += 1
            expected = byte_pieces(text, [offsets for _, offsets in split.pre_tokenize_str(text)])
            if found is None:
                totals["gave_up"] += 1
            elif found != expected:
                totals["differ"] += 1
                if shown < 40:
                    shown += 1
                    print("differ", repr(candidate), repr(text), "expected", expected, "found", found)
                break
    ours.close()
    print(totals)
    return 1 if totals["differ"] or totals["only_they_refuse"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
