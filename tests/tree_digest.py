#!/usr/bin/env python3
"""Prints the tree digest (docs/tree-digest.md, version 1) of directories or tar archives of one layer; -t: the text."""
import hashlib, os, stat, sys, tarfile
from urllib.parse import quote


def counts(name):
    return name == b"security.capability" or name.startswith(b"user.")


def line(path, letter, mode, uid, gid, rest=(), xattrs=()):
    mode = "-" if letter == "l" else "%04o" % (mode & 0o7777)
    pairs = ["%s=%s" % (quote(name, "/"), quote(value, "/")) for name, value in sorted(xattrs) if counts(name)]
    return path, " ".join([letter, quote(path, "/"), mode, str(uid), str(gid), *map(str, rest), *pairs]) + "\n"


def file_hash(stream):
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def from_directory(root):
    for folder, directories, files in os.walk(root, onerror=lambda error: sys.exit(str(error))):
        for name in directories + files:
            full = os.path.join(folder, name)
            s, rest, xattrs = os.lstat(full), (), ()
            letter = {stat.S_IFDIR: "d", stat.S_IFREG: "f", stat.S_IFLNK: "l", stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}[stat.S_IFMT(s.st_mode)]
            if letter in "df":
                xattrs = [(os.fsencode(x), os.getxattr(full, x)) for x in os.listxattr(full)]
            if letter == "f":
                with open(full, "rb") as stream:
                    rest = file_hash(stream)
            elif letter == "l":
                rest = (quote(os.readlink(full), "/"),)
            elif letter in "bc":
                rest = (os.major(s.st_rdev), os.minor(s.st_rdev))
            yield line(os.path.relpath(full, root), letter, s.st_mode, s.st_uid, s.st_gid, rest, xattrs)


def from_archive(name):
    with tarfile.open(name, encoding="utf-8", errors="surrogateescape") as archive:
        for m in archive:
            path, rest, member = os.fsencode(os.path.normpath(m.name)).lstrip(b"/"), (), archive._find_link_target(m) if m.islnk() else m
            letter = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b", tarfile.FIFOTYPE: "p"}.get(member.type, "f")
            xattrs = [(os.fsencode(k[13:]), os.fsencode(v)) for k, v in member.pax_headers.items() if k.startswith("SCHILY.xattr.")]
            rest = file_hash(archive.extractfile(member)) if letter == "f" else (quote(os.fsencode(member.linkname), "/"),) if letter == "l" else (member.devmajor, member.devminor) if letter in "bc" else ()
            if path != b".":
                yield line(path, letter, member.mode, member.uid, member.gid, rest, xattrs if letter in "df" else ())


for source in map(os.fsencode, sys.argv[2:] if sys.argv[1] == "-t" else sys.argv[1:]):
    lines = sorted(from_directory(source) if os.path.isdir(source) else from_archive(source))
    text = "luet-cosign-tree-v1\n" + "".join(text for _, text in lines)
    print(text[:-1] if sys.argv[1] == "-t" else "sha256:" + hashlib.sha256(text.encode()).hexdigest())
