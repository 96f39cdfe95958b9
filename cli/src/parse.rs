//! Parsers of words on the command line: addresses, pairs, times.

use std::time::Duration;

/// Checks the form `HOST:PORT`. Whether the host exists shows when the address is bound.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').ok_or("HOST:PORT expected")?;
    port.parse::<u16>().map_err(|_| format!("{port:?} is not a port"))?;
    if host.is_empty() { Err("HOST:PORT expected".into()) } else { Ok(text.into()) }
}

/// Splits `NAME:PASSWORD`; the password may contain colons.
pub(crate) fn user(text: &str) -> Result<(String, String), String> {
    let (name, password) = text.split_once(':').ok_or("NAME:PASSWORD expected")?;
    Ok((name.into(), password.into()))
}

/// Splits `KEY=VALUE`; the value may contain more `=`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE expected")?;
    Ok((key.into(), value.into()))
}

/// Reads a time in seconds, fractions included.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
