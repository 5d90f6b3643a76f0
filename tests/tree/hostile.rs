//! Layers that lie: docs/threats.md U02-U10 and U13. Each is refused with its class and a
//! text that names it.

use crate::support::{
    END, Item, archive, device, directory, extension, file, hard_link, layer, padded, pax, raw,
    read, refused, symlink,
};
use luet_cosign::class::Class;
use luet_cosign::limits;
use luet_cosign::tree::{
    self, EntryKind, ExpectedTree, Layer, Limits, Meaning, Tree, check_diff_ids, flatten,
};
use std::io::{self, Read, Write};

fn oci(layers: &[Layer]) -> Tree {
    flatten(layers, Meaning::Oci).unwrap()
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.entries().iter().map(|entry| entry.path.to_string()).collect()
}

#[test]
fn u02_names_that_lead_out_of_the_root_are_malformed() {
    for name in ["../a", "a/../../b", "/../a", "a/b/../../../c", "..", "./..", "//../x"] {
        refused(
            &archive(&[file("z", ""), file(name, "")]),
            Class::Malformed,
            &format!("`{name}` leads out of the root"),
        );
        refused(
            &archive(&[hard_link("zz", name)]),
            Class::Malformed,
            &format!("`{name}` leads out of the root"),
        );
    }
    refused(&archive(&[file("", "x")]), Class::Malformed, "is the root but not a directory");
    refused(&archive(&[directory("")]), Class::Malformed, "is the root but not a directory");
    refused(&archive(&[file(".", "x")]), Class::Malformed, "`.` is the root but not a directory");
    refused(&archive(&[symlink("a", "")]), Class::Malformed, "`a` is a link to nothing");
    refused(&archive(&[hard_link("a", "")]), Class::Malformed, "`a` is a hard link to nothing");
    refused(&archive(&[hard_link("a", "./")]), Class::Malformed, "`a` is a hard link to nothing");
    let nul = raw(&[pax(b'x', &[(b"path", b"a\0b")]), file("a", "").bytes()]);
    refused(&nul, Class::Malformed, "NUL in `path`");
}

#[test]
fn u02_names_are_cleaned_as_the_host_cleans_them() {
    let layer = layer(&[
        directory("./"),
        file("./a", ""),
        directory("b/"),
        file("b//c", ""),
        file("/d", ""),
        file("x/../e", ""),
        file("f/", ""),
    ]);
    for meaning in [Meaning::Oci, Meaning::Host] {
        assert_eq!(
            paths(&flatten(std::slice::from_ref(&layer), meaning).unwrap()),
            ["a", "b", "b/c", "d", "e", "f"]
        );
    }
}

#[test]
fn u02_a_whiteout_of_no_name_is_malformed() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh..."] {
        refused(&archive(&[file(name, "")]), Class::Malformed, "is a whiteout of no name");
    }
    assert!(read(&archive(&[file(".wh....", "")])).is_ok(), "`...` is a name");
}

#[test]
fn u03_nothing_leaves_the_root_through_a_symlink() {
    for target in ["../../etc", "..", "/../etc", "a/../../b"] {
        let lower = layer(&[directory("a"), symlink("l", target)]);
        for upper in [file("l/x", ""), hard_link("y", "l/passwd"), file("l/.wh.x", "")] {
            let failure = flatten(&[lower.clone(), layer(&[upper])], Meaning::Oci).unwrap_err();
            assert_eq!(failure.class(), Class::Malformed);
            assert!(
                failure.message().contains("leads out of the root through a symlink"),
                "{failure}"
            );
        }
    }
    // The link itself is no offence.
    assert_eq!(paths(&oci(&[layer(&[symlink("l", "../../etc")])])), ["l"]);
}

#[test]
fn u03_inside_the_root_links_are_followed_and_loops_end() {
    let lower = layer(&[
        directory("usr"),
        directory("usr/lib"),
        symlink("lib", "/usr/lib"),
        symlink("loop", "loop"),
    ]);
    let upper = layer(&[file("lib/x", "x"), hard_link("y", "lib/x"), file("usr/.wh.z", "")]);
    assert_eq!(
        paths(&oci(&[lower.clone(), upper])),
        ["lib", "loop", "usr", "usr/lib", "usr/lib/x", "y"]
    );
    let failure = flatten(&[lower, layer(&[file("loop/x", "")])], Meaning::Oci).unwrap_err();
    assert!(failure.message().contains("`loop` leads through too many symlinks"), "{failure}");
}

