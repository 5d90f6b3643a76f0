//! Laws that hold for every layer, tried on many that a small generator makes.

use crate::support::{
    Item, Numbers, archive, directory, fifo, file, hard_link, padded, read, symlink,
};
use luet_cosign::class::Class;
use luet_cosign::tree::{ExpectedTree, Layer, Meaning, Terms, Tree, difference, flatten};
use std::collections::BTreeSet;

fn pick<'a>(numbers: &mut Numbers, from: &[&'a str]) -> &'a str {
    from[usize::try_from(numbers.below(from.len() as u64)).unwrap()]
}

fn name(numbers: &mut Numbers) -> String {
    let names: Vec<&str> =
        (0..=numbers.below(3)).map(|_| pick(numbers, &["a", "b", "c", "d-", "é"])).collect();
    names.join("/")
}

fn item(numbers: &mut Numbers, name: &str, files: &[String]) -> Item {
    let item = match numbers.below(6) {
        0 | 1 => file(name, vec![b'x'; usize::try_from(numbers.below(900)).unwrap()]),
        2 => directory(name),
        3 => symlink(name, "a/b"),
        4 if !files.is_empty() => {
            hard_link(name, pick(numbers, &files.iter().map(String::as_str).collect::<Vec<_>>()))
        }
        _ => fifo(name),
    };
    if item.kind == b'1' {
        item
    } else {
        item.mode([0o644, 0o755, 0o4755][usize::try_from(numbers.below(3)).unwrap()])
    }
}

/// A layer as tools write it: parents first, each name once, nothing below what is not a directory.
fn orderly(numbers: &mut Numbers) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut files = Vec::new();
    let (mut taken, mut directories) = (BTreeSet::new(), BTreeSet::from([String::new()]));
    for _ in 0..numbers.below(20) {
        let name = name(numbers);
        let parents: Vec<String> =
            name.match_indices('/').map(|(at, _)| name[..at].to_owned()).collect();
        if taken.contains(&name)
            || parents.iter().any(|parent| taken.contains(parent) && !directories.contains(parent))
        {
            continue;
        }
        for parent in parents {
            if taken.insert(parent.clone()) {
                items.push(directory(&parent));
                directories.insert(parent);
            }
        }
        let item = item(numbers, &name, &files);
        match item.kind {
            b'0' if item.mode == 0o644 => files.push(name.clone()),
            b'5' => {
                directories.insert(name.clone());
            }
            _ => {}
        }
        taken.insert(name);
        items.push(item);
    }
    items
}

fn layer(items: &[Item]) -> Layer {
    read(&archive(items)).unwrap()
}

#[test]
fn an_orderly_layer_means_one_thing_whatever_the_order_of_its_names() {
    for seed in 0..200 {
        let items = orderly(&mut Numbers(seed));
        let expected = ExpectedTree::of(&[layer(&items)]);
        let digest = expected.digest();
        assert!(digest.is_some(), "{seed}");
        assert_eq!(expected.tree(Meaning::Oci).unwrap().entries().len(), items.len(), "{seed}");
        // Directories, then the rest backwards, hard links last: still the same tree.
        let mut sorted = items.clone();
        sorted.reverse();
        sorted.sort_by_key(|item| match item.kind {
            b'5' => (0, item.name.len()),
            b'1' => (2, 0),
            _ => (1, 0),
        });
        assert_eq!(ExpectedTree::of(&[layer(&sorted)]).digest(), digest, "{seed}");
        // The same layer again changes nothing; an empty one neither.
        assert_eq!(ExpectedTree::of(&[layer(&items), layer(&[])]).digest(), digest, "{seed}");
        assert_eq!(
            flatten(&[layer(&items), layer(&items)], Meaning::Oci).ok(),
            flatten(&[layer(&items)], Meaning::Oci).ok(),
            "{seed}"
        );
    }
}

#[test]
fn trees_differ_exactly_where_their_digests_do() {
    let mut trees: Vec<Tree> = Vec::new();
    for seed in 0..60 {
        trees.push(flatten(&[layer(&orderly(&mut Numbers(seed)))], Meaning::Host).unwrap());
    }
    for (at, one) in trees.iter().enumerate() {
        for other in trees.iter().skip(at) {
            let difference = difference(one, other, &Terms::default());
            assert_eq!(
                difference.total == 0,
                one.digest() == other.digest(),
                "{:?}",
                difference.first
            );
        }
    }
}

#[test]
fn whatever_the_bytes_nothing_panics_and_the_class_fits() {
    let mut accepted = 0;
    for seed in 0..3000 {
        let mut numbers = Numbers(seed);
        let mut bytes = archive(&orderly(&mut numbers));
        for _ in 0..=numbers.below(3) {
            let block = usize::try_from(numbers.below(bytes.len() as u64 / 512)).unwrap() * 512;
            let end = [512, 160][usize::try_from(numbers.below(2)).unwrap()];
            let at = block + usize::try_from(numbers.below(end)).unwrap();
            bytes[at] = [0, b' ', b'0', b'7', b'/', b'.', 0x80, 0xff, b'x', b'g', b'L', b'S']
                [usize::try_from(numbers.below(12)).unwrap()];
            let mut header = tar::Header::new_old();
            header.as_mut_bytes().copy_from_slice(&bytes[block..block + 512]);
            header.set_cksum();
            bytes[block..block + 512].copy_from_slice(header.as_bytes());
        }
        let cut = usize::try_from(numbers.below(bytes.len() as u64)).unwrap();
        let whole = if numbers.below(4) == 0 { &bytes[..cut] } else { &bytes[..] };
        let fits = |class| matches!(class, Class::Malformed | Class::Unsupported | Class::Limit);
        match read(whole) {
            Ok(layer) => {
                accepted += 1;
                for meaning in [Meaning::Oci, Meaning::Host] {
                    let result = flatten(std::slice::from_ref(&layer), meaning);
                    assert!(
                        result.as_ref().map_or_else(|failure| fits(failure.class()), |_| true),
                        "{seed}: {result:?}"
                    );
                }
            }
            Err(failure) => assert!(fits(failure.class()), "{seed}: {failure}"),
        }
    }
    assert!(accepted > 300, "{accepted}");
    // A stream that starts like a compressed one is taken for one.
    assert_eq!(read(&padded(b"\x1f\x8b")).unwrap_err().class(), Class::Malformed);
}
