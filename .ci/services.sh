# shellcheck shell=bash
#
# A whole Sigstore on loopback, of the real programs: PostgreSQL, Trillian, a CT log, an OIDC issuer, Fulcio, a timestamp
# authority, Rekor v1 and v2, and a TUF repository. To be sourced by bash, as root; `.ci/tools.sh sigstore` must have run.
#
#   source .ci/servers.sh
#   source .ci/services.sh
#   in_private_network "$0" "$@"     # before anything else: the ports are fixed, and some servers bind every interface
#   servers_begin                    # ends everything when the shell ends
#   start_sigstore                   # a second
#   cosign3 sign --signing-config "$sigstore_trust/rekor1.json" --trusted-root "$sigstore_trust/trusted_root.json" \
#       --identity-token "$(token email=dev@example.com)" ...
#
# Every run has keys of its own; they and the state are in SERVERS_DIR. What others have to know is in $sigstore_trust:
#   trusted_root.json                                    all of it
#   rekor1.json, rekor1-tsa.json, rekor2-tsa.json        signing configurations: which log, and whether a timestamp
#   none.json                                            the one without services
#   fulcio.pem, ctlog.pub, rekor1.pub, tsa.pem           for SIGSTORE_ROOT_FILE and its like
#   python/*.json                                        for sigstore-python: root and signing configuration in one file
#   tuf/                                                 the repository that $tuf_url serves; its root is 1.root.json

issuer_url=http://127.0.0.1:8888
workload_issuer_url=$issuer_url/gha
fulcio_url=http://127.0.0.1:5555
ctlog_url=http://127.0.0.1:6962/ct
tsa_url=http://127.0.0.1:3004/api/v1/timestamp
rekor1_url=http://127.0.0.1:3000
rekor2_url=http://127.0.0.1:3003
# shellcheck disable=SC2034 # for who sources this
tuf_url=http://127.0.0.1:8080
trillian=127.0.0.1:8090

services_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
services_tools=$(cd -- "${LUET_COSIGN_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/luet-cosign-tools}" && pwd) || return
services_python=$services_tools/python/bin/python
services_share=$services_tools/share

# services_missing: names what is not there, one a line.
services_missing() {
    local program
    for program in ip unshare setpriv openssl curl cosign3 trillian_log_server trillian_log_signer createtree ct_server fulcio \
        timestamp-server rekor-server rekor-cli rekor-tiles "$services_python" "$(postgres_programs)/postgres"; do
        command -v "$program" >/dev/null || echo "$program"
    done
    for program in trillian.sql fulcio.yaml; do
        [ -s "$services_share/$program" ] || echo "$services_share/$program"
    done
    [ "$(id -u)" = 0 ] || echo "root"
}

# in_private_network COMMAND...: replaces this process by the command, in a network namespace where nothing but loopback is;
# inside of it, switches that on and returns. What is tested there asks nobody outside, or fails.
in_private_network() {
    local here
    here=$(readlink /proc/self/ns/net)
    if [ "${OUTER_NETWORK:-$here}" = "$here" ]; then
        OUTER_NETWORK=$here exec unshare --net -- "$@"
    fi
    ip link set lo up
}

start_sigstore() {
    sigstore_keys=$SERVERS_DIR/sigstore/keys sigstore_trust=$SERVERS_DIR/sigstore/trust
    mkdir -p "$sigstore_keys" "$sigstore_trust"
    chmod 711 "$SERVERS_DIR" # PostgreSQL does not run as root, and its data is below
    start_postgres || return
    make_service_keys >"$SERVERS_DIR/sigstore/log" 2>&1 || { cat "$SERVERS_DIR/sigstore/log"; return 1; }
    # Which of them wait for which: trees for Trillian, Fulcio for issuer and CT log. The others start meanwhile.
    run_issuer
    run_timestamp_authority
    run_rekor2
    make_trust || return
    run_tuf_repository
    start_trillian || return
    run_ct_log
    run_rekor1
    server_wait issuer answers "$issuer_url/keys" || return
    server_wait ct-log answers "$ctlog_url/ct/v1/get-sth" || return
    run_fulcio
    server_wait fulcio answers "$fulcio_url/healthz" || return
    server_wait tsa answers "${tsa_url%/api*}/ping" || return
    server_wait rekor1 answers "$rekor1_url/api/v1/log" || return
    server_wait rekor2 answers "$rekor2_url/healthz" || return
    server_wait tuf answers "$tuf_url/timestamp.json"
}

