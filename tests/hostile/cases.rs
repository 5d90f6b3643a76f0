//! The ledger: every case, its row of the matrix, and what came of it. A row without a case fails,
//! and so does a case of no row.

use crate::{content, events, evidence, faults, files, network, passes, places, sizes};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;

/// So that nobody takes cases away unnoticed.
const AT_LEAST: usize = 250;

/// The families of the matrix that have rows here. The others have tests of their own.
const FAMILIES: [char; 5] = ['R', 'N', 'E', 'F', 'L'];

type Run = Box<dyn Fn() -> String + Send + Sync>;

/// One scripted world.
pub(crate) struct Case {
    row: &'static str,
    name: String,
    /// The class that it must end in; empty where it must be let through.
    expected: &'static str,
    run: Run,
}

/// The cases, as the files of this directory add them.
#[derive(Default)]
pub(crate) struct Cases(Vec<Case>);

impl Cases {
    /// Adds a case. `run` returns the class that it ended in.
    pub(crate) fn add(
        &mut self,
        row: &'static str,
        name: impl Into<String>,
        expected: &'static str,
        run: impl Fn() -> String + Send + Sync + 'static,
    ) {
        self.0.push(Case { row, name: name.into(), expected, run: Box::new(run) });
    }
}

impl Case {
    /// Returns what is wrong, if anything is. A panic in the script is a failure of its case, not
    /// of the ledger.
    fn problem(&self) -> Option<String> {
        match catch_unwind(AssertUnwindSafe(&self.run)) {
            Ok(found) if found == self.expected => None,
            Ok(found) => {
                Some(format!("{} {}: `{found}`; expected `{}`", self.row, self.name, self.expected))
            }
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or(panic.downcast_ref::<&str>().copied());
                Some(format!("{} {}: {}", self.row, self.name, text.unwrap_or("panicked")))
            }
        }
    }
}

/// The rows of `docs/threats.md` that are for this ledger.
fn rows() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threats.md");
    let text = std::fs::read_to_string(page).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        (cells.last() == Some(&"ledger")).then(|| cells[0].to_owned())
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn every_row_of_the_matrix_ends_in_its_class() {
    let mut cases = Cases::default();
    for add in [
        content::cases,
        sizes::cases,
        evidence::cases,
        places::cases,
        network::cases,
        passes::cases,
        events::cases,
        files::cases,
        faults::cases,
    ] {
        add(&mut cases);
    }
    let cases = cases.0;

    let per_row = per_row(&cases);
    let problems = Mutex::new(unaccounted(&per_row));
    crate::in_parallel(12, cases.len(), |number| {
        if let Some(problem) = cases[number].problem() {
            problems.lock().unwrap().push(problem);
        }
    });
    let problems = problems.into_inner().unwrap();

    for family in FAMILIES {
        let own: Vec<_> = per_row.iter().filter(|(row, _)| row.starts_with(family)).collect();
        println!(
            "{family}: {} rows, {} cases",
            own.len(),
            own.iter().map(|(_, count)| **count).sum::<usize>()
        );
    }
    println!("hostile: {} cases, {} wrong", cases.len(), problems.len());
    assert!(
        problems.is_empty(),
        "{} of {} cases:\n{}",
        problems.len(),
        cases.len(),
        problems.join("\n")
    );
    assert!(cases.len() >= AT_LEAST, "{} cases", cases.len());
}

/// Counts cases; two of one name in one row would be one case counted twice.
fn per_row(cases: &[Case]) -> BTreeMap<&'static str, usize> {
    let mut names = BTreeSet::new();
    let mut per_row = BTreeMap::new();
    for case in cases {
        assert!(
            names.insert((case.row, case.name.as_str())),
            "{} {} is there twice",
            case.row,
            case.name
        );
        *per_row.entry(case.row).or_default() += 1;
    }
    per_row
}

/// Returns what rows and cases do not have of each other.
fn unaccounted(per_row: &BTreeMap<&'static str, usize>) -> Vec<String> {
    let rows = rows();
    let without = rows
        .iter()
        .filter(|row| !per_row.contains_key(row.as_str()))
        .map(|row| format!("{row}: no case"));
    let stray =
        per_row.keys().filter(|row| !rows.contains(**row)).map(|row| format!("{row}: no such row"));
    without.chain(stray).collect()
}
