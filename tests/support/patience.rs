//! How long a test waits for what must happen. Stands alone, so that a test with no other helper can take it in.

use std::sync::LazyLock;
use std::time::Duration;

/// The longest that any test waits before it fails: a minute, or as many seconds as `FAKEBROKER_TEST_PATIENCE` says. What is
/// waited for comes at once on a quiet machine; only a machine that is busy, or a test that fails, takes longer, so no test
/// may be decided by this running out.
pub fn patience() -> Duration {
    static PATIENCE: LazyLock<Duration> = LazyLock::new(|| match std::env::var("FAKEBROKER_TEST_PATIENCE") {
        Ok(seconds) => Duration::from_secs(seconds.parse().expect("FAKEBROKER_TEST_PATIENCE: a number of seconds")),
        Err(_) => Duration::from_secs(60),
    });
    *PATIENCE
}
