#!/usr/bin/env python3
"""Puts what `cosign trusted-root create` and `signing-config create` made into the forms that others read.

    trust.py DIR CONFIG...    CONFIG names DIR/CONFIG.json, a signing configuration

DIR/python/CONFIG.json   trusted root and signing configuration in one, as sigstore-python's --trust-config wants them
DIR/tuf/                 a TUF repository with the trusted root and the first CONFIG, as `cosign initialize` reads it
"""

import datetime
import hashlib
import json
import pathlib
import sys

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

LIFETIME = datetime.timedelta(days=30)


def write_python(folder, configs):
    (folder / "python").mkdir()
    for config in configs:
        signing = json.loads((folder / f"{config}.json").read_bytes())
        signing["tsaConfig"] = signing.get("tsaConfig") or {"selector": "ANY"}  # it does not read one that is empty
        both = {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": json.loads((folder / "trusted_root.json").read_bytes()),
            "signingConfig": signing,
        }
        (folder / "python" / f"{config}.json").write_text(json.dumps(both))


def write_tuf(out, files):
    """One key for each role; consistent snapshots, as in Sigstore's own repository."""
    (out / "targets").mkdir(parents=True)
    expires = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + LIFETIME
    signers = {role: CryptoSigner.generate_ecdsa() for role in ("root", "targets", "snapshot", "timestamp")}
    root, targets = Root(expires=expires, consistent_snapshot=True), Targets(expires=expires)
    for role, signer in signers.items():
        root.add_key(signer.public_key, role)
    for name, content in files.items():
        targets.targets[name] = TargetFile.from_data(name, content, ["sha256"])
        (out / "targets" / f"{hashlib.sha256(content).hexdigest()}.{name}").write_bytes(content)
    snapshot = Snapshot(expires=expires, meta={"targets.json": MetaFile(1)})
    timestamp = Timestamp(expires=expires, snapshot_meta=MetaFile(1))
    for role, signed, name in (
        ("root", root, "1.root.json"),
        ("targets", targets, "1.targets.json"),
        ("snapshot", snapshot, "1.snapshot.json"),
        ("timestamp", timestamp, "timestamp.json"),
    ):
        metadata = Metadata(signed)
        metadata.sign(signers[role])
        metadata.to_file(str(out / name))


def main():
    folder, configs = pathlib.Path(sys.argv[1]), sys.argv[2:]
    write_python(folder, configs)
    write_tuf(
        folder / "tuf",
        {
            "trusted_root.json": (folder / "trusted_root.json").read_bytes(),
            "signing_config.v0.2.json": (folder / f"{configs[0]}.json").read_bytes(),
        },
    )


main()
