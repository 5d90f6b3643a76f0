//! Hosts that push and install, registries, build engines, and the real cosign and skopeo as makers
//! and judges of signatures, with the plugin in between.
//!
//! A trial is called `interop::REGISTRY::HOST::WHAT`, with the engine where one builds.

mod example;
mod faults;
mod goods;
mod install;
mod judges;
mod publish;
mod push;
mod run;
mod two;

use crate::{Shared as All, trial};
use e2e::machine::{Seen, succeed};
use e2e::registry::{Image, all_for};
use e2e::{Dockerd, Engine, Host, Machine, Maker, Registry, http};
use goods::Goods;
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use testkit::Server;

/// A registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    /// Without a referrers API.
    Docker,
    /// With one.
    Olareg,
    Basic,
    Token,
    /// It answers 429 to whoever is fast.
    Limited,
}

impl At {
    const OPEN: [Self; 2] = [Self::Docker, Self::Olareg];
    const DIFFICULT: [Self; 3] = [Self::Basic, Self::Token, Self::Limited];

    fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker-registry",
            Self::Olareg => "olareg",
            Self::Basic => "olareg-basic",
            Self::Token => "olareg-token",
            Self::Limited => "olareg-limited",
        }
    }

    /// Who has to log in there.
    fn login(self) -> Option<&'static str> {
        matches!(self, Self::Basic | Self::Token).then_some("ci:secret")
    }
}

/// What these trials share, each part made when one of them first needs it.
#[derive(Default)]
pub struct Shared {
    goods: OnceLock<Goods>,
    places: [OnceLock<Place>; 4],
    dockerd: OnceLock<Dockerd>,
    /// What hosts published, by address.
    published: Mutex<BTreeMap<String, Arc<OnceLock<()>>>>,
}

/// A registry that runs.
struct Place {
    registry: Registry,
    /// Before it, where it limits.
    limiter: Option<Server>,
    /// How often someone was told to wait.
    told: Arc<AtomicUsize>,
    repositories: OnceLock<()>,
}

impl Place {
    fn start(at: At) -> Self {
        let registry = match at {
            At::Docker => Registry::docker(),
            At::Olareg => Registry::olareg(&[]),
            At::Basic => Registry::olareg_for(&["ci:secret"], &all_for("ci")),
            At::Token => Registry::olareg_with_tokens("ci:secret"),
            At::Limited => Registry::olareg(&["--rate-limit=8"]),
        };
        let told = Arc::default();
        let limiter = (at == At::Limited).then(|| limiter(registry.address(), &told));
        Self { registry, limiter, told, repositories: OnceLock::new() }
    }

    fn address(&self) -> String {
        self.limiter.as_ref().map_or_else(|| self.registry.address().to_owned(), Server::host)
    }
}

/// Hosts, engines and judges do not wait at 429, so they must not meet it; the program under test
/// must: only its requests count as those of one client.
fn limiter(upstream: &str, told: &Arc<AtomicUsize>) -> Server {
    let (upstream, clients) = (upstream.to_owned(), AtomicUsize::new(0));
    let told = Arc::clone(told);
    Server::start(move |request| {
        let ours = request.header("user-agent").is_some_and(|agent| agent.contains("luet-cosign"));
        let client = match ours {
            true => "limited".to_owned(),
            false => format!("client {}", clients.fetch_add(1, Ordering::Relaxed)),
        };
        let more = [("X-Forwarded-For", client.as_str())];
        let answer =
            http::forward(&upstream, request, &request.target, &["x-forwarded-for"], &more);
        told.fetch_add(usize::from(answer.status() == 429), Ordering::Relaxed);
        answer
    })
}

