//! Composite types (1.4): described lists whose fields may be null, or left out at the end.
//!
//! [`composite!`] makes a struct and its codec of a definition in the specification's words. A field is `mandatory`, `optional`,
//! has a `default`, or is `multiple`; a `spelled` field is optional and written as null rather than left out, which some clients
//! require.

use bytes::{BufMut, BytesMut};

use super::types::{CodecError, Decode, Encode, Reader, Result, WRITTEN, code, saturate};
use crate::live::live;

/// The descriptor of a described value (1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Descriptor<'a> {
    Code(u64),
    Name(&'a str),
}

impl<'a> Descriptor<'a> {
    /// Reads the `00` and the descriptor; the value follows.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Descriptor<'a>> {
        if reader.byte()? != code::DESCRIBED {
            return Err(CodecError::Malformed("value without a descriptor"));
        }
        match reader.peek() {
            Some(code::SYM8 | code::SYM32) => reader.symbol().map(Descriptor::Name),
            Some(code::ULONG0 | code::SMALLULONG | code::ULONG) => u64::decode(reader).map(Descriptor::Code),
            _ => Err(CodecError::Malformed("descriptor that is neither ulong nor symbol")),
        }
    }

    /// Returns the descriptor without moving on.
    pub(crate) fn peek(reader: &Reader<'a>) -> Result<Descriptor<'a>> {
        Descriptor::read(&mut reader.clone())
    }
}

/// A type defined by [`composite!`].
pub(crate) trait Composite: Sized {
    const CODE: u64;
    const NAME: &'static str;

    fn is(descriptor: Descriptor<'_>) -> bool {
        match descriptor {
            Descriptor::Code(number) => number == Self::CODE,
            Descriptor::Name(name) => name == Self::NAME,
        }
    }

    /// Reads the list that follows the descriptor.
    fn decode_list(reader: &mut Reader<'_>) -> Result<Self> {
        let (count, body) = reader.list()?;
        let mut fields = Fields { count, body };
        let value = Self::decode_fields(&mut fields)?;
        fields.finish()?;
        Ok(value)
    }

    fn decode_fields(fields: &mut Fields<'_>) -> Result<Self>;

    fn encode_fields(&self, list: &mut ListWriter<'_>);

    /// Writes descriptor and list.
    fn encode_described(&self, out: &mut BytesMut) {
        out.put_u8(code::DESCRIBED);
        Self::CODE.encode(out);
        let mut list = ListWriter::begin(out);
        self.encode_fields(&mut list);
        list.end();
    }
}

/// The fields of a list, in order.
pub(crate) struct Fields<'a> {
    count: usize,
    body: Reader<'a>,
}

impl Fields<'_> {
    /// Returns the next field. None if it is null or was left out.
    pub(crate) fn next<T: Decode>(&mut self) -> Result<Option<T>> {
        if self.count == 0 {
            return Ok(None);
        }
        self.count -= 1;
        if self.body.peek() == Some(code::NULL) {
            self.body.byte()?;
            return Ok(None);
        }
        T::decode(&mut self.body).map(Some)
    }

    fn finish(&self) -> Result<()> {
        if self.count > 0 {
            return Err(CodecError::Malformed("more fields than the type has"));
        }
        self.body.finish()
    }
}

/// A writer of a list: nulls at its end are left out, and the size is filled in when it is known.
pub(crate) struct ListWriter<'a> {
    out: &'a mut BytesMut,
    start: usize,
    count: usize,
    nulls: usize,
}

/// Constructor, size and count of a list32 and of a list8.
const LONG_HEAD: usize = 9;
const SHORT_HEAD: usize = 3;

impl<'a> ListWriter<'a> {
    pub(crate) fn begin(out: &'a mut BytesMut) -> Self {
        let start = out.len();
        out.put_bytes(0, LONG_HEAD);
        ListWriter { out, start, count: 0, nulls: 0 }
    }

    pub(crate) fn null(&mut self) {
        self.nulls += 1;
    }

    /// Writes a null that is not left out, even at the end.
    pub(crate) fn spelled_null(&mut self) {
        self.count += self.nulls + 1;
        self.out.put_bytes(code::NULL, std::mem::take(&mut self.nulls) + 1);
    }

    pub(crate) fn field(&mut self, value: &impl Encode) {
        self.count += self.nulls + 1;
        self.out.put_bytes(code::NULL, std::mem::take(&mut self.nulls));
        value.encode(self.out);
    }

