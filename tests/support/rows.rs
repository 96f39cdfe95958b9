//! Tables of cases with named rows. Every failure names its row.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static ROW: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Returns `in the row "...": ` for the row that this thread runs, for a failure message; empty outside of rows.
pub fn row() -> String {
    ROW.with_borrow(|row| if row.is_empty() { String::new() } else { format!("in the row {row:?}: ") })
}

/// Runs `check` for each row, also after a failure. Then fails with the names of the rows that failed.
pub fn each_row<R>(rows: impl IntoIterator<Item = (&'static str, R)>, mut check: impl FnMut(R)) {
    let mut failed = Vec::new();
    let mut count = 0;
    for (name, row) in rows {
        count += 1;
        ROW.set(name.to_owned());
        if catch_unwind(AssertUnwindSafe(|| check(row))).is_err() {
            eprintln!("that was in the row {name:?}\n");
            failed.push(name);
        }
        ROW.set(String::new());
    }
    assert!(count > 0, "a table without rows");
    assert!(failed.is_empty(), "{} of {count} rows failed: {failed:?}", failed.len());
}
