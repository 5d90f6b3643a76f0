#!/usr/bin/env python3
"""Makes docs/images/*.svg: what `check`, `policy lint` and `doctor` print on a terminal, from the real program.

    BIN=PROGRAM cargo run -p e2e --bin services -- docker-registry -- .ci/screenshots.py

Needs rich (`pip install rich==15.0.0`), and docker-registry and crane (.ci/tools.sh). BIN is an absolute path.
"""

import os
import pathlib
import pty
import re
import subprocess
import tempfile

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text
import rich._export_format

TOP = pathlib.Path(__file__).resolve().parent.parent
BIN = os.environ["BIN"]
HOST = os.environ["DOCKER_REGISTRY"]
WIDTH = 108


def terminal(words, folder, environment):
    """What a command prints on a terminal, colours included."""
    main, child = pty.openpty()
    with subprocess.Popen(words, cwd=folder, env=environment, stdin=child, stdout=child, stderr=child) as running:
        os.close(child)
        text = b""
        while True:
            try:
                piece = os.read(main, 1 << 16)
            except OSError:
                break
            if not piece:
                break
            text += piece
        running.wait()
    os.close(main)
    return text.decode().replace("\r\n", "\n")


def picture(name, command, text):
    """Writes the picture. Its letters are those of the reader's machine: nothing is fetched."""
    look = re.sub(r"@font-face \{\{.*?\}\}\n?", "", rich._export_format.CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w", encoding="utf-8"), force_terminal=True)
    console.print(f"$ {command}", style="bold", highlight=False, markup=False)
    console.print(Text.from_ansi(text))
    svg = console.export_svg(title="", theme=MONOKAI, code_format=look, unique_id=name)
    path = TOP / f"docs/images/{name}.svg"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")
    print(path.relative_to(TOP))


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "bin").mkdir()
        (folder / "bin/luet-cosign").symlink_to(BIN)
        environment = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder), "TERM": "xterm-256color", "COLUMNS": str(WIDTH),
                       "LUET_PLUGIN": "luet-cosign", "LUET_COSIGN_STATE": str(folder / "state"), "COSIGN_PASSWORD": "secret"}

        def run(*words):
            subprocess.run([str(word) for word in words], cwd=folder, env=environment, check=True, capture_output=True)

        (folder / "tool").write_text("a tool\n")
        run("tar", "-cf", "layer.tar", "tool")
        for tag in ("yip-1.0", "beer-1.0"):
            run("crane", "append", "--oci-empty-base", "-f", "layer.tar", "-t", f"{HOST}/acme/packages:{tag}")
        run(BIN, "generate-key-pair", "--output-key-prefix", "acme")
        run(BIN, "sign", "--key", "acme.key", f"{HOST}/acme/packages:yip-1.0")
        (folder / "policy.yaml").write_text(
            "version: 1\ndefaults: {unmatched: deny}\nsigners:\n  acme: {key: acme.pub}\nrepositories:\n"
            f"  - {{name: acme, scope: {HOST}/acme/packages, trust: [acme]}}\n")
        (folder / "broken.yaml").write_text(
            "version: 1\ndefaults: {unmatched: deny}\nsigners:\n  acme: {kye: acme.pub}\nrepositories:\n"
            "  - {name: acme, scope: registry.example/acme/*, trust: [acme]}\n"
            "  - {name: open, scope: '**', unsigned: allow}\n")

        def shown(name, words):
            text = terminal([BIN, *words], folder, environment)
            command = " ".join(["luet-cosign", *words])
            text, command = (part.replace(HOST, "registry.example").replace(str(folder), "/home/user") for part in (text, command))
            picture(name, command, text)

        shown("check", ["check", "--policy", "policy.yaml", f"{HOST}/acme/packages:yip-1.0", f"{HOST}/acme/packages:beer-1.0"])
        shown("policy-lint", ["policy", "lint", "--policy", "broken.yaml"])
        shown("doctor", ["doctor"])


main()
