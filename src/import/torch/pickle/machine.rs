//! The interpreter of a pickle's opcodes: it records calls and makes none.

use std::collections::HashMap;

use super::value::{Id, Value};
use crate::import::error::Problem;
use crate::import::torch::pickle_globals;

/// Maximum number of values in a pickle: a state_dict has some 30 per tensor.
pub(super) const MOST_VALUES: usize = 1 << 19;

/// Why an opcode cannot be executed.
pub(super) enum Fault {
    Problem(Problem),
    Rule(String),
    Unsupported(String),
}

impl From<&str> for Fault {
    fn from(rule: &str) -> Self {
        Self::Rule(rule.to_owned())
    }
}

/// The state of the interpreter.
#[derive(Default)]
pub(super) struct Machine<'a> {
    /// The bytes that are still to be read.
    pub bytes: &'a [u8],
    pub values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    memoized: u32,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Executes one opcode; the last one returns the result.
    pub(super) fn step(&mut self) -> Result<Option<Id>, Fault> {
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