answers() { curl -fs -m 5 -o /dev/null "$1"; }

# token NAME=VALUE: for a person (see issuer.py). workload_token: for a job of a CI system.
token() { curl -fs -m 5 "$issuer_url/token?$1"; }
workload_token() { curl -fs -m 5 "$workload_issuer_url/token"; }

# --- database, Trillian ----------------------------------------------------------------------------------------------

postgres_programs() { printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1; }

as_postgres() { setpriv --reuid postgres --regid postgres --init-groups -- "$@"; }

# Nothing of it outlives the run, so nothing has to be on a disk at any time.
start_postgres() {
    local dir=$SERVERS_DIR/postgres programs
    programs=$(postgres_programs)
    install -d -m 755 "$dir"
    install -d -m 700 -o postgres "$dir/data"
    (cd "$dir" && as_postgres "$programs/initdb" -D "$dir/data" -A trust -N --no-locale -E UTF8) >"$dir/initdb.log" 2>&1 ||
        { cat "$dir/initdb.log" >&2; return 1; }
    server_stops_by INT postgres # fast: it does not wait for its clients
    server_run postgres setpriv --reuid postgres --regid postgres --init-groups -- "$programs/postgres" -D "$dir/data" \
        -c listen_addresses=127.0.0.1 -c port=5432 -c "unix_socket_directories=$dir/data" \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off
    server_wait postgres "$programs/pg_isready" -q -h 127.0.0.1 -p 5432 || return
    "$programs/psql" -q -h 127.0.0.1 -U postgres -c 'CREATE DATABASE trillian' &&
        "$programs/psql" -q -h 127.0.0.1 -U postgres -d trillian -v ON_ERROR_STOP=1 -f "$services_share/trillian.sql"
}

start_trillian() {
    local storage tree
    storage=(
        --storage_system=postgresql "--postgresql_uri=postgresql://postgres@127.0.0.1:5432/trillian?sslmode=disable"
        --quota_system=noop
    )
    server_stops_by KILL trillian-server # 5 s and 10 s when it is asked
    server_stops_by KILL trillian-signer
    server_run trillian-server trillian_log_server "${storage[@]}" --rpc_endpoint=$trillian --http_endpoint=127.0.0.1:8091
    server_run trillian-signer trillian_log_signer "${storage[@]}" --rpc_endpoint=127.0.0.1:8092 \
        --http_endpoint=127.0.0.1:8093 --force_master --sequencer_interval=20ms --num_sequencers=2
    server_wait trillian-server answers http://127.0.0.1:8091/healthz || return
    server_wait trillian-signer answers http://127.0.0.1:8093/healthz || return
    for tree in ct rekor; do
        createtree --admin_server=$trillian >"$SERVERS_DIR/sigstore/tree.$tree" || return
    done
}

# --- services --------------------------------------------------------------------------------------------------------

run_issuer() { server_run issuer "$services_python" "$services_root/issuer.py" "$sigstore_keys/oidc.key" 8888; }

run_ct_log() {
    cat >"$SERVERS_DIR/sigstore/ct.cfg" <<EOT
config {
  log_id: $(cat "$SERVERS_DIR/sigstore/tree.ct")
  prefix: "ct"
  roots_pem_file: "$sigstore_keys/root.pem"
  private_key { [type.googleapis.com/keyspb.PEMKeyFile] { path: "$sigstore_keys/ctlog.enc.key" password: "pw" } }
  ext_key_usages: "CodeSigning"
}
EOT
    server_run ct-log ct_server --log_config="$SERVERS_DIR/sigstore/ct.cfg" --log_rpc_server=$trillian \
        --http_endpoint=127.0.0.1:6962
}

