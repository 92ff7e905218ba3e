"""Checks our Hub client and cache against huggingface_hub; run by `tests/crosscheck/run` with the library's test binary and the
command `anytok`.

The test binary serves a fake Hub (`processes::serve`) and fetches files into a cache (`processes::child`).
"""

import contextlib
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

BINARY = sys.argv[1]
TESTS = "hub::tests::processes::"
FILES = ["tokenizer.json", "tokenizer_config.json", "original/tokenizer.model"]
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}

place = Path(tempfile.mkdtemp(prefix="crosscheck-"))
passed = 0


def check(claim, holds, shown=""):
    global passed
    print(f"{'ok    ' if holds else 'FAILED'} {claim} {shown if not holds else ''}".rstrip(), flush=True)
    if not holds:
        sys.exit(1)
    passed += 1


def start(test, within=(), **variables):
    return subprocess.Popen(
        [*within, BINARY, TESTS + test, "--exact", "--nocapture"],
        env=CLEAN | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def fetch(endpoint, cache, files=FILES, revision="main", threads=1, **variables):
    """Starts one of our processes, which fetches `files` in each of `threads` threads."""
    order = f"{endpoint}|{cache}|org/model|{revision}|{','.join(files)}|{threads}"
    return start("child", ANYTOK_TEST_HUB_CHILD=order, **variables)


def lines(process):
    """One of our processes' report: `file how requests commit length` per file."""
    text, _ = process.communicate(timeout=60)
    return process.returncode, [line.split("child: ")[1] for line in text.splitlines() if "child: " in line], text


server = start("serve", ANYTOK_TEST_HUB_SERVE="1")
endpoint = next(line for line in server.stdout if "serving " in line).split("serving ")[1].strip()
os.environ.update(
    HF_ENDPOINT=endpoint,
    HF_HOME=str(place / "home"),
    HF_HUB_DISABLE_XET="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    NO_PROXY="*",
)

# The package reads its environment when it is imported.
import huggingface_hub  # noqa: E402
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache  # noqa: E402
from huggingface_hub.errors import (  # noqa: E402
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


def clean(cache, what):
    """`cache` has nothing for the scanner to complain about."""
    report = scan_cache_dir(cache)
    check(f"scan_cache_dir finds nothing wrong: {what}", not report.warnings, report.warnings)
    return report


def verify(cache):
    """`hf cache verify`: recomputes each file's hash and compares it with the Hub's list."""
    hf = Path(sys.executable).parent / "hf"
    done = subprocess.run(
        [hf, "cache", "verify", "org/model", "--cache-dir", str(cache)],
        capture_output=True,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def raises(kind, *args, **kwargs):
    try:
        hf_hub_download(*args, **kwargs)
    except kind:
        return True
    except Exception as error:  # shown by the caller through the failed check
        print(type(error), error)
    return False


def the_fake_hub_is_faithful(python):
    contents = [Path(hf_hub_download("org/model", file, cache_dir=python)).read_bytes() for file in FILES]
    check("huggingface_hub downloads every kind of file from the fake Hub", [len(c) for c in contents] == [45, 21, 1200000],
          [len(c) for c in contents])
    check("  and sees a missing file", raises(EntryNotFoundError, "org/model", "absent.json", cache_dir=python))
    check("  a missing revision", raises(RevisionNotFoundError, "org/model", FILES[0], revision="v9", cache_dir=python))
    check("  a missing repository", raises(RepositoryNotFoundError, "org/none", FILES[0], cache_dir=python, token=False))
    check("  a gated one without token", raises(GatedRepoError, "org/gated", FILES[0], cache_dir=python, token=False))
    check("  and with another's token", raises(GatedRepoError, "org/gated", FILES[0], cache_dir=python, token="hf_valid"))
    return contents


def our_cache_is_read_by_python(ours, contents):
    processes = [fetch(endpoint, ours, [*FILES, "absent.json"], threads=8) for _ in range(4)]
    for process in processes:
        code, report, text = lines(process)
        check("eight threads of a process fetch three files and miss one", code == 0 and len(report) == 32, text)
    report = clean(ours, "after four processes of eight threads")
    (repository,) = report.repos
    check("one repository, one revision, three files", len(repository.revisions) == 1 and repository.nb_files == 3, report)
    left = [str(path) for path in ours.rglob("*") if path.name.endswith((".incomplete", ".tmp", ".new"))]
    check("no temporary file is left", not left, left)
    paths = [try_to_load_from_cache("org/model", file, cache_dir=ours) for file in FILES]
    check("try_to_load_from_cache finds each", [Path(path).read_bytes() for path in paths] == contents, paths)
    absent = try_to_load_from_cache("org/model", "absent.json", cache_dir=ours)
    check("  and knows what is absent", absent is huggingface_hub.file_download._CACHED_NO_EXIST, absent)
    paths = [hf_hub_download("org/model", file, cache_dir=ours, local_files_only=True) for file in FILES]
    check("hf_hub_download(local_files_only) serves each", [Path(path).read_bytes() for path in paths] == contents)
    check("snapshot_download(local_files_only) serves all", Path(snapshot_download("org/model", cache_dir=ours, local_files_only=True)).is_dir())
    code, text = verify(ours)
    check("hf cache verify agrees with every hash", code == 0, text)
    before = {path: path.lstat().st_mtime_ns for path in ours.rglob("*") if "/blobs/" in str(path)}
    paths = [hf_hub_download("org/model", file, cache_dir=ours) for file in FILES]
    after = {path: path.lstat().st_mtime_ns for path in ours.rglob("*") if "/blobs/" in str(path)}
    check("online, Python downloads nothing of it again", before == after, (before, after))


def an_absence_alone_is_no_corruption(cache):
    code, report, text = lines(fetch(endpoint, cache, ["absent.json"]))
    check("a first file that is absent is no failure", code == 0 and "absent (no file" in report[0], text)
    clean(cache, "with an absence and no file")


def damage_is_repaired(ours):
    large = next(path for path in (ours / "models--org--model/blobs").iterdir() if path.stat().st_size == 1200000)
    content = bytearray(large.read_bytes())
    content[600000] ^= 1
    large.write_bytes(content)
    code, text = verify(ours)
    check("hf cache verify notices a flipped bit", code != 0 and FILES[2] in text, text)
    code, report, text = lines(fetch("offline", ours, [FILES[2]]))
    check("offline, we refuse the file and name it", code != 0 and "delete it, or go online" in text, text)
    code, report, text = lines(fetch(endpoint, ours, [FILES[2]]))
    check("online, we fetch it again", code == 0 and "Downloaded" in report[0], text)
    check("hf cache verify agrees again", verify(ours)[0] == 0)
    clean(ours, "after the repair")


def pythons_cache_is_read_by_us(python, endpoint_of_none):
    commit = (python / "models--org--model/refs/main").read_text()
    for revision in ["main", commit]:
        code, report, text = lines(fetch("offline", python, [*FILES, "absent.json"], revision))
        check(f"offline, we read Python's cache at {revision:.4}", code == 0 and len(report) == 4, text)
        check("  every file, with no request", all(f" Cached 0 {commit} " in line for line in report[:3]), report)
        check("  and what it knows to be absent", "absent (no file" in report[3], report)
    # A host that nobody answers for: only a client that asks nothing succeeds.
    code, report, text = lines(fetch(endpoint_of_none, python, FILES, commit))
    check("at a full commit we need no network either", code == 0 and len(report) == 3, text)
    code, report, text = lines(fetch(endpoint, python))
    # The first answer pins the commit, so the other files need none.
    check("online, one request confirms all of it", code == 0 and [line.split()[1:3] for line in report] == [
        ["Revalidated", "1"], ["Cached", "0"], ["Cached", "0"]], text)
    check("hf cache verify agrees with what we left", verify(python)[0] == 0)
    if shutil.which("strace"):
        trace = place / "trace"
        order = f"offline|{python}|org/model|main|{','.join(FILES)}|1"
        done = subprocess.run(
            ["strace", "-f", "-e", "trace=network", "-o", trace, BINARY, TESTS + "child", "--exact"],
            env=CLEAN | {"ANYTOK_TEST_HUB_CHILD": order}, capture_output=True, timeout=60)
        if done.returncode == 0:
            calls = [line for line in trace.read_text().splitlines() if "socket(" in line or "connect(" in line]
            check("offline, no socket is opened (strace)", not calls, calls)


def locks_may_be_of_no_use():
    """Some network file systems grant every lock at once."""
    traces = [place / "trace1", place / "trace2"]
    within = [["strace", "-f", "-o", str(trace), "-e", "inject=flock:retval=0"] for trace in traces]
    if not shutil.which("strace") or subprocess.run([*within[0], "true"], capture_output=True, timeout=60).returncode != 0:
        print("skipped: strace cannot trace here")
        return
    cache = place / "unlocked"
    order = f"{endpoint}|{cache}|org/model|main|{','.join(FILES)}|4"
    for process in [start("child", around, ANYTOK_TEST_HUB_CHILD=order) for around in within]:
        code, report, text = lines(process)
        check("where no lock holds, four threads of a process fetch three files", code == 0 and len(report) == 12, text)
    check("  the locks were of no use", all("(INJECTED)" in trace.read_text() for trace in traces))
    clean(cache, "after two processes without locks")
    code, text = verify(cache)
    check("  hf cache verify agrees with every hash", code == 0, text)


def a_kill_at_any_moment_leaves_a_readable_cache():
    random.seed(1)
    cache = place / "killed"
    survived = 0
    for round_ in range(40):
        if round_ % 2 == 0:
            shutil.rmtree(cache, ignore_errors=True)
        process = fetch(endpoint, cache, [*FILES, "absent.json"], threads=2)
        time.sleep(random.uniform(0.0, 0.06))
        process.kill()
        process.communicate()
        if not cache.exists():
            continue
        survived += 1
        warnings = scan_cache_dir(cache).warnings
        if warnings:
            check(f"scan_cache_dir finds nothing wrong after kill {round_}", False, warnings)
        for file in FILES:
            with contextlib.suppress(LocalEntryNotFoundError):
                hf_hub_download("org/model", file, cache_dir=cache, local_files_only=True)
        code, _, text = lines(fetch("offline", cache))
        if code:
            check(f"we read the cache after kill {round_}", False, text)
    check("killed 40 times at random moments, the cache stays readable for both", survived > 5, survived)
    code, report, text = lines(fetch(endpoint, cache))
    check("  and is completed by the next run", code == 0 and len(report) == 3, text)
    check("  to the satisfaction of hf cache verify", verify(cache)[0] == 0)


@contextlib.contextmanager
def tls_in_front():
    """The fake Hub behind a certificate of a private authority: yields the endpoint and the authority's file."""
    authority, key, certificate = place / "ca.pem", place / "key.pem", place / "cert.pem"
    openssl = lambda *args: subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)  # noqa: E731
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=crosscheck authority",
            "-keyout", place / "ca.key", "-out", authority, "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", place / "request")
    (place / "names").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    openssl("x509", "-req", "-in", place / "request", "-CA", authority, "-CAkey", place / "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", place / "names", "-out", certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = endpoint.removeprefix("http://").split(":")

    def pump(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def handle(client):
        with contextlib.suppress(OSError):
            outer = context.wrap_socket(client, server_side=True)
            inner = socket.create_connection((host, int(port)))
            threading.Thread(target=pump, args=(inner, outer), daemon=True).start()
            pump(outer, inner)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"https://localhost:{listener.getsockname()[1]}", authority
    listener.close()


def a_private_authority_is_trusted_when_named():
    if not shutil.which("openssl"):
        print("skipped: a private certificate authority (no openssl)")
        return
    with tls_in_front() as (secure, authority):
        code, _, text = lines(fetch(secure, place / "tls"))
        check("an unknown authority is refused, with a hint", code != 0 and "set SSL_CERT_FILE" in text, text)
        small = FILES[:2]  # the third is on the CDN, where https must not lead to http
        code, report, text = lines(fetch(secure, place / "tls", small, SSL_CERT_FILE=str(authority)))
        check("with SSL_CERT_FILE it is trusted", code == 0 and len(report) == 2, text)
        code, report, text = lines(fetch(secure, place / "tls", [FILES[2]], SSL_CERT_FILE=str(authority)))
        check("a redirect from https to http is refused", code != 0 and "from https to http" in text, text)


def with_mounts(script, *options):
    """What to put in front of a command to run it with mounts of its own."""
    return ["unshare", "--user", "--map-root-user", "--mount", *options, "sh", "-c", f'{script} && exec "$@"', "sh"]


def disks_may_be_bad(anytok):
    """Caches and stores on disks that are full, read-only or not there; and no network at all."""
    disk = place / "disk"
    disk.mkdir()
    if subprocess.run([*with_mounts(f"mount -t tmpfs none {disk}", "--net"), "true"], capture_output=True).returncode != 0:
        print("skipped: full and read-only disks (no namespaces for users here)")
        return
    full, read_only = f"mount -t tmpfs -o size=8k none {disk}", f"mount -t tmpfs -o ro none {disk}"
    missing = f"rmdir {disk}; mount -t tmpfs -o ro none {disk.parent}"
    for kind, script in [("full", full), ("read-only", read_only)]:
        order = f"{endpoint}|{disk}|org/model|main|{','.join(FILES)}|1"
        code, report, text = lines(start("child", with_mounts(script), ANYTOK_TEST_HUB_CHILD=order))
        check(f"a {kind} cache costs only the next download", code == 0 and len(report) == 3, text)
    order = f"http://127.0.0.1:9|{disk}|org/model|main|{FILES[0]}|1"
    code, report, text = lines(start("child", with_mounts(read_only, "--net"), ANYTOK_TEST_HUB_CHILD=order))
    check("without a network a download fails at once, and says so", code != 0 and "127.0.0.1" in text, text)
    for kind, script in [("sound", "true"), ("full", full), ("read-only", read_only), ("missing", missing)]:
        for _ in range(2):
            done = subprocess.run(
                [*with_mounts(script, "--net"), anytok, "encode", "testdata/models/llama-bpe.gguf", "--text", "Hello, world!"],
                capture_output=True,
                text=True,
                env=CLEAN | {"ANYTOK_CACHE_DIR": str(disk)},
                timeout=30,
            )
            found = done.returncode == 0 and done.stdout.split() == "407 506 11 547 0".split()
            check(f"a {kind} store is no error", found, done.stdout + done.stderr)
        disk.mkdir(exist_ok=True)


def main():
    begun = time.monotonic()
    ours, python = place / "ours", place / "python"
    contents = the_fake_hub_is_faithful(python)
    our_cache_is_read_by_python(ours, contents)
    an_absence_alone_is_no_corruption(place / "absence")
    damage_is_repaired(ours)
    with socket.create_server(("127.0.0.1", 0)) as unanswered:
        nobody = f"http://127.0.0.1:{unanswered.getsockname()[1]}"
        pythons_cache_is_read_by_us(python, nobody)
    locks_may_be_of_no_use()
    a_kill_at_any_moment_leaves_a_readable_cache()
    a_private_authority_is_trusted_when_named()
    disks_may_be_bad(sys.argv[2])
    log, _ = server.communicate(timeout=30)
    cdn = [line for line in log.splitlines() if line.startswith("Cdn ")]
    check("the CDN never saw an Authorization header", cdn and not any("authorization=true" in line for line in cdn))
    print(f"{passed} checks in {time.monotonic() - begun:.0f} s against huggingface_hub {huggingface_hub.__version__}")


try:
    main()
finally:
    server.kill()
    shutil.rmtree(place, ignore_errors=True)
