//! The services: PostgreSQL, Trillian, a CT log, an OIDC issuer, Fulcio, a timestamp authority, Rekor
//! v1 and v2, and a TUF repository, each the real program.

use super::{CT_LOG, FULCIO, ISSUER, PERSON_ISSUER, REKOR1, REKOR2, TSA, TUF, WORKLOAD_ISSUER};
use super::{keys, trust};
use crate::http;
use crate::machine::succeed;
use crate::process::Running;
use crate::{scratch, tools};
use rustix::process::Signal;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const TRILLIAN: &str = "127.0.0.1:8090";
const DATABASE: &str = "postgresql://postgres@127.0.0.1:5432/trillian?sslmode=disable";
const AS_POSTGRES: [&str; 6] =
    ["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--"];

/// What is installed by `.ci/tools.sh sigstore`.
const PROGRAMS: [&str; 14] = [
    "ip",
    "unshare",
    "setpriv",
    "openssl",
    "cosign3",
    "trillian_log_server",
    "trillian_log_signer",
    "createtree",
    "ct_server",
    "fulcio",
    "timestamp-server",
    "rekor-server",
    "rekor-cli",
    "rekor-tiles",
];

/// Everything that runs. What was started last is stopped first.
pub struct Services {
    running: Vec<Running>,
    folder: TempDir,
}

impl Services {
    /// Starts all of them, with keys of their own; a second or two.
    #[track_caller]
    pub fn start() -> Self {
        let missing = missing();
        assert!(missing.is_empty(), "missing: run `.ci/tools.sh sigstore`, as root: {missing:?}");
        let mut services = Self { running: Vec::new(), folder: scratch::folder() };
        services.postgres();
        keys::make(&services.keys(), &services.trust());
        // Trees are for Trillian to make, and Fulcio asks the issuer and the CT log. The others start
        // meanwhile.
        services.issuer();
        services.timestamp_authority();
        services.rekor2();
        trust::make(&services.trust());
        services.tuf_repository();
        let [ct, rekor] = services.trillian();
        services.ct_log(&ct);
        services.rekor1(&rekor);
        services.answers("issuer", ISSUER, "/keys");
        services.answers("ct-log", CT_LOG, "/ct/ct/v1/get-sth");
        services.fulcio();
        services.answers("fulcio", FULCIO, "/healthz");
        services.answers("tsa", TSA, "/ping");
        services.answers("rekor1", REKOR1, "/api/v1/log");
        services.answers("rekor2", REKOR2, "/healthz");
        services.answers("tuf", TUF, "/timestamp.json");
        services
    }

    /// The directory of what others have to know.
    pub fn trust(&self) -> PathBuf {
        self.folder.path().join("trust")
    }

