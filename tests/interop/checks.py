"""What the Python clients share: the brokers they are given, and how their checks are run and reported.

A check is a function; its docstring is its name. It fails by raising, and by not being done in time.
"""

import os
import signal
import sys
import traceback
import uuid

DEADLINE = 20  # seconds

OPEN = f"{os.environ['OPEN_HOST']}:{os.environ['OPEN_PORT']}"
AUTH = f"{os.environ['AUTH_HOST']}:{os.environ['AUTH_PORT']}"
USER = os.environ["AUTH_USER"]
PASSWORD = os.environ["AUTH_PASSWORD"]

BIG = bytes(i * i % 251 for i in range(1 << 16)) * 160  # 10 MB
MANY = 10_000


class Skip(Exception):
    """Says why this client cannot make the check."""


class Late(BaseException):
    """Not an `Exception`: clients catch those in their callbacks."""


def unique(prefix):
    return f"{prefix}.{uuid.uuid4().hex}"


def in_order(received):
    """Fails unless these are the numbers from 0 to MANY."""
    wrong = next((at for at, number in enumerate(received) if number != at), len(received))
    assert wrong == len(received) == MANY, f"{len(received)} arrived, in order up to {wrong}"


def within(seconds):
    """For a check that may take longer than the others."""
    def mark(check):
        check.seconds = seconds
        return check
    return mark


def run(*checks):
    """Makes the checks in order and exits: 0 only if none failed."""
    signal.signal(signal.SIGALRM, _late)
    passed = [_passes(check) for check in checks]
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if all(passed) else 1)  # Whatever threads a failed check left behind.


def _passes(check):
    seconds = getattr(check, "seconds", DEADLINE)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        check()
    except Skip as why:
        print(f"skip - {check.__doc__}: {why}", flush=True)
    except (Exception, Late) as failure:
        signal.setitimer(signal.ITIMER_REAL, 0)
        traceback.print_exc()
        said = " ".join(f"{type(failure).__name__}: {failure}".split())
        print(f"not ok - {check.__doc__}: {said}", flush=True)
        return False
    else:
        print(f"ok - {check.__doc__}", flush=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return True


def _late(_signal, _frame):
    raise Late("not done in time")
