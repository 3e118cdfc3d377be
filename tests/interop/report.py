"""One line for each step of each journey, and the count at the end."""

import contextlib
import time
import traceback


class Abandoned(Exception):
    """A step failed, and the steps after it cannot be walked."""


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    @contextlib.contextmanager
    def step(self, journey, text):
        """Walks one step; when it fails, says so and why, and abandons the journey."""
        start = time.monotonic()
        try:
            yield
        except (Exception, SystemExit) as fault:
            self.failed += 1
            print(f"FAIL {journey}: {text}", flush=True)
            self._explain(fault)
            if not isinstance(fault, Exception):
                raise
            raise Abandoned from fault
        self.passed += 1
        print(f"ok   {journey}: {text} ({time.monotonic() - start:.1f} s)", flush=True)

    @staticmethod
    def _explain(fault):
        frames = traceback.extract_tb(fault.__traceback__)
        inside = [frame for frame in frames if "/journeys/" in frame.filename]
        for place in {frame.lineno: frame for frame in (*inside[-1:], frames[-1])}.values():
            print(f"     at {place.filename}:{place.lineno}: {place.line}", flush=True)
        message = str(fault) or type(fault).__name__
        print("     " + message.replace("\n", "\n     "), flush=True)


class Journey:
    """What a journey is given: its name, its own folder, and everything that ends with it."""

    def __init__(self, name, folder, stack, binary, report):
        self.name, self.folder, self.stack, self.binary = name, folder, stack, binary
        self._report = report

    def step(self, text):
        """`with journey.step("what is shown"):`"""
        return self._report.step(self.name, text)

    def measured(self, text, seconds, most):
        """Prints how long something took, which may be at most so long."""
        print(f"     {self.name}: {seconds:.1f} s {text} (at most {most} s)", flush=True)
        assert seconds <= most, f"{seconds:.1f} s {text}, not at most {most} s"
