//! Who may come in: names and passwords, and the one way of writing them that both protocols have. No protocol beyond that.

use crate::config::User;

/// RFC 4616: authorization identity, NUL, name, NUL, password. Acting for somebody else is not possible here.
pub(crate) fn split_plain(response: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(response).ok()?;
    let mut parts = text.split('\0');
    let (authzid, name, password) = (parts.next()?, parts.next()?, parts.next()?);
    (parts.next().is_none() && (authzid.is_empty() || authzid == name)).then_some((name, password))
}

/// Every user is compared, whole: the time taken does not tell a wrong name from a wrong password.
pub(crate) fn is_known(users: &[User], name: &str, password: &str) -> bool {
    users.iter().fold(false, |known, user| {
        let same_name = same(user.name.as_bytes(), name.as_bytes());
        let same_password = same(user.password.as_bytes(), password.as_bytes());
        known | (same_name & same_password)
    })
}

/// Compares in a time that depends only on the length of what the peer sent.
fn same(secret: &[u8], given: &[u8]) -> bool {
    let mut difference = u8::from(secret.len() != given.len());
    for (index, byte) in given.iter().enumerate() {
        let expected = secret.get(index % secret.len().max(1)).copied().unwrap_or_default();
        difference |= std::hint::black_box(expected ^ byte);
    }
    std::hint::black_box(difference) == 0
}
