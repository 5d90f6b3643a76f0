#!/usr/bin/env bash
#
# What is unpacked is what was verified: hosts, a registry that lies to one of its clients, and the plugin in between.
#
#   .ci/unpack.sh             everything; .ci/tools.sh must have run, as root
#   .ci/unpack.sh WORD...     only the checks with a WORD in their name, to work on one: `mirror`, `luet-host, ours`
#
#   BIN=PATH    the program (default: the static release build)
#   LUET=PATH   the real luet (default: the one on PATH). Without one the stand-in host is the only host, and the end says so.
#   TREES=200   how many varied trees
#
# A check prints `ok NAME`, or `FAILED NAME` with all that was seen. The last line is `N passed, M failed`. Every attack has
# to stop the host with exit 2 before anything is in its cache or its root, and the text has to name the file; every check of
# "no false alarm" has to end well without a word. Nothing is left behind: all lies in one scratch folder.
# shellcheck disable=SC2317 # checks are called by their names
set -uo pipefail

TREES=${TREES:-200}
only=("$@")

# shellcheck source=checks.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/checks.sh" || exit 1

# --- checks ----------------------------------------------------------------------------------------------------------

host=
maker=

# check NAME COMMAND...: one check (see `attempt`), unless other words were asked for.
check() {
    local name="${host:+$host, }${maker:+$maker, }$1"
    wanted "$name" || return 0
    attempt "$name" "${@:2}"
    : >"$work/script"
}

