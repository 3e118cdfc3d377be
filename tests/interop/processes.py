"""Programs that the journeys start: each on a loopback port, each stopped by its own id."""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

END_WITHIN = 20


def free_port():
    """A port that nothing listens on just now, outside the range that outgoing connections use."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def start(stack, command, log, ready=None, within=90, environment=None, **options):
    """Starts a program that ends with `stack`; returns once `ready`, an address, answers 200."""
    output = stack.enter_context(open(log, "ab"))
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=options.pop("stdout", output),
        stderr=output,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
        **options,
    )
    stack.callback(stop, process)
    if ready:
        _wait_for(process, ready, log, within)
    return process


def stop(process):
    """Asks the program to end and waits; insists, then also on what it has started itself."""
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(END_WITHIN)
    except subprocess.TimeoutExpired:
        signal_group(process, signal.SIGKILL)
        process.wait()


def signal_group(process, which):
    """Sends a signal to the program and to what it has started itself."""
    # Each program leads a process group of its own, which has its id.
    os.killpg(process.pid, which)


def run(command, timeout=60, environment=None, given=None, cwd=None):
    """Runs a program to its end and returns what it printed; fails when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        input=given or "",
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        check=False,
    )
    shown = " ".join(str(part) for part in command[:4])
    assert done.returncode == 0, f"`{shown}` ended with {done.returncode}: {done.stderr[-800:]}"
    return done.stdout


def wait_until(condition, within=15, every=0.2):
    """Waits for something that another program does in its own time."""
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, f"did not happen within {within} s"
        time.sleep(every)


def tail(log, lines=15):
    """The last lines of a log, without colours."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(text.splitlines()[-lines:]))


def _wait_for(process, address, log, within):
    give_up = time.monotonic() + within
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise AssertionError(f"ended at start with {process.returncode}:\n{tail(log)}")
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"{address} did not answer within {within} s:\n{tail(log)}")
