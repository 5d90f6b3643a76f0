//! Every number that bounds work: bytes, counts, times. One module, so that the documentation can
//! list them.
//!
//! `docs/limits.md` is held against this file by a test.

use std::time::Duration;

/// An event as the host sends it, in bytes (go-pluggable moves payloads over 8 KiB to a file).
pub const EVENT_BYTES: u64 = 1 << 20;
/// How long a host may take to write an event on standard input.
pub const EVENT_WAIT: Duration = Duration::from_secs(10);
/// A payload that comes through `file`, in bytes, for an event that is ours.
pub const EVENT_FILE_BYTES: u64 = 1 << 20;
/// The payload of `package.install`, which holds the index of a repository, in bytes; it is read
/// past.
pub const INSTALL_BYTES: u64 = 256 << 20;
/// A descriptor as containerd writes it to an image verifier, in bytes (usual: 200).
pub const DESCRIPTOR_BYTES: u64 = 64 << 10;
/// Time for a decision that containerd asks for, everything included, unless the policy's `deadline`
/// says otherwise: containerd kills a verifier after 10 s, and then nobody learns why.
pub const HOST_DEADLINE: Duration = Duration::from_secs(8);
/// The most that a policy's `deadline` may say, in seconds.
pub const HOST_DEADLINE_SECONDS: u64 = 600;
/// How much before that time no registry is waited for any longer, so that the reason can be said.
pub const HOST_RESERVE: Duration = Duration::from_millis(500);
/// Files of an archive: blobs of an image and of its signatures.
pub const ARCHIVE_FILES: usize = 4_096;
/// Zeros behind the end of an archive, in bytes (tar fills up to 10 KiB).
pub const ARCHIVE_END_BYTES: u64 = 64 << 10;
/// A list of images to pull, in bytes.
pub const PULL_LIST_BYTES: u64 = 1 << 20;
/// Directories of registries for which mirrors are read.
pub const MIRROR_FOLDERS: usize = 256;
/// A policy file, in bytes.
pub const POLICY_BYTES: u64 = 256 << 10;
/// Values of a policy file: scalars, lists and mappings.
pub const POLICY_NODES: usize = 20_000;
/// Errors of a policy that are listed, and as many warnings.
pub const POLICY_PROBLEMS: usize = 50;
/// Signers of one policy.
pub const POLICY_SIGNERS: usize = 256;
/// Pairs of scope and tag pattern in one policy.
pub const POLICY_PAIRS: usize = 1_024;
/// Names among which the one that was meant is looked for.
pub const POLICY_SUGGESTIONS: usize = 64;
/// Work of looking for ties between those pairs, in steps: about 10 ns each.
pub const POLICY_TIE_STEPS: usize = 4 << 20;
/// Patterns under `skip_patterns`.
pub const SKIP_PATTERNS: usize = 64;
/// One of those patterns, in bytes.
pub const SKIP_PATTERN_BYTES: usize = 1 << 10;
/// A name or reason in a policy, in characters.
pub const POLICY_TEXT: usize = 512;
/// The path, URL or name of a variable where a key lies, in bytes.
pub const LOCATION_BYTES: usize = 1024;
/// A key file, public or private, in bytes.
pub const KEY_BYTES: u64 = 64 << 10;
/// A file of registry credentials or of luet's configuration, in bytes.
pub const CONFIG_BYTES: u64 = 4 << 20;
/// A manifest or index, in bytes (OCI distribution-spec 1.1, "Pushing Manifests": at least 4 MiB
/// should be taken).
pub const MANIFEST_BYTES: u64 = 4 << 20;
/// A blob that is sent with the request that begins its upload, in bytes: where a registry does not
/// take it like that, it is sent twice.
pub const BLOB_AT_ONCE_BYTES: usize = 64 << 10;
/// The body of an error or a token answer, in bytes.
pub const ERROR_BODY_BYTES: u64 = 64 << 10;
/// One page of a list of referrers, in bytes.
pub const REFERRERS_PAGE_BYTES: u64 = 1 << 20;
/// Pages of a list of referrers.
pub const REFERRERS_PAGES: usize = 10;
/// Referrers in one list that are looked at, of those that may be signatures.
pub const REFERRERS: usize = 128;
/// Entries of one index: platforms of an image, a page of referrers, or those under a fallback tag.
pub const INDEX_ENTRIES: usize = 4_096;
/// The manifest of a referrer, in bytes (usual: 1 KiB): eight are held at the same time.
pub const REFERRER_BYTES: u64 = 1 << 20;
/// A Sigstore bundle at an image, in bytes (usual: 5 to 20 KiB): eight are held at the same time.
pub const IMAGE_BUNDLE_BYTES: u64 = 1 << 20;
/// Layers of one signature manifest, that is, legacy signatures of one image (cosign: 1,000).
pub const LEGACY_SIGNATURES: usize = 1_000;
/// The signed payload of a legacy signature, in bytes.
pub const PAYLOAD_BYTES: u64 = 64 << 10;
/// Payloads under one `.sig` tag that are fetched because a trusted key may have signed them by
/// another hash than SHA-256.
pub const PAYLOADS: usize = 128;
/// A Sigstore bundle of a file, in bytes.
pub const BUNDLE_BYTES: u64 = 4 << 20;
/// A file of attestations, in bytes: one of them has at most [`BUNDLE_BYTES`].
pub const ATTESTATIONS_BYTES: u64 = 8 << 20;
/// Attestations of one file that are looked at (GitHub lists 30 on a page).
pub const ATTESTATIONS: usize = 64;
/// A signature or certificate of a file, in bytes.
pub const SIGNATURE_BYTES: u64 = 64 << 10;
/// A list of files with their digests (SHA256SUMS), in bytes.
pub const SUMS_BYTES: u64 = 16 << 20;
/// Files of such a list.
pub const SUMS: usize = 100_000;
/// What is read of a file at once while its digest is computed, in bytes: small enough for the
/// processor's own memory.
pub const FILE_CHUNK_BYTES: usize = 128 << 10;
/// What is read of a pipe that has to be read more than once, in bytes; a file may have any length.
pub const PIPED_FILE_BYTES: u64 = 64 << 20;
/// The log entry beside a legacy signature, in bytes (usual: 2 to 10 KiB).
pub const LOG_ENTRY_BYTES: usize = 1 << 20;
/// An answer of a transparency log, in bytes.
pub const LOG_ANSWER_BYTES: u64 = 1 << 20;
/// An answer of a service that signs: Fulcio, a timestamp authority, a log of Rekor v2, in bytes
/// (usual: 1 to 6 KiB).
pub const SERVICE_BYTES: u64 = 1 << 20;
/// What an identity token that cannot be renewed must have left before an image is pushed.
pub const TOKEN_LEFT: Duration = Duration::from_secs(30);
/// What such a token has left when that is worth a word.
pub const TOKEN_SHORT: Duration = Duration::from_secs(600);
/// How long an event waits for another one of its run to make the certificate that they share.
pub const RUN_CERTIFICATE_LOCK: Duration = Duration::from_secs(20);
/// What a certificate must have left for one more signature to be made by it.
pub const CERTIFICATE_LEFT: Duration = Duration::from_secs(60);
/// How old a signing configuration may be before a newer one is asked for.
pub const SIGNING_CONFIG_AGE: Duration = Duration::from_secs(604_800);
/// Entries of a log that are kept, so that it is asked once.
pub const LOG_KEPT: usize = 1_000;
/// Subjects of the statement in a bundle (sigstore-go: 1,024).
pub const SUBJECTS: usize = 1_024;
/// Digests of one subject in a bundle (sigstore-go: 32).
pub const SUBJECT_DIGESTS: usize = 32;
/// Log entries, and timestamps, of one bundle (sigstore-go: 32 of each).
pub const BUNDLE_EVIDENCE: usize = 32;
/// The head of a log's tree, signed (a checkpoint), in bytes (the public log's: 300).
pub const CHECKPOINT_BYTES: usize = 16 << 10;
/// Lines of a checkpoint, those of witnesses included: each can cost a signature check.
pub const CHECKPOINT_LINES: usize = 32;
/// Hashes of the proof that a log has an entry: as many as a tree of 2^64 entries has levels.
pub const PROOF_HASHES: usize = 64;
/// A certificate, or a timestamp of RFC 3161, beside a signature, as text, in bytes (usual: 1 to
/// 8 KiB).
pub const TOKEN_BYTES: usize = 64 << 10;
/// Signature checks that what comes with one signature may ask for (usual: under 20). Counted
/// before any is made.
pub const SIGNATURE_CHECKS: usize = 256;
/// Signature checks that all signatures of one image may ask for, at about 0.1 ms each: those of
/// more than [`REFERRERS`] bundles that ask for as much as they may.
pub const IMAGE_CHECKS: usize = 40_000;
/// What is parsed to look at all signatures of one image, in bytes: more than [`REFERRERS`] bundles
/// and their manifests can be.
pub const IMAGE_PARSED_BYTES: usize = 264 << 20;
/// An identity token, in bytes (GitHub's: 2 KiB), and the answer of a service that makes one.
pub const IDENTITY_TOKEN_BYTES: u64 = 64 << 10;
/// How far ahead of Fulcio's clock the beginning of a token may be: what Fulcio forgives.
pub const TOKEN_LEEWAY: Duration = Duration::from_secs(300);
/// Certificates of authorities beside a signature (Fulcio: 2).
pub const CHAIN: usize = 10;
/// A trusted root, in bytes (the public one: 7 KiB).
pub const ROOT_BYTES: u64 = 1 << 20;
/// One file of a TUF repository, in bytes (the largest public one: 7 KiB), and what is kept of one
/// repository.
pub const TUF_FILE_BYTES: u64 = 512 << 10;
/// What is kept of one TUF repository, in bytes (the public one: 30 KiB).
pub const TUF_BYTES: u64 = 4 << 20;
/// Roots of a TUF repository that follow each other (go-tuf and python-tuf: 256).
pub const TUF_ROOTS: u32 = 256;
/// Time to make a trusted root newer: what it is for may hold without.
pub const TUF_TIME: Duration = Duration::from_secs(15);
/// For how long the outcome of asking for a newer root counts for every process of this user.
pub const TUF_REST: Duration = Duration::from_secs(60);
/// How long to wait for another process that asks: as long as it may take, and a little more.
pub const TUF_LOCK: Duration = Duration::from_secs(20);
/// A regular expression or pattern for an identity, in bytes.
pub const EXPRESSION_BYTES: usize = 1 << 10;
/// What such an expression may be compiled to, in bytes.
pub const EXPRESSION_SIZE: usize = 256 << 10;
/// Groups in such an expression: the engine keeps as many places for each state.
pub const EXPRESSION_GROUPS: usize = 32;
/// What all expressions of a policy may be compiled to together, in bytes.
pub const EXPRESSIONS_SIZE: usize = 4 << 20;
/// A name that is held against an expression, in bytes: the work is the product of the two.
pub const NAME_BYTES: usize = 2 << 10;
/// Places in a name where a match may end.
pub const NAME_BORDERS: usize = 128;
/// Requests that look at signatures at the same time.
pub const PARALLEL: usize = 8;
/// Rounds of PBKDF2 in an encrypted key that is imported (openssl writes 2,048; guides say up to
/// 1,000,000).
pub const PBKDF2_ITERATIONS: u32 = 10_000_000;
/// What scrypt may go through in an encrypted key that is imported, in bytes: memory times passes.
pub const SCRYPT_BYTES: u64 = 256 << 20;
/// The configuration of an image, in bytes.
pub const CONFIG_BLOB_BYTES: u64 = 4 << 20;
/// Layers of one image.
pub const LAYERS: usize = 128;
/// Redirects that are followed for one manifest or blob.
pub const REDIRECTS: usize = 5;
/// Tries of one request.
pub const TRIES: u32 = 3;
/// The longest `Retry-After` that is waited for.
pub const RETRY_AFTER: Duration = Duration::from_secs(30);
/// The wait before the second try of a request; doubled for the third, and up to half of it added
/// at random.
pub const BACKOFF: Duration = Duration::from_millis(200);
/// Time to connect.
pub const CONNECT: Duration = Duration::from_secs(5);
/// Time to connect, in a command to which no time was given: three tries fit into [`COMMAND_FIRST`].
pub const COMMAND_CONNECT: Duration = Duration::from_secs(2);
/// Time until a host has answered for the first time, in a command to which no time was given, all
/// tries together: a proxy and a server that take connections and say nothing count too.
pub const COMMAND_FIRST: Duration = Duration::from_secs(7);
/// Time that an anonymous token is kept for the other processes of a run, whatever it says itself.
pub const TOKEN_KEPT: Duration = Duration::from_secs(300);
/// Time that a connection which was opened ahead may wait for its request.
pub const OPENED_AHEAD: Duration = Duration::from_secs(5);
/// Time without any byte of an answer.
pub const IDLE: Duration = Duration::from_secs(15);
/// Time for everything but layer bytes and the hashing of `Dest`, unless `LUET_COSIGN_TIMEOUT` says
/// otherwise.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How long after the deadline a process is ended that does not end by itself.
pub const OVERDUE: Duration = Duration::from_secs(2);
/// How often it is looked whether the process is overdue.
pub const WATCH: Duration = Duration::from_millis(250);
/// What layer bytes must bring within [`PROGRESS_WINDOW`] to count as progress.
pub const PROGRESS_BYTES: u64 = 30 << 10;
/// What the layers of an image must bring in each second, on average, in bytes: at the least that a
/// window lets pass, 1 GiB would take twelve days.
pub const AVERAGE_BYTES: u64 = 16 << 10;
/// For how long they may bring less, at the beginning.
pub const AVERAGE_AFTER: Duration = Duration::from_secs(60);
/// The window of [`PROGRESS_BYTES`]: 1 KiB/s over any 30 s.
pub const PROGRESS_WINDOW: Duration = Duration::from_secs(30);
/// What a layer may unpack to, in bytes.
pub const UNPACKED_BYTES: u64 = 64 << 30;
/// How many times its size a layer may unpack to, beyond [`RATIO_FREE_BYTES`].
pub const RATIO: u64 = 1_000;
/// What a layer may unpack to before [`RATIO`] counts, in bytes.
pub const RATIO_FREE_BYTES: u64 = 64 << 20;
/// The window of zstd, as a power of two: 8 MiB.
pub const ZSTD_WINDOW_LOG: u32 = 23;
/// Time that a credential helper or an engine may take.
pub const HELPER: Duration = Duration::from_secs(15);
/// What a credential helper or an engine may print, in bytes.
pub const HELPER_BYTES: u64 = 4 << 20;
/// One file that we keep, in bytes.
pub const STORE_BYTES: u64 = 1 << 20;
/// Time to wait for a lock of ours.
pub const LOCK: Duration = Duration::from_secs(5);
/// Values and keys of one JSON document: built, each takes up to 200 bytes (1,000 signatures under
/// one tag: 20,000).
pub const JSON_VALUES: usize = 65_536;
/// Depth of a JSON or YAML document.
pub const DEPTH: usize = 32;
/// A reference, in bytes.
pub const REFERENCE_BYTES: usize = 1024;
/// Entries of one tree, and of the layers of one image together.
pub const TREE_ENTRIES: usize = 1_000_000;
/// Paths, targets of links and attributes of one tree, and of the layers of one image together, in
/// bytes: they are held in memory.
pub const TREE_METADATA_BYTES: usize = 256 << 20;
/// What an attribute counts there beyond its name and value, in bytes: about what two allocations
/// and their addresses take.
pub const XATTR_HELD_BYTES: usize = 64;
/// A path in a tree, in bytes (Linux: PATH_MAX, and the host joins paths).
pub const PATH_BYTES: usize = 4096;
/// An extension header of an archive: PAX records, a long name, a map of holes, in bytes (Go
/// archive/tar and libarchive: the same).
pub const TAR_EXTENSION_BYTES: u64 = 1 << 20;
/// Symbolic links that are followed while one path is resolved inside a tree (containerd, umoci:
/// 255).
pub const TREE_LINKS: usize = 255;
/// Paths that are named when a tree is refused.
pub const REPORT_PATHS: usize = 20;
/// What is read of a file at once while `Dest` is hashed, in bytes.
pub const HASH_CHUNK_BYTES: usize = 1 << 20;
/// The list of names, or the value, of extended attributes on disk; all of one entry of a layer; in
/// bytes (Linux: XATTR_LIST_MAX, XATTR_SIZE_MAX).
pub const XATTR_BYTES: usize = 64 << 10;
/// What a directory that an image is unpacked into may hold before, in objects.
pub const LISTING_ENTRIES: usize = 200_000;
/// The list of them that is kept between the two events, in bytes.
pub const LISTING_BYTES: u64 = 64 << 20;
/// What is remembered of one repository, in bytes; the oldest goes first.
pub const MEMORY_BYTES: u64 = 1 << 20;
/// Signers of one repository who are known to name it and the tag in their signatures: a bound, for
/// these are never dropped.
pub const MEMORY_BINDERS: usize = 1 << 10;
/// How much of a luet repository's `repository.yaml`, or of the index of its packages, is read, in
/// bytes.
pub const REPOSITORY_BYTES: u64 = 64 << 20;
/// For how long it is waited that a registry shows what was pushed.
pub const LATE: Duration = Duration::from_secs(30);
/// The first of these waits; doubled each time.
pub const LATE_FIRST: Duration = Duration::from_millis(200);
/// The longest of them.
pub const LATE_MOST: Duration = Duration::from_secs(5);
/// For how long it is known what was pushed.
pub const PUSH_AGE: Duration = Duration::from_secs(86_400);
/// By how much the clock may have been put back since.
pub const PUSH_SKEW: Duration = Duration::from_secs(300);
/// What is known of pushes to one repository, in bytes: some 4,000 of them; the oldest go first.
pub const PUSHES_BYTES: u64 = 1 << 20;
/// Packages of one luet repository.
pub const REPOSITORY_PACKAGES: usize = 20_000;
/// Files that a luet repository has beside its packages (luet: 3).
pub const REPOSITORY_FILES: usize = 16;
/// Snapshots of a luet repository that are looked at to find that of its present state.
pub const REPOSITORY_SNAPSHOTS: usize = 8;
/// One page of a list of tags, in bytes: 1,000 of the longest have 131 KiB.
pub const TAGS_PAGE_BYTES: u64 = 1 << 20;
/// Pages of a list of tags.
pub const TAGS_PAGES: usize = 100;
/// Entries of a layer that are kept before it is known to be the one that was signed; a larger one
/// is streamed twice.
pub const UNPROVEN_ENTRIES: usize = 100_000;
/// The same for paths, targets of links and attributes, in bytes.
pub const UNPROVEN_METADATA_BYTES: usize = 16 << 20;
/// Pieces of a layer that wait between the network and the thread that reads it.
pub const LAYER_QUEUE: usize = 16;