wanted() {
    local word
    [ ${#only[@]} -gt 0 ] || return 0
    for word in "${only[@]}"; do
        [[ $1 != *"$word"* ]] || return 0
    done
    return 1
}

new_machine() {
    chmod 755 "$machine"
    mkdir -p "$machine/root" "$machine/tmp" "$machine/bin"
    install -d -m 700 "$machine/state" "$machine/runtime"
    export XDG_STATE_HOME=$machine/state XDG_RUNTIME_DIR=$machine/runtime TMPDIR=$machine/tmp
    export COSIGN_PUBLIC_KEY_LOCATION=$keys/acme.pub
    tmpdir_base=$machine/tmp/tmpluet
}

# --- tools -----------------------------------------------------------------------------------------------------------

write_tools() {
    mkdir -p "$tools_dir"

    # A registry in front of a registry that tells its clients different things, and may be slow.
    cat >"$tools_dir/liar.py" <<'EOT'
"""liar.py UPSTREAM SCRIPT [RATE]: the script has lines WHO<TAB>PATH<TAB>WHAT<TAB>ARGUMENTS, the first that fits counts.

WHO is host (go-containerregistry), plugin (luet-cosign) or any. WHAT is `as PATH` (what lies there), `body FILE`, `cut FILE
BYTES` (announces the whole file and breaks off) or `gone`. RATE is in bytes a second, for all answers together.
"""
import http.client, http.server, os, sys, threading, time
UPSTREAM, SCRIPT = sys.argv[1:3]
RATE = int(sys.argv[3]) if len(sys.argv) > 3 else 0
WHO = {"host": "go-containerregistry", "plugin": "luet-cosign", "any": ""}
link = threading.Lock()

class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def lie(self):
        for line in open(SCRIPT, encoding="utf-8"):
            who, path, what, *rest = line.rstrip("\n").split("\t")
            if WHO[who] in self.headers.get("User-Agent", "") and path == self.path.split("?")[0]:
                print("LIE", line.strip(), flush=True)
                return what, rest
        return None, None
    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body
    def send(self, piece):
        if RATE:
            with link:
                time.sleep(len(piece) / RATE)
        self.wfile.write(piece)
    def forward(self, path):
        headers = {name.title(): ", ".join(self.headers.get_all(name)) for name in self.headers.keys()}
        for name in ("Connection", "Transfer-Encoding", "Content-Length"):
            headers.pop(name, None)
        upstream = http.client.HTTPConnection(UPSTREAM, timeout=60)
        upstream.request(self.command, path, self.body(), headers)
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length")
        content = None if length is not None else answer.read()
        self.send_header("Content-Length", length if content is None else str(len(content)))
        self.end_headers()
        if content is not None:
            self.send(content)
        while self.command != "HEAD" and (piece := answer.read(4096 if RATE else 1 << 18)):
            self.send(piece)
        upstream.close()
    def answer(self):
        what, rest = self.lie()
        if what in (None, "as"):
            return self.forward(rest[0] if what else self.path)
        if what == "gone":
            content, kept = b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', None
        else:
            content = open(rest[0], "rb").read()
            kept = int(rest[1]) if what == "cut" else None
        self.send_response(404 if what == "gone" else 200)
        self.send_header("Content-Type", "application/json" if what == "gone" else "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        if kept:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:kept])
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
Server(("127.0.0.1", 0), Proxy).serve_forever()
EOT

    # What crane can't: layers that lie, manifests with other layers, images of any layers.
    cat >"$tools_dir/reg.py" <<'EOT'
"""reg.py layer IMAGE | manifest IMAGE | evil IMAGE FILE [--first PATH] [--change PATH] | swap FROM TAG FILE

evil writes the only layer of IMAGE with other bytes and of the same size; --first puts a file in front of all others. swap
stores the manifest of FROM with FILE in place of its layer, and the same configuration, as TAG.
"""
import gzip, hashlib, http.client, io, json, sys, tarfile, zlib
TYPES = ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"]

def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()

def split(image):
    address, rest = image.split("/", 1)
    path, at, reference = rest.partition("@")
    if not at:
        path, reference = rest.rsplit(":", 1)
    return address, path, reference

class Registry:
    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=60)
    def call(self, method, path, body=None, headers=None, good=(200, 201, 202)):
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status not in good:
            sys.exit("%s %s: %s %r" % (method, path, answer.status, content[:300]))
        return answer, content
    def manifest(self, path, reference):
        answer, content = self.call("GET", f"/v2/{path}/manifests/{reference}", headers={"Accept": ", ".join(TYPES)})
        return answer.getheader("Content-Type"), content
    def blob(self, path, name):
        return self.call("GET", f"/v2/{path}/blobs/{name}")[1]
    def has(self, path, name):
        return self.call("HEAD", f"/v2/{path}/blobs/{name}", good=(200, 404))[0].status == 200
    def put_blob(self, path, content, name=None):
        name = name or digest(content)
        if not self.has(path, name):
            location = self.call("POST", f"/v2/{path}/blobs/uploads/")[0].getheader("Location")
            location = "/" + location.split("/", 3)[3] if location.startswith("http") else location
            self.call("PUT", location + ("&" if "?" in location else "?") + "digest=" + name, content,
                      {"Content-Type": "application/octet-stream", "Content-Length": str(len(content))})
        return name
    def put_manifest(self, path, reference, kind, content):
        self.call("PUT", f"/v2/{path}/manifests/{reference}", content, {"Content-Type": kind})

def packed(content, size=None):
    """Compresses; to exactly so many bytes, by a field that readers of gzip pass over."""
    packer = zlib.compressobj(9 if size else 1, zlib.DEFLATED, -15)
    body = packer.compress(content) + packer.flush()
    tail = zlib.crc32(content).to_bytes(4, "little") + (len(content) & 0xffffffff).to_bytes(4, "little")
    if size is None:
        return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + body + tail
    fill = size - 12 - len(body) - len(tail)
    if not 0 <= fill < 65536:
        sys.exit("the evil layer is too large or too small: %d" % fill)
    return b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + fill.to_bytes(2, "little") + bytes(fill) + body + tail  # FEXTRA

def evil(image, first, change):
    address, path, reference = split(image)
    registry = Registry(address)
    layer = json.loads(registry.manifest(path, reference)[1])["layers"][-1]
    honest = tarfile.open(fileobj=io.BytesIO(gzip.decompress(registry.blob(path, layer["digest"]))))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        if first:
            member = tarfile.TarInfo(first)
            member.size, member.mode = 5, 0o755
            archive.addfile(member, io.BytesIO(b"EVIL\n"))
        for member in honest:
            content = honest.extractfile(member).read() if member.isfile() else b""
            if member.name.lstrip("./") == change:
                content = b"EVIL" + b" " * (len(content) - 5) + b"\n"
            if member.name.endswith("/filling"):  # the room that the rest needs
                content = content[:-4000] + bytes(4000)
            archive.addfile(member, io.BytesIO(content))
    return packed(out.getvalue(), layer["size"])

def swap(image, tag, file):
    address, path, reference = split(image)
    registry = Registry(address)
    kind, content = registry.manifest(path, reference)
    manifest, layer = json.loads(content), open(file, "rb").read()
    manifest["layers"][-1].update(digest=registry.put_blob(path, layer), size=len(layer))
    registry.put_manifest(path, tag, kind, json.dumps(manifest).encode())

if __name__ == "__main__":
    command, image, *rest = sys.argv[1:]
    if command == "layer":
        address, path, reference = split(image)
        print(json.loads(Registry(address).manifest(path, reference)[1])["layers"][-1]["digest"])
    elif command == "evil":
        options = dict(zip(rest[1::2], rest[2::2]))
        open(rest[0], "wb").write(evil(image, options.get("--first"), options.get("--change")))
    elif command == "swap":
        swap(image, *rest)
EOT

    # Stands on PATH as luet-cosign, does what WRAP says for one event of one image, and becomes the real one.
    cat >"$tools_dir/wrapper.py" <<'EOT'
import json, os, sys
event, image, what, *rest = os.environ["WRAP"].split("|")
if sys.argv[1] == event:
    payload = json.loads(json.loads(sys.argv[2])["data"])
    if payload["Image"].endswith(image):
        dest = payload["Dest"]
        def at(path): return os.path.join(dest, path)
        with open(os.environ["WRAP_LOG"], "a") as log: print(what, dest, file=log)
        if what == "extra": open(at("usr/bin/extra"), "w").write("EVIL")
        elif what == "change":
            with open(at("usr/bin/beer"), "r+") as file: file.write("EVIL")
        elif what == "missing": os.remove(at("etc/beer.conf"))
        elif what == "mode": os.chmod(at("etc/beer.conf"), 0o666)
        elif what == "setuid": os.chmod(at("usr/bin/beer"), 0o4755)
        elif what == "link": os.remove(at("usr/bin/ale")); os.symlink("/tmp/evil", at("usr/bin/ale"))
        elif what == "owner": os.chown(at("usr/bin/beer"), 1000, 1000)
        elif what == "replaced": os.remove(at("usr/bin/beer")); os.symlink("/bin/sh", at("usr/bin/beer"))
        elif what == "moved": os.rename(dest, dest + ".old"); os.mkdir(dest, 0o700)
        elif what == "label":
            for folder, directories, files in os.walk(dest):
                for name in [".", *directories, *files]:
                    os.setxattr(os.path.join(folder, name), "security.selinux", b"system_u:object_r:tmp_t:s0\0", follow_symlinks=False)
        elif what == "then":  # when the real one has ended; the host waits for this, because of the open output
            me = os.getpid()
            if os.fork() == 0:
                while os.getppid() == me: __import__("time").sleep(0.01)
                open(rest[0], "w").write(open(rest[1]).read())
                os._exit(0)
os.execv(os.environ["WRAPPED"], ["luet-cosign", *sys.argv[1:]])
EOT
    trees_tools
}

# evil IMAGE FILE OPTION...: see reg.py
evil() { python3 "$tools_dir/reg.py" evil "$@"; }
layer_of() { python3 "$tools_dir/reg.py" layer "$1"; }

# lie LINE...: what the registry does from now on, words parted by blanks.
lie() {
    local line
    for line in "$@"; do echo "${line// /$'\t'}"; done >"$work/script"
    cat "$work/script"
}

# wrapped WHAT: the plugin on PATH is one that meddles first.
wrapped() {
    cat >"$machine/bin/luet-cosign" <<EOT
#!/bin/sh
[ "\$1" != "${1%%|*}" ] || exec python3 "$tools_dir/wrapper.py" "\$@"
exec "$BIN" "\$@"
EOT
    chmod 755 "$machine/bin/luet-cosign"
    export PATH=$machine/bin:$PATH WRAP=$1 WRAPPED=$BIN WRAP_LOG=$machine/wrapped
}

meddled() { [ -s "$machine/wrapped" ] || fail "the wrapper was never asked to meddle"; }

# --- hosts -----------------------------------------------------------------------------------------------------------

# configure NAME=ADDRESS[,ADDRESS...]...
configure() {
    local word urls between="', '"
    {
        echo "logging: {enable_emoji: false, color: false}"
        echo "general: {concurrency: ${concurrency:-2}}"
        echo "system: {rootfs: $machine/root, database_path: /var/cache/luet, tmpdir_base: $tmpdir_base}"
        echo "repositories:"
        for word in "$@"; do
            urls=${word#*=}
            echo "- {name: ${word%%=*}, type: docker, enable: true, priority: 1, urls: ['${urls//,/$between}']}"
        done
    } >"$machine/luet.yaml"
}

run_host() {
    code=0
    "$(host_program)" "$@" --config "$machine/luet.yaml" >"$machine/output" 2>&1 || code=$?
    printf -- '--- %s: exit %s\n' "$*" "$code"
    cat "$machine/output"
}

installs() {
    configure "acme=$1"
    run_host install --plugin luet-cosign -y "${@:2}"
}

# nothing_got_in: neither into the cache nor into the root.
nothing_got_in() {
    local found
    found=$(find "$machine/root" -type f -path '*/packages/*' ! -name README) # luet's own
    [ -z "$found" ] || fail "in the cache: $found"
    found=$(cd "$machine/root" && find . -path ./var/cache/luet -prune -o ! -type d -printf '%P\n')
    [ -z "$found" ] || fail "in the root: $found"
    ! grep -rlE 'EVIL' "$machine/root" || fail "evil content got in"
}

# refused CLASS TEXT: exit 2, the class leads the error, TEXT is in it, and nothing got in.
refused() {
    exited 2
    said "had an error: $1: "
    said "$2"
    nothing_got_in
}

# has_beer: the whole package, as it was made.
has_beer() {
    exited 0
    diff -r --no-dereference "$work/beer" "$machine/root" | grep -v '^Only in .*/root' && fail "not what was packed"
    [ "$(stat -c %a "$machine/root/usr/bin/su")" = 4755 ] || fail "setuid is lost"
}

# --- repositories ----------------------------------------------------------------------------------------------------

make_packages() {
    mkdir -p "$work/beer/usr/bin" "$work/beer/etc" "$work/beer/usr/share" "$work/yip/usr/bin"
    echo 'toolchain/beer@1.0, the honest one' >"$work/beer/usr/bin/beer"
    cp "$work/beer/usr/bin/beer" "$work/beer/usr/bin/su"
    chmod 755 "$work/beer/usr/bin/beer"
    chmod 4755 "$work/beer/usr/bin/su"
    ln -s beer "$work/beer/usr/bin/ale"
    echo 'foam: 2cm' >"$work/beer/etc/beer.conf"
    head -c 60000 /dev/urandom >"$work/beer/usr/share/filling"
    echo 'toolchain/yip@1.0' >"$work/yip/usr/bin/yip"
    luet-host pack toolchain/beer@1.0 "$work/beer" --packages "$work/v1"
    luet-host pack toolchain/yip@1.0 "$work/yip" --packages "$work/v1"
}

tags=(repository.yaml tree.tar.gz repository.meta.yaml.tar beer-toolchain-1.0 yip-toolchain-1.0)

# published SIGN ADDRESS: a luet repository with all that an install fetches signed.
published() {
    luet-host create-repo --type docker --push-images --backend none --packages "$work/v1" --output "$2" --name acme
    "$1" acme "${tags[@]/#/$2:}"
}

# The other maker, whose signatures carry no claims.
sign_cosign() { sign_cosign2 "$@"; }

make_repositories() {
    published sign_ours "$liar/ours/acme" && published sign_cosign "$liar/cosign/acme" &&
        published sign_ours "$liar/ours/mirror" && published sign_cosign "$liar/cosign/mirror" || return
    # An evil package beside the honest one, unsigned, and its bytes under the honest name; the same of repository.yaml.
    local beer=$liar/ours/acme:beer-toolchain-1.0
    evil "$beer" "$work/evil.gz" --change usr/bin/beer && evil "$beer" "$work/first.gz" --first usr/bin/evil || return
    for maker in ours cosign; do
        make_rollback && python3 "$tools_dir/reg.py" swap "$liar/$maker/acme:beer-toolchain-1.0" evil "$work/evil.gz" || return
    done
    maker=
}

# --- 1: host and plugin are told different manifests -----------------------------------------------------------------

beer="beer-toolchain-1.0"

other_manifest_for_host() {
    lie "host /v2/$maker/acme/manifests/$beer as /v2/$maker/acme/manifests/evil"
    installs "$liar/$maker/acme" toolchain/beer
    refused tree 'usr/bin/beer.*content'
}

other_manifest_for_plugin() {
    lie "plugin /v2/$maker/acme/manifests/$beer as /v2/$maker/acme/manifests/evil"
    installs "$liar/$maker/acme" toolchain/beer
    refused unsigned "$beer"
}

# Both are signed and of this name, each client is told another one: nothing says which one is meant, but not the host's.
other_metadata_for_host() {
    lie "host /v2/$maker/acme/manifests/tree.tar.gz as /v2/$maker/mirror/manifests/repository.yaml"
    installs "$liar/$maker/acme" toolchain/beer
    exited 2
    said 'had an error: tree: '
    nothing_got_in
}

# --- 2: other layer bytes under the right manifest -------------------------------------------------------------------

other_bytes() {
    lie "$1 /v2/$maker/acme/blobs/$(layer_of "$liar/$maker/acme:$beer") body $work/evil.gz"
    installs "$liar/$maker/acme" toolchain/beer
}

other_bytes_for_host() {
    other_bytes host
    refused tree 'usr/bin/beer.*content'
}

# Where the plugin is not told the right bytes either, it can't know which file differs.
other_bytes_for_all() {
    other_bytes any
    refused digest "$beer|layer"
}

other_bytes_in_storage() {
    local hex file
    hex=$(layer_of "$liar/$maker/acme:$beer")
    hex=${hex#sha256:}
    file=$SERVERS_DIR/docker-registry/data/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex/data
    cp "$file" "$machine/honest"
    cat "$work/evil.gz" >"$file"
    installs "$liar/$maker/acme" toolchain/beer
    cat "$machine/honest" >"$file"
    refused digest "$beer|layer"
}

# --- 3: mirrors ------------------------------------------------------------------------------------------------------

# The first mirror writes a file and breaks off; the second is honest, and the host goes on in the same directory.
evil_mirror() {
    lie "host /v2/$maker/acme/blobs/$(layer_of "$liar/$maker/acme:$beer") cut $work/first.gz 40000"
    installs "$liar/$maker/acme,$liar/$maker/mirror" toolchain/beer
    said 'failed downloading image|Failed downloading'
    refused tree 'usr/bin/evil.*(should not|not in|extra|unexpected|more)'
}

evil_mirror_by_flag() {
    lie "host /v2/$maker/acme/blobs/$(layer_of "$liar/$maker/acme:$beer") cut $work/first.gz 40000"
    configure
    run_host install --plugin luet-cosign -y toolchain/beer \
        --repo "a=$liar/$maker/acme,a=$liar/$maker/mirror" --root "$machine/root"
    refused tree 'usr/bin/evil'
}

# An honest mirror breaks off in the middle of a file; the second writes it all once more.
broken_mirror() {
    local layer
    layer=$(layer_of "$liar/$maker/acme:$beer")
    crane blob "$liar/$maker/acme@$layer" >"$machine/honest.gz"
    lie "host /v2/$maker/acme/blobs/$layer cut $machine/honest.gz 40000"
    installs "$liar/$maker/acme,$liar/$maker/mirror" toolchain/beer
    has_beer
    said 'failed downloading image|Failed downloading'
}

# The host takes layers that can't be had for an empty image: mutate.Extract ends its archive well whatever happened before.
mirror_without_layers() {
    lie "host /v2/$maker/acme/blobs/$(layer_of "$liar/$maker/acme:$beer") gone"
    installs "$liar/$maker/acme,$liar/$maker/mirror" toolchain/beer
    refused tree 'usr/bin/beer.*missing'
}

# --- 4: an old repository.yaml ---------------------------------------------------------------------------------------

# make_rollback: revision 1 and then revision 2 of one repository; what to say for the first to be served again.
make_rollback() {
    local address=$liar/$maker/roll tag
    published "sign_$maker" "$address" || return
    for tag in repository.yaml tree.tar.gz repository.meta.yaml.tar; do
        echo "any /v2/$maker/roll/manifests/$tag as /v2/$maker/roll/manifests/$(crane digest "$address:$tag")"
    done >"$work/roll-$maker"
    mkdir "$work/newer-$maker"
    crane export "$address:repository.yaml" - | tar -xC "$work/newer-$maker" || return
    sed -i 's/^revision: 1$/revision: 2/' "$work/newer-$maker/repository.yaml"
    grep -q '^revision: 2' "$work/newer-$maker/repository.yaml" || return
    tar -C "$work/newer-$maker" -czf "$work/newer-$maker.tar.gz" repository.yaml
    crane append --oci-empty-base -f "$work/newer-$maker.tar.gz" -t "$address:repository.yaml" &&
        "sign_$maker" acme "$address:repository.yaml"
}

rolled_back() {
    local script
    printf '%s\n' "version: 1" "defaults: {unmatched: deny, unsigned: deny}" "signers: {acme: {key: $keys/acme.pub}}" \
        "repositories: [{name: acme, scope: '$liar/$maker/roll', trust: [acme], rollback: $1}]" >"$machine/policy.yaml"
    export LUET_COSIGN_POLICY=$machine/policy.yaml
    installs "$liar/$maker/roll" toolchain/yip
    exited 0
    mapfile -t script <"$work/roll-$maker"
    lie "${script[@]}"
    installs "$liar/$maker/roll" toolchain/beer
    said 'repository.yaml. is revision 1, but revision 2 was seen'
}

rollback_denied() {
    rolled_back deny
    exited 2
    said 'had an error: rollback: '
    [ ! -e "$machine/root/usr/bin/beer" ] || fail "it was installed"
}

rollback_warned() {
    rolled_back warn
    has_beer
    said 'warning: '
}

# --- 5: signed, but something else -----------------------------------------------------------------------------------

# An image of another repository, with its signature, is served here.
other_repository() {
    local address=$liar/binding/$host-repository
    published sign_ours "$address"
    crane copy "$liar/ours/mirror:repository.yaml" "$address:other"
    crane copy "$(signature_tag "$liar/ours/mirror:repository.yaml")" "$(signature_tag "$address:other")"
    lie "any /v2/${address#*/}/manifests/repository.yaml as /v2/${address#*/}/manifests/other"
    installs "$address" toolchain/beer
    refused binding 'ours/mirror'
}

other_package() {
    lie "any /v2/ours/acme/manifests/$beer as /v2/ours/acme/manifests/yip-toolchain-1.0"
    installs "$liar/ours/acme" toolchain/beer
    refused binding "yip-toolchain-1.0"
}

# The same without claims: a signature of cosign says nothing about names, so only a rule or the memory can refuse it.
other_package_required() {
    printf '%s\n' "version: 1" "defaults: {unmatched: deny, unsigned: deny}" "signers: {acme: {key: $keys/acme.pub}}" \
        "repositories: [{name: acme, scope: '$liar/cosign/acme', trust: [acme], bind_tag: required}]" >"$machine/policy.yaml"
    export LUET_COSIGN_POLICY=$machine/policy.yaml
    lie "any /v2/cosign/acme/manifests/$beer as /v2/cosign/acme/manifests/yip-toolchain-1.0"
    installs "$liar/cosign/acme" toolchain/beer
    refused binding "cosign/acme"
}

# This signer named repository and tag here before. Now its new signatures are hidden and one without claims is shown.
other_package_remembered() {
    local address=$liar/binding/$host-remembered tag
    published sign_ours "$address"
    installs "$address" toolchain/yip
    exited 0
    rm -rf "$machine/root" && mkdir "$machine/root"
    crane copy "$address:$beer" "$liar/binding/$host-plain:$beer"
    sign_cosign2 acme "$liar/binding/$host-plain:$beer"
    tag=$(signature_tag "$liar/binding/$host-plain:$beer")
    lie "any /v2/binding/$host-remembered/manifests/${tag##*:} as /v2/binding/$host-plain/manifests/${tag##*:}" \
        "any /v2/binding/$host-remembered/blobs/$(layer_of "$tag") as /v2/binding/$host-plain/blobs/$(layer_of "$tag")"
    installs "$address" toolchain/beer
    refused binding "$beer"
}

# --- 6: other layers after the push ----------------------------------------------------------------------------------

# After each push of an image by buildah somebody puts a manifest with the same configuration and other layers there.
swapped_after_push() {
    local address=$liar/pushed/$host real
    real=$(type -P buildah)
    use_buildah "$liar"
    cat >"$machine/bin/buildah" <<EOT
#!/bin/sh
"$real" "\$@" || exit
case "\$1 \$2" in
"push $address:$beer") python3 "$tools_dir/reg.py" swap "\$2" $beer "$work/evil.gz" >&2 && echo swapped >>"$machine/wrapped" ;;
esac
EOT
    chmod 755 "$machine/bin/buildah"
    export PATH=$machine/bin:$PATH COSIGN_KEY_LOCATION=$keys/acme.key
    configure
    mkdir -p "$machine/tree"
    run_host create-repo --plugin luet-cosign --type docker --push-images --backend buildah --from-metadata \
        --tree "$machine/tree" --packages "$work/v1" --output "$address" --name acme
    meddled
    exited 2
    said 'had an error: digest: .*'"$beer"
    ! crane digest "$(signature_tag "$address:$beer")" || fail "it was signed"
}

# --- 7: Dest changes before the post event ---------------------------------------------------------------------------

dest_changed() {
    wrapped "image.post.unpack|:$beer|$1"
    installs "$liar/$maker/acme" toolchain/beer
    meddled
    refused tree "$2"
}

# --- no false alarm --------------------------------------------------------------------------------------------------

# silent_install [WRAP]: installs, without a word.
silent_install() {
    [ $# = 0 ] || wrapped "$1"
    installs "$liar/$maker/acme" toolchain/beer
    has_beer
    said_nothing
    [ $# = 0 ] || meddled
}

# The tag moves after the pre event: the host has its manifest by then, and the digest is what is compared.
moving_tag() {
    printf 'any\t/v2/%s/acme/manifests/%s\tas\t/v2/%s/acme/manifests/evil\n' "$maker" "$beer" "$maker" >"$machine/moved"
    silent_install "image.pre.unpack|:$beer|then|$work/script|$machine/moved"
    cmp "$machine/moved" "$work/script" || fail "the tag did not move"
}

labels() { silent_install "image.post.unpack|:$beer|label"; }

on_tmpfs() {
    tmpdir_base=$(mktemp -d /dev/shm/unpack.XXXXXX)
    [ "$(stat -f -c %T "$tmpdir_base")" = tmpfs ] || fail "/dev/shm is no tmpfs"
    trap 'rm -rf "$tmpdir_base"' EXIT
    silent_install
}

unpack() { run_host util unpack --plugin luet-cosign "$@"; }

# Files, a directory that the image has as well, and what mkfs leaves.
filled_target() {
    local target=$machine/target
    mkdir -p "$target/usr/bin" "$target/home/me" "$target/lost+found"
    chmod 700 "$target/lost+found"
    echo mine | tee "$target/usr/bin/mine" "$target/home/me/mine" >/dev/null
    ln -s nowhere "$target/home/me/link"
    mkfifo "$target/home/me/fifo"
    configure
    unpack "$liar/$maker/acme:$beer" "$target"
    exited 0
    said_nothing
    cmp "$work/beer/usr/bin/beer" "$target/usr/bin/beer"
    [ "$(cat "$target/home/me/mine")" = mine ]
}

only_lost_found() {
    mkdir -p "$machine/target/lost+found"
    chmod 700 "$machine/target/lost+found"
    configure
    unpack "$liar/$maker/acme:$beer" "$machine/target"
    exited 0
    said_nothing
}

# A filled target is no loophole either, and it is left as it is.
filled_target_attacked() {
    mkdir -p "$machine/target"
    echo mine >"$machine/target/mine"
    configure
    lie "host /v2/$maker/acme/manifests/$beer as /v2/$maker/acme/manifests/evil"
    unpack "$liar/$maker/acme:$beer" "$machine/target"
    exited 2
    said 'had an error: tree: '
    said 'usr/bin/beer.*content'
    [ "$(cat "$machine/target/mine")" = mine ] || fail "what was there is gone"
}

empty_target_attacked() {
    mkdir -p "$machine/target"
    configure
    lie "host /v2/$maker/acme/manifests/$beer as /v2/$maker/acme/manifests/evil"
    unpack "$liar/$maker/acme:$beer" "$machine/target"
    exited 2
    said 'had an error: tree: '
    [ -z "$(ls -A "$machine/target")" ] || fail "it was not emptied"
}

# 16 packages at once through one link: each download takes far longer than an answer may, and all move on.
slow_link() {
    local address=$slow/slow/acme number images=() names=()
    for number in {1..16}; do images+=("$address:p$number-slow-1.0") names+=("slow/p$number"); done
    concurrency=16
    installs "$address" "${names[@]}"
    exited 0
    said_nothing
    for number in {1..16}; do cmp "$work/slow/$number/usr/share/p$number" "$machine/root/usr/share/p$number"; done
}

# Signed by cosign: so the plugin streams every layer through the same link once more.
make_slow() {
    local number images=()
    for number in {1..16}; do
        mkdir -p "$work/slow/$number/usr/share"
        head -c 100000 /dev/urandom >"$work/slow/$number/usr/share/p$number"
        luet-host pack "slow/p$number@1.0" "$work/slow/$number" --packages "$work/slow-packages"
        images+=("$plain/slow/acme:p$number-slow-1.0")
    done
    luet-host create-repo --type docker --push-images --backend none --packages "$work/slow-packages" --output "$plain/slow/acme" --name slow
    sign_cosign2 acme "${images[@]}" "$plain"/slow/acme:{repository.yaml,tree.tar.gz,repository.meta.yaml.tar}
}

# --- varied trees ----------------------------------------------------------------------------------------------------

trees_tools() {
    # Makes images of the strangest trees that unpackers agree on, puts them into an OCI layout and into two repositories.
    cat >"$tools_dir/trees.py" <<'EOT'
"""trees.py ADDRESS FOLDER COUNT: t000.. into ADDRESS/trees/{ours,cosign} and FOLDER/layout; FOLDER/trees.json describes them.
trees.py ADDRESS FOLDER many|huge: one image of 100,000 files, or of 1 GiB, into ADDRESS/trees/ours."""
import hashlib, io, json, os, random, subprocess, sys, tarfile, tempfile, zlib
sys.path.insert(0, os.path.dirname(__file__))
from reg import Registry, digest, packed

OWN = 65534
NAMES = ["plain", "ünïcödé-✓-日本", "new\nline", "tab\there", " leading and trailing ", "-rf", "back\\slash", "quote'\"", "%2e%2e", "a" * 255,
         "e\u0301 combining", ".hidden", "...", ".wh", "*?[x]", "\x01\x1b[31m", "percent%s"]

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
    """A layer above: changes what lies below, and has something of its own."""
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

def push(registry, repository, tag, blobs, mount=None):
    for blob in blobs[:-1]:
        name = digest(blob)
        if mount and not registry.has(repository, name): registry.call("POST", f"/v2/{repository}/blobs/uploads/?mount={name}&from={mount}")
        registry.put_blob(repository, blob, name)
    registry.put_manifest(repository, tag, "application/vnd.oci.image.manifest.v1+json", blobs[-1])

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

address, folder, what = sys.argv[1:]
registry = Registry(address)
if not what.isdigit():
    push(registry, "trees/ours", what, described([{"many": many, "huge": huge}[what]()]))
    sys.exit()
os.makedirs(f"{folder}/layout/blobs/sha256")
index, list_, own_from = [], [], int(what) * 4 // 5
for number in range(int(what)):
    own = number >= own_from
    layers, features = image(number, own)
    blobs, tag = described(layers, plain=number % 9 == 4), f"t{number:03}"
    push(registry, "trees/ours", tag, blobs)
    push(registry, "trees/cosign", tag, blobs, "trees/ours")
    for blob in blobs: open(f"{folder}/layout/blobs/sha256/{digest(blob)[7:]}", "wb").write(blob)
    index.append({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(blobs[-1]), "size": len(blobs[-1]),
                  "annotations": {"org.opencontainers.image.ref.name": tag}})
    if len(layers) == 1: open(f"{folder}/{tag}.tar", "wb").write(layers[0])
    # Where the meanings differ, or a directory is listed nowhere, there is no digest of the tree: then the layers decide.
    tree = not ("opaque" in features and len(layers) > 1 or "implied" in features and not (len(layers) == 1 and "sparse" in features))
    list_.append({"tag": tag, "own": own, "layers": len(layers), "tree": tree, "features": sorted(features)})
json.dump({"schemaVersion": 2, "manifests": index}, open(f"{folder}/layout/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(f"{folder}/layout/oci-layout", "w"))
json.dump(list_, open(f"{folder}/trees.json", "w"))
EOT

    # Unpacks many images, two at a time, and says how many were accepted for what reason.
    cat >"$tools_dir/drive.py" <<'EOT'
"""drive.py UNPACKER REPOSITORY FOLDER TARGET [TAG...]: UNPACKER is host, user (the host, not as root), umoci or tar."""
import collections, concurrent.futures, json, os, shutil, subprocess, sys
unpacker, repository, folder, target, *tags = sys.argv[1:]
trees = [tree for tree in json.load(open(f"{folder}/trees.json"))] if not tags else [{"tag": tag, "own": False, "tree": True, "layers": 1} for tag in tags]
if unpacker == "user": trees = [tree for tree in trees if tree["own"]]
trees = trees[::int(os.environ.get("EVERY", 1))]
if unpacker == "tar": trees = [tree for tree in trees if tree["layers"] == 1]
plugin = os.environ["PLUGIN"]
os.environ["COSIGN_DEBUG"] = "1"
def event(name, image, dest):
    data = json.dumps({"Image": image, "Dest": dest})
    run = subprocess.run([plugin, name, json.dumps({"name": name, "data": data, "file": ""})], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    answer = json.loads(run.stdout)
    if run.returncode or answer["error"]: raise Exception(f"{name}: exit {run.returncode}: {answer['error']}{run.stderr}")
    return answer["state"]
def run(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode(errors="replace")
    if done.returncode: raise Exception(f"{words[0]}: exit {done.returncode}: {text}")
    return text
def unpack(tree):
    tag = tree["tag"]
    image, dest = f"{repository}:{tag}", f"{target}/{tag}"
    os.mkdir(dest, 0o700)
    if unpacker in ("host", "user"):
        words = [os.environ["HOST_PROGRAM"], "util", "unpack", "--plugin", "luet-cosign", "--config", os.environ["HOST_CONFIG"], image, dest]
        if unpacker == "user":
            os.chown(dest, 65534, 65534)
            words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *words]
        text = run(*words)
    else:
        event("image.pre.unpack", image, dest)
        if unpacker == "umoci": run("umoci", "raw", "unpack", "--image", f"{folder}/layout:{tag}", dest)
        else: run("tar", "-C", dest, "-xpf", f"{folder}/{tag}.tar", "--xattrs", "--xattrs-include=*", "--same-owner", "--numeric-owner")
        text = event("image.post.unpack", image, dest)
    proof = next((proof for proof in ("equal to the signed tree", "equal to the layers as the host", "equal to the layers in the OCI", "equal to the layers") if proof in text), None)
    if not proof: raise Exception("no proof: " + text)
    if tree["tree"] and "ours" in repository and unpacker != "user" and os.environ.get("LUET_COSIGN_POST_UNPACK") != "layers" and proof != "equal to the signed tree":
        raise Exception("expected the signed tree: " + text)
    shutil.rmtree(dest)
    return proof
proofs, failures = collections.Counter(), []
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    futures = {pool.submit(unpack, tree): tree for tree in trees}
    for future in concurrent.futures.as_completed(futures):
        try: proofs[future.result()] += 1
        except Exception as error: failures.append((futures[future], error))
for tree, error in failures[:8]: print("---", tree, error)
summary = f"{len(trees)} images: " + ", ".join(f"{count} {proof}" for proof, count in proofs.items()) + (f", {len(failures)} FAILED" if failures else "")
print(summary)
if len(sys.argv) and os.environ.get("NOTE"): open(os.environ["NOTE"], "a").write(summary + "\n")
sys.exit(bool(failures) or not trees)
EOT
}

# drive UNPACKER ours|cosign [TAG...]
drive() {
    local target=${memory:-$machine/target}
    configure
    mkdir -p "$target"
    chmod 755 "$target"
    HOST_PROGRAM=$(type -P luet-host) HOST_CONFIG=$machine/luet.yaml PLUGIN=$BIN NOTE=$machine/note \
        python3 "$tools_dir/drive.py" "$1" "$plain/trees/$2" "$work/trees" "$target" "${@:3}"
}

drive_as_user() {
    mkdir "$machine/user"
    install -d -m 700 "$machine"/user/{state,runtime,tmp}
    export XDG_STATE_HOME=$machine/user/state XDG_RUNTIME_DIR=$machine/user/runtime TMPDIR=$machine/user/tmp HOME=$machine/user
    tmpdir_base=$machine/user/tmp/tmpluet
    chown -R 65534:65534 "$machine/user"
    drive user "$1"
}

make_trees() {
    local names
    mkdir "$work/trees"
    python3 "$tools_dir/trees.py" "$plain" "$work/trees" "$TREES"
    mapfile -t names < <(python3 -c 'import json, sys; print(*(t["tag"] for t in json.load(open(sys.argv[1]))), sep="\n")' "$work/trees/trees.json")
    export -f sign_ours sign_cosign2
    export BIN keys
    in_parallel sign_ours "${names[@]/#/$plain/trees/ours:}"
    in_parallel sign_cosign2 "${names[@]/#/$plain/trees/cosign:}"
}

# in_parallel SIGN IMAGE...
in_parallel() {
    printf '%s\n' "${@:2}" | xargs -P 2 -n 25 bash -c '"$@"' - "$1" acme >"$machine/signed" 2>&1 || { tail -n 30 "$machine/signed"; return 1; }
}

# Images as buildah makes them: each layer adds, changes and removes something. One that was not pushed before gets zstd,
# for buildah takes layers that the registry has.
make_built() {
    local container count number
    use_buildah "$plain"
    mkdir "$machine/content"
    container=$(buildah from scratch)
    for number in {1..31}; do
        rm -rf "$machine/content" && mkdir -p "$machine/content/opt/$number/empty"
        head -c 3000 /dev/urandom >"$machine/content/opt/$number/file"
        ln "$machine/content/opt/$number/file" "$machine/content/opt/$number/hard"
        echo "$number" >"$machine/content/changes"
        chmod 4711 "$machine/content/opt/$number/hard"
        buildah copy -q "$container" "$machine/content" / >/dev/null
        if [ $((number % 5)) = 0 ]; then rm -r "$(buildah mount "$container")/opt/$((number - 1))"; fi
        buildah commit -q "$container" "$plain/trees/ours:b$number" >/dev/null
        buildah rm "$container" >/dev/null
        container=$(buildah from "$plain/trees/ours:b$number")
    done
    for count in 1 7 30; do
        buildah push -q "$plain/trees/ours:b$count"
        [ "$(crane manifest "$plain/trees/ours:b$count" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["layers"]))')" = "$count" ] ||
            fail "not $count layers"
    done
    buildah push -q --format oci --compression-format zstd "$plain/trees/ours:b31"
    crane manifest "$plain/trees/ours:b31" | grep -q 'tar+zstd' || fail "not zstd"
    sign_ours acme "$plain"/trees/ours:{b1,b7,b30,b31}
    drive host ours b1 b7 b30 b31
    LUET_COSIGN_POST_UNPACK=layers drive host ours b1 b7 b30 b31
}

# large many|huge
large() {
    python3 "$tools_dir/trees.py" "$plain" "$work/trees" "$1"
    sign_ours acme "$plain/trees/ours:$1"
    drive host ours "$1"
    memory=$(mktemp -d /dev/shm/unpack.XXXXXX) # on disk once is enough, for the host takes long
    trap 'rm -rf "$memory"' EXIT
    LUET_COSIGN_POST_UNPACK=layers drive host ours "$1"
}

scenario_trees() {
    check "$TREES varied trees are published and signed, by luet-cosign and by cosign" make_trees
    check "no false alarm: varied trees, signed by luet-cosign, unpacked by the stand-in host" drive host ours
    check "no false alarm: varied trees, signed by cosign, unpacked by the stand-in host" drive host cosign
    check "no false alarm: varied trees, signed by luet-cosign, unpacked by the stand-in host as a user" drive_as_user ours
    check "no false alarm: varied trees, signed by cosign, unpacked by the stand-in host as a user" drive_as_user cosign
    check "no false alarm: varied trees, signed by luet-cosign, unpacked by umoci" drive umoci ours
    EVERY=3 check "no false alarm: varied trees, every third, signed by cosign, unpacked by umoci" drive umoci cosign
    check "no false alarm: single layers, signed by luet-cosign, unpacked by GNU tar" drive tar ours
    check "no false alarm: single layers, signed by cosign, unpacked by GNU tar" drive tar cosign
    check "no false alarm: 1, 7 and 30 layers by buildah, gzip and zstd" make_built
    check "no false alarm: 100,000 files" large many
    check "no false alarm: 1 GiB" large huge
}

# --- all of it -------------------------------------------------------------------------------------------------------

scenario_host() {
    for maker in ours cosign; do
        check "another manifest for the host" other_manifest_for_host
        check "another manifest for the plugin" other_manifest_for_plugin
        check "another signed image of the metadata for the host" other_metadata_for_host
        check "other layer bytes for the host" other_bytes_for_host
        check "other layer bytes for both" other_bytes_for_all
        check "other layer bytes in the registry's storage" other_bytes_in_storage
        check "a mirror that writes an evil file and breaks off" evil_mirror
        [ "$host" = luet ] || check "a mirror that writes an evil file and breaks off, by --repo" evil_mirror_by_flag
        check "a mirror whose layers are gone, which the host takes for empty" mirror_without_layers
        check "an old repository.yaml, rollback: deny" rollback_denied
        check "an old repository.yaml, rollback: warn" rollback_warned
        check "Dest changed: an extra file" dest_changed extra 'usr/bin/extra'
        check "Dest changed: another content" dest_changed change 'usr/bin/beer.*content'
        check "Dest changed: a missing file" dest_changed missing 'etc/beer.conf.*missing'
        check "Dest changed: a mode" dest_changed mode 'etc/beer.conf.*0?666'
        check "Dest changed: setuid" dest_changed setuid 'usr/bin/beer.*4755'
        check "Dest changed: a link" dest_changed link 'usr/bin/ale.*/tmp/evil'
        check "Dest changed: an owner" dest_changed owner 'usr/bin/beer.*1000'
        check "Dest changed: a file became a link" dest_changed replaced 'usr/bin/beer.*(link)'
        check "Dest changed: it is another directory" dest_changed moved 'another directory'
        check "a filled target under attack is refused, and left" filled_target_attacked
        check "an empty target under attack is emptied" empty_target_attacked
        check "no false alarm: a plain install" silent_install
        check "no false alarm: the tag moves after the pre event" moving_tag
        check "no false alarm: an honest mirror that breaks off" broken_mirror
        check "no false alarm: a filled target" filled_target
        check "no false alarm: lost+found" only_lost_found
        check "no false alarm: Dest on tmpfs" on_tmpfs
        check "no false alarm: Dest with SELinux labels" labels
    done
    maker=
    check "another repository's repository.yaml" other_repository
    check "a signed package under another's tag" other_package
    check "a signed package under another's tag, no claims, bind_tag: required" other_package_required
    check "a signed package, its claims hidden, from a signer known to bind" other_package_remembered
    check "other layers under the same configuration after the push" swapped_after_push
    check "no false alarm: 16 downloads behind one slow link" slow_link
}

# The registry waits for the disk at each write, and there are thousands: into memory with them, where that can be had.
prepare() {
    mkdir -p "$SERVERS_DIR/docker-registry/data"
    mount -t tmpfs -o size=2g tmpfs "$SERVERS_DIR/docker-registry/data" || echo "no tmpfs: this will take longer"
    plain=$(start_docker_registry docker-registry) || return
    : >"$work/script"
    server_run liar python3 "$tools_dir/liar.py" "$plain" "$work/script"
    liar=$(server_address liar) || return
    server_run slow python3 "$tools_dir/liar.py" "$plain" "$work/script" 200000
    slow=$(server_address slow) || return
    "$BIN" generate-key-pair --output-key-prefix "$keys/acme" && chmod 644 "$keys/acme.pub" || return
    make_packages && make_repositories && make_slow
}

main() {
    [ "$(id -u)" = 0 ] || stop "this needs root: devices, owners and labels"
    required luet-host cosign2 crane docker-registry buildah umoci tar python3 setpriv "$BIN"
    servers_begin
    chmod 755 "$SERVERS_DIR"
    work=$SERVERS_DIR/work
    keys=$work/keys
    tools_dir=$work/tools
    mkdir -p "$work/plugins" "$work/home" "$keys"
    cp "$BIN" "$work/plugins/luet-cosign" # the program must not change under a run
    BIN=$work/plugins/luet-cosign
    export PATH=$work/plugins:$PATH HOME=$work/home COSIGN_PASSWORD=pw
    write_tools
    machine=$work/first && mkdir "$machine" && new_machine
    prepared prepare
    hosts=(luet-host)
    [ -z "$real_luet" ] || hosts+=(luet)
    for host in "${hosts[@]}"; do scenario_host; done
    host='' maker=''
    scenario_trees
    [ -n "$real_luet" ] || echo "host luet: not on this machine (LUET=PATH names one), so the stand-in alone was run"
    finish
}

main; exit # in one line: bash reads a script as it goes
