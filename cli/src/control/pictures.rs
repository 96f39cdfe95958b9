//! Connections, links, addresses and reports in JSON.

use fakebroker::{AddressInfo, Connection, ConnectionId, Counts, Dropped, Link, Report, UnmetRequest, Violation};
use serde_json::{Map, Value as Json, json};

use super::messages::link_name;

pub(super) fn counts(counts: &Counts) -> Map<String, Json> {
    counts.iter().map(|(name, count)| (name.into(), count.into())).collect()
}

pub(super) fn connections(connections: &[Connection]) -> Json {
    let one = |connection: &Connection| {
        json!({
            "id": connection.id.get(),
            "peer": connection.peer.to_string(),
            "protocol": connection.protocol,
            "container": connection.container,
            "host": connection.host,
            "vhost": connection.vhost,
            "user": connection.user,
        })
    };
    connections.iter().map(one).collect()
}

pub(super) fn links(links: &[Link]) -> Json {
    let one = |link: &Link| {
        json!({
            "connection": link.connection.get(),
            "name": link.name,
            "role": link.role.to_string(),
            "vhost": link.vhost,
            "address": link.address,
            "credit": link.credit,
            "unsettled": link.unsettled,
            "waiting": link.waiting,
        })
    };
    links.iter().map(one).collect()
}

pub(super) fn addresses(addresses: &[AddressInfo]) -> Json {
    let one = |info: &AddressInfo| {
        json!({
            "vhost": info.vhost,
            "address": info.address,
            "distribution": info.distribution.to_string(),
            "senders": info.senders,
            "receivers": info.receivers,
            "waiting": info.waiting,
            "arrived": info.arrived,
        })
    };
    addresses.iter().map(one).collect()
}

fn violations(violations: &[Violation]) -> Json {
    let one = |violation: &Violation| {
        json!({
            "connection": violation.connection.get(),
            "peer": violation.peer.to_string(),
            "section": violation.section,
            "condition": violation.condition,
            "description": violation.description,
        })
    };
    violations.iter().map(one).collect()
}

fn dropped(messages: &[Dropped]) -> Json {
    let one = |dropped: &Dropped| {
        json!({
            "number": dropped.number,
            "address": dropped.address,
            "sender": dropped.sender.as_ref().map(link_name),
            "why": dropped.why,
        })
    };
    messages.iter().map(one).collect()
}

pub(super) fn unmet_requests(requests: &[UnmetRequest]) -> Json {
    let one = |request: &UnmetRequest| {
        json!({
            "connection": request.connection.map(ConnectionId::get),
            "channel": request.channel,
            "link": request.link,
            "address": request.address,
            "method": request.method,
            "name": request.name,
            "value": request.value,
            "why": request.why,
            "count": request.count,
        })
    };
    requests.iter().map(one).collect()
}

/// Writes a report: its lists, and all of it as text. What is unmet is listed in a clean one too.
pub(super) fn report(found: &Result<(), Report>, unmet: &[UnmetRequest]) -> Json {
    let Err(report) = found else {
        return json!({
            "clean": true, "report": "", "violations": [], "unsettled": [], "open_connections": [], "open_links": [],
            "unclosed_connections": [], "dropped": [], "unmet_requests": unmet_requests(unmet),
        });
    };
    // The first line of its text names a line of this file, which says nothing to a client.
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().skip(1).map(str::trim_start).collect();
    json!({
        "clean": false,
        "report": lines.join("\n"),
        "violations": violations(&report.violations),
        "unsettled": links(&report.unsettled),
        "open_connections": connections(&report.open_connections),
        "open_links": links(&report.open_links),
        "unclosed_connections": connections(&report.unclosed_connections),
        "dropped": dropped(&report.dropped),
        "unmet_requests": unmet_requests(&report.unmet_requests),
    })
}
