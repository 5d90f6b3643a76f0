#!/usr/bin/env python3
"""Renders the documents to one static site with search, by mdBook, and checks every link of it.

    .ci/site.py OUTPUT

The pages and their order are those of docs/README.md; what they link to is in the site as well. Needs `mdbook` on PATH
(.ci/tools.sh). The last line counts the pages: `N passed, M failed`.
"""

import html.parser
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

TOP = pathlib.Path(__file__).resolve().parent.parent
BOOK = """[book]
title = "luet-cosign"
language = "en"
[output.html]
default-theme = "light"
input-404 = ""
git-repository-icon = "fab-git-alt"
[output.html.print]
enable = false
[output.html.search]
limit-results = 20
"""


def tracked():
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=TOP, text=True).split("\0")
    return [name for name in names if name and (TOP / name).is_file()]


def title(page):
    heading = re.search(r"^# (.*)$", (TOP / page).read_text(encoding="utf-8"), re.MULTILINE)
    return heading[1].strip().replace("[", "").replace("]", "") if heading else page


def summary(pages):
    """The table of contents: the tables of docs/README.md, then every other page."""
    lines, seen = ["# Summary", "", "[luet-cosign](README.md)", "[Documentation](docs/README.md)"], {"README.md", "docs/README.md"}
    for line in (TOP / "docs/README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            lines += ["", f"# {line[3:]}", ""]
        found = re.match(r"\| (?:(?!\[)(?P<task>[^|]+) \| )?\[[^]]+\]\((?P<page>[a-z0-9-]+\.md)\)", line)
        if found:
            page = f"docs/{found['page']}"
            if page in seen:
                continue
            if len(seen) == 2:
                lines += ["", "# By task", ""]
            text = found["task"] or title(page)
            lines.append(f"- [{text[0].upper()}{text[1:]}]({page})")
            seen.add(page)
    lines += ["", "# Project", ""]
    lines += [f"- [{title(page)}]({page})" for page in pages if page not in seen]
    return "\n".join(lines) + "\n"


class Links(html.parser.HTMLParser):
    """What a page links to, and what it can be linked by."""

    def __init__(self):
        super().__init__()
        self.links, self.anchors = [], set()

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name in ("id", "name") and value:
                self.anchors.add(value)


def broken(output, rendered):
    pages = {}
    for path in rendered:
        pages[path] = Links()
        pages[path].feed((output / path).read_text(encoding="utf-8"))
    for path, page in pages.items():
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (output / path).parent / urllib.parse.unquote(parts.path) if parts.path else output / path
            target = target.resolve()
            if not target.is_relative_to(output) or not target.exists():
                yield path, link
            elif parts.fragment and target.suffix == ".html":
                name = target.relative_to(output)
                if name in pages and urllib.parse.unquote(parts.fragment) not in pages[name].anchors:
                    yield path, link


def main(output):
    output = pathlib.Path(output).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        source = scratch / "src"
        names = [name for name in tracked() if not name.startswith((".github/", "src/", "tests/", "crates/", "bench/"))]
        pages = [name for name in names if name.endswith(".md")]
        for name in names:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".md"):
                # mdBook calls the page of a README `index`.
                text = re.sub(r"(\]\([^)\s]*)README\.md", r"\1index.md", (TOP / name).read_text(encoding="utf-8"))
                (source / name.replace("README.md", "index.md")).write_text(text, encoding="utf-8")
            else:
                shutil.copyfile(TOP / name, source / name)
        (source / "SUMMARY.md").write_text(summary(pages).replace("README.md", "index.md"), encoding="utf-8")
        (scratch / "book.toml").write_text(BOOK, encoding="utf-8")
        subprocess.run(["mdbook", "build", "--dest-dir", str(output), str(scratch)], check=True)
    rendered = [path.relative_to(output) for path in sorted(output.rglob("*.html"))]
    bad = list(broken(output, rendered))
    for path, link in bad:
        print(f"{path}: {link} leads nowhere")
    if not (output / "index.html").exists() or len(rendered) < len(pages):
        bad.append(("index.html", "a page is missing"))
    print(f"{len(rendered) - len({path for path, _ in bad})} passed, {len({path for path, _ in bad})} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else __doc__)
