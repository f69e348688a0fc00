//! D-Bus messages: calls as bytes, and what is wanted of answers and signals (D-Bus specification, "Message Protocol").

/// The value of a unit's property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `s`
    Text(String),
    /// `as`
    Texts(Vec<String>),
    /// `au`
    Numbers(Vec<u32>),
    /// `ay`
    Bytes(Vec<u8>),
}

/// A property by its name.
pub type Property = (String, Value);

/// Whom a call goes to, and what it is.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    /// Of the body.
    pub signature: &'a str,
}

/// Where numbers and texts are put, each at its alignment from the message's beginning.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub fn u32(&mut self, n: u32) {
        self.align(4);
        self.0.extend(n.to_le_bytes());
    }

    fn u64(&mut self, n: u64) {
        self.align(8);
        self.0.extend(n.to_le_bytes());
    }

    pub fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// Its length is told without the padding before the first item.
    pub fn array<T>(
        &mut self,
        alignment: usize,
        items: impl IntoIterator<Item = T>,
        mut put: impl FnMut(&mut Self, T),
    ) {
        self.u32(0);
        let length_at = self.0.len() - 4;
        self.align(alignment);
        let begin = self.0.len();
        items.into_iter().for_each(|item| put(self, item));
        let length = (self.0.len() - begin) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// `a(sv)`
    pub fn properties(&mut self, properties: &[Property]) {
        self.array(8, properties, |w, (name, value)| {
            w.align(8);
            w.text(name);
            w.variant(value);
        });
    }

    fn variant(&mut self, value: &Value) {
        self.signature(match value {
            Value::Bool(_) => "b",
            Value::I32(_) => "i",
            Value::U32(_) => "u",
            Value::I64(_) => "x",
            Value::U64(_) => "t",
            Value::Text(_) => "s",
            Value::Texts(_) => "as",
            Value::Numbers(_) => "au",
            Value::Bytes(_) => "ay",
        });
        match value {
            Value::Bool(yes) => self.u32((*yes).into()),
            Value::I32(n) => self.u32(*n as u32),
            Value::U32(n) => self.u32(*n),
            Value::I64(n) => self.u64(*n as u64),
            Value::U64(n) => self.u64(*n),
            Value::Text(text) => self.text(text),
            Value::Texts(texts) => self.array(4, texts, |w, text| w.text(text)),
            Value::Numbers(numbers) => self.array(4, numbers, |w, n| w.u32(*n)),
            Value::Bytes(bytes) => self.array(1, bytes, |w, byte| w.0.push(*byte)),
        }
    }
}

const CALL: u8 = 1;

/// The whole message of a call.
pub fn call(call: &Call<'_>, serial: u32, body: &Writer) -> Vec<u8> {
    let mut w = Writer(vec![b'l', CALL, 0, 1]);
    w.u32(body.0.len() as u32);
    w.u32(serial);
    let fields = [
        (1, "o", call.path),
        (2, "s", call.interface),
        (3, "s", call.member),
        (6, "s", call.destination),
        (8, "g", call.signature),
    ];
    w.array(8, fields.iter().filter(|(.., text)| !text.is_empty()), |w, (code, kind, text)| {
        w.align(8);
        w.0.push(*code);
        w.signature(kind);
        if *kind == "g" { w.signature(text) } else { w.text(text) }
    });
    w.align(8);
    w.0.extend(&body.0);
    w.0
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Return,
    Error,
    Signal,
    Other,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub kind: Kind,
    /// The call that it answers.
    pub answers: u32,
    /// Of a signal.
    pub member: String,
    /// Of an error.
    pub error: String,
    pub body: Vec<u8>,
}

/// More than any that is asked for.
const MOST: usize = 1 << 20;
/// So much tells how long all of it is.
pub const HEAD: usize = 16;

/// How long a message with this beginning is; `None` for what is none.
pub fn length(head: &[u8; HEAD]) -> Option<usize> {
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
    let (body, fields) = (word(4), word(12));
    let all = (body <= MOST && fields <= MOST).then(|| (HEAD + fields).next_multiple_of(8) + body)?;
    (head[0] == b'l' && head[3] == 1).then_some(all)
}

