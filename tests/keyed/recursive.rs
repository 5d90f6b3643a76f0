//! What `sign -r` signs holds for the tag and the index that it was signed in. Asked at machines
//! without memory, which know the key and nothing else.

use super::*;

const OWN: &str = if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" };
const OTHER: &str = if cfg!(target_arch = "x86_64") { "linux/arm64" } else { "linux/amd64" };

/// A registry in which `1` is an index of two images, all of it signed by `sign -r` in one form.
struct Signed {
    world: World,
    index: String,
    other: Image,
}

impl Signed {
    fn new(format: &str) -> Self {
        let world = World::new();
        let other = world.registry.push_image(REPO, "other", &[b"another layer"]);
        let index = world.registry.push_index(REPO, "1", &[(&world.image, OWN), (&other, OTHER)]);
        world.registry.remove_tag(REPO, "other");
        let signed = Self { world, index, other };
        signed.sign(format, "1");
        signed
    }

    fn sign(&self, format: &str, tag: &str) -> String {
        let name = self.world.registry.name(&format!("{REPO}:{tag}"));
        let arguments = ["sign", "--key", "acme.key", "--format", format, "-r", &name];
        let output = self.world.plugin.run(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The class of what an event answers; empty where it lets the image be unpacked.
    fn install(&self, name: &str) -> String {
        let number = std::fs::read_dir(self.world.plugin.path("")).unwrap().count();
        let name = self.world.registry.name(&format!("{REPO}{name}"));
        let dest = self.world.plugin.dest(&format!("dest{number}"));
        self.world.plugin.pre_unpack(&name, &dest).class().to_owned()
    }
}

#[test]
fn an_index_and_its_images_hold_under_their_tag_and_by_digest() {
    for format in ["legacy", "bundle", "both"] {
        let signed = Signed::new(format);
        assert_eq!(signed.install(":1"), "", "{format}");
        for digest in [&signed.index, &signed.world.image.digest, &signed.other.digest] {
            assert_eq!(signed.install(&format!("@{digest}")), "", "{format} {digest}");
            assert_eq!(signed.install(&format!(":1@{digest}")), "", "{format} {digest}");
            assert_eq!(signed.install(&format!(":2@{digest}")), "binding", "{format} {digest}");
        }
    }
}

#[test]
fn an_index_under_another_tag_is_not_vouched_for_by_its_images() {
    for format in ["legacy", "bundle", "both"] {
        let signed = Signed::new(format);
        signed.world.registry.tag(REPO, "2", &signed.index);
        assert_eq!(signed.install(":2"), "binding", "{format}");
    }
}

#[test]
fn an_image_of_an_index_is_not_served_under_a_tag_itself() {
    for format in ["legacy", "bundle", "both"] {
        let signed = Signed::new(format);
        for image in [&signed.world.image, &signed.other] {
            for tag in ["1", "2"] {
                signed.world.registry.tag(REPO, tag, &image.digest);
                assert_eq!(signed.install(&format!(":{tag}")), "binding", "{format} {tag}");
            }
        }
    }
}

/// The server of an index decides what is in it: here the image for another machine.
#[test]
fn an_image_of_an_index_does_not_hold_in_another_index() {
    for format in ["legacy", "bundle", "both"] {
        let signed = Signed::new(format);
        let Signed { world, other, .. } = &signed;
        let evil = world.registry.push_index(REPO, "1", &[(other, OWN)]);
        assert_eq!(signed.install(":1"), "binding", "{format}");
        assert_eq!(signed.install(&format!("@{evil}")), "binding", "{format}");
        world.registry.push_index(REPO, "1", &[(&world.image, OWN)]);
        assert_eq!(signed.install(":1"), "binding", "{format}");
    }
}

/// Same subject and signer, other claims: another signature. All the same: none.
#[test]
fn each_tag_of_an_index_is_signed_once() {
    for format in ["legacy", "bundle"] {
        let signed = Signed::new(format);
        assert_eq!(signed.sign(format, "1").matches("already signed").count(), 3, "{format}");
        signed.world.registry.tag(REPO, "2", &signed.index);
        assert_eq!(signed.sign(format, "2").matches("already signed").count(), 0, "{format}");
        assert_eq!(signed.sign(format, "2").matches("already signed").count(), 3, "{format}");
        for tag in [":1", ":2"] {
            assert_eq!(signed.install(tag), "", "{format} {tag}");
        }
    }
}

/// Named by digest there is no tag to claim, and the images still belong to their index.
#[test]
fn an_index_that_is_signed_by_digest_binds_its_images_to_itself() {
    for format in ["legacy", "bundle"] {
        let world = World::new();
        let index = world.registry.push_index(REPO, "1", &[(&world.image, OWN)]);
        let other = world.registry.push_image(REPO, "other", &[b"another layer"]);
        let signed = Signed { world, index, other };
        let name = signed.world.registry.name(&format!("{REPO}@{}", signed.index));
        let arguments = ["sign", "--key", "acme.key", "--format", format, "-r", &name];
        assert!(signed.world.plugin.run(arguments).status.success());
        signed.world.registry.tag(REPO, "2", &signed.index);
        for name in [":1", ":2", &format!("@{}", signed.world.image.digest)] {
            assert_eq!(signed.install(name), "", "{format} {name}");
        }
        let Signed { world, other, .. } = &signed;
        world.registry.push_index(REPO, "1", &[(&world.image, OWN), (other, OTHER)]);
        assert_eq!(signed.install(":1"), "binding", "{format}");
    }
}