# Fulcio's own description of how a CI system's claims become a certificate, with our issuers in place of the public ones.
run_fulcio() {
    local config=$SERVERS_DIR/sigstore/fulcio.yaml
    {
        sed -n '/^define:/,/^oidc-issuers:/{/^oidc-issuers:/d;p}' "$services_share/fulcio.yaml"
        cat <<EOT
oidc-issuers:
  $issuer_url: {issuer-url: $issuer_url, client-id: sigstore, type: email}
  $workload_issuer_url: {issuer-url: $workload_issuer_url, client-id: sigstore, type: ci-provider, ci-provider: *github-type}
EOT
        sed -n '/^ci-issuer-metadata:/,$p' "$services_share/fulcio.yaml"
    } >"$config"
    server_run fulcio fulcio serve --host 127.0.0.1 --port 5555 --grpc-host 127.0.0.1 --grpc-port 5554 --metrics-port 2113 \
        --legacy-unix-domain-socket "$SERVERS_DIR/fulcio.sock" --ca fileca --fileca-cert "$sigstore_trust/fulcio.pem" \
        --fileca-key "$sigstore_keys/int.key" --fileca-key-passwd pw --fileca-watch=false --config-path "$config" \
        --ct-log-url "$ctlog_url" --ct-log-public-key-path "$sigstore_trust/ctlog.pub"
}

# Before Rekor v1: both want port 2112 for their metrics, and only this one dies of not getting it.
run_timestamp_authority() {
    server_run tsa timestamp-server serve --host 127.0.0.1 --port 3004 --timestamp-signer file \
        --file-signer-key-path "$sigstore_keys/tsa.key" --certificate-chain-path "$sigstore_trust/tsa.pem" \
        --disable-ntp-monitoring
}

# Without redis it has no search index: the two switches that want one are off.
run_rekor1() {
    server_run rekor1 rekor-server serve --host 127.0.0.1 --port 3000 --rekor_server.address 127.0.0.1 \
        --rekor_server.hostname rekor1.local --rekor_server.signer "$sigstore_keys/rekor1.key" \
        --trillian_log_server.address "${trillian%:*}" --trillian_log_server.port "${trillian#*:}" \
        --trillian_log_server.tlog_id "$(cat "$SERVERS_DIR/sigstore/tree.rekor")" --enable_retrieve_api=false \
        --enabled_api_endpoints getLogInfo,getPublicKey,getLogProof,createLogEntry,getLogEntryByIndex,getLogEntryByUUID,searchLogQuery \
        --enabled_entry_types hashedrekord,dsse,intoto
}

run_rekor2() {
    mkdir -p "$SERVERS_DIR/rekor2/log-of-tiles"
    server_run rekor2 rekor-tiles serve --http-address 127.0.0.1 --http-port 3003 --grpc-address 127.0.0.1 --grpc-port 3001 \
        --http-metrics-port 2114 --hostname rekor2.local --storage-dir "$SERVERS_DIR/rekor2/log-of-tiles" \
        --signer-filepath "$sigstore_keys/rekor2.key" --checkpoint-interval 200ms --batch-max-age 100ms
}

run_tuf_repository() { server_run tuf "$services_python" -u -m http.server -b 127.0.0.1 -d "$sigstore_trust/tuf" 8080; }

# --- keys and trust --------------------------------------------------------------------------------------------------

make_service_keys() (
    set -e
    cd "$sigstore_keys"
    make_fulcio_keys
    make_log_keys
    make_timestamp_keys
    openssl genrsa -out oidc.key 2048
)

# new_ca NAME COMMON_NAME PATHLEN: a self-signed authority.
new_ca() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout "$1.key" -out "$1.pem" -days 3650 -sha384 \
        -subj "/O=local.sigstore/CN=$2" -addext "basicConstraints=critical,CA:TRUE,pathlen:$3" \
        -addext keyUsage=critical,keyCertSign,cRLSign
}

