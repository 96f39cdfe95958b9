//! 5.3: the SASL mechanisms ANONYMOUS and PLAIN, for the side that authenticates and the side that is authenticated. Knows no
//! frame and no socket; who gets in is `users.rs`.

use bytes::Bytes;

use super::composite::{choice, composite};
use super::types::Symbol;
use crate::users::{self, Users};

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

/// The largest SASL frame that we read. 5.3.1 allows 512 bytes; some clients have longer tokens (our choice).
pub(crate) const MAX_SASL_FRAME_SIZE: u32 = 8 * 1024;

/// 5.3.3.7: the outcome codes that we send.
pub(crate) const CODE_OK: u8 = 0;
pub(crate) const CODE_AUTH: u8 = 1;

const ANONYMOUS: &str = "ANONYMOUS";
const PLAIN: &str = "PLAIN";

/// 5.3.3.1: the mechanisms that we offer, the one with a name first: some clients take the first that they know. Beside them
/// there must be no EXTERNAL and no SCRAM, which clients with a name and a password prefer, or give up at.
pub(crate) fn mechanisms(users: &Users) -> SaslMechanisms {
    let anonymous = users.admits_anonymous().then_some(ANONYMOUS);
    SaslMechanisms { sasl_server_mechanisms: [PLAIN].into_iter().chain(anonymous).map(Symbol::new).collect() }
}

/// The name of a peer that gets in, or None: which of mechanism, name and password was wrong is not for the peer to know.
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

/// 5.3.3.2: the sasl-init of a client that is offered these mechanisms, by PLAIN or else ANONYMOUS. None if neither is there.
pub(crate) fn init(offered: &[Symbol], user: &str, password: &str, hostname: &str) -> Option<SaslInit> {
    let offers = |name: &str| offered.iter().any(|mechanism| mechanism.as_str() == name);
    let (mechanism, response) = match () {
        () if offers(PLAIN) => (PLAIN, format!("\0{user}\0{password}")),
        // RFC 4505: the response is a trace.
        () if offers(ANONYMOUS) => (ANONYMOUS, "anonymous".into()),
        () => return None,
    };
    Some(SaslInit {
        mechanism: Symbol::new(mechanism),
        initial_response: Some(response.into()),
        hostname: Some(hostname.into()),
    })
}
