//! Medians, spreads and the table they are printed in.

/// Repeated measurements of one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// Each sample times `factor`.
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

    /// Half of the samples are within this part of the median.
    fn spread(&self) -> f64 {
        (self.quantile(0.75) - self.quantile(0.25)) / 2.0 / self.median()
    }

    /// `1.23 us ±4%`
    pub(crate) fn show(&self, unit: &str) -> String {
        format!("{} ±{:.0}%", show(self.median(), unit), 100.0 * self.spread())
    }
}

/// Three digits and a unit; seconds in the prefix that fits.
pub(crate) fn show(value: f64, unit: &str) -> String {
    let (value, unit) = match unit {
        "s" if value < 1e-6 => (value * 1e9, "ns"),
        "s" if value < 1e-3 => (value * 1e6, "us"),
        "s" if value < 1.0 => (value * 1e3, "ms"),
        "B/s" => (value / 1e6, "MB/s"),
        other => (value, other),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// What is printed, a line a row as soon as it is known.
pub(crate) struct Table {
    missed: Vec<String>,
}

impl Table {
    pub(crate) fn new() -> Table {
        println!("{:<58} {:>14} {:>20} {:>20} {:>9}", "work", "target", "broker", "baseline", "ratio");
        Table { missed: Vec::new() }
    }

    /// A ratio that should stay below `target`, or above it if `at_least`.
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
        self.line(
            work,
            &format!("{sign} {target} x"),
            &broker.show(unit),
            &baseline.show(unit),
            &format!("{ratio:.2} x"),
        );
        if (at_least && ratio < target) || (!at_least && ratio > target) {
            self.missed.push(work.to_owned());
        }
    }

    /// A value with a bound of its own.
    pub(crate) fn value(&mut self, work: &str, bound: f64, value: f64, unit: &str, shown: &str) {
        self.line(work, &format!("<= {}", show(bound, unit)), shown, "", "");
        if value > bound {
            self.missed.push(work.to_owned());
        }
    }

    fn line(&self, work: &str, target: &str, broker: &str, baseline: &str, ratio: &str) {
        println!("{work:<58} {target:>14} {broker:>20} {baseline:>20} {ratio:>9}");
    }

    pub(crate) fn finish(self) {
        match self.missed.as_slice() {
            [] => println!("all targets met"),
            missed => println!("missed: {}", missed.join("; ")),
        }
    }
}