#[test]
fn u05_of_two_entries_of_one_name_the_meanings_take_different_ones() {
    let layers = [layer(&[file("a", "first"), file("a", "second!")])];
    let expected = ExpectedTree::of(&layers);
    let size = |meaning| match expected.tree(meaning).unwrap().entries() {
        [entry] => entry.kind.clone(),
        other => panic!("{other:?}"),
    };
    assert!(matches!(size(Meaning::Host), EntryKind::File { size: 5, .. }));
    assert!(matches!(size(Meaning::Oci), EntryKind::File { size: 7, .. }));
    assert_eq!(expected.digest(), None, "what the meanings do not agree on has no digest");
}

#[test]
fn u05_names_are_bytes_not_text() {
    let names = ["a", "A", "\u{e9}", "e\u{301}", "x y", "n\nl"];
    let items: Vec<Item> = names.iter().map(|name| file(name, name)).collect();
    assert_eq!(oci(&[layer(&items)]).entries().len(), names.len());
    let odd = layer(&[file(b"\xff\xfe", "")]);
    assert_eq!(oci(&[odd]).entries()[0].path.bytes(), b"\xff\xfe");
}

/// Sets bytes of a header and its checksum.
fn patched(item: &Item, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut header = item.header();
    header.as_mut_bytes()[at..at + bytes.len()].copy_from_slice(bytes);
    header.set_cksum();
    [&header.as_bytes()[..], &padded(&item.data)].concat()
}

#[test]
fn u06_sizes_that_disagree_are_malformed() {
    // CVE-2025-62518: one reader sees a file of 512 bytes, another an entry of its own.
    let inner = file("smuggled", "").header().as_bytes().to_vec();
    for (said, real) in [("512", 0), ("0512", 0), ("1", 512), ("0", 512)] {
        let mut outer = file("a", "").header();
        outer.set_size(real);
        outer.set_cksum();
        let bytes = raw(&[
            pax(b'x', &[(b"size", said.as_bytes())]),
            outer.as_bytes().to_vec(),
            inner.clone(),
        ]);
        refused(&bytes, Class::Malformed, "`a`: in the archive of a layer: the header says");
    }
    let agreed = raw(&[pax(b'x', &[(b"size", b"3")]), file("a", "abc").bytes()]);
    assert!(read(&agreed).is_ok());
}

#[test]
fn u06_data_where_none_belongs_is_malformed() {
    // The host ends here without an error, other readers skip the data or read it as headers.
    for item in [
        directory("d"),
        symlink("d", "x"),
        hard_link("d", "x"),
        device("d", b'3', 1, 3),
        crate::support::fifo("d"),
    ] {
        let item = Item { data: b"hello".to_vec(), ..item };
        refused(
            &archive(&[file("x", ""), item]),
            Class::Malformed,
            "`d` is not a file but has data",
        );
    }
}

#[test]
fn u06_numbers_are_numbers() {
    let item = file("a", "abc");
    let mut negative = [0xff; 12];
    negative[11] = 0xfd;
    for (at, bytes, word) in [
        (124, &b"0000000000x\0"[..], "none"),
        (124, &b"-0000000003\0"[..], "none"),
        (124, &b"+0000000003\0"[..], "none"),
        (124, &b"00000000009\0"[..], "none"),
        (124, &negative[..], "negative"),
        (124, &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3], "none"),
        (108, &[0x80, 0, 0, 1, 0, 0, 0, 0], "owner is too large"),
        (108, &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], "owner is too large"),
        (116, b"seven  \0", "none"),
        (100, b"9999999\0", "none"),
        (136, b"yesterday!!\0", "none"),
        (329, b"zzzzzzz\0", "none"),
        (257, b"ustar\x0099", "no known format"),
        (257, b"ustar!00", "no known format"),
    ] {
        refused(&raw(&[patched(&item, at, bytes)]), Class::Malformed, word);
    }
    let mut wrong = item.bytes();
    wrong[0] ^= 1;
    refused(&raw(&[wrong]), Class::Malformed, "checksum");
    refused(&archive(&[device("d", b'3', 4096, 0)]), Class::Malformed, "device number");
    for (at, bytes) in [
        (124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3][..]),
        (124, b" 3 \0\0\0\0\0\0\0\0\0"),
        (136, &[0xff; 12]),
    ] {
        let layer = read(&raw(&[patched(&item, at, bytes)])).unwrap();
        assert!(matches!(oci(&[layer]).entries()[0].kind, EntryKind::File { size: 3, .. }));
    }
}

