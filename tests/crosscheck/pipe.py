"""Asks `anytok pipe`."""

import json
import os
import subprocess

os.environ["ANYTOK_CACHE_DIR"] = ""


class Refused(Exception):
    """The model did not load."""


def ask(anytok, path, *switches, lines):
    """The answers to texts, or with `--decode` to lists of ids."""
    done = subprocess.run([anytok, "pipe", path, "--offline", *switches], input="".join(json.dumps(line) + "\n" for line in lines),
                          capture_output=True, text=True, encoding="utf-8")
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    if len(answers) != len(lines):
        raise Refused(done.stderr)
    return answers
