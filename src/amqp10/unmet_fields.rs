//! Fields of open, begin and attach that ask for what this broker does not do, though asking breaks no rule: 2.7.1 to 2.7.3 and 3.5.
//! Where the answer says what is granted, the request is noted all the same: few clients compare the two.
//!
//! Whoever implements one of these takes its line out here, and in `docs/what-is-honoured.md`.

use std::fmt::Display;
use std::sync::Arc;

use super::arguments::STREAM_OFFSET;
use super::composite::Composite;
use super::content::read_map;
use super::definitions::{ReceiverSettleMode, Role};
use super::delivery_state::OUTCOMES;
use super::performative::{Attach, Begin, OFFERED, Open};
use super::terminus::{AnySource, AnyTarget, DeleteOnClose, Source, Target};
use super::types::{RawMap, Reader, Symbol};
use super::value::Budget;
use crate::unmet::{Place, Unmet};
use crate::value::Value;

const NOT_OFFERED: &str = "the capability is not offered";
const NOT_KEPT: &str = "nothing is kept of a link that is detached";
pub(super) const NOT_RESUMED: &str = "deliveries are not resumed";
const NOT_FILTERED: &str = "filters are not applied";

/// Link properties with a meaning elsewhere, and why they have none here.
const LINK_PROPERTIES: &[(&str, &str)] =
    &[("paired", "links are not paired"), ("com.microsoft:epoch", "a receiver does not displace another")];

/// Gathers unmet requests of one performative.
struct Requests {
    place: Place,
    found: Vec<Unmet>,
}

impl Requests {
    fn add(&mut self, name: impl Into<Arc<str>>, value: impl Display, why: &'static str) {
        self.found.push(Unmet::new(&self.place, name, value, why));
    }

    fn add_desired(&mut self, desired: &[Symbol], offered: &[&str]) {
        for symbol in desired.iter().map(Symbol::as_str).filter(|symbol| !offered.contains(symbol)) {
            self.add("desired-capabilities", symbol, NOT_OFFERED);
        }
    }
}

/// Returns what an open asks for and does not get.
pub(super) fn of_open(open: &Open) -> Vec<Unmet> {
    let mut requests = Requests { place: Place { method: "open", ..Place::default() }, found: Vec::new() };
    requests.add_desired(&open.desired_capabilities, &OFFERED);
    requests.found
}

/// Returns what a begin asks for and does not get.
pub(super) fn of_begin(begin: &Begin, channel: u16) -> Vec<Unmet> {
    let place = Place { method: "begin", channel: Some(channel), ..Place::default() };
    let mut requests = Requests { place, found: Vec::new() };
    requests.add_desired(&begin.desired_capabilities, &[]);
    requests.found
}

/// Where requests of an attach are made. The address is that of the terminus at the broker.
pub(super) fn place_of(attach: &Attach, channel: Option<u16>) -> Place {
    let address = match (attach.role, &attach.source, &attach.target) {
        (Role::Sender, _, Some(AnyTarget::Target(target))) => target.address.clone(),
        (Role::Receiver, Some(AnySource::Source(source)), _) => source.address.clone(),
        _ => None,
    };
    Place { method: "attach", channel, link: Some(attach.name.clone()), address }
}

/// Returns what an attach asks for and does not get, as far as that does not depend on the node: see [`of_source`] and
/// [`of_target`] for the rest.
pub(super) fn of_attach(attach: &Attach, channel: Option<u16>) -> Vec<Unmet> {
    let mut requests = Requests { place: place_of(attach, channel), found: Vec::new() };
    if attach.role == Role::Sender && attach.rcv_settle_mode == ReceiverSettleMode::Second {
        // 2.8.3
        requests.add("rcv-settle-mode", "second", "the broker settles with its outcome, before the sender has");
    }
    if attach.incomplete_unsettled || attach.unsettled.as_ref().is_some_and(has_entries) {
        requests.add("unsettled", "", NOT_RESUMED);
    }
    requests.add_desired(&attach.desired_capabilities, &[]);
    for (key, value) in attach.properties.iter().flat_map(entries_of) {
        let known = LINK_PROPERTIES.iter().find(|(name, _)| *name == key.as_ref());
        known.into_iter().for_each(|(name, why)| requests.add(format!("properties.{name}"), &value, why));
    }
    match (attach.role, &attach.source, &attach.target) {
        (Role::Sender, _, Some(AnyTarget::Target(target))) => {
            let expiry_policy = target.expiry_policy.as_ref();
            add_kept(&mut requests, "target", target.durable, expiry_policy, target.timeout);
            add_node_properties(&mut requests, "target", target.dynamic, target.dynamic_node_properties.as_ref());
        }
        (Role::Receiver, Some(AnySource::Source(source)), _) => {
            let expiry_policy = source.expiry_policy.as_ref();
            add_kept(&mut requests, "source", source.durable, expiry_policy, source.timeout);
            add_node_properties(&mut requests, "source", source.dynamic, source.dynamic_node_properties.as_ref());
            // Where the node is no stream, the router refuses an offset.
            let filters = source.filter.iter().flat_map(entries_of);
            for (key, value) in filters.filter(|(key, _)| key.as_ref() != STREAM_OFFSET) {
                requests.add(format!("source.filter.{key}"), value, NOT_FILTERED);
            }
            for outcome in source.outcomes.iter().filter(|outcome| !OUTCOMES.contains(&outcome.as_str())) {
                requests.add("source.outcomes", outcome.as_str(), "there is no such outcome");
            }
        }
        _ => {}
    }
    requests.found
}

