//! Medians, spreads, and the table of results.

/// Repeated measurements of one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns every sample multiplied by `factor`.
    pub(crate) fn times(&self, factor: f64) -> Samples {
        Samples(self.0.iter().map(|sample| sample * factor).collect())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let sorted = self.sorted();
        let index = ((sorted.len().max(1) - 1) as f64 * q).round() as usize;
        sorted.get(index).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Returns the distance from the median, relative to it, within which half of the samples lie.
    fn spread(&self) -> f64 {
        (self.quantile(0.75) - self.quantile(0.25)) / 2.0 / self.median()
    }

    /// Formats median and spread: `1.23 us ±4%`.
    pub(crate) fn show(&self, unit: &str) -> String {
        format!("{} ±{:.0}%", show(self.median(), unit), 100.0 * self.spread())
    }
}

/// Formats a value with three digits and a unit. Seconds get the prefix that fits.
pub(crate) fn show(value: f64, unit: &str) -> String {
    let (value, unit) = match unit {
        "s" if value < 1e-6 => (value * 1e9, "ns"),
        "s" if value < 1e-3 => (value * 1e6, "us"),
        "s" if value < 1.0 => (value * 1e3, "ms"),
        "B/s" => (value / 1e6, "MB/s"),
        other => (value, other),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}").trim_end().to_owned()
}

/// The output format. Each row is printed as soon as it is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// In columns, for a terminal.
    Columns,
    /// A Markdown table, as in `benches/README.md`.
    Markdown,
}

/// Prints the rows, and counts those that miss their targets.
pub(crate) struct Table {
    format: Format,
    missed: Vec<String>,
}

impl Table {
    pub(crate) fn new(format: Format) -> Table {
        let table = Table { format, missed: Vec::new() };
        table.line("work", "target", "broker", "baseline", "ratio");
        if format == Format::Markdown {
            println!("|---|---|---|---|---|");
        }
        table
    }

    /// Prints a ratio that should stay below `target`, or above it if `at_least`.
    pub(crate) fn ratio(
        &mut self,
        work: &str,
        target: f64,
        at_least: bool,
        broker: &Samples,
        baseline: &Samples,
        unit: &str,
    ) {
        let ratio = broker.median() / baseline.median();
        let sign = if at_least { ">=" } else { "<=" };
        let target_shown = format!("{sign} {target} x");
        self.line(work, &target_shown, &broker.show(unit), &baseline.show(unit), &format!("{ratio:.2} x"));
        self.note(work, if at_least { ratio < target } else { ratio > target });
    }

    /// Prints a value that has a bound.
    pub(crate) fn value(&mut self, work: &str, bound: f64, value: f64, unit: &str, shown: &str) {
        self.line(work, &format!("<= {}", show(bound, unit)), shown, "", "");
        self.note(work, value > bound);
    }

    /// Prints a value that has a bound, with its value on an undisturbed broker.
    pub(crate) fn beside(&mut self, work: &str, bound: f64, value: f64, undisturbed: f64, unit: &str) {
        self.line(work, &format!("<= {}", show(bound, unit)), &show(value, unit), &show(undisturbed, unit), "");
        self.note(work, value > bound);
    }

    /// Prints a number of instructions, with its target unless that is not a number.
    pub(crate) fn count(&mut self, work: &str, target: f64, count: f64) {
        let target_shown = if target.is_nan() { String::new() } else { format!("<= {target:.0}") };
        self.line(work, &target_shown, &format!("{count:.0}"), "", "");
        self.note(work, count > target);
    }

    /// Prints a number of instructions as a ratio to a baseline's.
    pub(crate) fn counts(&mut self, work: &str, target: f64, count: f64, baseline: f64) {
        let ratio = count / baseline;
        self.line(
            work,
            &format!("<= {target} x"),
            &format!("{count:.0}"),
            &format!("{baseline:.0}"),
            &format!("{ratio:.2} x"),
        );
        self.note(work, ratio > target);
    }

    fn note(&mut self, work: &str, missed: bool) {
        if missed {
            self.missed.push(work.to_owned());
        }
    }

    fn line(&self, work: &str, target: &str, broker: &str, baseline: &str, ratio: &str) {
        match self.format {
            Format::Columns => println!("{work:<62} {target:>14} {broker:>18} {baseline:>18} {ratio:>9}"),
            Format::Markdown => println!("| {work} | {target} | {broker} | {baseline} | {ratio} |"),
        }
    }

    pub(crate) fn finish(self) {
        match self.missed.as_slice() {
            [] => println!("\nall targets met"),
            missed => println!("\nmissed: {}", missed.join("; ")),
        }
    }
}
