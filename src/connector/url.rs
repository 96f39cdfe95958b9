//! Reads URLs of the form `amqp://user:password@host:port/vhost`.

use super::Connector;
use super::error::{Error, ErrorKind, Step};

impl Connector {
    /// Creates a connector for a URL: `amqp://user:password@host:port/vhost`, where all but the host may be left out.
    /// Characters that a URL may not have are percent-encoded: `p%40ss`, and `%2F` for a virtual host that is called
    /// `/`.
    ///
    /// ```
    /// use fakebroker::connector::Connector;
    ///
    /// Connector::from_url("amqp://localhost")?;
    /// Connector::from_url("amqp://joe:p%40ss@[::1]:5673/orders")?;
    /// let error = Connector::from_url("http://localhost").unwrap_err();
    /// assert_eq!(error.to_string(), "url: \"http\" is not \"amqp\"");
    /// # Ok::<(), fakebroker::connector::Error>(())
    /// ```
    ///
    /// # Errors
    /// When it is not such a URL; the error never repeats the password.
    pub fn from_url(url: &str) -> Result<Connector, Error> {
        read(url).map_err(|what| Error::new(Step::Url, ErrorKind::Usage(what)))
    }
}

fn read(url: &str) -> Result<Connector, String> {
    let (scheme, rest) = url.split_once("://").ok_or("amqp://HOST expected")?;
    if scheme.eq_ignore_ascii_case("amqps") {
        return Err("TLS (amqps) is not spoken here".into());
    }
    if !scheme.eq_ignore_ascii_case("amqp") {
        return Err(format!("{scheme:?} is not \"amqp\""));
    }
    if rest.contains(['?', '#']) {
        return Err("a query or a fragment means nothing here".into());
    }
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let (user_info, place) = authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
    let (host, port) = host_and_port(place)?;
    let mut connector = Connector::new().host(decode(host, "host")?);
    if let Some(port) = port {
        connector = connector.port(port);
    }
    if let Some(user_info) = user_info {
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        connector = connector.user(decode(user, "user")?).password(decode(password, "password")?);
    }
    match path.filter(|path| !path.is_empty()) {
        Some(path) if path.contains('/') => Err("a virtual host is one segment: write its / as %2F".into()),
        Some(path) => Ok(connector.virtual_host(decode(path, "virtual host")?)),
        None => Ok(connector),
    }
}

fn host_and_port(place: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[') {
        // An IPv6 address has colons of its own.
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("an address that begins with [ ends with ]")?;
            match (rest.is_empty(), rest.strip_prefix(':')) {
                (true, _) => (host, None),
                (false, Some(port)) => (host, Some(port)),
                (false, None) => return Err(format!("{rest:?} after the address is not a port")),
            }
        }
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("there is no host".into());
    }
    let number = |port: &str| port.parse::<u16>().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()));
    match port.filter(|port| !port.is_empty()) {
        Some(port) => Ok((host, Some(number(port).ok_or_else(|| format!("{port:?} is not a port"))?))),
        None => Ok((host, None)),
    }
}

/// RFC 3986, 2.1: decodes percent-encoding. Errors name `what`, and not the text, which may be a password.
fn decode(text: &str, what: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit =
            || rest.next().and_then(|byte| char::from(byte).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(format!("in the {what}, a % is not followed by two hexadecimal digits (% itself is %25)"));
        };
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).map_err(|_| format!("the {what} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_says() {
        let rows = [
            ("amqp://h", ("h", 5672, "guest", "guest", None)),
            ("AMQP://h:1/", ("h", 1, "guest", "guest", None)),
            ("amqp://h:/", ("h", 5672, "guest", "guest", None)),
            ("amqp://joe@h", ("h", 5672, "joe", "", None)),
            ("amqp://joe:a:b@h", ("h", 5672, "joe", "a:b", None)),
            ("amqp://j%40e:%2f%3A%25@h/%2F", ("h", 5672, "j@e", "/:%", Some("/"))),
            ("amqp://joe:p@ss@h", ("h", 5672, "joe", "p@ss", None)),
            ("amqp://[::1]:65535/v%C3%A9", ("::1", 65535, "guest", "guest", Some("v\u{e9}"))),
            ("amqp://[fe80::1]", ("fe80::1", 5672, "guest", "guest", None)),
            ("amqp://127.0.0.1:0", ("127.0.0.1", 0, "guest", "guest", None)),
        ];
        for (url, (host, port, user, password, vhost)) in rows {
            let read = read(url).unwrap();
            assert_eq!((&*read.host, read.port), (host, port), "{url}");
            assert_eq!((&*read.user, &*read.password), (user, password), "{url}");
            assert_eq!(read.virtual_host.as_deref(), vhost, "{url}");
        }
    }

    #[test]
    fn what_is_no_url() {
        let rows = [
            ("localhost", "amqp://HOST expected"),
            ("", "amqp://HOST expected"),
            ("amqps://h", "TLS"),
            ("ftp://h", "\"ftp\" is not"),
            ("amqp://", "no host"),
            ("amqp://:5672", "no host"),
            ("amqp://joe:secret@", "no host"),
            ("amqp://h:port", "\"port\" is not a port"),
            ("amqp://h:+1", "\"+1\" is not a port"),
            ("amqp://h:65536", "\"65536\" is not a port"),
            ("amqp://::1", "no host"),
            ("amqp://[::1", "ends with ]"),
            ("amqp://[::1]1", "is not a port"),
            ("amqp://h/a/b", "one segment"),
            ("amqp://h?x=1", "a query"),
            ("amqp://joe:secret%4@h", "in the password, a %"),
            ("amqp://joe:secret%zz@h", "in the password, a %"),
            ("amqp://joe:secret%+1@h", "in the password, a %"),
            ("amqp://joe:secret%ff@h", "the password is not UTF-8"),
        ];
        for (url, expected) in rows {
            let error = read(url).err().unwrap_or_default();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("secret"), "{url}: {error}");
        }
    }
}
