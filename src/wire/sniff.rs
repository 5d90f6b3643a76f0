//! What a file is, by its first bytes: the media type that cosign gives the layer of an uploaded
//! file.
//!
//! Source: Go `net/http.DetectContentType`, which follows <https://mimesniff.spec.whatwg.org/>. It
//! must be the same, for the media type is part of what is signed: the same file would otherwise
//! have another digest.

/// How many bytes are looked at.
pub const SNIFFED_BYTES: usize = 512;

const OTHER: &str = "application/octet-stream";

/// Tags that begin a page; letters in either case.
const TAGS: [&str; 17] = [
    "<!DOCTYPE HTML",
    "<HTML",
    "<HEAD",
    "<SCRIPT",
    "<IFRAME",
    "<H1",
    "<DIV",
    "<FONT",
    "<TABLE",
    "<A",
    "<STYLE",
    "<TITLE",
    "<B",
    "<BODY",
    "<BR",
    "<P",
    "<!--",
];

/// What a file begins with, in Go's order. `?` stands for any byte.
const BEGINNINGS: [(&[u8], &str); 32] = [
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xfe\xff??", "text/plain"),
    (b"\xff\xfe??", "text/plain"),
    (b"\xef\xbb\xbf?", "text/plain"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\x00\x00\x02\x00", "image/x-icon"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"RIFF????WEBPVP", "image/webp"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"FORM????AIFF", "audio/aiff"),
    (b"ID3", "audio/mpeg"),
    (b"OggS\x00", "application/ogg"),
    (b"MThd\x00\x00\x00\x06", "audio/midi"),
    (b"RIFF????AVI ", "video/avi"),
    (b"RIFF????WAVE", "audio/wave"),
    // Here Go looks for MP4.
    (b"", "video/mp4"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"??????????????????????????????????LP", "application/vnd.ms-fontobject"),
    (b"\x00\x01\x00\x00", "font/ttf"),
    (b"OTTO", "font/otf"),
    (b"ttcf", "font/collection"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1a\x07\x00", "application/x-rar-compressed"),
    (b"Rar!\x1a\x07\x01\x00", "application/x-rar-compressed"),
    (b"\x00asm", "application/wasm"),
];

/// Returns the media type of a file with this beginning, without parameters.
#[must_use]
pub fn media_type(beginning: &[u8]) -> &'static str {
    let data = beginning.get(..SNIFFED_BYTES).unwrap_or(beginning);
    let blank = |byte: &u8| matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ');
    let first = data.iter().position(|byte| !blank(byte)).unwrap_or(data.len());
    let text = data.get(first..).unwrap_or_default();
    if TAGS.iter().any(|tag| begins_with_tag(text, tag.as_bytes())) {
        return "text/html";
    }
    if text.starts_with(b"<?xml") {
        return "text/xml";
    }
    let found = BEGINNINGS.iter().find(|(pattern, _)| match *pattern {
        b"" => is_mp4(data),
        pattern => begins(data, pattern),
    });
    let control = |byte: &u8| matches!(byte, 0..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    match found {
        Some((_, found)) => found,
        None if text.iter().any(control) => OTHER,
        None => "text/plain",
    }
}

fn begins(data: &[u8], pattern: &[u8]) -> bool {
    data.len() >= pattern.len()
        && pattern.iter().zip(data).all(|(wanted, found)| *wanted == b'?' || wanted == found)
}

fn begins_with_tag(text: &[u8], tag: &[u8]) -> bool {
    let same = |(wanted, found): (&u8, &u8)| {
        let found = if wanted.is_ascii_uppercase() { found & 0xdf } else { *found };
        *wanted == found
    };
    matches!(text.get(tag.len()), Some(b' ' | b'>')) && tag.iter().zip(text).all(same)
}

/// A box of the type `ftyp` that names a brand `mp4...`.
fn is_mp4(data: &[u8]) -> bool {
    let (Some(length), Some(b"ftyp")) = (data.get(..4), data.get(4..8)) else { return false };
    let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    if data.len() < 12 || data.len() < length || length % 4 != 0 {
        return false;
    }
    // The word after the first brand is its version.
    (8..length)
        .step_by(4)
        .filter(|at| *at != 12)
        .any(|at| data.get(at..at + 3) == Some(b"mp4".as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each with what Go says of it.
    #[test]
    fn files_are_what_go_says_they_are() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "text/plain"),
            (b"hello\n", "text/plain"),
            (b"\x7fELF\x02\x01\x01\x00", OTHER),
            (b"#!/bin/sh\n", "text/plain"),
            (b" \n<html>", "text/html"),
            (b"<b>", "text/html"),
            (b"<bx", "text/plain"),
            (b"<html", "text/plain"),
            (b"\t<?xml version", "text/xml"),
            (b"{\"a\": 1}", "text/plain"),
            (b"\x1f\x8b\x08\x00", "application/x-gzip"),
            (b"\x1f\x8b", OTHER),
            (b"PK\x03\x04\x14", "application/zip"),
            (b"\x00asm\x01\x00\x00\x00", "application/wasm"),
            (b"\x28\xb5\x2f\xfd\x04", OTHER),
            (b"\xfd7zXZ\x00", OTHER),
            (b"RIFF\x01\x02\x03\x04WAVEfmt", "audio/wave"),
            (b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00", OTHER),
            (b"\x00\x00\x00\x14ftypisom\x00\x00\x00\x00mp42", "video/mp4"),
            (b"\x00\x00\x00\x0cftypmp41", "video/mp4"),
            // Its length is beyond the end, or of no whole number of brands.
            (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00mp42", OTHER),
            (b"\x00\x00\x00\x15ftypisom\x00\x00\x00\x00mp42\x00", OTHER),
            (b"\xef\xbb\xbfx", "text/plain"),
            (b"a\x00b", OTHER),
            (b"a\x1bb", "text/plain"),
            (b"%PDF-1.7", "application/pdf"),
            (b"%PDF-", "application/pdf"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(media_type(bytes), *expected, "{}", bytes.escape_ascii());
        }
        let mut font = [0; 40];
        font[34..36].copy_from_slice(b"LP");
        assert_eq!(media_type(&font), "application/vnd.ms-fontobject");
        let mut brands = b"\x00\x00\x01\x04ftypisom\x00\x00\x00\x00".repeat(16);
        brands.extend_from_slice(b"mp42");
        assert_eq!(media_type(&brands), "video/mp4", "260 bytes of brands");
        let mut late = vec![b'a'; 600];
        late[550] = 0;
        assert_eq!(media_type(&late), "text/plain", "512 bytes are looked at");
    }
}