#[test]
fn u06_extension_headers_say_one_thing() {
    let a = || file("a", "").bytes();
    let long = |name: &[u8]| extension(b'L', name);
    let path = |name: &[u8]| pax(b'x', &[(b"path", name)]);
    for (parts, word) in [
        (vec![path(b"b"), path(b"c"), a()], "two extension headers"),
        (vec![long(b"b\0"), long(b"c\0"), a()], "two extension headers"),
        (vec![path(b"b"), long(b"c\0"), a()], "`b` is also called `c`"),
        (vec![long(b"b\0c\0"), a()], "goes on after a NUL: `b`"),
        (vec![a(), path(b"b")], "has no entry"),
        (vec![a(), long(b"b\0")], "has no entry"),
        (vec![path(b"b"), pax(b'g', &[(b"comment", b"x")]), a()], "has no entry"),
        (vec![pax(b'g', &[(b"path", b"x")]), a()], "is global and sets `path`"),
        (vec![pax(b'g', &[(b"size", b"1")]), a()], "is global and sets `size`"),
        (vec![pax(b'g', &[(b"SCHILY.xattr.user.a", b"x")]), a()], "is global and sets"),
        (vec![pax(b'x', &[(b"uid", b"-1")]), a()], "no number in `uid`"),
        (vec![pax(b'x', &[(b"uid", b"4294967295")]), a()], "owner is too large"),
        (vec![extension(b'x', b"10 path=a"), a()], "LENGTH KEY=VALUE"),
        (
            vec![pax(b'x', &[(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")]), a()],
            "does not end",
        ),
        (
            vec![pax(b'x', &[(b"GNU.sparse.numblocks", b"1"), (b"GNU.sparse.map", b"0,5")]), a()],
            "map of a sparse file is broken",
        ),
        (
            vec![pax(b'x', &[(b"GNU.sparse.numblocks", b"2"), (b"GNU.sparse.map", b"0,0")]), a()],
            "map of a sparse file is broken",
        ),
    ] {
        refused(&raw(&parts), Class::Malformed, word);
    }
    let version = pax(b'x', &[(b"GNU.sparse.major", b"2"), (b"GNU.sparse.minor", b"0")]);
    refused(&raw(&[version, a()]), Class::Unsupported, "sparse file is in a version");
    let same = raw(&[path(b"b"), long(b"b\0"), a()]);
    assert_eq!(paths(&oci(&[read(&same).unwrap()])), ["b"]);
    let global = raw(&[pax(b'g', &[(b"comment", b"x")]), a()]);
    assert_eq!(paths(&oci(&[read(&global).unwrap()])), ["a"]);
}

#[test]
fn u06_extension_headers_are_capped() {
    let most = usize::try_from(limits::TAR_EXTENSION_BYTES).unwrap();
    let comment = |length: usize| {
        raw(&[pax(b'x', &[(b"comment", &vec![b'x'; length])]), file("a", "").bytes()])
    };
    // `1048576 comment=` and the newline are 17 bytes.
    assert!(read(&comment(most - 17)).is_ok());
    refused(&comment(most - 16), Class::Limit, "an extension header has 1048577 bytes");
}

#[test]
fn u06_types_that_the_host_cannot_unpack_are_unsupported() {
    for kind in [b'7', b'S', b'D', b'M', b'V', b'X', b'!', 0xff] {
        refused(&archive(&[Item { kind, ..file("a", "") }]), Class::Unsupported, "`a` is of type");
    }
}

#[test]
fn u06_old_headers_are_read() {
    let old = |item: Item| {
        let mut header = item.header();
        header.as_mut_bytes()[257..].fill(0);
        header.set_cksum();
        [&header.as_bytes()[..], &padded(&item.data)].concat()
    };
    let bytes =
        raw(&[old(Item { kind: 0, ..directory("d/") }), old(Item { kind: 0, ..file("d/a", "x") })]);
    let tree = oci(&[read(&bytes).unwrap()]);
    assert_eq!(paths(&tree), ["d", "d/a"]);
    assert_eq!(tree.entries()[0].kind, EntryKind::Directory);
}

#[test]
fn u06_an_archive_that_breaks_off_is_malformed() {
    let whole = archive(&[file("a", vec![b'x'; 700])]);
    for length in [1, 511, 513, 1024, 1535] {
        refused(&whole[..length], Class::Malformed, "ends in the middle of an entry");
    }
    for length in [0, 1536, 2048, whole.len()] {
        assert!(read(&whole[..length]).is_ok(), "{length}");
    }
    let hidden = [&END[..512], &file("b", "").bytes(), &END].concat();
    refused(&hidden, Class::Malformed, "follows a block of zeros");
}

#[test]
fn u06_holes_are_zeros() {
    let map = b"2\n512\n3\n2000\n0\n";
    let item = Item { data: [&padded(map)[..], b"abc"].concat(), ..file("GNUSparseFile.0/a", "") };
    let records: [(&[u8], &[u8]); 4] = [
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", b"a"),
        (b"GNU.sparse.realsize", b"2000"),
    ];
    let one = read(&raw(&[pax(b'x', &records), item.bytes()])).unwrap();
    let zero = [
        (&b"GNU.sparse.size"[..], &b"2000"[..]),
        (b"GNU.sparse.numblocks", b"2"),
        (b"GNU.sparse.map", b"512,3,2000,0"),
    ];
    let zero = read(&raw(&[pax(b'x', &zero), file("a", "abc").bytes()])).unwrap();
    let mut content = vec![0; 2000];
    content[512..515].copy_from_slice(b"abc");
    let plain = layer(&[file("a", &content)]);
    assert_eq!(oci(&[one]), oci(std::slice::from_ref(&plain)));
    assert_eq!(oci(&[zero]), oci(&[plain]));
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).unwrap()
}

#[test]
fn u07_compressed_layers_are_the_same_layer() {
    let plain = archive(&[file("a", vec![b'x'; 5000]), directory("d")]);
    let layer = read(&plain).unwrap();
    let (one, two) = plain.split_at(1000);
    for bytes in [
        gzip(&plain),
        [gzip(one), gzip(&[]), gzip(two)].concat(),
        zstd(&plain),
        [zstd(one), zstd(two)].concat(),
    ] {
        assert_eq!(read(&bytes).unwrap(), layer);
    }
    let skippable = [&zstd(&plain)[..], &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0], b"toc"].concat();
    assert_eq!(read(&skippable).unwrap(), layer, "zstd:chunked puts its table into such a frame");
}

#[test]
fn u07_broken_compression_is_malformed() {
    let plain = archive(&[file("a", vec![b'x'; 5000])]);
    let mut sum = gzip(&plain);
    let at = sum.len() - 6;
    sum[at] ^= 1;
    for bytes in [
        [gzip(&plain), b"garbage".to_vec()].concat(),
        [gzip(&plain), vec![0; 16]].concat(),
        [zstd(&plain), b"garbage".to_vec()].concat(),
        gzip(&plain)[..40].to_vec(),
        zstd(&plain)[..20].to_vec(),
        vec![0x1f, 0x8b],
        vec![0x28, 0xb5, 0x2f, 0xfd],
        sum,
    ] {
        refused(&bytes, Class::Malformed, "the compressed layer is broken");
    }
}

#[test]
fn u07_a_zstd_dictionary_is_malformed_and_a_wide_window_a_limit() {
    let plain = archive(&[file("a", vec![b'x'; 5000])]);
    // A frame of one empty block that names the dictionary 7: RFC 8878, section 3.1.1.
    let with = [0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x50, 0x07, 0x01, 0x00, 0x00];
    refused(&with, Class::Malformed, "the compressed layer is broken");
    let windowed = |log: u32| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    };
    assert!(read(&windowed(limits::ZSTD_WINDOW_LOG)).is_ok());
    refused(&windowed(limits::ZSTD_WINDOW_LOG + 1), Class::Limit, "window over 8388608 bytes");
}

#[test]
fn u07_bombs_are_limits() {
    let limits = Limits { ratio_free_bytes: 1 << 20, ..Limits::default() };
    let bomb = |size: usize| archive(&[file("zeros", vec![0; size])]);
    // Neither compresses to a thousandth of 1 MiB.
    assert!(tree::read_layer(&zstd(&bomb(1 << 19))[..], limits).is_ok());
    let failure = tree::read_layer(&zstd(&bomb(8 << 20))[..], limits).unwrap_err();
    assert_eq!(failure.class(), Class::Limit, "{failure}");
    assert!(failure.message().contains("a layer unpacks"), "{failure}");
    let exact = bomb(10_000);
    let capped = |unpacked_bytes| Limits { unpacked_bytes, ..Limits::default() };
    assert!(tree::read_layer(&exact[..], capped(exact.len() as u64)).is_ok());
    let failure = tree::read_layer(&exact[..], capped(exact.len() as u64 - 1)).unwrap_err();
    assert_eq!(
        (failure.class(), failure.message().contains("unpacks to more than")),
        (Class::Limit, true)
    );
}

#[test]
fn u07_a_reader_that_fails_passes_its_failure_on() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other(luet_cosign::class::Failure::new(Class::Digest, "other bytes")))
        }
    }
    let bytes = gzip(&archive(&[file("a", "x")]));
    let start = &bytes[..bytes.len() / 2];
    for reader in [&b""[..], start, &archive(&[file("a", "x")])[..512]] {
        let failure = tree::read_layer(reader.chain(Broken), Limits::default()).unwrap_err();
        assert_eq!(
            (failure.class(), failure.message().ends_with("other bytes")),
            (Class::Digest, true)
        );
    }
}

