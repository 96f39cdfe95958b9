//! Patterns of policies: a part of the regular expressions that RabbitMQ has, matched in a time that is bounded by the lengths of
//! pattern and name. A pattern that has anything else is refused.
//!
//! There are characters, `.`, classes such as `[a-z0-9]` and `\d`, `\w`, `\s`, `^` and `$`, alternatives `a|b`, groups `(...)` and
//! `(?:...)`, the repetitions `*`, `+`, `?` and `{2,3}`, and the lookaheads `(?=...)` and `(?!...)`.
//!
//! A pattern is compiled to steps, and all ways through them are followed at once: at each character there is one set of steps, so
//! that nothing is tried twice.

/// The longest pattern, in characters (our choice).
const MAX_LENGTH: usize = 1000;

/// The most steps that a pattern may have, with its repetitions written out (our choice).
const MAX_STEPS: usize = 2000;

/// How deep groups may stand in each other (our choice).
const MAX_DEPTH: usize = 30;

/// A set of characters.
#[derive(Clone, Debug)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    fn one(char: char) -> Class {
        Class { negated: false, ranges: vec![(char, char)] }
    }

    /// The class of `\d`, `\w` and `\s`, and of the capital letters, which have all else.
    fn named(letter: char) -> Option<Class> {
        let ranges: &[(char, char)] = match letter.to_ascii_lowercase() {
            'd' => &[('0', '9')],
            'w' => &[('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')],
            's' => &[(' ', ' '), ('\t', '\r')],
            _ => return None,
        };
        Some(Class { negated: letter.is_ascii_uppercase(), ranges: ranges.to_vec() })
    }

    fn has(&self, char: char) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&char)) != self.negated
    }
}

/// A part of a pattern.
#[derive(Debug)]
enum Part {
    Char(Class),
    Start,
    End,
    Sequence(Vec<Part>),
    Either(Vec<Part>),
    Repeated { part: Box<Part>, least: usize, most: Option<usize> },
    Ahead { part: Box<Part>, negative: bool },
}

/// A step of a compiled pattern. The numbers are indices of steps.
#[derive(Debug)]
enum Step {
    /// Takes one character, and goes on with the next step.
    Char(Class),
    /// `^`.
    Start,
    /// `$`: the end, or a line break at the end.
    End,
    /// Goes on with both.
    Fork(usize, usize),
    Jump(usize),
    /// Goes on with `then`, if the steps behind this one match from here, or do not.
    Ahead {
        negative: bool,
        then: usize,
    },
    Match,
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    steps: Vec<Step>,
}

impl Pattern {
    /// Compiles a pattern. The error says what is not understood.
    pub(crate) fn new(text: &str) -> Result<Pattern, String> {
        let chars: Vec<char> = text.chars().collect();
        if chars.len() > MAX_LENGTH {
            return Err(format!("it is longer than {MAX_LENGTH} characters"));
        }
        let mut parser = Parser { chars: &chars, at: 0, depth: 0, is_ahead: false };
        let part = parser.either()?;
        if parser.peek().is_some() {
            return Err("there is a ) without its (".into());
        }
        let mut compiler = Compiler::default();
        compiler.add(&part)?;
        compiler.push(Step::Match)?;
        Ok(Pattern { steps: compiler.steps })
    }

    /// Whether the pattern matches anywhere in a text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        self.run(0, &chars, 0, true)
    }

    /// Whether the steps from `first` on match the text from `from` on; with `anywhere`, from any later place too.
    fn run(&self, first: usize, chars: &[char], from: usize, anywhere: bool) -> bool {
        let mut current = Vec::new();
        for at in from..=chars.len() {
            if anywhere || at == from {
                current.push(first);
            }
            let Some(takers) = self.reach(std::mem::take(&mut current), chars, at) else { return true };
            let Some(char) = chars.get(at) else { return false };
            let takes = |step: &usize| matches!(self.steps.get(*step), Some(Step::Char(class)) if class.has(*char));
            current.extend(takers.into_iter().filter(takes).map(|step| step + 1));
            if current.is_empty() && !anywhere {
                return false;
            }
        }
        false
    }

    /// Follows steps up to those that take a character. None: the pattern matches.
    fn reach(&self, mut open: Vec<usize>, chars: &[char], at: usize) -> Option<Vec<usize>> {
        let mut seen = vec![false; self.steps.len()];
        let mut takers = Vec::new();
        while let Some(index) = open.pop() {
            let (Some(step), Some(seen)) = (self.steps.get(index), seen.get_mut(index)) else { continue };
            if std::mem::replace(seen, true) {
                continue;
            }
            match step {
                Step::Char(_) => takers.push(index),
                Step::Start if at == 0 => open.push(index + 1),
                Step::End if chars.get(at..).is_some_and(|rest| rest.is_empty() || rest == ['\n']) => {
                    open.push(index + 1);
                }
                Step::Start | Step::End => {}
                Step::Fork(one, other) => open.extend([*one, *other]),
                Step::Jump(to) => open.push(*to),
                Step::Ahead { negative, then } => {
                    // A lookahead has none in it: this does not come here again.
                    if self.run(index + 1, chars, at, false) != *negative {
                        open.push(*then);
                    }
                }
                Step::Match => return None,
            }
        }
        Some(takers)
    }
}

