"""What the Python programs share: arguments, events on standard output, the records of the round trip."""

import sys
import threading
import time


class Worker:
    """Runs one role: a function that gets the arguments."""

    def __init__(self):
        self.role = sys.argv[1]
        self.args = dict(a.split("=", 1) for a in sys.argv[2:])
        self.leaving = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in sys.stdin:
            if line.strip() == "leave":
                self.leaving.set()

    def __getattr__(self, name):
        return self.args[name]

    def run(self, roles):
        roles[self.role](self)
        say("left")


def say(*words):
    sys.stdout.write(" ".join(str(w) for w in words) + "\n")
    sys.stdout.flush()


def spans(offsets):
    """(first, last) of each run of consecutive offsets."""
    first = last = None
    for at in offsets:
        if last is not None and at == last + 1:
            last = at
            continue
        if first is not None:
            yield first, last
        first = last = at
    if first is not None:
        yield first, last


PARTITIONS = 3


def records(run, start, count=60):
    """The records of one run: (partition, key, value, headers, timestamp)."""
    out = []
    for i in range(count):
        key = None if i % 5 == 0 else f"k{i}".encode()
        value = None if key is not None and i % 7 == 0 else b"" if i % 7 == 1 else f"{run} {i} ".encode() * (i * 20 + 1)
        headers = [("run", run.encode()), ("n", str(i).encode()), ("n", b"again"), ("empty", b"")]
        out.append((i % PARTITIONS, key, value, headers, start + i))
    return out


def compare(sent, read):
    """Both map a run to its records; the order counts within a partition."""
    for run, want in sent.items():
        got = read.get(run, [])
        for p in range(PARTITIONS):
            w, g = [r for r in want if r[0] == p], [r for r in got if r[0] == p]
            if w != g:
                raise AssertionError(f"{run}, partition {p}: wrote {len(w)} records, read {len(g)}; first difference: "
                                     f"{next(((a, b) for a, b in zip(w, g) if a != b), None)}")
    if set(read) != set(sent):
        raise AssertionError(f"read runs {set(read)}, wrote {set(sent)}")
    say("compared", sum(len(r) for r in sent.values()))


def now_ms():
    return int(time.time() * 1000)


def require(condition, what):
    if not condition:
        raise AssertionError(what)


def eventually(what, read, want):
    """Apache Kafka shows a change a moment after it has answered it."""
    until = time.time() + 10
    while read() != want:
        require(time.time() < until, f"{what}: {read()}, not {want}")
        time.sleep(0.02)