/// Takes a whole message apart.
pub fn read(bytes: &[u8]) -> Option<Message> {
    let mut r = Reader { bytes, at: 4 };
    let body = r.u32()? as usize;
    r.u32()?;
    let end = r.u32()? as usize + HEAD;
    let kind = match bytes[1] {
        2 => Kind::Return,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => Kind::Other,
    };
    let at = bytes.len().checked_sub(body)?;
    let mut message =
        Message { kind, answers: 0, member: String::new(), error: String::new(), body: bytes[at..].into() };
    while r.at < end {
        r.field(&mut message)?;
    }
    Some(message)
}

/// Takes values off a body.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(taken)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.at = self.at.next_multiple_of(4);
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        let text = self.take(length)?;
        self.take(1)?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    pub fn signature(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        let text = self.take(length.into())?;
        self.take(1)?;
        Some(text)
    }

    /// One of the header's: a code and a variant.
    fn field(&mut self, into: &mut Message) -> Option<()> {
        self.at = self.at.next_multiple_of(8);
        let code = self.take(1)?[0];
        match (code, self.signature()?) {
            (3, b"s") => into.member = self.text()?,
            (4, b"s") => into.error = self.text()?,
            (5, b"u") => into.answers = self.u32()?,
            (_, b"s" | b"o") => drop(self.text()?),
            (_, b"u") => drop(self.u32()?),
            (_, b"g") => drop(self.signature()?),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Call<'_> = Call {
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "Hello",
        signature: "",
    };

    /// As the specification's reference library writes it.
    #[test]
    fn a_call_is_written_as_others_write_it() {
        let bytes = call(&HELLO, 1, &Writer::default());
        let wanted = b"l\x01\0\x01\0\0\0\0\x01\0\0\0m\0\0\0\
            \x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0\
            \x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\
            \x03\x01s\0\x05\0\0\0Hello\0\0\0\
            \x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0";
        assert_eq!(bytes, wanted);
        assert_eq!(length(bytes[..HEAD].try_into().unwrap()), Some(bytes.len()));
    }

    #[test]
    fn properties_are_aligned() {
        let mut w = Writer::default();
        w.text("a");
        w.properties(&[("Delegate".into(), Value::Bool(true)), ("PIDs".into(), Value::Numbers(vec![7]))]);
        let wanted = b"\x01\0\0\0a\0\0\0\x30\0\0\0\0\0\0\0\
            \x08\0\0\0Delegate\0\x01b\0\x01\0\0\0\0\0\0\0\
            \x04\0\0\0PIDs\0\x02au\0\0\0\0\x04\0\0\0\x07\0\0\0";
        assert_eq!(w.0, wanted, "{:?}", String::from_utf8_lossy(&w.0));
    }

    fn answer(kind: u8, member: &str, error: &str, body: &Writer) -> Vec<u8> {
        let mut bytes = call(&Call { member, destination: error, signature: "s", ..HELLO }, 9, body);
        bytes[1] = kind;
        bytes
    }

    #[test]
    fn what_came_is_read() {
        let mut body = Writer::default();
        body.u32(5);
        body.text("/job/1");
        let read = read(&answer(4, "JobRemoved", "x", &body)).unwrap();
        assert_eq!((read.kind, read.member.as_str()), (Kind::Signal, "JobRemoved"));
        let mut r = Reader::new(&read.body);
        assert_eq!((r.u32(), r.text().as_deref(), r.text()), (Some(5), Some("/job/1"), None));
    }

    /// Whatever comes, nothing is read beyond it.
    #[test]
    fn what_is_cut_or_wild_is_none() {
        let whole = answer(2, "M", "d", &Writer(vec![1; 9]));
        for cut in 16..whole.len() {
            let _ = read(&whole[..cut]);
        }
        for at in 0..whole.len() {
            let mut wild = whole.clone();
            wild[at] = 0xff;
            let _ = (read(&wild), length(wild[..HEAD].try_into().unwrap()));
        }
        assert_eq!(length(b"l\x02\0\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\0"), None);
        assert_eq!(length(b"B\x02\0\x01\0\0\0\0\0\0\0\0\0\0\0\0"), None);
    }
}
