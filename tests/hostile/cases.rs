//! The ledger: every case, its row of the matrix, and what came of it. A row without a case fails,
//! and so does a case of no row.

use crate::{content, events, evidence, faults, files, network, passes, places, sizes};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;

/// What the issue asks for.
const AT_LEAST: usize = 250;

/// The families of the matrix that are about what works today. The others (S, T, P, X, U, G) have
/// tests of their own.
const FAMILIES: [char; 5] = ['R', 'N', 'E', 'F', 'L'];

/// Rows that no case here can be about, each with the reason.
const ELSEWHERE: [(&str, &str); 1] = [(
    "N15",
    "keyless issue: there are no hosts of Sigstore services yet that a token of a registry could reach",
)];

/// The rows of those families, for a checkout that has no matrix beside it.
const ROWS: [&str; 67] = [
    "R01", "R02", "R03", "R04", "R05", "R06", "R07", "R08", "R09", "R10", "R11", "R12", "R13",
    "R14", "R15", "R16", "R17", "R18", "R19", "R20", "R21", "R22", "R23", "R24", "N01", "N02",
    "N03", "N04", "N05", "N06", "N07", "N08", "N09", "N10", "N11", "N12", "N13", "N14", "N15",
    "N16", "N17", "N18", "N19", "E01", "E02", "E03", "E04", "E05", "E06", "E07", "E08", "E09",
    "E10", "E11", "E12", "E13", "E14", "E15", "L01", "L02", "L03", "L04", "L05", "L06", "L07",
    "L08", "L11",
];
/// As above, the faults.
const FAULTS: [&str; 9] = ["F01", "F02", "F03", "F04", "F05", "F06", "F09", "F12", "F13"];

type Run = Box<dyn Fn() -> String + Send + Sync>;

/// One scripted world.
pub(crate) struct Case {
    row: &'static str,
    name: String,
    /// The class that it must end in; empty where it must be let through.
    expected: &'static str,
    run: Run,
}

/// The cases, as the files of this folder add them.
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

/// The rows as the matrix has them, where it lies beside the checkout.
fn rows() -> BTreeSet<String> {
    let matrix = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/security.md");
    let listed: BTreeSet<String> = ROWS.iter().chain(&FAULTS).map(ToString::to_string).collect();
    let Ok(text) = std::fs::read_to_string(matrix) else { return listed };
    let row = |line: &str| {
        let id = line.strip_prefix("| ")?.split(' ').next()?;
        let (family, number) = (id.chars().next()?, id.get(1..)?);
        (FAMILIES.contains(&family) && number.len() == 2 && number.parse::<u8>().is_ok())
            .then(|| id.to_owned())
    };
    let found: BTreeSet<String> = text.lines().filter_map(row).collect();
    assert_eq!(found, listed, "the matrix has other rows than the list here");
    found
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
    let excused = |row: &str| ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == row);
    let without = rows
        .iter()
        .filter(|row| !per_row.contains_key(row.as_str()) && !excused(row))
        .map(|row| format!("{row}: no case"));
    let stale = ELSEWHERE
        .iter()
        .filter(|(row, _)| per_row.contains_key(row))
        .map(|(row, _)| format!("{row}: has a case, and an excuse"));
    let stray =
        per_row.keys().filter(|row| !rows.contains(**row)).map(|row| format!("{row}: no such row"));
    without.chain(stale).chain(stray).collect()
}
