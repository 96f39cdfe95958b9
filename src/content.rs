//! A whole message in plain Rust types, as a test writes and reads it. Its encodings are not known here; the message that passes
//! through the broker is in `message.rs`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::value::{Quoted, Value, find};

/// A message as a test sends or reads it.
///
/// Its methods build it, and each section (AMQP 1.0, 3.2) is a public field:
///
/// ```
/// use std::time::Duration;
/// use fakebroker::{Body, Message, Value};
///
/// let mut order = Message::text("one coffee")
///     .subject("order")
///     .reply_to("queue.answers")
///     .correlation_id("order-1")
///     .property("table", 7)
///     .ttl(Duration::from_secs(5));
/// order.properties.group_id = Some("terrace".to_owned());
///
/// assert_eq!(order.as_text(), Some("one coffee"));
/// assert_eq!(order.properties.subject.as_deref(), Some("order"));
/// assert_eq!(order.get("table"), Some(&Value::Int(7)));
/// assert_eq!(order.body, Body::Value("one coffee".into()));
/// ```
///
/// Displayed as one line, without absent fields:
///
/// ```
/// # use fakebroker::Message;
/// let message = Message::text("hello").to("queue.a").property("k", true);
/// assert_eq!(message.to_string(), r#""hello" to="queue.a" {"k": true}"#);
/// ```
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// The header (3.2.1).
    pub header: Header,
    /// Annotations for the next hop (3.2.2). The keys are symbols.
    pub delivery_annotations: Vec<(Value, Value)>,
    /// Annotations for the whole way (3.2.3). The keys are symbols.
    pub message_annotations: Vec<(Value, Value)>,
    /// The standard properties (3.2.4).
    pub properties: Properties,
    /// The application's own properties (3.2.5), in order.
    pub application_properties: Vec<(String, Value)>,
    /// The body (3.2.6 to 3.2.8).
    pub body: Body,
    /// The footer (3.2.9), for example a checksum. The keys are symbols.
    pub footer: Vec<(Value, Value)>,
}

/// The header of a message (3.2.1).
///
/// ```
/// let header = fakebroker::Header { durable: true, ..Default::default() };
/// assert_eq!(header.priority, None);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Whether intermediaries must not lose it when they stop.
    pub durable: bool,
    /// The priority; higher ones are delivered first. None means 4.
    pub priority: Option<u8>,
    /// Time to live. Sent in whole milliseconds, at most 2^32 - 1 (49 days).
    pub ttl: Option<Duration>,
    /// Whether no other link has acquired it before.
    pub first_acquirer: bool,
    /// The number of earlier delivery attempts that failed.
    pub delivery_count: u32,
}

/// The standard properties of a message (3.2.4). None: absent.
#[derive(Clone, Default, PartialEq)]
pub struct Properties {
    /// The unique id: a ulong, a UUID, a binary or a string.
    pub message_id: Option<Value>,
    /// The identity of the user who made the message.
    pub user_id: Option<Vec<u8>>,
    /// The address of the node that the message is for.
    pub to: Option<String>,
    /// The subject. The routing key of a message that is sent to an exchange without one.
    pub subject: Option<String>,
    /// The address of the node for replies.
    pub reply_to: Option<String>,
    /// The id of a related message: a ulong, a UUID, a binary or a string.
    pub correlation_id: Option<Value>,
    /// The MIME type of a data body (RFC 2046).
    pub content_type: Option<String>,
    /// The content encoding of a data body, such as `gzip`.
    pub content_encoding: Option<String>,
    /// The time from which on the message has expired, in milliseconds since the Unix epoch.
    pub absolute_expiry_time: Option<i64>,
    /// The time at which the message was made, in milliseconds since the Unix epoch.
    pub creation_time: Option<i64>,
    /// The group that the message belongs to.
    pub group_id: Option<String>,
    /// The position of the message in its group.
    pub group_sequence: Option<u32>,
    /// The group for replies.
    pub reply_to_group_id: Option<String>,
}

/// The body of a message (3.2.6 to 3.2.8).
#[derive(Clone, Default, PartialEq)]
pub enum Body {
    /// No section. The specification requires one; some clients send none.
    #[default]
    Empty,
    /// The bytes of one or more data sections. An empty list is sent like [`Body::Empty`].
    Data(Vec<Vec<u8>>),
    /// The lists of one or more amqp-sequence sections. An empty list is sent like [`Body::Empty`].
    Sequence(Vec<Vec<Value>>),
    /// An amqp-value section.
    Value(Value),
}

