//! The atoms of a regular expression, as far as it has to be read to warn of what it lets in. It is
//! never matched by this.

/// One thing in an expression, with how often it may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Atom<'a> {
    /// A character.
    Literal { character: char, quantifier: &'a str },
    /// One of several characters: `.`, `[a-z]`, `\w`.
    Class { class: &'a str, quantifier: &'a str },
    /// A position: `^`, `\b`.
    Look,
    /// The start of a group.
    Open,
    /// The end of a group.
    Close,
    /// `|`.
    Or,
}

/// Reads atoms from an expression that compiles.
pub(super) struct Atoms<'a>(pub(super) &'a str);

impl<'a> Atoms<'a> {
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.0.split_at_checked(length).unwrap_or((self.0, ""));
        self.0 = rest;
        taken
    }

    fn quantifier(&mut self) -> &'a str {
        let length = match self.0.chars().next() {
            Some('*' | '+' | '?') => 1,
            Some('{') => self.0.find('}').map_or(0, |at| at + 1),
            _ => 0,
        };
        let taken = self.take(length);
        if length > 0 && self.0.starts_with('?') {
            self.take(1);
        }
        taken
    }

    fn class(&mut self, length: usize) -> Atom<'a> {
        let class = self.take(length);
        Atom::Class { class, quantifier: self.quantifier() }
    }

    fn literal(&mut self, character: char, length: usize) -> Atom<'a> {
        self.take(length);
        Atom::Literal { character, quantifier: self.quantifier() }
    }

    fn escape(&mut self) -> Atom<'a> {
        let Some(escaped) = self.0.chars().nth(1) else { return self.literal('\\', 1) };
        match escaped {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => self.class(2),
            'x' | 'u' | 'U' => {
                let digits = if self.0.get(2..3) == Some("{") {
                    self.0.find('}').map_or(2, |at| at + 1)
                } else {
                    2 + match escaped {
                        'x' => 2,
                        'u' => 4,
                        _ => 8,
                    }
                };
                self.literal('x', digits)
            }
            'A' | 'z' | 'b' | 'B' | '<' | '>' => {
                self.take(2);
                Atom::Look
            }
            character => self.literal(character, 1 + character.len_utf8()),
        }
    }

    /// Returns how long a class in brackets is: a `]` at its start belongs to it, and so does one
    /// that is escaped or ends a class inside.
    fn bracket_length(&self) -> usize {
        let (mut depth, mut escaped, mut first) = (0_usize, false, false);
        for (at, c) in self.0.char_indices() {
            match c {
                _ if escaped => (escaped, first) = (false, false),
                '\\' => escaped = true,
                '[' => (depth, first) = (depth + 1, true),
                '^' if first => {}
                ']' if first => first = false,
                ']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return at + 1;
                    }
                }
                _ => first = false,
            }
        }
        self.0.len()
    }

    fn group(&mut self) -> Atom<'a> {
        self.take(1);
        if self.0.starts_with('?') {
            // `(?:`, `(?i)`, `(?i:`, `(?P<name>`.
            let end = self.0.find([':', ')', '>']).unwrap_or_default();
            let sets_flags = self.0.get(end..end + 1) == Some(")");
            self.take(end + 1);
            if sets_flags {
                return Atom::Look;
            }
        }
        Atom::Open
    }
}

impl<'a> Iterator for Atoms<'a> {
    type Item = Atom<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let c = self.0.chars().next()?;
        Some(match c {
            '\\' => self.escape(),
            '[' => self.class(self.bracket_length()),
            '.' => self.class(1),
            '(' => self.group(),
            ')' => {
                self.take(1);
                self.quantifier();
                Atom::Close
            }
            '|' => {
                self.take(1);
                Atom::Or
            }
            '^' | '$' => {
                self.take(1);
                Atom::Look
            }
            c => self.literal(c, c.len_utf8()),
        })
    }
}

/// Returns the literal text inside a part of a name that a wildcard follows, back to where that
/// part begins.
pub(super) fn open_name(expression: &str, fits_letters: impl Fn(&str) -> bool) -> Option<String> {
    let mut place = Place::default();
    let mut groups = Vec::new();
    for atom in Atoms(expression) {
        match atom {
            Atom::Literal { character: '/', quantifier: "" } => {
                place = Place { name: String::new(), in_path: true, ..place };
            }
            // Behind the `@` of a ref everything is open.
            Atom::Literal { character: '@', quantifier: "" } if place.in_path => {
                place = Place { in_ref: true, ..place };
            }
            Atom::Literal { character: '/', .. } => {}
            Atom::Literal { character, .. } => place.name.push(character),
            Atom::Class { class, quantifier } => {
                let is_wide = quantifier.starts_with(['*', '+', '{']) && fits_letters(class);
                if is_wide && !place.in_ref && !place.name.is_empty() {
                    return Some(place.name);
                }
                // What a wildcard at the start of a part swallows is all of it.
                if !is_wide {
                    place.name.push(if class == "." { '.' } else { '_' });
                }
            }
            Atom::Open => groups.push(place.clone()),
            Atom::Close => drop(groups.pop()),
            Atom::Or => place = groups.last().cloned().unwrap_or_default(),
            Atom::Look => {}
        }
    }
    None
}

/// Where in an expression it is.
#[derive(Clone, Debug, Default)]
struct Place {
    /// The literal text of this part of a name, so far.
    name: String,
    in_path: bool,
    in_ref: bool,
}
