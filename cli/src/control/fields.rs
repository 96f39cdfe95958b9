//! The members of a command, taken out one by one; what is wrong with them is said with their names. A member that is null
//! counts as absent.

use std::fmt::Display;
use std::time::Duration;

use serde_json::{Map, Value as Json};

/// The members of an object that have not been read yet.
pub(crate) struct Fields {
    /// The prefix of the names in errors, for an object that is a member itself: `properties.`.
    path: String,
    members: Map<String, Json>,
}

/// The reason why a command cannot be carried out.
pub(crate) type Refusal = String;

impl Fields {
    pub(super) fn new(members: Map<String, Json>) -> Fields {
        Fields { path: String::new(), members }
    }

    /// Takes the members of an object that stands at a place of a file.
    pub(crate) fn of(place: &str, members: Map<String, Json>) -> Fields {
        Fields { path: format!("{place}."), members }
    }

    /// Takes a member as it is, null included.
    pub(crate) fn take(&mut self, name: &str) -> Option<Json> {
        self.members.remove(name)
    }

    /// Gives back a member that was taken, or another in its place.
    pub(crate) fn put(&mut self, name: &str, json: Json) {
        self.members.insert(name.to_owned(), json);
    }

    /// Whether a member is there that has not been read, null included.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    fn present(&mut self, name: &str) -> Option<Json> {
        self.take(name).filter(|json| !json.is_null())
    }

    /// Reads a member, if there is one.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Json) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        let Some(json) = self.present(name) else { return Ok(None) };
        read(json).map(Some).map_err(|why| format!("{}: {why}", self.called(name)))
    }

    fn required<T>(&self, name: &str, what: &str, value: Option<T>) -> Result<T, Refusal> {
        value.ok_or_else(|| format!("{} is missing: {what} is expected", self.called(name)))
    }

    fn called(&self, name: &str) -> String {
        format!("\"{}{name}\"", self.path)
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.read(name, text)
    }

    pub(crate) fn text_of(&mut self, name: &str) -> Result<String, Refusal> {
        let found = self.text(name)?;
        self.required(name, "a string", found)
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        self.read(name, |json| json.as_bool().ok_or_else(|| instead("true or false", &json)))
    }

    /// Reads a whole number that fits the type.
    pub(super) fn number<T: TryFrom<u64> + Limit>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        self.read(name, |json| {
            let number = json.as_u64().and_then(|number| T::try_from(number).ok());
            number.ok_or_else(|| instead(&format!("a whole number from 0 to {}", T::limit()), &json))
        })
    }

    pub(super) fn number_of<T: TryFrom<u64> + Limit>(&mut self, name: &str) -> Result<T, Refusal> {
        let found = self.number(name)?;
        self.required(name, "a whole number", found)
    }

    /// Reads a time in seconds, at most `limit`.
    pub(super) fn seconds(&mut self, name: &str, limit: Duration) -> Result<Option<Duration>, Refusal> {
        self.read(name, |json| {
            let time = json.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let time = time.filter(|time| *time <= limit);
            time.ok_or_else(|| instead(&format!("seconds, at most {}", limit.as_secs()), &json))
        })
    }

    pub(super) fn seconds_of(&mut self, name: &str, limit: Duration) -> Result<Duration, Refusal> {
        let found = self.seconds(name, limit)?;
        self.required(name, "a number of seconds", found)
    }

    /// Reads one of several words.
    pub(crate) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        self.read(name, |json| {
            let found = choices.iter().find(|(word, _)| json.as_str() == Some(word));
            found.map(|(_, choice)| *choice).ok_or_else(|| instead(&words(choices), &json))
        })
    }

    pub(super) fn choice_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Result<T, Refusal> {
        let found = self.choice(name, choices)?;
        self.required(name, &words(choices), found)
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Map<String, Json>>, Refusal> {
        self.read(name, object)
    }

    /// Takes a member that is an object, and has its members read in turn.
    pub(super) fn inner(&mut self, name: &str) -> Result<Option<Fields>, Refusal> {
        let path = format!("{}{name}.", self.path);
        Ok(self.object(name)?.map(|members| Fields { path, members }))
    }

    /// Refuses members that have not been read: the command does not know them.
    pub(crate) fn end(&self) -> Result<(), Refusal> {
        match self.members.keys().next() {
            Some(name) => Err(format!("{} is not known here", self.called(name))),
            None => Ok(()),
        }
    }
}

/// The largest number of a type.
pub(super) trait Limit {
    fn limit() -> impl Display;
}

macro_rules! limits {
    ($($number:ty),*) => {$(
        impl Limit for $number {
            fn limit() -> impl Display {
                <$number>::MAX
            }
        }
    )*};
}

limits!(u8, u32, u64, usize);

pub(super) fn text(json: Json) -> Result<String, Refusal> {
    match json {
        Json::String(text) => Ok(text),
        other => Err(instead("a string", &other)),
    }
}

pub(super) fn object(json: Json) -> Result<Map<String, Json>, Refusal> {
    match json {
        Json::Object(members) => Ok(members),
        other => Err(instead("an object", &other)),
    }
}

pub(super) fn array(json: Json) -> Result<Vec<Json>, Refusal> {
    match json {
        Json::Array(items) => Ok(items),
        other => Err(instead("an array", &other)),
    }
}

fn words<T>(choices: &[(&str, T)]) -> String {
    let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
    words.join(" or ")
}

/// Describes a value for an error, shortened if it is long.
pub(super) fn instead(expected: &str, found: &Json) -> Refusal {
    const SHOWN: usize = 100;
    let found = found.to_string();
    match found.char_indices().nth(SHOWN) {
        None => format!("{expected} is expected, not {found}"),
        Some((end, _)) => format!("{expected} is expected, not {}…", found.get(..end).unwrap_or_default()),
    }
}