#[test]
fn u09_sizes_allocate_nothing() {
    for size in [1_u64 << 33, 1 << 40, (1 << 62) + 1] {
        let mut header = file("huge", "").header();
        header.set_size(size);
        header.set_cksum();
        refused(
            &[&header.as_bytes()[..], &[0; 512]].concat(),
            Class::Malformed,
            "ends in the middle",
        );
        let mut long = file("x", "").header();
        long.as_mut_bytes()[156] = b'L';
        long.set_size(size);
        long.set_cksum();
        refused(
            &[&long.as_bytes()[..], &[0; 512]].concat(),
            Class::Limit,
            "an extension header has",
        );
    }
    let holes = [
        (&b"GNU.sparse.size"[..], &b"1099511627776"[..]),
        (b"GNU.sparse.numblocks", b"0"),
        (b"GNU.sparse.map", b""),
    ];
    let bytes = raw(&[pax(b'x', &holes[..2]), file("a", "").bytes()]);
    // Without a map it is not a sparse file; with one of no parts it is a hole of 1 TiB.
    assert!(read(&bytes).is_ok());
    let version =
        [(&b"GNU.sparse.major"[..], &b"0"[..]), (b"GNU.sparse.minor", b"1"), holes[0], holes[1]];
    refused(&raw(&[pax(b'x', &version), file("a", "").bytes()]), Class::Limit, "unpacks");
}

