//! What a flow needs, in three steps of which each takes as many as it needs, and a type for each:
//!
//! 1. [`Machine`]: the environment, who called, where files lie, the time.
//! 2. [`Connections`]: how registries and services are reached.
//! 3. [`Session`]: the policy in force, with its keys and rules.
//!
//! A flow that is given [`Connections`] cannot ask the policy, so a policy that is broken does not
//! break it: signing, and whatever is verified for someone who was named. Made after the event or
//! command is known, for this is where everything expensive begins.

mod child;
mod client;
mod connections;
mod document;
mod in_force;
mod keys;
mod machine;
mod mirrors;
mod process;
mod roots;
mod variables;
mod watch;

pub use child::run_to_end;
pub use connections::{Connections, SessionOptions};
pub use document::policy_file;
pub use in_force::{Linted, Loaded, Session, lint};
pub use machine::{Host, Machine};
pub use process::harden;
pub use roots::describe_root;
pub use variables::{WantedIdentity, facts, set_in_vain, wanted_identity};
pub use watch::Watch;