impl Message {
    /// Creates a message whose body is a string (amqp-value).
    pub fn text(text: impl Into<String>) -> Message {
        Message::value(text.into())
    }

    /// Creates a message whose body is bytes (data).
    ///
    /// ```
    /// # use fakebroker::Message;
    /// let message = Message::data(r#"{"cups": 1}"#).content_type("application/json");
    /// assert_eq!(message.as_data().as_deref(), Some(&br#"{"cups": 1}"#[..]));
    /// ```
    pub fn data(bytes: impl Into<Vec<u8>>) -> Message {
        Message { body: Body::Data(vec![bytes.into()]), ..Message::default() }
    }

    /// Creates a message whose body is JSON: its text as bytes (data), with the content-type `application/json`. That the text is
    /// JSON is not checked.
    ///
    /// ```
    /// # use fakebroker::Message;
    /// let message = Message::json(r#"{"cups": 1}"#);
    /// assert_eq!(message.properties.content_type.as_deref(), Some("application/json"));
    /// assert_eq!(message.as_text(), Some(r#"{"cups": 1}"#));
    /// ```
    pub fn json(text: impl Into<String>) -> Message {
        Message::data(text.into()).content_type("application/json")
    }

    /// Creates a message whose body is a value of any type (amqp-value).
    ///
    /// ```
    /// # use fakebroker::{Message, Value};
    /// let message = Message::value([("cups", 1)]);
    /// assert_eq!(message.as_value().and_then(|order| order.get("cups")), Some(&Value::Int(1)));
    /// ```
    pub fn value(value: impl Into<Value>) -> Message {
        Message { body: Body::Value(value.into()), ..Message::default() }
    }

    /// Sets the message-id.
    pub fn message_id(mut self, id: impl Into<Value>) -> Message {
        self.properties.message_id = Some(id.into());
        self
    }

    /// Sets `to`, which routes the message on a link without an address.
    pub fn to(mut self, address: impl Into<String>) -> Message {
        self.properties.to = Some(address.into());
        self
    }

    /// Sets the subject.
    pub fn subject(mut self, subject: impl Into<String>) -> Message {
        self.properties.subject = Some(subject.into());
        self
    }

    /// Sets reply-to.
    pub fn reply_to(mut self, address: impl Into<String>) -> Message {
        self.properties.reply_to = Some(address.into());
        self
    }

    /// Sets the correlation-id.
    pub fn correlation_id(mut self, id: impl Into<Value>) -> Message {
        self.properties.correlation_id = Some(id.into());
        self
    }

    /// Sets the content-type, a MIME type.
    pub fn content_type(mut self, mime_type: impl Into<String>) -> Message {
        self.properties.content_type = Some(mime_type.into());
        self
    }