/// Writes the steps of parts.
#[derive(Debug, Default)]
struct Compiler {
    steps: Vec<Step>,
    /// How many parts have been written, those that take no step included.
    parts: usize,
}

impl Compiler {
    fn push(&mut self, step: Step) -> Result<usize, String> {
        if self.steps.len() >= MAX_STEPS {
            return Err(too_large());
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn set(&mut self, index: usize, step: Step) {
        if let Some(place) = self.steps.get_mut(index) {
            *place = step;
        }
    }

    fn add(&mut self, part: &Part) -> Result<(), String> {
        self.parts += 1;
        if self.parts > MAX_STEPS {
            return Err(too_large());
        }
        match part {
            Part::Char(class) => self.push(Step::Char(class.clone())).map(drop),
            Part::Start => self.push(Step::Start).map(drop),
            Part::End => self.push(Step::End).map(drop),
            Part::Sequence(parts) => parts.iter().try_for_each(|part| self.add(part)),
            Part::Either(parts) => self.add_either(parts),
            Part::Repeated { part, least, most } => self.add_repeated(part, *least, *most),
            Part::Ahead { part, negative } => {
                let ahead = self.push(Step::Match)?;
                self.add(part)?;
                self.push(Step::Match)?;
                self.set(ahead, Step::Ahead { negative: *negative, then: self.steps.len() });
                Ok(())
            }
        }
    }

    fn add_either(&mut self, parts: &[Part]) -> Result<(), String> {
        let Some((last, others)) = parts.split_last() else { return Ok(()) };
        let mut ends = Vec::new();
        for part in others {
            let fork = self.push(Step::Match)?;
            self.add(part)?;
            ends.push(self.push(Step::Match)?);
            self.set(fork, Step::Fork(fork + 1, self.steps.len()));
        }
        self.add(last)?;
        let end = self.steps.len();
        ends.into_iter().for_each(|jump| self.set(jump, Step::Jump(end)));
        Ok(())
    }

    fn add_repeated(&mut self, part: &Part, least: usize, most: Option<usize>) -> Result<(), String> {
        for _ in 0..least {
            self.add(part)?;
        }
        let Some(most) = most else {
            let fork = self.push(Step::Match)?;
            self.add(part)?;
            self.push(Step::Jump(fork))?;
            self.set(fork, Step::Fork(fork + 1, self.steps.len()));
            return Ok(());
        };
        let mut forks = Vec::new();
        for _ in least..most {
            forks.push(self.push(Step::Match)?);
            self.add(part)?;
        }
        let end = self.steps.len();
        forks.into_iter().for_each(|fork| self.set(fork, Step::Fork(fork + 1, end)));
        Ok(())
    }
}

fn too_large() -> String {
    format!("it has more than {MAX_STEPS} steps, with its repetitions written out")
}

/// Reads a pattern from left to right.
#[derive(Debug)]
struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    depth: usize,
    /// Whether this is in a lookahead.
    is_ahead: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += 1;
        Some(char)
    }

    fn skip(&mut self, text: &str) -> bool {
        let is_next = text.chars().enumerate().all(|(index, char)| self.chars.get(self.at + index) == Some(&char));
        if is_next {
            self.at += text.chars().count();
        }
        is_next
    }

    fn either(&mut self) -> Result<Part, String> {
        let mut parts = vec![self.sequence()?];
        while self.skip("|") {
            parts.push(self.sequence()?);
        }
        Ok(Part::Either(parts))
    }

    fn sequence(&mut self) -> Result<Part, String> {
        let mut parts = Vec::new();
        while let Some(char) = self.peek().filter(|char| !['|', ')'].contains(char)) {
            self.at += 1;
            let part = self.part(char)?;
            parts.push(self.repeated(part)?);
        }
        Ok(Part::Sequence(parts))
    }

