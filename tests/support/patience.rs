//! The longest time that a test waits. In a file of its own for tests that use no other helper.

use std::sync::LazyLock;
use std::time::Duration;

/// Returns the time after which a wait fails: a minute, or as many seconds as `FAKEBROKER_TEST_PATIENCE` says. Only a busy
/// machine or a failing test comes near it; no test may depend on it running out.
pub fn patience() -> Duration {
    static PATIENCE: LazyLock<Duration> = LazyLock::new(|| match std::env::var("FAKEBROKER_TEST_PATIENCE") {
        Ok(seconds) => Duration::from_secs(seconds.parse().expect("FAKEBROKER_TEST_PATIENCE: a number of seconds")),
        Err(_) => Duration::from_secs(60),
    });
    *PATIENCE
}