#[test]
fn u10_entries_paths_and_targets_are_capped() {
    let items: Vec<Item> = (0..10).map(|i| file(format!("f{i}"), "")).collect();
    let capped =
        |entries| tree::read_layer(&archive(&items)[..], Limits { entries, ..Limits::default() });
    assert_eq!(capped(10).unwrap().entries(), 10);
    assert_eq!(capped(9).unwrap_err().class(), Class::Limit);
    let deep = |length: usize| "a/".repeat(length / 2) + &"b".repeat(length % 2);
    assert!(read(&archive(&[file(deep(4095), "")])).is_ok());
    refused(&archive(&[file(deep(4097), "")]), Class::Limit, "a path of 4097 bytes");
    assert!(read(&archive(&[symlink("l", "x".repeat(4095))])).is_ok());
    refused(&archive(&[symlink("l", "x".repeat(1 << 19))]), Class::Limit, "a path of 524288 bytes");
    assert!(read(&archive(&[file("n".repeat(255), "")])).is_ok());
}

#[test]
fn u13_layers_that_are_not_those_of_the_configuration_are_digest() {
    let layers = [layer(&[file("a", "")]), layer(&[file("b", "")])];
    let ids: Vec<_> = layers.iter().map(Layer::diff_id).collect();
    assert_eq!(check_diff_ids(&layers, &ids), Ok(()));
    assert_eq!(ids[0], luet_cosign::name::Digest::of(&archive(&[file("a", "")])));
    for wrong in [&ids[..1], &[ids[1], ids[0]], &[ids[0], ids[0]]] {
        assert_eq!(check_diff_ids(&layers, wrong).unwrap_err().class(), Class::Digest);
    }
}