    fn part(&mut self, first: char) -> Result<Part, String> {
        Ok(match first {
            '^' => Part::Start,
            '$' => Part::End,
            '.' => Part::Char(Class { negated: true, ranges: vec![('\n', '\n')] }),
            '[' => Part::Char(self.class()?),
            '\\' => Part::Char(self.escaped()?),
            '(' => self.group()?,
            '*' | '+' | '?' => return Err(format!("there is nothing to repeat before {first}")),
            char => Part::Char(Class::one(char)),
        })
    }

    /// Reads what stands behind a backslash.
    fn escaped(&mut self) -> Result<Class, String> {
        let char = self.take().ok_or("it ends with a backslash")?;
        if let Some(class) = Class::named(char) {
            return Ok(class);
        }
        match char {
            'n' => Ok(Class::one('\n')),
            'r' => Ok(Class::one('\r')),
            't' => Ok(Class::one('\t')),
            char if char.is_alphanumeric() => Err(format!("\\{char} is not understood")),
            char => Ok(Class::one(char)),
        }
    }

    /// Reads a class up to its end.
    fn class(&mut self) -> Result<Class, String> {
        let negated = self.skip("^");
        let mut ranges = Vec::new();
        let mut is_first = true;
        loop {
            let first = match self.take().ok_or("there is a [ without its ]")? {
                ']' if !is_first => return Ok(Class { negated, ranges }),
                '[' if [Some(':'), Some('.'), Some('=')].contains(&self.peek()) => {
                    return Err("[: in a class is not understood".into());
                }
                '\\' => self.escaped()?,
                char => Class::one(char),
            };
            is_first = false;
            let is_range = self.peek() == Some('-') && !matches!(self.chars.get(self.at + 1), None | Some(']'));
            if !is_range {
                if first.negated {
                    return Err("a class of all but some is not understood in a class".into());
                }
                ranges.extend(first.ranges);
                continue;
            }
            self.at += 1;
            let last = match self.take().ok_or("there is a [ without its ]")? {
                '\\' => self.escaped()?,
                char => Class::one(char),
            };
            match (&first.ranges[..], &last.ranges[..]) {
                ([(from, same)], [(to, last)]) if from == same && to == last && from <= to => ranges.push((*from, *to)),
                _ => return Err("there is no such range of characters".into()),
            }
        }
    }

    /// Reads a group up to its end.
    fn group(&mut self) -> Result<Part, String> {
        let ahead = match () {
            () if self.skip("?:") => None,
            () if self.skip("?=") => Some(false),
            () if self.skip("?!") => Some(true),
            () if [Some('?'), Some('*')].contains(&self.peek()) => {
                let next: String = self.chars.iter().skip(self.at).take(2).collect();
                return Err(format!("({next} is not understood"));
            }
            () => None,
        };
        if ahead.is_some() && self.is_ahead {
            return Err("a lookahead in a lookahead is not understood".into());
        }
        if self.depth >= MAX_DEPTH {
            return Err(format!("its groups are deeper than {MAX_DEPTH}"));
        }
        let was_ahead = self.is_ahead;
        self.is_ahead |= ahead.is_some();
        self.depth += 1;
        let part = self.either()?;
        self.depth -= 1;
        self.is_ahead = was_ahead;
        if !self.skip(")") {
            return Err("there is a ( without its )".into());
        }
        Ok(match ahead {
            Some(negative) => Part::Ahead { part: Box::new(part), negative },
            None => part,
        })
    }

