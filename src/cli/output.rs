//! What a command writes: the one place where text reaches the terminal, and so the one place where
//! it is escaped.
//!
//! Names, payloads and errors come from strangers. None of it may steer a terminal, reorder what is
//! read, begin a line of its own, or be there without being seen, whichever message it is in.

use crate::class::{Class, Failure, escaped, hides};
use crate::config::Environment;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fs::File;
use std::io::{Error, ErrorKind, IsTerminal as _, Write};
use std::path::Path;
use std::rc::Rc;

/// The version of every `--json` document.
const JSON_VERSION: u32 = 1;

/// Where a command writes.
pub struct Streams {
    output: Box<dyn Write>,
    errors: Box<dyn Write>,
    /// Whether the answer goes to a terminal that shows colours.
    coloured: bool,
}

/// A colour for a word of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Cyan,
    Red,
    Yellow,
}

impl Colour {
    /// The code of its bold form (ECMA-48, SGR).
    const fn code(self) -> &'static str {
        match self {
            Self::Cyan => "1;36",
            Self::Red => "1;31",
            Self::Yellow => "1;33",
        }
    }
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streams")
    }
}

impl Streams {
    /// Returns the streams of the process.
    #[must_use]
    pub fn standard() -> Self {
        let coloured = std::io::stdout().is_terminal();
        Self { coloured, ..Self::new(Box::new(std::io::stdout()), Box::new(std::io::stderr())) }
    }

    /// Returns streams that keep what is written, and what they keep.
    pub(super) fn held() -> (HeldOutput, Self) {
        let held = HeldOutput::default();
        (held.clone(), Self::new(Box::new(held.clone()), Box::new(held)))
    }

    /// Takes where the answer goes, and everything else.
    #[must_use]
    pub fn new(output: Box<dyn Write>, errors: Box<dyn Write>) -> Self {
        Self { output, errors, coloured: false }
    }

    /// Writes the answer into a file from now on.
    ///
    /// # Errors
    /// `usage`: it cannot be written.
    pub(super) fn write_to(&mut self, path: &Path) -> Result<(), Failure> {
        let file = File::create(path).map_err(|error| {
            let message = format!("`{}` cannot be written: {error}", path.display());
            Failure::new(Class::Usage, message)
        })?;
        (self.output, self.coloured) = (Box::new(file), false);
        Ok(())
    }

    /// Takes colours away where the user wants none (<https://no-color.org>), or the terminal has
    /// none.
    pub(super) fn respect(&mut self, environment: &Environment) {
        let unwanted = environment.raw("NO_COLOR").is_some_and(|value| !value.is_empty());
        let none = environment.raw("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        self.coloured &= !unwanted && !none;
    }

    /// Writes one line of the answer in pieces, some of them in a colour, whatever is in it.
    pub(super) fn painted(&mut self, pieces: &[(Option<Colour>, &str)]) -> Result<(), Failure> {
        let mut line = String::new();
        for (colour, text) in pieces {
            let text = escaped(text);
            match colour.filter(|_| self.coloured) {
                Some(colour) => line.push_str(&format!("\u{1b}[{}m{text}\u{1b}[0m", colour.code())),
                None => line.push_str(&text),
            }
        }
        written(writeln!(self.output, "{line}"))
    }

    /// Writes one line of the answer, whatever is in it.
    pub(super) fn say(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        written(writeln!(self.output, "{}", escaped(&line.to_string())))
    }

    /// Writes lines of the answer: a text whose ends of lines are our own. A tab moves nothing but
    /// what follows it, so it stays.
    pub(super) fn say_lines(&mut self, text: impl std::fmt::Display) -> Result<(), Failure> {
        text.to_string().lines().try_for_each(|line| {
            let columns: Vec<String> = line.split('\t').map(escaped).collect();
            written(writeln!(self.output, "{}", columns.join("\t")))
        })
    }

    /// Writes one line beside the answer, whatever is in it.
    pub(super) fn note(&mut self, line: impl std::fmt::Display) {
        let _ = writeln!(self.errors, "{}", escaped(&line.to_string()));
    }

    /// Writes lines beside the answer: a text whose ends of lines are our own.
    pub(super) fn note_lines(&mut self, text: impl std::fmt::Display) {
        text.to_string().lines().for_each(|line| self.note(line));
    }

    /// Writes a `--json` document: what the command found, under the version of the form.
    pub(super) fn json(&mut self, mut document: Value) -> Result<(), Failure> {
        if let Some(object) = document.as_object_mut() {
            object.insert("version".to_owned(), json!(JSON_VERSION));
        }
        self.value(&document)
    }

    /// Writes a JSON value in one line.
    pub(super) fn value(&mut self, value: &Value) -> Result<(), Failure> {
        written(writeln!(self.output, "{}", json_text(value)))
    }

    /// Writes what this program made of nothing that came from outside: a key, a manual page.
    pub(super) fn own(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        written(self.output.write_all(bytes))
    }

    /// Writes out what is held back.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        written(self.output.flush())
    }
}

/// What was written and not shown yet.
#[derive(Clone, Default)]
pub(super) struct HeldOutput(Rc<RefCell<Vec<u8>>>);

impl HeldOutput {
    /// Returns it, as far as it is text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

impl Write for HeldOutput {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Reads the outcome of writing. A reader that went away (`| head`) has seen enough.
fn written(result: Result<(), Error>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Class::Internal, format!("the answer could not be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Returns a value as JSON whose text can be shown. It reads back as the same value: such
/// characters can only are in strings, where JSON has an escape for each (RFC 8259 section 7).
fn json_text(value: &Value) -> String {
    let plain = value.to_string();
    let mut text = String::with_capacity(plain.len());
    for c in plain.chars() {
        if hides(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Rc<RefCell<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    const HOSTILE: &str = "a\u{1b}[2Jb\nc\rd\u{9b}31m\u{7f}e\u{202e}f\u{ad}g\u{3164}h\u{115f}\u{e0041}i\u{200b}\u{2028}j\u{feff}\u{fe0f}\u{34f}\u{180e}";

    #[test]
    fn no_way_of_writing_text_lets_through_what_steers_a_terminal() {
        let (output, errors) = (Kept::default(), Kept::default());
        let mut streams = Streams::new(Box::new(output.clone()), Box::new(errors.clone()));
        streams.say(HOSTILE).unwrap();
        streams.say_lines(HOSTILE.replace('\n', " ")).unwrap();
        streams.value(&json!([HOSTILE, {HOSTILE: 1}])).unwrap();
        streams.json(json!({"name": HOSTILE})).unwrap();
        streams.note(HOSTILE);
        streams.note_lines(HOSTILE.replace('\n', " "));
        for (kept, lines) in [(output, 4), (errors, 2)] {
            let bytes = kept.0.borrow().clone();
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.lines().count(), lines, "a stranger begins no line: {text}");
            assert!(text.bytes().all(|c| c == b'\n' || (0x20..0x7f).contains(&c)), "{text:?}");
        }
    }

    #[test]
    fn json_reads_back_as_the_same_value() {
        let value = json!({"a": HOSTILE, HOSTILE: ["\u{e0041}\u{1f600}", "\\u0041", "\u{0}é漢"]});
        let text = json_text(&value);
        assert!(!text.contains(hides));
        assert!(text.contains("é漢\"") && text.contains('\u{1f600}'), "what can be seen stays");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
