//! The spellings of cosign 1, whose options had one dash: `-key` for `--key`.

use std::ffi::OsString;

/// Options of cosign 1 that are options here.
const OLD: &[&str] = &["bundle", "cert", "key", "signature"];

/// Returns the arguments as they are spelled today. What is behind `run` is luet's, and behind
/// `--` nobody's options.
pub(super) fn modern(arguments: &[OsString]) -> Vec<OsString> {
    let mut own = true;
    let mut spelled = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let text = argument.to_str().unwrap_or_default();
        own &= text != "run" && text != "--";
        let name = text.strip_prefix('-').map(|name| name.split('=').next().unwrap_or(name));
        let old = own && name.is_some_and(|name| OLD.contains(&name));
        spelled.push(if old { OsString::from(format!("-{text}")) } else { argument.clone() });
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_becomes_two_where_it_is_ours() {
        let spell = |words: &str| {
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            modern(&words).iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            spell("verify-blob -key k -signature=s -cert c f"),
            "verify-blob --key k --signature=s --cert c f"
        );
        assert_eq!(spell("verify -a k=v --key k -k x"), "verify -a k=v --key k -k x");
        assert_eq!(spell("verify-blob -key k -- -key"), "verify-blob --key k -- -key");
        assert_eq!(spell("run -- luet install -key"), "run -- luet install -key");
    }
}