    /// Where a service writes what it does.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).join("log")
    }

    fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// Starts a program in a directory of its own.
    fn run(&mut self, name: &str, program: &Path, arguments: &[&str]) {
        self.run_until(name, Signal::TERM, program, arguments);
    }

    /// The same, for one that takes too long to end at SIGTERM.
    fn run_until(&mut self, name: &str, signal: Signal, program: &Path, arguments: &[&str]) {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).expect("a directory");
        let running = Running::start(name, &folder, program, arguments).stopped_by(signal);
        self.running.push(running);
    }

    /// Waits until a service answers that it is well.
    #[track_caller]
    fn answers(&mut self, name: &str, address: &str, target: &str) {
        let well = || {
            let reply = http::call(address, "GET", target, &[], b"").ok()?;
            (reply.status < 400).then_some(())
        };
        self.running(name).until(|_| well());
    }

    fn running(&mut self, name: &str) -> &mut Running {
        self.running.iter_mut().find(|running| running.name() == name).expect("it was started")
    }

    // Nothing of it outlives the run, so nothing has to be on a disk at any time.
    fn postgres(&mut self) {
        let programs = postgres_programs().expect("it was looked for");
        let folder = self.folder.path().join("postgres");
        let data = folder.join("data");
        std::fs::create_dir(&folder).expect("a directory");
        let install = ["-d", "-m", "700", "-o", "postgres"];
        succeed(tools::command("install").args(install).arg(&data));
        let setpriv = tools::program("setpriv");
        let mut initdb = tools::command(&setpriv);
        initdb.args(AS_POSTGRES).arg(programs.join("initdb")).arg("-D").arg(&data);
        initdb.args(["-A", "trust", "-N", "--no-locale", "-E", "UTF8"]);
        succeed(initdb.current_dir(&folder));
        // A process that becomes another user's forgets whom it has to end with.
        let (server, data) = (text(&programs.join("postgres")), text(&data));
        let sockets = format!("unix_socket_directories={data}");
        let mut words = AS_POSTGRES.to_vec();
        words.extend(["setpriv", "--pdeathsig", "KILL", "--", &server, "-D", &data]);
        let options = ["listen_addresses=127.0.0.1", "port=5432", &sockets, "fsync=off"];
        let options = options.iter().chain(&["synchronous_commit=off", "full_page_writes=off"]);
        options.for_each(|option| words.extend(["-c", option]));
        // Fast: it does not wait for its clients.
        self.run_until("postgres", Signal::INT, &setpriv, &words);
        let here = ["-q", "-h", "127.0.0.1", "-p", "5432"];
        let ready = programs.join("pg_isready");
        self.running("postgres")
            .until(|_| tools::command(&ready).args(here).status().ok()?.success().then_some(()));
        let sql = |words: &[&str]| {
            let mut psql = tools::command(programs.join("psql"));
            succeed(psql.args(["-q", "-h", "127.0.0.1", "-U", "postgres"]).args(words));
        };
        sql(&["-c", "CREATE DATABASE trillian"]);
        let tables = text(&share("trillian.sql"));
        sql(&["-d", "trillian", "-v", "ON_ERROR_STOP=1", "-f", &tables]);
    }

    /// Returns the trees of the CT log and of Rekor.
    fn trillian(&mut self) -> [String; 2] {
        let database = format!("--postgresql_uri={DATABASE}");
        let storage = ["--storage_system=postgresql", &database, "--quota_system=noop"];
        // They take 5 s and 10 s when they are asked to end.
        let server = tools::program("trillian_log_server");
        let endpoint = format!("--rpc_endpoint={TRILLIAN}");
        let words = [&storage[..], &[&endpoint, "--http_endpoint=127.0.0.1:8091"]].concat();
        self.run_until("trillian-server", Signal::KILL, &server, &words);
        let signer = tools::program("trillian_log_signer");
        let own = [
            "--rpc_endpoint=127.0.0.1:8092",
            "--http_endpoint=127.0.0.1:8093",
            "--force_master",
            "--sequencer_interval=20ms",
            "--num_sequencers=2",
        ];
        let words = [&storage[..], &own].concat();
        self.run_until("trillian-signer", Signal::KILL, &signer, &words);
        self.answers("trillian-server", "127.0.0.1:8091", "/healthz");
        self.answers("trillian-signer", "127.0.0.1:8093", "/healthz");
        [(); 2].map(|()| {
            let mut tree = tools::command("createtree");
            let number = succeed(tree.arg(format!("--admin_server={TRILLIAN}")));
            String::from_utf8(number).expect("a number").trim().to_owned()
        })
    }

    fn issuer(&mut self) {
        let script = text(&tools::project().join(".ci/issuer.py"));
        let key = text(&self.keys().join("oidc.key"));
        self.run("issuer", &python(), &[&script, &key, port(ISSUER)]);
    }

    fn ct_log(&mut self, tree: &str) {
        let keys = self.keys();
        let path = self.folder.path().join("ct.cfg");
        let config = format!(
            "config {{\n  log_id: {tree}\n  prefix: \"ct\"\n  roots_pem_file: \"{roots}\"\n  \
             private_key {{ [type.googleapis.com/keyspb.PEMKeyFile] {{ path: \"{key}\" \
             password: \"{password}\" }} }}\n  ext_key_usages: \"CodeSigning\"\n}}\n",
            roots = keys.join("root.pem").display(),
            key = keys.join("ctlog.enc.key").display(),
            password = keys::PASSWORD,
        );
        std::fs::write(&path, config).expect("a file");
        let words = [
            format!("--log_config={}", path.display()),
            format!("--log_rpc_server={TRILLIAN}"),
            format!("--http_endpoint={CT_LOG}"),
        ];
        self.run("ct-log", &tools::program("ct_server"), &words.each_ref().map(String::as_str));
    }

    // Fulcio's own description of how a CI system's claims become a certificate, with our issuers in
    // place of the public ones.
    fn fulcio(&mut self) {
        let path = self.folder.path().join("fulcio.yaml");
        let theirs = std::fs::read_to_string(share("fulcio.yaml")).expect("a file");
        std::fs::write(&path, with_own_issuers(&theirs)).expect("a file");
        let socket = text(&self.folder.path().join("fulcio.sock"));
        let (keys, trust) = (self.keys(), self.trust());
        let log = format!("http://{CT_LOG}/ct");
        let (chain, key) = (text(&trust.join("fulcio.pem")), text(&keys.join("int.key")));
        let (log_key, path) = (text(&trust.join("ctlog.pub")), text(&path));
        #[rustfmt::skip]
        let words = [
            "serve", "--host", "127.0.0.1", "--port", port(FULCIO),
            "--grpc-host", "127.0.0.1", "--grpc-port", "5554", "--metrics-port", "2113",
            "--legacy-unix-domain-socket", &socket,
            "--ca", "fileca", "--fileca-cert", &chain, "--fileca-key", &key,
            "--fileca-key-passwd", keys::PASSWORD, "--fileca-watch=false", "--config-path", &path,
            "--ct-log-url", &log, "--ct-log-public-key-path", &log_key,
        ];
        self.run("fulcio", &tools::program("fulcio"), &words);
    }

    // Before Rekor v1: both want port 2112 for their metrics, and only this one dies of not getting it.
    fn timestamp_authority(&mut self) {
        let key = text(&self.keys().join("tsa.key"));
        let chain = text(&self.trust().join("tsa.pem"));
        #[rustfmt::skip]
        let words = [
            "serve", "--host", "127.0.0.1", "--port", port(TSA), "--timestamp-signer", "file",
            "--file-signer-key-path", &key, "--certificate-chain-path", &chain,
            "--disable-ntp-monitoring",
        ];
        self.run("tsa", &tools::program("timestamp-server"), &words);
    }

    // Without redis it has no search index: the two switches that want one are off.
    fn rekor1(&mut self, tree: &str) {
        let key = text(&self.keys().join("rekor1.key"));
        let (host, number) = TRILLIAN.split_once(':').expect("a port");
        #[rustfmt::skip]
        let words = [
            "serve", "--host", "127.0.0.1", "--port", port(REKOR1),
            "--rekor_server.address", "127.0.0.1", "--rekor_server.hostname", "rekor1.local",
            "--rekor_server.signer", &key, "--trillian_log_server.address", host,
            "--trillian_log_server.port", number, "--trillian_log_server.tlog_id", tree,
            "--enable_retrieve_api=false", "--enabled_api_endpoints",
            "getLogInfo,getPublicKey,getLogProof,createLogEntry,getLogEntryByIndex,\
             getLogEntryByUUID,searchLogQuery",
            "--enabled_entry_types", "hashedrekord,dsse,intoto",
        ];
        self.run("rekor1", &tools::program("rekor-server"), &words);
    }

    fn rekor2(&mut self) {
        let key = text(&self.keys().join("rekor2.key"));
        let tiles = self.folder.path().join("rekor2/log-of-tiles");
        std::fs::create_dir_all(&tiles).expect("a directory");
        #[rustfmt::skip]
        let words = [
            "serve", "--http-address", "127.0.0.1", "--http-port", port(REKOR2),
            "--grpc-address", "127.0.0.1", "--grpc-port", "3001", "--http-metrics-port", "2114",
            "--hostname", "rekor2.local", "--storage-dir", &text(&tiles),
            "--signer-filepath", &key, "--checkpoint-interval", "200ms", "--batch-max-age", "100ms",
        ];
        self.run("rekor2", &tools::program("rekor-tiles"), &words);
    }

    fn tuf_repository(&mut self) {
        let folder = text(&self.trust().join("tuf"));
        let words = ["-u", "-m", "http.server", "-b", "127.0.0.1", "-d", &folder, port(TUF)];
        self.run("tuf", &python(), &words);
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        while self.running.pop().is_some() {}
    }
}

