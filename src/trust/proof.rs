//! Words that accuse, for the one place where they are true: a signature was checked, over data
//! that is otherwise whole, and is wrong.
//!
//! The hints of classes do not accuse: a file that was mixed up, another key, a page of a portal or
//! half a download look broken too, and no one is to blame for them. A change that adds one of these must
//! know that nothing the user could have mixed up explains what was found.

/// A signature that does not hold, where all that it depends on came in one piece.
pub(super) const SIGNATURE: &str =
    "the signature was checked and is wrong: do not use this, and have it signed again";
/// A promise or proof of a log that does not hold.
pub(super) const LOG: &str =
    "what the log is said to have signed was checked and is wrong: have it signed again";
/// A signature that holds, by someone who is trusted, for another image.
pub(super) const ANOTHER_IMAGE: &str =
    "the signature is for a different image or tag: do not install it";

#[cfg(test)]
mod tests {
    use crate::class::Class;

    #[test]
    fn the_hint_of_no_class_accuses_anyone() {
        for class in Class::ALL {
            for word in ["do not", "broken", "signed again", "serves", "offers"] {
                assert!(!class.hint().contains(word), "{class}: {}", class.hint());
            }
        }
    }
}
