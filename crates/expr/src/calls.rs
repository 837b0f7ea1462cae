//! Functions.

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};
use trivium_model::DataType;

use crate::{
    Datum,
    cast::Convert,
    compile::{Compiler, Result, Typed, kind_of, of_kind},
    node::{Asked, Kind, Math, Math2, Node, OfText, Operation, TextTest},
    time::Part,
    types,
};

/// The most digits after the point that `round` keeps.
const ROUND_SCALE_MAX: u8 = 15;

/// The names of functions, for who misses one.
const FUNCTIONS: [&str; 71] = [
    "abs",
    "atan",
    "atan2",
    "ceil",
    "ceiling",
    "char_length",
    "character_length",
    "coalesce",
    "concat",
    "contains",
    "cos",
    "date_diff",
    "datediff",
    "day",
    "dayofmonth",
    "dayofweek",
    "dayofyear",
    "degrees",
    "endswith",
    "exp",
    "floor",
    "greatest",
    "hour",
    "if",
    "ifnull",
    "isnan",
    "isnotnull",
    "isnull",
    "lcase",
    "least",
    "left",
    "len",
    "length",
    "ln",
    "log10",
    "log1p",
    "log2",
    "lower",
    "ltrim",
    "minute",
    "mod",
    "month",
    "nanvl",
    "negative",
    "nullif",
    "nvl",
    "nvl2",
    "pow",
    "power",
    "quarter",
    "radians",
    "right",
    "round",
    "rtrim",
    "second",
    "sign",
    "signum",
    "sin",
    "sqrt",
    "startswith",
    "substr",
    "substring",
    "tan",
    "timestampdiff",
    "trim",
    "ucase",
    "unix_date",
    "unix_micros",
    "unix_millis",
    "unix_seconds",
    "upper",
];

