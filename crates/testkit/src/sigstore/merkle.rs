//! The Merkle tree of RFC 6962, section 2.1, straight from its definition: slow and plain.

use super::sha256;

/// The hash of one entry.
pub fn leaf(entry: &[u8]) -> [u8; 32] {
    sha256(&[&[0], entry].concat())
}

/// `MTH`: the hash of a tree with these leaves.
pub fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => sha256(b""),
        [one] => *one,
        _ => {
            let (left, right) = split(leaves);
            sha256(&[&[1][..], &root(left), &root(right)].concat())
        }
    }
}

/// `PATH`: what proves that a leaf is in the tree, from its sibling upwards.
pub fn path(index: usize, leaves: &[[u8; 32]]) -> Vec<[u8; 32]> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = split(leaves);
    let (mut path, sibling) = if index < left.len() {
        (path(index, left), root(right))
    } else {
        (path(index - left.len(), right), root(left))
    };
    path.push(sibling);
    path
}

/// At the largest power of two that is smaller than the number of leaves.
fn split(leaves: &[[u8; 32]]) -> (&[[u8; 32]], &[[u8; 32]]) {
    leaves.split_at(leaves.len().next_power_of_two() / 2)
}