#[test]
fn u09_attributes_of_one_entry_have_a_cap() {
    let value = |length| vec![b'x'; length];
    let name = "user.x".len();
    let items = |length| archive(&[file("a", "").xattr("user.x", value(length))]);
    assert!(read(&items((64 << 10) - name)).is_ok());
    refused(&items((64 << 10) - name + 1), Class::Limit, "bytes of attributes");
    let many =
        (0..17).fold(file("a", ""), |item, n| item.xattr(format!("user.{n}"), value(4 << 10)));
    refused(&archive(&[many]), Class::Limit, "bytes of attributes");
    // What is compared nowhere is not held.
    assert!(read(&archive(&[file("a", "").xattr("system.x", value(100 << 10))])).is_ok());
    assert!(read(&archive(&[symlink("a", "b").xattr("user.x", value(100 << 10))])).is_ok());
}

#[test]
fn u09_what_is_held_of_layers_has_a_cap() {
    let bytes = archive(&[
        file("abc", "").xattr("user.x", "12345"),
        symlink("l", "target"),
        hard_link("h", "abc"),
        file("d", "not counted"),
    ]);
    let capped = |metadata_bytes| {
        tree::read_layer(&bytes[..], Limits { metadata_bytes, ..Limits::default() })
    };
    let exact = 3 + 6 + 5 + limits::XATTR_HELD_BYTES + 1 + 6 + 1 + 3 + 1;
    assert_eq!(capped(exact).unwrap().metadata_bytes(), exact);
    let failure = capped(exact - 1).unwrap_err();
    assert_eq!(failure.class(), Class::Limit);
    assert!(failure.message().contains("bytes of paths"), "{failure}");
}

#[test]
fn u09_names_that_share_attributes_and_deep_paths_do_not_fill_the_memory() {
    let mut links = vec![file("a", "").xattr("user.x", vec![b'x'; 60 << 10])];
    links.extend((0..5_000).map(|n| hard_link(format!("l{n}"), "a")));
    let deep = |n: usize| file(format!("{n}/{}f", "a/".repeat(2_000)), "");
    let deep: Vec<_> = (0..80).map(deep).collect();
    for items in [links, deep] {
        let layers = [layer(&items)];
        for meaning in [Meaning::Host, Meaning::Oci] {
            assert_eq!(tree::flatten(&layers, meaning).unwrap_err().class(), Class::Limit);
        }
    }
}

#[test]
fn compression_is_told_however_the_bytes_are_cut() {
    struct Cut<'a>(&'a [u8]);
    impl Read for Cut<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(self.0.len()).min(1);
            self.0.read(&mut buffer[..length])
        }
    }
    let plain = archive(&[file("a", "x")]);
    for bytes in [gzip(&plain), zstd(&plain), plain.clone()] {
        assert_eq!(
            tree::read_layer(Cut(&bytes), Limits::default()).unwrap(),
            read(&plain).unwrap()
        );
    }
}