impl Compiler<'_> {
    pub(crate) fn call(&mut self, at: &Expr, function: &Function) -> Result<Typed> {
        let name = match function.name.0.as_slice() {
            [part] => part.as_ident().map(|ident| ident.value.to_lowercase()),
            _ => None,
        };
        let name = name.unwrap_or_default();
        if !FUNCTIONS.contains(&name.as_str())
            && !matches!(name.as_str(), "year" | "weekday" | "weekofyear")
        {
            return Err(self.unknown(at, function, &name));
        }
        let args = self.arguments(at, function, &name)?;
        if let Some(part) = Part::of_function(&name) {
            return match args.as_slice() {
                [value] => self.part(part, value),
                _ => Err(self.count(at, &name, "one argument", args.len())),
            };
        }
        if let Some(math) = Math::of_function(&name) {
            return match args.as_slice() {
                [value] => {
                    let value = self.double(value, &name)?;
                    Ok(Typed::new(Node::Math(math, Box::new(value)), DataType::Float64))
                }
                _ => Err(self.count(at, &name, "one argument", args.len())),
            };
        }
        match (name.as_str(), args.as_slice()) {
            ("coalesce" | "nvl" | "ifnull", [_, ..]) if name == "coalesce" || args.len() == 2 => {
                let (items, data_type) = self.alike(at, &name, &args)?;
                Ok(Typed { node: Node::Coalesce(items), data_type })
            }
            ("greatest" | "least", [_, _, ..]) => {
                let (items, data_type) = self.alike(at, &name, &args)?;
                Ok(Typed { node: Node::Extreme { greatest: name == "greatest", items }, data_type })
            }
            ("if", [condition, yes, no]) => {
                let condition = self.truth(condition, "`if`")?;
                self.choice(at, condition, yes, no)
            }
            ("nvl2", [value, yes, no]) => {
                let value = Box::new(self.expr(value)?.node);
                let condition = Node::Is { asked: Asked::Null, value, negated: true };
                self.choice(at, condition, yes, no)
            }
            ("nullif", [value, other]) => self.null_if(at, value, other),
            ("isnull" | "isnotnull", [value]) => {
                let value = Box::new(self.expr(value)?.node);
                let node = Node::Is { asked: Asked::Null, value, negated: name == "isnotnull" };
                Ok(Typed::new(node, DataType::Bool))
            }
            ("abs" | "negative", [value]) => {
                let of = self.expr(value)?;
                let kind = self.kind(value, &of, &name)?;
                let data_type = of_kind(kind);
                let of = Box::new(self.to(of, &data_type));
                let node =
                    if name == "abs" { Node::Absolute(kind, of) } else { Node::Negate(kind, of) };
                Ok(Typed::new(node, data_type))
            }
            ("mod", [left, right]) => self.arithmetic(Operation::Remainder, left, right),
            ("pow" | "power" | "atan2", [left, right]) => {
                let math = if name == "atan2" { Math2::Atan2 } else { Math2::Pow };
                let (left, right) = (self.double(left, &name)?, self.double(right, &name)?);
                Ok(Typed::new(
                    Node::Math2(math, Box::new(left), Box::new(right)),
                    DataType::Float64,
                ))
            }
            ("isnan", [value]) => {
                let value = self.double(value, &name)?;
                Ok(Typed::new(Node::IsNan(Box::new(value)), DataType::Bool))
            }
            ("nanvl", [value, other]) => {
                let (value, other) = (self.double(value, &name)?, self.double(other, &name)?);
                Ok(Typed::new(Node::NanOr(Box::new(value), Box::new(other)), DataType::Float64))
            }
            ("ceil" | "ceiling" | "floor", [value]) => self.whole(name != "floor", value),
            ("round", [value]) => self.round(value, None),
            ("round", [value, scale]) => self.round(value, Some(scale)),
            ("lower" | "lcase", [value]) => self.of_text(OfText::Lower, value),
            ("upper" | "ucase", [value]) => self.of_text(OfText::Upper, value),
            ("trim", [value]) => self.of_text(OfText::Trim, value),
            ("ltrim", [value]) => self.of_text(OfText::TrimStart, value),
            ("rtrim", [value]) => self.of_text(OfText::TrimEnd, value),
            ("length" | "len" | "char_length" | "character_length", [value]) => {
                self.of_text(OfText::Length, value)
            }
            ("concat", [_, ..]) => {
                let parts =
                    args.iter().map(|part| self.text(part, "`concat`")).collect::<Result<_>>()?;
                Ok(Typed::new(Node::Concat(parts), DataType::String))
            }
            ("startswith", [text, what]) => self.text_test(TextTest::StartsWith, &name, text, what),
            ("endswith", [text, what]) => self.text_test(TextTest::EndsWith, &name, text, what),
            ("contains", [text, what]) => self.text_test(TextTest::Contains, &name, text, what),
            ("substring" | "substr", [value, from]) => self.substring(value, from, None),
            ("substring" | "substr", [value, from, count]) => {
                self.substring(value, from, Some(count))
            }
            ("left" | "right", [value, count]) => {
                let (value, count) = (self.text(value, &name)?, self.int(count, &name)?);
                let (value, count) = (Box::new(value), Box::new(count));
                let node = if name == "left" {
                    Node::Left(value, count)
                } else {
                    Node::Right(value, count)
                };
                Ok(Typed::new(node, DataType::String))
            }
            ("unix_seconds" | "unix_millis" | "unix_micros", [value]) => {
                let micros = match name.as_str() {
                    "unix_seconds" => 1_000_000,
                    "unix_millis" => 1_000,
                    _ => 1,
                };
                let value = Box::new(self.time(value, &name, &DataType::Timestamp)?);
                Ok(Typed::new(Node::Unix { micros, value }, DataType::Int64))
            }
            ("unix_date", [value]) => {
                let value = Box::new(self.time(value, &name, &DataType::Date)?);
                Ok(Typed::new(Node::UnixDate(value), DataType::Int32))
            }
            ("datediff" | "date_diff", [end, start]) => {
                let end = self.time(end, &name, &DataType::Date)?;
                let start = self.time(start, &name, &DataType::Date)?;
                Ok(Typed::new(Node::DateDiff(Box::new(end), Box::new(start)), DataType::Int32))
            }
            ("timestampdiff" | "datediff" | "date_diff", [unit, start, end]) => {
                self.time_between(&name, unit, start, end)
            }
            _ => {
                let takes = match name.as_str() {
                    "coalesce" | "concat" => "at least one argument",
                    "greatest" | "least" => "at least two arguments",
                    "if" | "nvl2" | "timestampdiff" => "three arguments",
                    "round" => "one or two arguments",
                    "substring" | "substr" | "datediff" | "date_diff" => "two or three arguments",
                    "nvl" | "ifnull" | "nullif" | "mod" | "pow" | "power" | "atan2" | "nanvl"
                    | "left" | "right" | "startswith" | "endswith" | "contains" => "two arguments",
                    _ => "one argument",
                };
                Err(self.count(at, &name, takes, args.len()))
            }
        }
    }

    fn unknown(&self, at: &Expr, function: &Function, name: &str) -> crate::Problem {
        let far = |known: &&&str| strsim::osa_distance(name, known);
        let near = FUNCTIONS.iter().min_by_key(far);
        let near = near.filter(|known| far(known) <= (name.chars().count() / 3).max(1));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "docs/expressions.md lists the functions".to_owned(),
        };
        self.problem(at, format!("there is no function `{}` in expressions", function.name), help)
    }

    fn count(&self, at: &Expr, name: &str, takes: &str, given: usize) -> crate::Problem {
        self.problem(at, format!("`{name}` takes {takes}, not {given}"), "give as many as it takes")
    }

    /// The arguments of a plain call.
    fn arguments(&self, at: &Expr, function: &Function, name: &str) -> Result<Vec<Expr>> {
        let refused = || {
            let help = "give plain arguments between the parentheses";
            self.problem(at, format!("`{name}` is not called like this"), help)
        };
        let plain = function.filter.is_none()
            && function.over.is_none()
            && function.null_treatment.is_none()
            && function.within_group.is_empty()
            && matches!(function.parameters, FunctionArguments::None);
        let FunctionArguments::List(list) = &function.args else { return Err(refused()) };
        if !plain || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return Err(refused());
        }
        list.args
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr.clone()),
                _ => Err(refused()),
            })
            .collect()
    }

    /// Arguments in the type that they have in common, which is none of nulls alone.
    fn alike(
        &mut self,
        at: &Expr,
        name: &str,
        args: &[Expr],
    ) -> Result<(Vec<Node>, Option<DataType>)> {
        let items = args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
        let common = self.common(at, &format!("`{name}`"), items.iter())?;
        let as_type = common.clone().unwrap_or(DataType::String);
        Ok((items.into_iter().map(|item| self.to(item, &as_type)).collect(), common))
    }

    fn choice(&mut self, at: &Expr, condition: Node, yes: &Expr, no: &Expr) -> Result<Typed> {
        let (yes, no) = (self.expr(yes)?, self.expr(no)?);
        let common = self.common(at, "`if`", [&yes, &no].into_iter())?;
        let as_type = common.clone().unwrap_or(DataType::String);
        let branches = vec![(condition, self.to(yes, &as_type))];
        let otherwise = Some(Box::new(self.to(no, &as_type)));
        Ok(Typed { node: Node::Case { branches, otherwise }, data_type: common })
    }

    fn null_if(&mut self, at: &Expr, value: &Expr, other: &Expr) -> Result<Typed> {
        let (value, other) = (self.expr(value)?, self.expr(other)?);
        let common = self.common(at, "`nullif`", [&value, &other].into_iter())?;
        let Some(data_type) = value.data_type.clone() else { return Ok(value) };
        let common = common.unwrap_or_else(|| data_type.clone());
        let convert = (data_type != common)
            .then(|| Convert { scale: types::scale(&data_type), to: common.clone() });
        let other = Box::new(self.to(other, &common));
        Ok(Typed::new(Node::NullIf { value: Box::new(value.node), convert, other }, data_type))
    }

    pub(crate) fn part(&mut self, part: Part, value: &Expr) -> Result<Typed> {
        let to = if part.is_of_time() { DataType::Timestamp } else { DataType::Date };
        let value = self.time(value, part.function(), &to)?;
        Ok(Typed::new(Node::Part(part, Box::new(value)), DataType::Int32))
    }

    pub(crate) fn whole(&mut self, up: bool, value: &Expr) -> Result<Typed> {
        let what = if up { "ceil" } else { "floor" };
        let of = self.expr(value)?;
        let kind = self.kind(value, &of, what)?;
        let node = if matches!(kind, Kind::Int32 | Kind::Int64) {
            self.to(of, &DataType::Int64)
        } else {
            Node::Whole { up, value: Box::new(self.to(of, &DataType::Float64)) }
        };
        Ok(Typed::new(node, DataType::Int64))
    }

    fn round(&mut self, value: &Expr, scale: Option<&Expr>) -> Result<Typed> {
        let of = self.expr(value)?;
        let kind = self.kind(value, &of, "round")?;
        let data_type = of_kind(kind);
        let digits = match scale {
            None => Some(0),
            Some(scale) => match self.expr(scale)?.node {
                Node::Literal(Datum::Int32(digits), _) => {
                    u8::try_from(digits).ok().filter(|digits| *digits <= ROUND_SCALE_MAX)
                }
                _ => None,
            },
        };
        let Some(digits) = digits else {
            let help = format!("write 0 to {ROUND_SCALE_MAX}");
            let at = scale.unwrap_or(value);
            return Err(self.problem(
                at,
                "the digits of `round` are no literal of that range",
                help,
            ));
        };
        let of = self.to(of, &data_type);
        // Whole numbers have nothing after the point.
        if matches!(kind_of(&data_type), Kind::Int32 | Kind::Int64) {
            return Ok(Typed::new(of, data_type));
        }
        Ok(Typed::new(Node::Round { value: Box::new(of), scale: digits }, data_type))
    }

    pub(crate) fn of_text(&mut self, function: OfText, value: &Expr) -> Result<Typed> {
        let value = self.text(value, "this function")?;
        let gives = if function == OfText::Length { DataType::Int32 } else { DataType::String };
        Ok(Typed::new(Node::OfText(function, Box::new(value)), gives))
    }

    fn text_test(&mut self, test: TextTest, name: &str, text: &Expr, what: &Expr) -> Result<Typed> {
        let (text, what) = (self.text(text, name)?, self.text(what, name)?);
        Ok(Typed::new(Node::TextTest(test, Box::new(text), Box::new(what)), DataType::Bool))
    }

    pub(crate) fn substring(
        &mut self,
        value: &Expr,
        from: &Expr,
        count: Option<&Expr>,
    ) -> Result<Typed> {
        let value = Box::new(self.text(value, "`substring`")?);
        let start = Box::new(self.int(from, "`substring`")?);
        let count = count.map(|count| self.int(count, "`substring`")).transpose()?.map(Box::new);
        Ok(Typed::new(Node::Substring { value, start, count }, DataType::String))
    }

    /// `timestampdiff(HOUR, start, end)`: whole units, towards zero.
    fn time_between(&mut self, name: &str, unit: &Expr, start: &Expr, end: &Expr) -> Result<Typed> {
        let word = match unit {
            Expr::Identifier(unit) => unit.value.to_ascii_uppercase(),
            _ => String::new(),
        };
        let micros: i64 = match word.as_str() {
            "MICROSECOND" => 1,
            "MILLISECOND" => 1_000,
            "SECOND" => 1_000_000,
            "MINUTE" => 60_000_000,
            "HOUR" => 3_600_000_000,
            "DAY" => 86_400_000_000,
            "WEEK" => 7 * 86_400_000_000,
            _ => {
                let help = "write MICROSECOND, MILLISECOND, SECOND, MINUTE, HOUR, DAY or WEEK";
                return Err(self.problem(unit, format!("the unit of `{name}`"), help));
            }
        };
        let mut instant = |of: &Expr| {
            let value = Box::new(self.time(of, name, &DataType::Timestamp)?);
            Ok::<_, crate::Problem>(Box::new(Node::Unix { micros: 1, value }))
        };
        let (right, left) = (instant(start)?, instant(end)?);
        let between =
            Node::Arithmetic { operation: Operation::Subtract, kind: Kind::Int64, left, right };
        let node = match micros {
            1 => between,
            _ => Node::Arithmetic {
                operation: Operation::WholeDivide,
                kind: Kind::Int64,
                left: Box::new(between),
                right: Box::new(Node::Literal(Datum::Int64(micros), DataType::Int64)),
            },
        };
        Ok(Typed::new(node, DataType::Int64))
    }
}