# new_certificate NAME COMMON_NAME CURVE AUTHORITY EXTENSION...
new_certificate() {
    openssl req -new -newkey ec -pkeyopt "ec_paramgen_curve:$3" -nodes -keyout "$1.key" -out "$1.csr" \
        -subj "/O=local.sigstore/CN=$2"
    printf '%s\n' "${@:5}" subjectKeyIdentifier=hash authorityKeyIdentifier=keyid >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$4.pem" -CAkey "$4.key" -CAcreateserial -days 3000 -sha384 -extfile "$1.ext" -out "$1.pem"
}

make_fulcio_keys() {
    new_ca root local-fulcio-root 1
    new_certificate plain local-fulcio-intermediate P-384 root basicConstraints=critical,CA:TRUE,pathlen:0 \
        keyUsage=critical,keyCertSign,cRLSign extendedKeyUsage=codeSigning
    cat plain.pem root.pem >"$sigstore_trust/fulcio.pem"
    # Fulcio wants a password, and it must not be empty.
    openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:pw -in plain.key -out int.key
}

make_log_keys() {
    local log
    for log in ctlog rekor1; do
        openssl ecparam -name prime256v1 -genkey -noout -out $log.sec1
        openssl pkcs8 -topk8 -nocrypt -in $log.sec1 -out $log.key
        openssl pkey -in $log.key -pubout -out "$sigstore_trust/$log.pub"
    done
    # ct_server refuses a PEM that is not encrypted, and PKCS #8.
    openssl ec -in ctlog.sec1 -aes256 -passout pass:pw -out ctlog.enc.key
    openssl genpkey -algorithm ed25519 -out rekor2.key
    openssl pkey -in rekor2.key -pubout -out "$sigstore_trust/rekor2.pub"
}

make_timestamp_keys() {
    new_ca tsaroot local-tsa-root 0
    new_certificate tsa local-tsa P-256 tsaroot basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
        extendedKeyUsage=critical,timeStamping
    cat tsa.pem tsaroot.pem >"$sigstore_trust/tsa.pem"
}

# The logs are named by what they sign as, for that is what a verifier reads: their addresses are in the signing configurations.
make_trust() {
    local since out=$sigstore_trust
    since=start-time=$(date -u -d yesterday +%Y-%m-%dT%H:%M:%SZ)
    cosign3 trusted-root create --out "$out/trusted_root.json" \
        --fulcio="url=$fulcio_url,certificate-chain=$out/fulcio.pem,$since" \
        --ctfe="url=$ctlog_url,public-key=$out/ctlog.pub,$since" \
        --rekor="url=http://rekor1.local,public-key=$out/rekor1.pub,$since" \
        --rekor="url=http://rekor2.local,public-key=$out/rekor2.pub,$since,origin=rekor2.local" \
        --tsa="url=$tsa_url,certificate-chain=$out/tsa.pem,$since" || return
    signing_config rekor1 "$rekor1_url" 1 || return
    signing_config rekor1-tsa "$rekor1_url" 1 "--tsa=url=$tsa_url,api-version=1,$since,operator=local" --tsa-config=ANY || return
    signing_config rekor2-tsa "$rekor2_url" 2 "--tsa=url=$tsa_url,api-version=1,$since,operator=local" --tsa-config=ANY || return
    cosign3 signing-config create --out "$out/none.json" || return
    "$services_python" "$services_root/trust.py" "$out" rekor1 rekor1-tsa rekor2-tsa
}

# signing_config NAME REKOR_URL VERSION [WORD...]
signing_config() {
    cosign3 signing-config create --out "$sigstore_trust/$1.json" \
        --fulcio="url=$fulcio_url,api-version=1,$since,operator=local" \
        --oidc-provider="url=$issuer_url,api-version=1,$since,operator=local" \
        --rekor="url=$2,api-version=$3,$since,operator=local" --rekor-config=ANY "${@:4}"
}