/// 3.5.5, 3.5.6: what a terminus asks to be kept when its link is detached. The default policy is no request.
fn add_kept(requests: &mut Requests, terminus: &str, durable: u32, expiry_policy: Option<&Symbol>, timeout: u32) {
    if durable > 0 {
        requests.add(format!("{terminus}.durable"), durable, NOT_KEPT);
    }
    let policy = expiry_policy.map(Symbol::as_str).filter(|policy| !["link-detach", "session-end"].contains(policy));
    if let Some(policy) = policy {
        requests.add(format!("{terminus}.expiry-policy"), policy, NOT_KEPT);
    }
    if timeout > 0 {
        requests.add(format!("{terminus}.timeout"), timeout, NOT_KEPT);
    }
}

/// 3.5.9: what a dynamic node is asked to be.
fn add_node_properties(requests: &mut Requests, terminus: &str, dynamic: bool, properties: Option<&RawMap>) {
    for (key, value) in properties.filter(|_| dynamic).into_iter().flat_map(entries_of) {
        let is_granted = key.as_ref() == "lifetime-policy" && is_delete_on_close(&value);
        if !is_granted {
            let why = "a dynamic node goes with its link, and has no other properties";
            requests.add(format!("{terminus}.dynamic-node-properties.{key}"), value, why);
        }
    }
}

fn is_delete_on_close(value: &Value) -> bool {
    match value {
        Value::Described(described) => match &described.0 {
            Value::Symbol(name) => name.as_str() == DeleteOnClose::NAME,
            code => code.as_u64() == Some(DeleteOnClose::CODE),
        },
        _ => false,
    }
}

/// Returns what a source asks for that its node does not grant.
pub(super) fn of_source(place: Place, asked: &Source, granted: &Source) -> Vec<Unmet> {
    let mut requests = Requests { place, found: Vec::new() };
    if let (Some(asked), Some(granted)) = (&asked.distribution_mode, &granted.distribution_mode)
        && asked != granted
    {
        let why = "the node hands its messages out the other way";
        requests.add("source.distribution-mode", asked.as_str(), why);
    }
    add_capabilities(&mut requests, "source.capabilities", &asked.capabilities, &granted.capabilities);
    requests.found
}

/// Returns what a target asks for that its node does not grant.
pub(super) fn of_target(place: Place, asked: &Target, granted: &Target) -> Vec<Unmet> {
    let mut requests = Requests { place, found: Vec::new() };
    add_capabilities(&mut requests, "target.capabilities", &asked.capabilities, &granted.capabilities);
    requests.found
}

fn add_capabilities(requests: &mut Requests, field: &str, asked: &[Symbol], granted: &[Symbol]) {
    for symbol in asked.iter().filter(|symbol| !granted.contains(symbol)) {
        requests.add(field, symbol.as_str(), "the node does not have the capability");
    }
}

fn has_entries(RawMap(bytes): &RawMap) -> bool {
    Reader::new(bytes).map().is_ok_and(|(count, _)| count > 0)
}

/// The entries of a map whose keys are symbols or strings. Others mean nothing.
fn entries_of(RawMap(bytes): &RawMap) -> Vec<(Arc<str>, Value)> {
    let entries = read_map(&mut Reader::new(bytes), &mut Budget::default()).unwrap_or_default();
    entries.into_iter().filter_map(|(key, value)| Some((key.as_str()?.into(), value))).collect()
}