    /// Sets an application property. Replaces an earlier value of the same name.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<Value>) -> Message {
        let (name, value) = (name.into(), value.into());
        match self.application_properties.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.application_properties.push((name, value)),
        }
        self
    }

    /// Sets a message annotation. Replaces an earlier value of the same name.
    ///
    /// ```
    /// # use fakebroker::{Message, Value};
    /// let message = Message::text("later").annotation("x-opt-delay", 1000_u64);
    /// assert_eq!(message.get_annotation("x-opt-delay"), Some(&Value::Ulong(1000)));
    /// ```
    pub fn annotation(mut self, name: impl Into<String>, value: impl Into<Value>) -> Message {
        let (name, value) = (Value::Symbol(name.into()), value.into());
        match self.message_annotations.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.message_annotations.push((name, value)),
        }
        self
    }

    /// Sets the durable field of the header.
    pub fn durable(mut self, durable: bool) -> Message {
        self.header.durable = durable;
        self
    }

    /// Sets the priority. 4 is the default; higher ones are delivered first.
    pub fn priority(mut self, priority: u8) -> Message {
        self.header.priority = Some(priority);
        self
    }

    /// Sets the time to live: see [`Header::ttl`].
    pub fn ttl(mut self, ttl: Duration) -> Message {
        self.header.ttl = Some(ttl);
        self
    }

    /// Returns the body if it is a string, or one data section that is UTF-8.
    ///
    /// ```
    /// # use fakebroker::Message;
    /// assert_eq!(Message::text("hello").as_text(), Some("hello"));
    /// assert_eq!(Message::data("hello").as_text(), Some("hello"));
    /// assert_eq!(Message::data([0xff]).as_text(), None);
    /// assert_eq!(Message::value(1).as_text(), None);
    /// ```
    pub fn as_text(&self) -> Option<&str> {
        match &self.body {
            Body::Value(Value::String(text)) => Some(text),
            Body::Data(sections) => match sections.as_slice() {
                [one] => std::str::from_utf8(one).ok(),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the bytes of a data body. Copies if there are several sections.
    pub fn as_data(&self) -> Option<Cow<'_, [u8]>> {
        match &self.body {
            Body::Data(sections) => Some(match sections.as_slice() {
                [one] => Cow::Borrowed(one),
                several => Cow::Owned(several.concat()),
            }),
            _ => None,
        }
    }

    /// Returns the value of an amqp-value body.
    pub fn as_value(&self) -> Option<&Value> {
        match &self.body {
            Body::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Returns an application property.
    pub fn get(&self, property: &str) -> Option<&Value> {
        self.application_properties.iter().find(|(name, _)| name == property).map(|(_, value)| value)
    }

    /// Returns a message annotation.
    pub fn get_annotation(&self, name: &str) -> Option<&Value> {
        find(&self.message_annotations, name)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Message {
        Message::text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Message {
        Message::text(text)
    }
}

impl Properties {
    /// Iterates over the present properties, by the specification's names.
    fn present(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let string = |text: &Option<String>| text.as_deref().map(Value::from);
        let symbol = |text: &Option<String>| text.as_deref().map(Value::symbol);
        let fields = [
            ("message-id", self.message_id.clone()),
            ("user-id", self.user_id.as_deref().map(Value::from)),
            ("to", string(&self.to)),
            ("subject", string(&self.subject)),
            ("reply-to", string(&self.reply_to)),
            ("correlation-id", self.correlation_id.clone()),
            ("content-type", symbol(&self.content_type)),
            ("content-encoding", symbol(&self.content_encoding)),
            ("absolute-expiry-time", self.absolute_expiry_time.map(Value::Timestamp)),
            ("creation-time", self.creation_time.map(Value::Timestamp)),
            ("group-id", string(&self.group_id)),
            ("group-sequence", self.group_sequence.map(Value::from)),
            ("reply-to-group-id", string(&self.reply_to_group_id)),
        ];
        fields.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)))
    }
}

/// Writes one line: the body, then the present fields of the other sections.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Header { durable, priority, ttl, first_acquirer, delivery_count } = &self.header;
        write!(f, "{}", self.body)?;
        if *durable {
            f.write_str(" durable")?;
        }
        priority.iter().try_for_each(|priority| write!(f, " priority={priority}"))?;
        ttl.iter().try_for_each(|ttl| write!(f, " ttl={ttl:?}"))?;
        if *first_acquirer {
            f.write_str(" first-acquirer")?;
        }
        if *delivery_count > 0 {
            write!(f, " delivery-count={delivery_count}")?;
        }
        self.properties.present().try_for_each(|(name, value)| write!(f, " {name}={value}"))?;
        if !self.application_properties.is_empty() {
            let entries: Value = self.application_properties.iter().cloned().collect();
            write!(f, " {entries}")?;
        }
        let annotations = [
            ("delivery-annotations", &self.delivery_annotations),
            ("message-annotations", &self.message_annotations),
            ("footer", &self.footer),
        ];
        annotations.into_iter().filter(|(_, entries)| !entries.is_empty()).try_for_each(|(name, entries)| {
            let entries = Value::Map(entries.clone());
            write!(f, " {name}={entries}")
        })
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let put_space = |index: usize, f: &mut fmt::Formatter<'_>| f.write_str(if index == 0 { "" } else { " " });
        match self {
            Body::Empty => f.write_str("(empty)"),
            Body::Data(sections) => sections.iter().enumerate().try_for_each(|(index, bytes)| {
                put_space(index, f)?;
                Quoted(bytes).fmt(f)
            }),
            Body::Sequence(sections) => sections.iter().enumerate().try_for_each(|(index, items)| {
                put_space(index, f)?;
                Value::List(items.clone()).fmt(f)
            }),
            Body::Value(value) => value.fmt(f),
        }
    }
}

