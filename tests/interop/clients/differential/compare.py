"""The same steps against RabbitMQ and against fakebroker: `compare.py [THEME[.STEPS]...]`.

Each function of `themes/` is a check: it fails if what the two observe differs anywhere but where `known.toml` says so.
`DIFFERENTIAL_RABBITMQ=PORT` takes a RabbitMQ that runs; without it one is started. `DIFFERENTIAL_SHOW=1` prints all lines.
"""

import difflib
import importlib
import inspect
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import tomllib
import traceback

from scene import Scene

HERE = pathlib.Path(__file__).parent
DOCUMENT = HERE.parents[3] / "docs" / "what-is-honoured.md"


def main(wanted):
    steps = [each for each in all_steps() if not wanted or each[0] in wanted or each[0].split(".")[0] in wanted]
    known = tomllib.loads((HERE / "known.toml").read_text())
    known, additions = known.get("difference", []), known.get("addition", [])
    fake = os.environ["OPEN_HOST"], int(os.environ["OPEN_PORT"])
    with rabbitmq() as port:
        observed = [None, None]
        threads = [threading.Thread(target=observe, args=(steps, address, observed, index))
                   for index, address in enumerate([("127.0.0.1", port), fake])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    passed = []
    for (name, run), real, ours in zip(steps, *observed):
        passed.append(same(name, run, real, [without(line, additions) for line in ours], known))
    passed += [is_current(each, wanted) for each in known + additions]
    return all(passed)


def all_steps():
    """Every (THEME.NAME, function), in the order of their files."""
    for path in sorted((HERE / "themes").glob("*.py")):
        module = importlib.import_module(f"themes.{path.stem}")
        for name, run in vars(module).items():
            if inspect.isfunction(run) and run.__module__ == module.__name__ and not name.startswith("_"):
                yield f"{path.stem}.{name}", run


class rabbitmq:
    """A RabbitMQ node, for as long as the block takes."""

    def __enter__(self):
        self.node = None
        if port := os.environ.get("DIFFERENTIAL_RABBITMQ"):
            return int(port)
        command = [HERE.parents[1] / "others" / "rabbitmq"]
        self.node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = self.node.stdout.readline()
        assert ready.startswith("listening on "), "RabbitMQ does not start"
        return int(ready.rsplit(":", 1)[1])

    def __exit__(self, *_):
        if self.node:
            self.node.stdin.close()
            self.node.wait()


def observe(steps, address, observed, index):
    observed[index] = [lines_of(run, address) for _, run in steps]


def lines_of(run, address):
    began = time.monotonic()
    scene = Scene(*address)
    try:
        run(scene.client().channel())
    except Exception as failure:
        traceback.print_exc()
        scene.say(f"the steps failed: {type(failure).__name__}: {failure}")
    try:
        scene.end()
    except Exception as failure:
        traceback.print_exc()
        scene.say(f"cleaning up failed: {type(failure).__name__}: {failure}")
    if os.environ.get("DIFFERENTIAL_SHOW"):
        print(f"# {time.monotonic() - began:.2f} s at port {address[1]}: {run.__doc__}")
    return scene.lines


def same(name, run, real, ours, known):
    """Reports one check."""
    title = f"{name.split('.')[0]}: {run.__doc__}"
    if os.environ.get("DIFFERENTIAL_SHOW"):
        print("\n".join([f"# {name}", *(f"    {line}" for line in real)]))
    if failed := [line for line in real + ours if "the steps failed" in line or "cleaning up failed" in line]:
        print(f"not ok - {title}: {failed[0]}")
        return False
    news = []
    for pair in differences(real, ours):
        entry = next((each for each in known if (each["steps"], each["rabbitmq"], each["fakebroker"]) == (name, *pair)), None)
        if entry:
            entry["seen"] = True
        else:
            news.append(pair)
    for theirs, mine in news:
        print(f"# {name}\n    RabbitMQ:   {theirs}\n    fakebroker: {mine}")
    print(f"not ok - {title}: {len(news)} differences" if news else f"ok - {title}", flush=True)
    return not news


def without(line, additions):
    """A line of fakebroker without what later versions of RabbitMQ write too."""
    for each in additions:
        line, count = re.subn(each["fakebroker"], "", line)
        each["seen"] = each.get("seen") or count > 0
    return line


def differences(real, ours):
    """Pairs of lines that differ; one side is empty where it has no line."""
    for kind, a, b, c, d in difflib.SequenceMatcher(None, real, ours, False).get_opcodes():
        if kind != "equal":
            longest = max(b - a, d - c)
            left, right = real[a:b] + [""] * longest, ours[c:d] + [""] * longest
            yield from zip(left[:longest], right[:longest])


def is_current(entry, wanted):
    """Reports a known difference that the document does not have, and says which is none any more."""
    if not wanted and not entry.get("seen"):
        print(f"# known.toml: {entry.get('steps', 'nothing')} differs no more: {entry['fakebroker']}")
    if entry["reason"] not in " ".join(DOCUMENT.read_text().split()):
        print(f"not ok - known.toml: {DOCUMENT.name} does not say: {entry['reason']}")
        return False
    return True


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
