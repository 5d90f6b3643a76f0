//! What was measured, as lines and as a table.

use std::fmt;
use std::path::Path;

const BEGIN: &str = "<!-- begin: bench/network.sh -->";
const END: &str = "<!-- end: bench/network.sh -->";

/// What one program took.
#[derive(Clone, Copy)]
pub struct Measured {
    pub trips: f64,
    pub connections: usize,
    pub requests: usize,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ({}, {})", self.trips.max(0.0), self.connections, self.requests)
    }
}

#[derive(Default)]
pub struct Report {
    pub passed: usize,
    pub failed: usize,
    lines: Vec<String>,
}

impl Report {
    pub fn row(
        &mut self,
        place: &str,
        what: &str,
        budget: Option<f64>,
        ours: Measured,
        peers: &[(&str, Measured)],
    ) {
        let mut verdict = "";
        let limit = budget.map_or_else(String::new, |limit| {
            if ours.trips <= limit {
                self.passed += 1;
                verdict = "ok";
            } else {
                self.failed += 1;
                verdict = "MISSED";
            }
            format!("<= {limit:.1}")
        });
        let beside: Vec<String> =
            peers.iter().map(|(name, found)| format!("{name} {found}")).collect();
        let beside = beside.join("; ");
        println!(
            "{place:<34} {what:<44} {ours:<16} {limit:<8} {verdict:<7} {beside}",
            ours = ours.to_string()
        );
        self.lines.push(format!("| {what} | {place} | {ours} | {limit} | {beside} |"));
    }
}

/// Puts the table between the marks of a document.
pub fn write_table(path: &Path, report: &Report) {
    let text = std::fs::read_to_string(path).expect("a document");
    let (before, rest) = text.split_once(BEGIN).expect("the first mark");
    let (_, after) = rest.split_once(END).expect("the second mark");
    let table = report.lines.join("\n");
    let head = "| what | registry | luet-cosign | bar | beside it |\n|---|---|---|---|---|";
    let text = format!("{before}{BEGIN}\n\n{head}\n{table}\n\n{END}{after}");
    std::fs::write(path, text).expect("a document");
}