    pub(crate) fn end(self) {
        let ListWriter { out, start, count, .. } = self;
        let body = out.len() - start - LONG_HEAD;
        let Some(written) = live(out.get_mut(start..), WRITTEN) else { return };
        if count == 0 {
            if let Some(first) = live(written.first_mut(), WRITTEN) {
                *first = code::LIST0;
            }
            out.truncate(start + 1);
        } else if let (Ok(size), Ok(count)) = (u8::try_from(body + 1), u8::try_from(count)) {
            if let Some(head) = live(written.first_chunk_mut(), WRITTEN) {
                *head = [code::LIST8, size, count];
            }
            written.copy_within(LONG_HEAD.., SHORT_HEAD);
            out.truncate(start + SHORT_HEAD + body);
        } else if let Some(head) = live(written.first_chunk_mut::<LONG_HEAD>(), WRITTEN) {
            let [s0, s1, s2, s3] = saturate(body + 4).to_be_bytes();
            let [c0, c1, c2, c3] = saturate(count).to_be_bytes();
            *head = [code::LIST32, s0, s1, s2, s3, c0, c1, c2, c3];
        }
    }
}

/// Defines composite types, as the head of this file says.
macro_rules! composite {
    ($(
        $(#[$meta:meta])*
        $name:ident = $code:literal $symbol:literal {
            $( $field:ident : $kind:ident $type:ty $(= $default:expr)? ),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $name {
            $( pub(crate) $field: composite!(@type $kind $type), )*
        }

        impl $crate::amqp10::composite::Composite for $name {
            const CODE: u64 = $code;
            const NAME: &'static str = $symbol;

            #[allow(unused_variables)] // a type may have no fields
            fn decode_fields(fields: &mut $crate::amqp10::composite::Fields<'_>) -> $crate::amqp10::types::Result<Self> {
                Ok($name {
                    $( $field: composite!(
                        @take $kind $(($default))? fields, concat!($symbol, ": ", stringify!($field), " is mandatory")
                    ), )*
                })
            }

            #[allow(unused_variables)]
            fn encode_fields(&self, list: &mut $crate::amqp10::composite::ListWriter<'_>) {
                $( composite!(@put $kind $(($default))? list, self.$field); )*
            }
        }

        impl $crate::amqp10::types::Decode for $name {
            fn decode(reader: &mut $crate::amqp10::types::Reader<'_>) -> $crate::amqp10::types::Result<Self> {
                use $crate::amqp10::composite::{Composite, Descriptor};
                let descriptor = Descriptor::read(reader)?;
                if !Self::is(descriptor) {
                    return Err($crate::amqp10::types::CodecError::Malformed(concat!("not of type ", $symbol)));
                }
                Self::decode_list(reader)
            }
        }

        impl $crate::amqp10::types::Encode for $name {
            fn encode(&self, out: &mut bytes::BytesMut) {
                $crate::amqp10::composite::Composite::encode_described(self, out);
            }
        }
    )*};

    (@type optional $type:ty) => { Option<$type> };
    (@type spelled $type:ty) => { Option<$type> };
    (@type multiple $type:ty) => { Vec<$type> };
    (@type $kind:ident $type:ty) => { $type };

    (@take mandatory $fields:ident, $missing:expr) => {
        $fields.next()?.ok_or($crate::amqp10::types::CodecError::Invalid($missing))?
    };
    (@take optional $fields:ident, $missing:expr) => { $fields.next()? };
    (@take spelled $fields:ident, $missing:expr) => { $fields.next()? };
    (@take multiple $fields:ident, $missing:expr) => { $fields.next()?.unwrap_or_default() };
    (@take default($default:expr) $fields:ident, $missing:expr) => { $fields.next()?.unwrap_or($default) };

    (@put mandatory $list:ident, $value:expr) => { $list.field(&$value) };
    (@put optional $list:ident, $value:expr) => {
        match &$value {
            Some(value) => $list.field(value),
            None => $list.null(),
        }
    };
    (@put spelled $list:ident, $value:expr) => {
        match &$value {
            Some(value) => $list.field(value),
            None => $list.spelled_null(),
        }
    };
    (@put multiple $list:ident, $value:expr) => {
        if $value.is_empty() { $list.null() } else { $list.field(&$value) }
    };
    (@put default($default:expr) $list:ident, $value:expr) => {
        if $value == $default { $list.null() } else { $list.field(&$value) }
    };
}

/// Defines an enum over composite types that is told apart by descriptor.
macro_rules! choice {
    ($( $(#[$meta:meta])* $name:ident { $( $variant:ident ),* $(,)? } )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum $name {
            $( $variant($variant), )*
        }

        impl $crate::amqp10::types::Decode for $name {
            fn decode(reader: &mut $crate::amqp10::types::Reader<'_>) -> $crate::amqp10::types::Result<Self> {
                use $crate::amqp10::composite::{Composite, Descriptor};
                let descriptor = Descriptor::read(reader)?;
                $(
                    if $variant::is(descriptor) {
                        return Ok($name::$variant($variant::decode_list(reader)?));
                    }
                )*
                Err($crate::amqp10::types::CodecError::Malformed(concat!("unknown descriptor of a ", stringify!($name))))
            }
        }

        impl $crate::amqp10::types::Encode for $name {
            fn encode(&self, out: &mut bytes::BytesMut) {
                match self {
                    $( $name::$variant(value) => value.encode(out), )*
                }
            }
        }
    )*};
}

pub(crate) use {choice, composite};
