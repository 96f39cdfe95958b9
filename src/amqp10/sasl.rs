//! 5.3: SASL: ANONYMOUS and PLAIN, the side that says whether a peer may come in and the one that asks. Frames and sockets are
//! not its matter.

use bytes::Bytes;

use super::composite::{choice, composite};
use super::types::Symbol;
use crate::config::User;
use crate::users;

composite! {
    /// 5.3.3.1
    SaslMechanisms = 0x40 "amqp:sasl-mechanisms:list" {
        sasl_server_mechanisms: mandatory Vec<Symbol>,
    }

    /// 5.3.3.2
    SaslInit = 0x41 "amqp:sasl-init:list" {
        mechanism: mandatory Symbol,
        initial_response: optional Bytes,
        hostname: optional std::sync::Arc<str>,
    }

    /// 5.3.3.3
    SaslChallenge = 0x42 "amqp:sasl-challenge:list" {
        challenge: mandatory Bytes,
    }

    /// 5.3.3.4
    SaslResponse = 0x43 "amqp:sasl-response:list" {
        response: mandatory Bytes,
    }

    /// 5.3.3.6
    SaslOutcome = 0x44 "amqp:sasl-outcome:list" {
        code: mandatory u8,
        additional_data: optional Bytes,
    }
}

choice! {
    /// The body of a SASL frame.
    #[expect(clippy::enum_variant_names, reason = "the specification's names")]
    SaslFrame { SaslMechanisms, SaslInit, SaslChallenge, SaslResponse, SaslOutcome }
}

/// 5.3.2: what we take, beyond the 512 bytes that everybody must: some tokens are long (our choice).
pub(crate) const MAX_SASL_FRAME_SIZE: u32 = 8 * 1024;

/// 5.3.3.7: the codes that we give.
pub(crate) const CODE_OK: u8 = 0;
pub(crate) const CODE_AUTH: u8 = 1;

const ANONYMOUS: &str = "ANONYMOUS";
const PLAIN: &str = "PLAIN";

/// What we offer: with users PLAIN and nothing else, since some clients pick whatever else is there.
pub(crate) fn mechanisms(users: &[User]) -> SaslMechanisms {
    let name = if users.is_empty() { ANONYMOUS } else { PLAIN };
    SaslMechanisms { sasl_server_mechanisms: vec![Symbol::new(name)] }
}

/// 5.3: whether a peer may not skip this layer.
pub(crate) fn is_required(users: &[User]) -> bool {
    !users.is_empty()
}

/// The name that came in, or None: which of mechanism, user and password was wrong is not for the peer to know.
pub(crate) fn authenticate(users: &[User], init: &SaslInit) -> Option<String> {
    match init.mechanism.as_str() {
        ANONYMOUS if users.is_empty() => Some("anonymous".into()),
        PLAIN if !users.is_empty() => plain(users, init.initial_response.as_deref()?),
        _ => None,
    }
}

fn plain(users: &[User], response: &[u8]) -> Option<String> {
    let (name, password) = users::split_plain(response)?;
    users::is_known(users, name, password).then(|| name.to_owned())
}

/// 5.3.3.2: how we come in where `offered` is what there is: as somebody if we can, as nobody if that is enough.
pub(crate) fn init(offered: &[Symbol], user: &str, password: &str, hostname: &str) -> Option<SaslInit> {
    let offers = |name: &str| offered.iter().any(|mechanism| mechanism.as_str() == name);
    let (mechanism, response) = match () {
        () if offers(PLAIN) => (PLAIN, format!("\0{user}\0{password}")),
        // RFC 4505: the trace.
        () if offers(ANONYMOUS) => (ANONYMOUS, "anonymous".into()),
        () => return None,
    };
    Some(SaslInit {
        mechanism: Symbol::new(mechanism),
        initial_response: Some(response.into()),
        hostname: Some(hostname.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Vec<User> {
        vec![
            User { name: "joe".into(), password: "secret".into() },
            User { name: "ann".into(), password: String::new() },
        ]
    }

    #[test]
    fn plain_takes_known_users_only() {
        let cases: [(&[u8], Option<&str>); 14] = [
            (b"\0joe\0secret", Some("joe")),
            (b"joe\0joe\0secret", Some("joe")),
            (b"\0ann\0", Some("ann")),
            (b"ann\0joe\0secret", None),
            (b"\0joe\0Secret", None),
            (b"\0joe\0secre", None),
            (b"\0joe\0secretsecret", None),
            (b"\0jo\0secret", None),
            (b"\0bob\0secret", None),
            (b"\0joe\0", None),
            (b"", None),
            (b"joe", None),
            (b"\0joe\0secret\0", None),
            (b"\0joe\0secre\xff", None),
        ];
        for (response, expected) in cases {
            assert_eq!(plain(&users(), response).as_deref(), expected, "{:?}", String::from_utf8_lossy(response));
        }
    }

    #[test]
    fn users_shut_every_other_door() {
        let init =
            |mechanism: &str| SaslInit { mechanism: Symbol::new(mechanism), initial_response: None, hostname: None };
        assert!(authenticate(&[], &init("ANONYMOUS")).is_some());
        assert!(authenticate(&[], &init("anonymous")).is_none());
        assert!(authenticate(&[], &init("PLAIN")).is_none());
        assert!(authenticate(&users(), &init("ANONYMOUS")).is_none());
        assert!(authenticate(&users(), &init("PLAIN")).is_none());
    }
}
