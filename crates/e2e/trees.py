#!/usr/bin/env python3
"""Makes images of the strangest trees that unpackers agree on, as an OCI layout: trees.py FOLDER COUNT|many|huge

COUNT: that many varied images t000.. in FOLDER/layout, which FOLDER/trees.json describes, and FOLDER/TAG.tar where an image
has one layer. `many` and `huge` are one image of 100,000 files and one of 1 GiB, in FOLDER/layout.

Python, because its tarfile writes all that is needed here: PAX and GNU headers, extended attributes, devices, names of any
bytes; and is not the code that is under test.
"""
import hashlib, io, json, os, random, subprocess, sys, tarfile, tempfile, zlib

OWN = 65534
NAMES = ["plain", "ünïcödé-✓-日本", "new\nline", "tab\there", " leading and trailing ", "-rf", "back\\slash", "quote'\"", "%2e%2e", "a" * 255,
         "e\u0301 combining", ".hidden", "...", ".wh", "*?[x]", "\x01\x1b[31m", "percent%s"]

def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def packed(content):
    """Compresses quickly, and to the same bytes each time."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    body = packer.compress(content) + packer.flush()
    tail = zlib.crc32(content).to_bytes(4, "little") + (len(content) & 0xffffffff).to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + body + tail


class Layer:
    def __init__(self, rng, own, format):
        self.rng, self.own, self.buffer, self.names = rng, own, io.BytesIO(), set()
        self.archive = tarfile.open(fileobj=self.buffer, mode="w", format=format, encoding="utf-8", errors="surrogateescape")
        self.rich = format == tarfile.PAX_FORMAT
    def member(self, path, kind, mode):
        assert path not in self.names, path
        self.names.add(path)
        member = tarfile.TarInfo(path)
        member.type, member.mode, member.mtime = kind, mode, self.rng.randrange(1 << 31)
        member.uid = member.gid = OWN
        if not self.own:
            member.uid, member.gid = self.rng.choice([0, 0, 1000, 65534, 200000]), self.rng.choice([0, 0, 7, 65534])
        return member
    def directory(self, path, mode=None):
        mode = mode if mode is not None else self.rng.choice([0o755, 0o755, 0o700] if self.own else [0o755, 0o700, 0o1777, 0o2755, 0o555, 0])
        member = self.member(path, tarfile.DIRTYPE, mode)
        if self.rich and self.rng.random() < .1: member.pax_headers["SCHILY.xattr.user.dir"] = "of a directory"
        self.archive.addfile(member)
    def file(self, path, content, mode=None, xattrs={}):
        mode = mode if mode is not None else self.rng.choice([0o644, 0o755, 0o600, 0o444] if self.own else [0o644, 0o755, 0o600, 0, 0o4755, 0o2755, 0o1644])
        member = self.member(path, tarfile.REGTYPE, mode)
        member.size = len(content)
        member.pax_headers.update({"SCHILY.xattr." + name: value for name, value in xattrs.items()})
        self.archive.addfile(member, io.BytesIO(content))
        return member
    def link(self, path, target):
        member = self.member(path, tarfile.LNKTYPE, target.mode)
        member.uid, member.gid, member.linkname = target.uid, target.gid, target.name
        self.archive.addfile(member)
    def symlink(self, path, target):
        member = self.member(path, tarfile.SYMTYPE, 0o777)
        member.linkname = target
        self.archive.addfile(member)
    def device(self, path, kind, major, minor):
        member = self.member(path, kind, 0o660)
        member.devmajor, member.devminor = major, minor
        self.archive.addfile(member)
    def whiteout(self, path):
        self.file(path, b"", 0o644)
    def bytes(self):
        self.archive.close()
        return self.buffer.getvalue()

def content(rng):
    size = rng.choice([0, 1, 100, 511, 512, 513, 4096, 70000, 300000])
    return (rng.randbytes(min(size, 3000)) * (size // 3000 + 1))[:size]

def base(rng, layer, own, features):
    """The first layer: a bit of everything that is asked for."""
    directories = ["d"]
    if "implied" not in features: layer.directory("d", 0o755)
    for depth in range(rng.randrange(1, 4)):
        directories.append(f"{rng.choice(directories)}/s{depth}")
        layer.directory(directories[-1], 0o755)
    files = [layer.file(f"{rng.choice(directories)}/f{i}", content(rng)) for i in range(rng.randrange(1, 12))]
    if "links" in features:
        layer.directory("zlinks", 0o755)
        for i in range(6):
            layer.link(f"{rng.choice([*directories, 'zlinks'])}/hard{i}", rng.choice(files))
    if "xattrs" in features and layer.rich:
        layer.file("d/attr", b"x", 0o644, {"user.a": "1", "user.umlaut.ü": "wert✓", "user.nul": "a\0b"})
        if not own: layer.file("d/ping", b"x", 0o755, {"security.capability": "\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0"})
    if "setuid" in features:
        for mode in (0o4755, 0o2755, 0o6711, 0o1755): layer.file(f"d/mode{mode:o}", b"x", mode)
        layer.directory("d/sticky", 0o1777)
        layer.directory("d/setgid", 0o2755)
    if "devices" in features and not own:
        for name, kind in (("char", tarfile.CHRTYPE), ("block", tarfile.BLKTYPE), ("fifo", tarfile.FIFOTYPE)):
            layer.device("d/" + name, kind, *((0, 0) if kind == tarfile.FIFOTYPE else (rng.randrange(300), rng.randrange(1000))))
    if "names" in features:
        layer.directory("names", 0o755)
        for name in rng.sample(NAMES, 10): layer.file("names/" + name, content(rng))
        if not layer.rich: layer.file("names/" + os.fsdecode(b"bytes \xff\xfe"), b"x")
        layer.directory("names/" + "ü\n" * 30, 0o755)
        layer.symlink("names/" + "ü\n" * 30 + "/link", "../" + "x/" * 90 + "end\n")
    if "empty" in features:
        for i in range(20): layer.directory(f"d/empty{i}")
        path = "d"
        for i in range(40):
            path += f"/deeper{i}"
            layer.directory(path, 0o755)
    if "symlinks" in features:
        for i, target in enumerate(["/etc/passwd", "../../../..", "nowhere", ".", "d", "self", "a" * 3000]): layer.symlink(f"d/link{i}", target)
    return directories

def upper(rng, layer, number, features, lower):
    """A layer above: changes what is below, and has something of its own."""
    layer.directory(f"up{number}", 0o755)
    layer.file(f"up{number}/own", content(rng))
    files = [name for name, kind in lower.items() if kind == "f" and not name.startswith("up")]
    if files and rng.random() < .8:
        layer.file(rng.choice(files), content(rng))  # replaced by another content, mode and owner
    if files and "whiteouts" in features:
        name = rng.choice([name for name in files if name not in layer.names] or files)
        if name not in layer.names:
            folder, _, last = name.rpartition("/")
            layer.whiteout(f"{folder}/.wh.{last}" if folder else f".wh.{last}")
            lower.pop(name)
    previous = f"up{number - 1}"
    if lower.get(previous) == "d" and "whiteouts" in features:
        what = rng.choice(["whiteout", "mode", "leave", "symlink", "file"])
        if what == "mode": layer.directory(previous, 0o700)
        elif what != "leave":
            if what == "whiteout": layer.whiteout(f".wh.{previous}")
            elif what == "symlink": layer.symlink(previous, "d")
            else: layer.file(previous, b"was a directory")
            for name in [name for name in lower if name == previous or name.startswith(previous + "/")]: lower.pop(name)
    if "opaque" in features and lower.get("d") == "d" and number == 1:
        layer.directory("d", 0o755)
        layer.whiteout("d/.wh..wh..opq")
        layer.file("d/after", b"opaque")

def sparse(rng, own):
    """As GNU tar writes it, from a real folder."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(folder + "/sparse", 0o755)
        for i in range(3):
            with open(f"{folder}/sparse/s{i}", "wb") as file:
                for _ in range(rng.randrange(1, 4)):
                    file.seek(rng.randrange(1, 60) << 15, 1)
                    file.write(rng.randbytes(rng.randrange(1, 9000)))
                if i: file.truncate(file.tell() + (i << 20))
        owner = [f"--owner=:{OWN}", f"--group=:{OWN}"] if own else ["--owner=:0", "--group=:0"]
        return subprocess.run(["tar", "-C", folder, "--sparse", "--format=pax", "--numeric-owner", *owner, "-c", "sparse"],
                              check=True, stdout=subprocess.PIPE).stdout

