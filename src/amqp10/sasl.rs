//! The SASL mechanisms ANONYMOUS and PLAIN (5.3), for the server and the client. Who is admitted is decided in `users.rs`.

use bytes::Bytes;

use super::composite::{choice, composite};
use super::types::Symbol;
use crate::users::{self, Users};

composite! {
    /// The mechanisms that a server offers (5.3.3.1).
    SaslMechanisms = 0x40 "amqp:sasl-mechanisms:list" {
        sasl_server_mechanisms: mandatory Vec<Symbol>,
    }

    /// The mechanism that a client chooses, with its initial response (5.3.3.2).
    SaslInit = 0x41 "amqp:sasl-init:list" {
        mechanism: mandatory Symbol,
        initial_response: optional Bytes,
        hostname: optional std::sync::Arc<str>,
    }

    /// A challenge of the server (5.3.3.3).
    SaslChallenge = 0x42 "amqp:sasl-challenge:list" {
        challenge: mandatory Bytes,
    }

    /// A response to a challenge (5.3.3.4).
    SaslResponse = 0x43 "amqp:sasl-response:list" {
        response: mandatory Bytes,
    }

    /// The outcome of the authentication (5.3.3.5).
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

/// The largest SASL frame that is read. 5.3.1 allows 512 bytes; some clients have longer tokens (our choice).
pub(crate) const MAX_SASL_FRAME_SIZE: u32 = 8 * 1024;

/// The outcome codes that are sent (5.3.3.6).
pub(crate) const CODE_OK: u8 = 0;
pub(crate) const CODE_AUTH: u8 = 1;

const ANONYMOUS: &str = "ANONYMOUS";
const PLAIN: &str = "PLAIN";

/// Returns the mechanisms that are offered (5.3.3.1), PLAIN first, since some clients take the first that they know. EXTERNAL and
/// SCRAM must not be offered: clients with a name and a password prefer them, or give up.
pub(crate) fn mechanisms(users: &Users) -> SaslMechanisms {
    let anonymous = users.admits_anonymous().then_some(ANONYMOUS);
    SaslMechanisms { sasl_server_mechanisms: [PLAIN].into_iter().chain(anonymous).map(Symbol::new).collect() }
}

/// Returns the user name of a peer that is admitted. None does not say whether mechanism, name or password was wrong.
pub(crate) fn authenticate(users: &Users, init: &SaslInit) -> Option<String> {
    match init.mechanism.as_str() {
        ANONYMOUS => users.admits_anonymous().then(|| "anonymous".into()),
        PLAIN => {
            let (name, password) = users::split_plain(init.initial_response.as_deref()?)?;
            users.admits(name, password).then(|| name.to_owned())
        }
        _ => None,
    }
}

/// Returns the sasl-init (5.3.3.2) of a client that is offered these mechanisms: PLAIN, or else ANONYMOUS. None if neither is
/// offered.
pub(crate) fn init(offered: &[Symbol], user: &str, password: &str, hostname: &str) -> Option<SaslInit> {
    let offers = |name: &str| offered.iter().any(|mechanism| mechanism.as_str() == name);
    let (mechanism, response) = match () {
        () if offers(PLAIN) => (PLAIN, format!("\0{user}\0{password}")),
        // RFC 4505: the response is trace information.
        () if offers(ANONYMOUS) => (ANONYMOUS, "anonymous".into()),
        () => return None,
    };
    Some(SaslInit {
        mechanism: Symbol::new(mechanism),
        initial_response: Some(response.into()),
        hostname: Some(hostname.into()),
    })
}