fn with_own_issuers(theirs: &str) -> String {
    let define = theirs.find("define:").expect("definitions");
    let issuers = theirs.find("oidc-issuers:").expect("issuers");
    let metadata = theirs.find("ci-issuer-metadata:").expect("descriptions of CI systems");
    let mut config = theirs[define..issuers].to_owned();
    let person = format!("issuer-url: {PERSON_ISSUER}, client-id: sigstore, type: email");
    let job = format!(
        "issuer-url: {WORKLOAD_ISSUER}, client-id: sigstore, type: ci-provider, \
         ci-provider: *github-type"
    );
    let own = [(PERSON_ISSUER, person), (WORKLOAD_ISSUER, job)];
    config.push_str("oidc-issuers:\n");
    for (issuer, words) in own {
        writeln!(config, "  {issuer}: {{{words}}}").expect("memory");
    }
    config + &theirs[metadata..]
}

/// Names what is not there.
fn missing() -> Vec<String> {
    let programs = PROGRAMS.iter().filter_map(|name| tools::find(name).err());
    let postgres = postgres_programs().is_none().then(|| "postgres".to_owned());
    let files = [python(), share("trillian.sql"), share("fulcio.yaml")];
    let files = files.into_iter().filter(|path| !path.is_file()).map(|path| text(&path));
    let root = (!rustix::process::geteuid().is_root()).then(|| "root".to_owned());
    programs.chain(postgres).chain(files).chain(root).collect()
}

/// The directory of the newest PostgreSQL.
fn postgres_programs() -> Option<PathBuf> {
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("bin/postgres").is_file())
        .max_by_key(|path| version(path))
        .map(|path| path.join("bin"))
}

/// Python with the libraries of Sigstore.
pub fn python() -> PathBuf {
    tools::folder().join("python/bin/python")
}

fn share(name: &str) -> PathBuf {
    tools::folder().join("share").join(name)
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().expect("a port")
}
