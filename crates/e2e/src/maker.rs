//! Who makes signatures.

use crate::machine::succeed;
use crate::{Machine, tools};
use std::path::Path;

/// A program that signs images with a key, in the legacy format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// The program under test, whose signatures say what they were made for.
    Ours,
    Cosign2,
    Cosign3,
}

impl Maker {
    /// Its part of a trial's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Cosign2 => "cosign2",
            Self::Cosign3 => "cosign3",
        }
    }

    /// Signs images.
    #[track_caller]
    pub fn sign(self, machine: &Machine, key: &Path, images: &[String]) {
        let mut command = match self {
            Self::Ours => machine.command(machine.plugin()),
            Self::Cosign2 => machine.command(tools::program("cosign2")),
            Self::Cosign3 => machine.command(tools::program("cosign3")),
        };
        command.arg("sign").arg("--key").arg(key);
        match self {
            Self::Ours => {}
            Self::Cosign2 => {
                command.args(["--tlog-upload=false", "--allow-http-registry", "-y"]);
            }
            Self::Cosign3 => {
                command.args(["--use-signing-config=false", "--new-bundle-format=false"]);
                command.args(["--tlog-upload=false", "--allow-http-registry", "-y"]);
            }
        }
        succeed(command.args(images));
    }
}