type Check = fn(&mut Case<'_>);
/// A part of a trial's name, and the trial.
type Named = (&'static str, Check);

/// At a registry, a host, perhaps with an engine; and a machine that never saw anything of it.
struct Case<'s> {
    all: &'s All,
    at: At,
    host: &'s Host,
    engine: Option<Engine>,
    machine: Machine,
    /// The registry that limits, for this trial alone: others would use up what it may ask.
    limited: OnceLock<Place>,
    /// A name of this trial's own, for repositories that it makes.
    own: String,
}

pub fn trials(hosts: &[Host], shared: &Arc<All>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |at: At, host: &Host, engine: Option<Engine>, group: &str, name: &str, run| {
        let host = host.clone();
        let by = engine.map_or_else(String::new, |engine| format!("{}::", engine.name()));
        // What needs no host is not tried with each.
        let of = if group == "peers" { String::new() } else { format!("{}::", host.name()) };
        let name = format!("interop::{}::{of}{group}::{by}{name}", at.name());
        let own = name.replace("::", "/");
        let run: Check = run;
        trials.push(trial(name, shared, move |shared| {
            run(&mut Case::new(shared, at, &host, engine, own));
        }));
    };
    for at in At::OPEN {
        for (name, run) in judges::PEERS {
            add(at, &Host::StandIn, None, "peers", name, *run);
        }
        for host in hosts {
            for engine in Engine::ALL.map(Some) {
                let groups = [
                    ("publish", publish::PUBLISH, true),
                    ("push", push::PUSH, at == At::Docker),
                    ("example", example::EXAMPLE, at == At::Docker),
                ];
                for (group, checks, _) in groups.iter().filter(|(.., here)| *here) {
                    for (name, run) in *checks {
                        add(at, host, engine, group, name, *run);
                    }
                }
            }
            for (name, run) in publish::SEPARATE {
                add(at, host, Some(Engine::Buildah), "separate", name, *run);
            }
            let groups = [
                ("install", install::INSTALL),
                ("refused", install::REFUSED),
                ("two", two::TWO),
                ("run", run::RUN),
            ];
            for (group, checks) in groups {
                for (name, run) in checks {
                    add(at, host, None, group, name, *run);
                }
            }
        }
    }
    for host in hosts {
        for at in At::DIFFICULT {
            let more = if at == At::Limited { publish::LIMITED } else { publish::LOGGED_IN };
            for (name, run) in publish::PUBLISH.iter().chain(more) {
                add(at, host, Some(Engine::Buildah), "publish", name, *run);
            }
        }
    }
    for host in hosts {
        for at in At::OPEN {
            trials.extend(faults::trials(at, host, shared));
        }
    }
    trials
}

impl<'s> Case<'s> {
    fn new(all: &'s All, at: At, host: &'s Host, engine: Option<Engine>, own: String) -> Self {
        let machine = Machine::new(all.world.plugin());
        let mut case = Self { all, at, host, engine, machine, limited: OnceLock::new(), own };
        case.machine = case.machine_here();
        case
    }

    /// A machine that can reach this registry, and has the engine.
    fn machine_here(&self) -> Machine {
        let mut machine = Machine::new(self.all.world.plugin());
        let address = self.address();
        if let Some(login) = self.at.login() {
            machine.log_in(&address, login);
            machine.login = login.split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned()));
        }
        self.equip(&mut machine, &[&address]);
        machine
    }

    /// Gives a machine what the engine needs.
    fn equip(&self, machine: &mut Machine, addresses: &[&str]) {
        match self.engine {
            Some(Engine::Buildah) => machine.use_buildah(addresses),
            Some(Engine::Docker) => {
                let dockerd = self.all.interop.dockerd.get_or_init(Dockerd::start);
                machine.set("DOCKER_HOST", dockerd.socket());
                machine.set("DOCKER_BUILDKIT", "0");
            }
            None => {}
        }
    }

    fn engine(&self) -> Engine {
        self.engine.expect("a trial with an engine")
    }

    fn goods(&self) -> &'s Goods {
        self.all.interop.goods.get_or_init(|| Goods::make(&self.all.world))
    }

    fn place(&self) -> &Place {
        let shared = self.all.interop.places.get(self.at as usize);
        shared.unwrap_or(&self.limited).get_or_init(|| Place::start(self.at))
    }

    fn address(&self) -> String {
        self.place().address()
    }

    /// A repository that was made for all trials, such as `ours/acme`.
    fn made(&self, path: &str) -> String {
        let place = self.place();
        place.repositories.get_or_init(|| {
            self.goods().publish_all(&self.all.world, place.registry.address());
        });
        format!("{}/{path}", self.address())
    }

    /// An address for what this trial makes.
    fn own(&self, path: &str) -> String {
        format!("{}/{path}/{}", self.address(), self.own)
    }

    fn has_key(&mut self, name: &str) {
        let key = self.goods().key(name);
        self.machine.set("COSIGN_KEY_LOCATION", key);
    }

    fn trusts(&mut self, name: &str) {
        let key = self.goods().public(name);
        self.machine.set("COSIGN_PUBLIC_KEY_LOCATION", key);
    }

    fn install(&self, repositories: &[(&str, &str)], packages: &[&str]) -> Seen {
        let one: Vec<[&str; 1]> = repositories.iter().map(|(_, address)| [*address]).collect();
        let all: Vec<(&str, &[&str])> =
            repositories.iter().zip(&one).map(|((name, _), urls)| (*name, &urls[..])).collect();
        self.machine.repositories(&all);
        let words = ["install", "--plugin", "luet-cosign", "-y"];
        self.machine.host(self.host, &[&words, packages].concat())
    }

    /// These files, and nothing else, are in the root beside the host's own database.
    #[track_caller]
    fn installed(&self, files: &[(&str, &str)]) {
        let mut expected: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        expected.sort_unstable();
        assert_eq!(self.machine.installed(), expected, "in the root");
        for (path, content) in files {
            let found = std::fs::read_to_string(self.machine.root().join(path)).expect("a file");
            assert_eq!(found.trim_end(), *content, "{path}");
        }
    }

    /// Exit 2, the class leads the text of the error, and nothing got in.
    #[track_caller]
    fn refused(&self, seen: &Seen, class: &str, text: &str) {
        seen.was_refused(class, text);
        self.installed(&[]);
    }

    fn crane(&self, machine: &Machine, words: &[&str]) -> String {
        let mut command = machine.command(e2e::tools::program("crane"));
        String::from_utf8(succeed(command.args(words))).expect("UTF-8")
    }

    /// Every tag there.
    fn tags(&self, address: &str) -> Vec<String> {
        self.crane(&self.machine, &["ls", address]).lines().map(ToOwned::to_owned).collect()
    }

    /// Every image that a host pushed there, by digest.
    fn images(&self, address: &str) -> Vec<String> {
        let mut images: Vec<String> = self
            .tags(address)
            .iter()
            .filter(|tag| !tag.starts_with("sha256-"))
            .map(|tag| {
                let digest = self.crane(&self.machine, &["digest", &format!("{address}:{tag}")]);
                format!("{address}@{}", digest.trim())
            })
            .collect();
        images.sort();
        images.dedup();
        assert!(images.len() >= 8, "only {} images", images.len());
        images
    }

    /// Every image there has a legacy signature, here or in another repository.
    #[track_caller]
    fn all_are_signed(&self, address: &str) {
        for image in self.images(address) {
            let (repository, digest) = image.split_once('@').expect("a digest");
            let tag = format!("{repository}:{}.sig", digest.replace(':', "-"));
            let manifest = self.crane(&self.machine, &["manifest", &tag]);
            assert!(manifest.contains("dev.cosignproject.cosign/signature"), "{image}: {manifest}");
        }
    }

    /// Publishes packages as a repository, with the engine.
    fn publish(&self, machine: &Machine, packages: &Path, address: &str) -> Seen {
        let tree = machine.path("tree");
        std::fs::create_dir_all(&tree).expect("a directory");
        machine.repositories(&[]);
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let words = ["create-repo", "--plugin", "luet-cosign", "--type", "docker", "--push-images"];
        let (tree, packages) = (text(&tree), text(packages));
        let more = ["--backend", self.engine().name(), "--from-metadata", "--tree", &tree];
        let rest = ["--packages", &packages, "--output", address, "--name", "acme"];
        machine.host(self.host, &[&words[..], &more, &rest].concat())
    }
}

/// Signs all that an install from there fetches, and these packages.
fn sign_all(machine: &Machine, maker: Maker, key: &Path, address: &str, packages: &[&str]) {
    let tags = e2e::world::METADATA.iter().chain(packages);
    let images: Vec<String> = tags
        .map(|tag| format!("{address}@{}", Image::new(&format!("{address}:{tag}")).digest()))
        .collect();
    maker.sign(machine, key, &images);
}
