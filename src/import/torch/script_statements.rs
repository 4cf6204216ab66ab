//! The statements of TorchScript's code, as stored in an archive: names, attributes, literals and calls. Anything
//! else in the language is not part of a chain of layers, and is an error.

/// Maximum nesting that is read.
const DEEPEST: usize = 64;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// "input", "self.weight", "torch.relu"
    Name(String),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    /// A call by name, with positional arguments and then keyword arguments.
    Call(String, Vec<Self>, Vec<(String, Self)>),
    /// `(object).method(arguments)`
    Method(Box<Self>, String, Vec<Self>),
}

/// A line of a function.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Statement {
    Set(String, Expr),
    Return(Expr),
}

/// Returns the lines of a method of a class in a module's code.
pub(super) fn method<'a>(code: &'a str, class: &str, name: &str) -> Option<Vec<&'a str>> {
    let begin = format!("class {class}(");
    let end = |line: &&str| !line.starts_with("class ") && !line.starts_with("def ");
    let mut lines =
        code.lines().skip_while(|line| !line.starts_with(&begin)).skip(1).take_while(end);
    let definition = format!("  def {name}(");
    lines.find(|line| line.starts_with(&definition)).map(|first| {
        // A signature may have several lines; the last one ends in a colon.
        let mut rest: Vec<&str> = lines.take_while(|line| !line.starts_with("  def ")).collect();
        if !first.ends_with(':') {
            let signature = rest.iter().position(|line| line.ends_with(':')).map_or(0, |at| at + 1);
            rest.drain(..signature);
        }
        rest.retain(|line| !line.trim().is_empty());
        rest
    })
}

/// Returns the names of a function's arguments after `self`, from the signature.
pub(super) fn arguments(code: &str, class: &str, name: &str) -> Vec<String> {
    let begin = format!("class {class}(");
    let text: String =
        code.lines().skip_while(|line| !line.starts_with(&begin)).collect::<Vec<_>>().join(" ");
    let signature = text.split_once(&format!("  def {name}(")).map_or("", |(_, rest)| rest);
    let signature = signature.split_once(") ->").map_or("", |(signature, _)| signature);
    let names =
        signature.split(',').filter_map(|part| Some(part.split_once(':')?.0.trim().to_owned()));
    names.collect()
}

/// Parses a line.
pub(super) fn statement(line: &str) -> Option<Statement> {
    let line = line.strip_prefix("    ").filter(|line| !line.starts_with(' '))?;
    if let Some(value) = line.strip_prefix("return ") {
        return Some(Statement::Return(whole(value)?));
    }
    let (name, value) = line.split_once(" = ")?;
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain.then_some(Statement::Set(name.to_owned(), whole(value)?))
}

fn whole(text: &str) -> Option<Expr> {
    let mut parser = Parser { rest: text, depth: 0 };
    let expression = parser.expression()?;
    parser.rest.trim().is_empty().then_some(expression)
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

type Arguments = (Vec<Expr>, Vec<(String, Expr)>);

impl<'a> Parser<'a> {
    fn takes(&mut self, token: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self) -> &'a str {
        let text = self.rest.trim_start();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.rest = rest;
        word
    }

    fn expression(&mut self) -> Option<Expr> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let expression = self.nested();
        self.depth -= 1;
        expression
    }

    fn nested(&mut self) -> Option<Expr> {
        if self.takes('(') {
            let object = self.expression()?;
            if !(self.takes(')') && self.takes('.')) {
                return None;
            }
            let method = self.word().to_owned();
            let (arguments, named) = self.arguments()?;
            return named.is_empty().then(|| Expr::Method(Box::new(object), method, arguments));
        }
        if self.takes('"') {
            let (text, rest) = self.rest.split_once('"')?;
            self.rest = rest;
            return Some(Expr::Text(text.to_owned()));
        }
        if self.takes('[') {
            let (items, named) = self.list(']')?;
            return named.is_empty().then_some(Expr::List(items));
        }
        let negative = self.takes('-');
        let word = self.word();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            let mut text = word.to_owned();
            // An exponent may have a sign.
            if word.ends_with('e') && self.takes('-') {
                text = format!("{word}-{}", self.word());
            }
            let number: f64 = text.parse().ok()?;
            return Some(Expr::Number(if negative { -number } else { number }));
        }
        if word.is_empty() || negative {
            return None;
        }
        if self.rest.starts_with('(') {
            let (arguments, named) = self.arguments()?;
            return Some(Expr::Call(word.to_owned(), arguments, named));
        }
        Some(Expr::Name(word.to_owned()))
    }

    fn arguments(&mut self) -> Option<Arguments> {
        if self.takes('(') { self.list(')') } else { None }
    }

    /// Parses values up to the end, separated or terminated by commas.
    fn list(&mut self, end: char) -> Option<Arguments> {
        let (mut values, mut named) = (Vec::new(), Vec::new());
        while !self.takes(end) {
            let value = self.expression()?;
            match value {
                Expr::Name(name) if self.takes('=') => named.push((name, self.expression()?)),
                value => values.push(value),
            }
            if !self.takes(',') && !self.rest.trim_start().starts_with(end) {
                return None;
            }
        }
        Some((values, named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "class A(Module):\n  __parameters__ = []\n  def forward(self: __torch__.A,\n    x: Tensor) \
                        -> Tensor:\n    b = self.b\n    return (b).forward(torch.relu(x), )\n  def f(self: \
                        __torch__.A) -> int:\n    return 7\nclass B(Module):\n  def forward(self: __torch__.B,\n    \
                        y: Tensor) -> Tensor:\n    return y\n";

    #[test]
    fn methods_and_statements_are_read() {
        let lines = method(CODE, "A", "forward").unwrap();
        let name = |name: &str| Expr::Name(name.to_owned());
        assert_eq!(lines.len(), 2);
        assert_eq!(statement(lines[0]), Some(Statement::Set("b".into(), name("self.b"))));
        let relu = Expr::Call("torch.relu".into(), vec![name("x")], vec![]);
        let call = Expr::Method(Box::new(name("b")), "forward".into(), vec![relu]);
        assert_eq!(statement(lines[1]), Some(Statement::Return(call)));
        assert_eq!(arguments(CODE, "A", "forward"), ["self", "x"]);
        assert_eq!(arguments(CODE, "B", "forward"), ["self", "y"]);
        let gelu = statement("    a = torch.gelu(x, approximate=\"none\")");
        assert!(
            matches!(gelu, Some(Statement::Set(_, Expr::Call(_, _, named))) if named.len() == 1)
        );
        let number = statement("    a = f(1.5e-05, -2, )");
        let numbers = vec![Expr::Number(1.5e-5), Expr::Number(-2.0)];
        assert_eq!(
            number,
            Some(Statement::Set("a".into(), Expr::Call("f".into(), numbers, vec![])))
        );
        for other in
            ["    if x:", "      y = 3", "    a, b, = f(x)", "    a = x + 1", "    a = (x", ""]
        {
            assert_eq!(statement(other), None, "{other}");
        }
        let deep = format!("    a = {}x{}", "f(".repeat(1 << 16), ")".repeat(1 << 16));
        assert_eq!(statement(&deep), None);
    }
}