FEATURES = ["links", "xattrs", "setuid", "devices", "names", "empty", "symlinks", "whiteouts", "opaque", "implied", "sparse"]

def image(number, own):
    rng = random.Random(number)
    features = {FEATURES[number % len(FEATURES)], *rng.sample(FEATURES[:8], 3)}
    count = 1 if number % 2 == 0 else rng.choice([2, 3, 5, 8, 30])
    layers, lower = [], {}
    if features & {"whiteouts", "opaque"} and number % 2 == 0: features -= {"opaque"}
    for i in range(count):
        layer = Layer(rng, own, tarfile.GNU_FORMAT if rng.random() < .3 else tarfile.PAX_FORMAT)
        if i == 0: base(rng, layer, own, features)
        else: upper(rng, layer, i, features, lower)
        kinds = {member.name: "d" if member.isdir() else "f" if member.isreg() else "x" for member in layer.archive.getmembers()}
        # Hard links and what they point at stay as they are: replacing one name of several is another matter.
        linked = {member.linkname for member in layer.archive.getmembers() if member.islnk()}
        lower.update({name: kind for name, kind in kinds.items() if not name.rpartition("/")[2].startswith(".wh.") and name not in linked})
        layers.append(layer.bytes())
    if "sparse" in features: layers[:0] = [sparse(rng, own)] if count > 1 else []; layers[:] = layers if count > 1 else [sparse(rng, own)]
    return layers, features

