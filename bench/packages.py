#!/usr/bin/env python3
"""Sends the two events of many packages of one run, as a host does, and compares the last hundred with the first.

    packages.py PLUGIN REPOSITORY LAYER COUNT      prints LAST/FIRST KIB_FIRST KIB_LAST FILES

REPOSITORY has COUNT tags, t1 and on, all of one image whose layer is the tar file LAYER. The environment says whom to
trust. The ratio is of medians of CPU time, memory is the largest resident set of an event, FILES is how many the run's
folder has for each package.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile

plugin, repository, layer, count = sys.argv[1:4] + [int(sys.argv[4])]


def event(name, number, dest):
    """Returns the seconds of CPU and the KiB that one event took; it has to be accepted."""
    data = json.dumps({"Image": f"{repository}:t{number}", "Dest": dest})
    words = [plugin, name, json.dumps({"name": name, "data": data, "file": ""})]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    answer = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    if status or answer["error"]:
        sys.exit(f"{name} {number}: exit {status}: {answer}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


events = []
with tempfile.TemporaryDirectory() as folder:
    for number in range(1, count + 1):
        dest = f"{folder}/{number}"
        os.mkdir(dest, 0o700)
        before = event("image.pre.unpack", number, dest)
        subprocess.run(["tar", "-C", dest, "-xf", layer], check=True)
        after = event("image.post.unpack", number, dest)
        events.append((before[0] + after[0], max(before[1], after[1])))
runs = os.path.join(os.environ["LUET_COSIGN_STATE"], "runs")
files = sum(len(names) for _, _, names in os.walk(runs))
first, last = events[:100], events[-100:]
ratio = statistics.median(seconds for seconds, _ in last) / statistics.median(seconds for seconds, _ in first)
print("%.2f %d %d %.2f" % (ratio, max(kib for _, kib in first), max(kib for _, kib in last), files / count))