/// Writes every present section with the types of its values.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut message = f.debug_struct("Message");
        if self.header != Header::default() {
            message.field("header", &self.header);
        }
        if !self.delivery_annotations.is_empty() {
            message.field("delivery_annotations", &self.delivery_annotations);
        }
        if !self.message_annotations.is_empty() {
            message.field("message_annotations", &self.message_annotations);
        }
        if self.properties.present().next().is_some() {
            message.field("properties", &self.properties);
        }
        if !self.application_properties.is_empty() {
            message.field("application_properties", &self.application_properties);
        }
        message.field("body", &self.body);
        if !self.footer.is_empty() {
            message.field("footer", &self.footer);
        }
        message.finish()
    }
}

/// Writes the present fields.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut header = f.debug_struct("Header");
        if self.durable {
            header.field("durable", &self.durable);
        }
        if let Some(priority) = &self.priority {
            header.field("priority", priority);
        }
        if let Some(ttl) = &self.ttl {
            header.field("ttl", ttl);
        }
        if self.first_acquirer {
            header.field("first_acquirer", &self.first_acquirer);
        }
        if self.delivery_count > 0 {
            header.field("delivery_count", &self.delivery_count);
        }
        header.finish()
    }
}

/// Writes the present fields with their AMQP types.
impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut properties = f.debug_struct("Properties");
        for (name, value) in self.present() {
            properties.field(&name.replace('-', "_"), &value);
        }
        properties.finish()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Empty => f.write_str("Empty"),
            Body::Data(sections) => {
                let sections: Vec<_> = sections.iter().cloned().map(Value::Binary).collect();
                f.debug_tuple("Data").field(&sections).finish()
            }
            Body::Sequence(sections) => f.debug_tuple("Sequence").field(sections).finish(),
            Body::Value(value) => f.debug_tuple("Value").field(value).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Message {
        let mut message = Message::text("one coffee")
            .message_id(7_u64)
            .to("queue.orders")
            .subject("order")
            .reply_to("answers")
            .correlation_id("c-1")
            .content_type("text/plain")
            .property("cups", 1)
            .property("to go", true)
            .annotation("x-opt-delay", 5)
            .durable(true)
            .priority(7)
            .ttl(Duration::from_secs(5));
        message.header.delivery_count = 2;
        message.properties.user_id = Some(b"joe".to_vec());
        message.properties.creation_time = Some(0);
        message.properties.group_sequence = Some(3);
        message
    }

    #[test]
    fn display_is_one_line() {
        let expected =
            r#""one coffee" durable priority=7 ttl=5s delivery-count=2 message-id=7 user-id=b"joe" to="queue.orders" "#
                .to_owned()
                + r#"subject="order" reply-to="answers" correlation-id="c-1" content-type=text/plain "#
                + r#"creation-time=1970-01-01T00:00:00.000Z group-sequence=3 {"cups": 1, "to go": true} "#
                + "message-annotations={x-opt-delay: 5}";
        assert_eq!(everything().to_string(), expected);
        assert_eq!(Message::default().to_string(), "(empty)");
        let mut data = Message::data(b"\x00");
        assert_eq!(data.to_string(), r#"b"\x00""#);
        data.body = Body::Sequence(vec![vec![Value::Int(1), Value::Null], vec![]]);
        assert_eq!(data.to_string(), "[1, null] []");
    }

    #[test]
    fn debug_leaves_out_what_is_not_there() {
        let message = Message::data(b"\x00").subject("s").ttl(Duration::from_millis(1));
        assert_eq!(
            format!("{message:?}"),
            r#"Message { header: Header { ttl: 1ms }, properties: Properties { subject: String("s") }, body: Data([Binary(b"\x00")]) }"#
        );
    }

    #[test]
    fn what_is_set_again_has_its_last_value() {
        let message = Message::default().property("k", 1).property("k", "2").annotation("a", 1).annotation("a", 2);
        assert_eq!(message.application_properties, [("k".to_owned(), Value::from("2"))]);
        assert_eq!(message.message_annotations, [(Value::symbol("a"), Value::from(2))]);
    }

    #[test]
    fn bodies_in_several_sections() {
        let mut message = Message::data("ab");
        message.body = Body::Data(vec![b"ab".to_vec(), b"cd".to_vec()]);
        assert_eq!(message.as_text(), None);
        assert_eq!(message.as_data().as_deref(), Some(&b"abcd"[..]));
        assert_eq!(message.as_value(), None);
    }
}