def described(layers, plain=False):
    """The blobs of an image, its manifest last."""
    blobs = [layer if plain else packed(layer) for layer in layers]
    kind = "application/vnd.oci.image.layer.v1.tar" + ("" if plain else "+gzip")
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(l) for l in layers]}}).encode()
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
                "layers": [{"mediaType": kind, "digest": digest(blob), "size": len(blob)} for blob in blobs]}
    return [*blobs, config, json.dumps(manifest).encode()]

def many():
    rng = random.Random(1)
    layer = Layer(rng, False, tarfile.USTAR_FORMAT)
    for i in range(100):
        layer.directory(f"folder-{i}", 0o755)
        for j in range(1000): layer.file(f"folder-{i}/a-file-with-a-name-{j}", rng.randbytes(rng.randrange(64)), 0o644)
    return layer.bytes()

def huge():
    """Packs well, so that registry and disk are not what is measured; 64 files of 16 MiB."""
    rng = random.Random(2)
    layer = Layer(rng, False, tarfile.USTAR_FORMAT)
    layer.directory("huge", 0o755)
    for i in range(64): layer.file(f"huge/{i}", rng.randbytes(16384) * 1024, 0o644)
    return layer.bytes()

folder, what = sys.argv[1:]
blobs_of = f"{folder}/layout/blobs/sha256"
os.makedirs(blobs_of)
index, list_ = [], []


def add(tag, blobs):
    for blob in blobs: open(f"{blobs_of}/{digest(blob)[7:]}", "wb").write(blob)
    index.append({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(blobs[-1]), "size": len(blobs[-1]),
                  "annotations": {"org.opencontainers.image.ref.name": tag}})


if not what.isdigit():
    add(what, described([{"many": many, "huge": huge}[what]()]))
    list_.append({"tag": what, "own": False, "layers": 1, "tree": True})
else:
    for number in range(int(what)):
        own, tag = number >= int(what) * 4 // 5, f"t{number:03}"
        layers, features = image(number, own)
        add(tag, described(layers, plain=number % 9 == 4))
        if len(layers) == 1: open(f"{folder}/{tag}.tar", "wb").write(layers[0])
        # Where the meanings differ, or a directory is listed nowhere, there is no digest of the tree: then the layers decide.
        tree = not ("opaque" in features and len(layers) > 1 or "implied" in features and not (len(layers) == 1 and "sparse" in features))
        list_.append({"tag": tag, "own": own, "layers": len(layers), "tree": tree})
json.dump({"schemaVersion": 2, "manifests": index}, open(f"{folder}/layout/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(f"{folder}/layout/oci-layout", "w"))
json.dump(list_, open(f"{folder}/trees.json", "w"))