    /// Reads the repetition of a part, if there is one.
    fn repeated(&mut self, part: Part) -> Result<Part, String> {
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => match self.counted() {
                Some((counts, len)) => {
                    self.at += len;
                    counts
                }
                // A character like any other.
                None => return Ok(part),
            },
            _ => return Ok(part),
        };
        self.at += 1;
        if matches!(part, Part::Start | Part::End | Part::Ahead { .. }) {
            return Err("a place is repeated, not a character".into());
        }
        if most.is_some_and(|most| most < least) {
            return Err("there is a repetition with the higher number first".into());
        }
        // Whether it takes few or many characters first makes no difference to whether it matches.
        self.skip("?");
        if self.peek() == Some('+') {
            return Err("a repetition with a + behind it is not understood".into());
        }
        Ok(Part::Repeated { part: Box::new(part), least, most })
    }

    /// Reads `{2}`, `{2,}` or `{2,3}`, and returns its numbers and its length without the last brace. None: it is none of these.
    fn counted(&self) -> Option<((usize, Option<usize>), usize)> {
        let rest = self.chars.get(self.at + 1..)?;
        let end = rest.iter().position(|char| *char == '}')?;
        let text: String = rest.get(..end)?.iter().collect();
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let counts = match text.split_once(',') {
            None => number(&text).map(|count| (count, Some(count)))?,
            Some((least, "")) => (number(least)?, None),
            Some((least, most)) => (number(least)?, Some(number(most)?)),
        };
        Some((counts, end + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected results are those of PCRE.
    #[test]
    fn patterns_match_as_in_rabbitmq() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            ("", &["", "a"], &[]),
            ("b", &["abc", "b"], &["", "a"]),
            ("^b", &["bc"], &["abc"]),
            ("b$", &["ab", "b\n"], &["bc", "b\n\n"]),
            ("^a.c$", &["abc", "a.c"], &["ac", "abbc", "a\nc"]),
            ("^a.*c$", &["ac", "abbc"], &["acd"]),
            ("^a.+c$", &["abc"], &["ac"]),
            ("^ab?c$", &["ac", "abc"], &["abbc"]),
            ("^[a-c]+$", &["abc"], &["abd", ""]),
            ("^[^a-c]$", &["d", "^"], &["a"]),
            ("^[]a-]+$", &["]a-"], &["b"]),
            ("^[\\d._\\-]+$", &["1.2_3-4"], &["a"]),
            ("^\\w+\\s\\S$", &["aZ_9 b"], &["a-b c", "a  "]),
            ("^amq\\.", &["amq.x"], &["amqx"]),
            ("^(a|bc)+$", &["abca", "bc"], &["ac", "b"]),
            ("^a|b$", &["ax", "xb"], &["xax"]),
            ("^(?:a|)$", &["", "a"], &["b"]),
            ("^(?!amq\\.).*", &["orders", "xamq."], &["amq.gen-1"]),
            ("^(?=.*x)a", &["abx"], &["ab", "xa"]),
            ("^a{2}$", &["aa"], &["a", "aaa"]),
            ("^a{2,}$", &["aa", "aaaa"], &["a"]),
            ("^a{1,2}$", &["a", "aa"], &["", "aaa"]),
            ("^a{,2}$", &["a{,2}"], &["a"]),
            ("^a{x}$", &["a{x}"], &["a"]),
            ("^(a*)*b", &["b", "aab"], &["c"]),
            ("^a*?b+?$", &["aabb"], &["a"]),
            ("ä.$", &["xäö"], &["ä"]),
        ];
        for (text, matching, others) in rows {
            let pattern = Pattern::new(text).unwrap();
            matching.iter().for_each(|name| assert!(pattern.matches(name), "{text} and {name:?}"));
            others.iter().for_each(|name| assert!(!pattern.matches(name), "{text} and {name:?}"));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let deep = "(".repeat(1000);
        let rows = [
            ("(", "without its )"),
            (")", "without its ("),
            ("a(b", "without its )"),
            ("[a", "without its ]"),
            ("[]", "without its ]"),
            ("[z-a]", "no such range"),
            ("[\\d-z]", "no such range"),
            ("[[:alpha:]]", "[: in a class"),
            ("[\\D]", "all but some"),
            ("*", "nothing to repeat"),
            ("a**", "nothing to repeat"),
            ("a|+", "nothing to repeat"),
            ("^*", "a place is repeated"),
            ("a*+", "+ behind it"),
            ("a{2,1}", "higher number first"),
            ("\\", "ends with a backslash"),
            ("\\b", "\\b is not understood"),
            ("(a)\\1", "\\1 is not understood"),
            ("(?<=a)b", "(?< is not understood"),
            ("(?i)a", "(?i is not understood"),
            ("(*ACCEPT)", "(*A is not understood"),
            ("(?!a(?=b))", "lookahead in a lookahead"),
            ("a{3000}", "more than 2000 steps"),
            ("((a{50}){50}){50}", "more than 2000 steps"),
            ("((((){999}){999}){999}){999}", "more than 2000 steps"),
            (&deep, "deeper than 30"),
            (&"a".repeat(1001), "longer than 1000"),
        ];
        for (text, expected) in rows {
            let error = Pattern::new(text).unwrap_err();
            assert!(error.contains(expected), "{text:.50}: {error}");
        }
    }

    /// These take an exponential number of tries where each way is tried in turn.
    #[test]
    fn the_time_is_bounded() {
        let name = format!("{}b", "a".repeat(254));
        for text in ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(.*)*(.*)*c$", "(?=(a*)*c)", "^(a?){100}a{100}$"] {
            assert!(!Pattern::new(text).unwrap().matches(&name), "{text}");
        }
    }
}
