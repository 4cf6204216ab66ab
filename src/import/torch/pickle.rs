//! A pickle as plain data: the output of `torch.save` and `torch.jit.save`, read by an interpreter that runs
//! nothing.
//!
//! It supports numbers, texts, tuples, lists and dictionaries, and the names in `pickle_globals.rs`. A call of one
//! of them is recorded, never made; any other name is an error. Values are stored in one list and refer to
//! each other by index, so that no depth of nesting and no cycle costs more than its bytes.

use std::collections::HashMap;

use super::super::error::Problem;
use super::pickle_globals;

/// Maximum number of values in a pickle: a state_dict has some 30 per tensor.
const MOST_VALUES: usize = 1 << 19;
/// The longest pickle that is read, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// The index of a value in [`Pickle::values`].
pub(super) type Id = u32;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number of more than 64 bits.
    BigInt,
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Tuple(Vec<Id>),
    /// A list or a set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name: its module and its name there.
    Global(&'a str, &'a str),
    /// Something stored outside the pickle, described by a value.
    Outside(Id),
    /// A call that was not made: of a name, with a tuple.
    Call {
        of: Id,
        arguments: Id,
        state: Option<Id>,
    },
}

/// A pickle that has been read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub values: Vec<Value<'a>>,
    pub root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads a whole pickle.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Problem> {
        if bytes.len() > MOST_BYTES {
            return Err(damaged(format!(
                "its pickle has {} bytes, more than {MOST_BYTES}",
                bytes.len()
            )));
        }
        let mut machine = Machine { bytes, ..Machine::default() };
        loop {
            let at = bytes.len() - machine.bytes.len();
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(Self { values: machine.values, root }),
                Err(Fault::Problem(problem)) => return Err(problem),
                Err(Fault::Rule(rule)) => {
                    return Err(damaged(format!("its pickle breaks at byte {at}: {rule}")));
                }
                Err(Fault::Unsupported(what)) => {
                    return Err(Problem::Unsupported {
                        format: "PyTorch",
                        message: format!("{what} at byte {at} of its pickle: {CURE}"),
                    });
                }
            }
        }
    }

    /// Returns a value by its index.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    /// Returns the name that is called, and its arguments.
    pub(super) fn call(&self, id: Id) -> Option<(&'a str, &'a str, &[Id])> {
        let Value::Call { of, arguments, .. } = *self.get(id) else { return None };
        match (self.get(of), self.get(arguments)) {
            (&Value::Global(module, name), Value::Tuple(arguments)) => {
                Some((module, name, arguments))
            }
            _ => None,
        }
    }
}

pub(super) fn damaged(message: impl ToString) -> Problem {
    Problem::Damaged { format: "PyTorch", message: message.to_string() }
}

/// The cure if a pickle has more than a state_dict needs.
const CURE: &str = "save model.state_dict() alone";

enum Fault {
    Problem(Problem),
    Rule(String),
    Unsupported(String),
}

impl From<&str> for Fault {
    fn from(rule: &str) -> Self {
        Self::Rule(rule.to_owned())
    }
}

#[derive(Default)]
struct Machine<'a> {
    /// The bytes that are still to be read.
    bytes: &'a [u8],
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    memoized: u32,
}

