//! The proof that a log has an entry, bounded: its hashes, and the signed head of the log's tree.
//!
//! Each line of a checkpoint can be a signature that has to be checked, and the author of a bundle
//! chose how many there are: a bundle of 4 MiB with 170,000 of them took 20 s.

use crate::class::{Class, Failure};
use crate::limits;

/// Checks that a proof asks for no more work than a real one.
///
/// # Errors
/// `limit`: more hashes, bytes or lines. `malformed`: a checkpoint that can be read in two ways.
pub(super) fn check_proof(hashes: usize, checkpoint: &str) -> Result<(), Failure> {
    let over = |what: &str, found: usize, most: usize| {
        let message = format!("a proof of a log with {found} {what}; at most {most} are read");
        Err(Failure::new(Class::Limit, message))
    };
    let lines = lines(checkpoint);
    if hashes > limits::PROOF_HASHES {
        over("hashes", hashes, limits::PROOF_HASHES)
    } else if checkpoint.len() > limits::CHECKPOINT_BYTES {
        over("bytes of a checkpoint", checkpoint.len(), limits::CHECKPOINT_BYTES)
    } else if lines > limits::CHECKPOINT_LINES {
        over("lines of a checkpoint", lines, limits::CHECKPOINT_LINES)
    } else if checkpoint
        .split_once("\n\n")
        .is_some_and(|(_, block)| block.starts_with('\n') || block.contains("\n\n"))
    {
        // What is signed ends at the last blank line for some readers, at the first for others
        // (c2sp.org/signed-note).
        Err(Failure::new(Class::Malformed, "a checkpoint with several blank lines; expected one"))
    } else {
        Ok(())
    }
}

/// Returns how many lines a checkpoint has.
pub(super) fn lines(checkpoint: &str) -> usize {
    checkpoint.lines().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_read_up_to_each_of_its_limits() {
        let check =
            |hashes, text: &str| check_proof(hashes, text).map_err(|failure| failure.class());
        let line = "line\n".repeat(limits::CHECKPOINT_LINES);
        let long = "x".repeat(limits::CHECKPOINT_BYTES);
        assert_eq!(check(limits::PROOF_HASHES, &line), Ok(()));
        assert_eq!(check(0, &long), Ok(()));
        assert_eq!(check(limits::PROOF_HASHES + 1, ""), Err(Class::Limit));
        assert_eq!(check(0, &(line + "one more")), Err(Class::Limit));
        assert_eq!(check(0, &(long + "x")), Err(Class::Limit));
    }

    #[test]
    fn what_a_checkpoint_signs_ends_at_its_one_blank_line() {
        let check = |text: &str| check_proof(0, text).map_err(|failure| failure.class());
        assert_eq!(check("log\n3\nroot\n\n\u{2014} log x\n"), Ok(()));
        assert_eq!(check("log\n3\nroot\n\n\n\u{2014} log x\n"), Err(Class::Malformed));
        assert_eq!(check("log\n3\nroot\n\nmore\n\n\u{2014} log x\n"), Err(Class::Malformed));
    }
}
