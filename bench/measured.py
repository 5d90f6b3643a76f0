#!/usr/bin/env python3
"""Runs a command and prints its seconds, and in KiB the largest resident set of all of it and of what came after the
first line of its output: by then a key is open, which takes 66 MiB for a moment in any program.

    measured.py COMMAND...      prints SECONDS PEAK PEAK_AFTER EXIT_CODE
"""
import os
import subprocess
import sys
import threading
import time

began = time.monotonic()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
after = 0
first = threading.Event()
ended = threading.Event()


def resident():
    try:
        with open("/proc/%d/status" % process.pid) as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        return 0


def watch():
    global after
    first.wait()
    # Asking the process whether it ended would take its numbers from the one who waits for it.
    while not ended.wait(0.02):
        after = max(after, resident())


watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
for _ in process.stdout:
    first.set()
first.set()
_, status, usage = os.wait4(process.pid, 0)
ended.set()
seconds = time.monotonic() - began
print("%.3f %d %d %d" % (seconds, usage.ru_maxrss, after, os.waitstatus_to_exitcode(status)))
