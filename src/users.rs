//! The users that may connect. Both engines call this file to check credentials; the SASL mechanisms are theirs. The PLAIN
//! response (RFC 4616), which both have, is parsed here.
//!
//! | | without users | with users | with users, and anonymous peers allowed |
//! |---|---|---|---|
//! | a name and a password | yes, whatever they are | if they are a user's | if they are a user's |
//! | no name | yes | no | yes |

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
struct User {
    name: String,
    password: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password is kept out of logs.
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The users of a broker. Without any, which is the default, every client may connect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Users {
    known: Vec<User>,
    anonymous: bool,
}

impl Users {
    pub(crate) fn add(&mut self, name: String, password: String) {
        self.known.push(User { name, password });
    }

    /// Allows clients without a name, even if there are users.
    pub(crate) fn allow_anonymous(&mut self) {
        self.anonymous = true;
    }

    /// Whether a client without a name may connect.
    pub(crate) fn admits_anonymous(&self) -> bool {
        self.known.is_empty() || self.anonymous
    }

    /// Whether a client with this name and this password may connect. Compares every user in full, so that the time taken does
    /// not tell a wrong name from a wrong password.
    pub(crate) fn admits(&self, name: &str, password: &str) -> bool {
        let known = self.known.iter().fold(false, |known, user| {
            let same_name = same(user.name.as_bytes(), name.as_bytes());
            let same_password = same(user.password.as_bytes(), password.as_bytes());
            known | (same_name & same_password)
        });
        known || self.known.is_empty()
    }
}

/// Compares in a time that depends on the length of `given` only.
fn same(secret: &[u8], given: &[u8]) -> bool {
    let mut difference = u8::from(secret.len() != given.len());
    for (index, byte) in given.iter().enumerate() {
        let expected = secret.get(index % secret.len().max(1)).copied().unwrap_or_default();
        difference |= std::hint::black_box(expected ^ byte);
    }
    std::hint::black_box(difference) == 0
}

/// Returns name and password of a PLAIN response (RFC 4616: authorization identity, NUL, name, NUL, password). None if it is
/// malformed, or if it has an authorization identity other than the name, which is not supported.
pub(crate) fn split_plain(response: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(response).ok()?;
    let mut parts = text.split('\0');
    let (authzid, name, password) = (parts.next()?, parts.next()?, parts.next()?);
    (parts.next().is_none() && (authzid.is_empty() || authzid == name)).then_some((name, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule() {
        let nobody = Users::default();
        let mut joe = Users::default();
        joe.add("joe".into(), "secret".into());
        joe.add("ann".into(), String::new());
        let mut joe_or_anybody = joe.clone();
        joe_or_anybody.allow_anonymous();
        for (users, anonymous, strangers) in
            [(&nobody, true, true), (&joe, false, false), (&joe_or_anybody, true, false)]
        {
            assert_eq!(users.admits_anonymous(), anonymous);
            assert!(users.admits("joe", "secret") && users.admits("ann", ""));
            let wrong =
                [("joe", "Secret"), ("joe", "secre"), ("joe", "secretsecret"), ("joe", ""), ("jo", "secret"), ("", "")];
            for (name, password) in wrong {
                assert_eq!(users.admits(name, password), strangers, "{name:?} {password:?}");
            }
        }
    }

    #[test]
    fn plain_is_three_parts() {
        assert_eq!(split_plain(b"\0joe\0secret"), Some(("joe", "secret")));
        assert_eq!(split_plain(b"joe\0joe\0secret"), Some(("joe", "secret")));
        assert_eq!(split_plain(b"\0ann\0"), Some(("ann", "")));
        assert_eq!(split_plain(b"\0\0"), Some(("", "")));
        let malformed: [&[u8]; 5] = [b"ann\0joe\0secret", b"", b"joe", b"\0joe\0secret\0", b"\0joe\0secre\xff"];
        for response in malformed {
            assert_eq!(split_plain(response), None, "{:?}", String::from_utf8_lossy(response));
        }
    }
}
