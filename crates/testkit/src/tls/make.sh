#!/bin/sh
# Makes the certificates in this directory again. They protect nothing: the keys are public.
set -eu
cd "$(dirname "$0")"
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
cat > "$T/ca.cnf" <<CNF
[ca]
default_ca = d
[d]
database = $T/index
new_certs_dir = $T
rand_serial = yes
default_md = sha256
policy = p
unique_subject = no
[p]
commonName = supplied
CNF
: > "$T/index"
key "$T/ca.key"
openssl req -new -x509 -key "$T/ca.key" -subj "/CN=luet-cosign test authority" -days 36500 \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" -out authority.pem
leaf() { # name, subject alternative names, start, end
  key "$1.key.pem"
  openssl req -new -key "$1.key.pem" -subj "/CN=$1" -out "$T/$1.csr"
  printf 'basicConstraints=CA:FALSE\nsubjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$2" > "$T/$1.ext"
  openssl ca -batch -notext -config "$T/ca.cnf" -cert authority.pem -keyfile "$T/ca.key" -in "$T/$1.csr" \
    -extfile "$T/$1.ext" -startdate "$3" -enddate "$4" -out "$1.pem" 2>/dev/null
}
NAMES="DNS:localhost,DNS:registry.test,DNS:store.test,DNS:inside.test,DNS:*.hosts.test,DNS:registry-1.docker.io,DNS:auth.docker.io,IP:127.0.0.1"
leaf good "$NAMES" 20250101000000Z 21200101000000Z
leaf expired "$NAMES" 20200101000000Z 20210101000000Z
leaf misnamed "DNS:elsewhere.example" 20250101000000Z 21200101000000Z
leaf not-yet "$NAMES" 21000101000000Z 21200101000000Z
# One that someone made for himself, marked as an authority's: what one command of openssl makes.
own() { # name, subject alternative names, start, end, further extensions
  key "$1.key.pem"
  openssl req -new -key "$1.key.pem" -subj "/CN=$1" -out "$T/$1.csr"
  printf 'basicConstraints=critical,CA:TRUE\nsubjectAltName=%s\n%s\n' "$2" "${5:-}" > "$T/$1.ext"
  openssl ca -batch -notext -selfsign -config "$T/ca.cnf" -keyfile "$1.key.pem" -in "$T/$1.csr" \
    -extfile "$T/$1.ext" -startdate "$3" -enddate "$4" -out "$1.pem" 2>/dev/null
}
own own "$NAMES" 20250101000000Z 21200101000000Z
own own-expired "$NAMES" 20200101000000Z 20210101000000Z
own own-misnamed "DNS:elsewhere.example" 20250101000000Z 21200101000000Z
own own-for-clients "$NAMES" 20250101000000Z 21200101000000Z "extendedKeyUsage=clientAuth"