impl<'a> Machine<'a> {
    /// Executes one opcode; the last one returns the result.
    fn step(&mut self) -> Result<Option<Id>, Fault> {
        let [opcode] = self.array()?;
        match opcode {
            // PROTO
            0x80 => match self.array()? {
                [2..=5] => {}
                [other] => return Err(Fault::Unsupported(format!("pickle protocol {other}"))),
            },
            // FRAME
            0x95 => drop(self.array::<8>()?),
            // STOP
            b'.' => return self.pop().map(Some),
            // MARK
            b'(' => {
                self.room(self.marks.len())?;
                self.marks.push(self.stack.len());
            }
            // POP, POP_MARK
            b'0' => drop(self.pop()?),
            b'1' => drop(self.marked()?),
            // DUP
            b'2' => {
                let top = self.top()?;
                self.push_id(top)?;
            }
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            // BININT, BININT1, BININT2
            b'J' => {
                let number = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(number.into()))?;
            }
            b'K' => {
                let [number] = self.array()?;
                self.push(Value::Int(number.into()))?;
            }
            b'M' => {
                let number = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(number.into()))?;
            }
            // LONG1, LONG4
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'G' => {
                let number = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(number))?;
            }
            // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            // SHORT_BINSTRING, BINSTRING: the text of Python 2
            b'U' => self.text(1)?,
            b'T' => self.text(4)?,
            // BINBYTES, SHORT_BINBYTES, BINBYTES8, BYTEARRAY8
            b'B' => self.binary(4)?,
            b'C' => self.binary(1)?,
            0x8e | 0x96 => self.binary(8)?,
            // EMPTY_LIST, EMPTY_SET
            b']' | 0x8f => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b')' => self.push(Value::Tuple(Vec::new()))?,
            // TUPLE, TUPLE1 to TUPLE3
            b't' => {
                let items = self.marked()?;
                self.push(Value::Tuple(items))?;
            }
            0x85..=0x87 => {
                let items = self.last(usize::from(opcode - 0x84))?;
                self.push(Value::Tuple(items))?;
            }
            // APPEND
            b'a' => {
                let items = self.last(1)?;
                self.append(items)?;
            }
            // APPENDS, ADDITEMS
            b'e' | 0x90 => {
                let items = self.marked()?;
                self.append(items)?;
            }
            // FROZENSET
            0x91 => {
                let items = self.marked()?;
                self.push(Value::List(items))?;
            }
            // SETITEM, SETITEMS
            b's' => {
                let items = self.last(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.marked()?;
                self.set(&items)?;
            }
            // BINGET, LONG_BINGET
            b'h' => {
                let [key] = self.array()?;
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?);
                self.recall(key)?;
            }
            // BINPUT, LONG_BINPUT, MEMOIZE
            b'q' => {
                let [key] = self.array()?;
                self.remember(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.array()?);
                self.remember(key)?;
            }
            0x94 => {
                self.remember(self.memoized)?;
                self.memoized += 1;
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.value(module), self.value(name)) {
                    (&Value::Text(module), &Value::Text(name)) => self.global(module, name)?,
                    _ => return Err("a name must be text".into()),
                }
            }
            // REDUCE, NEWOBJ
            b'R' | 0x81 => self.call()?,
            // BUILD
            b'b' => self.build()?,
            // BINPERSID
            b'Q' => {
                let what = self.pop()?;
                self.push(Value::Outside(what))?;
            }
            other => {
                return Err(Fault::Unsupported(format!(
                    "opcode {other:#04x}, which torch.save does not write,"
                )));
            }
        }
        Ok(None)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (array, rest) = self.bytes.split_first_chunk().ok_or("it is cut")?;
        self.bytes = rest;
        Ok(*array)
    }

    /// Reads the number of bytes given by a length field of `width` bytes.
    fn counted(&mut self, width: usize) -> Result<&'a [u8], Fault> {
        let mut length = [0; 8];
        for byte in length.iter_mut().take(width) {
            [*byte] = self.array()?;
        }
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or("it is cut")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn text(&mut self, width: usize) -> Result<(), Fault> {
        let bytes = self.counted(width)?;
        // Python's text may hold unpaired surrogates, and that of Python 2 any bytes.
        self.push(std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text))
    }

    fn binary(&mut self, width: usize) -> Result<(), Fault> {
        let bytes = self.counted(width)?;
        self.push(Value::Bytes(bytes))
    }

    /// Reads an integer, little-endian, in two's complement.
    fn long(&mut self, width: usize) -> Result<(), Fault> {
        let bytes = self.counted(width)?;
        let sign = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut number = [if sign { 0xff } else { 0 }; 8];
        let Some(place) = number.get_mut(..bytes.len()) else { return self.push(Value::BigInt) };
        place.copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(number)))
    }

    /// Reads text up to the end of the line.
    fn line(&mut self) -> Result<&'a str, Fault> {
        let end = self.bytes.iter().position(|&byte| byte == b'\n').ok_or("it is cut")?;
        let (line, rest) = self.bytes.split_at(end);
        self.bytes = &rest[1..];
        std::str::from_utf8(line).map_err(|_| "text must be UTF-8".into())
    }

    fn room(&self, taken: usize) -> Result<(), Fault> {
        match taken < MOST_VALUES {
            true => Ok(()),
            false => Err(Fault::Unsupported(format!("too many values (at most {MOST_VALUES})"))),
        }
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), Fault> {
        self.room(self.values.len())?;
        let id = self.values.len() as Id;
        self.values.push(value);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<(), Fault> {
        self.room(self.stack.len())?;
        self.stack.push(id);
        Ok(())
    }

    /// Returns the minimum height of the stack.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, Fault> {
        match self.stack.last() {
            Some(&top) if self.stack.len() > self.floor() => Ok(top),
            _ => Err("the stack is empty".into()),
        }
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Pops the last `count` values.
    fn last(&mut self, count: usize) -> Result<Vec<Id>, Fault> {
        match self.stack.len().checked_sub(count) {
            Some(from) if from >= self.floor() => Ok(self.stack.split_off(from)),
            _ => Err("the stack is empty".into()),
        }
    }

    /// Pops everything above the last mark.
    fn marked(&mut self) -> Result<Vec<Id>, Fault> {
        let from = self.marks.pop().ok_or("there is no mark")?;
        Ok(self.stack.split_off(from))
    }

    fn value(&self, id: Id) -> &Value<'a> {
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    fn top_mut(&mut self) -> Result<&mut Value<'a>, Fault> {
        let top = self.top()?;
        self.values.get_mut(top as usize).ok_or("the stack is empty".into())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), Fault> {
        match self.top_mut()? {
            Value::List(list) => {
                list.extend(items);
                Ok(())
            }
            _ => Err("only a list or a set can be appended to".into()),
        }
    }

    fn set(&mut self, items: &[Id]) -> Result<(), Fault> {
        let (pairs, rest) = items.as_chunks();
        match self.top_mut()? {
            Value::Dict(dict) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            // A Counter, a subclass of dict.
            Value::Call { .. } if rest.is_empty() => Ok(()),
            _ => Err("only a dictionary takes keys with values".into()),
        }
    }

    fn recall(&mut self, key: u32) -> Result<(), Fault> {
        match self.memo.get(&key) {
            Some(&id) => self.push_id(id),
            None => Err("it reads a memo entry that it has never stored".into()),
        }
    }

    fn remember(&mut self, key: u32) -> Result<(), Fault> {
        self.room(self.memo.len())?;
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn global(&mut self, module: &'a str, name: &'a str) -> Result<(), Fault> {
        match pickle_globals::is_known(module, name) {
            true => self.push(Value::Global(module, name)),
            false => {
                // Pickles may use Python's own names from before Python 3.
                let module = if module == "posix" || module == "nt" { "os" } else { module };
                let name: String = format!("{module}.{name}").chars().take(100).collect();
                Err(Fault::Problem(Problem::Global(name)))
            }
        }
    }

    fn call(&mut self) -> Result<(), Fault> {
        let (arguments, of) = (self.pop()?, self.pop()?);
        match (self.value(of), self.value(arguments)) {
            // Empty, and filled later; from Python 2 with its pairs at once.
            (Value::Global("collections", "OrderedDict"), Value::Tuple(items)) => {
                let pairs = match items[..] {
                    [] => Vec::new(),
                    [list] => self.pairs(list)?,
                    _ => return Err("OrderedDict takes one list".into()),
                };
                self.push(Value::Dict(pairs))
            }
            (Value::Global(..), Value::Tuple(_)) => {
                self.push(Value::Call { of, arguments, state: None })
            }
            _ => Err("only names can be called, with a tuple".into()),
        }
    }

    fn pairs(&self, list: Id) -> Result<Vec<(Id, Id)>, Fault> {
        let Value::List(list) = self.value(list) else {
            return Err("OrderedDict takes one list".into());
        };
        let pair = |&id: &Id| match self.value(id) {
            Value::Tuple(pair) | Value::List(pair) => match pair[..] {
                [key, value] => Ok((key, value)),
                _ => Err("a pair has two values".into()),
            },
            _ => Err("a pair has two values".into()),
        };
        list.iter().map(pair).collect()
    }

    fn build(&mut self) -> Result<(), Fault> {
        let new = self.pop()?;
        match self.top_mut()? {
            Value::Call { state, .. } => {
                *state = Some(new);
                Ok(())
            }
            // The versions of a state_dict's modules.
            Value::Dict(_) | Value::List(_) => Ok(()),
            _ => Err("only what was made by a call has a state".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        Pickle::read(bytes).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn plain_data_is_read() -> Result<(), Problem> {
        // pickle.dumps({"a": (1, -2.5, None, True), "b": [2**40, b"x"]}, 4), without the frame.
        let bytes = b"\x80\x04}\x94(\x8c\x01a\x94(K\x01G\xc0\x04\x00\x00\x00\x00\x00\x00N\x88t\x94\
                      \x8c\x01b\x94]\x94(\x8a\x06\x00\x00\x00\x00\x00\x01C\x01x\x94eu.";
        let pickle = Pickle::read(bytes)?;
        let Value::Dict(pairs) = pickle.get(pickle.root) else { panic!("{pickle:?}") };
        assert_eq!(pickle.get(pairs[1].0), &Value::Text("b"));
        let Value::Tuple(items) = pickle.get(pairs[0].1) else { panic!("{pickle:?}") };
        let items: Vec<_> = items.iter().map(|&id| pickle.get(id)).collect();
        let expected = [Value::Int(1), Value::Float(-2.5), Value::None, Value::Bool(true)];
        assert!(items.into_iter().eq(&expected));
        let Value::List(items) = pickle.get(pairs[1].1) else { panic!("{pickle:?}") };
        assert_eq!(pickle.get(items[0]), &Value::Int(1 << 40));
        Ok(())
    }

    /// Non-tensor values that `torch.load(weights_only=True)` reads.
    #[test]
    fn harmless_names_are_read() -> Result<(), Problem> {
        // pickle.dumps of each with protocol 2, or 4 for the sets.
        for bytes in [
            &b"\x80\x02ccollections\nCounter\nq\x00}q\x01X\x01\x00\x00\x00aK\x01s\x85q\x02Rq\x03."[..],
            b"\x80\x02c__builtin__\nset\nq\x00]q\x01K\x01a\x85q\x02Rq\x03.",
            b"\x80\x04\x8f\x94(K\x01K\x02\x90.",
            b"\x80\x04(K\x01K\x02\x91\x94.",
            b"\x80\x02c_codecs\nencode\nq\x00X\x02\x00\x00\x00xyX\x06\x00\x00\x00latin1\x86R.",
            b"\x80\x02c__builtin__\ncomplex\nG\x3f\xf0\x00\x00\x00\x00\x00\x00G\x3f\xf0\x00\x00\x00\x00\x00\x00\x86R.",
            b"\x80\x02ctorch\nSize\nK\x02K\x03\x86\x85R.",
            b"\x80\x02ctorch\ndevice\nX\x03\x00\x00\x00cpu\x85R.",
            b"\x80\x02ctorch\nuint8\n.",
            // 2**70 by LONG1, and by LONG4.
            b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x40.",
            b"\x80\x02\x8b\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40.",
        ] {
            Pickle::read(bytes)?;
        }
        let big = Pickle::read(b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x40.")?;
        assert_eq!(big.get(big.root), &Value::BigInt);
        Ok(())
    }

    #[test]
    fn nothing_but_tensors_can_be_asked_for() {
        // pickle.dumps of objects whose __reduce__ returns these, protocols 2 and 4.
        for (bytes, name) in [
            (&b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."[..], "os.system"),
            (b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", "__builtin__.eval"),
            (b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x01x\x85R.", "builtins.exec"),
            (b"\x80\x02ctorch\nload\n.", "torch.load"),
            (b"\x80\x02ctorch.cuda\nFloatTensor\n.", "torch.cuda.FloatTensor"),
            (b"\x80\x02ctorch\nint_repr\n.", "torch.int_repr"),
            (b"\x80\x02c__torch__x\nf\n.", "__torch__x.f"),
        ] {
            assert!(error(bytes).contains(&format!("asks for {name:?}")), "{}", error(bytes));
        }
    }

    #[test]
    fn broken_and_hostile_pickles_are_errors() {
        let many =
            |opcode: &[u8]| [b"\x80\x02", &opcode.repeat(MOST_VALUES + 1)[..], b"."].concat();
        for (bytes, message) in [
            (b"".to_vec(), "it is cut"),
            (b"\x80\x02N".to_vec(), "it is cut"),
            (b"\x80\x02.".to_vec(), "the stack is empty"),
            (b"\x80\x02(0.".to_vec(), "the stack is empty"),
            (b"\x80\x00.".to_vec(), "pickle protocol 0"),
            (b"\x80\x02h\x05.".to_vec(), "has never stored"),
            (b"\x80\x02X\xff\xff\xff\xffa.".to_vec(), "it is cut"),
            (b"\x80\x02NNa.".to_vec(), "only a list or a set"),
            (b"\x80\x02NNNs.".to_vec(), "only a dictionary"),
            (b"\x80\x02}(Nu.".to_vec(), "only a dictionary"),
            (b"\x80\x02N)R.".to_vec(), "only names can be called"),
            (b"\x80\x02ios\nsystem\n.".to_vec(), "opcode 0x69"),
            (b"\x80\x02\x82\x01.".to_vec(), "opcode 0x82"),
            (many(b"N"), "at most"),
            (many(b"("), "at most"),
            (many(b"]2"), "at most"),
            ([b"\x80\x02N", &b"2".repeat(MOST_VALUES + 1)[..], b"."].concat(), "at most"),
        ] {
            assert!(error(&bytes).contains(message), "{}", error(&bytes));
        }
    }

    #[test]
    fn depth_and_circles_cost_nothing() -> Result<(), Problem> {
        // Tuples in tuples, half a million deep, and a list that contains itself.
        let deep = [b"\x80\x02N", &b"\x85".repeat(MOST_VALUES - 1)[..], b"."].concat();
        assert_eq!(Pickle::read(&deep)?.values.len(), MOST_VALUES);
        let circle = Pickle::read(b"\x80\x02]q\x00h\x00a.")?;
        assert_eq!(circle.get(circle.root), &Value::List(vec![circle.root]));
        Ok(())
    }
}
