"""`keywright demo` in a real browser, with and without JavaScript."""

import json
import subprocess

import cache
import processes


def walk(journey):
    with journey.step("the demo says in one line that it is ready"):
        demo = processes.start(
            journey.stack,
            [journey.binary, "demo", "--json"],
            log=journey.folder / "demo.log",
            stdout=subprocess.PIPE,
            text=True,
            cwd=journey.folder,
        )
        line = demo.stdout.readline()
        assert line, processes.tail(journey.folder / "demo.log")
        ready = json.loads(line)
        people = ready["people"]
        assert len(people) == 3 and ready["issuer"] != ready["upstream"], ready
    for person, scripts in ((people[0], "on"), (people[1], "off")):
        with journey.step(f"Chromium with JavaScript {scripts} walks through the app and back out"):
            _walk_in_chromium(journey, ready, person, scripts)
    with journey.step("the demo ends when asked and leaves nothing behind"):
        demo.terminate()
        assert demo.wait(30) == 0, demo.returncode
        left = {entry.name for entry in journey.folder.iterdir()} - {"demo.log"}
        assert all(name.endswith(".png") for name in left), left


def _walk_in_chromium(journey, ready, person, scripts):
    processes.run(
        [cache.node(), cache.node_script("demo-browser.mjs")],
        timeout=300,
        environment={
            "APP": ready["app"],
            "ISSUER": ready["issuer"],
            "UPSTREAM": ready["upstream"],
            "USERNAME": person["username"],
            "PASSWORD": person["password"],
            "SCRIPTS": scripts,
            "PICTURES": str(journey.folder),
        },
    )
