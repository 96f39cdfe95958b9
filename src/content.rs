//! A whole message in plain Rust types, as a test writes and reads it. How it is encoded is not known here; what passes
//! through the broker is `message.rs`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::value::{Quoted, Value, find};

/// A message: what a test sends, or finds in what was sent.
///
/// It is its own builder, and every section (AMQP 1.0, 3.2) is a public field:
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
/// It is printed in one line, without the fields that are not there:
///
/// ```
/// # use fakebroker::Message;
/// let message = Message::text("hello").to("queue.a").property("k", true);
/// assert_eq!(message.to_string(), r#""hello" to="queue.a" {"k": true}"#);
/// ```
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// How it is to be delivered.
    pub header: Header,
    /// What one hop tells the next, by symbols.
    pub delivery_annotations: Vec<(Value, Value)>,
    /// What the infrastructure says about it on the whole way, by symbols.
    pub message_annotations: Vec<(Value, Value)>,
    /// The standard properties.
    pub properties: Properties,
    /// The application's own properties, in the order in which they were set.
    pub application_properties: Vec<(String, Value)>,
    /// What it is all about.
    pub body: Body,
    /// What can only be said when the message has been seen whole, a checksum say, by symbols.
    pub footer: Vec<(Value, Value)>,
}

/// How a message is to be delivered (3.2.1).
///
/// ```
/// let header = fakebroker::Header { durable: true, ..Default::default() };
/// assert_eq!(header.priority, None);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// It has to outlive whoever stores it.
    pub durable: bool,
    /// The higher, the sooner. None counts as 4.
    pub priority: Option<u8>,
    /// How long it is of use. It is sent in whole milliseconds, at most 2^32 - 1 of them (49 days).
    pub ttl: Option<Duration>,
    /// Nobody else has had it before.
    pub first_acquirer: bool,
    /// How often it was delivered before, and failed.
    pub delivery_count: u32,
}

/// The standard properties of a message (3.2.4).
#[derive(Clone, Default, PartialEq)]
pub struct Properties {
    /// Tells it from all others: a ulong, a UUID, bytes or a string.
    pub message_id: Option<Value>,
    /// Who made it.
    pub user_id: Option<Vec<u8>>,
    /// The address where it is meant to go.
    pub to: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// The address for answers.
    pub reply_to: Option<String>,
    /// The message that it belongs to: a ulong, a UUID, bytes or a string.
    pub correlation_id: Option<Value>,
    /// The MIME type of a data body.
    pub content_type: Option<String>,
    /// What was done to the body on top of its content type, `gzip` say.
    pub content_encoding: Option<String>,
    /// When it is of no use any more, in milliseconds since the Unix epoch.
    pub absolute_expiry_time: Option<i64>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub creation_time: Option<i64>,
    /// The group that it is part of.
    pub group_id: Option<String>,
    /// Its place in its group.
    pub group_sequence: Option<u32>,
    /// The group for answers.
    pub reply_to_group_id: Option<String>,
}

/// The body of a message (3.2.6 to 3.2.8).
#[derive(Clone, Default, PartialEq)]
pub enum Body {
    /// None at all. The specification wants one; not every client does.
    #[default]
    Empty,
    /// Bytes, in one section or in several. Without any it is the same as [`Body::Empty`] on the wire.
    Data(Vec<Vec<u8>>),
    /// Lists of values, in one section or in several. Without any it is the same as [`Body::Empty`] on the wire.
    Sequence(Vec<Vec<Value>>),
    /// One value.
    Value(Value),
}

impl Message {
    /// A message whose body is a string.
    pub fn text(text: impl Into<String>) -> Message {
        Message::value(text.into())
    }

    /// A message whose body is bytes.
    ///
    /// ```
    /// # use fakebroker::Message;
    /// let message = Message::data(r#"{"cups": 1}"#).content_type("application/json");
    /// assert_eq!(message.as_data().as_deref(), Some(&br#"{"cups": 1}"#[..]));
    /// ```
    pub fn data(bytes: impl Into<Vec<u8>>) -> Message {
        Message { body: Body::Data(vec![bytes.into()]), ..Message::default() }
    }

    /// A message whose body is a value of any type.
    ///
    /// ```
    /// # use fakebroker::{Message, Value};
    /// let message = Message::value([("cups", 1)]);
    /// assert_eq!(message.as_value().and_then(|order| order.get("cups")), Some(&Value::Int(1)));
    /// ```
    pub fn value(value: impl Into<Value>) -> Message {
        Message { body: Body::Value(value.into()), ..Message::default() }
    }

    /// Sets the id of the message.
    pub fn message_id(mut self, id: impl Into<Value>) -> Message {
        self.properties.message_id = Some(id.into());
        self
    }

    /// Sets the address where it is meant to go: what the broker looks at on a link without an address.
    pub fn to(mut self, address: impl Into<String>) -> Message {
        self.properties.to = Some(address.into());
        self
    }

    /// Sets what it is about.
    pub fn subject(mut self, subject: impl Into<String>) -> Message {
        self.properties.subject = Some(subject.into());
        self
    }

    /// Sets the address for answers.
    pub fn reply_to(mut self, address: impl Into<String>) -> Message {
        self.properties.reply_to = Some(address.into());
        self
    }

    /// Sets the id of the message that it belongs to.
    pub fn correlation_id(mut self, id: impl Into<Value>) -> Message {
        self.properties.correlation_id = Some(id.into());
        self
    }

    /// Sets the MIME type of the body.
    pub fn content_type(mut self, mime_type: impl Into<String>) -> Message {
        self.properties.content_type = Some(mime_type.into());
        self
    }

    /// Sets a property of the application's own. Set again, it has its last value.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<Value>) -> Message {
        let (name, value) = (name.into(), value.into());
        match self.application_properties.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.application_properties.push((name, value)),
        }
        self
    }

    /// Sets a message annotation. Set again, it has its last value.
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

    /// Sets whether it has to outlive whoever stores it.
    pub fn durable(mut self, durable: bool) -> Message {
        self.header.durable = durable;
        self
    }

    /// Sets its priority: 4 is normal, more is sooner.
    pub fn priority(mut self, priority: u8) -> Message {
        self.header.priority = Some(priority);
        self
    }

    /// Sets how long it is of use; see [`Header::ttl`].
    pub fn ttl(mut self, ttl: Duration) -> Message {
        self.header.ttl = Some(ttl);
        self
    }

    /// The body, if it is a string, or one data section that is UTF-8.
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

    /// The body, if it is bytes: those of all sections in a row. Copies only if there are several.
    pub fn as_data(&self) -> Option<Cow<'_, [u8]>> {
        match &self.body {
            Body::Data(sections) => Some(match sections.as_slice() {
                [one] => Cow::Borrowed(one),
                several => Cow::Owned(several.concat()),
            }),
            _ => None,
        }
    }

    /// The body, if it is one value.
    pub fn as_value(&self) -> Option<&Value> {
        match &self.body {
            Body::Value(value) => Some(value),
            _ => None,
        }
    }

    /// A property of the application's own.
    pub fn get(&self, property: &str) -> Option<&Value> {
        self.application_properties.iter().find(|(name, _)| name == property).map(|(_, value)| value)
    }

    /// A message annotation.
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
    /// Those that are there, with the specification's names.
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

/// One line: the body, then header, properties and annotations as far as they say something.
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

/// With every type, without the sections that are not there.
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

/// The fields that are there.
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

/// The fields that are there, in AMQP's types.
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
